"""One look at a PostgreSQL server: what it counts, what a login may not see, how far a replica is, what it costs."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from dbtui.adapters.postgresql.status import collect_status
from dbtui.demo.servers import PgBouncer, PostgreSQL, PostgreSQLReplica
from dbtui.demo.servers.base import Server
from tests.adapters.postgresql_sessions import (
    Crowd,
    add_login,
    any_database,
    any_server,
    await_state,
    crowd,
    crowd_in,
    database_on,
    execute,
    newest_postgresql,
)
from tests.adapters.postgresql_targets import opened, wait_until
from tests.fix_tls import TlsPostgreSQL

__all__ = ["any_database", "any_server", "crowd", "newest_postgresql"]  # fixtures


def test_what_goes_on_is_counted(new_postgresql: Callable[..., PostgreSQL]) -> None:
    server = new_postgresql(config=["max_connections = 20", "superuser_reserved_connections = 3"])
    with opened(server.url()) as target, crowd_in(server.url()) as crowd:
        quiet = collect_status(target)
        assert (quiet.sessions_used, quiet.sessions_available) == (1, 17)
        assert (quiet.sessions_active, quiet.sessions_idle_in_transaction, quiet.sessions_blocked) == (0, 0, 0)
        assert quiet.oldest_transaction_seconds is None and quiet.lag_seconds is None and quiet.gaps == ()
        assert quiet.started_at is not None and quiet.is_pooled is False and quiet.is_tls is False
        holder, victim = crowd.join(), crowd.join()
        execute(holder, "CREATE TABLE t (n int)")
        holder.commit()
        execute(holder, "LOCK TABLE t")
        crowd.run(victim, "TABLE t")
        await_state(target, victim, wait="Lock")
        busy = collect_status(target)
        assert (busy.sessions_used, busy.sessions_active, busy.sessions_idle_in_transaction) == (3, 1, 1)
        assert busy.sessions_blocked == 1 and 0 < (busy.oldest_transaction_seconds or 0) < 60
        assert busy.started_at == quiet.started_at


def test_counters_grow(any_server: PostgreSQL, any_database: str) -> None:
    with opened(any_server.url(any_database)) as target:
        first = collect_status(target).counters
        assert first is not None and first.transactions is not None and first.queries is None
        any_server.execute("CREATE TABLE t AS SELECT generate_series(1, 1000)", database=any_database)

        def has_grown() -> bool:
            now = collect_status(target).counters
            assert now is not None and first is not None
            return (now.transactions or 0) > (first.transactions or 0) and (now.blocks_hit or 0) > (
                first.blocks_hit or 0
            )

        wait_until(has_grown)


def test_reserved_slots_are_no_room(newest_postgresql: PostgreSQL) -> None:
    with opened(newest_postgresql.url()) as target:
        assert collect_status(target).sessions_available == 100 - 3 - 4


def test_a_connection_limit_of_one_s_own_is_the_room_there_is(any_server: PostgreSQL, any_database: str) -> None:
    login = add_login(any_server, "pg_read_all_stats")
    any_server.execute(f"ALTER ROLE {login} CONNECTION LIMIT 5")
    with opened(any_server.url(any_database, login, "x")) as target:
        status = collect_status(target)
        assert status.sessions_used is not None and status.sessions_available == status.sessions_used + 4
        assert status.gaps == (f'login "{login}" may have 5 sessions and has 1: CONNECTION LIMIT',)
        any_server.execute(f'ALTER DATABASE "{any_database}" CONNECTION LIMIT 2')
        status = collect_status(target)
        assert status.sessions_available == (status.sessions_used or 0) + 1
        assert f'database "{any_database}" may have 2 sessions and has 1: CONNECTION LIMIT' in status.gaps
    with opened(any_server.url(any_database)) as superuser:
        assert collect_status(superuser).gaps == ()


def test_what_a_login_may_not_see_is_not_known(any_server: PostgreSQL, any_database: str, crowd: Crowd) -> None:
    login = add_login(any_server)
    crowd.join()
    with opened(any_server.url(any_database, login, "x")) as target:
        status = collect_status(target)
        assert status.sessions_active is None and status.sessions_blocked is None
        assert status.sessions_used is not None and status.sessions_used >= 2
        assert status.gaps == (f'sessions of other logins need GRANT pg_read_all_stats TO "{login}"',)
        any_server.execute(f'REVOKE CONNECT ON DATABASE "{any_database}" FROM PUBLIC')
        target._kept.clear()
        hidden = collect_status(target)
        assert hidden.size_bytes is None
        assert f'the size needs GRANT CONNECT ON DATABASE "{any_database}" TO "{login}"' in hidden.gaps


def test_the_size_is_asked_for_once_a_minute(
    any_server: PostgreSQL, any_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(any_server.url(any_database)) as target:
        first = collect_status(target)
        any_server.execute("CREATE TABLE t AS SELECT generate_series(1, 1000)", database=any_database)
        second = collect_status(target)
        assert (second.size_bytes, second.tables) == (first.size_bytes, first.tables) and first.tables == 0
        monkeypatch.setattr("dbtui.adapters.postgresql.status._SIZE_KEPT_SECONDS", 0.0)
        third = collect_status(target)
        assert third.tables == 1 and (third.size_bytes or 0) > (first.size_bytes or 0)


def test_a_size_that_the_server_does_not_tell_is_a_gap(
    any_server: PostgreSQL, any_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(any_server.url(any_database)) as target:
        ask = target.collect

        def interrupted(name: str, *arguments: Any, **binds: Any) -> list[Any]:
            if name == "measure_database":
                return target.rows("SET LOCAL statement_timeout = 10; SELECT pg_sleep(60)")
            return ask(name, *arguments, **binds)

        monkeypatch.setattr(target, "collect", interrupted)
        for said in ("canceling statement due to statement timeout", "it is asked again in a minute"):
            status = collect_status(target)
            assert status.size_bytes is None and status.tables is None and status.sessions_used is not None
            assert any("size and tables are not known" in gap and said in gap for gap in status.gaps)


def test_a_look_through_a_pooler(postgresql_server: PostgreSQL, pgbouncer: PgBouncer) -> None:
    with database_on(postgresql_server) as name, opened(pgbouncer.url(name)) as target:
        status = collect_status(target)
        assert status.is_pooled and status.sessions_active is not None and status.tables == 0
        assert status.is_tls is False and status.counters is not None


def test_tls_is_what_the_connection_really_has(tls_postgresql: TlsPostgreSQL) -> None:
    with opened(tls_postgresql.url_of("joe", sslmode="require")) as target:
        assert collect_status(target).is_tls is True


# --- replicas ----------------------------------------------------------------------------------------------------


def test_a_replica_that_has_all_it_received_is_not_behind(
    postgresql_server: PostgreSQL, postgresql_replica: PostgreSQLReplica
) -> None:
    with opened(postgresql_replica.url()) as target:
        wait_until(lambda: collect_status(target).lag_seconds == 0.0)
        status = collect_status(target)
        assert status.info is not None and status.info.role == "replica" and status.gaps == ()
        assert status.counters is not None and status.counters.transactions is not None


def test_a_replica_s_lag_pause_loss_and_promotion(new_postgresql: Callable[..., PostgreSQL]) -> None:
    primary = new_postgresql()
    replica = primary.add_replica("behind", config=["wal_retrieve_retry_interval = 100"])
    login = add_login(primary)
    with opened(replica.url()) as target:
        primary.execute("CREATE TABLE t AS SELECT generate_series(1, 1000)")
        wait_until(lambda: collect_status(target).lag_seconds == 0.0)
        wait_until(lambda: replica.execute("SELECT to_regclass('t') IS NOT NULL") == [(True,)])
        replica.execute("SELECT pg_wal_replay_pause()")
        primary.execute("INSERT INTO t SELECT generate_series(1, 1000)")
        wait_until(lambda: (collect_status(target).lag_seconds or 0) > 0)
        assert "replay is paused: SELECT pg_wal_replay_resume() goes on" in collect_status(target).gaps
        replica.execute("SELECT pg_wal_replay_resume()")
        wait_until(lambda: collect_status(target).lag_seconds == 0.0)
        with opened(replica.url("postgres", login, "x")) as unprivileged:
            assert collect_status(unprivileged).lag_seconds == 0.0
        Server.stop(primary)  # and not its replica
        wait_until(lambda: collect_status(target).lag_seconds is None)
        gap = next(each for each in collect_status(target).gaps if each.startswith("the lag is not known"))
        assert "receives nothing from a primary" in gap
        replica.execute("SELECT pg_promote()")
        promoted = collect_status(target)
        assert promoted.info is not None and promoted.info.role == "primary" and promoted.lag_seconds is None


# --- cost --------------------------------------------------------------------------------------------------------


def test_a_look_is_one_question(any_server: PostgreSQL, any_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(any_server.url(any_database)) as target:
        collect_status(target)
        asked = []
        ask = target.rows

        def counted(*arguments: Any, **options: Any) -> list[Any]:
            asked.append(arguments)
            return ask(*arguments, **options)

        monkeypatch.setattr(target, "rows", counted)
        began = time.monotonic()
        for _ in range(20):
            collect_status(target)
        assert len(asked) == 20
        assert (time.monotonic() - began) / 20 < 0.1
