"""What changed since the last look is underlined for one look; what a target that is down said last is dimmed."""

import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.widget import Widget

from dbtui.model.connections import TargetStatus
from dbtui.tui.app import DbtuiApp
from dbtui.tui.cells import Span, Tone, fit, fresh, wrap
from dbtui.tui.widgets.table import Table
from dbtui.watches import Look
from tests.tui.fake_watches import idle, lock_chain, older, snapshot
from tests.tui.fix_pty import ROOT, Terminal
from tests.tui.world import World, wait_to_see

LARGE = (160, 45)


def _fresh(app: DbtuiApp, table: str) -> list[str]:
    """The words that are underlined in a table, from the top."""
    widget: Widget = app.query_one(table, Table)
    strips = (widget.render_line(y) for y in range(widget.size.height))
    return [part.text for strip in strips for part in strip if part.style is not None and part.style.underline]


def _look(world: World, app: DbtuiApp, seconds: float, **fields: Any) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    sessions = fields.pop("sessions", None)
    status = replace(world.statuses["erp"], taken_at=moment, **fields)
    app.connections_pane.show_looks([Look(profile="erp", status=status, sessions=sessions)])


def test_cutting_and_breaking_keep_what_is_fresh() -> None:
    drawn = (Span("state "), fresh(Span("idle in transaction", Tone.WARNING)))
    (_, cut_off, *_), folded = fit(drawn, 12), wrap(drawn, 14)
    assert (cut_off.is_fresh, cut_off.tone, cut_off.text[-1]) == (True, Tone.WARNING, "…")
    assert all(span.is_fresh for lines in folded for span in lines if span.text.strip() and span.text != "state ")
    assert not fresh(Span("x"), False).is_fresh


async def test_a_connection_marks_what_changed_for_one_look(world: World) -> None:
    """Sessions used, active, blocked; not ages and sizes."""
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        _look(world, app, 1, sessions_active=7, oldest_transaction_seconds=4.0)
        _look(world, app, 2, sessions_active=7, oldest_transaction_seconds=5.0, size_bytes=92_000_000_000)
        assert _fresh(app, "#profiles") == []
        _look(world, app, 3, sessions_active=8, sessions_used=40, sessions_blocked=1, oldest_transaction_seconds=6.0)
        assert _fresh(app, "#profiles") == ["40/97", "8", "1"]
        _look(world, app, 4, sessions_active=8, sessions_used=40, sessions_blocked=1, oldest_transaction_seconds=7.0)
        assert _fresh(app, "#profiles") == []


async def test_a_session_marks_what_changed_for_one_look(world: World) -> None:
    """State, wait, whom it waits for or blocks, and one that is new; the order of the table changes nothing of it."""
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("g", "enter")
        await wait_to_see(pilot, "8123")
        assert _fresh(app, "#sessions") == []
        first = older(1.0, *lock_chain()[:4])
        _look(world, app, 1, sessions=snapshot("erp", *first, idle(8300)))
        before = older(2.0, *first)
        ended = replace(before[3], blocked_by=(), wait="", state="idle", is_active=False)
        _look(world, app, 2, sessions=snapshot("erp", *before[:3], ended, idle(8300), idle(8999)))
        assert sorted(_fresh(app, "#sessions")) == ["8999", "blocks 2", "idle"]
        await pilot.press("t")
        assert _fresh(app, "#tree") == ["blocks 2"]
        await pilot.press("t")
        _look(world, app, 3, sessions=snapshot("erp", *older(1.0, *before[:3], ended), idle(8300), idle(8999)))
        assert _fresh(app, "#sessions") == []


async def test_a_target_that_is_down_keeps_what_it_said_in_its_row(world: World) -> None:
    """Dimmed, behind how long ago that was; what is fresh is not."""
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        now = datetime.now(UTC)
        _look(world, app, 1, sessions_used=41, sessions_blocked=2)
        bad = TargetStatus(profile="erp", taken_at=now + timedelta(seconds=2), problem="connection refused on db1")
        app.connections_pane.show_looks([Look(profile="erp", status=bad, attempt=1, last_seen_at=now,
                                              next_try_at=now + timedelta(seconds=60.9))])  # fmt: skip
        text = await wait_to_see(pilot, "connection refused on db1, next try in", "ago)  41/97 sessions, 2")
        assert " blocked, 91 GB" in next(line for line in text.splitlines() if "refused on db1" in line)
        table = app.query_one("#profiles", Table)
        (strip,) = (each for each in map(table.render_line, range(table.size.height)) if "refused on db1" in each.text)
        (told,) = (part for part in strip if "41/97 sessions" in part.text)
        (why,) = (part for part in strip if "refused on db1" in part.text)
        assert told.style != why.style
        assert _fresh(app, "#profiles") == []


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (160, 45)])
def test_marks_stay_within_the_budget(tmp_path: Path, columns: int, rows: int) -> None:
    """Eight of forty sessions change their state and what they wait for each second: still at most 5 kB a second."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "COLORTERM": "truecolor"}
    argv = [sys.executable, "-m", "tests.tui.waiting_ui", str(tmp_path), "live=8"]
    ui = Terminal(argv, environ, columns, rows)
    try:
        ui.wait_to_see("erp-test")
        ui.press("\r")
        ui.wait_to_see("look 0")
        ui.wait_until_idle(0.3)
        began, sent = time.monotonic(), 0
        while time.monotonic() - began < 10:
            sent += ui.read(0.25)
        assert 0 < sent / (time.monotonic() - began) <= 5000
        assert any(cell.underscore for line in ui.screen.buffer.values() for cell in line.values())
        ui.press("q")
        ui.end_seconds(10)
    finally:
        ui.hang_up()
        ui.process.wait()
