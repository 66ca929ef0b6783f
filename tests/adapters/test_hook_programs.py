"""Programs that are told something: whatever they do, they end, and so do their children."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.hook_programs import GRACE_SECONDS, describe_end, run_bounded
from dbtui.errors import Cancelled, ToolError
from tests.unit.test_processes import is_running, wait_until

ENVIRON = {"PATH": os.environ["PATH"]}


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "hook"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


def test_it_is_told_on_stdin_and_sees_its_arguments_as_they_are(tmp_path: Path) -> None:
    argv = script(tmp_path, f'cat > {tmp_path}/told; printf "%s\\n" "$@" > {tmp_path}/words; env > {tmp_path}/env')
    ended = run_bounded([*argv, "a b", "$HOME", "`id`", "*"], b"{}\n", {**ENVIRON, "X": "1"}, 10, Cancellation())
    assert ended.code == 0
    assert (tmp_path / "told").read_text() == "{}\n"
    assert (tmp_path / "words").read_text().splitlines() == ["a b", "$HOME", "`id`", "*"]
    assert "X=1" in (tmp_path / "env").read_text().splitlines()


def test_how_it_failed_is_told(tmp_path: Path) -> None:
    argv = script(tmp_path, "echo fine; echo >&2; printf 'no \\033[31mroute\\n' >&2; exit 3")
    ended = run_bounded(argv, b"", ENVIRON, 10, Cancellation())
    assert describe_end("page-me", ended) == "page-me exited with 3: no ·[31mroute"
    killed = run_bounded(script(tmp_path, "kill -9 $$"), b"", ENVIRON, 10, Cancellation())
    assert describe_end("page-me", killed) == "page-me was ended by SIGKILL"
    assert describe_end("x", run_bounded(script(tmp_path, "exit 0"), b"", ENVIRON, 10, Cancellation())) == ""


@pytest.mark.parametrize("text", ["sleep 60", "while :; do :; done", "exec >&- 2>&-; sleep 60"])
def test_one_that_hangs_is_ended(tmp_path: Path, text: str) -> None:
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"hook took longer than 0\.3 s and was ended"):
        run_bounded(script(tmp_path, text), b"", ENVIRON, 0.3, Cancellation())
    assert time.monotonic() - began < 30


def test_one_that_ignores_every_kind_word_is_ended_with_its_children(tmp_path: Path) -> None:
    text = f"trap '' TERM INT HUP; (trap '' TERM; echo $$ > {tmp_path}/pid; sleep 60) & sleep 60; sleep 60"
    began = time.monotonic()
    with pytest.raises(ToolError, match="was ended"):
        run_bounded(script(tmp_path, text), b"", ENVIRON, 0.3, Cancellation())
    assert time.monotonic() - began < GRACE_SECONDS + 30
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())))
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(each.info["cmdline"])]


@pytest.mark.parametrize("where", ["1", "2"])
def test_a_gigabyte_is_neither_kept_nor_waited_on(tmp_path: Path, where: str) -> None:
    before = psutil.Process().memory_info().rss
    ended = run_bounded(script(tmp_path, f"head -c 1000000000 /dev/zero >&{where}"), b"", ENVIRON, 60, Cancellation())
    assert ended.code == 0
    assert len(ended.said) <= 65536
    assert psutil.Process().memory_info().rss - before < 50_000_000


def test_one_that_reads_nothing_is_no_trouble(tmp_path: Path) -> None:
    assert run_bounded(script(tmp_path, "exec <&-; exit 0"), b"x" * 8192, ENVIRON, 10, Cancellation()).code == 0


def test_what_it_leaves_running_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    assert (
        run_bounded(script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid"), b"", ENVIRON, 10, Cancellation()).code
        == 0
    )
    assert time.monotonic() - began < 30
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())))


def test_it_ends_when_somebody_asks(tmp_path: Path) -> None:
    cancellation = Cancellation()
    asking = threading.Timer(0.1, cancellation.request, ["Ctrl-C"])
    asking.start()
    began = time.monotonic()
    with pytest.raises(Cancelled, match="Ctrl-C"):
        run_bounded(script(tmp_path, "sleep 60"), b"", ENVIRON, 30, cancellation)
    assert time.monotonic() - began < 30
    asking.join()


@pytest.mark.parametrize("name", ["/nonexistent/page-me", "page-me-that-is-not-there"])
def test_one_that_is_not_there(name: str) -> None:
    with pytest.raises(ToolError, match="there is no such program"):
        run_bounded([name], b"", ENVIRON, 10, Cancellation())


def test_what_it_prints_is_heard_when_asked_for(tmp_path: Path) -> None:
    ended = run_bounded(
        script(tmp_path, "echo url; echo noise >&2"), b"", ENVIRON, 10, Cancellation(), hears_stdout=True
    )
    assert ended.said == b"url\n"


def test_it_dies_with_us(tmp_path: Path) -> None:
    argv = script(tmp_path, f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 60")
    program = (
        "import sys; from dbtui.adapters.hook_programs import run_bounded; "
        "from dbtui.adapters.cancellation import Cancellation; "
        "run_bounded(sys.argv[1:], b'', {'PATH': '/usr/bin:/bin'}, 60, Cancellation())"
    )
    ours = subprocess.Popen([sys.executable, "-c", program, *argv])
    try:
        wait_until((tmp_path / "pid").exists)
        wait_until(lambda: (tmp_path / "pid").read_text().strip() != "")
        ours.send_signal(signal.SIGKILL)
    finally:
        ours.kill()
        ours.wait()
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())))
