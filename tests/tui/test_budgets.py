"""What the UI may cost, in a real pseudo-terminal at 160x45 and 80x24.

Other programs on the machine do not count: time is what the kernel says the UI's threads were on a processor, and a
key's answer is timed without what the UI waited for one.
"""

import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.costs import least, seconds_waited
from tests.tui.fix_pty import ROOT, Terminal

Start = Callable[..., Terminal]
SIZES = [(160, 45), (80, 24)]
MEGABYTE = 1_000_000


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Callable[[int, int], Terminal]]:
    """Starts `dbtui FILE` itself, with nothing replaced."""
    path = tmp_path / "app.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE readings (id INTEGER PRIMARY KEY, value REAL NOT NULL)")
    terminals: list[Terminal] = []

    def start(columns: int, rows: int) -> Terminal:
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm-256color", "LANG": "C.UTF-8",
                   "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}  # fmt: skip
        argv = [sys.executable, "-m", "dbtui", f"sqlite:///{path}"]
        terminals.append(Terminal(argv, environ, columns, rows, answers=True))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.press("q")
        terminal.end_seconds(10)
        terminal.process.wait()
        terminal.process.close()


def _seconds_run(pid: int) -> float:
    """The seconds that a process's threads were on a processor: sched-stats of the Linux kernel, in nanoseconds."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _time_key(ui: Terminal, key: str) -> tuple[float, int]:
    """Seconds until a key is answered, without those in which the UI had no processor; the bytes of the answer."""
    before, began = seconds_waited(ui.process.pid), time.monotonic()
    ui.press(key)
    sent = 0
    while not sent:
        sent = ui.read(2.0, 1)
    taken = time.monotonic() - began
    waited = seconds_waited(ui.process.pid) - before
    while count := ui.read(0.08):
        sent += count
    return max(0.0, taken - waited), sent


def _most_bytes(ui: Terminal) -> int:
    ui.wait_until_idle()
    return max(_time_key(ui, key)[1] for key in "jjjjkkkk" * 3)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_memory_and_silence(on_sqlite: Callable[[int, int], Terminal], columns: int, rows: int) -> None:
    """Below 55 MB after the start on a SQLite file, and no byte while nothing changes."""
    ui = on_sqlite(columns, rows)
    ui.wait_to_see("SQLite")
    ui.wait_to_see("backs up")
    ui.wait_until_idle()
    assert psutil.Process(ui.process.pid).memory_info().rss < 55 * MEGABYTE
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < 4:
        sent += ui.read(0.5)
    assert sent == 0


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_keys_and_dialogs(start_ui: Start, columns: int, rows: int) -> None:
    """A step of the cursor at most 2 kB and a few milliseconds, a dialog at most 45 kB, and as much to take it away."""
    ui = start_ui("opened", columns=columns, rows=rows, COLORTERM="truecolor")
    ui.wait_to_see("not proven")
    ui.wait_until_idle()
    rounds: list[list[int]] = []

    def key_seconds() -> float:
        answers = [_time_key(ui, key) for key in "jjjjkkkk" * 3]
        rounds.append([sent for _, sent in answers])
        return statistics.median(seconds for seconds, _ in answers)

    assert least(key_seconds, 0.008) <= 0.008
    assert statistics.median(rounds[-1]) <= 2000, rounds
    assert max(rounds[-1]) <= 3000 or least(lambda: _most_bytes(ui), 3000) <= 3000, rounds  # all of another backup
    ui.wait_until_idle()
    for keys in ("?", "\x1b", "r", "\x1b", ":", "\x1b", "Y", "\x1b"):
        assert ui.bytes_of(keys) <= 45_000, keys


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_live_pools(start_ui: Start, columns: int, rows: int) -> None:
    """A ladder of which everything changes each second, charts and a load test included: at most 5 kB a second."""
    ui = start_ui("pools", columns=columns, rows=rows, COLORTERM="truecolor")
    ui.wait_to_see("erp-test")
    ui.press("g3")
    ui.wait_to_see("erp/app")
    if rows < 30:
        ui.press("c")
    ui.wait_to_see("stages")
    process = psutil.Process(ui.process.pid)
    before, began, sent = sum(process.cpu_times()[:2]), time.monotonic(), 0
    while time.monotonic() - began < 21:  # the right edge of the charts moves twice meanwhile
        sent += ui.read(0.25)
    seconds = time.monotonic() - began
    assert 0 < sent / seconds <= 5000, sent / seconds
    assert (sum(process.cpu_times()[:2]) - before) / seconds < 0.10


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_live_sessions(start_ui: Start, columns: int, rows: int) -> None:
    """Forty sessions each second, eight of which are busy: at most 5 kB and two percent of a processor."""
    ui = start_ui("live=8", columns=columns, rows=rows, COLORTERM="truecolor")
    ui.wait_to_see("erp-test")
    ui.press("\r")
    ui.wait_to_see("look 0")
    ui.wait_until_idle(0.3)

    def share_of_processor() -> float:
        before, began, sent = _seconds_run(ui.process.pid), time.monotonic(), 0
        while time.monotonic() - began < 10:
            sent += ui.read(0.25)
        seconds = time.monotonic() - began
        assert 0 < sent / seconds <= 5000
        return (_seconds_run(ui.process.pid) - before) / seconds

    limit = 0.02 if columns == 80 else 0.025  # the server's answers are made up in this process
    assert least(share_of_processor, limit) <= limit


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_live_queries(start_ui: Start, columns: int, rows: int) -> None:
    """Two hundred statements whose sums all change with each look, every two seconds: at most 5 kB a second."""
    ui = start_ui("queries", columns=columns, rows=rows, COLORTERM="truecolor")
    ui.wait_to_see("erp-test")
    ui.press("gj5")
    ui.wait_to_see("suspicions take")
    ui.press("+t")
    ui.wait_to_see("in the last 2 s")
    process = psutil.Process(ui.process.pid)
    before, began, sent = sum(process.cpu_times()[:2]), time.monotonic(), 0
    while time.monotonic() - began < 12:
        sent += ui.read(0.25)
    seconds = time.monotonic() - began
    assert 0 < sent / seconds <= 5000, sent / seconds
    assert (sum(process.cpu_times()[:2]) - before) / seconds < 0.10
