"""A real N+1 on a real server: suspected, captured by two keys, found, and the server's settings are as before."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from dbtui.config import Settings, parse_url
from dbtui.demo.servers import PostgreSQL
from dbtui.history import History
from dbtui.jobs import JobRunner
from dbtui.model.connections import Environment
from dbtui.routines.captures import list_stale_captures
from dbtui.routines.context import RoutineContext
from dbtui.tui import query_feed
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes.queries import QueriesPane
from tests.routines.capture_lab import looking_up, postgresql_state
from tests.tui.world import screen_text, wait_to_see, wait_until

SIZE = (160, 45)


@pytest.fixture
def server(new_postgresql: Callable[..., PostgreSQL]) -> PostgreSQL:
    """A server whose log can be read and whose statements are summed up."""
    started = new_postgresql(config=["logging_collector = on", "log_destination = 'stderr'"])
    started.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    return started


def _app(server: PostgreSQL, tmp_path: Path) -> DbtuiApp:
    profile = replace(parse_url(server.url("postgres"), "erp", "test"), environment=Environment.DEVELOPMENT)
    context = RoutineContext(environ=dict(os.environ))
    runner = JobRunner(context, History(tmp_path / "state"))
    return DbtuiApp(runner, Settings(profiles=(profile,), backup_dir=str(tmp_path / "backups")))


async def _capture(pilot: Pilot[Any], app: DbtuiApp) -> None:
    await pilot.press("c")
    await wait_until(pilot, lambda: bool(app.dialogs) and not app.dialogs[0].query_one("#accept").disabled, 30)
    await pilot.press("y")


async def test_suspected_captured_found_and_put_back(
    server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an application runs; the capture is ended by keys as soon as it has shown what it was for."""
    monkeypatch.setattr(query_feed, "LOOK_SECONDS", 1.0)
    before = postgresql_state(server)
    app = _app(server, tmp_path)
    with looking_up(server.url("postgres")) as has_run:
        assert has_run.wait(20)
        async with app.run_test(size=SIZE) as pilot:
            await wait_to_see(pilot, "PG 15")
            await pilot.press("g", "5")
            await wait_to_see(
                pilot, "▲  suspect   post then 12 × comment WHERE $1 = post_id", "foreign key", seconds=60
            )
            await _capture(pilot, app)
            text = await wait_to_see(pilot, "✖  N+1", "▌capturing", "▌capture queries erp", seconds=60)
            assert "post then 12 × comment WHERE ? = post_id" in text
            assert postgresql_state(server) != before
            await pilot.press("ctrl+x")
            await wait_to_see(pilot, "Cancel this job?")
            await pilot.press("y")
            text = await wait_to_see(pilot, "settings are as before", "ended by: cancelled", seconds=60)
            assert "suspect " not in text
            await pilot.press("enter")
            await wait_to_see(pilot, "select(Post).options(selectinload(Post.comments))", "raiseload(Post.comments)")
            pane = cast(QueriesPane, app.pane)
            await pilot.press("escape", "t", "slash", *"comment", "enter", "x")
            await wait_to_see(pilot, "Seq Scan on comment", "index       CREATE INDEX CONCURRENTLY ix_comment_post_id",
                              seconds=30)  # fmt: skip
            assert pane.top.row is not None
    assert postgresql_state(server) == before, screen_text(app)
    assert list_stale_captures(tmp_path / "state" / "captures") == ()
    kept = app.runner.history.entries(1)[0]
    assert (kept.routine, kept.target) == ("capture queries", "erp")
