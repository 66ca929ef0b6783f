"""A dump is packed by the zstd program behind a pipe: nothing is lost, and every end of it is noticed."""

import hashlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
import zstandard

from dbtui.adapters import packing
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.packing import write_packed
from dbtui.errors import Cancelled, ToolError
from dbtui.model.backups import Compression, CompressionKind
from tests.unit.test_streams import feeding, finish

RANDOM = random.Random(11)
TEXT = b"\n".join(b"%d\tname %d\t%s" % (n, n % 97, RANDOM.randbytes(8).hex().encode()) for n in range(60_000))
ZSTD = Compression(CompressionKind.ZSTD)


def unpacked(path: Path) -> bytes:
    return subprocess.run(["zstd", "-dcq", "--", str(path)], check=True, stdout=subprocess.PIPE).stdout


@pytest.mark.parametrize("data", [b"", b"x", TEXT[:8192], TEXT[:8193], TEXT[:70_000], TEXT], ids=len)
@pytest.mark.parametrize("level", [None, -5, 3, 22])
def test_what_went_in_comes_out(data: bytes, level: int | None, tmp_path: Path) -> None:
    path = tmp_path / "dump.zst"
    with feeding(data) as source:
        written = finish(write_packed(source, path, Compression(CompressionKind.ZSTD, level), Cancellation()))
    assert unpacked(path) == data
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (written.size_bytes, written.raw_bytes) == (path.stat().st_size, len(data))
    assert data.endswith(written.tail)
    assert len(written.tail) >= min(len(data), 8192)
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_the_program_python_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "dump.zst"
    with feeding(TEXT) as source:
        written = finish(write_packed(source, path, ZSTD, Cancellation()))
    assert zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()) == TEXT
    assert written.tail == TEXT[-65536:]


def test_a_pipe_of_one_page_is_read_by_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "widen_pipe", lambda descriptor: None)
    monkeypatch.setattr(packing, "_LEAST_PIPE_BYTES", 1 << 30)
    with feeding(TEXT) as source:
        written = finish(write_packed(source, tmp_path / "dump.zst", ZSTD, Cancellation()))
    assert written.raw_bytes == len(TEXT)
    assert unpacked(tmp_path / "dump.zst") == TEXT


class Stalled:
    """A packing whose source has said something and then nothing more."""

    def __init__(self, path: Path, said: bytes) -> None:
        self.cancellation = Cancellation()
        self.source, self.sink = os.pipe()
        self.steps = write_packed(self.source, path, ZSTD, self.cancellation)
        self.writer = threading.Thread(target=self.say, args=(said,))
        self.writer.start()
        next(self.steps)

    def say(self, said: bytes) -> None:
        view = memoryview(said)
        try:
            while view:
                view = view[os.write(self.sink, view) :]
        except BrokenPipeError:
            return

    def packer(self) -> psutil.Process:
        return next(child for child in psutil.Process().children() if child.name() == "zstd")

    def close(self) -> None:
        self.steps.close()
        os.close(self.source)
        self.writer.join()
        os.close(self.sink)


@pytest.fixture
def stalled(tmp_path: Path) -> Generator[Stalled, None, None]:
    one = Stalled(tmp_path / "dump.zst", TEXT[:50_000])
    yield one
    one.close()


def test_a_source_thatsays_nothing_costs_no_processor_time(stalled: Stalled) -> None:
    began, used = time.monotonic(), time.thread_time()
    while time.monotonic() < began + 1:
        next(stalled.steps)
    assert time.thread_time() - used < 0.1


def test_it_is_cancelled_while_the_sourcesays_nothing(stalled: Stalled) -> None:
    packer = stalled.packer()
    stalled.cancellation.request()
    with pytest.raises(Cancelled):
        finish(stalled.steps)
    assert not packer.is_running()


def test_it_is_cancelled_while_the_program_takes_nothing(tmp_path: Path) -> None:
    stuck = Stalled(tmp_path / "dump.zst", TEXT)
    packer = stuck.packer()
    packer.send_signal(signal.SIGSTOP)
    stuck.writer = threading.Thread(target=stuck.say, args=(TEXT * 5,))
    stuck.writer.start()

    def cancel() -> None:
        stuck.cancellation.request()
        packer.send_signal(signal.SIGCONT)

    timer = threading.Timer(0.5, cancel)
    timer.start()
    with pytest.raises(Cancelled):
        finish(stuck.steps)
    stuck.close()
    assert not packer.is_running()


def test_the_end_of_the_program_is_an_error(stalled: Stalled) -> None:
    stalled.packer().kill()
    with pytest.raises(ToolError, match="zstd was ended by SIGKILL"):
        finish(stalled.steps)
