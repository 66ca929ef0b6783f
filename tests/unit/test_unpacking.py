"""Packed files unfold in bounded memory, in pieces of any size, and nothing that is wrong with them goes unnoticed."""

import gzip
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from dbtui.adapters import unpacking
from dbtui.adapters.streams import open_raw
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import Compression, CompressionKind

MEGABYTE = 1 << 20
RANDOM = random.Random(5).randbytes(140_000)
FRAME = (0xFD2FB528).to_bytes(4, "little")
#: Read a file to its end in a process of its own; say how many bytes came, and its largest size in memory in kB
#: (ru_maxrss would count what the parent had before the exec).
READ = r"""
import re, sys
from pathlib import Path
from dbtui.adapters.streams import open_raw
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import Compression, CompressionKind
buffer, count = bytearray(1 << 20), 0
with open_raw(Path(sys.argv[1]), Compression(CompressionKind(sys.argv[2]))) as file:
    while read := file.readinto(buffer):
        count += read
print(count, re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def rle_frame(blocks: int, window_log: int = 20) -> bytes:
    """A frame of blocks that are one byte repeated 128 KiB times."""
    kind, size = 1, 1 << 17
    block = (kind << 1 | size << 3).to_bytes(3, "little") + b"x"
    last = (1 | kind << 1 | size << 3).to_bytes(3, "little") + b"x"
    return FRAME + bytes([0, window_log - 10 << 3]) + block * (blocks - 1) + last


def skippable(size: int) -> bytes:
    return (0x184D2A53).to_bytes(4, "little") + size.to_bytes(4, "little") + b"?" * size


def zstd_pieces() -> list[bytes]:
    """Frames of every outline: with and without a checksum, a size, any content."""
    content = RANDOM + b"text " * 60_000
    frames = [skippable(0), skippable(70_000)]
    options: dict[str, Any]
    for options in ({}, {"write_checksum": True}, {"write_content_size": False}, {"write_checksum": True, "level": 19}):
        packer = zstandard.ZstdCompressor(**options)
        frames += [packer.compress(content), packer.compress(b""), packer.compress(b"one\n")]
        streamed = packer.compressobj()
        frames.append(streamed.compress(content) + streamed.flush())
    return [*frames, rle_frame(3)]


def unpacked(frames: list[bytes]) -> bytes:
    return b"".join(zstandard.ZstdDecompressor().decompressobj().decompress(frame) for frame in frames)


def read(path: Path, kind: CompressionKind) -> bytes:
    with open_raw(path, Compression(kind)) as file:
        return file.read()


def read_in_a_child(path: Path, kind: CompressionKind) -> tuple[int, int]:
    ran = subprocess.run(
        [sys.executable, "-c", READ, str(path), kind.value], capture_output=True, text=True, check=True
    )
    count, kilobytes = ran.stdout.split()
    return int(count), int(kilobytes) // 1024


@pytest.mark.parametrize(
    ("kind", "bomb", "unfolds_to"),
    [
        (CompressionKind.ZSTD, lambda: rle_frame(16_000), 16_000 << 17),
        (CompressionKind.ZSTD, lambda: rle_frame(5) * 3000, 15_000 << 17),
        (CompressionKind.GZIP, lambda: gzip.compress(bytes(400 * MEGABYTE), 1), 400 * MEGABYTE),
    ],
    ids=["zstd", "zstd frames", "gzip"],
)
def test_a_bomb_unfolds_in_little_memory(
    tmp_path: Path, kind: CompressionKind, bomb: Callable[[], bytes], unfolds_to: int
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(bomb())
    assert path.stat().st_size * 100 < unfolds_to
    count, megabytes = read_in_a_child(path, kind)
    assert count == unfolds_to
    assert megabytes < 100


def test_a_window_of_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide"
    path.write_bytes(rle_frame(100, window_log=31))
    with pytest.raises(
        DamagedBackupError, match=r"wide: to unpack it takes 2\.1 GB of memory, and dbtui allows 134 MB"
    ):
        read(path, CompressionKind.ZSTD)
    path.write_bytes(rle_frame(2, window_log=27))
    assert read(path, CompressionKind.ZSTD) == b"x" * (2 << 17), "what the zstd program accepts unasked"


def test_the_window_is_checked_in_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "wide"
    path.write_bytes(rle_frame(1) + rle_frame(1, window_log=28))
    with pytest.raises(DamagedBackupError, match="dbtui allows"):
        read(path, CompressionKind.ZSTD)


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 1000, 65_536])
def test_frames_read_on_wherever_the_file_is_cut_into_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(unpacking, "_PACKED_CHUNK_BYTES", chunk_bytes)
    frames = zstd_pieces()
    (tmp_path / "zst").write_bytes(b"".join(frames))
    assert read(tmp_path / "zst", CompressionKind.ZSTD) == unpacked(frames)
    (tmp_path / "gz").write_bytes(gzip.compress(RANDOM) + gzip.compress(b"") + gzip.compress(b"x" * 3_000_000))
    assert read(tmp_path / "gz", CompressionKind.GZIP) == RANDOM + b"x" * 3_000_000


@pytest.mark.parametrize("chunk_bytes", [3, 65_536])
def test_a_last_frame_that_is_cut_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(unpacking, "_PACKED_CHUNK_BYTES", chunk_bytes)
    first, path = zstandard.compress(b"one\n"), tmp_path / "cut"
    for last in (rle_frame(2), zstandard.compress(b"two\n" * 9), skippable(20)):
        for length in range(1, len(last)):
            path.write_bytes(first + last[:length])
            with pytest.raises(DamagedBackupError, match="the compressed data ends too early"):
                read(path, CompressionKind.ZSTD)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (zstandard.compress(b"one\n") + b"\0" * 600, "no zstd frame"),
        (FRAME + bytes([0, 80]) + (1 | 200_000 << 3).to_bytes(3, "little") + b"x" * 200_000, "a block is too large"),
        (FRAME + bytes([0, 80]) + (1 | 2_000_000 << 3).to_bytes(3, "little") + b"x" * 9, "a block is too large"),
        (FRAME + bytes([0, 80]) + (1 | 3 << 1 | 9 << 3).to_bytes(3, "little") + b"x" * 9, "the compressed data is dam"),
    ],
    ids=["zero bytes behind", "large block", "huge block", "unknown block"],
)
def test_what_is_no_zstd_is_said(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(DamagedBackupError, match=sentence):
        read(tmp_path / "bad", CompressionKind.ZSTD)


def test_long_mode_of_the_zstd_program(tmp_path: Path) -> None:
    """128 MiB is what --long asks for unless told otherwise."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=27, enable_ldm=True)
    streamed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "long").write_bytes(streamed.compress(RANDOM * 20) + streamed.flush())
    assert read(tmp_path / "long", CompressionKind.ZSTD) == RANDOM * 20


def test_frames_are_followed_to_their_end_without_unpacking(tmp_path: Path) -> None:
    path = tmp_path / "followed"
    for frame in (*zstd_pieces(), b"".join(zstd_pieces())):
        path.write_bytes(frame)
        assert list(unpacking.follow_frames(path))[-1] == len(frame)
        for kept in {0, 3, len(frame) // 2, len(frame) - 1} - {len(frame)}:
            path.write_bytes(frame[:kept])
            if frame == b"".join(zstd_pieces()) and kept == len(frame) // 2:
                continue  # it may end with one of its frames there
            with pytest.raises(DamagedBackupError, match="ends too early"):
                list(unpacking.follow_frames(path))
    path.write_bytes(b"no frame at all")
    with pytest.raises(DamagedBackupError, match="what comes is no zstd frame"):
        list(unpacking.follow_frames(path))
