"""Disks that are full: a small one, mounted for the program alone, on which a random share of the backup has room."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.disks import namespace
from tests.faults.matrix.aftermath import FAILED, REFUSED, SUCCEEDED, Expected, check_aftermath
from tests.faults.matrix.banks import ENGINES
from tests.faults.matrix.scenes import Ran, Scene, fingerprints
from tests.faults.matrix.trials import Kind, Lost, Report, Trial
from tests.faults.matrix.worlds import World

_PAGE = 4096
#: Mounts the disk, says so, and keeps it until its stdin is closed.
_HOLD = 'mount -t tmpfs -o "size=$1,mode=700" dbtui-test "$2" && echo mounted && exec cat >/dev/null'
_FREE = "1g"


@contextmanager
def small_disk(scene: Scene, folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk of so many bytes at `folder`, for the scene's programs alone; yields where it is seen from here."""
    argv = [*namespace(), "sh", "-c", _HOLD, "sh", str(size), str(folder)]
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != "mounted\n":
            raise Lost("this system lets nobody here mount a small disk")
        own = () if os.geteuid() == 0 else ("--user", "--preserve-credentials")
        scene.before = ("nsenter", "--target", str(holder.pid), "--mount", *own, "--")
        yield Path(f"/proc/{holder.pid}/root{folder}")
    finally:
        scene.before = ()
        for stream in (holder.stdin, holder.stdout):
            if stream is not None:
                stream.close()
        holder.wait()


def grow(scene: Scene, folder: Path) -> None:
    """Make room on the disk, as an operator does."""
    subprocess.run([*scene.before, "mount", "-o", f"remount,size={_FREE}", str(folder)], check=True)


def full_disk(world: World, trial: Trial, report: Report) -> None:
    """Make a backup while its disk fills up: when it was planned there was room for all of it.

    A quarter of the trials have too little room from the beginning, which the plan notices; a third of them all end
    with the data whole and no room for the manifest, or nearly so; a third have history and locks on that disk, too.
    """
    chance = trial.chance()
    form = chance.choice(world.forms(trial.engine))
    reference = world.reference(trial.engine, form)
    near = chance.random() < 0.33
    room = (
        chance.randint(-12, 6) * _PAGE + reference.size_bytes if near else int(chance.random() * reference.size_bytes)
    )
    from_the_beginning, with_home = chance.random() < 0.25, chance.random() < 0.33
    earlier = sum(_PAGE * -(-path.stat().st_size // _PAGE) for path in reference.folder.rglob("*") if path.is_file())
    size = max(_PAGE, earlier + room) if from_the_beginning else earlier + room + (64 << 20)
    report.fault = (
        f"{' '.join(form) or 'plain'}: room for {room / reference.size_bytes:.2%} of it"
        f"{' from the beginning' if from_the_beginning else ''}{', history there too' if with_home else ''}"
    )
    scene = Scene(world, world.bank(trial.engine), form)
    try:
        with small_disk(scene, scene.backups, size) as scene.seen:
            shutil.copytree(reference.folder, scene.seen, dirs_exist_ok=True)
            scene.earlier = fingerprints(reference.folder)
            if with_home:
                scene.home = scene.backups / ".home"
                scene.make_home(scene.seen / ".home")
            ran = _run_out_of_room(scene, room, is_full_already=from_the_beginning)
            if ran.code != SUCCEEDED and not any(word in ran.stderr for word in ("full", "room", "free")):
                report.lose(f"nothing said that the disk is full: {ran.stderr.strip()[-300:]}")
            grow(scene, scene.backups)
            check_aftermath(scene, ran, Expected((SUCCEEDED, FAILED, REFUSED)), report)
    finally:
        scene.close()


def _run_out_of_room(scene: Scene, room: int, *, is_full_already: bool) -> Ran:
    """Make a backup; when it was planned, something else takes the disk but for `room` bytes of the backup's."""
    with scene.money():
        process = scene.start(*scene.create_words)
        while not is_full_already and process.poll() is None:
            if any(scene.seen.glob("*.partial")):
                _take_the_rest(scene.seen, room - scene.partial_bytes())
                break
            time.sleep(0.001)
        return scene.finish(process)


def _take_the_rest(folder: Path, room: int) -> None:
    """Leave so many bytes of a disk free."""
    about = os.statvfs(folder)
    with (folder / "something else").open("wb") as filler, contextlib.suppress(OSError):  # the run was quicker
        os.posix_fallocate(filler.fileno(), 0, about.f_bavail * about.f_frsize - max(0, room))


KINDS = (Kind("disk-full", "disk full", ENGINES, full_disk, 20, ("sqlite",)),)
