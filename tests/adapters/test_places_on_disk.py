"""What a directory gives to an account, and the room on a disk where something is, or will be."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.adapters.disks import free_bytes
from dbtui.adapters.machine import collect_directory
from dbtui.adapters.postgresql.replica_place import may_use
from dbtui.adapters.processes import Account

ENTER, WRITE = os.X_OK, os.W_OK | os.X_OK


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "folder"
    made.mkdir()
    yield made
    made.chmod(0o700)


def account(folder: Path, who: str) -> Account:
    """One that owns a directory, one of its group, and one that is neither."""
    found = folder.stat()
    uid = found.st_uid if who == "owner" else found.st_uid + 4711
    gid = found.st_gid if who == "group" else found.st_gid + 4711
    return Account("nobody", uid, gid, "/nonexistent")


@pytest.mark.parametrize(
    ("who", "mode", "wanted", "may"),
    [
        ("owner", 0o300, WRITE, True),
        ("owner", 0o177, WRITE, False),
        ("owner", 0o100, ENTER, True),
        ("owner", 0o677, ENTER, False),
        ("group", 0o030, WRITE, True),
        ("group", 0o717, WRITE, False),
        ("group", 0o010, ENTER, True),
        ("other", 0o003, WRITE, True),
        ("other", 0o771, WRITE, False),
        ("other", 0o001, ENTER, True),
        ("other", 0o776, ENTER, False),
    ],
)
def test_an_account_has_what_its_own_bits_give(folder: Path, who: str, mode: int, wanted: int, may: bool) -> None:
    folder.chmod(mode)
    assert may_use(folder, account(folder, who), wanted) is may


def test_what_is_not_there_may_not_be_used(folder: Path) -> None:
    assert not may_use(folder / "none", account(folder, "owner"), ENTER)
    assert not may_use(folder / "none", None, ENTER)
    assert may_use(folder, None, WRITE)


def test_the_room_of_what_is_not_there_yet_is_that_of_its_disk(tmp_path: Path) -> None:
    deep = tmp_path / "not" / "there" / "yet"
    disk = os.statvfs(tmp_path)
    total = disk.f_blocks * disk.f_frsize
    for free in (free_bytes(tmp_path), free_bytes(deep), collect_directory("backups", deep).free_bytes):
        assert free is not None and 0 < free <= total
    assert free_bytes(Path("relative to nothing")) == free_bytes(Path())
