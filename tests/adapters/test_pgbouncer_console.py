"""The console of a real PgBouncer: who gets in, what a look sees, how it ends, and what is never sent."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.libpq.conninfo import parse_conninfo
from dbtui.adapters.libpq.failures import TOO_MANY_CONNECTIONS, translate_connect
from dbtui.adapters.pgbouncer.clients import collect_clients
from dbtui.adapters.pgbouncer.console import open_console
from dbtui.adapters.pgbouncer.machine import collect_cpu_seconds
from dbtui.adapters.pgbouncer.snapshot import collect_pooler
from dbtui.config import parse_url
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.errors import AuthenticationError, Cancelled, ConnectError, ServerError
from dbtui.model.connections import Secret
from tests.adapters.pooled import ask, connect, console_of, pool_of
from tests.fix_servers import unique_name, wait_until

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def pooler(postgresql_server: PostgreSQL) -> Iterator[PgBouncer]:
    """A PgBouncer of this test alone: two servers for each pool, four clients."""
    settings = {"default_pool_size": "2", "max_client_conn": "4", "query_wait_timeout": "30"}
    with PgBouncer(postgresql_server, name=unique_name("bouncer"), settings=settings) as pooler:
        yield pooler


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_look_sees_who_holds_and_who_waits(pooler: PgBouncer, postgresql_database: str) -> None:
    database = name_of(postgresql_database)
    with closing(connect(pooler, database)) as one, closing(connect(pooler, database)) as two:
        ask(one)
        ask(two)
        waiting = connect(pooler, database, autocommit=True)
        thread = threading.Thread(target=ask, args=(waiting,), daemon=True)
        thread.start()
        with console_of(pooler) as console:
            wait_until(lambda: pool_of(collect_pooler(console, NOW), database).cl_waiting == 1)
            console.kept.clear()
            found = collect_pooler(console, NOW)
            pool = pool_of(found, database)
            assert (pool.sv_active, pool.cl_active, pool.cl_waiting, pool.pool_mode) == (2, 2, 1, "transaction")
            wait_until(lambda: pool_of(collect_pooler(console, NOW), database).maxwait_seconds > 0.05)
            assert found.version == "1.18.0"
            assert found.used_clients == 3  # our own session is none of them
            assert (found.settings.max_client_conn, found.settings.default_pool_size) == (4, 2)
            assert [each.name for each in found.databases] == [database]
            assert {each.database for each in found.totals} == {database}
            one.rollback()
            thread.join(10)
        waiting.close()


def test_used_clients_are_those_of_show_lists_without_consoles(pooler: PgBouncer, postgresql_database: str) -> None:
    database = name_of(postgresql_database)
    with (
        closing(connect(pooler, database)) as one,
        closing(connect(pooler, database)),
        console_of(pooler) as console,
        console_of(pooler),
    ):
        ask(one)
        listed = {str(row["list"]): int(row["items"]) for row in console.rows("SHOW LISTS")}
        assert listed["used_clients"] == 4
        assert collect_pooler(console, NOW).used_clients == 2


def test_one_who_may_look_may_not_order(pooler: PgBouncer) -> None:
    with console_of(pooler) as stats, console_of(pooler, pooler.admin_user) as admin:
        assert collect_pooler(stats, NOW).is_admin is False
        assert collect_pooler(admin, NOW).is_admin is True
        with pytest.raises(ServerError, match="admin access needed"):
            stats.rows("RELOAD")
        collect_pooler(stats, NOW)  # the console goes on


def test_a_login_that_is_not_for_the_console(pooler: PgBouncer) -> None:
    with pytest.raises(AuthenticationError, match=r"stats_users.*admin_users"), console_of(pooler, "postgres"):
        pass


def test_a_wrong_password_and_an_unknown_login(pooler: PgBouncer) -> None:
    profile = parse_url(pooler.console_url())
    with pytest.raises(AuthenticationError) as caught:
        open_console(profile, Secret("hunter2"), Cancellation(), {})
    assert "hunter2" not in f"{caught.value!r} {caught.value}"
    stranger = parse_url(pooler.url("pgbouncer", "nobody", "hunter2"))
    with pytest.raises(AuthenticationError):
        open_console(stranger, stranger.password, Cancellation(), {})


def test_a_server_is_not_taken_for_a_pooler(postgresql_server: PostgreSQL) -> None:
    profile = parse_url(postgresql_server.url("postgres"))
    with pytest.raises(ConnectError, match="not the console of a PgBouncer"):
        open_console(profile, profile.password, Cancellation(), {})


def test_nothing_listens(pooler: PgBouncer) -> None:
    profile = parse_url(pooler.console_url())
    pooler.stop()
    with pytest.raises(ConnectError, match="connection refused"):
        open_console(profile, profile.password, Cancellation(), {})


def test_too_many_clients_are_told_without_an_sqlstate(pooler: PgBouncer, postgresql_database: str) -> None:
    database = name_of(postgresql_database)
    held = [connect(pooler, database) for _ in range(4)]
    for each in held:
        each.autocommit = True
    ask(held[0])
    url = pooler.url(database)
    with pytest.raises(psycopg2.OperationalError) as caught:
        psycopg2.connect(url)
    assert caught.value.pgcode is None
    error = translate_connect(caught.value, parse_conninfo(url))
    assert isinstance(error, ConnectError)
    assert error.code == TOO_MANY_CONNECTIONS
    assert "max_client_conn" in str(error)
    with console_of(pooler) as console:  # which is let in all the same
        assert collect_pooler(console, NOW).used_clients == 4
    for each in held:
        each.close()


def test_the_password_file_is_asked_before_another_logins_password(pooler: PgBouncer, tmp_path: Path) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:{pooler.port}:pgbouncer:{pooler.stats_user}:{pooler.password}\n")
    passfile.chmod(0o600)
    url = f"postgresql://{pooler.stats_user}@127.0.0.1:{pooler.port}/pgbouncer"
    profile = parse_url(url)
    environ = {"PGPASSFILE": str(passfile)}
    open_console(profile, Secret("of another login"), Cancellation(), environ, is_last_resort=True).close()
    with pytest.raises(AuthenticationError):
        open_console(profile, Secret("of another login"), Cancellation(), environ)
    empty = {"PGPASSFILE": str(tmp_path / "none")}
    open_console(profile, Secret(pooler.password), Cancellation(), empty, is_last_resort=True).close()
    with pytest.raises(AuthenticationError):
        open_console(profile, Secret("wrong"), Cancellation(), empty, is_last_resort=True)


def test_the_process_is_found_over_tcp_and_over_its_socket(pooler: PgBouncer, pgbouncer: PgBouncer) -> None:
    assert pooler.process is not None
    own = pooler.process.pid
    with console_of(pooler) as console:
        assert console.process_id == own
        assert collect_pooler(console, NOW).cpu_seconds_total is not None
    host = str(pooler.home).replace("/", "%2F")
    url = f"postgresql://{pooler.stats_user}@{host}:{pooler.port}/pgbouncer"
    console = open_console(parse_url(url), Secret(pooler.password), Cancellation(), {})
    with closing(console):
        assert console.process_id == own
    assert collect_cpu_seconds(os.getpid()) is None
    assert collect_cpu_seconds(None) is None


def test_a_stop_ends_a_command_that_waits_without_a_cancel_request(pooler: PgBouncer, postgresql_database: str) -> None:
    """A cancel request on a console would take back a PAUSE that somebody else has ordered."""
    database = name_of(postgresql_database)
    with closing(connect(pooler, database)) as busy, console_of(pooler, pooler.admin_user) as admin:
        ask(busy)
        waits = replace(parse_url(pooler.console_url(pooler.admin_user)), connect_seconds=5)
        cancellation = Cancellation()
        console = open_console(waits, waits.password, cancellation, {})
        stop = threading.Timer(0.3, cancellation.request)
        stop.start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            console.rows(f'PAUSE "{database}"')
        assert time.monotonic() - began < 5
        console.close()
        assert collect_pooler(admin, NOW).databases[0].is_paused
        log = pooler.log.read_text()
        assert "cancel request" not in log
        admin.rows(f'RESUME "{database}"')


def test_a_pooler_that_goes_away_is_a_lost_connection(pooler: PgBouncer) -> None:
    with console_of(pooler) as console:
        collect_pooler(console, NOW)
        pooler.stop()
        with pytest.raises(ConnectError, match="was lost"):
            collect_pooler(console, NOW)


def test_who_accepts_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://stats@127.0.0.1:{silent.getsockname()[1]}/pgbouncer"
        cancellation = Cancellation()
        stop = threading.Timer(0.3, cancellation.request)
        stop.start()
        with pytest.raises(Cancelled):
            open_console(parse_url(url), None, cancellation, {})


def test_clients_are_linked_to_the_processes_of_the_server(pooler: PgBouncer, postgresql_database: str) -> None:
    database = name_of(postgresql_database)
    with closing(connect(pooler, database)) as busy, closing(connect(pooler, database, autocommit=True)) as resting:
        ask(resting)
        with busy.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (process_id,) = cursor.fetchone() or (0,)
        with console_of(pooler) as console:
            found = collect_clients(console, 10).clients
        linked = [each for each in found if each.server is not None]
        assert [each.server.process_id for each in linked if each.server] == [process_id]
        assert len(found) == 2
        assert {each.application for each in found} == {"erp-api"}
