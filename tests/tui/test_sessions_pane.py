"""The sessions of a target: snapshots are posted, keys pressed, the screen read; no server takes part."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from textual.pilot import Pilot

from dbtui.model.connections import TargetStatus
from dbtui.model.sessions import Session
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes import connections
from dbtui.tui.panes.sessions import SessionsView
from dbtui.watches import Look
from tests.tui.fake_watches import idle, lock_chain, older, session, snapshot
from tests.tui.world import World, screen_lines, screen_text, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)


async def _open(pilot: Pilot[Any], app: DbtuiApp) -> SessionsView:
    await wait_to_see(pilot, "PG 15.18")
    await pilot.press("g", "enter")
    await wait_to_see(pilot, "8123")
    return app.connections_pane.sessions


def _show(world: World, app: DbtuiApp, *sessions: Session, **fields: Any) -> None:
    status = replace(world.statuses["erp"], taken_at=datetime.now(UTC))
    app.connections_pane.show_looks([Look(profile="erp", status=status, sessions=snapshot("erp", *sessions, **fields))])


def _ids(view: SessionsView) -> list[int]:
    return [row.session.session_id for row in view.table.view.shown]


def _under_cursor(view: SessionsView) -> int:
    return view.session_row.session.session_id if view.session_row else 0


async def test_a_row_says_who_what_and_for_how_long(world: World) -> None:
    """The oldest transaction first; who waits says for whom."""
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        view = await _open(pilot, app)
        text = screen_text(app)
        root = next(line for line in text.splitlines() if " 8123 " in line)
        assert "▲ idle in tx" in root
        assert "blocks 3" in root
        assert "2 min" in root
        victim = next(line for line in text.splitlines() if " 8231 " in line)
        for cell in ("report", "✖ active", "by 8200", "40 s"):
            assert cell in victim
        assert _ids(view) == [8123, 8200, 8231, 8240, 8300]
        await pilot.press("F")
        assert _ids(view)[:4] == [8123, 8200, 8231, 8240]
        assert _ids(view)[-1] == 31


async def test_filters_are_counted_in_the_line_above(world: World) -> None:
    """f goes on, F back; the header names the filter."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        view = await _open(pilot, app)
        assert "clients 5  active 3  idle in transaction 1  blocked 3  mine 1  all 7" in screen_text(app)
        for name, ids in (("active", [8200, 8231, 8240]), ("idle in transaction", [8123]),
                          ("blocked", [8200, 8231, 8240]), ("mine", [8300]),
                          ("all sessions", [8123, 8200, 8231, 8240, 8300, 8400, 31])):  # fmt: skip
            await pilot.press("f")
            assert _ids(view) == ids
            assert f" erp ▸ {name} " in screen_lines(app)[0]
        await pilot.press("f")
        assert len(_ids(view)) == 5
        assert " erp ▸ sessions " in screen_lines(app)[0]
        await pilot.press("F", "F", "F")
        assert _ids(view) == [8200, 8231, 8240]
        await pilot.press("escape")
        assert len(_ids(view)) == 5


async def test_words_filter_too(world: World) -> None:
    """/ looks at every column."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        view = await _open(pilot, app)
        await pilot.press("slash", *"balance", "enter")
        assert _ids(view) == [8123, 8200]
        await pilot.press("escape")
        assert len(_ids(view)) == 5
        assert app.connections_pane.viewing == "erp"


async def test_the_tree_and_the_way_to_the_root(world: World) -> None:
    """t shows it, o goes to the root also when the root is filtered away."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        view = await _open(pilot, app)
        await pilot.press("t")
        text = await wait_to_see(pilot, "blocking tree")
        tree = [line.split("  ")[1].strip() if line.startswith("   ") else line for line in text.splitlines()]
        joined = "\n".join(tree)
        for branch in ("▲ 8123 app", "├ ✖ 8200 app", "│ └ ✖ 8231 report", "└ ✖ 8240 app"):
            assert branch in joined
        await pilot.press("j", "j", "o")
        assert _under_cursor(view) == 8123
        await pilot.press("t", "f", "f", "f")
        assert view.table.move_to(next(row.key for row in view.table.view.shown if row.session.session_id == 8231))
        await pilot.press("o")
        assert _under_cursor(view) == 8123
        await wait_to_see(pilot, "8123 is the root: 3 wait for it")
        await pilot.press("o")
        await wait_to_see(pilot, "root: it waits for no other session")


async def test_groups_count_and_open(world: World) -> None:
    """v goes through application, user, database, client; enter lists a group."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        view = await _open(pilot, app)
        await pilot.press("v")
        text = await wait_to_see(pilot, "by application", "erp-api", "IDLE IN TX")
        row = next(line for line in text.splitlines() if "erp-api" in line)
        assert row.split()[:5] == ["erp-api", "3", "2", "2", "1"]
        await pilot.press("enter")
        assert _ids(view) == [8123, 8200, 8240]
        await wait_to_see(pilot, " erp ▸ sessions ▸ erp-api ")
        await pilot.press("escape", "v")
        await wait_to_see(pilot, "by user")
        await pilot.press("v", "v", "v")
        await wait_until(pilot, lambda: len(view.table.view.shown) == 5)


async def test_the_detail_holds_the_whole_statement_and_who_blocks_it(world: World) -> None:
    """At eighty columns it takes the screen."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app)
        await pilot.press("j", "j", "enter")
        text = await wait_to_see(pilot, "blocked by  8200", "root        8123", "o goes there")
        assert "Lock: transactionid" in text
        assert "connected   2026-11-22" in text
        await pilot.press("escape", "k", "enter")
        await wait_to_see(pilot, "UPDATE accounts SET balance = balance + 1\n WHERE id = 1")


async def test_a_plan_on_request(world: World) -> None:
    """x asks and shows it above all else."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        view = await _open(pilot, app)
        await pilot.press("j", "x")
        await wait_to_see(pilot, "Seq Scan on accounts of 8200", "not run")
        await pilot.press("escape")
        assert app.focused is view.table


async def test_terminating_asks_first_and_rests_on_leaving_it(world: World) -> None:
    """Enter changes nothing; y does it; the result says who was hit."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app)
        await pilot.press("K")
        await wait_to_see(pilot, "Terminate session 8123 on erp", "blocks 3", "erp-api  from 10.0.0.7:51022",
                          "UPDATE accounts SET balance", "SELECT pg_terminate_backend(8123)")  # fmt: skip
        assert app.dialogs[0].has_class("-production")
        await pilot.press("enter")
        await wait_until(pilot, lambda: not app.dialogs)
        assert world.done == []
        await pilot.press("K")
        await wait_to_see(pilot, "pg_terminate_backend")
        await wait_until(pilot, lambda: not app.dialogs[0].query_one("#accept").disabled)
        await pilot.press("y")
        await wait_to_see(pilot, "● terminated 8123 app erp-api from 10.0.0.7:51022")
        assert world.done == [("terminate", "erp", (8123,))]
        await wait_until(pilot, lambda: "all 6" in screen_text(app))
        await pilot.press("7")
        await wait_to_see(pilot, "● done", "sessions terminate")


async def test_several_marked_sessions_need_their_count_typed(world: World) -> None:
    """Neither y nor a wrong number does it."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app)
        await pilot.press("j", "space", "space")
        await wait_to_see(pilot, "■ 2 marked")
        await pilot.press("C")
        await wait_to_see(pilot, "Cancel the statement of 2 sessions on erp", "type the number of sessions 2")
        await pilot.press("y")
        assert app.dialogs
        accept = app.dialogs[0].query_one("#accept")
        await pilot.press("shift+tab", "7")
        assert accept.disabled
        await pilot.press("backspace", "2")
        await wait_until(pilot, lambda: not accept.disabled)
        await pilot.press("tab", "tab", "enter")
        await wait_until(pilot, lambda: bool(world.done))
        assert world.done == [("cancel", "erp", (8200, 8231))]
        await wait_to_see(pilot, "cancelled 2")
        await pilot.press("u")
        await wait_to_see(pilot, "unmark all: nothing is marked")


async def test_a_count_is_typed_without_looking_for_its_field(world: World) -> None:
    """The focus rests on the button that changes nothing; a digit finds its field, enter the button that does it."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app)
        await pilot.press("j", "space", "space", "C")
        await wait_to_see(pilot, "type the number of sessions 2", "[ Leave it ]")
        await pilot.press("2")
        accept = app.dialogs[0].query_one("#accept")
        await wait_until(pilot, lambda: not accept.disabled)
        await pilot.press("enter")
        await wait_to_see(pilot, "[ Cancel the statement ]")
        assert not world.done
        await pilot.press("enter")
        await wait_until(pilot, lambda: world.done == [("cancel", "erp", (8200, 8231))])


async def test_a_number_that_belongs_to_another_now_is_refused(world: World) -> None:
    """What the operator saw is what may be ended, and nothing else."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app)
        stranger = session(
            8123, user="boss", application="payroll", started_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
        )
        world.sessions["erp"] = snapshot("erp", stranger)
        await pilot.press("K")
        await wait_to_see(pilot, "✖ 8123 is another session now (boss payroll)")
        assert app.dialogs[0].query_one("#accept").disabled
        await pilot.press("y")
        assert app.dialogs
        assert world.done == []


async def test_who_has_gone_keeps_nobody_else_from_being_ended(world: World) -> None:
    """It is said; with nobody left, nothing can be done."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app)
        await pilot.press("space", "space")
        await wait_to_see(pilot, "■ 2 marked")
        world.sessions["erp"] = snapshot("erp", *lock_chain()[1:])
        await pilot.press("K")
        await wait_to_see(pilot, "▲ there is no session 8123 on erp", "Ends this session; its transaction")
        await wait_until(pilot, lambda: not app.dialogs[0].query_one("#accept").disabled)
        await pilot.press("y")
        await wait_until(pilot, lambda: world.done == [("terminate", "erp", (8200,))])
        await wait_until(pilot, lambda: not app.dialogs)
        world.sessions["erp"] = snapshot("erp")
        await pilot.press("K")
        await wait_to_see(pilot, "▲ there is no session", "Nothing would be ended.")
        assert app.dialogs[0].query_one("#accept").disabled


async def test_what_may_not_be_ended_says_why(world: World) -> None:
    """Our own session, a worker of the server, a read-only profile."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        view = await _open(pilot, app)
        await pilot.press("F")
        for number, reason in ((8400, "8400 is dbtui's own session"), (31, "31 is a worker of the server itself")):
            assert view.table.move_to(next(row.key for row in view.table.view.rows if row.session.session_id == number))
            await pilot.press("K")
            await wait_to_see(pilot, f"▲ terminate: {reason}")
        assert not app.dialogs


async def test_read_only_profiles_end_nothing(world: World) -> None:
    """Greyed, with the reason."""
    world.statuses["shop"] = replace(world.statuses["erp-test"], profile="shop")
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("g", "j", "j", "enter")
        await wait_to_see(pilot, "shop ▸ sessions", "8123")
        await pilot.press("C")
        await wait_to_see(pilot, "cancel: shop is read-only")


async def test_marks_and_cursor_stay_with_their_session(world: World) -> None:
    """New ones come, old ones go, a number is used again: a mark does not move over."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        view = await _open(pilot, app)
        await pilot.press("j", "space")
        assert _under_cursor(view) == 8231
        chain = lock_chain()
        again = replace(chain[1], started_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC), blocked_by=())
        _show(world, app, session(9000, transaction_seconds=500.0), chain[0], again, *older(5.0, *chain[2:]))
        await wait_until(pilot, lambda: 9000 in _ids(view))
        assert _under_cursor(view) == 8231
        assert "marked" not in screen_text(app)


async def test_nothing_is_sorted_under_a_moving_cursor(world: World) -> None:
    """A row that grew old stays where it is until the operator rests."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        view = await _open(pilot, app)
        await pilot.press("j", "j")
        before = _ids(view)
        chain = lock_chain()
        _show(world, app, *chain[:3], replace(chain[3], transaction_seconds=999.0), *chain[4:])
        assert _ids(view) == before
        view.table._moved_at -= 10
        _show(world, app, *chain[:3], replace(chain[3], transaction_seconds=999.0), *chain[4:])
        assert _ids(view)[0] == 8240
        assert _under_cursor(view) == 8231


async def test_a_target_that_goes_down_keeps_its_sessions_on_screen(world: World) -> None:
    """With the reason and the age."""
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app)
        bad = TargetStatus(profile="erp", taken_at=datetime.now(UTC), problem="connection refused on db1:5432")
        app.connections_pane.show_looks([Look(profile="erp", status=bad, attempt=1, last_seen_at=datetime.now(UTC),
                                              next_try_at=datetime.now(UTC) + timedelta(seconds=4.9))])  # fmt: skip
        await wait_to_see(pilot, "✖ connection refused on db1:5432, next try in 4 s (last seen ", "8123")
        await wait_to_see(pilot, "next try in 3 s")


async def test_gaps_and_nothing_to_see(world: World) -> None:
    """What the login may not see is said where it is missed."""
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app)
        _show(world, app, idle(1), gaps=("needs pg_monitor: GRANT pg_monitor TO erp",))
        await wait_to_see(pilot, "▲ needs pg_monitor: GRANT pg_monitor TO erp")
        await pilot.press("f", "f", "f")
        await wait_to_see(pilot, "No session is blocked. f shows others.")
        await pilot.press("t")
        await wait_to_see(pilot, "Nobody waits for another session. t goes back.")


async def test_a_login_that_sees_little_does_not_say_that_there_is_nothing(world: World) -> None:
    """Nor that nobody waits: the line above says so at 80 columns too, and the GRANT is readable as a whole."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app)
        gap = "sessions of other logins, transactions and locks need GRANT PROCESS ON *.* TO 'monitoring'@'%'"
        _show(world, app, idle(1), gaps=(gap,), is_partial=True)
        await wait_to_see(pilot, "▲ partly hidden, enter says why")
        await pilot.press("t")
        await wait_to_see(pilot, "Nobody is seen to wait for another session. t goes back.", "'monitoring'@'%'")
        _show(world, app, gaps=(gap,), is_partial=True)
        await pilot.press("t")
        await wait_to_see(pilot, "Nobody is seen. f shows others.", "'monitoring'@'%'")
        await pilot.press("f")
        await wait_to_see(pilot, "No session is seen to be active. f shows others.")
        _show(world, app, idle(1), gaps=("the role needs GRANT SLAVE MONITOR",))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "partly hidden" not in screen_text(app))


async def test_a_server_that_is_silent_shows_for_how_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing failed yet, yet what is shown is old: the header says so and the rows are dimmed, until it answers."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        view = await _open(pilot, app)
        await wait_to_see(pilot, "every 1 s")
        ahead = datetime.now(UTC) + timedelta(seconds=9)
        monkeypatch.setattr(connections, "_utc_now", lambda: ahead)
        await wait_to_see(pilot, "no answer for ")
        assert view.has_class("-old")
        assert "every 1 s" not in screen_text(app)
        monkeypatch.undo()
        _show(world, app, idle(1))
        await wait_to_see(pilot, "every 1 s")
        assert not view.has_class("-old")


async def test_copy_takes_the_statement(world: World) -> None:
    """y on a session."""
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, app)
        assert app.situation.copyable == "UPDATE accounts SET balance = 0 WHERE id = 1"


async def test_ten_thousand_sessions_are_drawn_at_once(world: World) -> None:
    """Only what is in view is drawn."""
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        view = await _open(pilot, app)
        began = datetime.now(UTC)
        _show(world, app, *(session(number, transaction_seconds=float(number)) for number in range(1, 10_001)))
        await wait_to_see(pilot, "all 10000")
        assert (datetime.now(UTC) - began).total_seconds() < 2
        await pilot.press("G")
        assert _under_cursor(view) == 1
