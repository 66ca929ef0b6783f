"""Proofs that are killed, cancelled, starved of disk or lose their server: nothing stays, nothing false is said."""

import json
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.throwaway import watchdog
from dbtui.adapters.throwaway.accounts import choose_account
from dbtui.adapters.throwaway.proving import ACCOUNTS
from dbtui.demo.servers import ServerDirectory
from tests.cli.conftest import NewSample
from tests.cli.disks import on_small_disk, without_programs
from tests.cli.program import argv, environment, run
from tests.fix_servers import processes_in, wait_until

#: Enough for a load that is still going on when it is looked at.
ROWS = 300_000
FILL = {
    "postgresql": f"INSERT INTO orders SELECT 10000 + n, 1, n FROM generate_series(1, {ROWS}) n",
    "mysql": f"INSERT INTO orders SELECT 10000 + seq, 1, seq FROM seq_1_to_{ROWS}",
}
#: Killed before its watchdog runs, the directory of a run is left to the next one.
FIRST = "throwaway server"
Made = Callable[[str], Path]
Servers = pytest.mark.parametrize("engine", ["postgresql", "mysql"])


@pytest.fixture
def places(short_directory: Path) -> Path:
    """Where the throwaway servers are made: as open as /tmp is."""
    short_directory.chmod(0o711)
    return short_directory


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One backup of each engine, which the tests take copies of."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def made(new_sample: NewSample, kept: Path, tmp_path: Path) -> Made:
    """Gives a test a backup of its own."""

    def make(engine: str) -> Path:
        if not (kept / engine).exists():
            sample = new_sample(engine)
            sample.execute(FILL[engine])
            ran = run("backup", "create", "--dir", str(kept / engine), cwd=tmp_path, DATABASE_URL=sample.url)
            assert ran.code == 0, ran.stderr
        shutil.copytree(kept / engine, tmp_path / engine)
        (path,) = (tmp_path / engine).glob("*.sql")
        return path

    return make


@contextmanager
def proving(path: Path, places: Path, *before: str) -> "Iterator[subprocess.Popen[str]]":
    """A proof that runs; its events are on its stdout, a JSON line each."""
    process = subprocess.Popen(
        [*before, *argv("backup", "verify", path, "--throwaway", "--json")],
        cwd=path.parent,
        env=environment(TMPDIR=str(places)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def follow(process: "subprocess.Popen[str]", step: str) -> None:
    """Return when a step begins."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step_started" and event["step"] == step:
            return
        assert event["event"] != "result", event
    raise AssertionError(f"it ended before {step}")


def end_of(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait for the end and return the result."""
    assert process.stdout is not None
    lines = list(process.stdout)
    process.wait(60)
    assert not lines[-1].startswith("left: ") or lines.pop() == "left: fill\n"
    result: dict[str, Any] = json.loads(lines[-1])
    assert result["event"] == "result"
    return result


def is_clean(places: Path) -> bool:
    return not processes_in(places) and not list(places.iterdir())


@Servers
@pytest.mark.parametrize("step", [FIRST, "create", "load", "count rows", "check", "remove"])
def test_a_kill_at_any_step_leaves_nothing(made: Made, places: Path, engine: str, step: str) -> None:
    path = made(engine)
    with proving(path, places) as process:
        follow(process, step)
        process.kill()
        process.wait()
        wait_until(lambda: not processes_in(places) and (step == FIRST or is_clean(places)))
    assert not path.with_name(f"{path.name}.proofs.json").exists()
    ran = run("backup", "verify", path, "--throwaway", cwd=path.parent, TMPDIR=str(places))
    assert ran.code == 0, ran.stderr
    assert is_clean(places)


@Servers
def test_its_server_is_private(made: Made, places: Path, engine: str) -> None:
    """A directory for its account alone, not root's, not that of this machine's servers, and nobody can call it."""
    path = made(engine)
    with proving(path, places) as process:
        follow(process, "load")
        (left,) = places.iterdir()
        number = int((left / watchdog.SERVERS_FILE).read_text().splitlines()[-1].split()[1])
        about = (left / "throwaway").stat()
        assert stat.S_IMODE(about.st_mode) == 0o700
        assert Path(f"/proc/{number}").stat().st_uid == about.st_uid
        account = choose_account(*ACCOUNTS)
        assert about.st_uid == (account.uid if account else os.geteuid())
        assert not _sockets_of(number) & _listening()
        assert Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[16] == "10", "it is not niced"
        process.send_signal(signal.SIGINT)
        assert end_of(process)["outcome"] == "cancelled"


def _sockets_of(number: int) -> set[str]:
    """The inodes of a process's sockets."""
    found = (str(each.readlink()) for each in Path(f"/proc/{number}/fd").iterdir())
    return {name[8:-1] for name in found if name.startswith("socket:[")}


def _listening() -> set[str]:
    """The inodes of the sockets that take calls from a network, this machine's own included."""
    tables = (Path("/proc/net") / name for name in ("tcp", "tcp6", "udp", "udp6"))
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return {words[9] for words in lines}


def test_what_even_the_watchdog_left_the_next_verification_removes(made: Made, places: Path) -> None:
    path = made("postgresql")
    with proving(path, places) as process, ServerDirectory.create(places) as alive:
        follow(process, "load")
        (left,) = [each for each in places.iterdir() if each != alive.path]
        for number in _watchdogs_of(left):
            os.kill(number, signal.SIGKILL)
        process.kill()
        process.wait()
        assert any("postgres" in command for command in processes_in(left)), "its server lives on"
        assert run("backup", "verify", path, cwd=path.parent, TMPDIR=str(places)).code == 0
        assert not left.exists()
        wait_until(lambda: not processes_in(left))
        assert (alive.path / watchdog.OWNER_FILE).exists(), "that of a live run was touched"


def _watchdogs_of(directory: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(directory) in words and any(word.endswith(b"watchdog.py") for word in words):
                found.append(int(entry.name))
    assert found
    return found


@Servers
@pytest.mark.parametrize("step", ["throwaway server", "load", "count rows"])
def test_a_cancel_removes_the_server(made: Made, places: Path, engine: str, step: str) -> None:
    path = made(engine)
    with proving(path, places) as process:
        follow(process, step)
        process.send_signal(signal.SIGINT)
        result = end_of(process)
        assert (result["outcome"], process.returncode) == ("cancelled", 130)
        assert is_clean(places)
    assert "verified_at" in path.with_name(f"{path.name}.manifest.json").read_text()


@Servers
def test_a_server_that_is_killed_says_nothing_against_the_backup(made: Made, places: Path, engine: str) -> None:
    path = made(engine)
    with proving(path, places) as process:
        follow(process, "load")
        (left,) = places.iterdir()
        number = int((left / watchdog.SERVERS_FILE).read_text().splitlines()[-1].split()[1])
        os.kill(number, signal.SIGKILL)
        result = end_of(process)
        assert (result["exit_code"], process.returncode) == (1, 1), result
        assert "says nothing against the backup" in result["error"]
        assert is_clean(places)
    manifest = json.loads(path.with_name(f"{path.name}.manifest.json").read_text())
    assert manifest["failed_at"] is None


@Servers
def test_a_full_disk_says_nothing_against_the_backup(made: Made, places: Path, engine: str) -> None:
    path = made(engine)
    with proving(path, places, *on_small_disk(places, "640m", "711")) as process:
        follow(process, "load")
        _fill(process, places)
        result = end_of(process)
        assert (result["exit_code"], "is full" in result["error"]) == (1, True), result
        assert "says nothing against the backup" in result["error"]
    wait_until(lambda: not processes_in(places))
    manifest = json.loads(path.with_name(f"{path.name}.manifest.json").read_text())
    assert manifest["failed_at"] is None


def _fill(process: "subprocess.Popen[str]", places: Path) -> None:
    """Take the room that is left on the disk that the process sees, and others do not."""
    seen = Path(f"/proc/{_program_of(process)}/root{places}")
    with (seen / "fill").open("wb") as file:
        taken, piece = 0, 1 << 26
        while piece >= 1 << 16:  # its server takes its own share meanwhile
            try:
                os.posix_fallocate(file.fileno(), taken, piece)
                taken += piece
            except OSError:
                piece //= 2


def _program_of(process: "subprocess.Popen[str]") -> int:
    """The number of the program below the words that were before it."""
    number = process.pid
    while b"dbtui" not in Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0"):
        children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        number = int(children[-1])
    return number


def test_without_room_it_is_not_even_begun(made: Made, places: Path) -> None:
    path = made("postgresql")
    manifest = path.with_name(f"{path.name}.manifest.json")
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(document | {"database_bytes": 1 << 60}))
    ran = run("backup", "verify", path, "--throwaway", cwd=path.parent, TMPDIR=str(places))
    assert ran.code == 6
    assert "let TMPDIR name a directory with that much room" in ran.sentence


def test_without_programs_it_says_what_to_install(made: Made, new_sample: NewSample, tmp_path: Path) -> None:
    path = made("postgresql")
    newer = path.with_name(f"{path.name}.manifest.json")
    newer.write_text(json.dumps(json.loads(newer.read_text()) | {"server_version": "99.1"}))
    ran = run("backup", "verify", path, "--throwaway", cwd=tmp_path)
    assert ran.code == 1
    assert "install the package postgresql-99" in ran.sentence
    assert "--to TARGET" in ran.sentence
    ran = run("backup", "verify", path, "--restore", cwd=tmp_path, DATABASE_URL=new_sample("postgresql").url)
    assert ran.code == 0, ran.stderr
    assert "into a scratch database on DATABASE_URL instead" in ran.stderr
    hidden = without_programs(Path("/usr/sbin/mariadbd"))
    ran = run("backup", "verify", made("mysql"), "--throwaway", cwd=tmp_path, before=hidden)
    assert (ran.code, "install the package mariadb-server" in ran.sentence) == (1, True), ran.stderr
