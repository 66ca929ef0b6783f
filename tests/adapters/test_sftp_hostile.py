"""An SFTP server that lies: whatever it answers ends in a sentence, and leads to no file but the one that was meant."""

import os
import shlex
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.sftp import SftpRemote
from dbtui.errors import ConnectError, RemoteError
from dbtui.model.backups import BackupFile
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteSettings
from tests.sftp_remotes import drive

VERSION, STATUS, HANDLE, DATA, NAME, ATTRS = 2, 101, 102, 103, 104, 105
# Answers each request by what the table has for its kind, in turns; the last answer stays.
_PROGRAM = """
import struct, sys
answers = {answers!r}
read, write = sys.stdin.buffer.read, sys.stdout.buffer.write
while len(head := read(5)) == 5:
    length, kind = struct.unpack(">IB", head)
    body = read(length - 1)
    known = answers[kind]
    raw, answer, tail = known.pop(0) if len(known) > 1 else known[0]
    if raw:
        write(tail)
    else:
        packet = bytes([answer]) + (b"" if kind == 1 else body[:4]) + tail
        write(struct.pack(">I", len(packet)) + packet)
    sys.stdout.buffer.flush()
"""
INIT, OPEN, CLOSE, READ, LSTAT, OPENDIR, READDIR, REALPATH = 1, 3, 4, 5, 7, 11, 12, 16
Answers = dict[int, list[tuple[bool, int, bytes]]]


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def status(number: int) -> tuple[bool, int, bytes]:
    return (False, STATUS, struct.pack(">I", number) + string(b"\x1b[31mwords\n") + string(b""))


def names(*found: bytes, mode: int = 0o100600) -> tuple[bool, int, bytes]:
    entries = [string(name) + string(b"long") + struct.pack(">IQI", 5, 3, mode) for name in found]
    return (False, NAME, struct.pack(">I", len(found)) + b"".join(entries))


def honest() -> Answers:
    return {
        INIT: [(False, VERSION, struct.pack(">I", 3))],
        REALPATH: [names(b"/home/dba")],
        OPENDIR: [(False, HANDLE, string(b"h"))],
        OPEN: [(False, HANDLE, string(b"h"))],
        READDIR: [status(1)],
        CLOSE: [status(0)],
        LSTAT: [(False, ATTRS, struct.pack(">IQI", 5, 3, 0o100600))],
        READ: [(False, DATA, string(b"abc")), status(1)],
    }


@pytest.fixture
def open_liar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], SftpRemote]:
    """A remote whose `ssh` is a program that answers as the test wants it to."""

    def open_it(changes: Answers) -> SftpRemote:
        program = tmp_path / "bin" / "ssh"
        program.parent.mkdir()
        script = tmp_path / "server.py"
        script.write_text(_PROGRAM.format(answers=honest() | changes))
        program.write_text(f"#!/bin/sh\nexec {shlex.join([sys.executable, '-S', str(script)])}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        address = RemoteAddress(RemoteKind.SFTP, "vault", "/srv")
        return SftpRemote(address, RemoteSettings(timeout_seconds=20), dict(os.environ), Cancellation())

    return open_it


def test_names_that_lead_elsewhere_are_not_listed(open_liar: Callable[[Answers], SftpRemote]) -> None:
    page = names(
        b"../../etc/passwd", b"/etc/passwd", b"a/b", b".", b"..", b"", b"nul\0", b"\xff", b"line\nbreak\x1b[2J", b"good"
    )
    remote = open_liar({READDIR: [page, status(1)]})
    assert [each.name for each in remote.list_objects()] == ["line\nbreak\x1b[2J", "good"]
    remote.close()


def test_directories_without_end_end(open_liar: Callable[[Answers], SftpRemote]) -> None:
    remote = open_liar({READDIR: [answer for _ in range(40) for answer in (names(b"d", mode=0o040700), status(1))]})
    assert list(remote.list_objects()) == []
    remote.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({INIT: [(True, 0, b"Welcome to the vault, dear friend\n")]}, "sends something that is not SFTP"),
        ({INIT: [(True, 0, b"\xff\xff\xff\xff\x02")]}, "sends something that is not SFTP"),
        ({INIT: [(False, VERSION, struct.pack(">I", 2))]}, "sends something that is not SFTP"),
        ({INIT: [(False, VERSION, b"")]}, "ends in the middle"),
        ({REALPATH: [(False, NAME, struct.pack(">I", 0))]}, "names no home"),
        ({READDIR: [(False, NAME, struct.pack(">I", 0xFFFFFFFF))]}, "ends in the middle"),
        ({READDIR: [(False, NAME, struct.pack(">I", 1) + struct.pack(">I", 0xFFFFFFF0))]}, "ends in the middle"),
        ({OPENDIR: [status(0)]}, "the server answers something else"),
        ({READDIR: [status(0)]}, "the server answers something else"),
        ({REALPATH: [status(0)]}, "the server answers something else"),
        ({READDIR: [(True, 0, b"\x00\x00\x00\x00\x00\x00")]}, "sends something that is not SFTP"),
    ],
)
def test_answers_that_are_none(open_liar: Callable[[Answers], SftpRemote], changes: Answers, said: str) -> None:
    remote = open_liar(changes)
    with pytest.raises(ConnectError, match=said):
        list(remote.list_objects())
    remote.close()


@pytest.mark.parametrize("number", [3, 4, 8, 99, 0xFFFFFFFF])
def test_refusals_of_every_number(open_liar: Callable[[Answers], SftpRemote], number: int) -> None:
    remote = open_liar({OPENDIR: [status(number)]})
    with pytest.raises(
        RemoteError, match=r"/srv cannot be listed: (permission denied|the server refuses it)"
    ) as caught:
        list(remote.list_objects())
    assert "\x1b" not in str(caught.value)
    remote.close()


@pytest.mark.parametrize("data", [b"", b"ab", b"abd", b"abcd", b"x" * 100_000])
def test_contents_of_another_length_are_not_kept(
    open_liar: Callable[[Answers], SftpRemote], tmp_path: Path, data: bytes
) -> None:
    remote = open_liar({READ: [(False, DATA, string(data)), status(1)]})
    file = BackupFile("a", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    with pytest.raises(RemoteError, match="a in sftp://vault/srv is not what its manifest says"):
        drive(remote.download("a", tmp_path / "back", file))
    assert not (tmp_path / "back").exists()
    remote.close()


def test_the_liar_can_also_be_honest(open_liar: Callable[[Answers], SftpRemote], tmp_path: Path) -> None:
    remote = open_liar({})
    file = BackupFile("a", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    drive(remote.download("a", tmp_path / "back", file))
    assert (tmp_path / "back").read_bytes() == b"abc"
    remote.close()
