"""SFTP remotes at a real sshd, with a shell at the other side and without: what lies there is what was sent."""

import os
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.adapters.remotes.sftp_session import SftpSession, Space
from dbtui.errors import RemoteError, RemoteExistsError, StorageError, UsageError
from dbtui.model.backups import BackupFile
from dbtui.model.events import Progressed
from dbtui.model.remotes import Confirmation
from tests.fix_sshd import SmallDiskSshd, Sshd
from tests.sftp_remotes import Vault, drive, make_file, ssh_processes

ODD_NAMES = (
    "erp 2026/ü 'quoted' \"twice\" $(touch gone) `id`;x.dump",
    "-rf",
    "line\nbreak/\x1b[31mred",
    "*?[a].sql",
    "~/#comment",
)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert not ssh_processes()


@pytest.fixture(params=["shell", "no shell"])
def vault(request: pytest.FixtureRequest, sshd: Sshd, sftp_only_sshd: Sshd, tmp_path: Path) -> Vault:
    return Vault(sshd if request.param == "shell" else sftp_only_sshd, tmp_path, tmp_path / "srv" / "backups")


@pytest.fixture
def plain_vault(sftp_only_sshd: Sshd, tmp_path: Path) -> Vault:
    return Vault(sftp_only_sshd, tmp_path, tmp_path / "vault")


def expected_confirmation(vault: Vault) -> Confirmation:
    return Confirmation.CHECKSUM if vault.sshd.name == "sshd" else Confirmation.READ_BACK


def test_a_large_file_goes_there_and_comes_back(vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "erp.dump", 60_000_000)
    with vault.open() as remote:
        confirmation, events = drive(remote.upload(tmp_path / "erp.dump", "erp.dump", file))
        assert confirmation is expected_confirmation(vault)
        done = [event.done for event in events if isinstance(event, Progressed)]
        assert done[-1] == 60_000_000 and all(event.total == 60_000_000 for event in events)  # type: ignore[union-attr]
        assert (vault.path / "erp.dump").read_bytes() == (tmp_path / "erp.dump").read_bytes()
        assert stat.S_IMODE((vault.path / "erp.dump").stat().st_mode) == 0o600
        assert [stat.S_IMODE(each.stat().st_mode) for each in (vault.path, vault.path.parent)] == [0o700, 0o700]
        assert not vault.partials
        drive(remote.download("erp.dump", tmp_path / "back", file))
        assert (tmp_path / "back").read_bytes() == (tmp_path / "erp.dump").read_bytes()
        assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o600


def test_what_is_there_already_is_confirmed_and_not_sent_again(vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", 300_000)
    with vault.open() as remote:
        drive(remote.upload(tmp_path / "a", "a", file))
        before = (vault.path / "a").stat()
        assert drive(remote.upload(tmp_path / "a", "a", file))[0] is expected_confirmation(vault)
        assert (vault.path / "a").stat() == before
        (vault.path / "a").write_bytes(b"x" * 300_000)  # as long, and another
        assert drive(remote.upload(tmp_path / "a", "a", file))[0] is expected_confirmation(vault)
        assert (vault.path / "a").read_bytes() == (tmp_path / "a").read_bytes()


def test_odd_names_are_names(vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", 5000)
    with vault.open() as remote:
        for name in ODD_NAMES:
            assert drive(remote.upload(tmp_path / "a", name, file))[0] is expected_confirmation(vault)
            assert (vault.path / name).read_bytes() == (tmp_path / "a").read_bytes()
            assert [each.name for each in remote.list_objects()] == [name]
            remote.create(f"{name}.json", b"{}")
            assert remote.read(f"{name}.json", 2) == b"{}"
            remote.remove(f"{name}.json")
            remote.remove(name)
            assert not list(vault.path.iterdir()), "a directory that is empty goes with its last file"
    assert not list(tmp_path.rglob("gone"))


def test_an_empty_file_and_a_path_below_the_home(sshd: Sshd, tmp_path: Path) -> None:
    vault = Vault(sshd, tmp_path, tmp_path)
    (tmp_path / "empty").touch()
    file = make_file(tmp_path / "empty", 0)
    said = subprocess.run(sshd.client("pwd"), capture_output=True, text=True, check=True).stdout.strip()
    below = Path(said) / f".{tmp_path.name}-{tmp_path.parent.name}-dbtui-test"
    try:
        with vault.open(path=below.name) as remote:
            assert drive(remote.upload(tmp_path / "empty", "x/empty", file))[0] is Confirmation.CHECKSUM
            assert (below / "x" / "empty").stat().st_size == 0
            drive(remote.download("x/empty", tmp_path / "back", file))
            remote.remove("x/empty")
    finally:
        if below.is_dir():
            below.rmdir()


def test_two_thousand_files_are_listed_with_sizes_and_times(plain_vault: Vault) -> None:
    expected = {}
    for number in range(2000):
        path = plain_vault.path / f"{number % 100}" / f"{number}.dump"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (number % 7))
        expected[f"{number % 100}/{number}.dump"] = number % 7
    with plain_vault.open() as remote:
        found = list(remote.list_objects())
        assert {each.name: each.size_bytes for each in found} == expected and len(found) == 2000
        one = remote.find_object("5/5.dump")
        assert one in found and one is not None and one.modified_at is not None
        assert abs(one.modified_at.timestamp() - (plain_vault.path / "5/5.dump").stat().st_mtime) <= 1
        assert remote.find_object("5/6.dump") is None and remote.find_object("5") is None


def test_a_listing_follows_no_link_and_shows_nothing_unfinished(plain_vault: Vault, tmp_path: Path) -> None:
    plain_vault.path.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").touch()
    (plain_vault.path / "directory").symlink_to(tmp_path / "elsewhere")
    (plain_vault.path / "file").symlink_to(tmp_path / "elsewhere" / "secret")
    (plain_vault.path / "round").symlink_to(plain_vault.path)
    (plain_vault.path / "erp.dump.0123456789abcdef.partial").touch()
    (plain_vault.path / "real.partial").touch()
    with open(bytes(plain_vault.path) + b"/not\xffutf8", "wb"):  # noqa: PTH123 - a Path cannot be made of it
        pass
    with plain_vault.open() as remote:
        assert [each.name for each in remote.list_objects()] == ["real.partial"]
        assert remote.find_object("file") is None


def test_a_directory_that_is_not_there_holds_nothing(plain_vault: Vault) -> None:
    with plain_vault.open() as remote:
        assert list(remote.list_objects()) == []
        assert remote.find_object("a") is None
        remote.remove("a/b")
        with pytest.raises(RemoteError, match="there is no such file"):
            remote.read("a", 10)
    assert not plain_vault.path.exists()


def test_nothing_is_created_over_another(plain_vault: Vault) -> None:
    with plain_vault.open() as remote:
        remote.create("a/manifest.json", b"first")
        with pytest.raises(RemoteExistsError, match=r"holds a a/manifest\.json already"):
            remote.create("a/manifest.json", b"second")
        assert remote.read("a/manifest.json", 5) == b"first"
        with pytest.raises(RemoteError, match="larger than the 4 bytes"):
            remote.read("a/manifest.json", 4)
        assert [each.name for each in (plain_vault.path / "a").iterdir()] == ["manifest.json"]


def test_of_many_that_create_a_name_one_does(plain_vault: Vault) -> None:
    outcomes: list[str] = []

    def create(text: str) -> None:
        for number in range(20):
            try:
                remotes[text].create(f"{number}.json", text.encode())
                outcomes.append(f"{number} {text}")
            except RemoteExistsError:
                outcomes.append("taken")

    with plain_vault.open() as one, plain_vault.open() as two:
        remotes = {"one": one, "two": two}
        threads = [threading.Thread(target=create, args=(text,)) for text in remotes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(20):
            winner = (plain_vault.path / f"{number}.json").read_text()
            assert [each for each in outcomes if each.startswith(f"{number} ")] == [f"{number} {winner}"]
    assert outcomes.count("taken") == 20
    assert len(list(plain_vault.path.iterdir())) == 20


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a/../../b", "a//b", "a/.", "nul\0"])
def test_a_name_leads_nowhere_else(plain_vault: Vault, name: str) -> None:
    with plain_vault.open() as remote, pytest.raises(UsageError, match="no name for something in"):
        remote.create(name, b"")


def test_what_was_altered_there_is_not_kept_here(plain_vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", 100_000)
    with plain_vault.open() as remote:
        drive(remote.upload(tmp_path / "a", "a", file))
        data = bytearray((plain_vault.path / "a").read_bytes())
        data[50_000] ^= 1
        (plain_vault.path / "a").write_bytes(data)
        with pytest.raises(RemoteError, match="another SHA-256"):
            drive(remote.download("a", tmp_path / "back", file))
        (plain_vault.path / "a").write_bytes(data[:-1])
        with pytest.raises(RemoteError, match="99999 bytes instead of 100000"):
            drive(remote.download("a", tmp_path / "back", file))
        assert not (tmp_path / "back").exists()
        with pytest.raises(RemoteError, match="holds no b"):
            drive(remote.download("b", tmp_path / "back", file))
        (tmp_path / "back").write_text("mine")
        (plain_vault.path / "a").write_bytes((tmp_path / "a").read_bytes())
        with pytest.raises(StorageError):
            drive(remote.download("a", tmp_path / "back", file))
        assert (tmp_path / "back").read_text() == "mine"


def test_a_file_that_is_not_what_its_manifest_says_does_not_arrive(vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", 100_000)
    with vault.open() as remote:
        wrong = BackupFile("a", file.size_bytes, "0" * 64)
        with pytest.raises(StorageError, match="a is not what its manifest says"):
            drive(remote.upload(tmp_path / "a", "a", wrong))
        with pytest.raises(StorageError, match="a is not what its manifest says"):
            drive(remote.upload(tmp_path / "a", "a", BackupFile("a", 99_999, file.sha256)))
        assert not list(vault.path.rglob("*")), "nothing of it stays"


def test_a_file_is_not_glued_onto_another(vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", 200_000)
    vault.path.mkdir(parents=True)
    (vault.path / "a.partial").write_text("somebody's")
    with vault.open() as remote:
        for size in (0, 120_000, 200_000, 300_000):
            partial = vault.path / f"a.{file.sha256[:16]}.partial"
            partial.write_bytes(((tmp_path / "a").read_bytes()[:1000] + b"\0" * (size - 1000))[:size])
            assert drive(remote.upload(tmp_path / "a", "a", file))[0] is expected_confirmation(vault)
            assert (vault.path / "a").read_bytes() == (tmp_path / "a").read_bytes()
            assert [each.name for each in sorted(vault.path.iterdir())] == ["a", "a.partial"]
            (vault.path / "a").unlink()


def test_what_nobody_finished_for_a_week_goes(plain_vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", 10)
    plain_vault.path.mkdir()
    old, young, other = (plain_vault.path / f"b.{digit * 16}.partial" for digit in "012")
    for path, days in ((old, 8), (young, 6)):
        path.touch()
        os.utime(path, (time.time() - days * 86400,) * 2)
    other = plain_vault.path / "old.dump"
    other.touch()
    os.utime(other, (0, 0))
    with plain_vault.open() as remote:
        drive(remote.upload(tmp_path / "a", "a", file))
    assert sorted(plain_vault.path.iterdir()) == sorted([plain_vault.path / "a", young, other])


def test_a_full_disk_is_said_before_and_after(
    small_disk_sshd: SmallDiskSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(small_disk_sshd, tmp_path, small_disk_sshd.disk / "x")
    large, small = make_file(tmp_path / "large", 6_000_000), make_file(tmp_path / "small", 3_000_000)
    with vault.open() as remote:
        with pytest.raises(RemoteError, match=r"has 4.2 MB left, and .* needs 6.0 MB more; free some space there"):
            drive(remote.upload(tmp_path / "large", "large", large))
        meanwhile_filled(monkeypatch)
        with pytest.raises(
            RemoteError, match=r"large.* cannot be written: .*: the disk there is full; free some space"
        ):
            drive(remote.upload(tmp_path / "large", "large", large))
        assert drive(remote.upload(tmp_path / "small", "small", small))[0] is Confirmation.READ_BACK
        with pytest.raises(RemoteError, match="the disk there is full"):
            remote.create("manifest.json", b"x" * 2_000_000)
        remote.create("small.json", b"x" * 900_000)  # what was not written whole takes no room
        assert sorted(each.name for each in remote.list_objects()) == ["small", "small.json"]


def meanwhile_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first time, a disk is said to have more room than it will have a moment later."""
    answers, ask = [Space(10**12, None)], SftpSession.find_space
    monkeypatch.setattr(SftpSession, "find_space", lambda self, path: answers.pop() if answers else ask(self, path))


def test_what_may_not_be_written_is_a_sentence(plain_vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", 10)
    refused = (
        "/sys/kernel/dbtui-test cannot be made: (permission denied|the server refuses it; see whether .* read-only)"
    )
    with plain_vault.open(path="/sys/kernel/dbtui-test") as remote:
        with pytest.raises(RemoteError, match=refused):
            drive(remote.upload(tmp_path / "a", "a", file))
        with pytest.raises(RemoteError, match=refused):
            remote.create("a", b"")
