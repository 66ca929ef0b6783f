"""Recipients and identities as people write them, what is said of those that are wrong, and the files they open."""

import base64
import os
import subprocess
from pathlib import Path

import pyrage
import pytest

from dbtui.adapters.age_keys import (
    collect_recipients,
    decrypted_head,
    parse_identity,
    read_identity,
    unlock_identity,
)
from dbtui.adapters.encryption import open_data
from dbtui.adapters.memory_directories import is_in_memory, lies_in_memory, memory_directory, memory_room
from dbtui.errors import ConfigError, DamagedBackupError, DbtuiError, RefusedError, StorageError
from dbtui.identities import Identities
from dbtui.model.backups import BackupFormat, Compression, StoredBackup
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.recipients import shorten_recipient
from dbtui.passwords import Passwords

PLACE = "--encrypt-to"
SECRET = str(pyrage.x25519.Identity.generate())
KEY = str(pyrage.x25519.Identity.from_str(SECRET).to_public())
OTHER = str(pyrage.x25519.Identity.generate().to_public())
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8Ht8Z3j6yDWPBHQtOp/R9rjWvfMYo3MSA/K6q8D86r ann at home"

#: An identity behind the passphrase "open sesame", with a work factor of 10; age's own 18 takes a second each time.
LOCKED = base64.b64decode(
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCAwRmdkQ0F5WGRkTkpoTG4xbHhFWGNBIDEwClVnWUJTMkkyKzFweEE1QUpw"
    "eURiM21vWDhZS1hkN2lMR2F6ZnVnMFpVeUEKLS0tIHJvcGJVMFJTSUdXNVRSVXM2S1BiZHFGWEQxN1pnQ05OSzRncVljY1ZZRkUK"
    "NqkEn3vhghWcCN4xacqbUj9jGU9fbyWHwsLQRYLjFD53EYEX+ZTJKmHWvqSKop2TTkJxPKaFab6a26G0SHD6O34XHdZ5+rFwWzTs"
    "8ioWtJ1CueOMOLGaJWRgLXsEYIunyzTtwMYr/cMm9Ow="
)
LOCKED_SECRET = "AGE-SECRET-KEY-1DZFZW3406E7JMK6T84UZSXPDAP7QQZNQD2QS5VMZT95PHWFAW2CQ747CAK"


def write(path: Path, content: "str | bytes") -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def test_recipients_are_read_one_by_one_and_from_files(tmp_path: Path) -> None:
    team = write(tmp_path / "team.txt", f"# the team\n\n{OTHER}\n{SSH}\n")
    assert collect_recipients([KEY.upper(), f"@{team}", str(team), KEY], PLACE).keys == (KEY, OTHER, SSH)
    assert collect_recipients([], PLACE).keys == ()
    assert collect_recipients(["none"], PLACE).keys == ()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("age1nonsense", "“age1nonsense” is neither a recipient (age1…, ssh-ed25519 …, ssh-rsa …) nor a file of them"),
        ("nobody.txt", "“nobody.txt” is neither a recipient"),
        ("@/no/such/file", "the file of recipients /no/such/file cannot be read: No such file or directory"),
        ("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t", "or one of a plugin"),
        ("ecdsa-sha2-nistp256 AAAA", "is no SSH key that age can use (ssh-ed25519 and ssh-rsa)"),
        # Named: workers that collect tests whose names hold a fresh secret disagree about them and run none.
        pytest.param(
            SECRET, "this is an identity, which is secret; give its recipient: age-keygen -y FILE", id="secret"
        ),
    ],
)
def test_a_wrong_recipient_is_told_with_its_place(typed: str, said: str) -> None:
    found = collect_recipients([KEY, typed], PLACE)
    assert found.keys == (KEY,)
    (problem,) = found.problems
    assert problem.startswith(f"{PLACE}: ")
    assert said in problem
    assert SECRET[20:] not in problem


def test_a_wrong_line_of_a_file_is_told_with_its_number(tmp_path: Path) -> None:
    team = write(tmp_path / "team.txt", f"{KEY}\n# a comment\nage1oops\n{SECRET}\n")
    found = collect_recipients([str(team)], PLACE)
    assert found.keys == (KEY,)
    assert [problem.partition(": ")[0] for problem in found.problems] == [f"{team}, line 3", f"{team}, line 4"]
    assert SECRET[20:] not in str(found)
    (empty,) = collect_recipients([str(write(tmp_path / "empty.txt", "# nobody\n"))], PLACE).problems
    assert "names nobody" in empty
    (binary,) = collect_recipients([str(write(tmp_path / "binary", b"\xff\xfe\x00"))], PLACE).problems
    assert "it is not text" in binary
    (both,) = collect_recipients(["none", KEY], PLACE).problems
    assert "stands beside others" in both


def test_recipients_as_they_are_shown() -> None:
    assert shorten_recipient(KEY) == KEY
    assert shorten_recipient(SSH) == "ssh-ed25519 ann at home"
    assert shorten_recipient(SSH.rpartition(" ann")[0]) == "ssh-ed25519 …MSA/K6q8D86r"


# ---------------------------------------------------------------- identities


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"AGE-SECRET-KEY-1WRONG\n", b"-----BEGIN X\n", b"\xff\xfe"])
def test_what_is_no_identity_is_not_repeated(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"key\.txt") as told:
        parse_identity(content, "key.txt")
    assert "WRONG" not in str(told.value)
    assert told.value.__cause__ is None


def test_identities_that_a_passphrase_protects(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="protected by a passphrase; give it to a command in a terminal"):
        parse_identity(LOCKED, "key.age")
    with pytest.raises(ConfigError, match="this is not the passphrase"):
        unlock_identity(LOCKED, Secret("wrong"), "key.age")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "id"], check=True)
    with pytest.raises(ConfigError, match="an SSH key protected by a passphrase, which dbtui cannot use"):
        parse_identity((tmp_path / "id").read_bytes(), "id")
    asked: list[str] = []

    def ask(what: str) -> Secret:
        asked.append(what)
        return Secret("open sesame")

    path = write(tmp_path / "key.age", LOCKED)
    identities = Identities({}, Passwords({}), files=(str(path),), ask=ask)
    for _ in range(2):
        found = identities.find("")
        assert found is not None
        assert found.reveal().strip() == LOCKED_SECRET
    assert asked == [f"Passphrase for {path}"]
    assert LOCKED_SECRET not in repr(identities)


def test_an_identity_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "key.txt", SECRET)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read it; chmod 600"):
        read_identity(path, "--identity")
    with pytest.raises(ConfigError, match=r"--identity: the identity .*gone\.txt cannot be read: No such file"):
        read_identity(tmp_path / "gone.txt", "--identity")


def test_where_identities_come_from_in_their_order(tmp_path: Path) -> None:
    typed, named, own, all_of = (
        write(tmp_path / name, f"{pyrage.x25519.Identity.generate()}\n") for name in ("typed", "named", "own", "all")
    )
    profile = ConnectionProfile(name="erp", engine=EngineName.SQLITE, url="sqlite:///erp.db", identity=str(own))
    passwords = Passwords({})

    def read(environ: dict[str, str], files: tuple[str, ...], profile_name: str) -> str:
        found = Identities(environ, passwords, (profile,), (str(all_of), ()), files).find(profile_name)
        assert found is not None
        return found.reveal()

    variable = {"DBTUI_AGE_IDENTITY": str(named)}
    assert read(variable, (str(typed),), "erp") == typed.read_text()
    assert read(variable, (), "erp") == named.read_text()
    assert read({}, (), "erp") == own.read_text()
    assert read({}, (), "another") == all_of.read_text()
    assert read({}, (str(typed), str(own)), "") == f"{typed.read_text()}\0{own.read_text()}"
    assert Identities({}, passwords).find("erp") is None
    assert own.read_text().strip() in passwords.known  # so that a traceback is cleaned of it


# ---------------------------------------------------------------- files


def stored(path: Path, identity: str) -> StoredBackup:
    return StoredBackup(
        backup_id="x", engine=EngineName.POSTGRESQL, format=BackupFormat.PLAIN, compression=Compression(),
        data_path=str(path), encryption="age", identity=Secret(identity),
    )  # fmt: skip


def read_all(path: Path, identity: str = SECRET) -> bytes:
    with open_data(stored(path, identity)) as stream:
        return stream.read()


def test_a_file_cut_anywhere_is_never_read_to_an_end(tmp_path: Path) -> None:
    """At the very edges of chunks too, where all that is there is authentic."""
    plain = os.urandom(2 * 65536)
    whole = pyrage.encrypt(plain, [pyrage.x25519.Recipient.from_str(KEY)])
    header = len(whole) - len(plain) - 2 * 16
    assert read_all(write(tmp_path / "whole", whole)) == plain
    for size in (0, 20, header - 1, header, header + 65552, len(whole) - 65552 + 1, len(whole) - 1):
        path = write(tmp_path / "cut", whole[:size])
        with pytest.raises(DamagedBackupError, match="altered, or ends too early"):
            read_all(path)
    with pytest.raises(RefusedError, match="the identity that was given does not open it"):
        read_all(tmp_path / "whole", str(pyrage.x25519.Identity.generate()))
    assert SECRET not in repr(stored(tmp_path / "whole", SECRET))


def test_the_beginning_of_a_file(tmp_path: Path) -> None:
    recipient = pyrage.x25519.Recipient.from_str(KEY)
    long = write(tmp_path / "long", pyrage.encrypt(b"0123456789" * 50_000, [recipient]))
    assert decrypted_head(long, Secret(SECRET), 12) == b"012345678901"
    short = write(tmp_path / "short", pyrage.encrypt(b"abc", [recipient], armored=True))
    assert decrypted_head(short, Secret(SECRET), 12) == b"abc"
    empty = write(tmp_path / "empty", pyrage.encrypt(b"", [recipient]))
    assert decrypted_head(empty, Secret(SECRET), 12) == b""
    by_hand = write(tmp_path / "by-hand", LOCKED)
    with pytest.raises(RefusedError, match="encrypted with a passphrase, which dbtui cannot ask for"):
        decrypted_head(by_hand, Secret(SECRET), 12)
    with pytest.raises(DamagedBackupError):
        decrypted_head(write(tmp_path / "cut", long.read_bytes()[:300]), Secret(SECRET), 12)


# ---------------------------------------------------------------- memory


def test_directories_in_memory_go_with_their_block() -> None:
    assert is_in_memory(Path("/dev/shm"))
    assert not is_in_memory(Path("/proc"))
    assert not is_in_memory(Path("/no/such/directory"))
    assert memory_room({}) > 0
    with memory_directory(1 << 20) as folder:
        assert is_in_memory(folder)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert lies_in_memory(folder / "copy.sqlite")
    assert not folder.exists()
    assert not lies_in_memory(folder / "copy.sqlite")
    with (
        pytest.raises(StorageError, match=r"is opened in memory alone: about .* are needed") as told,
        memory_directory(1 << 60),
    ):
        pass
    assert isinstance(told.value, DbtuiError)


def test_nobody_is_told_to_change_the_mode_of_what_is_no_identity(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for path in (Path("/dev/null"), tmp_path):
        with pytest.raises(ConfigError, match="is no file") as raised:
            read_identity(path, "--identity")
        assert "chmod" not in str(raised.value)
