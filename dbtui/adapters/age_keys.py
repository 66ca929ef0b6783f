"""The keys of age as people write them: recipients one by one or in files, identities in files. Encrypts nothing."""

import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.age_program import SEPARATOR, parse_identities, parse_recipients
from dbtui.adapters.encryption import ARMOR, MARK, wrong_identity
from dbtui.adapters.streams import storage_errors
from dbtui.errors import ConfigError, DamagedBackupError, RefusedError
from dbtui.model.connections import Secret
from dbtui.model.text import format_untrusted

#: Switches off what the configuration says.
NOBODY = "none"
_SECRET_MARK = "AGE-SECRET-KEY-"  # noqa: S105 - what a key begins with
_LARGEST_FILE = 1 << 20
_SHOWN_CHARACTERS = 60
_SCRYPT = re.compile(rb"^-> scrypt ", re.MULTILINE)
_PLUGIN = re.compile(r"age1[a-z0-9]+1[a-z0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who can open a backup: `keys` in the order given, each once, and what is wrong with what was asked for."""

    keys: tuple[str, ...]
    problems: tuple[str, ...] = ()


def collect_recipients(wanted: Sequence[str], place: str) -> Recipients:
    """Read recipients: `age1…`, `ssh-ed25519 …`, `ssh-rsa …`, or files of them (`@FILE`, or a path).

    `place` says where they stand ("--encrypt-to"); problems are sentences that begin with it, or with file and line.
    """
    keys: dict[str, None] = {}
    problems: list[str] = []
    for text in wanted:
        for where, line in _lines_of(text.strip(), place, problems):
            problem = _assess_recipient(line)
            if problem:
                problems.append(f"{where}: {problem}")
            else:
                keys[_normalised(line)] = None
    if NOBODY in keys:
        del keys[NOBODY]
        if keys:
            problems.append(f"{place}: “{NOBODY}” stands beside others: name recipients, or {NOBODY} alone")
    return Recipients(tuple(keys), tuple(problems))


def _lines_of(text: str, place: str, problems: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what may be a recipient, and where it stands."""
    name = text.removeprefix("@")
    if name == text and (text == NOBODY or _is_key(text)):
        yield place, text
        return
    path = Path(name).expanduser()
    if name == text and os.sep not in text and not path.is_file():
        yield place, text
        return
    try:
        content = _read_small(path).decode("utf-8")
    except OSError as error:
        problems.append(f"{place}: the file of recipients {_path(name)} cannot be read: {error.strerror or error}")
        return
    except UnicodeDecodeError:
        problems.append(f"{place}: {_path(name)} is no file of recipients: it is not text")
        return
    lines = [(number, line.strip()) for number, line in enumerate(content.splitlines(), 1)]
    kept = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not kept:
        problems.append(f"{place}: the file of recipients {_path(name)} names nobody")
    yield from ((f"{_path(name)}, line {number}", line) for number, line in kept)


def _is_key(text: str) -> bool:
    return text.lower().startswith(("age1", "ssh-", _SECRET_MARK.lower())) or " " in text


def _read_small(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise OSError(0, "it is far too large for one")
    return content


def _shown(text: str) -> str:
    return format_untrusted(text, _SHOWN_CHARACTERS)


def _path(name: str) -> str:
    return format_untrusted(name, 300)


def _assess_recipient(line: str) -> str:
    """Return what is wrong with a recipient; a secret is never repeated."""
    if line == NOBODY:
        return ""
    if _SECRET_MARK in line.upper() or "PRIVATE KEY" in line.upper():
        return "this is an identity, which is secret; give its recipient: age-keygen -y FILE, or the .pub file of SSH"
    try:
        parse_recipients([line])
    except Exception as error:  # pyrage's own, and what its parsers raise beside it
        if line.startswith(("ssh-", "ecdsa-", "sk-")):
            return f"{_shown(line)} is no SSH key that age can use (ssh-ed25519 and ssh-rsa): {_reason(error)}"
        if _PLUGIN.fullmatch(line) and line.lower().startswith("age1") and line.lower().count("1") > 1:
            return f"{_shown(line)} is not a recipient, or one of a plugin, which dbtui cannot use: {_reason(error)}"
        return f"“{_shown(line)}” is neither a recipient (age1…, ssh-ed25519 …, ssh-rsa …) nor a file of them"
    return ""


def _reason(error: Exception) -> str:
    return format_untrusted(str(error), 120)


def _normalised(line: str) -> str:
    """An age recipient may be written in capitals; an SSH key keeps its comment, which tells people whose it is."""
    return line.lower() if line.lower().startswith("age1") else " ".join(line.split())


# ---------------------------------------------------------------- identities


def is_encrypted(head: bytes) -> bool:
    """Whether a file that begins so was encrypted with age, armoured or not."""
    return head.startswith((MARK, ARMOR))


def read_identity(path: Path, place: str) -> bytes:
    """Return the contents of a file of identities, which nobody else may read. Raises ConfigError.

    `place` says who names the file.
    """
    shown = format_untrusted(str(path))
    try:
        about = path.stat()
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISFIFO(about.st_mode)):  # a shell's <(…) is a pipe
            raise ConfigError(f"{place}: the identity {shown} is no file", "name the file that age-keygen wrote")
        if about.st_mode & 0o077:
            raise ConfigError(f"{place}: {shown} holds a secret key and others may read it", f"chmod 600 '{shown}'")
        return _read_small(path)
    except OSError as error:
        raise ConfigError(
            f"{place}: the identity {shown} cannot be read: {error.strerror or error}", "mend the path"
        ) from None


def parse_identity(content: bytes, place: str) -> Secret:
    """Return the keys of an identity file. No error repeats anything of it. Raises ConfigError."""
    if is_encrypted(content):
        raise ConfigError(f"{place} is protected by a passphrase", "give it to a command in a terminal, which asks")
    try:
        text = content.decode("utf-8")
        known = parse_identities(text)
    except Exception as error:  # pyrage's own, and what its parsers raise beside it
        if "must be decrypted" in str(error):
            raise ConfigError(
                f"{place} is an SSH key protected by a passphrase, which dbtui cannot use",
                "use an unprotected one, or an identity of age-keygen",
            ) from None
        raise ConfigError(
            f"{place} is no identity: it holds neither AGE-SECRET-KEY-1… lines nor an ed25519 or RSA key of SSH",
            "name the file that age-keygen wrote, or the private key of the recipient",
        ) from None
    if not known or SEPARATOR in text:
        raise ConfigError(f"{place} holds no identity", "name the file that age-keygen wrote")
    return Secret(text)


def unlock_identity(content: bytes, passphrase: Secret, place: str) -> bytes:
    """Return what an identity file holds that is protected by a passphrase. Raises ConfigError."""
    import pyrage

    try:
        opened: bytes = pyrage.passphrase.decrypt(content, passphrase.reveal())
    except pyrage.DecryptError:
        raise ConfigError(f"{place}: this is not the passphrase", "try again") from None
    return opened


def join_identities(identities: Sequence[Secret]) -> Secret:
    """Return several files' keys as one."""
    return Secret(SEPARATOR.join(each.reveal() for each in identities))


# ---------------------------------------------------------------- the beginning of a file


class _Enough(Exception):
    """The wanted bytes are there."""


class _Head(io.BytesIO):
    def __init__(self, wanted: int) -> None:
        super().__init__()
        self._wanted = wanted

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        count = super().write(data)
        if self.tell() >= self._wanted:
            raise _Enough
        return count


def decrypted_head(path: Path, identity: Secret, wanted: int) -> bytes:
    """Return the first bytes of what an encrypted file holds; fewer where it holds no more.

    Raises RefusedError (wrong identity, or protected by a passphrase), DamagedBackupError, StorageError.
    """
    import pyrage

    head = _Head(wanted)
    with storage_errors(path), path.open("rb") as file:
        beginning = file.read(_LARGEST_FILE)
        file.seek(0)
        try:
            pyrage.decrypt_io(file, head, parse_identities(identity.reveal()))
        except (_Enough, OSError, pyrage.DecryptError) as error:
            if head.tell() >= wanted:
                return head.getvalue()[:wanted]
            raise _explained(error, path, beginning) from None
    return head.getvalue()


def _explained(error: Exception, path: Path, beginning: bytes) -> RefusedError:
    name = format_untrusted(path.name)
    if "No matching keys" not in str(error):
        return DamagedBackupError(f"{name}: the encrypted data is altered, or ends too early", "use another backup")
    if _SCRYPT.search(beginning[: 1 << 12]):
        return RefusedError(f"{name} is encrypted with a passphrase, which dbtui cannot ask for", "decrypt it with age")
    return wrong_identity(path)
