"""A directory as a remote: whole files or none, private, durable, and never through a link out of it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.registry import open_remote
from dbtui.adapters.remotes.remote import Remote
from dbtui.errors import Cancelled, ConnectError, RemoteError, RemoteExistsError, StorageError
from dbtui.model.remotes import Confirmation, RemoteAddress, RemoteKind, RemoteSettings
from tests.remote_files import MEBIBYTE, run, write_file


@pytest.fixture
def share(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


@pytest.fixture
def cancellation() -> Cancellation:
    return Cancellation()


@pytest.fixture
def remote(share: Path, cancellation: Cancellation) -> Iterator[Remote]:
    remote = open_remote(RemoteAddress(RemoteKind.DIRECTORY, "", str(share)), RemoteSettings(), {}, cancellation)
    yield remote
    remote.close()


@pytest.mark.parametrize("size", [0, 1, 5 * MEBIBYTE + 1])
def test_a_file_goes_there_and_comes_back(remote: Remote, share: Path, tmp_path: Path, size: int) -> None:
    file = write_file(tmp_path / "a", size)
    assert run(remote.upload(tmp_path / "a", "2026/d/a", file))[1] is Confirmation.READ_BACK
    assert (share / "2026/d/a").read_bytes() == (tmp_path / "a").read_bytes()
    assert (share / "2026/d/a").stat().st_mode & 0o777 == 0o600
    assert (share / "2026").stat().st_mode & 0o777 == 0o700
    run(remote.download("2026/d/a", tmp_path / "b", file))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert [(each.name, each.size_bytes) for each in remote.list_objects()] == [("2026/d/a", size)]
    remote.remove("2026/d/a")
    remote.remove("2026/d/a")
    assert list(share.iterdir()) == []


def test_a_name_is_taken_once(remote: Remote, share: Path) -> None:
    remote.create("d/m.json", b"one")
    with pytest.raises(RemoteExistsError):
        remote.create("d/m.json", b"two")
    assert remote.read("d/m.json", 3) == b"one"
    assert [path.name for path in (share / "d").iterdir()] == ["m.json"]
    with pytest.raises(RemoteError, match="larger than it can be"):
        remote.read("d/m.json", 2)
    assert remote.find_object("d") is None
    assert remote.find_object("d/m.json/x") is None
    with pytest.raises(RemoteError, match="did not let us read"):
        remote.read("absent", 1)


def test_nothing_is_there_when_it_is_cancelled(
    remote: Remote, share: Path, tmp_path: Path, cancellation: Cancellation
) -> None:
    file = write_file(tmp_path / "a", 5 * MEBIBYTE)
    routine = remote.upload(tmp_path / "a", "a", file)
    next(routine)
    assert list(remote.list_objects()) == []
    cancellation.request()
    with pytest.raises(Cancelled):
        next(routine)
    assert list(share.iterdir()) == []


def test_what_arrives_otherwise_than_it_was_sent_gets_no_name(
    remote: Remote, share: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_file(tmp_path / "a", 2 * MEBIBYTE)
    advise = os.posix_fadvise

    def spoil(descriptor: int, offset: int, length: int, advice: int) -> None:
        """The disk returns something else than was written."""
        (unfinished,) = share.glob("a.*.sending")
        with unfinished.open("r+b") as opened:
            opened.seek(MEBIBYTE)
            opened.write(b"!")
        advise(descriptor, offset, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", spoil)
    with pytest.raises(RemoteError, match="another SHA-256"):
        run(remote.upload(tmp_path / "a", "a", file))
    assert list(share.iterdir()) == []


def test_two_at_once_send_the_same_file_and_it_is_whole(remote: Remote, share: Path, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a", 3 * MEBIBYTE)
    routines = [remote.upload(tmp_path / "a", "a", file) for _ in range(2)]
    for routine in routines:
        next(routine)
    assert [run(routine)[1] for routine in routines] == [Confirmation.READ_BACK] * 2
    assert [path.name for path in share.iterdir()] == ["a"]
    assert (share / "a").read_bytes() == (tmp_path / "a").read_bytes()


def test_what_killed_runs_left_is_swept_after_a_week(remote: Remote, share: Path, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a", 5)
    for name, days in (("a.00.sending", 8), ("a.11.sending", 6), ("ab.22.sending", 8)):
        (share / name).write_bytes(b"left")
        os.utime(share / name, (time.time() - days * 86_400,) * 2)
    run(remote.upload(tmp_path / "a", "a", file))
    assert sorted(path.name for path in share.iterdir()) == ["a", "a.11.sending", "ab.22.sending"]
    assert [each.name for each in remote.list_objects()] == ["a"]


def test_a_file_that_is_not_what_its_manifest_says_is_not_sent(remote: Remote, share: Path, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a", MEBIBYTE)
    with (tmp_path / "a").open("r+b") as opened:
        opened.write(b"!")
    with pytest.raises(StorageError, match="SHA-256 differs"):
        run(remote.upload(tmp_path / "a", "a", file))
    os.truncate(tmp_path / "a", 5)
    with pytest.raises(StorageError, match="5 bytes, its manifest says"):
        run(remote.upload(tmp_path / "a", "a", file))
    assert list(share.iterdir()) == []


def test_an_object_that_is_not_what_its_manifest_says_is_not_kept(remote: Remote, share: Path, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a", 3000)
    for data, words in ((b"short", "5 bytes instead of 3000"), (b"x" * 3000, "another SHA-256")):
        (share / "a").write_bytes(data)
        with pytest.raises(RemoteError, match=words):
            run(remote.download("a", tmp_path / "b", file))
        assert not (tmp_path / "b").exists()


def test_links_are_not_followed_out_of_it(remote: Remote, share: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (share / "link").symlink_to(tmp_path / "secret")
    (share / "folder").symlink_to(tmp_path)
    assert list(remote.list_objects()) == []
    assert remote.find_object("link") is None
    for name in ("link", "folder/secret"):
        with pytest.raises(RemoteError, match="symbolic link"):
            remote.read(name, 100)
    with pytest.raises(RemoteError, match="symbolic link"):
        remote.create("folder/new", b"")
    with pytest.raises(RemoteError, match="symbolic link"):
        remote.remove("folder/secret")
    assert (tmp_path / "secret").exists()


def test_a_share_that_is_not_mounted_is_not_written_to(remote: Remote, share: Path, tmp_path: Path) -> None:
    share.rmdir()
    file = write_file(tmp_path / "a", 1)
    assert list(remote.list_objects()) == []
    with pytest.raises(ConnectError, match="no such directory"):
        run(remote.upload(tmp_path / "a", "a", file))
    with pytest.raises(ConnectError, match="no such directory"):
        remote.create("m", b"")
    assert not share.exists()


@pytest.mark.parametrize("name", ["", "/etc/x", "../a", "a//b", "a\nb"])
def test_names_that_lead_elsewhere_are_refused(remote: Remote, name: str) -> None:
    for call in (lambda: remote.create(name, b""), lambda: remote.read(name, 1), lambda: remote.remove(name)):
        with pytest.raises(RemoteError, match="is no name"):
            call()
