"""Plain terminals, lost parents, late answers: what is written to each kind, and what is left of the UI."""

import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.tui.fix_pty import ROOT, Terminal

Start = Callable[..., Terminal]
SIXTEEN = {*range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108)}


def _colours(output: bytes) -> tuple[set[int], set[str]]:
    """The SGR codes that were sent, and which kinds of longer colours: `38;2`, `48;5`."""
    codes: set[int] = set()
    kinds: set[str] = set()
    for found in re.findall(rb"\x1b\[([\d;]*)m", output):
        numbers = [int(code) for code in found.split(b";") if code]
        while numbers:
            code = numbers.pop(0)
            if code in (38, 48) and numbers:
                kinds.add(f"{code};{numbers[0]}")
                del numbers[: 2 if numbers[0] == 5 else 4]
            else:
                codes.add(code)
    return codes, kinds


@pytest.mark.parametrize("term", ["linux", "screen", "vt220"])
def test_sixteen_colours_are_enough(start_ui: Start, term: str) -> None:
    """Only the terminal's own; production is a red bar of reversed cells, and a word."""
    ui = start_ui("opened", TERM=term)
    ui.wait_to_see("● restored")
    ui.wait_until_idle()
    codes, kinds = _colours(ui.output)
    assert not kinds
    assert codes & SIXTEEN
    header = [ui.screen.buffer[0][column] for column in range(80)]
    assert all(cell.reverse for cell in header)
    assert {cell.fg for cell in header} == {"red"}
    assert "PROD" in ui.text.splitlines()[0]
    cursor = next(row for row in range(3, 20) if ui.screen.buffer[row][2].reverse)
    assert "erp" in ui.screen.display[cursor]


def test_256_colours_inside_tmux(start_ui: Start) -> None:
    """No colour that tmux would have to guess."""
    ui = start_ui("opened", TERM="tmux-256color", TMUX="/tmp/tmux-0/default,1,0")
    ui.wait_to_see("● restored")
    ui.wait_until_idle()
    _, kinds = _colours(ui.output)
    assert kinds == {"38;5", "48;5"}


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_production_cannot_be_overlooked(start_ui: Start, theme: str) -> None:
    """A red header from edge to edge."""
    ui = start_ui("opened", f"theme={theme}", COLORTERM="truecolor")
    ui.wait_to_see("● restored")
    ui.wait_until_idle()
    backgrounds = {ui.screen.buffer[0][column].bg for column in range(80)}
    for colour in backgrounds:
        red, green, blue = (int(colour[place : place + 2], 16) for place in (0, 2, 4))
        assert red > 100, backgrounds
        assert red > 2 * max(green, blue), backgrounds


def test_without_colour_production_is_reversed_and_a_word(start_ui: Start) -> None:
    """NO_COLOR."""
    ui = start_ui("opened", NO_COLOR="1")
    ui.wait_to_see("● restored")
    ui.wait_until_idle()
    assert all(ui.screen.buffer[0][column].reverse for column in range(80))
    assert "PROD" in ui.text.splitlines()[0]


def test_a_killed_parent_takes_it_along(tmp_path: Path) -> None:
    """`kill -9` of what holds the terminal's other end: an ssh client, a tmux server, a window."""
    script = (
        "import os, pty, sys, time\n"
        "pid, end = pty.fork()\n"
        "if not pid:\n    os.execvp(sys.argv[1], sys.argv[1:])\n"
        "print(pid, flush=True)\n"
        "while True:\n    os.read(end, 4096)\n"
    )
    argv = [sys.executable, "-c", script, sys.executable, "-m", "tests.tui.scripted_ui", str(tmp_path), "ignore-hup"]
    environ = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(argv, stdout=subprocess.PIPE, env=environ, cwd=ROOT)
    assert parent.stdout is not None
    ui = psutil.Process(int(parent.stdout.readline()))
    ends = time.monotonic() + 20
    while ui.num_threads() < 3:  # the watch of the terminal is one of them
        assert time.monotonic() < ends
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    psutil.wait_procs([ui], timeout=3)
    assert not ui.is_running() or ui.status() == psutil.STATUS_ZOMBIE


def test_leaving_over_a_slow_line_leaves_nothing_on_the_prompt(start_ui: Start) -> None:
    """What was not shown yet is dropped, and the settings, screen, cursor, mouse and paste mode are as before."""
    ui = start_ui("live=40", columns=160, rows=45)
    before = termios.tcgetattr(ui.process.fd)
    while "erp-test" not in ui.text:
        ui.read_slowly(10_000, 0.2)
    ui.press("\r")
    ui.read_slowly(10_000, 1.0)
    ui.press("q")
    began = time.monotonic()
    while psutil.pid_exists(ui.process.pid) and not ui._is_zombie() and time.monotonic() - began < 8:
        ui.read_slowly(10_000, 0.1)
    assert time.monotonic() - began < 5
    while ui.read(0.2):
        pass
    assert termios.tcgetattr(ui.process.fd)[:4] == before[:4]
    tail = ui.output[ui.output.rfind(b"\x1b[?1049l") :]
    for mode in (b"1000", b"1003", b"1006", b"2004", b"1004"):
        assert ui.output.rfind(b"\x1b[?" + mode + b"l") > ui.output.rfind(b"\x1b[?" + mode + b"h")
    assert ui.output.rfind(b"\x1b[?25h") > ui.output.rfind(b"\x1b[?25l")
    assert not re.sub(rb"\x1b\[[0-9;?<>]*[a-zA-Z]|\x1b\\", b"", tail).strip()


def test_answers_that_come_after_the_end_began_are_dropped(start_ui: Start) -> None:
    """Cursor reports and modes that a slow line still had under way."""
    ui = start_ui(answers=True)
    ui.wait_to_see("erp-test")
    ui.answers = False
    ui.press("q")
    ui.wait_for(lambda: b"\x1b[c" in ui.output[ui.output.rfind(b"\x1b[?1049l") :])
    ui.press("\x1b[24;80R\x1b[?2026;2$y\x1b[1;1R\x1b[?62;22c")
    ui.end_seconds(5)
    ui.read(0.2)
    tail = ui.output[ui.output.rfind(b"\x1b[c") + 3 :]
    assert b"R" not in tail
    assert b"2026" not in tail


def test_a_table_of_ten_thousand_rows_is_quick(start_ui: Start) -> None:
    """Open and move in ten thousand sessions: the table draws what is in view."""
    ui = start_ui("live=0", "sessions=10000", columns=160, rows=45)
    ui.wait_to_see("erp-test")
    ui.wait_until_idle(0.3)
    ui.press("\r")
    ui.wait_to_see("look 0")
    ui.wait_until_idle(0.25)
    taken = []
    for key in "jjjjkkkkG" + "kkkkg":
        began = time.monotonic()
        ui.press(key)
        while not ui.read(1.0, 1):
            pass
        taken.append(time.monotonic() - began)
        while ui.read(0.1):
            pass
    assert sorted(taken)[len(taken) // 2] < 0.05, taken
