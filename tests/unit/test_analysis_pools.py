"""The narrow tier: named where it is, and told apart from what only looks like it."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from dbtui.analysis.pools import Track, advance, assess_pools
from dbtui.model.connections import EngineName
from dbtui.model.ladders import LadderAssessment, Level, PoolState, Verdict, VerdictKind
from dbtui.model.pools import PoolerDatabase, PoolerUser, ServerPool, ServerState, Tier
from tests.unit.ladder_samples import (
    SETTINGS,
    app,
    app_pool,
    full_pool,
    holder,
    host,
    judge,
    ladder,
    pool,
    pooler,
    saturated,
    server,
    steady_app,
    totals,
)


def test_nothing_is_known_before_anything_was_seen() -> None:
    assert assess_pools([]) is None
    seen = judge([ladder(0)])
    assert seen.tiers == ()
    assert seen.verdict.kind is VerdictKind.NO_DATA


def test_a_full_pool_of_pgbouncer_is_named_and_a_number_is_given() -> None:
    seen = judge(saturated(server=lambda at: server(at, holder(ServerState.IO, 8, application="report"), cores=16)))
    verdict = seen.verdict
    assert (verdict.kind, verdict.level, verdict.tier, verdict.pool) == (
        VerdictKind.POOLER_POOL, Level.CRITICAL, Tier.POOLER, "erp/app",
    )  # fmt: skip
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "default_pool_size = 11"  # 8 busy at three quarters
    assert "77 free slots" in verdict.recommendation.sentence
    assert "15 ask at once, so look again afterwards" in verdict.recommendation.sentence
    assert "pgbouncer.ini" in verdict.recommendation.where
    assert verdict.culprits[0].sentence.startswith("report from 10.0.0.7 as app: 8 at work")


def test_the_tier_that_queues_behind_is_not_the_narrow_one() -> None:
    seen = judge(saturated(app=lambda at: app(at, steady_app(at, waiting=25, oldest_pending_seconds=2.0))))
    assert seen.verdict.kind is VerdictKind.POOLER_POOL
    assert seen.tiers[0].level is Level.CRITICAL
    assert (seen.hidden_queue, seen.queue) == (25, 32)
    assert "7 wait in PgBouncer and 25 more in the application" in seen.verdict.sentence


def test_an_application_pool_is_narrow_when_pgbouncer_has_room() -> None:
    looks = [
        ladder(
            at,
            app=app(at, steady_app(at, waiting=10, oldest_pending_seconds=1.5)),
            pooler=pooler(at, pool(cl_active=15, sv_active=6), totals=(totals(at, busy=6, queue=0),), used_clients=15),
        )
        for at in range(6)
    ]
    verdict = judge(looks).verdict
    assert verdict.kind is VerdictKind.APP_POOL
    assert "PgBouncer has room" in verdict.sentence
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "DB_POOL_SIZE=20 DB_MAX_OVERFLOW=0"
    assert verdict.culprits[0].application == "erp-api"


def test_one_look_with_a_waiting_client_is_noise() -> None:
    looks = [
        ladder(at, pooler=pooler(at, full_pool() if at == 4 else pool(sv_active=4, sv_idle=4))) for at in range(10)
    ]
    track = Track()
    for look in looks:
        track, seen = advance(track, look)
        assert seen.verdict.level is Level.OK


def test_a_client_that_waits_for_long_is_believed_at_once() -> None:
    seen = judge([ladder(0, pooler=pooler(0, full_pool(maxwait_seconds=1.4)))])
    assert seen.verdict.kind is VerdictKind.POOLER_POOL
    assert seen.verdict.level is Level.CRITICAL


def test_high_and_warn_need_their_time_and_do_not_flicker() -> None:
    track, levels = Track(), []
    for at in range(60):
        working = 7 if at < 20 else (6 if at % 2 else 5)
        track, seen = advance(track, ladder(at, pooler=pooler(at, pool(sv_active=working, sv_idle=8 - working))))
        levels.append(seen.tiers[0].level)
    assert levels[9] is Level.OK
    assert levels[10] is Level.HIGH
    assert levels[24] is Level.HIGH  # five seconds below
    assert levels[26] is not Level.HIGH
    assert sum(one is not other for one, other in pairwise(levels)) <= 3


def test_a_paused_database_is_not_saturated() -> None:
    databases = (PoolerDatabase(name="erp", pool_size=8, is_paused=True),)
    looks = [
        ladder(at, pooler=pooler(at, pool(cl_waiting=15, maxwait_seconds=at), databases=databases)) for at in range(8)
    ]
    seen = judge(looks)
    assert seen.verdict.kind is VerdictKind.PAUSED
    assert seen.verdict.level is Level.HIGH
    assert seen.verdict.recommendation is not None
    assert seen.verdict.recommendation.command == "RESUME erp;"
    assert [each.name for each in seen.countdowns] == ["query_wait_timeout"]


def test_logins_one_at_a_time_are_told_from_a_small_pool() -> None:
    looks = [ladder(at, pooler=pooler(at, pool(cl_waiting=6, sv_active=2, sv_login=1))) for at in range(6)]
    assert judge(looks[:2]).verdict.kind is VerdictKind.OK
    verdict = judge(looks).verdict
    assert verdict.kind is VerdictKind.LOGIN_BOUND
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "min_pool_size = 8"


def test_a_server_that_pgbouncer_cannot_reach() -> None:
    looks = [ladder(at, pooler=pooler(at, pool(cl_waiting=6))) for at in range(9)]
    assert judge(looks[:3]).verdict.kind is not VerdictKind.UNREACHABLE  # it may be about to log in
    verdict = judge(looks).verdict
    assert (verdict.kind, verdict.tier) == (VerdictKind.UNREACHABLE, Tier.SERVER)


def test_a_pgbouncer_that_does_not_answer() -> None:
    lost = pooler(0, problem="connection refused", problem_code="08006")
    verdict = judge([ladder(0, pooler=lost)]).verdict
    assert (verdict.kind, verdict.tier) == (VerdictKind.UNREACHABLE, Tier.POOLER)
    refused = replace(lost, problem="password authentication failed", problem_code="28P01")
    assert judge([ladder(0, pooler=refused)]).verdict.kind is VerdictKind.NO_DATA
    looks = [ladder(at, pooler=refused, app=app(at), server=server(at)) for at in range(30)]
    verdict = judge(looks).verdict  # a refused login is tried seldom: that it is old is no silence
    assert verdict.kind is VerdictKind.OK
    unseen = "as far as is seen: no application's pool answers, PgBouncer's console refuses the login"
    assert verdict.sentence == f"nothing is saturated {unseen}"


def silent_pooler(seconds: int, **tiers: Any) -> LadderAssessment:
    """A PgBouncer whose pool was full and that has said nothing since."""
    looks = saturated(6, **tiers)
    last = looks[-1].pooler
    looks += [
        ladder(at, pooler=last, **{name: make(at) for name, make in tiers.items()}) for at in range(6, 6 + seconds)
    ]
    return judge(looks)


def test_a_pgbouncer_that_hangs_is_told_and_its_clients_are_not_blamed() -> None:
    def idling(at: float) -> ServerPool:
        return server(at, holder(ServerState.IDLE_IN_TRANSACTION, 8, oldest=max(0.0, at - 5)))

    assert silent_pooler(4, server=idling).verdict.kind is not VerdictKind.IDLE_IN_TRANSACTION
    verdict = silent_pooler(8, server=idling).verdict
    assert (verdict.kind, verdict.tier) == (VerdictKind.UNREACHABLE, Tier.POOLER)
    assert "said nothing for 8.0 s" in verdict.sentence


def test_a_server_that_is_lost_or_hangs() -> None:
    def lost(**problem: Any) -> Verdict:
        looks = saturated(6, server=lambda at: server(at))
        looks += [replace(saturated(12)[at], server=server(5), **problem) for at in range(6, 12)]
        return judge(looks).verdict

    verdict = lost()
    assert (verdict.kind, verdict.tier) == (VerdictKind.UNREACHABLE, Tier.SERVER)
    assert "the server has said nothing for 6.0 s" in verdict.sentence
    verdict = lost(server_problem="connection refused", server_problem_code="08006")
    assert verdict.sentence.startswith("the server does not answer: connection refused: 7 wait in PgBouncer")
    verdict = lost(server_problem="password authentication failed", server_problem_code="28P01")
    assert verdict.kind is VerdictKind.POOLER_POOL
    verdict = lost(server_problem="too many clients", server_problem_code="53300")
    assert (verdict.kind, verdict.level) == (VerdictKind.SERVER_SLOTS, Level.EMERGENCY)


def test_slots_that_pgbouncer_itself_holds_idle() -> None:
    pools = [pool(user=f"u{number}", sv_idle=1) for number in range(90)]
    looks = [
        ladder(at, pooler=pooler(at, full_pool(sv_active=1), *pools), server=server(at, used=97)) for at in range(6)
    ]
    verdict = judge(looks).verdict
    assert verdict.kind is VerdictKind.SERVER_SLOTS
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "server_idle_timeout = 10"
    assert "90 idle servers in 91 pools" in verdict.recommendation.sentence
    late = [replace(each, server=None, server_problem="too many", server_problem_code="53300") for each in looks]
    assert judge(late).verdict.recommendation == verdict.recommendation


def test_slots_of_a_server_that_never_let_dbtui_in() -> None:
    verdict = judge([ladder(0, server_problem="too many connections", server_problem_code="1040")]).verdict
    assert verdict.kind is VerdictKind.SERVER_SLOTS
    assert verdict.recommendation is not None
    assert not verdict.recommendation.command


def test_no_pause_is_guessed_while_the_server_is_lost() -> None:
    looks = [
        ladder(at, pooler=pooler(at, pool(cl_waiting=7), version="1.18.0"), server=server(min(at, 2)))
        for at in range(5)
    ]
    assert judge(looks).verdict.kind is VerdictKind.PAUSED
    assert judge([*looks, ladder(5, pooler=pooler(5, pool(cl_waiting=7), version="1.18.0"), server=server(2))]
                 ).verdict.kind is VerdictKind.UNREACHABLE  # fmt: skip


def test_a_pool_that_has_just_become_empty_is_not_called_full() -> None:
    looks = [*saturated(8), ladder(8, pooler=pooler(8, pool(), totals=(totals(8),)))]
    assert "was full a moment ago, now 0/8 servers" in judge(looks).verdict.sentence


def test_idle_transactions_and_their_application() -> None:
    seen = judge(
        saturated(server=lambda at: server(at, holder(ServerState.IDLE_IN_TRANSACTION, 6, application="batch\x1b[2J")))
    )
    verdict = seen.verdict
    assert verdict.kind is VerdictKind.IDLE_IN_TRANSACTION
    assert verdict.culprits[0].application == "batch·[2J"
    assert "\x1b" not in verdict.sentence
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "idle_transaction_timeout = 60"
    assert seen.tiers[0].pools[0].state is PoolState.CLOGGED


@pytest.mark.parametrize(
    ("engine", "flavour", "command"),
    [
        (EngineName.POSTGRESQL, "PostgreSQL", """ALTER ROLE "app" SET idle_in_transaction_session_timeout = '60s';"""),
        (EngineName.MYSQL, "MariaDB", "SET GLOBAL idle_transaction_timeout = 60;"),
        (EngineName.MYSQL, "MySQL", "dbtui sessions erp"),
    ],
)
def test_the_command_is_one_that_the_server_knows(engine: EngineName, flavour: str, command: str) -> None:
    looks = [
        ladder(
            at,
            app=app(at, steady_app(at, waiting=5, oldest_pending_seconds=2.0)),
            server=server(at, holder(ServerState.IDLE_IN_TRANSACTION, 15), engine=engine, flavour=flavour),
        )
        for at in range(6)
    ]
    verdict = judge(looks).verdict
    assert verdict.kind is VerdictKind.IDLE_IN_TRANSACTION
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == command


def test_a_short_pause_between_statements_is_no_idle_transaction() -> None:
    verdict = judge(
        saturated(server=lambda at: server(at, holder(ServerState.IDLE_IN_TRANSACTION, 6, oldest=0.02)))
    ).verdict
    assert verdict.kind is VerdictKind.POOLER_POOL


def test_locks_point_to_who_idles_before_those_who_wait() -> None:
    blocker = holder(ServerState.IDLE_IN_TRANSACTION, 1, application="month end")
    verdict = judge(saturated(server=lambda at: server(at, holder(ServerState.LOCK, 7), blocker))).verdict
    assert verdict.kind is VerdictKind.LOCKS
    assert verdict.culprits[0].application == "month end"
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "dbtui sessions erp"


def test_busy_cores_are_not_cured_by_a_larger_pool() -> None:
    verdict = judge(saturated(server=lambda at: server(at, holder(ServerState.ON_CPU, 8), cores=4))).verdict
    assert verdict.kind is VerdictKind.SERVER_CPU
    assert verdict.recommendation is not None
    assert verdict.recommendation.sentence.startswith("do not raise")


def test_slots_of_the_server() -> None:
    looks = [ladder(at, server=server(at, holder(ServerState.IDLE, 90), used=97)) for at in range(4)]
    verdict = judge(looks).verdict
    assert (verdict.kind, verdict.level) == (VerdictKind.SERVER_SLOTS, Level.CRITICAL)
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "dbtui pools advise erp"
    assert verdict.culprits[0].count == 90


def test_mariadb_without_a_pooler_refuses() -> None:
    looks = [
        ladder(
            at,
            app=app(at, steady_app(at)),
            server=server(
                at, holder(ServerState.IDLE, 140), slots=151, used=151, refused_total=10 * at, engine=EngineName.MYSQL
            ),
        )
        for at in range(4)
    ]
    seen = judge(looks)
    assert seen.verdict.kind is VerdictKind.SERVER_SLOTS
    assert seen.verdict.level is Level.EMERGENCY
    assert seen.verdict.recommendation is not None
    assert seen.verdict.recommendation.command.startswith("SET GLOBAL max_connections = ")
    reading = seen.tier(Tier.SERVER)
    assert reading is not None
    assert reading.errors_per_second is None or reading.errors_per_second == pytest.approx(10)


def test_clients_of_pgbouncer() -> None:
    looks = [ladder(at, pooler=pooler(at, pool(sv_active=1), used_clients=499)) for at in range(2)]
    verdict = judge(looks).verdict
    assert verdict.kind is VerdictKind.POOLER_CLIENTS
    assert verdict.recommendation is not None
    assert verdict.recommendation.command == "max_client_conn = 667"
    crowd = app(0, *(app_pool(pid=pid, source=f"erp.{pid}.sock") for pid in range(100)))
    looks = [replace(each, app=crowd) for each in looks]
    known = judge(looks).verdict.recommendation
    assert known is not None
    assert known.command == "max_client_conn = 2000"  # a hundred processes with pools of fifteen
    assert known.sentence.startswith("the applications' pools may ask for 1500: raise max_client_conn from 500 to 2000")
    near = judge([ladder(0, pooler=pooler(0, pool(sv_active=1), used_clients=450))]).verdict
    assert (near.kind, near.level) == (VerdictKind.POOLER_CLIENTS, Level.HIGH)


def test_pgbouncers_one_thread() -> None:
    looks = [ladder(at, pooler=pooler(at, pool(sv_active=1), cpu_seconds_total=0.97 * at)) for at in range(5)]
    assert judge(looks).verdict.kind is VerdictKind.POOLER_CPU


def test_a_timeout_is_an_emergency_for_a_while() -> None:
    track, levels = Track(), []
    for at in range(20):
        look = ladder(at, app=app(at, steady_app(at, held=3, timeouts_total=int(at >= 4))))
        track, seen = advance(track, look)
        levels.append(seen.verdict.level)
    assert levels[3] is Level.OK
    assert set(levels[4:14]) == {Level.EMERGENCY}
    assert levels[15] is Level.OK


def test_connections_under_way_are_not_saturation() -> None:
    slow = app_pool(checked_out=4, connecting=2, oldest_connecting_seconds=1.2)
    full = app_pool(checked_out=15, connecting=12, oldest_connecting_seconds=4.0, pending=9, oldest_pending_seconds=3.0)
    for one in (slow, full):
        seen = judge([ladder(at, app=app(at, one)) for at in range(6)])
        assert seen.verdict.kind is VerdictKind.CONNECTING
        assert seen.verdict.level is Level.WARN
    quick = app_pool(checked_out=15, connecting=2, pending=9, oldest_pending_seconds=3.0)
    assert judge([ladder(at, app=app(at, quick)) for at in range(6)]).verdict.kind is VerdictKind.APP_POOL


def test_a_pool_without_limit_is_never_full() -> None:
    endless = app_pool(size=0, checked_out=400, pending=3, oldest_pending_seconds=9.0)
    reading = judge([ladder(at, app=app(at, endless)) for at in range(6)]).tiers[0]
    assert reading.pools[0].utilisation is None
    assert reading.effective_capacity is None
    assert reading.level is Level.OK


def test_a_tier_that_stalls_is_shown_with_its_age_and_not_judged() -> None:
    looks = saturated(6, host=host)
    stalled = looks[-1].pooler
    seen = judge([*looks, *(ladder(at, pooler=stalled, host=host(at)) for at in range(6, 20))])
    reading = seen.tier(Tier.POOLER)
    assert reading is not None
    assert reading.is_stale
    assert reading.age_seconds == 14
    assert reading.waiting == 7
    assert seen.verdict.kind is not VerdictKind.POOLER_POOL
    assert seen.queue == 0


def test_the_setting_that_binds_is_the_one_to_change() -> None:
    user = (PoolerUser(name="app", pool_size=8),)
    looks = [ladder(at, pooler=pooler(at, full_pool(), users=user, used_clients=15)) for at in range(5)]
    advice = judge(looks).verdict.recommendation
    assert advice is not None
    assert advice.command == "pool_size=11"
    assert "[users]" in advice.where
    limited = replace(SETTINGS, max_user_connections=8)
    looks = [ladder(at, pooler=pooler(at, full_pool(), settings=limited)) for at in range(5)]
    advice = judge(looks).verdict.recommendation
    assert advice is not None
    assert advice.command in ("default_pool_size = 11", "max_user_connections = 11")


def test_exact_countdowns() -> None:
    databases = (PoolerDatabase(name="erp", pool_size=8, reserve_pool_size=2),)
    look = ladder(
        0,
        app=app(0, app_pool(checked_out=15, pending=9, oldest_pending_seconds=3.1)),
        pooler=pooler(0, full_pool(maxwait_seconds=1.4), databases=databases),
    )
    countdowns = judge([look]).countdowns
    assert [(each.name, round(each.seconds, 3)) for each in countdowns] == [
        ("reserve_pool_timeout", 3.6),
        ("DB_POOL_TIMEOUT", 26.9),
        ("query_wait_timeout", 118.6),
    ]
    assert countdowns[1].sentence.endswith("in 26.9 s (DB_POOL_TIMEOUT 30 − 3.1)")


def test_a_pause_explains_a_queue_before_the_transactions_that_it_waits_for() -> None:
    databases = (PoolerDatabase(name="erp", pool_size=8, is_paused=True),)
    held = holder(ServerState.IDLE_IN_TRANSACTION, 8)
    looks = [
        ladder(
            at,
            app=app(at, steady_app(at, waiting=9, oldest_pending_seconds=3.0)),
            pooler=pooler(at, full_pool(), databases=databases),
            server=server(at, held),
        )
        for at in range(8)
    ]
    assert judge(looks).verdict.kind is VerdictKind.PAUSED


def test_a_recording_that_is_looked_at_again_begins_anew() -> None:
    track = Track()
    for look in saturated(8):
        track, _ = advance(track, look)
    assert len(track.points) == 8
    track, seen = advance(track, saturated(1)[0])
    assert len(track.points) == 1
    assert seen.verdict.level is Level.OK


def test_a_tier_whose_clock_runs_backwards_gives_no_rates() -> None:
    looks = saturated(8)
    earlier = pooler(2, full_pool(), totals=(totals(9),), used_clients=15)
    seen = judge([*looks, ladder(8, pooler=earlier)])
    (rates,) = seen.rates
    assert rates.has_clock_jumped
    assert rates.transactions is None
