"""The terminal: silent when idle, given back as it was, never survived, never needed by a program that has lost it."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import ptyprocess
import pytest

from dbtui.tui import terminal
from tests.costs import least
from tests.tui.fix_pty import ROOT, Terminal

Start = Callable[..., Terminal]


def test_idle_is_silent(start_ui: Start) -> None:
    """Nothing moves unless data did: five idle seconds write no byte."""
    ui = start_ui("opened")
    ui.wait_to_see("not proven")
    ui.wait_until_idle()
    began = time.monotonic()
    written = 0
    while time.monotonic() - began < 5:
        written += ui.read(0.5)
    assert written == 0


def test_a_step_of_the_cursor_sends_little(start_ui: Start) -> None:
    """Moving the cursor sends two lines and the footer, not the screen."""
    ui = start_ui("opened", COLORTERM="truecolor")
    ui.wait_to_see("not proven")
    ui.wait_until_idle()
    assert least(lambda: max(ui.bytes_of(key) for key in "jk"), 1500) < 1500


def test_panes_and_dialogs_send_what_differs(start_ui: Start) -> None:
    """A pane, a dialog, and what was behind it: less than half of a whole screen each."""
    ui = start_ui("opened", COLORTERM="truecolor")
    ui.wait_to_see("not proven")
    ui.wait_until_idle()
    for key in ("7", "2", "r", "\x1b", "\r"):
        assert ui.bytes_of(key) < 9000


def test_a_running_job_sends_little(start_ui: Start) -> None:
    """Progress twice a second at most, and only the cells that moved."""
    ui = start_ui("opened", "slow")
    ui.wait_to_see("not proven")
    ui.press("v")
    ui.wait_to_see("ctrl+x cancel")
    ui.read(1.0)
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < 3:
        sent += ui.read(0.5)
    assert 0 < sent / 3 < 1000


def test_redraw_sends_the_whole_screen(start_ui: Start) -> None:
    """Whatever was written over it is gone after ctrl+l."""
    ui = start_ui("opened")
    ui.wait_to_see("not proven")
    ui.wait_until_idle()
    before = ui.text
    ui.stream.feed(b"\x1b[2J\x1b[Hgarbage of another program")
    ui.press("\x0c")
    ui.wait_for(lambda: ui.text == before)


def test_keys_in_a_burst_go_where_they_were_meant(start_ui: Start) -> None:
    """A link that stalls delivers many keys at once: what is typed into a filter does not restore anything."""
    ui = start_ui("opened")
    ui.wait_to_see("not proven")
    for _ in range(5):
        for key in "/checksums\r":
            ui.press(key)
        ui.wait_to_see("▸ /checksums ")
        ui.press("\x1b")
        ui.wait_for(lambda: "/checksums" not in ui.text)
    ui.press("/erp\r")
    ui.wait_to_see("▸ /erp")
    assert "Restore" not in ui.text
    ui.press("r")
    ui.wait_to_see("Creates erp_restored")
    ui.press("\t\t\t\x1b[C")
    ui.wait_to_see("Replaces erp")
    ui.press("\x1b")
    ui.wait_for(lambda: "Replaces" not in ui.text)
    ui.press("d\terp-20261122T1500")
    ui.wait_to_see("There is no undo")
    ui.wait_until_idle()
    assert "Restore" not in ui.text
    ui.press("\x1b")
    ui.wait_for(lambda: "no undo" not in ui.text)
    ui.press("1 2v")
    ui.wait_to_see("intact: 1 file checked")


def test_leaving_gives_the_terminal_back(start_ui: Start) -> None:
    """After q: settings as before, alternate screen left, cursor shown, mouse and focus reports off."""
    ui = start_ui()
    before = termios.tcgetattr(ui.process.fd)
    ui.wait_to_see("erp-test")
    assert termios.tcgetattr(ui.process.fd)[3] != before[3]
    ui.press("q")
    ui.end_seconds(5)
    assert termios.tcgetattr(ui.process.fd)[:4] == before[:4]
    assert ui.process.wait() == 0
    tail = ui.output[ui.output.rfind(b"\x1b[?1049l") :]
    assert b"\x1b[?1049l" in ui.output
    assert b"\x1b[?25h" in tail
    assert b"\x1b[?1004l" in tail


@pytest.mark.parametrize("keys", ["\x03", "\x11"])
def test_ctrl_c_and_ctrl_q_leave_too(start_ui: Start, keys: str) -> None:
    """Whatever the hands are used to."""
    ui = start_ui()
    ui.wait_to_see("erp-test")
    ui.press(keys)
    ui.end_seconds(5)
    assert ui.process.wait() == 0


def test_mouse_stays_off_over_ssh(start_ui: Start) -> None:
    """The mouse belongs to the terminal's own selection there."""
    ui = start_ui(SSH_CONNECTION="10.0.0.7 50000 10.0.0.8 22")
    ui.wait_to_see("erp-test")
    assert b"\x1b[?1003h" not in ui.output
    ui.press("q")
    ui.end_seconds(5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_within_a_second(start_ui: Start, number: signal.Signals) -> None:
    """The terminal is restored and the exit code says why."""
    ui = start_ui()
    before = termios.tcgetattr(ui.process.fd)
    ui.wait_to_see("erp-test")
    os.kill(ui.process.pid, number)
    assert ui.end_seconds(3) < 1.6
    assert ui.process.wait() == 128 + number
    assert termios.tcgetattr(ui.process.fd)[:4] == before[:4]
    assert ui.output.rfind(b"\x1b[?1049l") > ui.output.rfind(b"\x1b[?1049h")


def test_a_vanished_terminal_ends_it(start_ui: Start) -> None:
    """A dropped connection leaves no process behind, and none that burns a core."""
    ui = start_ui()
    ui.wait_to_see("erp-test")
    ui.hang_up()
    assert ui.end_seconds(3) < 1.6


def test_a_vanished_terminal_ends_it_even_without_a_signal(start_ui: Start) -> None:
    """`nohup` and some jump hosts take SIGHUP away: the terminal itself is watched."""
    ui = start_ui("ignore-hup")
    ui.wait_to_see("erp-test")
    ui.hang_up()
    assert ui.end_seconds(4) < 2.0


@pytest.mark.parametrize("is_gone", [True, False])
def test_hooks_are_told_of_what_a_vanished_terminal_ends(start_ui: Start, tmp_path: Path, is_gone: bool) -> None:
    """A dropped connection cancels the job; whoever is to be told of that has some seconds to be told."""
    ui = start_ui("opened", "slow", "hooked")
    ui.wait_to_see("not proven")
    ui.press("v")
    ui.wait_to_see("ctrl+x cancel")
    if is_gone:
        ui.hang_up()
    else:
        os.kill(ui.process.pid, signal.SIGTERM)
    ui.end_seconds(terminal.HOOK_SECONDS + 5)
    assert (tmp_path / "told").read_text() == "cancelled"


_STARTED_IN_THE_BACKGROUND = """
import subprocess, sys
ui = subprocess.Popen([sys.executable, "-m", "dbtui", *sys.argv[1:]], process_group=0, stdin=0, stdout=1, stderr=2)
print("STARTED", ui.pid, flush=True)
ui.wait()
"""


def test_one_that_the_shell_holds_in_the_background_can_be_ended(tmp_path: Path) -> None:
    """It is stopped when it touches the terminal; giving that back must not stop it a second time."""
    program = [sys.executable, "-c", _STARTED_IN_THE_BACKGROUND, f"sqlite:///{tmp_path}/a.db"]
    home = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    with sqlite3.connect(tmp_path / "a.db") as made:
        made.execute("CREATE TABLE t (a)")
    made.close()
    shell = ptyprocess.PtyProcess.spawn(program, cwd=str(ROOT), env={**os.environ, **home, "TERM": "xterm-256color"})
    try:
        said = b""
        while b"STARTED" not in said or not said.endswith(b"\n"):
            said += shell.read(1)
        ui = psutil.Process(int(said.split()[1]))
        _wait_for(lambda: ui.status() == psutil.STATUS_STOPPED)
        ui.send_signal(signal.SIGTERM)
        ui.send_signal(signal.SIGCONT)
        _wait_for(lambda: not ui.is_running() or ui.status() == psutil.STATUS_ZOMBIE)
    finally:
        shell.close(force=True)


def _wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.parametrize("word", ["slow", "stuck"])
def test_ending_while_a_job_runs(start_ui: Start, word: str) -> None:
    """SIGTERM does not wait for a job that does not listen."""
    ui = start_ui("opened", word)
    ui.wait_to_see("not proven")
    ui.press("v")
    ui.wait_to_see("ctrl+x cancel")
    os.kill(ui.process.pid, signal.SIGTERM)
    assert ui.end_seconds(3) < 1.6
    assert ui.process.wait() == 128 + signal.SIGTERM


def _quit_while_it_runs(start_ui: Start, word: str) -> Terminal:
    ui = start_ui("opened", word, columns=120)
    ui.wait_to_see("not proven")
    ui.press("v")
    ui.wait_to_see("ctrl+x cancel")
    ui.press("q")
    ui.wait_to_see("Leave while a job runs?")
    ui.press("y")
    return ui


@pytest.mark.parametrize("key", ["q", "\x03", "\x11"], ids=["q", "ctrl+c", "ctrl+q"])
def test_leaving_a_stuck_job_waits_until_a_second_key(start_ui: Start, key: str) -> None:
    """The job's thread is blocked: what is waited for is said, and a second q leaves within two seconds."""
    ui = _quit_while_it_runs(start_ui, "stuck")
    ui.wait_to_see("ending the verify: waiting until “dump” stops (at most 15 s; q leaves at once)")
    ui.press("1")
    ui.read(0.5)
    assert "ending the verify" in ui.text, "nothing else can be done now"
    ui.press(key)
    assert ui.end_seconds(5) < 2.5
    assert ui.process.wait() == 0


def test_leaving_waits_until_what_a_job_made_is_dropped(start_ui: Start) -> None:
    """Dropping takes two seconds here: it is said, and it is over before the UI ends."""
    ui = _quit_while_it_runs(start_ui, "undoing")
    ui.wait_to_see("ending the verify: dropping erp__new_1 on db1:5432 (at most 15 s; q leaves at once)")
    assert 1.0 < ui.end_seconds(8) < 6
    assert ui.process.wait() == 0
    assert b"may have left" not in ui.output


def test_leaving_at_once_says_what_was_left_where(start_ui: Start) -> None:
    """After the terminal has been given back, so that it can be read."""
    ui = _quit_while_it_runs(start_ui, "undoing")
    ui.wait_to_see("dropping erp__new_1 on db1:5432")
    ui.press("q")
    assert ui.end_seconds(5) < 1.9
    ui.read(0.2)
    said = ui.output[ui.output.rfind(b"\x1b[?1049l") :].decode()
    assert "verify erp-20261122T150000Z was not ended in good order and may have left" in said
    assert "the database erp__new_1 on db1:5432: drop it by hand if it is still there" in said


def test_a_crash_is_a_sentence_without_values(start_ui: Start, tmp_path: Path) -> None:
    """An error in dbtui itself ends it with one sentence; the log has the traceback, neither has a variable's value."""
    ui = start_ui("crash")
    ui.end_seconds(10)
    assert ui.process.wait() == 1
    written = ui.output.decode(errors="replace")
    assert "dbtui stopped because of an error of its own: RuntimeError" in written
    assert "hunter2" not in written.partition("hunter2-is-not-shown")[0] + written.rpartition("stopped because")[2]
    assert "Traceback" not in written
    log = (tmp_path / "state" / terminal.LOG_NAME).read_text()
    assert "Traceback" in log
    assert (tmp_path / "state" / terminal.LOG_NAME).stat().st_mode & 0o777 == 0o600


def test_what_libraries_write_to_standard_error_stays_off_the_screen(start_ui: Start, tmp_path: Path) -> None:
    """libpq and others write to descriptor 2; that lands in the log."""
    ui = start_ui("noisy")
    ui.wait_to_see("erp-test")
    ui.wait_until_idle()
    assert "WARNING: password file" not in ui.text
    assert "WARNING: password file" in (tmp_path / "state" / terminal.LOG_NAME).read_text()


def test_late_answers_of_the_terminal_do_not_land_in_the_shell(start_ui: Start) -> None:
    """Answers that come while it ends are read and dropped."""
    ui = start_ui()
    ui.wait_to_see("erp-test")
    ui.press("q")
    ui.wait_for(lambda: b"\x1b[c" in ui.output[ui.output.rfind(b"\x1b[?1049l") :])
    ui.press("\x1b[?2026;2$y\x1b[?2048;2$y\x1b[?62;22c")
    ui.end_seconds(5)
    ui.read(0.2)
    tail = ui.output[ui.output.rfind(b"\x1b[c") + 3 :]
    assert b"2026;2" not in tail  # the kernel would have echoed it


def _run(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", "import os; from dbtui.tui import terminal; terminal.check_terminal(os.environ)"]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **environ}, cwd=ROOT, check=False)


def test_without_a_terminal_it_says_what_to_use_instead() -> None:
    """Redirected input or output."""
    assert "the terminal UI needs a terminal" in _run({}).stderr


def test_a_dumb_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb cannot be drawn on."""
    monkeypatch.setattr(os, "isatty", lambda _descriptor: True)
    with pytest.raises(Exception, match="TERM=dumb"):
        terminal.check_terminal({"TERM": "dumb"})


@pytest.mark.parametrize(
    ("environ", "few"),
    [
        ({"TERM": "linux"}, True),
        ({"TERM": "screen"}, True),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "linux", "COLORTERM": "truecolor"}, False),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True),
    ],
)
def test_colours(environ: dict[str, str], few: bool) -> None:
    """Sixteen colours, or none, use the terminal's own."""
    assert terminal.has_few_colours(environ) is few


def test_no_color_sends_no_colour(start_ui: Start) -> None:
    """With NO_COLOR the screen is readable and no colour is sent."""
    ui = start_ui("opened", NO_COLOR="1")
    ui.wait_to_see("● restored")
    ui.wait_until_idle()
    codes = {int(code) for found in re.findall(rb"\x1b\[([\d;]+)m", ui.output) for code in found.split(b";") if code}
    assert not codes & {38, 48, *range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108)}
    ui.press("q")
    ui.end_seconds(5)


def test_the_process_sleeps_when_idle(start_ui: Start) -> None:
    """No polling loop worth speaking of."""
    ui = start_ui("opened")
    ui.wait_to_see("not proven")
    ui.wait_until_idle()
    process = psutil.Process(ui.process.pid)
    before = sum(process.cpu_times()[:2])
    ui.read(3.0)
    time.sleep(3.0)
    assert (sum(process.cpu_times()[:2]) - before) / 3 < 0.05
