"""Packing a dump with the zstd program, so that Python sees a dump's bytes only after they are packed.

The kernel moves the raw bytes from the tool that makes them to zstd(1): splice(2) passes pages on without copying them.
Where the program or the call is missing, `write_stream` packs in this process.
"""

import contextlib
import fcntl
import os
import select
import shutil
import struct
import sys
import termios
import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.encryption import encrypted_file, sink_for
from dbtui.adapters.followers import FileFollower
from dbtui.adapters.processes import ChildTool, widen_pipe
from dbtui.adapters.space import SpaceWatch
from dbtui.adapters.streams import (
    CHUNK_BYTES,
    TAIL_BYTES,
    TICK_SECONDS,
    WrittenFile,
    create_file,
    write_stream,
)
from dbtui.model.backups import Compression, CompressionKind

_DEFAULT_LEVEL = 1
#: From this level on zstd packs more slowly than a tool dumps, and more processors help it.
_THREADS_FROM_LEVEL = 4
_ULTRA_FROM_LEVEL = 20
_SHORTEST_NAP_SECONDS = 0.002
_LONGEST_NAP_SECONDS = 0.05
#: The end of a dump, wanted in memory: it stays in the pipe until its writer has closed that.
_HELD_BYTES = 8192
_LEAST_PIPE_BYTES = 4 * _HELD_BYTES


def write_packed(
    source: int,
    path: Path,
    compression: Compression,
    cancellation: Cancellation,
    recipients: tuple[str, ...] | None = None,
) -> Generator[int, None, WrittenFile]:
    """Copy everything from pipe `source` into a new file at `path`, packed, encrypted if to anybody, hashed; fsync it.

    Yields the raw bytes so far about five times a second, also while nothing comes.
    Raises StorageError, ToolError, Cancelled.
    """
    program = shutil.which("zstd")
    widen_pipe(source)
    if _can_splice(source):
        if compression.kind is CompressionKind.ZSTD and program is not None:
            argv = zstd_arguments(program, compression.level)
            if recipients:
                return _write_by_both(argv, source, path, recipients, cancellation)
            return _write_by_program(argv, source, path, cancellation)
        if compression.kind is CompressionKind.NONE and recipients:
            return _write_encrypted(source, path, recipients, cancellation)
    return write_stream(source, path, compression, cancellation, open_sink=sink_for(recipients, cancellation))


def _can_splice(source: int) -> bool:
    # A user who has many pipes may get ones of a single page.
    return sys.platform == "linux" and fcntl.fcntl(source, fcntl.F_GETPIPE_SZ) >= _LEAST_PIPE_BYTES


def zstd_arguments(program: str, level: int | None) -> list[str]:
    """Return the words that pack stdin to stdout at a level; None is level 1, negative levels are zstd's fast ones."""
    chosen = _DEFAULT_LEVEL if level is None else level
    threads = 1 if chosen < _THREADS_FROM_LEVEL else min(os.cpu_count() or 1, 4)
    words = [program, "-q", "-c", f"-T{threads}", f"--fast={-chosen}" if chosen < 0 else f"-{chosen}"]
    return [*words, "--ultra"] if chosen >= _ULTRA_FROM_LEVEL else words


def _write_by_program(
    argv: list[str], source: int, path: Path, cancellation: Cancellation
) -> Generator[int, None, WrittenFile]:
    with (
        create_file(path) as file,
        ChildTool(argv, stdin=-1, stdout=file.fileno()) as packer,
        cancellation.interrupting(packer.stop),
        FileFollower(file.fileno(), path) as follower,
    ):
        assert packer.process.stdin is not None  # noqa: S101 - asked for above
        with contextlib.suppress(BrokenPipeError):  # it ended early: its exit code and words say why
            raw, tail = yield from _splice(source, packer.process.stdin.fileno(), cancellation)
            packer.process.stdin.close()
        while not packer.wait_for(TICK_SECONDS):
            cancellation.check()
        code = packer.wait()
        cancellation.check()
        if code != 0:
            SpaceWatch(path).check_messages(packer.messages)
            raise packer.failure(f"packing {path.name}", code)
        packed = follower.finish()
    return WrittenFile(packed.size_bytes, packed.sha256, raw, tail)


def _write_encrypted(
    source: int, path: Path, recipients: tuple[str, ...], cancellation: Cancellation
) -> Generator[int, None, WrittenFile]:
    with encrypted_file(path, recipients, cancellation) as encrypted:
        raw, tail = 0, b""
        with contextlib.suppress(BrokenPipeError):  # it ended early: `finish` says why
            raw, tail = yield from _splice(source, encrypted.descriptor, cancellation)
        digest = encrypted.finish()
    return WrittenFile(encrypted.size_bytes, digest, raw, tail)


def _write_by_both(
    argv: list[str], source: int, path: Path, recipients: tuple[str, ...], cancellation: Cancellation
) -> Generator[int, None, WrittenFile]:
    """Two programs, with a pipe between them: what is packed lies nowhere before it is encrypted."""
    with ChildTool(argv, stdin=-1, stdout=-1) as packer, cancellation.interrupting(packer.stop), ExitStack() as stack:
        assert packer.process.stdin is not None and packer.process.stdout is not None  # noqa: S101 - asked for above
        packed = packer.process.stdout
        encrypted = stack.enter_context(encrypted_file(path, recipients, cancellation, packed))
        packed.close()  # so that the packer learns when nobody reads it any more
        raw, tail = 0, b""
        with contextlib.suppress(BrokenPipeError):  # one of them ended early: its exit code and words say why
            raw, tail = yield from _splice(source, packer.process.stdin.fileno(), cancellation)
        packer.process.stdin.close()
        while not packer.wait_for(TICK_SECONDS):
            cancellation.check()
        code = packer.wait()
        cancellation.check()
        digest = encrypted.finish()
        if code != 0:
            raise packer.failure(f"packing {path.name}", code)
    return WrittenFile(encrypted.size_bytes, digest, raw, tail)


def _splice(source: int, sink: int, cancellation: Cancellation) -> Generator[int, None, tuple[int, bytes]]:
    """Move everything from one pipe to another; return how many bytes, and the last of them."""
    raw, nap, next_tick = 0, _SHORTEST_NAP_SECONDS, time.monotonic() + TICK_SECONDS
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(sink, 0)  # tells when nobody reads it any more
    widen_pipe(sink)
    while not (events := dict(poll.poll(TICK_SECONDS * 1000))).get(source, 0) & select.POLLHUP:
        if sink in events:
            raise BrokenPipeError
        ready = _waiting_bytes(source) - _HELD_BYTES
        if ready > 0:
            raw += os.splice(source, sink, ready)
            nap = _SHORTEST_NAP_SECONDS
        elif events:
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP_SECONDS)
        if time.monotonic() >= next_tick:
            cancellation.check()
            yield raw
            next_tick = time.monotonic() + TICK_SECONDS
    tail = b""
    while chunk := os.read(source, CHUNK_BYTES):
        raw += len(chunk)
        tail = (tail + chunk)[-TAIL_BYTES:]
        _write_whole(sink, chunk)
    cancellation.check()
    return raw, tail


def _waiting_bytes(pipe: int) -> int:
    """How many bytes a pipe holds."""
    count: int = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0]
    return count


def _write_whole(sink: int, data: bytes) -> None:
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[os.write(sink, remaining) :]
