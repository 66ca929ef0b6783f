"""SFTP version 3 on the wire: what is packed into a request and read out of an answer.

The protocol: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL, section 4, for the extensions.
"""

import stat
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from dbtui.errors import ConnectError

VERSION = 3
#: No answer that a server may send is larger: the packets of OpenSSH end at 256 KiB.
LONGEST_PACKET = 1 << 22

READ_ONLY = 0x01
WRITE_ONLY = 0x02
CREATE_NEW = 0x08 | 0x20  # and never over another

_HAS_SIZE = 0x01
_HAS_OWNER = 0x02
_HAS_MODE = 0x04
_HAS_TIMES = 0x08
_HAS_MORE = 0x80000000

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


class Kind(IntEnum):
    """The type of a packet."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    """How the server says that something was or was not done."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a server says of a file; what it does not say is None."""

    size_bytes: int | None = None
    mode: int | None = None
    modified: int | None = None  # seconds since 1970

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file: no directory, link or device."""
        return self.mode is not None and stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory itself, not a link to one."""
        return self.mode is not None and stat.S_ISDIR(self.mode)

    @property
    def modified_at(self) -> datetime | None:
        """When it was last written, as the server's clock has it."""
        return None if self.modified is None else datetime.fromtimestamp(self.modified, UTC)


class Reader:
    """Takes fields out of an answer, one after the other. Raises ConnectError when it ends too early."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._data)

    def u32(self) -> int:
        """Take a number of 32 bits."""
        number: int = _U32.unpack(self._take(4))[0]
        return number

    def u64(self) -> int:
        """Take a number of 64 bits."""
        number: int = _U64.unpack(self._take(8))[0]
        return number

    def string(self) -> bytes:
        """Take a string with its length before it."""
        return self._take(self.u32())

    def attributes(self) -> Attributes:
        """Take the attributes of a file."""
        flags = self.u32()
        size = self.u64() if flags & _HAS_SIZE else None
        if flags & _HAS_OWNER:
            self._take(8)
        mode = self.u32() if flags & _HAS_MODE else None
        modified = None
        if flags & _HAS_TIMES:
            self.u32()
            modified = self.u32()
        if flags & _HAS_MORE:
            for _ in range(self.u32()):
                self.string()
                self.string()
        return Attributes(size, mode, modified)

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ConnectError("an answer of the SFTP server ends in the middle", "see whether `sftp` works with it")
        taken = self._data[self._at : end]
        self._at = end
        return taken


def u32(number: int) -> bytes:
    """Pack a number of 32 bits."""
    return _U32.pack(number)


def u64(number: int) -> bytes:
    """Pack a number of 64 bits."""
    return _U64.pack(number)


def string(data: bytes) -> bytes:
    """Pack a string with its length before it."""
    return _U32.pack(len(data)) + data


def mode_only(mode: int) -> bytes:
    """Pack attributes that hold nothing but a mode."""
    return _U32.pack(_HAS_MODE) + _U32.pack(mode)


def header(kind: Kind, body_bytes: int) -> bytes:
    """Pack what stands before a body of so many bytes."""
    return struct.pack(">IB", body_bytes + 1, kind)
