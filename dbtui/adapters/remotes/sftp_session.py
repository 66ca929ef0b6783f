"""One SFTP session: requests out, answers back, many of them under way at a time."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes import sftp_wire as wire
from dbtui.adapters.remotes.sftp_channel import TICK_SECONDS, SshChannel
from dbtui.adapters.remotes.sftp_link import LONGEST_ANSWER_SECONDS, SshLink
from dbtui.adapters.remotes.sftp_wire import Attributes, Kind, Reader, Status
from dbtui.errors import ConnectError, RemoteError, StorageError
from dbtui.model.text import format_untrusted

_PIECE_BYTES = 32768  # what every server takes at once
_LARGEST_PIECE_BYTES = 255 << 10  # with its header it fits the packets of OpenSSH
_WINDOW_BYTES = 16 << 20  # under way at a time: fills 1 Gbit/s over 130 ms
_AHEAD_BYTES = 2 << 20  # packed and not yet taken by ssh
_DIRECTORIES_AT_A_TIME = 32
_STATUS_WORDS = {
    Status.NO_SUCH_FILE: "there is no such file or directory",
    Status.PERMISSION_DENIED: "permission denied",
}

POSIX_RENAME = "posix-rename@openssh.com"
FSYNC = "fsync@openssh.com"
STATVFS = "statvfs@openssh.com"
LIMITS = "limits@openssh.com"


class RefusedRequestError(RemoteError):
    """The server answered that something was not done; `status` is its number."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Space:
    """What is left on the disk over there, for this login."""

    free_bytes: int
    free_files: int | None  # None: its file system does not count them


class SftpSession:
    """An open session. Paths are bytes, as SFTP has them; relative ones begin at the login's home.

    Raises ConnectError, AuthenticationError, RemoteError, ToolError, Cancelled.
    """

    def __init__(self, link: SshLink, cancellation: Cancellation) -> None:
        self._link = link
        self.where = str(link.address)
        self._replies: dict[int, tuple[int, bytes]] = {}
        self._awaited: set[int] = set()
        self._last = 0
        self._read_bytes = self._write_bytes = _PIECE_BYTES
        self._channel = SshChannel(link, ("-s", "sftp"), cancellation)
        try:
            self._extensions = self._greet()
            self._ask_limits()
            self.home = self._ask_name(Kind.REALPATH, b".")
        except BaseException:
            self._channel.close()
            raise

    def is_lost(self) -> bool:
        """Look whether the connection has ended. Raises Cancelled."""
        self._channel.turn(0)
        return self._channel.has_ended

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    # --- requests and answers

    def _greet(self) -> frozenset[bytes]:
        self._channel.send(wire.header(Kind.INIT, 4), wire.u32(wire.VERSION))
        deadline = time.monotonic() + self._link.settings.timeout_seconds
        while (packet := self._take_packet()) is None:
            if self._channel.has_ended:
                raise self._channel.failure(was_connected=False)
            if time.monotonic() >= deadline:
                raise self._link.slow_login()
            self._channel.turn()
        reader = Reader(packet[1])
        if packet[0] != Kind.VERSION or reader.u32() < wire.VERSION:
            raise self._link.chatty()
        extensions = set()
        while not reader.is_at_end:
            extensions.add(reader.string())
            reader.string()
        return frozenset(extensions)

    def offers(self, extension: str) -> bool:
        """Return whether the server has an extension of the protocol."""
        return extension.encode() in self._extensions

    def _ask_limits(self) -> None:
        if not self.offers(LIMITS):
            return
        kind, reply = self._wait(self._send(Kind.EXTENDED, wire.string(LIMITS.encode())))
        if kind != Kind.EXTENDED_REPLY:
            return
        reply.u64()
        read, write = reply.u64(), reply.u64()  # 0: it does not say
        self._read_bytes = min(read or _PIECE_BYTES, _LARGEST_PIECE_BYTES)
        self._write_bytes = min(write or _PIECE_BYTES, _LARGEST_PIECE_BYTES)

    def _take_packet(self) -> tuple[int, bytes] | None:
        data = self._channel.received
        if len(data) < 5:
            return None
        length = int.from_bytes(data[:4])
        if not 1 <= length <= wire.LONGEST_PACKET:
            raise self._link.chatty()
        if len(data) < 4 + length:
            return None
        with memoryview(data) as view:
            packet = (view[4], bytes(view[5 : 4 + length]))
        del data[: 4 + length]
        return packet

    def _send(self, kind: Kind, *parts: bytes) -> int:
        self._last = (self._last + 1) & 0xFFFFFFFF
        size = sum(map(len, parts))
        self._channel.send(wire.header(kind, size + 4) + wire.u32(self._last), *parts)
        self._awaited.add(self._last)
        return self._last

    def _turn(self) -> None:
        """Move bytes once, and sort the answers that have come. Raises ConnectError when the link has ended."""
        self._channel.turn(TICK_SECONDS)
        while (packet := self._take_packet()) is not None:
            kind, body = packet
            number = int.from_bytes(body[:4])
            if number in self._awaited:
                self._awaited.discard(number)
                self._replies[number] = (kind, body)
        if self._awaited and self._channel.has_ended:
            raise self._channel.failure()
        if self._awaited and self._channel.silent_seconds > LONGEST_ANSWER_SECONDS:
            raise self._link.silent()

    def _answer(self, number: int) -> tuple[int, Reader] | None:
        """Take the answer to a request if it has come."""
        found = self._replies.pop(number, None)
        return None if found is None else (found[0], Reader(found[1], 4))

    def _wait(self, number: int) -> tuple[int, Reader]:
        while (answer := self._answer(number)) is None:
            self._turn()
        return answer

    def _forget(self, numbers: Sequence[int]) -> None:
        """Care no more for the answers to requests."""
        for number in numbers:
            self._awaited.discard(number)
            self._replies.pop(number, None)

    def _call(self, kind: Kind, *parts: bytes, what: str, expected: Kind = Kind.STATUS) -> Reader:
        """Ask and wait; `what` says what did not happen if it is refused."""
        return self._check(self._wait(self._send(kind, *parts)), what, expected)

    def _check(self, answer: tuple[int, Reader], what: str, expected: Kind = Kind.STATUS) -> Reader:
        """Return an answer of the expected kind. Raises RefusedRequestError, ConnectError for one that is neither."""
        kind, reader = answer
        if kind == Kind.STATUS:
            status = reader.u32()
            if status != Status.OK:
                raise self._refusal(status, what)
        if kind != expected:
            raise ConnectError(
                f"{self.where}: {what}: the server answers something else", "see whether `sftp` works with it"
            )
        return reader

    def _refusal(self, status: int, what: str) -> RefusedRequestError:
        # The server's own words ("Failure") say no more than its number.
        words = _STATUS_WORDS.get(Status(status)) if status in tuple(Status) else None
        return RefusedRequestError(f"{self.where}: {what}: {words or 'the server refuses it'}", status)

    def _ask_name(self, kind: Kind, path: bytes) -> bytes:
        reader = self._call(kind, wire.string(path), what=f"{show(path)} is not told", expected=Kind.NAME)
        if reader.u32() < 1:
            raise ConnectError(f"{self.where}: the server names no home", "see whether `sftp` works with it")
        return reader.string()

    # --- files

    def find(self, path: bytes, *, follow: bool = False) -> Attributes | None:
        """Return what lies at a path, None when nothing does. `follow`: through a link."""
        return self._found(self._send(Kind.STAT if follow else Kind.LSTAT, wire.string(path)), path)

    def find_both(self, one: bytes, other: bytes) -> tuple[Attributes | None, Attributes | None]:
        """Return what lies at two paths, waiting for both answers at once."""
        numbers = [self._send(Kind.LSTAT, wire.string(path)) for path in (one, other)]
        try:
            return self._found(numbers[0], one), self._found(numbers[1], other)
        finally:
            self._forget(numbers)

    def _found(self, number: int, path: bytes) -> Attributes | None:
        try:
            return self._check(self._wait(number), f"{show(path)} cannot be looked at", Kind.ATTRS).attributes()
        except RefusedRequestError as error:
            if error.status == Status.NO_SUCH_FILE:
                return None
            raise

    @contextmanager
    def opened(self, path: bytes, flags: int) -> Iterator[bytes]:
        """Open a file and yield its handle; a new one is for this login alone (mode 0600)."""
        verb = "read" if flags == wire.READ_ONLY else "written"
        parts = (wire.string(path), wire.u32(flags), wire.mode_only(0o600))
        handle = self._call(Kind.OPEN, *parts, what=f"{show(path)} cannot be {verb}", expected=Kind.HANDLE).string()
        try:
            yield handle
        except (RemoteError, StorageError):
            self._forget([self._send(Kind.CLOSE, wire.string(handle))])
            raise
        # Some servers say only now that a file could not be written.
        self._call(Kind.CLOSE, wire.string(handle), what=f"{show(path)} cannot be closed")

    def fsync(self, handle: bytes, path: bytes) -> bool:
        """Have a file written to the disk over there; return False where the server cannot be asked for that."""
        if not self.offers(FSYNC):
            return False
        parts = (wire.string(FSYNC.encode()), wire.string(handle))
        self._call(Kind.EXTENDED, *parts, what=f"{show(path)} is not written to the disk")
        return True

    def make_directory(self, path: bytes) -> None:
        """Make a directory for this login alone (mode 0700)."""
        self._call(Kind.MKDIR, wire.string(path), wire.mode_only(0o700), what=f"{show(path)} cannot be made")

    def remove(self, path: bytes) -> None:
        """Remove a file; nothing happens when it is gone already."""
        try:
            self._call(Kind.REMOVE, wire.string(path), what=f"{show(path)} cannot be removed")
        except RefusedRequestError as error:
            if error.status != Status.NO_SUCH_FILE:
                raise

    def remove_directory(self, path: bytes) -> bool:
        """Remove an empty directory; return whether it is gone."""
        kind, reader = self._wait(self._send(Kind.RMDIR, wire.string(path)))
        return kind == Kind.STATUS and reader.u32() == Status.OK

    def rename(self, path: bytes, new: bytes) -> None:
        """Give a file a name that nothing has: version 3 refuses it when something has."""
        self._call(Kind.RENAME, wire.string(path), wire.string(new), what=f"{show(new)} cannot be named so")

    def replace(self, path: bytes, new: bytes) -> None:
        """Give a file a name, at once also where something has it already, if the server can do that."""
        if not self.offers(POSIX_RENAME):
            self.remove(new)
            return self.rename(path, new)
        parts = (wire.string(POSIX_RENAME.encode()), wire.string(path), wire.string(new))
        self._call(Kind.EXTENDED, *parts, what=f"{show(new)} cannot be named so")
        return None

    def find_space(self, path: bytes) -> Space | None:
        """Return what is left where `path` lies, None when the server does not tell."""
        if not self.offers(STATVFS):
            return None
        kind, reader = self._wait(self._send(Kind.EXTENDED, wire.string(STATVFS.encode()), wire.string(path)))
        if kind != Kind.EXTENDED_REPLY:
            return None
        _block, fragment, blocks, _free, available, files, _files_free, files_available = (
            reader.u64() for _ in range(8)
        )
        if not blocks:  # a file system that does not know
            return None
        return Space(fragment * available, files_available if files else None)

    # --- contents

    def write_from(
        self, source: Callable[[int, int], bytes], handle: bytes, path: bytes, start: int, end: int
    ) -> Iterator[int]:
        """Send bytes from `start` to `end`; yields up to where they are acknowledged. `source`: count, offset → bytes.

        Raises RefusedRequestError, and StorageError when the source is shorter.
        """
        window: deque[tuple[int, int]] = deque()
        sent, quoted = start, wire.string(handle)
        try:
            while sent < end or window:
                while (
                    sent < end
                    and self._channel.unsent_bytes < _AHEAD_BYTES
                    and len(window) * self._write_bytes < _WINDOW_BYTES
                ):
                    data = source(min(self._write_bytes, end - sent), sent)
                    if not data:
                        raise StorageError("the file that is sent became shorter meanwhile")
                    number = self._send(Kind.WRITE, quoted, wire.u64(sent), wire.u32(len(data)), data)
                    sent += len(data)
                    window.append((number, sent))
                self._turn()
                while window and (answer := self._answer(window[0][0])) is not None:
                    self._check(answer, f"{show(path)} cannot be written")
                    yield window.popleft()[1]
        finally:
            self._forget([number for number, _ in window])

    def read_from(self, handle: bytes, path: bytes, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` to `end`, in order, and fewer when it is shorter."""
        window: deque[tuple[int, int, int]] = deque()  # request, offset, count
        asked, quoted = start, wire.string(handle)
        pieces = 2  # at a time; more with each answer, for a small file needs no more
        try:
            while asked < end or window:
                while asked < end and len(window) < pieces:
                    count = min(self._read_bytes, end - asked)
                    window.append((self._ask_for(quoted, asked, count), asked, count))
                    asked += count
                self._turn()
                while window and (answer := self._answer(window[0][0])) is not None:
                    data = self._read_answer(answer, path)
                    _number, offset, count = window.popleft()
                    if not data:
                        return
                    if len(data) < count:  # a short answer is no end
                        rest = (offset + len(data), count - len(data))
                        window.appendleft((self._ask_for(quoted, *rest), *rest))
                    pieces = min(pieces + 1, _WINDOW_BYTES // self._read_bytes)
                    yield data
        finally:
            self._forget([number for number, *_ in window])

    def _ask_for(self, quoted: bytes, offset: int, count: int) -> int:
        return self._send(Kind.READ, quoted, wire.u64(offset), wire.u32(count))

    def _read_answer(self, answer: tuple[int, Reader], path: bytes) -> bytes:
        try:
            return self._check(answer, f"{show(path)} cannot be read", Kind.DATA).string()
        except RefusedRequestError as error:
            if error.status == Status.EOF:
                return b""
            raise

    # --- directories

    def walk(self, base: bytes, depth: int) -> Iterator[list[tuple[bytes, Attributes]]]:
        """List what lies below a directory, down to `depth` levels: paths relative to it, a page at a time.

        No link is followed. Nothing for a directory that does not exist. Many are read at a time, so that a long way
        there is waited for once.
        """
        pending = deque([(b"", 0)])
        while pending:
            batch = [pending.popleft() for _ in range(min(len(pending), _DIRECTORIES_AT_A_TIME))]
            for level, page in self._list_together(base, batch):
                pending.extend((name, level + 1) for name, each in page if each.is_directory and level < depth)
                yield page

    def _list_together(
        self, base: bytes, batch: Sequence[tuple[bytes, int]]
    ) -> Iterator[tuple[int, list[tuple[bytes, Attributes]]]]:
        asked = [
            (self._send(Kind.OPENDIR, wire.string(join(base, name) or b".")), name, level) for name, level in batch
        ]
        opened = [(self._opened(number, join(base, name)), name, level) for number, name, level in asked]
        reading = [(handle, name, level) for handle, name, level in opened if handle is not None]
        while reading:
            numbers = [self._send(Kind.READDIR, wire.string(handle)) for handle, _, _ in reading]
            still = []
            for number, (handle, name, level) in zip(numbers, reading, strict=True):
                page = self._read_page(self._wait(number), name)
                if page is None:
                    self._forget([self._send(Kind.CLOSE, wire.string(handle))])
                    continue
                still.append((handle, name, level))
                yield level, [(each, self._looked_at(base, each, found)) for each, found in page]
            reading = still

    def _looked_at(self, base: bytes, name: bytes, found: Attributes) -> Attributes:
        """Ask once more where a server's listing does not tell what something is."""
        return found if found.mode is not None else self.find(join(base, name)) or found

    def _opened(self, number: int, path: bytes) -> bytes | None:
        try:
            return self._check(self._wait(number), f"{show(path)} cannot be listed", Kind.HANDLE).string()
        except RefusedRequestError as error:
            if error.status == Status.NO_SUCH_FILE:  # it went meanwhile, or never was
                return None
            raise

    def _read_page(self, answer: tuple[int, Reader], directory: bytes) -> list[tuple[bytes, Attributes]] | None:
        try:
            reader = self._check(answer, f"{show(directory)} cannot be listed", Kind.NAME)
        except RefusedRequestError as error:
            if error.status == Status.EOF:
                return None
            raise
        page = []
        for _ in range(reader.u32()):
            name = reader.string()
            reader.string()
            attributes = reader.attributes()
            if name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name:
                page.append((join(directory, name), attributes))
        return page


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of a name in a directory; an empty one is where the other begins."""
    if not directory or not name:
        return directory or name
    return directory.rstrip(b"/") + b"/" + name


def show(path: bytes) -> str:
    """Return a path as it can be shown."""
    return format_untrusted(path.decode("utf-8", "replace"), 300)
