"""A dump on its way into an encrypted file: whole whatever packs it, and every end of who works on it is noticed."""

import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import psutil
import pyrage
import pytest

from dbtui.adapters import encryption, packing
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.encryption import open_data, sink_for
from dbtui.adapters.packing import write_packed
from dbtui.adapters.streams import write_stream
from dbtui.errors import Cancelled, StorageError, ToolError
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, StoredBackup
from dbtui.model.connections import EngineName, Secret
from tests.unit.test_packing import TEXT
from tests.unit.test_streams import feeding, finish

IDENTITY = pyrage.x25519.Identity.generate()
TO = (str(IDENTITY.to_public()), str(pyrage.x25519.Identity.generate().to_public()))
NONE, GZIP, ZSTD = (Compression(kind) for kind in CompressionKind)


def read_back(path: Path, compression: Compression) -> bytes:
    stored = StoredBackup(
        backup_id="x", engine=EngineName.POSTGRESQL, format=BackupFormat.PLAIN, compression=compression,
        data_path=str(path), encryption="age", identity=Secret(str(IDENTITY)),
    )  # fmt: skip
    with open_data(stored) as stream:
        return stream.read()


def no_change(_monkeypatch: pytest.MonkeyPatch, _folder: Path) -> None:
    return


def no_program(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", str(folder))


def small_pipes(monkeypatch: pytest.MonkeyPatch, _folder: Path) -> None:
    monkeypatch.setattr(packing, "_LEAST_PIPE_BYTES", 1 << 30)


@pytest.mark.parametrize("data", [b"", b"x", TEXT[:65_536], TEXT], ids=len)
@pytest.mark.parametrize("compression", [NONE, GZIP, ZSTD], ids=str)
@pytest.mark.parametrize("change", [no_change, no_program, small_pipes])
def test_what_went_in_comes_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch, Path], None],
    data: bytes,
    compression: Compression,
) -> None:
    path = tmp_path / "dump.age"
    change(monkeypatch, tmp_path)
    with feeding(data) as source:
        written = finish(write_packed(source, path, compression, Cancellation(), TO))
    content = path.read_bytes()
    assert content.startswith(b"age-encryption.org/v1\n")
    assert (written.size_bytes, written.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert written.raw_bytes == len(data)
    assert data.endswith(written.tail)
    assert len(written.tail) >= min(len(data), 8192)
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.undo()
    assert read_back(path, compression) == data


def test_what_is_tapped_is_plain(tmp_path: Path) -> None:
    seen = bytearray()
    with feeding(TEXT) as source:
        path = tmp_path / "dump.age"
        sink = sink_for(TO, Cancellation())
        finish(write_stream(source, path, NONE, Cancellation(), lambda chunk: seen.extend(chunk), sink))
    assert bytes(seen) == TEXT == read_back(path, NONE)


def children(word: str) -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if word in " ".join(each.cmdline())]


class Endless:
    """A dump that does not end by itself."""

    def __init__(self, path: Path, compression: Compression) -> None:
        self.cancellation = Cancellation()
        self.tool = subprocess.Popen(["yes", "some row of a table"], stdout=subprocess.PIPE)
        assert self.tool.stdout is not None
        self.steps = write_packed(self.tool.stdout.fileno(), path, compression, self.cancellation, TO)
        next(self.steps)

    def close(self) -> None:
        self.steps.close()
        self.tool.kill()
        self.tool.wait()
        assert self.tool.stdout is not None
        self.tool.stdout.close()


@pytest.fixture(params=[NONE, GZIP, ZSTD], ids=str)
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Endless]:
    one = Endless(tmp_path / "dump.age", request.param)
    yield one
    one.close()
    assert not children("age_program")


def test_the_end_of_the_process_that_encrypts_is_an_error(endless: Endless) -> None:
    (encrypting,) = children("age_program")
    encrypting.send_signal(signal.SIGKILL)
    with pytest.raises(ToolError, match=r"encrypting dump\.age: age \(encrypt\) was ended by SIGKILL"):
        finish(endless.steps)


def test_a_cancel_ends_all_of_them(endless: Endless) -> None:
    endless.cancellation.request()
    with pytest.raises(Cancelled):
        finish(endless.steps)
    assert not children("age_program")
    assert not children("zstd")


def test_the_end_of_the_packer_is_an_error_although_what_it_left_is_well_encrypted(tmp_path: Path) -> None:
    one = Endless(tmp_path / "dump.age", ZSTD)
    (packer,) = children("zstd")
    packer.send_signal(signal.SIGKILL)
    with pytest.raises(ToolError, match="zstd was ended by SIGKILL"):
        finish(one.steps)
    one.close()


@pytest.mark.parametrize("compression", [NONE, GZIP, ZSTD], ids=str)
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: Compression) -> None:
    def full_disk(_path: Path) -> BinaryIO:
        return os.fdopen(os.open("/dev/full", os.O_RDWR | os.O_CLOEXEC), "r+b", buffering=0)

    monkeypatch.setattr(encryption, "create_file", full_disk)
    with (
        feeding(os.urandom(1 << 20)) as source,
        pytest.raises(StorageError, match=r"the disk that holds .*dump\.age is full"),
    ):
        finish(write_packed(source, tmp_path / "dump.age", compression, Cancellation(), TO))
