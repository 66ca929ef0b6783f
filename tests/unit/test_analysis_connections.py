"""Rates out of two looks, and the pauses between tries."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dbtui.analysis.connections import (
    NO_RATES,
    Rates,
    assess_cache_hit,
    assess_changes,
    assess_rates,
    assess_status,
    describe_backoff,
)
from dbtui.model.connections import EngineName, FileStatus, ServerInfo, StatusCounters, TargetStatus
from dbtui.model.findings import FindingLevel, TargetConcern
from tests.unit.samples import MOMENT


def look(seconds: float, started: float | None = -1000.0, **counters: int) -> TargetStatus:
    return TargetStatus(
        profile="erp",
        taken_at=MOMENT + timedelta(seconds=seconds),
        started_at=None if started is None else MOMENT + timedelta(seconds=started),
        counters=StatusCounters(**counters) if counters else None,
    )


def said(**fields: object) -> list[tuple[TargetConcern, str]]:
    status = TargetStatus(profile="erp", taken_at=MOMENT, **fields)  # type: ignore[arg-type]
    return [(finding.kind, finding.words) for finding in assess_status(status)]


def test_nothing_is_said_of_a_target_that_does_well() -> None:
    assert said() == []
    well = {"sessions_used": 79, "sessions_available": 100, "oldest_transaction_seconds": 299.0, "lag_seconds": 9.9}
    assert said(**well, sessions_blocked=0, file=FileStatus(integrity="ok")) == []
    assert said(sessions_used=5, sessions_available=None, file=FileStatus()) == []


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"sessions_blocked": 3}, TargetConcern.BLOCKED, "3 blocked"),
        ({"oldest_transaction_seconds": 300.0}, TargetConcern.OLD_TRANSACTION, "oldest transaction 5 min"),
        ({"sessions_used": 80, "sessions_available": 100}, TargetConcern.FULL, "80 of 100 sessions used"),
        ({"lag_seconds": 10.0}, TargetConcern.LAGGING, "10 s behind"),
        ({"file": FileStatus(integrity="row 5 missing")}, TargetConcern.DAMAGED, "damaged: row 5 missing"),
    ],
)
def test_what_there_is_to_say_of_a_target(fields: dict[str, object], kind: TargetConcern, words: str) -> None:
    assert said(**fields) == [(kind, words)]


def test_trouble_comes_first() -> None:
    file = FileStatus(integrity="row 5 missing")
    assert [kind for kind, _ in said(oldest_transaction_seconds=900.0, lag_seconds=60.0, file=file)] == [
        TargetConcern.DAMAGED, TargetConcern.OLD_TRANSACTION, TargetConcern.LAGGING,
    ]  # fmt: skip


def test_reads_that_miss_the_cache() -> None:
    assert assess_cache_hit(NO_RATES) is None
    assert assess_cache_hit(Rates(cache_hit_fraction=0.9)) is None
    low = assess_cache_hit(Rates(cache_hit_fraction=0.75))
    assert low is not None
    assert (low.level, low.words) == (FindingLevel.REMARK, "75.0 % of the reads hit the cache")


def test_values_that_differ_are_named_and_ages_are_none() -> None:
    info = ServerInfo(engine=EngineName.POSTGRESQL, flavour="PostgreSQL", version="15.18", role="replica")
    first = replace(look(0), info=info, sessions_used=5, oldest_transaction_seconds=1.0, size_bytes=10)
    assert assess_changes(None, first) == frozenset()
    older = replace(look(1), info=info, sessions_used=5, oldest_transaction_seconds=2.0, size_bytes=20, lag_seconds=1.0)
    assert assess_changes(first, older) == frozenset()
    promoted = replace(older, info=replace(info, role="primary"), sessions_used=6, sessions_blocked=1)
    assert assess_changes(older, promoted) == {"role", "sessions_used", "sessions_blocked"}


def test_rates_are_differences_a_second() -> None:
    first = look(0, transactions=100, queries=1000, blocks_hit=10_000, blocks_read=500)
    second = look(2, transactions=150, queries=1300, blocks_hit=10_090, blocks_read=510)
    rates = assess_rates(first, second)
    assert (rates.tps, rates.qps, rates.cache_hit_fraction, rates.was_reset) == (25.0, 150.0, 0.9, False)


def test_what_is_not_counted_has_no_rate() -> None:
    rates = assess_rates(look(0, queries=10), look(1, queries=20))
    assert (rates.tps, rates.qps, rates.cache_hit_fraction) == (None, 10.0, None)
    assert assess_rates(look(0), look(1, queries=20)) == NO_RATES
    assert assess_rates(look(1, queries=10), look(1, queries=20)) == NO_RATES


def test_nothing_read_is_no_cache_hit_fraction() -> None:
    first, second = look(0, blocks_hit=10, blocks_read=1), look(1, blocks_hit=10, blocks_read=1)
    assert assess_rates(first, second).cache_hit_fraction is None


def test_a_restart_and_counters_set_back_are_told_apart_from_rates() -> None:
    restarted = assess_rates(look(0, transactions=10), look(60, started=30, transactions=5000))
    assert (restarted.was_reset, restarted.tps) == (True, None)
    assert assess_rates(look(0, transactions=10), look(1, transactions=9)).was_reset


def test_a_start_that_moves_a_little_is_no_restart() -> None:
    first, second = look(0, -1000.0, queries=1), look(1, -999.0, queries=2)
    assert assess_rates(first, second).qps == 1.0
    assert assess_rates(look(0, None, queries=1), look(1, -9.0, queries=2)).qps == 1.0


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [describe_backoff(attempt, lambda: 0.0) for attempt in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert describe_backoff(10_000, lambda: 0.0) == 30
    assert describe_backoff(0, lambda: 0.0) == 1


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_chance_takes_a_quarter_at_most(chance: float) -> None:
    assert 0.75 * 8 <= describe_backoff(4, lambda: chance) <= 8
    assert describe_backoff(1, lambda: chance, first_seconds=30, longest_seconds=300) >= 22.5
