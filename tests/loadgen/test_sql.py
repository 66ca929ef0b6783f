"""Load on real database servers: PostgreSQL, PgBouncer and MariaDB, by every path."""

import threading
from collections.abc import Callable
from dataclasses import replace

import psycopg2
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.analysis.load_stages import plan_stages
from dbtui.config import parse_url
from dbtui.demo.servers import MariaDB, PgBouncer, PostgreSQL
from dbtui.errors import Cancelled, RefusedError, UsageError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.loadtest import LoadKind, LoadPlan, LoadRequest, LoadResult, LoadStage, SqlPath, StageResult
from dbtui.routines.context import RoutineContext
from dbtui.routines.loadtest import apply_load, plan_load
from tests.fix_servers import unique_name, wait_until

RunSql = Callable[[ConnectionProfile, str], int]
RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE "
BOTH = pytest.mark.parametrize("path", [SqlPath.DRIVER, SqlPath.POOL])


def finish(routine: Routine[LoadResult] | Routine[LoadPlan]) -> object:
    try:
        while True:
            next(routine)
    except StopIteration as end:
        return end.value


def ask(
    profile: ConnectionProfile, *statements: str, rate: float | None = None, seconds: float = 0.4, **options: object
) -> LoadRequest:
    stages = plan_stages(LoadKind.SQL, duration_seconds=seconds, concurrency=3, rate=rate)
    return LoadRequest(
        kind=LoadKind.SQL, target=profile.name, stages=stages, statements=statements, **options  # type: ignore[arg-type]
    )  # fmt: skip


def load(
    profile: ConnectionProfile, *statements: str, c: RoutineContext | None = None, **options: object
) -> StageResult:
    c = c or RoutineContext()
    request = ask(profile, *statements, **options)  # type: ignore[arg-type]
    plan = finish(plan_load(c, request, profile))
    assert isinstance(plan, LoadPlan)
    assert plan.is_private
    result = finish(apply_load(c, plan, profile))
    assert isinstance(result, LoadResult)
    return result.stages[0]


@pytest.fixture
def postgresql(postgresql_database: str) -> ConnectionProfile:
    return parse_url(postgresql_database, "pg")


@pytest.fixture
def mariadb(mariadb_database: str) -> ConnectionProfile:
    return parse_url(mariadb_database, "maria")


@pytest.fixture(params=["postgresql", "mariadb"])
def profile(request: pytest.FixtureRequest) -> ConnectionProfile:
    found: ConnectionProfile = request.getfixturevalue(request.param)
    return found


@BOTH
def test_every_statement_is_run(profile: ConnectionProfile, path: SqlPath, run_sql: RunSql) -> None:
    run_sql(profile, "CREATE TABLE hits (n int)")
    result = load(profile, "INSERT INTO hits VALUES (1)", "INSERT INTO hits VALUES (2)", path=path)
    assert not result.errors
    assert result.completed > 20
    first, second = (run_sql(profile, f"SELECT count(*) FROM hits WHERE n = {n}") for n in (1, 2))
    assert result.latencies.count == first + second
    assert abs(first - second) <= 3


@BOTH
def test_an_open_model_keeps_its_rate(postgresql: ConnectionProfile, path: SqlPath) -> None:
    result = load(postgresql, rate=100, path=path)
    assert (result.completed + result.dropped, result.errors) == (40, ())
    assert result.completed >= 35


@BOTH
def test_errors_of_the_server_are_counted_by_their_code(profile: ConnectionProfile, path: SqlPath) -> None:
    result = load(profile, "SELECT * FROM nothing_like_it", path=path, most=30, seconds=20.0)
    assert dict(result.errors).keys() == {"42P01" if profile.name == "pg" else "1146"}
    assert result.good == 0
    assert result.completed == 30


@BOTH
def test_a_read_only_profile_cannot_write(
    profile: ConnectionProfile, path: SqlPath, run_sql: RunSql
) -> None:  # fmt: skip
    run_sql(profile, "CREATE TABLE kept (n int)")
    result = load(replace(profile, read_only=True), "INSERT INTO kept VALUES (1)", path=path, most=30, seconds=20.0)
    assert dict(result.errors).keys() == {"25006" if profile.name == "pg" else "1792"}
    assert run_sql(profile, "SELECT count(*) FROM kept") == 0


@BOTH
def test_what_takes_too_long_is_ended_on_the_server_too(
    postgresql: ConnectionProfile, path: SqlPath, run_sql: RunSql
) -> None:  # fmt: skip
    result = load(postgresql, "SELECT pg_sleep(60), 'too long'", path=path, timeout_seconds=0.1)
    assert dict(result.errors)["timeout"] >= 3
    assert result.p50_seconds is not None
    assert result.p50_seconds >= 0.1
    left = f"{RUNNING} '%too long%'"
    wait_until(lambda: run_sql(postgresql, left) == 0, 5)


def test_a_pool_that_is_too_small_times_out(
    postgresql: ConnectionProfile, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    for name, value in (("DB_POOL_SIZE", "1"), ("DB_MAX_OVERFLOW", "0"), ("DB_POOL_TIMEOUT", "0.05")):
        monkeypatch.setenv(name, value)
    result = load(postgresql, "SELECT pg_sleep(0.2)", path=SqlPath.POOL)
    assert dict(result.errors)["pool timeout"] >= 3
    monkeypatch.setenv("DB_POOL_SIZE", "many")
    with pytest.raises(UsageError, match="DB_POOL_SIZE"):
        load(postgresql, path=SqlPath.POOL)


@BOTH
def test_through_pgbouncer(pgbouncer: PgBouncer, postgresql: ConnectionProfile, path: SqlPath) -> None:
    pooled = replace(postgresql, pgbouncer_url=f"postgresql://stats@{pgbouncer.host}:{pgbouncer.port}/pgbouncer")
    result = load(pooled, "SELECT 42", is_pooled=True, path=path)
    assert not result.errors
    assert result.completed > 20
    console = psycopg2.connect(pgbouncer.console_url(pgbouncer.admin_user))
    console.autocommit = True
    with console.cursor() as cursor:
        cursor.execute("SHOW STATS")
        names = [column.name for column in cursor.description or ()]
        counted = {row[0]: row[names.index("total_query_count")] for row in cursor.fetchall()}
    console.close()
    assert counted[postgresql.database] >= result.completed


def test_the_knee_of_a_pool_that_is_too_small(postgresql_server: PostgreSQL, postgresql: ConnectionProfile) -> None:
    """Two connections, 5 ms each: four clients get 400 a second, and so do sixteen."""
    settings = {"default_pool_size": "2", "reserve_pool_size": "0"}
    with PgBouncer(postgresql_server, name=unique_name("narrow"), settings=settings) as narrow:
        pooled = replace(postgresql, pgbouncer_url=f"postgresql://stats@{narrow.host}:{narrow.port}/pgbouncer")
        warm_up = LoadStage(name="warm-up", seconds=0.15, concurrency=4, is_warm_up=True)
        clients = ((1, 0.2), (4, 0.6), (16, 0.6))
        stages = (warm_up, *(LoadStage(name=f"{n} clients", seconds=seconds, concurrency=n) for n, seconds in clients))
        request = replace(ask(pooled, "SELECT pg_sleep(0.005)", is_pooled=True), stages=stages)
        plan = finish(plan_load(RoutineContext(), request, pooled))
        assert isinstance(plan, LoadPlan)
        result = finish(apply_load(RoutineContext(), plan, pooled))
    assert isinstance(result, LoadResult)
    assert result.knee == "16 clients", [(each.rate, each.p95_seconds) for each in result.stages]
    assert [each.rate for each in result.stages[1:]] == pytest.approx([180, 370, 370], rel=0.3)


def test_own_statements_of_a_read_only_profile_do_not_go_through_a_pooler(
    pgbouncer: PgBouncer, postgresql: ConnectionProfile
) -> None:
    place = f"postgresql://stats@{pgbouncer.host}:{pgbouncer.port}/pgbouncer"
    careful = replace(postgresql, pgbouncer_url=place, read_only=True)
    with pytest.raises(RefusedError, match="read-only"):
        load(careful, "SELECT 1", is_pooled=True)
    assert not load(careful, is_pooled=True).errors


def test_cancelling_ends_what_runs_on_the_server(postgresql: ConnectionProfile, run_sql: RunSql) -> None:
    cancellation = Cancellation()
    c = RoutineContext(cancellation=cancellation)
    running = f"{RUNNING} '%cancel me%'"
    stages = plan_stages(LoadKind.SQL, duration_seconds=60, concurrency=3)
    request = replace(ask(postgresql, "SELECT pg_sleep(60), 'cancel me'"), stages=stages)
    plan = finish(plan_load(c, request, postgresql))
    assert isinstance(plan, LoadPlan)

    def cancel_when_it_runs() -> None:
        wait_until(lambda: run_sql(postgresql, running) == 3)
        cancellation.request("test")

    canceller = threading.Thread(target=cancel_when_it_runs)
    canceller.start()
    routine = apply_load(c, plan, postgresql)
    with pytest.raises(Cancelled):
        finish(routine)
    canceller.join()
    wait_until(lambda: run_sql(postgresql, running) == 0, 4)


def test_sqlite_has_no_server(tmp_path: object) -> None:
    with pytest.raises(UsageError, match="no server to be loaded"):
        load(parse_url(f"sqlite:///{tmp_path}/x.db", "file"))


@pytest.fixture
def run_sql(request: pytest.FixtureRequest) -> RunSql:
    """Runs SQL on the server of a profile and returns the first number of the answer."""

    def run(profile: ConnectionProfile, sql: str) -> int:
        name = "postgresql_server" if profile.name == "pg" else "mariadb_server"
        server: PostgreSQL | MariaDB = request.getfixturevalue(name)
        rows = server.execute(sql, database=profile.database)
        return int(rows[0][0]) if rows else 0

    return run
