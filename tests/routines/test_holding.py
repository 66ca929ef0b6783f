"""Locks on backups' own files: what cannot be held is never taken for free."""

import errno
import os
from pathlib import Path

import pytest

from dbtui.errors import LockedError, StorageError
from dbtui.routines.backups.holding import held_for_reading, held_for_removal, is_held

_OPEN = os.open


def _refuse_writing(path: Path, flags: int, *rest: int) -> int:
    if flags & (os.O_RDWR | os.O_WRONLY):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return _OPEN(path, flags, *rest)


def _refuse_all(_path: Path, _flags: int, *_rest: int) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "app-20261122T150000Z.sqlite.manifest.json"
    path.write_text("{}")
    return path


def test_a_manifest_that_may_only_be_read_is_held_all_the_same(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", _refuse_writing)
    with held_for_reading(manifest), pytest.raises(LockedError), held_for_removal(manifest):
        pytest.fail("it was taken from a reader")
    with held_for_removal(manifest):
        assert is_held(manifest)
    assert not is_held(manifest)


def test_what_cannot_be_opened_is_not_taken_for_free(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", _refuse_all)
    with pytest.raises(StorageError, match="Too many open files"), held_for_removal(manifest):
        pytest.fail("it was removed unheld")
    with pytest.raises(StorageError):
        is_held(manifest)


def test_what_is_gone_is_held_by_nobody(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "gone")
    with held_for_removal(tmp_path / "gone"), held_for_reading(None):
        pass
