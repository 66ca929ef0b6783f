"""What a capture on MariaDB needs: refused with what to do, and with exactly that done it works."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dbtui.adapters.mysql import capture as planning
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.top_queries import QUERIES
from dbtui.demo.servers import MariaDB, ServerDirectory
from dbtui.errors import RefusedError
from dbtui.model.captures import CaptureJournal, CaptureWish
from dbtui.model.connections import EngineName
from dbtui.model.queries import CapturePlan, CaptureWay
from tests.adapters.mysql_targets import open_mysql
from tests.fix_servers import unique_name, wait_until

GENERAL = CaptureWish(way=CaptureWay.MYSQL_GENERAL)
CONSUMERS = "SELECT NAME, ENABLED FROM performance_schema.setup_consumers ORDER BY 1"


@pytest.fixture(scope="module")
def server(server_directory: ServerDirectory) -> Iterator[MariaDB]:
    """A server that measures its statements and keeps none."""
    with MariaDB(server_directory, name=unique_name("maria"), options=["--performance-schema=ON"]) as made:
        yield made


@pytest.fixture
def login(server: MariaDB) -> Iterator[str]:
    """A login without any right; its password is x."""
    name = unique_name("dba")
    server.execute(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY 'x'")
    yield name
    server.execute(f"DROP USER '{name}'@'127.0.0.1'")


@contextlib.contextmanager
def opened(url: str, *, read_only: bool = False) -> Iterator[MysqlTarget]:
    target = open_mysql(url, read_only=read_only)
    with contextlib.closing(target):
        yield target


def plan(target: MysqlTarget, wish: CaptureWish | None = None) -> CapturePlan:
    return QUERIES.plan_capture(target, wish or CaptureWish())


def journal_of(made: CapturePlan) -> CaptureJournal:
    now = datetime.now(UTC)
    return CaptureJournal(
        capture_id="test", profile="shop", engine=EngineName.MYSQL, url="", server=made.server, way=made.way,
        changes=made.changes, began_at=now, seconds=60, deadline_at=now + timedelta(minutes=1), most_bytes=10**8,
        process=os.getpid(),
    )  # fmt: skip


def grants_in(refusal: str) -> list[str]:
    return re.findall(r"GRANT [^;]*", refusal)


def capture_something(server: MariaDB, target: MysqlTarget, made: CapturePlan) -> None:
    """Switch it on, see a statement, and switch it off."""
    mark = unique_name("seen")
    with QUERIES.open_switch(target, journal_of(made)) as switch, QUERIES.open_tail(target, made) as tail:
        switch.check()
        switch.apply()
        tail.read()
        server.execute(f"SELECT '{mark}'")
        wait_until(lambda: any(mark in event.sql for event in tail.read()[0]))
        assert switch.revert() == ()


def test_history_needs_these_grants_and_no_more(server: MariaDB, login: str) -> None:
    before = server.execute(CONSUMERS)
    with opened(server.url("", user=login, password="x")) as target:
        refusal = plan(target).refusal
        assert len(grants_in(refusal)) == 2
        for grant in grants_in(refusal):
            server.execute(grant)
        made = plan(target)
        assert not made.refusal and made.way is CaptureWay.MYSQL_HISTORY
        assert {change.name for change in made.changes} == {
            "setup_consumers.events_statements_current", "setup_consumers.events_statements_history_long",
        }  # fmt: skip
        capture_something(server, target, made)
    assert server.execute(CONSUMERS) == before


def test_the_general_log_needs_these_grants_and_no_more(server: MariaDB, login: str) -> None:
    with opened(server.url("", user=login, password="x")) as target:
        for _ in range(2):
            (grant,) = grants_in(plan(target, GENERAL).refusal)
            server.execute(grant)
    with opened(server.url("", user=login, password="x")) as target:
        made = plan(target, GENERAL)
        assert not made.refusal
        assert any("no durations" in warning for warning in made.warnings)
        capture_something(server, target, made)
    assert server.execute("SELECT COUNT(*) FROM mysql.general_log") == [(0,)]
    assert server.execute("SELECT @@general_log, @@log_output") == [(0, "FILE")]


def test_rows_that_were_there_stay(server: MariaDB) -> None:
    server.execute("SET GLOBAL log_output = 'TABLE'")
    server.execute("SET GLOBAL general_log = 1")
    server.execute("SET GLOBAL general_log = 0")
    server.execute("SET GLOBAL log_output = 'FILE'")
    (logged,) = server.execute("SELECT COUNT(*) FROM mysql.general_log")[0]
    assert logged
    try:
        with opened(server.url()) as target:
            made = plan(target, GENERAL)
            assert any(f"holds {logged} rows: those of the capture stay" in warning for warning in made.warnings)
            capture_something(server, target, made)
        assert server.execute("SELECT COUNT(*) FROM mysql.general_log")[0][0] > logged
    finally:
        server.execute("TRUNCATE TABLE mysql.general_log")


def test_without_performance_schema_the_general_log_is_planned(mariadb_server: MariaDB) -> None:
    with opened(mariadb_server.url()) as target:
        made = plan(target)
        refused = plan(target, CaptureWish(way=CaptureWay.MYSQL_HISTORY)).refusal
    assert made.way is CaptureWay.MYSQL_GENERAL and not made.refusal
    assert "performance_schema = ON below [mysqld]" in refused


def test_without_knowing_the_room_the_general_log_is_refused(server: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_find_free_bytes", lambda _target, _settings: None)
    with opened(server.url()) as target:
        assert "cannot be told from here" in plan(target, GENERAL).refusal
        assert not plan(target, replace(GENERAL, free_bytes=10**9)).refusal
        assert "1.0 kB are free" in plan(target, replace(GENERAL, free_bytes=1000)).refusal


def test_a_read_only_profile_is_refused(server: MariaDB) -> None:
    with opened(server.url(), read_only=True) as target:
        assert "read-only" in plan(target).refusal


def test_sessions_and_statements_that_are_not_looked_at_are_told(server: MariaDB) -> None:
    server.execute("UPDATE performance_schema.setup_instruments SET ENABLED = 'NO' WHERE NAME = 'statement/sql/select'")
    try:
        with opened(server.url()) as target:
            assert any("1 kinds of statements are not looked at" in warning for warning in plan(target).warnings)
    finally:
        server.execute(
            "UPDATE performance_schema.setup_instruments SET ENABLED = 'YES' WHERE NAME = 'statement/sql/select'"
        )


def test_a_plan_that_is_out_of_date_is_refused(server: MariaDB) -> None:
    switch = "UPDATE performance_schema.setup_consumers SET ENABLED = '{}' WHERE NAME = 'events_statements_current'"
    with opened(server.url()) as target:
        journal = journal_of(plan(target))
        server.execute(switch.format("YES"))
        try:
            with QUERIES.open_switch(target, journal) as made, pytest.raises(RefusedError, match="plan it again"):
                made.apply()
        finally:
            server.execute(switch.format("NO"))


def test_a_journal_of_another_server_is_not_applied(server: MariaDB) -> None:
    with opened(server.url()) as target:
        journal = replace(journal_of(plan(target)), server="MySQL elsewhere, port 1")
        with pytest.raises(RefusedError, match="this is MySQL"), QUERIES.open_switch(target, journal):
            pass


def test_a_lost_session_of_ours_gives_the_lock_up(server: MariaDB) -> None:
    with opened(server.url()) as lost, opened(server.url()) as target:
        journal = journal_of(plan(lost))
        with QUERIES.open_switch(lost, journal), QUERIES.open_switch(target, journal, QUERIES.own_sessions(lost)):
            pass


def test_what_is_prepared_and_run_shows_once(server: MariaDB) -> None:
    with opened(server.url()) as target:
        made = plan(target, GENERAL)
        with QUERIES.open_switch(target, journal_of(made)) as switch, QUERIES.open_tail(target, made) as tail:
            switch.apply()
            with opened(server.url()) as other:
                for sql in ("PREPARE p FROM 'SELECT ? + 41'", "SET @one = 1", "EXECUTE p USING @one"):
                    other.rows(sql)
            texts = [event.sql for event in tail.finish()]
            switch.revert()
    assert sum("+ 41" in text and not text.startswith("PREPARE") for text in texts) == 1, texts
