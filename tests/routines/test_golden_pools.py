"""The ladder with a real PgBouncer and PostgreSQL: runs whose figures are known, judged as they must be."""

from contextlib import ExitStack

import psycopg2
import pytest
from sqlalchemy import text

from dbtui.analysis.pools import assess_pools
from dbtui.demo.servers import PostgreSQL
from dbtui.ladders import LadderWatch
from dbtui.model.ladders import Level, PoolRates, PoolState, VerdictKind
from dbtui.model.pools import PoolsSnapshot, Tier
from dbtui.routines.context import RoutineContext
from tests.fix_servers import wait_until
from tests.ramps import assess_foresight
from tests.routines.pool_lab import Crowd, PoolLab, Seen, open_lab, sleep_in_server
from tests.routines.ramp_load import Ramp, run_ramp

WORK_SECONDS = 0.05
SERVERS = 8


def pooler_rates(seen: Seen, lab: PoolLab) -> PoolRates:
    return next(each for each in seen.last.rates if each.tier is Tier.POOLER and each.pool == lab.database)


def connect(lab: PoolLab, application: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(lab.pooler.url(lab.database), application_name=application)


def test_run_b_fifteen_threads_on_eight_servers(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab, Crowd(lab.engine(), 15, sleep_in_server(WORK_SECONDS)):
        lab.wait_for_waiting(5)
        lab.watch(2)
        seen = lab.watch(7)
    rates = pooler_rates(seen, lab)
    assert rates.busy == pytest.approx(SERVERS, abs=0.8)
    assert rates.queue == pytest.approx(15 - SERVERS, abs=1.0)
    assert seen.mean_waiting(Tier.POOLER) == pytest.approx(15 - SERVERS, abs=1.2)
    assert seen.tier(Tier.POOLER).used == pytest.approx(SERVERS, abs=1)
    assert seen.last.hidden_queue <= 1
    assert seen.last.verdict.kind is VerdictKind.POOLER_POOL
    assert seen.last.verdict.level is Level.CRITICAL
    assert seen.last.verdict.recommendation is not None
    assert seen.last.verdict.recommendation.command == "default_pool_size = 11"
    assert len(seen.last.checks) >= 3
    assert not seen.last.disagreements
    assert not seen.last.projections


def test_tests_of_connections_are_not_counted_in_two_queues(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab, Crowd(lab.engine(pre_ping=True), 20, sleep_in_server(WORK_SECONDS)):
        lab.wait_for_waiting(4)
        lab.watch(2)
        seen = lab.watch(5)
    assert seen.mean(lambda each: each.hidden_queue) == pytest.approx(5, abs=1.5)
    assert seen.mean(lambda each: each.queue) == pytest.approx(12, abs=2)
    assert not seen.last.disagreements


def test_run_c_the_queue_that_pgbouncer_does_not_see(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab, Crowd(lab.engine(), 40, sleep_in_server(WORK_SECONDS)):
        lab.wait_for_waiting(5)
        lab.watch(2)
        seen = lab.watch(7)
    assert seen.mean_waiting(Tier.APP) == pytest.approx(25, abs=3)
    assert seen.mean_waiting(Tier.POOLER) == pytest.approx(7, abs=1.2)
    assert seen.mean(lambda each: each.hidden_queue) == pytest.approx(25, abs=3)
    assert seen.mean(lambda each: each.queue) == pytest.approx(32, abs=3)
    verdict = seen.last.verdict
    assert verdict.kind is VerdictKind.POOLER_POOL  # the application's pool is full too, behind it
    assert seen.tier(Tier.APP).level is Level.CRITICAL
    assert "more in the application, unseen by PgBouncer" in verdict.sentence
    assert not seen.last.disagreements


def test_run_d_timeouts_in_the_application(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab:
        engine = lab.engine(timeout=0.4)
        with Crowd(engine, 60, sleep_in_server(0.3)) as crowd:
            lab.wait_for_waiting(5)
            lab.watch(2)
            seen = lab.watch(6)
    assert crowd.refusals["pool timeout"] > 0
    assert seen.tier(Tier.APP).errors_per_second
    verdict = seen.last.verdict
    assert verdict.level is Level.EMERGENCY
    assert verdict.kind is VerdictKind.POOLER_POOL
    assert seen.mean(lambda each: each.hidden_queue) > 30
    assert "turned away" in verdict.sentence
    rates = next(each for each in seen.last.rates if each.tier is Tier.APP)
    assert rates.queue == pytest.approx(seen.mean_waiting(Tier.APP), rel=0.25)  # with what was given up


def test_run_f_the_wait_counter_stands_still_while_nobody_is_served(postgresql_server: PostgreSQL) -> None:
    settings = {"reserve_pool_size": "2", "reserve_pool_timeout": "2", "max_db_connections": "9"}
    with open_lab(postgresql_server, **settings) as lab:
        engine = lab.engine(size=20, overflow=0)
        with Crowd(engine, 14, sleep_in_server(12)):
            lab.wait_for_waiting(5)
            early = lab.watch(1.2, every=0.3)
            late = lab.watch(8)
    first, last = late.snapshots[-5].pooler, late.snapshots[-1].pooler
    assert first is not None and last is not None
    assert first.totals[0].wait_seconds == last.totals[0].wait_seconds
    assert last.pools[0].maxwait_seconds > first.pools[0].maxwait_seconds
    countdowns = {each.name: each.seconds for each in early.last.countdowns}
    assert countdowns.get("reserve_pool_timeout", 0.5) < 1
    reading = late.tier(Tier.POOLER).pools[0]
    assert (reading.used, reading.effective_capacity) == (SERVERS + 1, 9)  # the reserve of 2 gave 1
    assert reading.bound_by == "max_db_connections"
    rates = late.assessments[-2].rates
    assert any(each.is_frozen and each.busy is None for each in rates if each.tier is Tier.POOLER)
    assert "nobody is served" in late.assessments[-2].tiers[1].pools[0].words
    assert late.last.verdict.kind is VerdictKind.POOLER_POOL
    assert late.last.verdict.recommendation is not None
    assert late.last.verdict.recommendation.command.startswith("max_db_connections = ")
    left = {each.name: each.seconds for each in late.last.countdowns}["query_wait_timeout"]
    assert left == pytest.approx(120 - last.pools[0].maxwait_seconds, abs=0.2)


def test_run_g_clients_beyond_max_client_conn_are_refused(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server, max_client_conn="60") as lab:
        engine = lab.engine(size=80, overflow=0)
        with Crowd(engine, 80, sleep_in_server(0.2)) as crowd:
            lab.wait_for_waiting(5)
            seen = lab.watch(5)
    assert any("max_client_conn" in refusal for refusal in crowd.refusals)
    verdict = seen.last.verdict
    assert verdict.kind is VerdictKind.POOLER_CLIENTS
    assert "60/60" in verdict.sentence or "59/60" in verdict.sentence
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "max_client_conn = 107"  # the pools hold 80 at most


def test_run_h_a_pause_is_no_saturation(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab, ExitStack() as stack:
        stack.enter_context(Crowd(lab.engine(), 15, sleep_in_server(WORK_SECONDS)))
        lab.wait_for_waiting(5)
        lab.watch(2)
        lab.order(f"PAUSE {lab.database}")
        stack.callback(lab.order, f"RESUME {lab.database}")
        seen = lab.watch(8)
    assert VerdictKind.UNREACHABLE not in {each.verdict.kind for each in seen.assessments}
    verdict = seen.last.verdict
    assert verdict.kind is VerdictKind.PAUSED
    assert verdict.level.rank <= Level.HIGH.rank
    assert seen.tier(Tier.POOLER).waiting == 15
    assert seen.tier(Tier.POOLER).pools[0].state is PoolState.PAUSED
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == f"RESUME {lab.database};"
    assert "query_wait_timeout" in {each.name for each in seen.last.countdowns}


def test_a_pause_of_everything_is_told_where_it_does_not_show(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab, ExitStack() as stack:
        stack.enter_context(Crowd(lab.engine(), 15, sleep_in_server(WORK_SECONDS)))
        lab.wait_for_waiting(5)
        lab.order("PAUSE")
        stack.callback(lab.order, "RESUME")
        seen = lab.watch(9)
    assert VerdictKind.UNREACHABLE not in {each.verdict.kind for each in seen.assessments}
    verdict = seen.last.verdict
    assert verdict.kind is VerdictKind.PAUSED
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == ("RESUME;" if "1.18" in verdict.sentence else f"RESUME {lab.database};")


def test_the_ladder_that_is_watched_is_judged_alike(postgresql_server: PostgreSQL) -> None:
    snapshots: list[PoolsSnapshot] = []
    with open_lab(postgresql_server) as lab, Crowd(lab.engine(), 40, sleep_in_server(WORK_SECONDS)):
        watch = LadderWatch(lab.profile(), RoutineContext(), snapshots.append, 0.5)
        watch.start()
        try:
            wait_until(lambda: len(snapshots) >= 16)
        finally:
            watch.stop()
    seen = assess_pools(snapshots)
    assert seen is not None
    assert [tier.tier for tier in seen.tiers] == [Tier.APP, Tier.POOLER, Tier.SERVER, Tier.HOST]
    assert seen.verdict.kind is VerdictKind.POOLER_POOL
    assert seen.hidden_queue == pytest.approx(25, abs=4)


def test_run_j_the_application_that_idles_in_transactions_is_named(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab, ExitStack() as stack:
        engine = lab.engine("web")
        forgotten = [connect(lab, "forgetful report") for _ in range(SERVERS)]
        for connection in forgotten:
            connection.cursor().execute("SELECT 1")
        stack.enter_context(Crowd(engine, 5, sleep_in_server(WORK_SECONDS)))
        for connection in forgotten:
            stack.callback(connection.close)
        lab.wait_for_waiting(5)
        seen = lab.watch(5)
    verdict = seen.last.verdict
    assert verdict.kind is VerdictKind.IDLE_IN_TRANSACTION
    assert verdict.tier is Tier.SERVER
    assert verdict.culprits[0].application == "forgetful report"
    assert verdict.culprits[0].count == SERVERS
    assert "forgetful report" in verdict.sentence
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "idle_transaction_timeout = 60"
    assert seen.tier(Tier.POOLER).pools[0].state is PoolState.CLOGGED


def test_a_blip_at_half_load_is_no_alarm(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab:
        engine = lab.engine(size=20, overflow=0)
        with Crowd(engine, 4, sleep_in_server(WORK_SECONDS)):
            seen = lab.watch(3)
            with Crowd(engine, 8, sleep_in_server(WORK_SECONDS)):
                lab.wait_for_waiting(1)
                blip = lab.watch(0.3, every=0.1)
            after = lab.watch(3)
    for one in (seen, blip, after):
        assert all(each.verdict.level is Level.OK for each in one.assessments)


def test_a_restart_of_pgbouncer_gives_no_absurd_rate(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab:
        engine = lab.engine()
        with Crowd(engine, 10, sleep_in_server(WORK_SECONDS)):
            lab.watch(3)
        lab.restart_pooler()
        with Crowd(engine, 10, sleep_in_server(WORK_SECONDS)):
            wait_until(lambda: bool(lab.pool().database))
            seen = lab.watch(4)
    resets = [each for one in seen.assessments for each in one.rates if each.tier is Tier.POOLER and each.was_reset]
    assert resets
    for one in seen.assessments:
        for rates in one.rates:
            assert (rates.transactions or 0.0) >= 0
            assert 0 <= (rates.busy or 0.0) <= SERVERS * 1.3 + 1 or rates.tier is Tier.APP


def test_waiters_for_a_lock_are_not_an_undersized_pool(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab, ExitStack() as stack:
        postgresql_server.execute("CREATE TABLE stock AS SELECT 1 AS id, 0 AS n", database=lab.database)
        connection = connect(lab, "month end")
        connection.cursor().execute("UPDATE stock SET n = 1")
        engine = lab.engine("web")

        def work(_: object) -> None:
            with engine.begin() as writer:
                writer.execute(text("UPDATE stock SET n = n + 1"))

        stack.enter_context(Crowd(engine, 13, work))
        stack.callback(connection.close)
        lab.wait_for_waiting(5)
        seen = lab.watch(5)
    verdict = seen.last.verdict
    assert verdict.kind is VerdictKind.LOCKS
    assert verdict.culprits[0].application == "month end"
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "dbtui sessions lab"


def test_the_moment_at_which_a_pool_will_be_full_is_foretold(postgresql_server: PostgreSQL) -> None:
    with open_lab(postgresql_server) as lab:
        seen = assess_foresight(run_ramp(lab, Ramp(seconds=36)))
    assert seen.full_at is not None
    assert seen.is_good, seen
