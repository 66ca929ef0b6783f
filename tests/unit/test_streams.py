"""Bytes written new, packed, hashed and read back; damage is noticed; tools are followed while they write."""

import gzip
import hashlib
import os
import random
import subprocess
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.followers import DirectoryFollower, FileFollower
from dbtui.adapters.space import SpaceWatch
from dbtui.adapters.streams import (
    CHUNK_BYTES,
    WrittenFile,
    create_file,
    hash_file,
    open_raw,
    storage_errors,
    write_stream,
)
from dbtui.errors import Cancelled, DamagedBackupError, StorageError
from dbtui.model.backups import Compression, CompressionKind

ResultT = TypeVar("ResultT")
KINDS = [CompressionKind.NONE, CompressionKind.GZIP, CompressionKind.ZSTD]
RANDOM = random.Random(7).randbytes(3 * CHUNK_BYTES + 4711)


def finish(steps: Generator[int, None, ResultT]) -> ResultT:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: ResultT = end.value
            return result


@contextmanager
def feeding(data: bytes) -> Iterator[int]:
    """A descriptor that data comes out of, as from a tool."""
    source, sink = os.pipe()

    def feed() -> None:
        with os.fdopen(sink, "wb", buffering=0) as pipe:
            view = memoryview(data)
            while view:
                view = view[pipe.write(view[:70_000]) :]

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield source
    finally:
        os.close(source)
        feeder.join()


def written(data: bytes, path: Path, kind: CompressionKind, level: int | None = None) -> WrittenFile:
    with feeding(data) as source:
        return finish(write_stream(source, path, Compression(kind, level), Cancellation()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, CHUNK_BYTES, len(RANDOM)])
def test_what_is_written_is_read_back(tmp_path: Path, kind: CompressionKind, size: int) -> None:
    data, path = RANDOM[:size], tmp_path / "file"
    result = written(data, path, kind)
    on_disk = path.read_bytes()
    assert (result.size_bytes, result.raw_bytes) == (len(on_disk), size)
    assert result.sha256 == hashlib.sha256(on_disk).hexdigest()
    assert result.tail == data[-65536:]
    assert path.stat().st_mode & 0o777 == 0o600
    with open_raw(path, Compression(kind)) as file:
        assert file.read() == data


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    written(RANDOM, tmp_path / "gz", CompressionKind.GZIP, 1)
    written(RANDOM, tmp_path / "zst", CompressionKind.ZSTD, 3)
    assert gzip.decompress((tmp_path / "gz").read_bytes()) == RANDOM
    assert zstandard.ZstdDecompressor().stream_reader((tmp_path / "zst").read_bytes()).read() == RANDOM


def test_we_can_read_what_other_programs_wrote_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "gz").write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    packer = zstandard.ZstdCompressor()
    (tmp_path / "zst").write_bytes(packer.compress(b"one\n") + packer.compress(b"") + packer.compress(b"two\n"))
    for name, kind in (("gz", CompressionKind.GZIP), ("zst", CompressionKind.ZSTD)):
        with open_raw(tmp_path / name, Compression(kind)) as file:
            assert file.readlines() == [b"one\n", b"two\n"]


@pytest.mark.parametrize("kind", [CompressionKind.GZIP, CompressionKind.ZSTD])
def test_no_cut_looks_like_a_short_file(tmp_path: Path, kind: CompressionKind) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    written(RANDOM[:20_000] + b"x" * 300_000, whole, kind)
    data = whole.read_bytes()
    for length in [*range(40), *range(40, len(data), 997), len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(DamagedBackupError), open_raw(cut, Compression(kind)) as file:
            while file.readline():
                pass


@pytest.mark.parametrize("kind", [CompressionKind.GZIP, CompressionKind.ZSTD])
def test_no_flipped_bit_goes_unnoticed(tmp_path: Path, kind: CompressionKind) -> None:
    whole = tmp_path / "whole"
    content = RANDOM[:2000] + b"text " * 5000
    written(content, whole, kind)
    data = bytearray(whole.read_bytes())
    chance = random.Random(1)
    for _ in range(300):
        position, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
        data[position] ^= bit
        whole.write_bytes(data)
        data[position] ^= bit
        try:
            with open_raw(whole, Compression(kind)) as file:
                assert file.read() == content, "a change that is not noticed has to change nothing"
        except DamagedBackupError:
            continue


@settings(deadline=None, database=None, max_examples=50)
@given(st.lists(st.binary(max_size=200_000), max_size=4))
def test_any_pieces(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    path = tmp_path_factory.mktemp("any") / "file"
    assert written(data, path, CompressionKind.ZSTD).raw_bytes == len(data)
    with open_raw(path, Compression(CompressionKind.ZSTD)) as file:
        assert file.read() == data


def test_the_tap_sees_everything(tmp_path: Path) -> None:
    seen = bytearray()
    with feeding(RANDOM) as source:
        finish(write_stream(source, tmp_path / "f", Compression(), Cancellation(), tap=seen.extend))
    assert seen == RANDOM


def test_a_silent_tool_can_be_cancelled(tmp_path: Path) -> None:
    source, sink = os.pipe()
    cancellation = Cancellation()
    steps = write_stream(source, tmp_path / "f", Compression(), cancellation)
    assert next(steps) == 0, "nothing came, and still it says so"
    cancellation.request()
    with pytest.raises(Cancelled):
        next(steps)
    os.close(source)
    os.close(sink)


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("here", "link"):
        with pytest.raises(StorageError):
            create_file(tmp_path / name)
    assert (tmp_path / "here").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_full_disk_is_a_sentence() -> None:
    """/dev/full refuses every byte with ENOSPC."""
    sentence = "the disk that holds /dev/full is full; free some space"
    with (
        pytest.raises(StorageError, match=sentence),
        storage_errors("/dev/full"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")


def test_hash_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(RANDOM)
    found = finish(hash_file(tmp_path / "f", "name", Cancellation()))
    assert (found.path, found.size_bytes, found.sha256) == ("name", len(RANDOM), hashlib.sha256(RANDOM).hexdigest())
    with pytest.raises(StorageError):
        finish(hash_file(tmp_path / "gone", "name", Cancellation()))


def test_little_space_is_noticed_before_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SpaceWatch(tmp_path / "f").check()
    real = os.statvfs(tmp_path)

    class Nearly:
        f_bavail, f_frsize, f_blocks = 10, real.f_frsize, real.f_blocks

    monkeypatch.setattr(os, "statvfs", lambda _path: Nearly)
    with pytest.raises(StorageError, match=r"is nearly full: 41 kB are left; free some space"):
        SpaceWatch(tmp_path / "f").check()


def test_space_watch_understands_tools(tmp_path: Path) -> None:
    watch = SpaceWatch(tmp_path / "f")
    watch.check_messages(["pg_dump: error: something else"])
    with pytest.raises(StorageError, match="is full"):
        watch.check_messages(["pg_dump: error: could not write to output file: No space left on device"])


# --- following ------------------------------------------------------------------------------------------------


def test_a_file_is_hashed_behind_its_writer(tmp_path: Path) -> None:
    path, source = tmp_path / "growing", tmp_path / "source"
    source.write_bytes(RANDOM)
    with create_file(path) as file, FileFollower(file.fileno(), path) as follower:
        subprocess.run(["dd", f"if={source}", "bs=50000", "status=none"], stdout=file, check=True)
        result = follower.finish()
    assert result == WrittenFile(len(RANDOM), hashlib.sha256(RANDOM).hexdigest(), len(RANDOM), RANDOM[-65536:])


def test_an_empty_file_is_followed_too(tmp_path: Path) -> None:
    with create_file(tmp_path / "f") as file, FileFollower(file.fileno(), tmp_path / "f") as follower:
        assert follower.finish() == WrittenFile(0, hashlib.sha256().hexdigest(), 0, b"")


def test_leaving_a_follower_early_ends_its_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with create_file(tmp_path / "f") as file, FileFollower(file.fileno(), tmp_path / "f"):
        assert threading.active_count() == before + 1
    with DirectoryFollower(tmp_path, frozenset()):
        pass
    assert threading.active_count() == before


def test_a_directory_is_hashed_behind_its_writers(tmp_path: Path) -> None:
    contents = {"1.dat": RANDOM, "2.dat": RANDOM[:5], "empty.dat": b"", "toc.dat": b"second"}
    with DirectoryFollower(tmp_path, frozenset({"toc.dat"})) as follower:
        (tmp_path / "toc.dat").write_bytes(b"first, and longer")
        with (tmp_path / "1.dat").open("wb", buffering=0) as growing:
            for start in range(0, len(RANDOM), 100_000):
                growing.write(RANDOM[start : start + 100_000])
        for name in ("2.dat", "empty.dat", "toc.dat"):
            (tmp_path / name).write_bytes(contents[name])
        files = follower.finish()
    assert follower.size_bytes == sum(map(len, contents.values()))
    assert {file.path: (file.size_bytes, file.sha256) for file in files} == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()
    }
