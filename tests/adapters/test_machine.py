"""What tmux tells: with a server of its own."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbtui.adapters.machine import collect_terminal


@pytest.fixture
def tmux(short_directory: Path) -> Iterator[Callable[..., str]]:
    """A tmux server; call it to run a command of it."""
    program = shutil.which("tmux")
    assert program, "tmux is needed for this test"

    def run(*words: str) -> str:
        argv = [program, "-S", str(short_directory / "t"), "-f", "/dev/null", *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    run("new-session", "-d", "-x", "80", "-y", "24", "sleep 600")
    yield run
    run("kill-server")


def test_tmux_tells_what_holds_in_this_pane(tmux: Callable[..., str], short_directory: Path) -> None:
    """Its defaults, then what was set, for this pane too."""
    environ = {**os.environ, "TMUX": f"{short_directory}/t,1,0",
               "TMUX_PANE": tmux("display-message", "-p", "#{pane_id}")}  # fmt: skip

    def settings() -> dict[str, str]:
        return dict(collect_terminal(environ).tmux_settings)

    assert settings() == {"set-clipboard": "external", "escape-time": "500", "allow-passthrough": "off"}
    tmux("set", "-s", "set-clipboard", "on")
    tmux("set", "-p", "allow-passthrough", "on")
    assert (settings()["set-clipboard"], settings()["allow-passthrough"]) == ("on", "on")
    assert collect_terminal(environ).tmux_version


def test_no_tmux_or_a_dead_one_tells_nothing(tmp_path: Path) -> None:
    """Neither is waited for."""
    assert not collect_terminal({}).is_tmux
    facts = collect_terminal({"TMUX": f"{tmp_path}/gone,1,0", "PATH": os.environ["PATH"]})
    assert facts.is_tmux
    assert facts.tmux_settings == ()
