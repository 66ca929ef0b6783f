"""How a running job is shown, interrupted and asked for a password; with the real program around a small job."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import ptyprocess
import pytest

from tests.cli.program import Ran, argv, environment
from tests.cli.working import PROGRAM, wait_for


def start(folder: Path, *words: str, before: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> Ran:
    stdout, stderr = process.communicate(timeout=30)
    return Ran(process.returncode, stdout, stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_signal_cancels_and_waits_for_the_undoing(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, "work")
    wait_for(tmp_path / "began")
    process.send_signal(number)
    ran = finish(process)
    assert ran.code == 130
    assert (tmp_path / "undone").exists()
    assert "stopping, and undoing what was begun" in ran.stderr
    assert "cancelled (" in ran.sentence
    assert ran.stdout == ""


def test_more_ctrl_c_do_no_harm(tmp_path: Path) -> None:
    process = start(tmp_path, "work")
    wait_for(tmp_path / "began")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    said = process.stderr.readline()
    while "stopping" not in said:
        assert said, "it ended without a word"
        said = process.stderr.readline()
    for _ in range(3):
        process.send_signal(signal.SIGINT)
    ran = finish(process)
    assert ran.code == 130
    assert (tmp_path / "undone").exists()
    assert "already stopping; please wait" in ran.stderr


def test_json_ends_with_cancelled(tmp_path: Path) -> None:
    process = start(tmp_path, "work", "--json")
    wait_for(tmp_path / "began")
    process.send_signal(signal.SIGTERM)
    ran = finish(process)
    assert (ran.code, ran.result["outcome"], ran.result["error_kind"]) == (130, "cancelled", "Cancelled")


def test_what_was_ignored_at_the_start_stays_ignored(tmp_path: Path) -> None:
    process = start(tmp_path, "work", before=("nohup",))
    wait_for(tmp_path / "began")
    process.send_signal(signal.SIGHUP)
    (tmp_path / "finish").touch()
    assert finish(process).code == 0


def test_a_signal_before_anything_runs_ends_it_at_once(tmp_path: Path) -> None:
    code = (
        "import os, signal\nimport dbtui.cli.main as p, dbtui.cli.group as g\np.COMMANDS['work'] = ('nowhere:x', '')\n"
    )
    code += "g._load = lambda _: os.kill(os.getpid(), signal.SIGTERM)\np.main(['work'])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert ran.returncode == 130
    assert ran.stderr == "dbtui: interrupted (SIGTERM)\n"


def test_words_go_to_stderr_and_data_to_stdout(tmp_path: Path) -> None:
    (tmp_path / "finish").touch()
    ran = finish(start(tmp_path, "work"))
    assert (ran.code, ran.stdout) == (0, "worked\n")
    assert ran.stderr.splitlines() == [
        "work  a·[31mb",
        "dbtui: warning: mind the gap",
        "work  done in 1 s",
    ]
    assert finish(start(tmp_path, "work", "--quiet")).stderr == "dbtui: warning: mind the gap\n"


def test_json_says_everything_in_lines(tmp_path: Path) -> None:
    (tmp_path / "finish").touch()
    ran = finish(start(tmp_path, "work", "--json"))
    assert ran.stderr == ""
    kinds = [event["event"] for event in ran.events]
    assert kinds == ["step_started", "progress", "command", "warning", "step_finished", "result"]
    assert ran.events[0]["detail"] == "a\x1b[31mb"
    assert ran.events[1] == {
        "event": "progress", "version": 1, "done": 1, "total": 2, "unit": "tables", "detail": ""
    }  # fmt: skip
    quiet = finish(start(tmp_path, "work", "--json", "--quiet")).events
    assert "progress" not in [event["event"] for event in quiet]


def test_a_job_goes_on_when_nobody_reads_any_more(tmp_path: Path) -> None:
    process = start(tmp_path, "work", "--json")
    wait_for(tmp_path / "began")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    (tmp_path / "finish").touch()
    assert process.wait(30) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_history_keeps_how_it_ended(tmp_path: Path) -> None:
    process = start(tmp_path, "work")
    wait_for(tmp_path / "began")
    process.send_signal(signal.SIGINT)
    finish(process)
    (tmp_path / "finish").touch()
    finish(start(tmp_path, "work"))
    entries = json.loads(finish(start(tmp_path, "history", "--json")).stdout)["history"]
    assert [entry["state"] for entry in entries] == ["succeeded", "cancelled"]
    assert entries[0]["commands"] == ["SELECT 1"]
    lines = finish(start(tmp_path, "history")).stdout.splitlines()
    assert len(lines) == 3
    assert "cancelled (Ctrl-C)" in lines[2]


def test_history_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    state = Path(os.environ["XDG_STATE_HOME"])
    (state / "dbtui").write_text("in the way")
    (tmp_path / "finish").touch()
    ran = finish(start(tmp_path, "work"))
    assert ran.code == 0
    assert "cannot be written" in ran.stderr
    assert (tmp_path / f"dbtui-state-{os.geteuid()}" / "history.db").is_file()


# --- on a terminal -------------------------------------------------------------------------------------------


class Terminal:
    """The program in a pseudo-terminal."""

    def __init__(self, folder: Path, *words: str, **environ: str) -> None:
        environ = {"TERM": "xterm", **environ}
        self.process = ptyprocess.PtyProcessUnicode.spawn(
            [sys.executable, "-c", PROGRAM, *words], cwd=str(folder), env=environment(**environ), dimensions=(24, 60)
        )
        self.seen = ""

    def wait_for(self, text: str) -> None:
        while text not in self.seen:
            self.seen += self.process.read()

    def end(self) -> int:
        while True:
            try:
                self.seen += self.process.read()
            except EOFError:
                break
        code: int = self.process.wait()
        return code


def test_a_bar_is_drawn_and_cleared(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "work")
    terminal.wait_for("1 of 2 tables")
    (tmp_path / "finish").touch()
    assert terminal.end() == 0
    assert "██████████░░░░░░░░░░" in terminal.seen
    assert "\x1b[31m" not in terminal.seen
    assert terminal.seen.endswith("worked\r\n")
    assert all(len(line) < 60 for line in terminal.seen.replace("\x1b[K", "").replace("\r", "\n").split("\n"))


def test_ctrl_c_on_the_terminal(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "work")
    wait_for(tmp_path / "began")
    terminal.process.sendintr()
    assert terminal.end() == 130
    assert (tmp_path / "undone").exists()


def test_a_vanished_terminal_still_undoes(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "work")
    wait_for(tmp_path / "began")
    terminal.process.fileobj.close()
    assert terminal.process.wait() == 130
    assert (tmp_path / "undone").exists()


def test_a_password_is_asked_for_once_and_not_shown(tmp_path: Path) -> None:
    for typed, code in (("right", 0), ("wrong", 4)):
        terminal = Terminal(tmp_path, "login", "postgresql://erp@db1/erp")
        terminal.wait_for("Password for erp@db1: ")
        terminal.process.write(f"{typed}\n")
        assert terminal.end() == code
        assert typed not in terminal.seen
        assert terminal.seen.count("Password for") == 1


def test_a_known_password_that_is_wrong_is_not_asked_for_again(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "login", "postgresql://erp:known@db1/erp")
    assert terminal.end() == 4
    assert "Password for" not in terminal.seen


def test_without_a_terminal_nobody_is_asked(tmp_path: Path) -> None:
    ran = finish(start(tmp_path, "login", "postgresql://erp@db1/erp"))
    assert (ran.code, ran.sentence) == (4, "the server refused the login erp; check the password")


def test_an_end_while_connections_are_looked_at_leaves_no_program_behind(tmp_path: Path) -> None:
    config, began = tmp_path / "config.toml", tmp_path / "began"
    code = f"import os, time; open({str(began)!r}, 'w').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    config.write_text(
        f'[profiles.slow]\nurl = "postgresql://u@127.0.0.1:1/d"\npassword_command = {[sys.executable, "-c", code]!r}\n'
    )
    process = subprocess.Popen(
        argv("connections"),
        cwd=tmp_path,
        env=environment(DBTUI_CONFIG=str(config), DATABASE_URL=""),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(began)
    while not began.read_text().endswith("\n"):
        pass
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 130
    assert not Path("/proc", began.read_text().strip(), "cwd").exists()
