"""Runs the real `run_ui` on the scripted world, as a program of its own for tests in a pseudo-terminal.

Arguments: a state directory, then words: `opened` begins at the first target, `slow` makes every step of a job take a
second, `stuck` makes a job ignore being cancelled, `undoing` makes
one take two seconds to drop what it made, `crash` makes the showing of the first look fail, `noisy` writes to
descriptor 2 as libraries do, `ignore-hup` is deaf to SIGHUP, `live=N` watches sessions of which N change with each
look, `sessions=N` has so many of them, `wild` changes every column of theirs, `pools` has a ladder that never rests,
`queries` sums of statements that all change with each look, `replicas` a replica that leaps,
`hooked` has a hook that takes two seconds, and then writes `told`,
`theme=NAME` and `rich` are what the configuration and the option say.
"""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dbtui.config import Settings, UiSettings
from dbtui.routines.backups.loading import FreshDatabase
from dbtui.routines.context import RoutineContext
from dbtui.tui import ladder_feed, start, watching
from dbtui.tui.panes.connections import ConnectionsPane
from tests.tui import replica_world
from tests.tui.live_sessions import LOG, SESSIONS, LiveWatch
from tests.tui.pool_world import LiveLadder
from tests.tui.query_world import QueryWorld, patch_live
from tests.tui.world import World, make_world


def main() -> int:
    """Run it and return its exit code."""
    state, words = Path(sys.argv[1]), sys.argv[2:]
    with pytest.MonkeyPatch.context() as patch:
        world = make_world(state, patch)
        patch.setattr(start, "make_runner", lambda *_settings: world.runner)
        if "slow" in words:
            world.gate = lambda context: (context.cancellation.wait(1.0), None)[1]
        if "stuck" in words:
            world.gate = lambda _context: time.sleep(60)
        if "undoing" in words:
            world.gate = _undo_slowly
        values = dict(word.split("=") for word in words if "=" in word)
        if "live" in values:
            _watch_live(world, patch, state, int(values["live"]), int(values.get("sessions", SESSIONS)),
                        "wild" in words)  # fmt: skip
        if "pools" in words:
            _watch_pools(world, patch)
        if "queries" in words:
            patch_live(QueryWorld(world), patch)
        if "replicas" in words:
            replica_world.patch_live(world, patch)
        if "noisy" in words:
            threading.Thread(target=_be_noisy, daemon=True).start()
        if "ignore-hup" in words:
            patch.setattr(signal, "signal", _deaf(signal.signal))
        if "hooked" in words:
            world.runner.tell_hooks = lambda _job, outcome: _tell_slowly(state / "told", outcome.state.value)
        if "crash" in words:
            patch.setattr(ConnectionsPane, "show_looks", _fail)
        settings = Settings(
            profiles=world.profiles, backup_dir="/srv/backups", ui=UiSettings(theme=values.get("theme"))
        )
        opened = world.profiles[0] if "opened" in words else None
        return start.run_ui(settings, opened, True if "rich" in words else None)


def _watch_live(world: World, patch: pytest.MonkeyPatch, state: Path, changing: int, count: int, wild: bool) -> None:
    def make(target: Any, _context: RoutineContext, publish: Any, seconds: float) -> LiveWatch:
        return LiveWatch(target, publish, seconds, world.statuses, {}, log=state / LOG, changing=changing,
                         count=count, wild=wild)  # fmt: skip

    patch.setattr(watching, "make_watch", make)


def _tell_slowly(path: Path, what: str) -> tuple[str, ...]:
    time.sleep(2)
    path.write_text(what)
    return ()


def _watch_pools(world: World, patch: pytest.MonkeyPatch) -> None:
    first = replace(world.profiles[0], pgbouncer_url="postgresql://stats@db1:6432/pgbouncer")
    world.profiles = (first, *world.profiles[1:])
    patch.setattr(ladder_feed, "make_ladder",
                  lambda target, _context, publish, seconds, _server: LiveLadder(target, publish, seconds))  # fmt: skip


def _undo_slowly(context: RoutineContext) -> None:
    fresh = FreshDatabase("erp__new_1", "db1:5432", is_ours=True)
    context.unfinished.append(fresh)
    context.cancellation.wait(60)
    fresh.is_being_undone = True
    time.sleep(2)
    fresh.is_ours = False


def _be_noisy() -> None:
    for _ in range(50):
        os.write(2, b"WARNING: password file has group access\n")
        time.sleep(0.05)


def _deaf(real: Any) -> Any:
    """SIGHUP is ignored, whoever wants it."""

    def install(number: int, handler: Any) -> Any:
        return real(number, signal.SIG_IGN if number == signal.SIGHUP else handler)

    return install


def _fail(_pane: ConnectionsPane, _looks: object) -> None:
    password = "hunter2-is-not-shown"
    raise RuntimeError(f"broken on purpose{password[:0]}")


if __name__ == "__main__":
    sys.exit(main())
