"""Copying: what the terminal is sent, what tmux lets through, files of one's own, and the plain screen."""

import base64
import re
import shutil
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbtui.model.doctor import CopyRoute, CopyWay
from dbtui.tui.aside import pages_of, write_export
from dbtui.tui.clipboard import MOST_BYTES, clipboard_sequence, printable_text
from tests.tui.fix_pty import Terminal

Start = Callable[..., Terminal]


def test_what_is_copied_does_nothing_where_it_is_pasted() -> None:
    """Lines and tabs stay; escape sequences, and what ends a bracketed paste, do not."""
    assert printable_text("a\tb\nc\x1b[201~rm -rf\r") == "a\tb\nc·[201~rm -rf"


@pytest.mark.parametrize(
    ("route", "begins"),
    [
        (CopyRoute.PLAIN, "\x1b]52;c;"),
        (CopyRoute.TMUX, "\x1bPtmux;\x1b\x1b]52;c;"),
        (CopyRoute.SCREEN, "\x1bP\x1b]52;c;"),
        (CopyRoute.PLAIN_AND_SCREEN, "\x1b]52;c;eA==\x07\x1bP\x1b]52;c;"),
    ],
)
def test_it_is_wrapped_for_what_is_around(route: CopyRoute, begins: str) -> None:
    """As `analysis.copying` has judged."""
    assert clipboard_sequence("x", CopyWay(route)).startswith(begins)


def test_gnu_screen_is_sent_short_pieces() -> None:
    """Put together they are the sequence."""
    sequence = clipboard_sequence("x" * 1000, CopyWay(CopyRoute.SCREEN))
    pieces = sequence.removesuffix("\x1b\\").removeprefix("\x1bP").split("\x1b\\\x1bP")
    assert "".join(pieces) == clipboard_sequence("x" * 1000, CopyWay(CopyRoute.PLAIN))
    assert max(map(len, pieces)) <= 250


def test_what_would_be_lost_is_not_sent() -> None:
    """The reason comes with the cure."""
    with pytest.raises(ValueError, match=r"allow-passthrough off.*tmux set -s set-clipboard on"):
        clipboard_sequence("x", CopyWay(CopyRoute.NONE, "tmux drops it (allow-passthrough off)",
                                        "tmux set -s set-clipboard on"))  # fmt: skip
    with pytest.raises(ValueError, match="more than a terminal takes"):
        clipboard_sequence("é" * (MOST_BYTES // 2 + 1), CopyWay(CopyRoute.PLAIN))


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """A tmux server of our own; call it to run a command of it."""
    program = shutil.which("tmux")
    assert program, "tmux is needed for this test"
    socket = tmp_path / "tmux.sock"

    def run(*words: str) -> str:
        argv = [program, "-S", str(socket), "-f", "/dev/null", *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    run("new-session", "-d", "-x", "80", "-y", "24", "sleep 600")
    yield run
    run("kill-server")


def test_inside_tmux_it_is_sent_or_the_setting_is_named(
    start_ui: Start, tmux: Callable[..., str], tmp_path: Path
) -> None:
    """tmux's default drops it, so nothing is sent and the cure is said; with the cure it is sent, as with a wrapper."""
    inside = {"TERM": "tmux-256color", "TMUX": f"{tmp_path}/tmux.sock,1,0",
              "TMUX_PANE": tmux("display-message", "-p", "#{pane_id}")}  # fmt: skip
    ui = start_ui("opened", columns=120, **inside)
    ui.wait_to_see("not proven")
    ui.press("y")
    ui.wait_to_see("tmux set -s set-clipboard on; Y writes it")
    assert b"\x1b]52" not in ui.output
    tmux("set", "-p", "allow-passthrough", "on")
    ui.press("y")
    ui.wait_to_see("sent to terminal: ")
    assert ui.output.count(b"\x1bPtmux;\x1b\x1b]52;c;") == 1
    tmux("set", "-s", "set-clipboard", "on")
    ui.press("y")
    ui.wait_for(lambda: re.search(rb"[^\x1b]\x1b]52;c;", ui.output) is not None)


def test_a_console_has_no_clipboard(start_ui: Start) -> None:
    """What to do instead is said."""
    ui = start_ui("opened", columns=120, TERM="linux")
    ui.wait_to_see("not proven")
    ui.press("y")
    ui.wait_to_see("no clipboard: export to a file; Y writes it to a file")


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
