"""Sends one file to an SFTP server, goes on where an earlier try ended, and proves what arrived.

What is sent lies beside its name first, under one that holds the beginning of its SHA-256: whoever goes on with it
means the same content, and two runs that send the same file write the same bytes to the same places.
"""

import contextlib
import hashlib
import os
import posixpath
import re
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes import sftp_wire as wire
from dbtui.adapters.remotes.sftp_session import RefusedRequestError, SftpSession, join, show
from dbtui.adapters.remotes.sftp_shell import Answer, Following, RemoteShell
from dbtui.adapters.remotes.sftp_wire import Attributes
from dbtui.adapters.streams import CHUNK_BYTES, TICK_SECONDS, storage_errors
from dbtui.errors import RemoteError, StorageError
from dbtui.model.backups import BackupFile
from dbtui.model.events import Event, Progressed, Routine
from dbtui.model.remotes import Confirmation
from dbtui.model.text import format_bytes

_PARTIAL = re.compile(rb"\.[0-9a-f]{16}\.partial")
_FULL_BELOW_BYTES = 1 << 20
_ABANDONED_SECONDS = 7 * 86400


def partial_path(path: bytes, mark: str) -> bytes:
    """Return where a file lies until it is whole; `mark` are 16 hexadecimal digits or more."""
    return path + f".{mark[:16]}.partial".encode()


def is_partial(path: bytes) -> bool:
    """Return whether a file is one that was never finished."""
    return _PARTIAL.fullmatch(path[-25:]) is not None


def explain_refusal(session: SftpSession, error: RefusedRequestError, path: bytes) -> RemoteError:
    """Return the error that says why something could not be written: servers say no more than "failure"."""
    if error.status != wire.Status.FAILURE:
        return error
    space = session.find_space(posixpath.dirname(path) or b".")
    if space is not None and (space.free_bytes < _FULL_BELOW_BYTES or space.free_files == 0):
        return RemoteError(f"{error.message}: the disk there is full", "free some space there")
    hint = "see whether a quota, a limit on sizes or a read-only disk holds it back"
    return RemoteError(error.message, hint)


def make_directories(session: SftpSession, path: bytes) -> None:
    """Make a directory and those above it that are missing, with mode 0700."""
    if not path or session.find(path, follow=True) is not None:
        return
    make_directories(session, posixpath.dirname(path))
    try:
        session.make_directory(path)
    except RefusedRequestError as error:
        if session.find(path, follow=True) is None:  # else another run made it meanwhile
            raise explain_refusal(session, error, path) from error


def remove_abandoned(session: SftpSession, path: bytes) -> None:
    """Remove what runs left unfinished in the directory of a file a week or more before that was written.

    All by the clock over there. What cannot be removed, such as another login's, stays.
    """
    written = session.find(path)
    if written is None or written.modified is None:
        return
    directory = posixpath.dirname(path)
    for page in session.walk(directory, depth=0):
        for name, found in page:
            idle = written.modified - (found.modified or written.modified)
            if is_partial(name) and found.is_file and idle > _ABANDONED_SECONDS:
                with contextlib.suppress(RefusedRequestError):
                    session.remove(join(directory, name))


class _Digest:
    """A SHA-256 of the first bytes of a file."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def add(self, data: bytes) -> None:
        self._digest.update(data)
        self.size_bytes += len(data)

    def hexadecimal(self) -> str:
        return self._digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Upload:
    """One file on its way. `path` is where it shall lie, relative or absolute; `source` where it lies here."""

    session: SftpSession
    shell: RemoteShell
    cancellation: Cancellation
    source: Path
    path: bytes
    file: BackupFile

    def run(self) -> Routine[Confirmation]:
        """Send it and return how it is known that it arrived.

        Raises ConnectError, RemoteError, StorageError, Cancelled.
        """
        with storage_errors(self.source), self.source.open("rb", buffering=0) as opened:
            if os.fstat(opened.fileno()).st_size != self.file.size_bytes:
                raise self._wrong_source()
            whole, partial = self.session.find_both(self.path, self._partial)
            if (known := (yield from self._confirm_whole(whole))) is not None:
                return known
            beginning, read_back = yield from self._find_beginning(opened.fileno(), partial)
            theirs = yield from self._send(opened.fileno(), beginning)
            confirmation = yield from self._confirm(self._partial, read_back, theirs)
            if confirmation is None:
                return (yield from self._settle(opened.fileno()))
            self.session.replace(self._partial, self.path)
            yield self._progress(self.file.size_bytes)
            return confirmation

    def _settle(self, descriptor: int) -> Routine[Confirmation]:
        """Find out why what was sent is not there. Raises RemoteError, StorageError unless another run sent it, too."""
        if (known := (yield from self._confirm_whole(self.session.find(self.path)))) is not None:
            return known
        self.session.remove(self._partial)
        if (yield from self._hash_source(descriptor, self.file.size_bytes)) != self.file.sha256:
            raise self._wrong_source()
        raise RemoteError(
            f"{self._where}: what arrived of {show(self.path)} is not what was sent; it was removed",
            "push again; if that happens twice, have the disk and memory of that host tested",
        )

    @property
    def _partial(self) -> bytes:
        return partial_path(self.path, self.file.sha256)

    @property
    def _where(self) -> str:
        return self.session.where

    def _progress(self, done: int, detail: str = "") -> Progressed:
        return Progressed(done, self.file.size_bytes, "bytes", detail)

    # --- what is there

    def _confirm_whole(self, found: Attributes | None) -> Generator[Event, None, Confirmation | None]:
        """Return how it is known that what was found under the name is the whole file, None when it is not."""
        if found is None or not found.is_file or found.size_bytes != self.file.size_bytes:
            return None
        theirs = yield from self._await(self.shell.digest(self._absolute(self.path)), self.file.size_bytes)
        return (yield from self._confirm(self.path, _Digest(), theirs))

    def _find_beginning(
        self, descriptor: int, found: Attributes | None
    ) -> Generator[Event, None, tuple[int | None, _Digest]]:
        """Return how much of an earlier try is there and right, None for no file at all, and what of it was read back.

        What is not the beginning of this very file is removed.
        """
        if found is None:
            return None, _Digest()
        there, read_back = found.size_bytes or 0, _Digest()
        if found.is_file and not there:  # another run may have made it just now
            return 0, read_back
        if found.is_file and there <= self.file.size_bytes:
            theirs = yield from self._await(self.shell.digest(self._absolute(self._partial), there), 0)
            if theirs is None:
                yield from self._read_back(self._partial, read_back, there)
                theirs = read_back.hexadecimal()
            if theirs == (yield from self._hash_source(descriptor, there)):
                yield self._progress(there, f"goes on behind the {format_bytes(there)} that are there")
                return there, read_back
        self.session.remove(self._partial)
        return None, _Digest()

    def _absolute(self, path: bytes) -> bytes:
        return path if path.startswith(b"/") else join(self.session.home, path)

    def _await(self, computing: Answer, done: int) -> Generator[Event, None, str | None]:
        """Return a checksum that is computed over there, showing meanwhile that something happens."""
        while True:
            try:
                next(computing)
            except StopIteration as ended:
                answer: str | None = ended.value
                return answer
            yield self._progress(done, "computing the checksum there")

    def _read_back(self, path: bytes, digest: _Digest, end: int) -> Generator[Event, None, None]:
        """Read what is there into a digest that knows its beginning."""
        with self.session.opened(path, wire.READ_ONLY) as handle:
            tick = time.monotonic() + TICK_SECONDS
            for data in self.session.read_from(handle, path, digest.size_bytes, end):
                digest.add(data)
                if time.monotonic() >= tick:
                    tick = time.monotonic() + TICK_SECONDS
                    yield self._progress(digest.size_bytes, "reading back")

    def _confirm(
        self, path: bytes, read_back: _Digest, theirs: str | None
    ) -> Generator[Event, None, Confirmation | None]:
        """Return how it is known that a file there is ours, None when it is another. `theirs`: what a shell says."""
        size = self.file.size_bytes
        found = self.session.find(path)
        if found is None:
            return None
        if theirs == self.file.sha256 and found.size_bytes == size:
            return Confirmation.CHECKSUM
        # No shell, or one that sees other directories than SFTP does: what SFTP gives back decides.
        yield from self._read_back(path, read_back, size + 1)
        same = read_back.size_bytes == size and read_back.hexadecimal() == self.file.sha256
        return Confirmation.READ_BACK if same else None

    # --- sending

    def _send(self, descriptor: int, beginning: int | None) -> Generator[Event, None, str | None]:
        """Send what is missing; return the checksum that a shell over there computed of the whole, if there is one."""
        flags = wire.WRITE_ONLY | (wire.CREATE_NEW if beginning is None else 0)
        start = beginning or 0
        is_ours = False
        try:
            with self._opened(flags) as handle:
                is_ours = True
                self._check_space(start)
                following = self.shell.follow(self._absolute(self._partial))
                try:
                    yield from self._write(descriptor, handle, start, following)
                except BaseException:
                    if following:
                        following.abandon()
                    raise
        except RefusedRequestError as error:
            if not is_ours and self.session.find(self._partial) is not None:
                raise RemoteError(f"{self._where}: another run has just begun to send {show(self.path)}") from error
            reason = explain_refusal(self.session, error, self._partial)
            self._withdraw()
            raise reason from error
        if following is None:
            return None
        return (yield from self._await(following.finish(self.file.size_bytes), self.file.size_bytes))

    @contextmanager
    def _opened(self, flags: int) -> Iterator[bytes]:
        """Open what is on its way; the directories are made when that fails for want of them."""
        with ExitStack() as stack:
            try:
                handle = stack.enter_context(self.session.opened(self._partial, flags))
            except RefusedRequestError as error:
                if error.status != wire.Status.NO_SUCH_FILE:
                    raise
                make_directories(self.session, posixpath.dirname(self.path))
                handle = stack.enter_context(self.session.opened(self._partial, flags))
            yield handle

    def _write(
        self, descriptor: int, handle: bytes, start: int, following: Following | None
    ) -> Generator[Event, None, None]:
        tick = time.monotonic() + TICK_SECONDS
        for done in self.session.write_from(
            lambda count, offset: os.pread(descriptor, count, offset),
            handle, self._partial, start, self.file.size_bytes,
        ):  # fmt: skip
            if time.monotonic() >= tick:
                tick = time.monotonic() + TICK_SECONDS
                if following:
                    following.advance(done)
                yield self._progress(done)
        yield self._progress(self.file.size_bytes, "having it written to the disk there")
        self.session.fsync(handle, self._partial)

    def _check_space(self, start: int) -> None:
        needed = self.file.size_bytes - start
        if needed < _FULL_BELOW_BYTES:  # not worth the question
            return
        space = self.session.find_space(posixpath.dirname(self._partial) or b".")
        if space is not None and space.free_bytes < needed:
            if not start:
                self._withdraw()
            raise RemoteError(
                f"{self._where} has {format_bytes(space.free_bytes)} left, and {show(self.path)} needs "
                f"{format_bytes(needed)} more",
                "free some space there",
            )

    def _withdraw(self) -> None:
        """Leave nothing of it on a disk that has no room for it."""
        with contextlib.suppress(RefusedRequestError):  # the first reason is the one to tell
            self.session.remove(self._partial)

    # --- our own file

    def _hash_source(self, descriptor: int, end: int) -> Generator[Event, None, str]:
        digest = _Digest()
        tick = time.monotonic() + TICK_SECONDS
        while digest.size_bytes < end and (
            data := os.pread(descriptor, min(CHUNK_BYTES, end - digest.size_bytes), digest.size_bytes)
        ):
            digest.add(data)
            if time.monotonic() >= tick:
                tick = time.monotonic() + TICK_SECONDS
                self.cancellation.check()
                yield self._progress(0, "comparing what is there")
        return digest.hexadecimal()

    def _wrong_source(self) -> StorageError:
        return StorageError(
            f"{self.source} is not what its manifest says; nothing of it stays at {self._where}",
            f"`dbtui backup verify` on {self.source.parent} says what is damaged",
        )
