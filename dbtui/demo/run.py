"""One run of the demo: the world, its backups, then the terminal UI or the walk through it."""

import os
import sys
import time

from dbtui.config import load_settings
from dbtui.demo.backups import make_backups
from dbtui.demo.check import walk
from dbtui.demo.world import enter_environment, open_world


def run(check: bool) -> int:
    """Build the world, hand over to the terminal UI or the check, and take the world away; returns the exit code."""
    began = time.monotonic()
    say = _say_on_stdout if check else _say_on_stderr
    with open_world(say) as world:
        enter_environment(world)
        for sentence in world.absent:
            say(sentence)
        make_backups(world, say)
        say(f"ready in {time.monotonic() - began:.1f} s")
        settings = load_settings(os.environ)
        if check:
            return walk(settings, world, say)
        from dbtui.tui.start import run_ui

        return run_ui(settings, None)


def _say_on_stdout(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _say_on_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
