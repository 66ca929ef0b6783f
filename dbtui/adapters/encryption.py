"""Encryption with age (https://age-encryption.org/v1): who a backup is encrypted to, and the streams in and out.

What is written passes through a process of its own on its way to the disk, and what is read comes out of one, through
pipes: the plain text never lies anywhere. Every 64 KiB are authenticated; that a file is whole is known at its end, and
a reader that gets there too early raises.
"""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, NoReturn

from dbtui.adapters import age_program
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.followers import FileFollower
from dbtui.adapters.processes import ChildTool, widen_pipe
from dbtui.adapters.space import SpaceWatch
from dbtui.adapters.streams import CHUNK_BYTES, Sink, create_file, open_raw, storage_errors
from dbtui.adapters.unpacking import PackedReader
from dbtui.errors import DamagedBackupError, RefusedError
from dbtui.model.backups import CompressionKind, StoredBackup
from dbtui.model.connections import Secret
from dbtui.model.recipients import shorten_recipient
from dbtui.model.text import format_untrusted

AGE = "age"
MARK, ARMOR = b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----"
_SHOWN_RECIPIENTS = 3


def start_encrypting(recipients: tuple[str, ...], stdout: int, stdin: int | IO[bytes] = subprocess.PIPE) -> ChildTool:
    """Start the process that encrypts what it is fed, into descriptor `stdout`."""
    return _start("encrypt", "\n".join(recipients), stdin, stdout)


def _start(verb: str, keys: str, stdin: int | IO[bytes], stdout: int) -> ChildTool:
    import pyrage

    descriptor = _key_descriptor(keys)
    library = str(Path(pyrage.__file__).parents[1])
    try:
        argv = [sys.executable, "-I", age_program.__file__, verb, str(descriptor), library]
        tool = ChildTool(argv, stdin=stdin, stdout=stdout, pass_descriptors=[descriptor])
    finally:
        os.close(descriptor)
    tool.name = f"age ({verb})"
    return tool


def _key_descriptor(keys: str) -> int:
    """Return a descriptor, in memory, from which the keys can be read once."""
    descriptor = os.memfd_create("dbtui", os.MFD_CLOEXEC)
    content = keys.encode()
    while content:
        content = content[os.write(descriptor, content) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


# ---------------------------------------------------------------- writing


class EncryptedFile:
    """A new file whose contents are encrypted on their way to it, and hashed behind that.

    Feed it through the tool's standard input: by `write`, or by whatever is given that descriptor.
    """

    def __init__(self, tool: ChildTool, follower: FileFollower, path: Path, cancellation: Cancellation) -> None:
        self.tool = tool
        self._follower = follower
        self._path = path
        self._cancellation = cancellation
        self.size_bytes = 0

    @property
    def descriptor(self) -> int:
        """The pipe that takes plain bytes."""
        assert self.tool.process.stdin is not None  # noqa: S101 - asked for when it was started
        return self.tool.process.stdin.fileno()

    def write(self, data: "bytes | memoryview") -> None:
        """Write plain bytes. Raises ToolError, StorageError."""
        remaining = memoryview(data)
        try:
            while remaining:
                remaining = remaining[os.write(self.descriptor, remaining) :]
        except BrokenPipeError:
            self._fail(self.tool.wait())

    def finish(self) -> str:
        """End the file, make it durable and return its SHA-256. Raises ToolError, StorageError."""
        if self.tool.process.stdin is not None:
            self.tool.process.stdin.close()
        if code := self.tool.wait():
            self._fail(code)
        written = self._follower.finish()
        self.size_bytes = written.size_bytes
        return written.sha256

    def _fail(self, code: int) -> NoReturn:
        """Raise what the end of the process means."""
        self._cancellation.check()
        SpaceWatch(self._path).check_messages(self.tool.messages)
        raise self.tool.failure(f"encrypting {self._path.name}", code)


@contextmanager
def encrypted_file(
    path: Path, recipients: tuple[str, ...], cancellation: Cancellation, stdin: int | IO[bytes] = subprocess.PIPE
) -> Iterator[EncryptedFile]:
    """Create a file at `path` for the block; what feeds it is `stdin`, or who writes to it. Raises StorageError."""
    with (
        create_file(path) as file,
        start_encrypting(recipients, file.fileno(), stdin) as tool,
        cancellation.interrupting(tool.stop),
        FileFollower(file.fileno(), path) as follower,
    ):
        if tool.process.stdin is not None:
            widen_pipe(tool.process.stdin.fileno())
        yield EncryptedFile(tool, follower, path, cancellation)


def sink_for(
    recipients: tuple[str, ...] | None, cancellation: Cancellation
) -> Callable[[Path], AbstractContextManager[Sink]] | None:
    """Return what opens the file that packed bytes go to; None where nothing is to be encrypted."""
    if not recipients:
        return None
    chosen = recipients
    return lambda path: encrypted_file(path, chosen, cancellation)


# ---------------------------------------------------------------- reading


class DecryptedReader(io.RawIOBase):
    """Reads what a file holds when it is decrypted.

    Raises RefusedError for a wrong identity, DamagedBackupError where the file is altered or ends too early.
    """

    def __init__(self, path: Path, identity: Secret) -> None:
        self._path = path
        with path.open("rb", buffering=0) as file:
            self._tool = _start("decrypt", identity.reveal(), file, subprocess.PIPE)
        self._has_ended = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, target: object) -> int:
        """Fill `target` with what comes next, or part of it; 0 at the end of a whole file alone."""
        if self._has_ended:
            return 0
        assert self._tool.process.stdout is not None  # noqa: S101 - asked for when it was started
        count = os.readv(self._tool.process.stdout.fileno(), [target])  # type: ignore[list-item]
        if not count:
            self._check_end()
        return count

    def _check_end(self) -> None:
        code = self._tool.wait()
        if code == age_program.NO_KEY:
            raise wrong_identity(self._path)
        if code == age_program.DAMAGED:
            said = self._tool.messages[0].removeprefix("error: ") if self._tool.messages else ""
            raise DamagedBackupError(
                f"{self._path}: the encrypted data is altered, or ends too early: {said}", "use another backup"
            )
        if code:
            raise self._tool.failure(f"decrypting {self._path.name}", code)
        self._has_ended = True

    def close(self) -> None:
        """End the process that decrypts."""
        if not self.closed:
            self._tool.close()
        super().close()


def wrong_identity(path: Path) -> RefusedError:
    """Return the error for keys that do not open a file."""
    name = format_untrusted(path.name)
    return RefusedError(f"{name}: the identity that was given does not open it", "give one of those it is encrypted to")


def require_identity(backup: StoredBackup) -> Secret:
    """Return the identity that an encrypted backup is to be opened with. Raises RefusedError when there is none."""
    if backup.identity is not None:
        return backup.identity
    recipients = backup.manifest.recipients if backup.manifest else ()
    shown = ", ".join(format_untrusted(shorten_recipient(each), 80) for each in recipients[:_SHOWN_RECIPIENTS])
    more = f" and {len(recipients) - _SHOWN_RECIPIENTS} more" if len(recipients) > _SHOWN_RECIPIENTS else ""
    raise RefusedError(
        f"{format_untrusted(backup.backup_id)} is encrypted{f' to {shown}{more}' if shown else ''}, and no identity "
        "was given",
        "name the file with the secret key: --identity FILE, DBTUI_AGE_IDENTITY, or identity in the configuration",
    )


def open_data(backup: StoredBackup) -> BinaryIO:
    """Open a backup's data file for reading the dump in it: decrypted and unpacked.

    Raises StorageError, RefusedError (no identity); reading raises DamagedBackupError, and RefusedError for a wrong
    identity.
    """
    path = Path(backup.data_path)
    if not backup.encryption:
        return open_raw(path, backup.compression)
    identity = require_identity(backup)
    with storage_errors(path):
        decrypted = DecryptedReader(path, identity)
    if backup.compression.kind is CompressionKind.NONE:
        return io.BufferedReader(decrypted, CHUNK_BYTES)
    return io.BufferedReader(PackedReader(path, backup.compression.kind, decrypted), CHUNK_BYTES)
