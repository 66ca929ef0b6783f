"""A disk that fills up during a backup or a swap: a sentence, nothing of it left, and the live database as before."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.sqlite_files import dump_to, make_database, make_large
from tests.cli.disks import on_small_disk

ROOT = Path(__file__).parents[2]
BEGIN = """
import contextlib, os, shutil, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from dbtui.errors import DbtuiError
from tests.adapters.sqlite_files import *
folder, source = Path(sys.argv[2]), Path(sys.argv[3])
"""
DUMP = """
try:
    dump_to(source, folder, options(compression={"none": NONE, "zstd": ZSTD}[sys.argv[4]], tables=tuple(sys.argv[5:])))
except DbtuiError as error:
    print(type(error).__name__, error)
print(sorted(os.listdir(folder)))
"""
SWAP = """
live = folder / "app.db"
make_large(live, wal=sys.argv[4] == "wal", megabytes=3)
old = lines_of(live)
try:
    with opened(live) as target:
        load_new(target, stored(source), "new.db")
        drive(BACKUPS.swap_database(target, "app.db", "new.db", "kept.db"))
except DbtuiError as error:
    print(type(error).__name__, error)
with opened(live) as target:
    BACKUPS.drop_database(target, "new.db")
print(lines_of(live) == old, ask(live, "PRAGMA integrity_check"))
print(sorted(name for name in os.listdir(folder) if not name.endswith(("-wal", "-shm"))))
"""


def on_disk(folder: Path, size: str, program: str, *words: str) -> list[str]:
    """Run a program that sees a small disk at `folder`; return the lines it prints."""
    argv = [*on_small_disk(folder, size), sys.executable, "-c", BEGIN + program, str(ROOT), str(folder), *words]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize(
    ("compression", "tables"), [("none", ()), ("zstd", ()), ("none", ("t",))], ids=["copy", "packed", "some tables"]
)
def test_a_backup_that_does_not_fit(tmp_path: Path, compression: str, tables: tuple[str, ...]) -> None:
    source = make_large(tmp_path / "app.db", wal=True, megabytes=12)
    folder = tmp_path / "small"
    folder.mkdir()
    said, left = on_disk(folder, "4m", DUMP, str(source), compression, *tables)[:2]
    assert said.startswith("StorageError the disk that holds ")
    assert said.endswith(" is full; free some space or choose another directory")
    assert left == "[]"


@pytest.mark.parametrize("journal", ["wal", "rollback"])
@pytest.mark.parametrize("size", ["4m", "9m", "12m", "15m"])
def test_a_swap_that_does_not_fit_leaves_the_live_database(tmp_path: Path, journal: str, size: str) -> None:
    dump_to(make_database(tmp_path / "source.db", rows=20_000), tmp_path)
    backup = tmp_path / "app-20261122T150000Z.sqlite"
    assert 5_000_000 < backup.stat().st_size < 7_000_000
    folder = tmp_path / "small"
    folder.mkdir()
    said, unchanged, left = on_disk(folder, size, SWAP, str(backup), journal)[:3]
    assert said.startswith("StorageError the disk that holds ")
    assert unchanged == "True [('ok',)]"
    assert left == "['app.db']"
