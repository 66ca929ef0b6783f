"""Unpacks gzip and zstd in bounded memory, whatever the file holds, and notices when its last frame does not end.

zstd unfolds four bytes to 128 KiB, and one call of its decoder unfolds all that it is given. So the outline of the
frames is read here, which is a few bytes for every 128 KiB, to give the decoder no more than a step's worth at once.
"""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import zstandard

from dbtui.errors import DamagedBackupError
from dbtui.model.backups import CompressionKind
from dbtui.model.text import format_bytes

STEP_BYTES = 1 << 18
_PACKED_CHUNK_BYTES = 1 << 16
_FOLLOWED_CHUNK_BYTES = 1 << 20
#: What the zstd program itself accepts unasked; more is `zstd --long=28` and above.
MAX_WINDOW_BYTES = 1 << 27

# RFC 8878, section 3.1: what frames look like from outside.
_MAGIC = 0xFD2FB528
_SKIPPABLE_MAGIC, _SKIPPABLE_MASK = 0x184D2A50, 0xFFFFFFF0
_LARGEST_BLOCK_BYTES = 1 << 17
_CHECKSUM_BYTES = 4
_RLE_BLOCK, _COMPRESSED_BLOCK = 1, 2


class _Outline:
    """Follows the frames and blocks of a zstd stream without unpacking them."""

    def __init__(self) -> None:
        self.has_ended = False  # the frame, with the bytes taken last
        self._header = bytearray()
        self._needed = 5  # bytes that the header has at least
        self._has_blocks = False  # the next header is a block's
        self._body = 0  # packed bytes until the next header
        self._unfolds_to = 0  # bytes of the body, unpacked
        self._is_last = False
        self._checksum = 0

    def take(self, data: memoryview) -> int:
        """Return how many bytes of `data` come next: no frame's end within, and no more than a step and a block."""
        position, room, self.has_ended = 0, STEP_BYTES, False
        while position < len(data):
            if not self._body:
                position += self._take_header(data[position:])
            if self._body:
                if self._unfolds_to > room:
                    return position
                room -= self._unfolds_to
                taken = min(self._body, len(data) - position)
                position, self._body = position + taken, self._body - taken
            if not self._body and not self._header and self._is_last:
                self.has_ended, self._has_blocks, self._is_last, self._needed = True, False, False, 5
                return position
        return position

    def _take_header(self, data: memoryview) -> int:
        """Take the header's next bytes and read it when it is whole; return how many they were."""
        taken = min(self._needed - len(self._header), len(data))
        self._header += data[:taken]
        if len(self._header) < self._needed:
            return taken
        if self._has_blocks:
            self._read_block_header(int.from_bytes(self._header, "little"))
        elif not self._read_frame_header(bytes(self._header)):
            return taken
        self._header.clear()
        self._needed = 3
        return taken

    def _read_frame_header(self, header: bytes) -> bool:
        """Read a frame's header, or say False and how many bytes it needs."""
        magic = int.from_bytes(header[:4], "little")
        is_skippable = magic & _SKIPPABLE_MASK == _SKIPPABLE_MAGIC
        if not is_skippable and magic != _MAGIC:
            raise zstandard.ZstdError("what comes is no zstd frame")
        self._needed = 8 if is_skippable else zstandard.frame_header_size(header)
        if len(header) < self._needed:
            return False
        self._has_blocks = True
        if is_skippable:
            self._body, self._unfolds_to, self._is_last = int.from_bytes(header[4:], "little"), 0, True
            return True
        parameters = zstandard.get_frame_parameters(header)
        if parameters.window_size > MAX_WINDOW_BYTES:
            raise _TooLargeWindowError(parameters.window_size)
        self._checksum = _CHECKSUM_BYTES if parameters.has_checksum else 0
        return True

    def _read_block_header(self, header: int) -> None:
        self._is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if size > _LARGEST_BLOCK_BYTES:
            raise zstandard.ZstdError("a block is too large")
        self._body = 1 if kind == _RLE_BLOCK else size
        self._unfolds_to = _LARGEST_BLOCK_BYTES if kind == _COMPRESSED_BLOCK else size
        if self._is_last:
            self._body += self._checksum


def follow_frames(path: Path) -> Iterator[int]:
    """Read a zstd file to its end without unpacking it, yielding the bytes so far.

    Raises DamagedBackupError where its frames are none, or the last one does not end: it was cut off.
    """
    outline, done = _Outline(), 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_FOLLOWED_CHUNK_BYTES):
            rest = memoryview(chunk)
            try:
                while rest:
                    rest = rest[outline.take(rest) :]
            except (zstandard.ZstdError, _TooLargeWindowError) as error:
                raise DamagedBackupError(f"{path}: the compressed data is damaged: {error}") from error
            done += len(chunk)
            yield done
    if not outline.has_ended:
        raise DamagedBackupError(f"{path}: the compressed data ends too early")


class _TooLargeWindowError(Exception):
    def __init__(self, window_bytes: int) -> None:
        super().__init__(window_bytes)
        self.window_bytes = window_bytes


class _Unpacker(Protocol):
    is_inside: bool  # of a frame that has begun and has not ended

    def unpack(self, packed: memoryview, /) -> tuple[bytes, int]:
        """Return about a step's worth of what `packed` unfolds to, and how many bytes of it that took."""


class _Zstd:
    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        self._frame = self._decompressor.decompressobj()
        self._outline = _Outline()
        self.is_inside = False

    def unpack(self, packed: memoryview) -> tuple[bytes, int]:
        if self._frame.eof:
            self._frame = self._decompressor.decompressobj()
        taken = self._outline.take(packed)
        self.is_inside = True
        unpacked = self._frame.decompress(packed[:taken])
        self.is_inside = not self._frame.eof
        if self._frame.eof is not self._outline.has_ended:
            raise zstandard.ZstdError("a frame does not end where its blocks end")
        return unpacked, taken


class _Gzip:
    def __init__(self) -> None:
        self._frame = zlib.decompressobj(31)
        self.is_inside = False

    def unpack(self, packed: memoryview) -> tuple[bytes, int]:
        if self._frame.eof:
            self._frame = zlib.decompressobj(31)
        unpacked = self._frame.decompress(packed, STEP_BYTES)
        self.is_inside = not self._frame.eof
        return unpacked, len(packed) - len(self._frame.unconsumed_tail) - len(self._frame.unused_data)


class PackedReader(io.RawIOBase):
    """Reads one compressed frame after another. Raises DamagedBackupError, also where the last one does not end.

    `source`: what is read in place of the file, which is only named then; it is closed with this.
    """

    def __init__(self, path: Path, kind: CompressionKind, source: io.RawIOBase | None = None) -> None:
        self._path = path
        self._file: io.RawIOBase = path.open("rb", buffering=0) if source is None else source
        self._unpacker: _Unpacker = _Gzip() if kind is CompressionKind.GZIP else _Zstd()
        self._unpacker.is_inside = True  # an empty file is no frame either
        self._packed = memoryview(b"")
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, target: object) -> int:
        """Fill `target` with what comes next, or part of it; 0 at the end."""
        while not self._pending:
            if not self._packed:
                self._packed = memoryview(self._file.read(_PACKED_CHUNK_BYTES) or b"")
            if not self._packed:
                if self._unpacker.is_inside:
                    raise DamagedBackupError(f"{self._path}: the compressed data ends too early")
                return 0
            self._unpack()
        view = memoryview(target)  # type: ignore[arg-type]
        count = min(len(view), len(self._pending))
        view[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count

    @property
    def position(self) -> int:
        """How much of the packed file was read."""
        return self._file.tell()

    def _unpack(self) -> None:
        try:
            unpacked, taken = self._unpacker.unpack(self._packed)
        except _TooLargeWindowError as error:
            raise DamagedBackupError(
                f"{self._path}: to unpack it takes {format_bytes(error.window_bytes)} of memory, and dbtui allows"
                f" {format_bytes(MAX_WINDOW_BYTES)}",
                "if you trust it, unpack it with zstd -d --memory and pack it again",
            ) from error
        except (zstandard.ZstdError, zlib.error) as error:
            raise DamagedBackupError(f"{self._path}: the compressed data is damaged: {error}") from error
        self._pending, self._packed = memoryview(unpacked), self._packed[taken:]

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()
