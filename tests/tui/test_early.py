"""Servers are asked before there is a screen: the screen takes the watches over, and nothing writes on the terminal."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbtui.model.connections import ConnectionProfile, EngineName, TargetStatus
from dbtui.routines.context import RoutineContext
from dbtui.tui import early, watching
from dbtui.tui.app import settle
from dbtui.tui.early import MOST_TARGETS, EarlyWatches
from dbtui.tui.terminal import LOG_NAME
from dbtui.tui.watching import Watches
from dbtui.watches import Look
from tests.tui.fix_pty import ROOT, Terminal


class CountedWatch:
    """A watch that publishes when it is told to."""

    wants_sessions = False

    def __init__(self, profile: ConnectionProfile, publish: Callable[[Look], None]) -> None:
        self.profile, self.publish = profile, publish
        self.starts = self.stops = 0
        self.seconds = 0.0

    def start(self) -> None:
        self.starts += 1

    def stop(self) -> None:
        self.stops += 1

    def wake(self) -> None:
        raise AssertionError("nobody wakes it")

    pause = resume = wake

    def set_interval(self, seconds: float) -> None:
        self.seconds = seconds

    def look(self) -> Look:
        """Publish a look, and return it."""
        now = datetime.now(UTC)
        look = Look(profile=self.profile.name, status=TargetStatus(profile=self.profile.name, taken_at=now))
        self.publish(look)
        return look


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[CountedWatch]:
    """The watches that were made."""
    watches: list[CountedWatch] = []

    def make(
        profile: ConnectionProfile, _context: RoutineContext, publish: Callable[[Look], None], _seconds: float
    ) -> CountedWatch:
        watches.append(CountedWatch(profile, publish))
        return watches[-1]

    monkeypatch.setattr(watching, "make_watch", make)
    return watches


def _profiles(count: int) -> list[ConnectionProfile]:
    return [
        ConnectionProfile(name=f"db-{number}", engine=EngineName.SQLITE, url=f"sqlite:////srv/{number}.db")
        for number in range(count)
    ]


def test_only_the_first_targets_are_asked_early_and_each_once(made: list[CountedWatch]) -> None:
    """The target that was opened is the first, and is among the profiles again."""
    profiles = _profiles(MOST_TARGETS + 3)
    EarlyWatches().begin([profiles[-1], *profiles], RoutineContext())
    assert [watch.profile for watch in made] == [profiles[-1], *profiles[: MOST_TARGETS - 1]]
    assert [watch.starts for watch in made] == [1] * MOST_TARGETS


def test_what_was_seen_early_is_handed_over_in_its_order(made: list[CountedWatch]) -> None:
    """What comes afterwards goes the same way."""
    watches = EarlyWatches()
    watches.begin(_profiles(2), RoutineContext())
    seen = [made[0].look(), made[1].look(), made[0].look()]
    received: list[Look] = []
    assert list(watches.hand_over(received.append)) == ["db-0", "db-1"]
    assert received == seen
    seen.append(made[1].look())
    assert received == seen
    watches.stop()
    assert [watch.stops for watch in made] == [0, 0]


def test_watches_that_no_screen_took_over_are_ended(made: list[CountedWatch]) -> None:
    """The keys of the configuration were wrong, say."""
    watches = EarlyWatches()
    watches.begin(_profiles(2), RoutineContext())
    watches.stop()
    assert [watch.stops for watch in made] == [1, 1]


async def test_the_screen_begins_no_second_watch(made: list[CountedWatch]) -> None:
    """It takes what was seen, says its own interval, and ends them all."""
    begun, profiles = EarlyWatches(), _profiles(MOST_TARGETS + 1)
    begun.begin(profiles, RoutineContext())
    look = made[0].look()
    arrived = asyncio.Event()
    watches = Watches(arrived.set, begun)
    for profile in profiles:
        watches.add(profile, RoutineContext(), 5.0)
    watches.set_pace(7.0)
    await asyncio.wait_for(arrived.wait(), 5)
    assert watches.take() == [look]
    async with asyncio.timeout(5):
        while made[-1].starts == 0:
            await asyncio.sleep(0.01)
    assert [watch.profile for watch in made] == profiles
    assert [(watch.starts, watch.seconds) for watch in made] == [(1, 7.0)] * len(profiles)
    watches.stop()
    assert [watch.stops for watch in made] == [1] * len(profiles)


def test_asking_early_needs_no_screen() -> None:
    """What runs before the UI is imported imports nothing of it."""
    code = f"import sys, dbtui.tui.start; print({early.__name__!r} in sys.modules, 'textual' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False"]


def test_what_libpq_says_early_lands_in_the_log(tmp_path: Path, environ: dict[str, str]) -> None:
    """It warns of a password file that others may read, as soon as it is asked to connect."""
    (tmp_path / "pgpass").write_text("*:*:*:*:secret\n")
    (tmp_path / "pgpass").chmod(0o644)
    (tmp_path / "config.toml").write_text('[profiles.erp]\nurl = "postgresql://erp@127.0.0.1:1/erp"\n')
    ui = Terminal([sys.executable, "-m", "dbtui"], {**environ, "PGPASSFILE": str(tmp_path / "pgpass")}, 160, 45)
    try:
        ui.wait_to_see("next try in")
        ui.press("q")
        ui.end_seconds(8)
        assert b"pgpass" not in ui.output
        assert str(tmp_path / "pgpass") in (tmp_path / "state" / "dbtui" / LOG_NAME).read_text()
    finally:
        ui.process.close(force=True)


def test_keys_that_cannot_be_are_an_error_although_servers_were_asked(tmp_path: Path, environ: dict[str, str]) -> None:
    """One sentence, exit code 2, and at once."""
    config = '[keys]\n"no.such" = "v"\n[profiles.erp]\nurl = "postgresql://erp@127.0.0.1:1/erp"\n'
    (tmp_path / "config.toml").write_text(config)
    ui = Terminal([sys.executable, "-m", "dbtui"], environ, 80, 24)
    try:
        ui.wait_to_see("no.such")
        ui.end_seconds(8)
        assert ui.process.wait() == 2
        assert b"\x1b[?1049h" not in ui.output
    finally:
        ui.process.close(force=True)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Everything that dbtui reads or writes is in this folder."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TERM": "xterm-256color",
        "PYTHONPATH": str(ROOT),
        "DBTUI_CONFIG": str(tmp_path / "config.toml"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


def test_garbage_is_looked_for_when_the_screen_stands() -> None:
    """What was made until then is looked through no more."""
    before = gc.get_threshold()
    gc.disable()
    try:
        settle()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.enable()
        gc.set_threshold(*before)
