"""Copying: what the terminal is sent, what tmux lets through, files of one's own, and the plain screen."""

import base64
import os
import shutil
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbtui.tui.aside import pages_of, write_export
from dbtui.tui.clipboard import MOST_BYTES, TmuxSettings, ask_tmux, clipboard_sequence, printable_text
from tests.tui.fix_pty import Terminal

Start = Callable[..., Terminal]
TMUX = {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-1/default,1,0"}


def test_what_is_copied_does_nothing_where_it_is_pasted() -> None:
    """Lines and tabs stay; escape sequences, and what ends a bracketed paste, do not."""
    assert printable_text("a\tb\nc\x1b[201~rm -rf\r") == "a\tb\nc·[201~rm -rf"


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        (TmuxSettings("on", "off"), "\x1b]52;c;"),
        (TmuxSettings("external", "on"), "\x1bPtmux;\x1b\x1b]52;c;"),
        (TmuxSettings("off", "all"), "\x1bPtmux;\x1b\x1b]52;c;"),
        (TmuxSettings("external", ""), "\x1bPtmux;"),
        (None, "\x1b]52;c;"),
    ],
)
def test_tmux_lets_it_through_one_way_or_the_other(settings: TmuxSettings | None, begins: str) -> None:
    """As it is with set-clipboard on, else wrapped, if that is allowed."""
    assert clipboard_sequence("x", TMUX, settings).startswith(begins)


def test_tmux_that_lets_nothing_through_is_named_with_the_cure() -> None:
    """The default of tmux drops it silently: so it is not sent."""
    with pytest.raises(ValueError, match=r"allow-passthrough off.*tmux set -s set-clipboard on"):
        clipboard_sequence("x", TMUX, TmuxSettings("external", "off"))


def test_too_long_and_the_linux_console_point_to_a_file() -> None:
    """Both would lose it."""
    with pytest.raises(ValueError, match="Y writes it to a file"):
        clipboard_sequence("é" * (MOST_BYTES // 2 + 1), {})
    with pytest.raises(ValueError, match="no clipboard"):
        clipboard_sequence("x", {"TERM": "linux"})


@pytest.fixture
def tmux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """A tmux server of our own, with what a program inside it would see; call it to set an option."""
    program = shutil.which("tmux")
    assert program, "tmux is needed for this test"
    socket = tmp_path / "tmux.sock"

    def run(*words: str) -> str:
        argv = [program, "-S", str(socket), "-f", "/dev/null", *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    run("new-session", "-d", "-x", "80", "-y", "24", "sleep 600")
    monkeypatch.setenv("TMUX", f"{socket},{run('display-message', '-p', '#{pid}')},0")
    monkeypatch.setenv("TMUX_PANE", run("display-message", "-p", "#{pane_id}"))
    yield run
    run("kill-server")


async def test_tmux_is_asked(tmux: Callable[..., str]) -> None:
    """Its defaults, then what was set, for this pane too."""
    assert await ask_tmux(os.environ) == TmuxSettings("external", "off")
    tmux("set", "-s", "set-clipboard", "on")
    tmux("set", "-p", "allow-passthrough", "on")
    assert await ask_tmux(os.environ) == TmuxSettings("on", "on")


async def test_no_tmux_or_a_dead_one_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is sent as it is."""
    assert await ask_tmux({}) is None
    monkeypatch.setenv("TMUX", f"{tmp_path}/gone,1,0")
    assert await ask_tmux(os.environ) is None


def test_an_export_is_ones_own(tmp_path: Path) -> None:
    """0600 in a directory of 0700, never over another one."""
    first, second = write_export("one", tmp_path), write_export("two\n", tmp_path)
    assert (first.read_text(), second.read_text()) == ("one\n", "two\n")
    assert first.stat().st_mode & 0o777 == 0o600
    assert first.parent.stat().st_mode & 0o777 == 0o700
    assert first != second


def test_pages_hold_what_the_terminal_breaks_itself() -> None:
    """A line of 25 cells takes three rows of ten; the last row belongs to the hint."""
    assert pages_of("x" * 25 + "\ny\nz", 10, 5) == [["x" * 25, "y"], ["z"]]
    assert pages_of("", 10, 5) == [[""]]


def test_y_sends_it(start_ui: Start) -> None:
    """By OSC 52; the words claim no more than that."""
    ui = start_ui("opened", columns=120)
    ui.wait_to_see("not proven")
    ui.press("y")
    ui.wait_to_see("sent to terminal: ")
    encoded = ui.output.partition(b"\x1b]52;c;")[2].partition(b"\x07")[0]
    assert base64.b64decode(encoded).decode() in ui.text


def test_a_file_and_a_plain_screen(start_ui: Start) -> None:
    """Y offers both; after the plain screen everything is as it was."""
    ui = start_ui("opened", columns=120)
    ui.wait_to_see("not proven")
    ui.press("Y")
    ui.wait_to_see("Copy to where?")
    ui.press("f")
    ui.wait_to_see("written to")
    ui.wait_to_see(".txt")
    path = ui.text.partition("written to")[2].split()[0]  # which a long path puts on a line of its own
    ui.press("Y")
    ui.wait_to_see("Copy to where?")
    ui.press("p")
    ui.wait_to_see("any key returns")
    assert Path(path).read_text().strip() in ui.text
    assert "Backups" not in ui.text
    assert not termios.tcgetattr(ui.process.fd)[3] & termios.ECHO
    ui.press("x")
    ui.wait_to_see("not proven")
    ui.press("j")
    ui.wait_until_idle()
    ui.press("q")
    assert ui.end_seconds(5) < 3
    assert termios.tcgetattr(ui.process.fd)[3] & termios.ECHO
    assert ui.process.wait() == 0
