"""The slots of real servers: who holds them and what for, the peak, and this machine's own load."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import psycopg2
import pymysql
import pytest

from dbtui.adapters.holders import OTHERS, merge_holders
from dbtui.adapters.machine import collect_host
from dbtui.config import parse_url
from dbtui.demo.servers import MariaDB, PgBouncer, PostgreSQL
from dbtui.model.connections import EngineName
from dbtui.model.pools import ServerHolder, ServerPool, ServerState
from dbtui.routines.context import RoutineContext
from tests.fix_servers import unique_name, wait_until

Session = Any  # a connection of PyMySQL


def look(url: str) -> ServerPool:
    context, profile = RoutineContext(environ={}), parse_url(url)
    asked = context.adapter(profile.engine).pools
    assert asked is not None
    with context.open_target(profile) as target:
        return asked.collect_server_pool(target)


def holders(pool: ServerPool, application: str) -> dict[ServerState, int]:
    found: dict[ServerState, int] = {}
    for each in pool.holders:
        if each.application == application:
            found[each.state] = found.get(each.state, 0) + each.count
    return found


def open_session(url: str, application: str, *sql: str) -> psycopg2.extensions.connection:
    made = psycopg2.connect(url, application_name=application)
    for each in sql:
        with made.cursor() as cursor:
            cursor.execute(each)
    return made


def test_sessions_of_postgresql_by_what_they_do(postgresql_database: str) -> None:
    name = unique_name("app")
    with ExitStack() as stack:
        stack.enter_context(closing(open_session(postgresql_database, name, "CREATE TABLE t (i int)", "COMMIT")))
        for sql in ("LOCK TABLE t", "SELECT 1"):
            stack.enter_context(closing(open_session(postgresql_database, name, sql)))
        threads = []
        for sql in ("SELECT * FROM t", "SELECT pg_sleep(60)", "SELECT count(*) FROM generate_series(1, 1000000000)"):
            session = stack.enter_context(closing(open_session(postgresql_database, name)))
            threads.append(threading.Thread(target=_ask_until_cancelled, args=(session, sql), daemon=True))
            threads[-1].start()
            stack.callback(session.cancel)
        wanted = {
            ServerState.IDLE: 1, ServerState.IDLE_IN_TRANSACTION: 2, ServerState.LOCK: 1, ServerState.OTHER_WAIT: 1,
        }  # fmt: skip

        def sees_all() -> bool:
            seen = holders(look(postgresql_database), name)
            working = seen.pop(ServerState.ON_CPU, 0) + seen.pop(ServerState.IO, 0)
            return seen == wanted and working == 1

        wait_until(sees_all)
        pool = look(postgresql_database)
        assert pool.slots == 97
        assert pool.used >= 7  # ours is one that is taken, too
        assert all(each.application != "dbtui" for each in pool.holders)
        assert pool.is_local
        assert pool.cores
        assert pool.gaps == ()
        assert pool.started_at is not None
    for thread in threads:
        thread.join(10)


def _ask_until_cancelled(session: psycopg2.extensions.connection, sql: str) -> None:
    try:
        with session.cursor() as cursor:
            cursor.execute(sql)
    except psycopg2.Error:
        return


def test_slots_are_those_an_ordinary_login_has(new_postgresql: Callable[..., PostgreSQL]) -> None:
    server = new_postgresql(config=["max_connections = 20", "superuser_reserved_connections = 4"])
    assert look(server.url("postgres")).slots == 16


def test_a_login_that_sees_only_itself(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    login = unique_name("plain")
    postgresql_server.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    try:
        with closing(open_session(postgresql_database, "somebody", "SELECT 1")):
            url = f"postgresql://{login}:x@{postgresql_server.host}:{postgresql_server.port}/postgres"
            pool = look(url)
            assert pool.used >= 2
            assert pool.holders == ()
            assert f'GRANT pg_read_all_stats TO "{login}"' in pool.gaps[0]
    finally:
        postgresql_server.execute(f"DROP ROLE {login}")


def test_what_a_pooler_keeps_open_is_no_dbtui(
    postgresql_server: PostgreSQL, pgbouncer: PgBouncer, postgresql_database: str
) -> None:
    database = postgresql_database.rpartition("/")[2]
    with closing(open_session(pgbouncer.url(database), "dbtui")) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("SELECT 1")
        pool = look(pgbouncer.url(database))
    assert pool.used >= 1


def connect_to(server: MariaDB) -> Session:
    return pymysql.connect(host=server.host, port=server.port, user=server.superuser, password=server.password)


@pytest.fixture
def new_session(mariadb_server: MariaDB) -> Iterator[Callable[..., Session]]:
    """Opens sessions of MariaDB that have run some statements; what they run at the end of the test is ended."""
    made: list[Session] = []

    def open_one(*statements: str) -> Session:
        session = connect_to(mariadb_server)
        for statement in statements:
            session.query(statement)
        made.append(session)
        return session

    yield open_one
    with closing(connect_to(mariadb_server)) as last:
        for session in made:
            last.kill(session.thread_id())
    for session in made:
        session._force_close()


def test_connections_of_mariadb(mariadb_server: MariaDB, new_session: Callable[..., Session]) -> None:
    url = mariadb_server.url("mysql")
    new_session()
    new_session("SET autocommit = 0", "SELECT COUNT(*) FROM mysql.innodb_table_stats FOR UPDATE")
    for sql in ("SELECT SLEEP(30)", "SELECT COUNT(*) FROM mysql.innodb_table_stats FOR UPDATE"):
        threading.Thread(target=_ask_mariadb, args=(new_session("SET innodb_lock_wait_timeout = 30"), sql)).start()
    states = (ServerState.OTHER_WAIT, ServerState.LOCK, ServerState.IDLE_IN_TRANSACTION, ServerState.IDLE)
    wait_until(lambda: all(look(url).count(state) >= 1 for state in states))
    pool = look(url)
    assert pool.slots >= pool.used >= 5
    assert pool.most_used is not None
    assert pool.most_used >= pool.used
    assert pool.refused_total is not None
    assert (pool.engine, pool.flavour) == (EngineName.MYSQL, "MariaDB")
    assert pool.started_at is not None
    assert pool.is_local
    assert pool.cores


def _ask_mariadb(session: Session, sql: str) -> None:
    with contextlib.suppress(pymysql.Error, OSError, AttributeError, ValueError):  # it is closed under it
        session.query(sql)


def test_who_is_turned_away_is_counted(new_mariadb: Callable[..., MariaDB]) -> None:
    server = new_mariadb(options=["--max-connections=10"])
    with ExitStack() as stack, pytest.raises(pymysql.err.OperationalError):
        for _ in range(20):
            stack.enter_context(closing(connect_to(server)))
    wait_until(lambda: look(server.url()).refused_total == 1)
    assert look(server.url()).slots == 10


def test_very_many_holders_are_merged_and_none_is_lost() -> None:
    many = [
        ServerHolder(
            application=f"a{number}", client="", user="", state=list(ServerState)[number % 3], count=number % 7 + 1,
            oldest_seconds=float(number),
        )
        for number in range(1000)
    ]  # fmt: skip
    merged = merge_holders(many, 50)
    assert len(merged) == 53
    assert sum(each.count for each in merged) == sum(each.count for each in many)
    for state in ServerState:
        assert sum(e.count for e in merged if e.state is state) == sum(e.count for e in many if e.state is state)
    assert {each.application for each in merged[50:]} == {OTHERS}


def test_this_machine() -> None:
    first = collect_host()
    assert first.cores >= 1
    assert first.load_1m >= 0
    assert first.memory_bytes
    assert first.memory_available_bytes
    assert first.memory_available_bytes <= first.memory_bytes
    began = time.thread_time()
    while time.thread_time() - began < 0.3:
        sum(range(1000))
    second = collect_host()
    assert first.busy_seconds_total is not None
    assert second.busy_seconds_total is not None
    assert second.busy_seconds_total - first.busy_seconds_total >= 0.25
