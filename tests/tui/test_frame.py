"""The frame: header, pane bar, footer, message line, filter, help, palette, copy, and leaving."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dbtui.analysis.copying import assess_copying
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import Environment, Secret, TargetStatus
from dbtui.model.doctor import TerminalFacts
from dbtui.model.jobs import JobState
from dbtui.tui.actions import Situation
from dbtui.tui.cells import plain_text, width_of
from dbtui.tui.clipboard import MOST_BYTES, clipboard_sequence
from dbtui.tui.frame import PANES
from dbtui.tui.fuzzy import score
from dbtui.tui.widgets.header import show_header, show_panes
from dbtui.watches import Look
from tests.tui.world import NOW, World, screen_lines, screen_text, wait_to_see, wait_until

SIZE = (80, 24)


async def test_the_first_screen(world: World) -> None:
    """Header, panes, connections with their state, and the keys of the row."""
    async with world.app().run_test(size=SIZE) as pilot:
        text = await wait_to_see(pilot, "connection refused on db3:3306", "PG 15.18")
        lines = text.splitlines()
        assert lines[0].startswith(" dbtui  connections")
        panes = ["Connections", "Backups", "Pools", "Partitions", "Queries", "Replicas", "Jobs"]
        assert lines[1].split() == [word for digit, pane in enumerate(panes, 1) for word in (str(digit), pane)]
        assert lines[-1].startswith(" ⏎ open  b backup  P password  i info  / filter  ? keys")
        assert all(len(each) <= SIZE[0] for each in lines)


async def test_opening_a_target_shows_its_sessions_then_its_backups_and_says_production(world: World) -> None:
    """The header carries name, role, version and environment everywhere."""
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("enter")
        text = await wait_to_see(pilot, "8123", "PROD")
        assert text.splitlines()[0].startswith(" dbtui  erp ▸ sessions")
        await pilot.press("2")
        text = await wait_to_see(pilot, "● restored", "PROD")
        assert text.splitlines()[0].startswith(" dbtui  erp ▸ backups")
        assert "● primary" in text.splitlines()[0]
        assert app.screen.has_class("-production")
        await pilot.press("1")
        assert "PROD" in screen_lines(app)[0]


async def test_digits_and_brackets_switch_panes(world: World) -> None:
    """1 2 3 jump, [ and ] step and go round."""
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        for key, pane in (("2", "backups"), ("6", "replicas"), ("7", "jobs"), ("1", "connections"),
                          ("left_square_bracket", "jobs"), ("right_square_bracket", "connections")):  # fmt: skip
            await pilot.press(key)
            assert app.active == pane
            assert app.pane.display


@pytest.mark.parametrize("pane", [*PANES])
def test_the_panes_fit_into_eighty_columns(pane: str) -> None:
    """Also while jobs run; where there is room they stand apart."""
    tight, roomy = (show_panes(PANES, pane, 12, gap=gap) for gap in (0, 2))
    assert width_of(tight) <= 80 < width_of(roomy)
    assert plain_text(tight).split() == plain_text(roomy).split()


async def test_an_empty_jobs_pane_says_what_would_be_here(world: World) -> None:
    """And the key that makes it."""
    async with world.app().run_test(size=SIZE) as pilot:
        await pilot.press("7")
        text = await wait_to_see(pilot, "Nothing has run yet")
        assert "b makes a backup" in text


async def test_no_connection_says_how_to_add_one(world: World) -> None:
    """A first start shows the lines to write."""
    world.profiles = ()
    async with world.app().run_test(size=SIZE) as pilot:
        text = await wait_to_see(pilot, "No connection is known yet")
        assert "[profiles.erp]" in text
        await pilot.press("enter")
        await wait_to_see(pilot, "open: no connection under the cursor")


async def test_a_greyed_key_says_why(world: World) -> None:
    """Pressing what is not allowed explains it in the message line."""
    async with world.app().run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await wait_to_see(pilot, "not proven")
        await pilot.press("b")
        await wait_to_see(pilot, "▲ backup: open a connection first: 1, then enter")
        await pilot.press("ctrl+x")
        await wait_to_see(pilot, "cancel job: no job is running")


async def test_the_filter_narrows_at_once_and_esc_clears_it(world: World) -> None:
    """Enter keeps it and the header shows it."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "not proven")
        await pilot.press("slash", *"shop")
        await wait_until(pilot, lambda: len(app.backups_pane.history.view.shown) == 1)
        await pilot.press("enter")
        text = await wait_to_see(pilot, "▸ /shop")
        assert "PG 15 " not in text.partition("PROOF")[2]
        await pilot.press("escape")
        await wait_until(pilot, lambda: len(app.backups_pane.history.view.shown) == 7)
        assert app.active == "backups"
        await pilot.press("slash", *"zzz", "escape")
        assert len(app.backups_pane.history.view.shown) == 7


async def test_sorting_keeps_the_cursor(world: World) -> None:
    """s goes through the columns, S turns around."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "not proven")
        key = app.backups_pane.history.cursor_key
        for _ in range(5):
            await pilot.press("s")
        await wait_to_see(pilot, "sorted by size", "SIZE↓")
        first = app.backups_pane.history.view.shown[0]
        assert isinstance(first, BackupEntry) and first.backup_id.startswith("shop")
        assert app.backups_pane.history.cursor_key == key
        await pilot.press("S")
        await wait_to_see(pilot, "SIZE↑")


async def test_help_lists_the_live_keys_and_reasons(world: World) -> None:
    """It opens over the pane, scrolls, and closes with the key that opened it."""
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await wait_to_see(pilot, "not proven")
        await pilot.press("question_mark")
        await wait_to_see(pilot, "List of backups", "Look inside this backup")
        await pilot.press("pagedown")
        await wait_to_see(pilot, "not now: open a")
        await pilot.press("G")
        await wait_to_see(pilot, "broken, unreachable, refused")
        await pilot.press("question_mark")
        await wait_until(pilot, lambda: not app.dialogs)
        assert app.focused is app.backups_pane.history


async def test_help_names_actions_as_the_configuration_does(world: World) -> None:
    """Whoever wants another key finds the name to write into `[keys]`."""
    app = world.app()
    async with app.run_test(size=(160, 45)) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("question_mark")
        text = await wait_to_see(pilot, "connections.password", "live.pause")
        assert "Type this connection's password, kept in memory only  connections.password" in text


async def test_the_palette_finds_actions_and_connections(world: World) -> None:
    """Fuzzy, best first; enter does it."""
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("colon")
        await wait_to_see(pilot, "Actions and connections", "open erp")
        await pilot.press(*"opentest", "enter")
        await wait_until(pilot, lambda: app.opened is world.profiles[1])
        await pilot.press("ctrl+p", *"jobs", "enter")
        await wait_until(pilot, lambda: app.active == "jobs")
        await pilot.press("ctrl+p", "escape")
        await wait_until(pilot, lambda: not app.dialogs)


async def test_keys_do_not_reach_the_pane_behind_a_dialog(world: World) -> None:
    """Digits, q and others wait until the question is answered; tab stays inside."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "not proven")
        await pilot.press("d")
        await wait_to_see(pilot, "There is no undo")
        dialog = app.dialogs[0]
        for _ in range(5):
            await pilot.press("tab")
            assert app.focused is not None
            assert dialog in app.focused.ancestors
        dialog.query_one("#cancel").focus()
        await pilot.press("1", "q", "ctrl+x")
        assert app.active == "backups"
        assert app.is_running
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.dialogs)


async def test_q_leaves_and_asks_when_a_job_runs(world: World) -> None:
    """n stays, y cancels and leaves."""
    world.gate = lambda context: (context.cancellation.wait(10), None)[1]
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "not proven")
        await pilot.press("v")
        await wait_to_see(pilot, "ctrl+x cancel")
        await pilot.press("q")
        await wait_to_see(pilot, "Leave while a job runs?", "verify erp-20261122T150000Z")
        await pilot.press("n")
        await wait_until(pilot, lambda: not app.dialogs)
        assert app.is_running
        await pilot.press("ctrl+x")
        await wait_to_see(pilot, "Cancel this job?")
        await pilot.press("y")
        await wait_to_see(pilot, "cancelled")
        assert world.runner.jobs[0].state is JobState.CANCELLED
        await pilot.press("q")
        await wait_until(pilot, lambda: app.return_code == 0 and not app.is_running)


async def test_copy_is_sent_to_the_terminal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says no more than that."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "not proven")
        sent: list[str] = []
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", sent.append)
        await pilot.press("y")
        await wait_to_see(pilot, "sent to terminal: /srv/backups/erp-20261122T150000Z.sql")
        text = base64.b64decode(sent[0].removeprefix("\x1b]52;c;").removesuffix("\x07")).decode()
        assert text == "/srv/backups/erp-20261122T150000Z.sql"


def test_clipboard_limits_and_screen() -> None:
    """Too long is refused; GNU screen gets pieces it can carry."""
    with pytest.raises(ValueError, match="more than a terminal takes"):
        clipboard_sequence("x" * (MOST_BYTES + 1), assess_copying(TerminalFacts()))
    wrapped = clipboard_sequence("x" * 400, assess_copying(TerminalFacts(term="screen", is_screen=True)))
    assert wrapped.count("\x1bP") == 3
    tmux = TerminalFacts(term="screen-256color", is_tmux=True)
    assert clipboard_sequence("x", assess_copying(tmux)).startswith("\x1b]52;c;")


def test_fuzzy_scores() -> None:
    """Beginnings of words beat letters within them; missing letters are no hit."""
    assert score("rest", "restore") is not None
    assert score("xyz", "restore") is None
    assert (score("res", "restore") or 0) > (score("res", "verify by restore") or 0) > (score("res", "reverse") or 0)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_the_header_fits_any_width(world: World, width: int) -> None:
    """The right side, which says production, is what stays."""
    opened = replace(world.profiles[0], read_only=True)
    situation = Situation(crumbs=("a-very-long-profile-name-indeed", "backups", "x" * 60), opened=opened,
                          status=world.statuses["erp"], age="3 min ago")  # fmt: skip
    drawn = show_header(situation, width)
    assert width_of(drawn) == width
    if width >= 80:
        assert "PROD" in plain_text(drawn)
        assert "read-only" in plain_text(drawn)


async def test_staging_and_read_only_are_said(world: World) -> None:
    """By a word, not only by a colour."""
    app = world.app(world.profiles[1])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "STAGING")
        assert not app.screen.has_class("-production")
        assert world.profiles[1].environment is Environment.STAGING


async def test_a_late_look_does_not_replace_a_newer_one(world: World) -> None:
    """What was asked earlier and answered later is dropped."""
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "connection refused")
        pane = app.panes[0]
        old = TargetStatus(profile="erp", taken_at=NOW - timedelta(hours=1), problem="old news")
        pane.show_looks([Look(profile="erp", status=old)])  # type: ignore[attr-defined]
        await pilot.pause()
        assert "old news" not in screen_text(app)


async def test_the_data_grows_old_in_words(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header says how old the data is, and changes only by the minute."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "just now")
        app.backups_pane._taken_at = datetime.now(UTC) - timedelta(minutes=3, seconds=20)
        app.tick()
        await pilot.pause()
        assert screen_lines(app)[0].endswith("3 min ago")


async def test_a_password_is_typed_and_used_but_never_shown(world: World) -> None:
    """It reaches whoever connects next, and neither screen nor repr."""
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "connection refused")
        await pilot.press("j", "j", "P")
        await wait_to_see(pilot, "Password of shop")
        await pilot.press(*"s3cret")
        assert "s3cret" not in screen_text(app)
        await pilot.press("enter")
        await wait_until(pilot, lambda: not app.dialogs)
        assert app.runner.context.password_of(world.profiles[2]) == Secret("s3cret")
        assert app.runner.context.password_of(world.profiles[0]) is None
        assert "s3cret" not in repr(app.passwords)


async def test_the_jobs_pane_keeps_what_ran(world: World) -> None:
    """Once, with its commands, also from earlier sessions."""
    first = world.app(world.profiles[0])
    async with first.run_test(size=(140, 40)) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("v", "7")
        await wait_to_see(pilot, "● done", "$ pg_dump --format=plain erp")
        await pilot.press("R")
        await pilot.pause(0.3)
        assert screen_text(first).count("● done") == 2  # the row and its detail
    world.runner.jobs.clear()
    second = world.app()
    async with second.run_test(size=(140, 40)) as pilot:
        await pilot.press("7")
        text = await wait_to_see(pilot, "● done", "$ pg_dump --format=plain erp", "by  ")
        assert "verify" in text
        await pilot.press("X")
        await wait_to_see(pilot, "cancel: this job has ended")


async def test_a_job_is_cancelled_in_its_pane(world: World) -> None:
    """X stops the one under the cursor."""
    world.gate = lambda context: (context.cancellation.wait(10), None)[1]
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("v", "7")
        await wait_to_see(pilot, "● running")
        await pilot.press("X", "y")
        await wait_to_see(pilot, "▲ cancelled")
        await pilot.press("enter")
        await wait_to_see(pilot, "▌dump", "erp-20261122T150000Z")
        await pilot.press("escape")
        await wait_to_see(pilot, "BEGAN")


async def test_pools_and_partitions_open_what_is_under_the_cursor(world: World) -> None:
    """With no connection open; with one open, they are of that one."""
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("g", "j", "3")
        await wait_until(pilot, lambda: app.active == "pools")
        assert app.opened is not None and app.opened.name == "erp-test"
        await pilot.press("1", "1", "g", "4")
        await wait_until(pilot, lambda: app.active == "partitions")
        assert app.opened.name == "erp-test"
