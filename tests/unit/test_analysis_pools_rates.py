"""Whatever a tier says: no negative or absurd rate, no false number after a restart or a jump of a clock, no crash."""

import json
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.pools import Thresholds, Track, advance
from dbtui.analysis.pools.capacity import assess_capacities
from dbtui.analysis.pools.projections import fit_line
from dbtui.analysis.pools.thresholds import CLOSED, OPEN, Gate, turn_gate
from dbtui.model.ladders import LadderAssessment, PoolRates, PoolReading, TierReading
from dbtui.model.pools import (
    AppPool,
    PoolerDatabase,
    PoolerPool,
    PoolerSettings,
    PoolerTotals,
    PoolerUser,
    PoolsSnapshot,
    ServerHolder,
    ServerPool,
    ServerState,
    Tier,
    Timing,
)
from tests.unit.ladder_samples import (
    app,
    app_pool,
    full_pool,
    host,
    judge,
    ladder,
    moment,
    pool,
    pooler,
    server,
    steady_app,
    totals,
)


def rates_of(seen: LadderAssessment, tier: Tier = Tier.POOLER) -> PoolRates:
    return next(each for each in seen.rates if each.tier is tier)


# ---------------------------------------------------------------- known answers


def test_busy_is_without_the_time_in_the_queue() -> None:
    looks = [ladder(at, pooler=pooler(at, full_pool(), totals=(totals(at, busy=7.84, queue=6.91),))) for at in range(9)]
    rates = rates_of(judge(looks))
    assert rates.busy == pytest.approx(7.84)  # the time of transactions alone would say 14.75
    assert rates.queue == pytest.approx(6.91)
    assert rates.seconds == 5
    assert rates.transactions == pytest.approx(100, abs=1)
    assert rates.wait_mean_seconds == pytest.approx(0.0691, rel=0.02)


def test_counters_that_stand_still_while_clients_wait_say_nothing() -> None:
    still = totals(3)
    looks = [ladder(at, pooler=pooler(at, full_pool(maxwait_seconds=at), totals=(still,))) for at in range(8)]
    seen = judge(looks)
    assert rates_of(seen).is_frozen
    assert rates_of(seen).busy is None
    assert rates_of(seen).queue is None
    assert seen.tiers[0].pools[0].utilisation == 1
    assert seen.checks == ()


def test_a_long_wait_that_is_counted_at_once_is_no_negative_load() -> None:
    looks = [ladder(at, pooler=pooler(at, full_pool(), totals=(totals(3),))) for at in range(6)]
    released = replace(totals(3), wait_seconds=totals(3).wait_seconds + 40, xact_total=400)
    rates = rates_of(judge([*looks, ladder(6, pooler=pooler(6, full_pool(), totals=(released,)))]))
    assert rates.busy is None


def test_a_restart_is_told_from_a_jump_of_a_clock() -> None:
    looks = [ladder(at, pooler=pooler(at, full_pool(), totals=(totals(100 + at),))) for at in range(6)]
    restarted = judge([*looks, ladder(6, pooler=pooler(6, full_pool(), totals=(totals(1),)))])
    assert (rates_of(restarted).was_reset, rates_of(restarted).has_clock_jumped) == (True, False)
    gone = judge([*looks, ladder(6, pooler=pooler(6, full_pool()))])
    assert rates_of(gone).was_reset
    jump = pooler(6, full_pool(), totals=(totals(106),), taken_at=looks[0].taken_at + timedelta(hours=1))
    jumped = judge([*looks, ladder(6, pooler=jump)])
    assert (rates_of(jumped).was_reset, rates_of(jumped).has_clock_jumped) == (False, True)
    for seen in (restarted, gone, jumped):
        assert rates_of(seen).transactions is None


def test_rates_begin_anew_after_a_restart() -> None:
    before = [ladder(at, pooler=pooler(at, full_pool(), totals=(totals(100 + at),))) for at in range(6)]
    after = [ladder(at, pooler=pooler(at, full_pool(), totals=(totals(at - 6, rate=50),))) for at in range(6, 10)]
    assert rates_of(judge([*before, *after])).transactions == pytest.approx(50)


def test_one_process_that_restarts_does_not_spoil_the_others() -> None:
    def look(at: int) -> PoolsSnapshot:
        restarted = steady_app(at if at < 5 else at - 5, source="other", pid=2)
        return ladder(at, app=app(at, steady_app(at), restarted))

    seen = judge(look(at) for at in range(6))
    one, other = (each for each in seen.rates if each.tier is Tier.APP)
    assert one.transactions == pytest.approx(100)
    assert other.was_reset
    assert other.transactions is None


def test_a_look_that_is_shown_twice_counts_once() -> None:
    looks = [ladder(at, pooler=pooler(at, full_pool(), totals=(totals(at),))) for at in range(3)]
    again = [ladder(2 + step / 10, pooler=looks[-1].pooler) for step in range(1, 9)]
    assert rates_of(judge([*looks, *again])).busy == pytest.approx(8)
    track = Track()
    for each in [*looks, *again]:
        track, _ = advance(track, each)
    assert len(track.pools[Tier.POOLER, "erp/app"].samples) == 3


def test_counters_that_disagree_are_said_to() -> None:
    def look(at: int, queue: float) -> PoolsSnapshot:
        return ladder(at, pooler=pooler(at, full_pool(), totals=(totals(at, queue=queue),)))

    assert not judge(look(at, 7) for at in range(12)).disagreements
    (wrong,) = judge(look(at, 0.5) for at in range(12)).disagreements
    assert (wrong.name, wrong.counted) == ("waiting", 7)
    assert "counters disagree" in wrong.sentence


def test_what_was_given_up_belongs_to_the_queue() -> None:
    def look(at: int) -> PoolsSnapshot:
        waited = Timing(count=50 * at, seconds=10.9 * at)
        abandoned = Timing(count=20 * at, seconds=29.1 * at)
        pools = replace(steady_app(at, waiting=40), wait=waited, abandoned=abandoned, timeouts_total=20 * at)
        return ladder(at, app=app(at, pools))

    seen = judge(look(at) for at in range(12))
    assert rates_of(seen, Tier.APP).queue == pytest.approx(40)
    assert rates_of(seen, Tier.APP).errors == pytest.approx(20)
    assert not seen.disagreements


# ---------------------------------------------------------------- whatever is said

counts = st.integers(min_value=-5, max_value=10_000_000_000)
small = st.integers(min_value=-3, max_value=40)
seconds = st.floats(min_value=-10, max_value=1e9)
names = st.sampled_from(("erp", "app", "", "pgbouncer", "a\x1b[31m", "x" * 200, "\ud800", "'; --"))
pooler_pools = st.builds(
    PoolerPool, database=names, user=names, cl_active=small, cl_waiting=small, sv_active=small, sv_idle=small,
    sv_used=small, sv_tested=small, sv_login=small, maxwait_seconds=seconds,
)  # fmt: skip
pooler_totals = st.builds(
    PoolerTotals, database=names, xact_total=counts, query_total=counts, xact_seconds=seconds, wait_seconds=seconds,
    received_bytes=counts,
)  # fmt: skip
pooler_databases = st.builds(
    PoolerDatabase, name=names, host=names, pool_size=small, reserve_pool_size=small, max_connections=small,
    is_paused=st.booleans(), is_disabled=st.booleans(),
)  # fmt: skip
pooler_users = st.builds(PoolerUser, name=names, pool_size=st.none() | small, max_connections=st.none() | small)
pooler_settings = st.builds(
    PoolerSettings, max_client_conn=small, default_pool_size=small, max_db_connections=small,
    max_user_connections=small, reserve_pool_size=small, reserve_pool_timeout_seconds=seconds,
    query_wait_timeout_seconds=seconds,
)  # fmt: skip
timings = st.builds(Timing, count=counts, seconds=seconds)
app_pools = st.builds(
    AppPool, source=names, service=names, pid=small, pool=names, size=small, max_overflow=small, checked_in=small,
    checked_out=small, pending=small, oldest_pending_seconds=seconds, wait=timings, abandoned=timings, hold=timings,
    create=timings, timeouts_total=counts, timeout_seconds=st.none() | seconds,
)  # fmt: skip
holders = st.builds(
    ServerHolder, application=names, client=names, user=names, state=st.sampled_from(ServerState), count=small,
    oldest_seconds=seconds,
)  # fmt: skip


@st.composite
def some_ladders(draw: st.DrawFn) -> PoolsSnapshot:
    at, tiers = draw(seconds), dict[str, Any]()
    if draw(st.booleans()):
        tiers["app"] = app(draw(seconds), *draw(st.lists(app_pools, max_size=3)))
    if draw(st.booleans()):
        tiers["pooler"] = pooler(
            draw(seconds),
            *draw(st.lists(pooler_pools, max_size=3, unique_by=lambda each: (each.database, each.user))),
            totals=tuple(draw(st.lists(pooler_totals, max_size=3, unique_by=lambda each: each.database))),
            databases=tuple(draw(st.lists(pooler_databases, max_size=2))),
            users=tuple(draw(st.lists(pooler_users, max_size=2))),
            settings=draw(pooler_settings),
            used_clients=draw(small),
            problem=draw(st.sampled_from(("", "", "refused"))),
        )
    if draw(st.booleans()):
        held, slots, used = draw(st.lists(holders, max_size=3)), draw(small), draw(small)
        tiers["server"] = server(draw(seconds), *held, slots=slots, used=used, cores=draw(st.none() | small))
    if draw(st.booleans()):
        tiers["host"] = replace(host(0, cores=draw(small), busy=draw(small)), **moment(draw(seconds)))
    return ladder(at, **tiers)


@settings(deadline=None, max_examples=150)
@given(st.lists(some_ladders(), max_size=6))
def test_nothing_that_is_said_can_break_the_judgement(snapshots: list[PoolsSnapshot]) -> None:
    track = Track()
    for snapshot in snapshots:
        before = track
        track, seen = advance(track, snapshot)
        assert advance(before, snapshot) == (track, seen)  # a value is not changed by being used
        assert_sane(seen)


def assert_sane(seen: LadderAssessment) -> None:
    for tier in seen.tiers:
        readings: tuple[TierReading | PoolReading, ...] = (tier, *tier.pools)
        for reading in readings:
            assert reading.utilisation is None or 0 <= reading.utilisation <= 1
            assert (reading.errors_per_second or 0) >= 0
            assert reading.level.rank <= tier.level.rank
    for rates in seen.rates:
        numbers = (rates.transactions, rates.queries, rates.busy, rates.queue, rates.errors, rates.connects)
        assert all(number is None or number >= 0 for number in numbers), rates
    assert all(countdown.seconds >= 0 for countdown in seen.countdowns)
    assert all(projection.seconds >= 0 for projection in seen.projections)
    assert seen.queue >= seen.hidden_queue >= 0
    shown = [seen.verdict.sentence, *(tier.words for tier in seen.tiers)]
    assert all(text.isprintable() for text in shown)
    json.dumps(asdict(seen), default=str)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.2, 3), st.floats(0, 8), st.floats(0, 30), st.floats(0, 400)), min_size=2, max_size=30
    ),
    st.integers(0, 29),
)
def test_rates_are_those_of_the_window_with_or_without_a_restart(
    steps: list[tuple[float, float, float, float]], restart: int
) -> None:
    """Busy servers are found again from counters that were made of them, and never exceed what there was."""
    track = Track()
    at = wait = spent = done = 0.0
    for number, (length, busy, queue, rate) in enumerate(steps):
        at += length
        if number == restart:
            wait = spent = done = 0.0
        wait, spent, done = wait + queue * length, spent + (busy + queue) * length, done + (rate + 40) * length
        total = PoolerTotals(database="erp", xact_total=int(done), xact_seconds=spent, wait_seconds=wait)
        track, seen = advance(track, ladder(at, pooler=pooler(at, pool(sv_idle=8), totals=(total,))))
        for rates in seen.rates:
            assert rates.busy is None or -1e-6 <= rates.busy <= 8 + 1e-6
            assert rates.queue is None or -1e-6 <= rates.queue <= 30 + 1e-6
            assert rates.transactions is None or rates.transactions <= 450


@given(
    st.lists(pooler_pools, min_size=1, max_size=5, unique_by=lambda each: (each.database, each.user)),
    st.lists(pooler_databases, max_size=3, unique_by=lambda each: each.name),
    pooler_settings,
    st.integers(1, 200),
    st.integers(0, 200),
)
def test_no_pool_can_have_more_than_any_of_its_limits(
    pools: list[PoolerPool], databases: list[PoolerDatabase], limits: PoolerSettings, slots: int, used: int
) -> None:
    look = pooler(0, *pools, databases=tuple(databases), settings=limits)
    held = ServerPool(**moment(0), slots=slots, used=used)
    by_name = {each.name: each for each in databases}
    for (database, _), capacity in assess_capacities(look, held).items():
        limit = by_name[database].max_connections if database in by_name else limits.max_db_connections
        if limit > 0:
            assert capacity.effective is not None
            assert capacity.effective <= max(0, limit)
        assert capacity.effective is None or capacity.bound_by


def test_no_limit_is_no_limit() -> None:
    databases = (PoolerDatabase(name="erp", pool_size=0),)
    look = pooler(0, pool(sv_active=900), databases=databases)
    (capacity,) = assess_capacities(look, None).values()
    assert capacity.effective is None
    (capacity,) = assess_capacities(look, ServerPool(**moment(0), slots=97, used=90)).values()
    assert capacity.effective == 907


def test_the_reserve_counts_once_its_time_has_come() -> None:
    databases = (PoolerDatabase(name="erp", pool_size=8, reserve_pool_size=2, max_connections=9),)
    effective = []
    for maxwait, active in ((1.0, 8), (5.0, 8), (0.0, 9)):
        look = pooler(0, full_pool(sv_active=active, maxwait_seconds=maxwait), databases=databases)
        (capacity,) = assess_capacities(look, None).values()
        effective.append(capacity.effective)
    assert effective == [8, 9, 9]


# ---------------------------------------------------------------- gates and lines


@given(st.lists(st.tuples(st.floats(0.1, 4), st.booleans()), max_size=40))
def test_a_gate_opens_and_closes_only_after_its_time(steps: list[tuple[float, bool]]) -> None:
    gate, now = CLOSED, 0.0
    since: dict[bool, float] = {}
    for length, is_so in steps:
        now += length
        since.setdefault(is_so, now)
        since.pop(not is_so, None)
        before, gate = gate, turn_gate(gate, now, begins=is_so, continues=is_so, on_after=10, off_after=5)
        if gate.is_on and not before.is_on:
            assert is_so
            assert now - since[True] >= 10
        if before.is_on and not gate.is_on:
            assert now - since[False] >= 5


def test_a_gate_between_its_thresholds_stays_as_it_is() -> None:
    assert turn_gate(OPEN, 9, begins=False, continues=True) == OPEN
    assert turn_gate(CLOSED, 9, begins=False, continues=True) == CLOSED
    assert turn_gate(Gate(since=1), 9, begins=False, continues=True, on_after=8) == OPEN


@given(st.floats(-5, 5), st.floats(-50, 50), st.lists(st.floats(-1e3, 1e3), min_size=0, max_size=3))
def test_a_few_odd_looks_do_not_bend_the_line(slope: float, start: float, odd: list[float]) -> None:
    points = [(float(at), start + slope * at) for at in range(15)]
    for index, value in enumerate(odd):
        points[index * 5] = (points[index * 5][0], value)
    found, intercept = fit_line(points)
    if not odd:
        assert found == pytest.approx(slope, abs=1e-6)
        assert intercept == pytest.approx(start, abs=1e-5)
    spread = sorted((y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1 :])
    assert spread[0] <= found <= spread[-1]


def test_other_thresholds_judge_otherwise() -> None:
    looks = [ladder(at, pooler=pooler(at, pool(sv_active=4, sv_idle=4))) for at in range(4)]
    assert judge(looks).verdict.level.value == "ok"
    strict = Track(thresholds=Thresholds(high_utilisation=0.5, high_seconds=2))
    assert judge(looks, strict).verdict.level.value == "high"


def test_names_that_two_processes_share_are_told_apart() -> None:
    both = app(0, app_pool(source="a", pid=1), app_pool(source="b", pid=1))
    pools = judge([ladder(0, app=both)]).tiers[0].pools
    assert len({each.pool for each in pools}) == 2
