"""A run that is killed leaves nothing that could be taken for a backup, and the next run sweeps what it left."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbtui.model.backups import DumpOptions, EntryKind, TableName
from dbtui.routines.backups import collect_entries, create_backup
from tests.routines.fake_engine import Clock, FakeContext, FakeEngine, drive
from tests.routines.test_create import PROFILE

ROOT = Path(__file__).parents[2]
VICTIM = """
import sys
from pathlib import Path
from dbtui.model.backups import BackupFormat, DumpOptions, TableName
from dbtui.routines.backups import create_backup, store
from tests.routines.fake_engine import Clock, FakeContext, FakeEngine, drive
from tests.routines.test_create import PROFILE

directory, where, backup_format = Path(sys.argv[1]), sys.argv[2], BackupFormat(sys.argv[3])

def stop(*_words):
    print("reached", flush=True)
    sys.stdin.read()

fake = FakeEngine(databases={"erp": {TableName("public", "users"): ["ann"], TableName("public", "orders"): ["1"]}})
if where == "dump table":
    fake.fail_at[where] = stop
elif where == "renamed":
    store.fsync_path = lambda path: path == directory and stop()
elif where == "manifest":
    store.encode_manifest = lambda manifest: stop() or b""
drive(create_backup(FakeContext(fake=fake, now=Clock()), PROFILE, directory, DumpOptions(format=backup_format)))
"""


@pytest.fixture
def kill_at(tmp_path: Path) -> Callable[[str, str], Path]:
    """Run a backup in another process and kill it when it reaches a point; return the backup directory."""

    def run(where: str, backup_format: str) -> Path:
        directory = tmp_path / "b"
        with subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(directory), where, backup_format],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == "reached\n"
            made_meanwhile(directory)
            victim.send_signal(signal.SIGKILL)
        return directory

    return run


def made_meanwhile(directory: Path) -> None:
    """Another backup into the same directory leaves the files of a living run alone."""
    before = {path.name for path in directory.iterdir()}
    assert before
    drive(create_backup(FakeContext(fake=engine(), now=Clock(3600)), PROFILE, directory, DumpOptions()))
    assert before < {path.name for path in directory.iterdir()}


def engine() -> FakeEngine:
    return FakeEngine(databases={"erp": {TableName("public", "users"): ["ann"]}})


@pytest.mark.parametrize("where", ["dump table", "renamed", "manifest"])
@pytest.mark.parametrize("backup_format", ["plain", "directory"])
def test_a_killed_run_leaves_no_backup_and_is_swept(
    kill_at: Callable[[str, str], Path], where: str, backup_format: str
) -> None:
    directory = kill_at(where, backup_format)
    c = FakeContext(fake=engine(), now=Clock())
    kinds = [entry.kind for entry in drive(collect_entries(c, directory))]
    assert kinds.count(EntryKind.COMPLETE) == 1
    # Renamed but without a manifest it is what the contract calls foreign: a whole dump that nobody vouches for.
    assert len(kinds) == (1 if where == "dump table" else 2)
    drive(create_backup(c, PROFILE, directory, DumpOptions()))
    assert not [path.name for path in directory.iterdir() if path.name.endswith(".partial")]
    assert [entry.kind for entry in drive(collect_entries(c, directory))].count(EntryKind.COMPLETE) == 2
