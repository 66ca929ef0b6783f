"""Logs that come through pipes: nothing comes for a while, nobody writes at all, and somebody gives up."""

import os
import sys
import threading
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.logs import open_log
from dbtui.errors import Cancelled, UsageError

LINE = '{"session": "a", "seq": 1, "sql": "SELECT 1"}\n'


def give_up(cancellation: Cancellation, seconds: float = 0.4) -> threading.Timer:
    """Ask to stop after a while."""
    timer = threading.Timer(seconds, cancellation.request)
    timer.start()
    return timer


@pytest.mark.parametrize("begin", [b"", LINE.encode()])
def test_a_quiet_pipe_can_be_given_up(begin: bytes) -> None:
    reading, writing = os.pipe()
    cancellation = Cancellation()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as other:
        other.write(begin)
        timer = give_up(cancellation)
        with pytest.raises(Cancelled), open_log(stream, cancellation=cancellation) as reader:
            list(reader)
        timer.join()


def test_a_named_pipe_that_nobody_writes_can_be_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    cancellation = Cancellation()
    timer = give_up(cancellation)
    with pytest.raises(Cancelled):
        open_log(tmp_path / "pipe", cancellation=cancellation)
    timer.join()


def test_a_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Timer(0.3, (tmp_path / "pipe").write_text, [LINE * 3])
    writer.start()
    with open_log(tmp_path / "pipe") as reader:
        assert len(list(reader)) == 3
    writer.join()


def test_a_closed_stdin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="stdin is closed"):
        open_log("-")


def test_zeros_that_a_crash_left_are_a_line_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LINE.encode() * 3 + b"\0" * 4096 + b"\n" + LINE.encode() * 2)
    with open_log(path) as reader:
        assert len(list(reader)) == 5
    assert reader.report.unreadable == 1
