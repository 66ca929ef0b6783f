"""One trial's surroundings: a home, a directory with an earlier backup, the real program, and ways to look at them."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.matrix.banks import RECIPIENT, Bank
from tests.faults.matrix.ledgers import judge_audit, moving_money
from tests.faults.matrix.trials import Lost

if TYPE_CHECKING:
    from tests.faults.matrix.worlds import World

ROOT = Path(__file__).parents[3]
RUN_SECONDS = 120.0
ORPHAN_SECONDS = 2.0
_SESSION_SECONDS = 5.0
_HOME = {"XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state", "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache",
         "XDG_RUNTIME_DIR": "run"}  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """How a run of the program ended; a negative code is the signal that ended it."""

    code: int
    stdout: str
    stderr: str
    seconds: float = 0.0


class Scene:
    """A directory of its own, an environment of its own; see the module."""

    def __init__(self, world: "World", bank: Bank, form: tuple[str, ...]) -> None:
        world.scenes += 1
        self.world, self.bank, self.form = world, bank, form
        self.folder = world.folder / f"scene-{world.scenes}"
        self.home, self.backups = self.folder / "home", self.folder / "backups"
        for path in (self.folder, self.backups):
            path.mkdir(mode=0o700)
        self.make_home(self.home)
        #: Where the backups are seen from here: the program may have a disk of its own there.
        self.seen = self.backups
        self.url = bank.url()
        self.earlier: dict[str, str] = {}
        self.before: tuple[str, ...] = ()
        self.program: tuple[str, ...] = ("-m", "dbtui")
        self.databases = bank.databases()

    @classmethod
    def with_earlier(cls, world: "World", engine: str, form: tuple[str, ...]) -> "Scene":
        """A scene whose directory holds a good backup already."""
        reference = world.reference(engine, form)
        scene = cls(world, world.bank(engine), form)
        shutil.copytree(reference.folder, scene.backups, dirs_exist_ok=True)
        scene.earlier = fingerprints(scene.backups)
        return scene

    @staticmethod
    def make_home(home: Path) -> None:
        """Make the folders that the program's environment names."""
        for path in (home, *(home / name for name in _HOME.values())):
            path.mkdir(mode=0o700)

    # ------------------------------------------------------------ running

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the program: nothing of this one but what finds Python."""
        kept = {name: os.environ[name] for name in ("PATH", "LC_ALL", "LANG") if name in os.environ}
        homes = {name: str(self.home / folder) for name, folder in _HOME.items()}
        return {**kept, **homes, "HOME": str(self.home), "TMPDIR": str(self.home), "PYTHONPATH": str(ROOT),
                "DATABASE_URL": self.url, "DBTUI_AGE_IDENTITY": str(self.world.identity)}  # fmt: skip

    def start(self, *words: object, into: str = "") -> "subprocess.Popen[str]":
        """Start the program in a session of its own; its words go to files, so that nobody has to read them.

        `into` is put before the files' names, for a second program beside the first.
        """
        argv = [*self.before, sys.executable, *self.program, *map(str, words)]
        with (self.folder / f"{into}out").open("w") as out, (self.folder / f"{into}err").open("w") as err:
            return subprocess.Popen(
                argv, cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True,
                start_new_session=True,
            )  # fmt: skip

    def finish(self, process: "subprocess.Popen[str]", seconds: float = RUN_SECONDS, *, into: str = "") -> Ran:
        """Wait for the end of a started program. Raises Lost when it does not end."""
        began = time.monotonic()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Lost(f"the program had not ended after {seconds:.0f} s") from None
        out, err = ((self.folder / f"{into}{name}").read_text() for name in ("out", "err"))
        ran = Ran(code, out, err, time.monotonic() - began)
        if "Traceback" in ran.stderr:
            raise Lost(f"a traceback was shown: {ran.stderr[-600:]}")
        return ran

    def run(self, *words: object) -> Ran:
        """Run the program to its end."""
        return self.finish(self.start(*words))

    @property
    def create_words(self) -> tuple[str, ...]:
        """The words that make a backup in this scene's form."""
        form = (self.world.recipient if word == RECIPIENT else word for word in self.form)
        return ("backup", "create", "--dir", str(self.backups), "--json", *form)

    def create(self) -> Ran:
        """Make a backup."""
        return self.run(*self.create_words)

    def money(self) -> AbstractContextManager[Callable[[], int]]:
        """Move money during a block."""
        return moving_money(self.bank.move)

    # ------------------------------------------------------------ looking

    def listed(self) -> list[dict[str, Any]]:
        """The history of the directory. Raises Lost when it cannot be listed."""
        ran = self.run("backup", "list", "--dir", self.backups, "--json")
        if ran.code != 0:
            raise Lost(f"the list cannot be read any more: {ran.stderr.strip() or ran.stdout[-300:]}")
        entries: list[dict[str, Any]] = json.loads(ran.stdout)["backups"]
        return entries

    def verify(self, backup_id: str) -> str:
        """Return what `backup verify` has against a backup, nothing if it passes."""
        ran = self.run("backup", "verify", backup_id, "--dir", self.backups)
        return "" if ran.code == 0 else f"{backup_id} fails verify with {ran.code}: {ran.stderr.strip()}"

    def audit(self, backup_id: str) -> str:
        """Restore the ledger of a backup into a new database; return what is wrong with its money, if anything."""
        name = self.new_database()
        words = ("--table", "accounts", "--table", "transfers", "--dir", self.backups)
        ran = self.run("backup", "restore", backup_id, "--to", self.url, "--into", name, *words)
        if ran.code != 0:
            return f"{backup_id} cannot be restored: {ran.stderr.strip()}"
        try:
            said = judge_audit(self.bank.audit(name))
        finally:
            self.bank.drop(name)
        return f"{backup_id} has the wrong money: {said}" if said else ""

    def new_database(self) -> str:
        """A name that no other restore has."""
        self.world.scenes += 1
        name = f"again_{self.world.scenes}"
        return name if self.bank.is_server else self.bank.place(name)

    def partial_bytes(self) -> int:
        """How much of a backup is on the disk under a preliminary name."""
        return sum(map(_size_of, self.seen.glob("*.partial")))

    def descendants(self) -> list[int]:
        """The processes that have this scene's home in their environment."""
        found = []
        wanted = b"HOME=" + os.fsencode(self.home)
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    if wanted in (entry / "environ").read_bytes().split(b"\0") and not is_zombie(entry):
                        found.append(int(entry.name))
                except OSError:  # ended meanwhile
                    continue
        return found

    def close(self) -> None:
        """Remove the directory, unless it is that of a reference."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def opened(world: "World", engine: str, form: tuple[str, ...]) -> Iterator[Scene]:
    """A scene with an earlier backup, removed at the end."""
    scene = Scene.with_earlier(world, engine, form)
    try:
        yield scene
    finally:
        scene.close()


def _size_of(path: Path) -> int:
    """The bytes of a file, or of the files in a directory; of what is renamed meanwhile, nothing."""
    try:
        return path.stat().st_size if path.is_file() else sum(map(_size_of, path.iterdir()))
    except OSError:
        return 0


def is_zombie(entry: Path) -> bool:
    """Whether a process has ended and only waits for its parent to hear of it."""
    return (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "ZX"


def fingerprints(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a directory, by its path in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition at most so long; return whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_quiet(scene: Scene) -> bool:
    """Whether no process of the scene is left within two seconds."""
    return wait_until(lambda: not scene.descendants(), ORPHAN_SECONDS)


def is_server_quiet(scene: Scene) -> bool:
    """Whether the server has no session of dbtui or its tools any more, within five seconds."""
    return wait_until(lambda: not scene.bank.foreign_sessions(), _SESSION_SECONDS)
