"""A real lock chain of four sessions: found, and its root terminated, by keys alone."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from textual.pilot import Pilot

from dbtui.config import Settings, parse_url
from dbtui.demo.servers import PostgreSQL
from dbtui.history import History
from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.routines.context import RoutineContext
from dbtui.tui.app import DbtuiApp
from tests.tui.world import screen_text, wait_to_see, wait_until

SIZE = (160, 45)


class LockChain:
    """Session 0 holds row 1; session n holds row n+1 and waits for row n."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.ends: list[BaseException | None] = [None] * 4
        self.ended = [threading.Event() for _ in range(4)]
        self.connections = [
            stack.enter_context(closing(psycopg2.connect(url, application_name=f"chain-{number}")))
            for number in range(4)
        ]
        with self.connections[0] as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)")
            cursor.execute("INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 5) n")
        for number, connection in enumerate(self.connections):
            self._run(connection, f"UPDATE accounts SET balance = {number} WHERE id = {number + 1}")
        self.pids = [connection.info.backend_pid for connection in self.connections]
        self._threads = [threading.Thread(target=self._wait, args=(number,), daemon=True) for number in range(1, 4)]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _run(connection: Any, sql: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    def _wait(self, number: int) -> None:
        try:
            self._run(self.connections[number], f"UPDATE accounts SET balance = 9 WHERE id = {number}")
            self.connections[number].commit()
        except psycopg2.Error as error:
            self.ends[number] = error
        self.ended[number].set()

    def join(self) -> None:
        """Wait until every waiting session went on."""
        for thread in self._threads:
            thread.join(20)


@pytest.fixture
def chain(postgresql_database: str) -> Iterator[LockChain]:
    """Four sessions; whoever waits at the end is let go by closing the first."""
    with ExitStack() as stack:
        chain = LockChain(postgresql_database, stack)
        yield chain
        for pid in chain.pids:
            with closing(psycopg2.connect(postgresql_database)) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))
        chain.join()


def _app(url: str, tmp_path: Path, **fields: Any) -> tuple[DbtuiApp, ConnectionProfile]:
    profile = replace(parse_url(url, "erp", "test"), environment=Environment.PRODUCTION, **fields)
    runner = JobRunner(RoutineContext(), History(tmp_path / "state"))
    return DbtuiApp(runner, Settings(profiles=(profile,), backup_dir=str(tmp_path / "backups"))), profile


async def _press_until(pilot: Pilot[Any], key: str, condition: Callable[[], bool], most: int = 40) -> None:
    for _ in range(most):
        if condition():
            return
        await pilot.press(key)
        await pilot.pause()
    raise AssertionError(f"{key} did not bring it:\n{screen_text(pilot.app)}")  # type: ignore[arg-type]


async def test_the_root_is_found_and_terminated_by_keys(
    chain: LockChain, postgresql_database: str, tmp_path: Path
) -> None:
    """The others go on; the result, and history, say who was hit."""
    app, _profile = _app(postgresql_database, tmp_path)
    root, last = chain.pids[0], chain.pids[3]
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "PG ")
        await pilot.press("enter")
        sessions = app.connections_pane.sessions
        await wait_to_see(pilot, str(root), "blocks 3", f"by {chain.pids[2]}", "blocked 3")
        await pilot.press("t")
        text = await wait_to_see(pilot, "blocking tree")
        tree = [re.split("[│┃]", row)[1] for row in text.splitlines() if " ✖ " in row or f"▲ {root}" in row]
        assert f"▲ {root}" in tree[0]
        assert [chain.pids[number] for number in (1, 2, 3)] == [
            row.session.session_id for row in sessions.table.view.shown[1:]
        ]
        await pilot.press("G")
        await wait_until(
            pilot, lambda: sessions.session_row is not None and sessions.session_row.session.session_id == last
        )
        await pilot.press("t")
        await wait_until(
            pilot, lambda: sessions.session_row is not None and sessions.session_row.session.session_id == last
        )
        await pilot.press("o")
        await wait_to_see(pilot, f"{root} is the root: 3 wait for it")
        assert sessions.session_row is not None
        assert sessions.session_row.session.session_id == root
        await pilot.press("K")
        await wait_to_see(pilot, f"Terminate session {root} on erp", "chain-0", "blocks 3", "pg_terminate_backend")
        assert app.focused is app.dialogs[0].query_one("#cancel")
        await wait_until(pilot, lambda: not app.dialogs[0].query_one("#accept").disabled)
        await pilot.press("y")
        await wait_to_see(pilot, f"● terminated {root} postgres chain-0 from 127.0.0.1")
        for number in (1, 2, 3):
            assert chain.ended[number].wait(20), f"session {number} still waits"
        assert chain.ends == [None] * 4
        await wait_to_see(pilot, "blocked 0")
        await wait_until(pilot, lambda: str(root) not in [row.key.split()[0] for row in sessions.table.view.rows])
    kept = app.runner.history.entries(1)[0]
    assert (kept.routine, kept.target, kept.subject.split()[0]) == ("sessions terminate", "erp", str(root))
    assert "pg_terminate_backend" in kept.commands[-1]
    with pytest.raises(psycopg2.Error):
        chain._run(chain.connections[0], "SELECT 1")


async def test_a_statement_is_cancelled_and_its_session_goes_on(
    chain: LockChain, postgresql_database: str, tmp_path: Path
) -> None:
    """C on the last of the chain."""
    app, _profile = _app(postgresql_database, tmp_path)
    last = chain.pids[3]
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "PG ")
        await pilot.press("enter")
        sessions = app.connections_pane.sessions
        await wait_to_see(pilot, f"by {chain.pids[2]}")
        assert sessions.table.move_to(
            next(row.key for row in sessions.table.view.rows if row.session.session_id == last)
        )
        await pilot.press("C")
        await wait_to_see(pilot, f"Cancel the statement of session {last}", "pg_cancel_backend")
        await wait_until(pilot, lambda: not app.dialogs[0].query_one("#accept").disabled)
        await pilot.press("tab", "enter")
        await wait_to_see(pilot, f"● cancelled the statement of {last} postgres chain-3")
        assert chain.ended[3].wait(20)
        assert isinstance(chain.ends[3], psycopg2.errors.QueryCanceled)
        chain.connections[3].rollback()
        chain._run(chain.connections[3], "SELECT 1")


async def test_a_plan_is_shown_without_running_the_statement(
    chain: LockChain, postgresql_database: str, tmp_path: Path
) -> None:
    """x on a session that waits."""
    app, _profile = _app(postgresql_database, tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "PG ")
        await pilot.press("enter")
        await wait_to_see(pilot, f"by {chain.pids[0]}")
        table = app.connections_pane.sessions.table
        assert table.move_to(next(row.key for row in table.view.rows if row.session.session_id == chain.pids[1]))
        await pilot.press("x")
        await wait_to_see(pilot, "Update on accounts", "not run")


async def test_a_server_that_goes_away_is_down_and_comes_back(
    new_postgresql: Callable[..., PostgreSQL], tmp_path: Path
) -> None:
    """Its sessions stay, with the reason and the time of the next try; without a key it is seen again."""
    server = new_postgresql()
    app, _profile = _app(server.url("postgres"), tmp_path)
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "PG ")
        await pilot.press("enter")
        await wait_to_see(pilot, "clients 0", "Nobody is connected. f shows others.")
        await pilot.press("F")
        await wait_to_see(pilot, "dbtui", "● active")
        server.stop()
        text = await wait_to_see(pilot, "next try in", "last seen")
        assert "dbtui" in text.split("SQL", 1)[1]
        server.start()
        await wait_until(
            pilot, lambda: "all " in screen_text(app) and "next try" not in screen_text(app), 40, "it back"
        )


def test_sessions_of_dbtui_name_themselves(postgresql_server: PostgreSQL) -> None:
    """Nothing of this file is left on the server."""
    ends = time.monotonic() + 10
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chain-%'"
    while postgresql_server.execute(count)[0][0] and time.monotonic() < ends:
        os.sched_yield()
    assert postgresql_server.execute(count)[0][0] == 0
