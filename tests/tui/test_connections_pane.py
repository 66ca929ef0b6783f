"""Pane 1: looks are posted to it and the screen is read; no server takes part."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dbtui.model.connections import FileStatus, StatusCounters, TargetStatus
from dbtui.tui.panes.connections import HIDDEN_SECONDS
from dbtui.watches import Look
from tests.tui.world import World, screen_lines, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)


def _status(world: World, name: str, seconds: float = 0.0, **fields: object) -> TargetStatus:
    """Return what the target says so many seconds from now: later than any look of its watch so far."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return replace(world.statuses[name], taken_at=moment, **fields)  # type: ignore[arg-type]


def _row(text: str, name: str) -> str:
    return next(
        line for line in text.splitlines() if f" {name} " in line and ("●" in line or "▲" in line or "✖" in line)
    )


def _asked(world: World, name: str) -> tuple[float, bool]:
    return world.watches[name].seconds, world.watches[name].wants_sessions


async def test_everything_a_server_says_has_its_column(world: World) -> None:
    """At 160 columns all of it; a rate needs two looks."""
    counters = StatusCounters(transactions=1000, blocks_hit=900, blocks_read=100)
    first = _status(
        world,
        "erp",
        seconds=30,
        counters=counters,
        sessions_active=7,
        sessions_idle_in_transaction=2,
        sessions_blocked=1,
        oldest_transaction_seconds=3700.0,
        lag_seconds=4.0,
        is_tls=True,
        is_pooled=True,
    )
    later = replace(first, taken_at=first.taken_at + timedelta(seconds=2),
                    counters=StatusCounters(transactions=3408, blocks_hit=1892, blocks_read=108))  # fmt: skip
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        pane = app.connections_pane
        pane.show_looks([Look(profile="erp", status=first)])
        pane.show_looks([Look(profile="erp", status=later)])
        text = await wait_to_see(pilot, "1.2 k", "99.2 %")
        row = _row(text, "erp").split()
        for cell in ("▲", "erp", "PROD", "primary", "39/97", "7", "2", "1", "TLS", "pooled"):
            assert cell in row, cell
        assert "1 h" in _row(text, "erp")
        assert "4 s" in _row(text, "erp")


async def test_columns_give_way_at_eighty(world: World) -> None:
    """Name, environment, server, role, sessions and the oldest transaction stay."""
    async with world.app().run_test(size=SMALL) as pilot:
        text = await wait_to_see(pilot, "PG 15.18")
        header = next(line for line in text.splitlines() if "SERVER" in line)
        assert header.split() == ["NAME", "SERVER", "ROLE", "SESSIONS", "OLDEST", "TPS", "ENV"]
        assert all(len(line) <= SMALL[0] for line in text.splitlines())


async def test_a_target_that_is_down_says_why_and_when_it_is_tried_again(world: World) -> None:
    """Its reason runs over the row; what it last said comes after it, and is in the detail, with its age."""
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        seen = datetime.now(UTC) - timedelta(minutes=3, seconds=5)
        good = replace(world.statuses["erp"], taken_at=seen)
        bad = TargetStatus(profile="erp", taken_at=datetime.now(UTC), problem="connection refused on db1:5432")
        pane = app.connections_pane
        pane.rows["erp"] = replace(pane.rows["erp"], look=None, seen=None)
        pane.show_looks([Look(profile="erp", status=good, last_seen_at=seen)])
        pane.show_looks([Look(profile="erp", status=bad, attempt=3, last_seen_at=seen,
                              next_try_at=datetime.now(UTC) + timedelta(seconds=8.9))])  # fmt: skip
        text = await wait_to_see(
            pilot, "connection refused on db1:5432, next try in 8 s (last seen 3 min ago)", "R tries now"
        )
        assert "(last seen 3 min ago)  39/97 sessions, 91 GB" in _row(text, "erp")
        assert "last seen 3 min ago" in text.split("R tries now")[1]
        assert "39 of 97" in text
        await wait_to_see(pilot, "next try in 7 s")  # without another look


async def test_sqlite_has_its_own_truths(world: World) -> None:
    """Journal mode, WAL, lock and integrity."""
    file = FileStatus(wal_bytes=4_200_000, journal_mode="wal", lock_state="being written", integrity="row 5 missing")
    world.statuses["app"] = replace(world.statuses["app"], file=file, sessions_used=None, sessions_available=None)
    async with world.app().run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "SQLite")
        await pilot.press("G")
        text = await wait_to_see(pilot, "WAL 4.2 MB", "being written", "row 5 missing")
        assert "▲" in _row(text, "app")
        await pilot.press("enter")
        await wait_to_see(pilot, "SQLite has no server and so no sessions", "2 shows its backups")
        await pilot.press("K")
        await wait_to_see(pilot, "terminate: SQLite has no server and so no sessions")


async def test_a_gap_is_told_with_its_grant(world: World) -> None:
    """Partial is a value."""
    world.statuses["erp"] = replace(world.statuses["erp"], gaps=("needs pg_monitor: GRANT pg_monitor TO erp",))
    async with world.app().run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "▲ needs pg_monitor: GRANT pg_monitor TO erp")


async def test_out_of_sight_targets_are_asked_seldom(world: World) -> None:
    """The one that is looked into is asked often, and for its sessions."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        assert {watch.seconds for watch in world.watches.values()} == {5.0}
        await pilot.press("enter")
        await wait_to_see(pilot, "8123")
        assert _asked(world, "erp") == (1.0, True)
        await pilot.press("2")
        await wait_until(pilot, lambda: _asked(world, "erp") == (HIDDEN_SECONDS, False))
        await pilot.press("1")
        await wait_until(pilot, lambda: _asked(world, "erp") == (1.0, True))
        await pilot.press("1")
        await wait_to_see(pilot, "SERVER")
        assert _asked(world, "erp") == (5.0, False)
    assert all(watch.calls[-1] == "stop" for watch in world.watches.values())


async def test_pause_and_interval(world: World) -> None:
    """p stops the asking, the header says so; + and - change how often."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "every 5 s")
        await pilot.press("p")
        await wait_to_see(pilot, "paused, just now", "p goes on")
        assert all(watch.paused for watch in world.watches.values())
        await pilot.press("R")
        assert "wake" in world.watches["erp"].calls
        await pilot.press("p")
        await wait_to_see(pilot, "every 5 s")
        assert not any(watch.paused for watch in world.watches.values())
        await pilot.press("minus")
        await wait_to_see(pilot, "every 10 s")
        await pilot.press("plus", "plus")
        await wait_to_see(pilot, "every 2 s")
        assert {watch.seconds for watch in world.watches.values()} == {2.0}


async def test_a_slow_link_stretches_every_interval(world: World) -> None:
    """And lets go of it again."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("enter")
        await wait_to_see(pilot, "every 1 s")
        app.connections_pane.set_pace(10.0)
        assert {watch.seconds for watch in world.watches.values()} == {10.0}
        app.connections_pane.set_pace(1.0)
        assert world.watches["erp"].seconds == 1.0


async def test_the_cursor_keeps_its_row_when_values_change_the_order(world: World) -> None:
    """While somebody moves about, nothing is sorted; afterwards it is, and the cursor goes along."""
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        table = app.connections_pane.table
        while table.sorted_by is None or table.columns[table.sorted_by].label != "SESSIONS":
            await pilot.press("s")
        await pilot.press("g", "j")
        before = [row.profile.name for row in table.view.shown]
        key = table.cursor_key
        used = {"erp": 5, "erp-test": 90, "app": 40}
        for name, count in used.items():
            world.statuses[name] = _status(world, name, 5, sessions_used=count)
        app.connections_pane.show_looks([Look(profile=name, status=world.statuses[name]) for name in used])
        assert [row.profile.name for row in table.view.shown] == before
        assert table.cursor_key == key
        table._moved_at -= 10
        app.connections_pane.show_looks([Look(profile=name, status=world.statuses[name]) for name in used])
        assert [row.profile.name for row in table.view.shown][:3] == ["erp-test", "app", "erp"]
        assert table.cursor_key == key


async def test_the_header_of_an_open_target_follows_its_state(world: World) -> None:
    """Also from another pane."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("enter", "2")
        await wait_to_see(pilot, "● primary")
        world.statuses["erp"] = TargetStatus(profile="erp", taken_at=datetime.now(UTC), problem="gone")
        world.watches["erp"].look()
        await wait_until(pilot, lambda: "✖ unreachable" in screen_lines(app)[0])


@pytest.mark.parametrize("size", [SMALL, LARGE, (120, 24), (100, 30)])
async def test_b_and_2_lead_to_the_backups(world: World, size: tuple[int, int]) -> None:
    """From the list and from the sessions; the target is the opened one."""
    app = world.app()
    async with app.run_test(size=size) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("j", "enter")
        await wait_until(pilot, lambda: app.opened is world.profiles[1])
        await wait_to_see(pilot, "erp-test ▸ sessions")
        await pilot.press("b")
        await wait_to_see(pilot, "Back up erp-test")
        await pilot.press("escape", "1", "1", "b")
        await wait_to_see(pilot, "Back up erp-test")
        await pilot.press("escape")
        assert app.active == "backups"
