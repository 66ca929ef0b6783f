"""The ladder with a real PgBouncer and server: one look, clients down to their statements, orders and what is left."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg2
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.config import parse_url
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.errors import AuthenticationError, Cancelled, RefusedError, UsageError
from dbtui.model.connections import ConnectionProfile, Environment, Secret
from dbtui.model.events import CommandRan, Progressed
from dbtui.model.pools import PoolerVerb, ServerState
from dbtui.passwords import find_password
from dbtui.routines.context import RoutineContext
from dbtui.routines.pools import (
    apply_pooler_order,
    collect_pooler_clients,
    collect_pools,
    collect_readings,
    plan_pooler_order,
)
from tests.adapters.pooled import ask, connect, finish, pool_of, profile_of
from tests.fix_servers import unique_name, wait_until


@pytest.fixture
def pooler(postgresql_server: PostgreSQL) -> Iterator[PgBouncer]:
    with PgBouncer(postgresql_server, name=unique_name("bouncer"), settings={"default_pool_size": "3"}) as pooler:
        yield pooler


@pytest.fixture
def database(postgresql_database: str) -> str:
    return postgresql_database.rpartition("/")[2]


@pytest.fixture
def c() -> RoutineContext:
    return RoutineContext(environ={})


# ---------------------------------------------------------------- looking


def test_one_look_at_every_tier(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = profile_of(pooler, database, app_pools=("unix:///none/*.sock",))
    with closing(connect(pooler, database)) as busy:
        ask(busy)
        found = finish(collect_pools(c, profile))
    assert found.pooler is not None
    assert found.server is not None
    assert found.app is not None
    assert pool_of(found.pooler, database).sv_active == 1
    assert found.server.count(ServerState.IDLE_IN_TRANSACTION) >= 1
    assert found.server.is_local
    assert len(found.app.gaps) == 1
    assert found.host is not None
    first, second = finish(collect_readings(c, profile, 2, 0.05))
    assert second.monotonic_seconds - first.monotonic_seconds >= 0.05


def test_a_tier_that_cannot_be_reached_says_so(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = profile_of(pooler, database)
    pooler.stop()
    found = finish(collect_pools(c, profile))
    assert found.pooler is not None
    assert "connection refused" in found.pooler.problem
    assert found.server is not None
    no_server = replace(profile, url="postgresql://postgres@127.0.0.1:1/x", password=None)
    found = finish(collect_pools(c, no_server))
    assert found.server is None
    assert "127.0.0.1:1" in found.gaps[0]
    assert found.server_problem == found.gaps[0]


def test_a_server_without_a_slot_for_dbtui_is_full_and_not_away(
    c: RoutineContext, postgresql_server: PostgreSQL
) -> None:
    login = unique_name("crowded")
    postgresql_server.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
    try:
        url = f"postgresql://{login}:x@{postgresql_server.host}:{postgresql_server.port}/postgres"
        assert finish(collect_pools(c, parse_url(url))).server_problem_code == "53300"
        refused = finish(collect_pools(c, parse_url(url.replace(":x@", ":y@"))))
        assert refused.server_problem_code == "28000"
    finally:
        postgresql_server.execute(f"DROP ROLE {login}")


def test_a_profile_without_a_pooler(c: RoutineContext, postgresql_database: str, pooler: PgBouncer) -> None:
    profile = replace(profile_of(pooler, "postgres"), pgbouncer_url="")
    assert finish(collect_pools(c, profile)).pooler is None
    with pytest.raises(UsageError, match="names no PgBouncer"):
        finish(plan_pooler_order(c, profile, PoolerVerb.PAUSE))


def test_from_the_application_to_its_statement(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = profile_of(pooler, database)
    with closing(connect(pooler, database, application="report")) as busy, closing(connect(pooler, database)) as idle:
        idle.autocommit = True
        ask(idle)
        with busy.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid() /* the culprit */")
            (process_id,) = cursor.fetchone() or (0,)
        found = finish(collect_pooler_clients(c, profile))
    by_name = {each.application: each for each in found.clients}
    culprit, resting = by_name["report"], by_name["erp-api"]
    assert (culprit.server_pid, culprit.server_state) == (process_id, "idle in transaction")
    assert "the culprit" in culprit.sql
    assert culprit.transaction_seconds is not None
    assert (resting.server_pid, resting.sql) == (None, "")  # what it ran last is not what it runs
    assert found.gaps == ()


def test_clients_without_a_server_that_tells(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = replace(profile_of(pooler, database), url="postgresql://postgres@127.0.0.1:1/x", password=None)
    with closing(connect(pooler, database)) as busy:
        ask(busy)
        found = finish(collect_pooler_clients(c, profile))
    assert found.clients[0].server_pid
    assert "what servers do is not known" in found.gaps[0]


# ---------------------------------------------------------------- the password


def test_the_profiles_password_is_the_consoles(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = profile_of(pooler, database, pgbouncer_password=None, password=None, password_env="ERP_PASSWORD")
    environ = {"ERP_PASSWORD": pooler.password}
    asked = RoutineContext(environ=environ, password_of=lambda each: find_password(each, environ))
    found = finish(collect_pools(asked, profile)).pooler
    assert found is not None
    assert found.problem == ""


# ---------------------------------------------------------------- orders


def admin(pooler: PgBouncer, database: str, **words: Any) -> ConnectionProfile:
    return profile_of(pooler, database, pooler.admin_user, **words)


def test_pause_and_resume(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = admin(pooler, database)
    with closing(connect(pooler, database, autocommit=True)) as client:
        ask(client)
        plan = finish(plan_pooler_order(c, profile, PoolerVerb.PAUSE, database))
        assert plan.command == f'PAUSE "{database}"'
        assert plan.undo == f'RESUME "{database}"'
        assert (plan.refusals, plan.danger) == ((), 2)
        events = list(apply_pooler_order(c, profile, plan))
        assert CommandRan(plan.command) in events
        waiting = threading.Thread(target=ask, args=(client,), daemon=True)
        waiting.start()
        again = finish(plan_pooler_order(c, profile, PoolerVerb.PAUSE, database))
        assert "paused already" in again.refusals[0]
        resume = finish(plan_pooler_order(c, profile, PoolerVerb.RESUME, database))
        done = finish(apply_pooler_order(c, profile, resume))
        assert "not paused" in done.detail
        waiting.join(10)
        assert not waiting.is_alive()


@pytest.mark.parametrize("is_all", [False, True])
def test_a_pause_that_waits_can_be_cancelled_and_is_taken_back(
    pooler: PgBouncer, database: str, *, is_all: bool
) -> None:
    cancellation = Cancellation()
    c = RoutineContext(cancellation=cancellation, environ={})
    profile = admin(pooler, database)
    with closing(connect(pooler, database)) as busy:
        ask(busy)
        plan = finish(plan_pooler_order(c, profile, PoolerVerb.PAUSE, "" if is_all else database))
        routine = apply_pooler_order(c, profile, plan)
        event = next(routine)
        while not isinstance(event, Progressed):
            event = next(routine)
        assert "1 server connections in use" in event.detail
        cancellation.request("operator")
        with pytest.raises(Cancelled) as caught:
            for _ in routine:
                pass
        assert "taken back by RESUME" in str(caught.value)
        assert "not paused" in str(caught.value)
        busy.rollback()
        ask(busy)  # goes through: nothing is paused
    fresh = RoutineContext(environ={})
    resume = finish(plan_pooler_order(fresh, profile, PoolerVerb.RESUME, "" if is_all else database))
    with pytest.raises(Exception, match="not paused"):
        finish(apply_pooler_order(fresh, profile, resume))


def test_a_pause_that_is_closed_is_taken_back_too(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = admin(pooler, database)
    with closing(connect(pooler, database)) as busy:
        ask(busy)
        routine = apply_pooler_order(c, profile, finish(plan_pooler_order(c, profile, PoolerVerb.PAUSE, database)))
        while not isinstance(next(routine), Progressed):
            pass
        routine.close()
        found = finish(collect_pools(c, profile)).pooler
        assert found is not None
        assert not found.databases[0].is_paused


def test_reload_says_which_limits_changed(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = admin(pooler, database)
    pooler.settings["max_client_conn"] = "321"
    pooler.command()  # writes the file
    plan = finish(plan_pooler_order(c, profile, PoolerVerb.RELOAD))
    done = finish(apply_pooler_order(c, profile, plan))
    assert "max_client_conn 200 to 321" in done.detail
    assert "name no database" in finish(plan_pooler_order(c, profile, PoolerVerb.RELOAD, database)).refusals[0]


def test_kill_drops_and_leaves_paused(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = admin(pooler, database)
    busy = connect(pooler, database)
    ask(busy)
    plan = finish(plan_pooler_order(c, profile, PoolerVerb.KILL, database))
    assert "drops 1 client and 1 server connection" in plan.consequence
    assert any("rolled back" in each for each in plan.warnings)
    detail = finish(apply_pooler_order(c, profile, plan)).detail
    assert "is paused" in detail or "stays paused until RESUME" in detail  # nobody is left who uses it
    with pytest.raises(psycopg2.OperationalError):
        ask(busy)
    busy.close()
    with pytest.raises(psycopg2.OperationalError, match="timeout expired"):  # a new client is let wait
        psycopg2.connect(pooler.url(database), connect_timeout=2)
    assert "KILL needs a database" in finish(plan_pooler_order(c, profile, PoolerVerb.KILL)).refusals
    finish(apply_pooler_order(c, profile, finish(plan_pooler_order(c, profile, PoolerVerb.RESUME, database))))
    with closing(connect(pooler, database)) as client:
        ask(client)


def test_reconnect_replaces_servers(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = admin(pooler, database)
    with closing(connect(pooler, database, autocommit=True)) as client:

        def served_by() -> int:
            with client.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                return int((cursor.fetchone() or (0,))[0])

        before = served_by()
        finish(apply_pooler_order(c, profile, finish(plan_pooler_order(c, profile, PoolerVerb.RECONNECT, database))))
        wait_until(lambda: served_by() != before)


def test_what_is_refused(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    with closing(connect(pooler, database)) as client:
        ask(client)
        looks_only = profile_of(pooler, database)
        plan = finish(plan_pooler_order(c, looks_only, PoolerVerb.PAUSE, database))
        assert "add it to admin_users" in plan.refusals[0]
        with pytest.raises(RefusedError, match="admin_users"):
            finish(apply_pooler_order(c, looks_only, plan))
        read_only = admin(pooler, database, read_only=True)
        plan = finish(plan_pooler_order(c, read_only, PoolerVerb.PAUSE, database))
        assert "read-only" in plan.refusals[0]
        with pytest.raises(RefusedError, match="read-only"):
            finish(apply_pooler_order(c, read_only, replace(plan, refusals=())))
        profile = admin(pooler, database)
        for name, reason in (("no such", "knows no database"), ("pgbouncer", "is the console itself")):
            assert reason in finish(plan_pooler_order(c, profile, PoolerVerb.PAUSE, name)).refusals[0]
        gone = replace(finish(plan_pooler_order(c, profile, PoolerVerb.PAUSE, database)), database="no such")
        with pytest.raises(RefusedError, match="no database no such any more"):
            finish(apply_pooler_order(c, profile, gone))
        found = finish(collect_pools(c, profile)).pooler
        assert found is not None
        assert [each.name for each in found.databases] == [database]  # none was made up
        assert not found.databases[0].is_paused


def test_production_wants_its_name(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    with closing(connect(pooler, database, autocommit=True)) as client:
        ask(client)
        profile = admin(pooler, database, environment=Environment.PRODUCTION)
        confirms = {verb: finish(plan_pooler_order(c, profile, verb, "")).confirm for verb in PoolerVerb}
    assert confirms.pop(PoolerVerb.RESUME) == ""
    assert set(confirms.values()) == {"erp"}


def test_a_wrong_password_is_told(c: RoutineContext, pooler: PgBouncer, database: str) -> None:
    profile = replace(admin(pooler, database), pgbouncer_password=Secret("hunter2"))
    with pytest.raises(AuthenticationError) as caught:
        finish(plan_pooler_order(c, profile, PoolerVerb.PAUSE))
    assert "hunter2" not in str(caught.value)
    found = finish(collect_pools(c, profile)).pooler
    assert found is not None
    assert "refused the login" in found.problem
    assert found.problem_code == "28000"
