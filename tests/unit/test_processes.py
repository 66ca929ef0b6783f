"""Child tools: their words are kept, their environment is clean, and they end when they should, with their children."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dbtui.adapters.processes import ChildTool, tool_environment, tool_output
from dbtui.errors import ToolError


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_tool_that_ends_well() -> None:
    with ChildTool(["sh", "-c", "echo out; echo first >&2; echo second >&2"], stdout=subprocess.PIPE) as tool:
        assert tool.process.stdout is not None
        assert tool.process.stdout.read() == b"out\n"
        tool.check("testing")
    assert tool.messages == ("first", "second")


def test_the_first_error_is_told() -> None:
    script = (
        "echo 'dumping contents of table \"public.error\"'; echo 'x: error: the cause'; echo 'x: error: later'; exit 3"
    )
    with ChildTool(["sh", "-c", f"({script}) >&2; exit 3"]) as tool, pytest.raises(ToolError) as failed:
        tool.check("the dump of erp")
    assert str(failed.value) == "the dump of erp: sh exited with 3: x: error: the cause"


def test_a_signal_is_named() -> None:
    with ChildTool(["sh", "-c", "kill -9 $$"]) as tool, pytest.raises(ToolError, match="was ended by SIGKILL"):
        tool.check("testing")


@pytest.mark.parametrize(
    "line",
    [
        "mysqldump: Got error: 1045: Access denied",
        "mysqldump: Error 1412: Table definition has changed",
        "zstd: error 70 : Write error",
        "pg_dump: error: query failed",
        "FATAL:  no",
        "ERROR 1064 (42000): You have an error",
    ],
)
def test_every_tools_way_to_speak_of_an_error_is_known(line: str) -> None:
    with ChildTool(["sh", "-c", 'echo "$1" >&2; echo afterwards >&2; exit 1', "sh", line]) as tool:
        tool.wait()
    assert tool.errors == (line,)


def test_a_missing_tool_is_a_sentence() -> None:
    with pytest.raises(ToolError, match="no-such-tool cannot be started: there is no such program; install it"):
        ChildTool(["no-such-tool"])
    with pytest.raises(ToolError, match="cannot be run"):
        tool_output(["/no/such/tool", "--version"])


def test_its_words_are_made_safe_and_kept_short() -> None:
    script = r"(printf '\033[31mred\n'; seq -f 'line %g' 0 999; printf %2000d 1) >&2"
    lines: list[str] = []
    with ChildTool(["sh", "-c", script], on_line=lines.append) as tool:
        tool.wait()
    assert len(lines) == 1002 and len(tool.messages) == 400
    assert tool.messages[0] == "·[31mred" and "line 999" in tool.messages
    assert max(map(len, lines)) <= 500


def test_a_megabyte_on_stderr_does_not_stop_it() -> None:
    with ChildTool(["sh", "-c", "head -c 3000000 /dev/zero >&2"]) as tool:
        assert tool.wait() == 0


def test_the_environment_has_no_settings_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGPASSWORD", "PGOPTIONS", "MYSQL_PWD", "AWS_SECRET_ACCESS_KEY", "LC_MESSAGES"):
        monkeypatch.setenv(name, "secret")
    with ChildTool(["env"], stdout=subprocess.PIPE, environ=tool_environment({"EXTRA": "1"})) as tool:
        assert tool.process.stdout is not None
        found = dict(line.split("=", 1) for line in tool.process.stdout.read().decode().splitlines())
    assert "secret" not in found.values()
    assert found["EXTRA"] == "1" and found["TZ"] == "UTC" and found["LC_ALL"] == "C.UTF-8"


def test_files_it_makes_are_private(tmp_path: Path) -> None:
    with ChildTool(["touch", str(tmp_path / "f")]) as tool:
        tool.check("testing")
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_leaving_the_block_ends_it_and_its_children(tmp_path: Path) -> None:
    with ChildTool(["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/pid; wait"]) as tool:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
        child = int((tmp_path / "pid").read_text())
        assert is_running(child)
    assert tool.process.returncode == -signal.SIGTERM
    wait_until(lambda: not is_running(child))


def test_one_that_does_not_listen_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbtui.adapters.processes._GRACE_SECONDS", 0.3)
    script = "trap '' TERM; echo ready >&2; while :; do sleep 0.1; done"
    ready: list[str] = []
    with ChildTool(["sh", "-c", script], on_line=ready.append) as tool:
        wait_until(lambda: bool(ready))
    assert tool.process.returncode == -signal.SIGKILL


def test_children_of_one_that_was_ended_from_outside_are_ended_too(tmp_path: Path) -> None:
    with ChildTool(["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/pid; wait"]) as tool:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
        child = int((tmp_path / "pid").read_text())
        assert not tool.wait_for(0.0)
        tool.process.kill()
        wait_until(lambda: tool.wait_for(0.05))
        assert tool.wait() == -signal.SIGKILL
    wait_until(lambda: not is_running(child))


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import time
        from dbtui.adapters.processes import ChildTool
        tool = ChildTool(["sleep", "600"])
        with open({str(tmp_path / "pid")!r}, "w") as file:
            file.write(str(tool.process.pid))
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    child = int((tmp_path / "pid").read_text())
    wait_until(lambda: psutil.Process(child).name() == "sleep")
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_running(child))
