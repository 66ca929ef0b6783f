"""What is wrong with a partitioned table, and until when its partitions last."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dbtui.analysis.partitions import assess_partitions
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    KeyKind,
    Limit,
    PartitionAssessment,
    PartitionFinding,
    PartitionIndex,
    PartitionLevel,
    PartitionStrategy,
    PartitionTrouble,
    UnreadBound,
)
from dbtui.model.policies import Interval, IntervalUnit
from dbtui.model.tables import TableName
from tests.unit.partition_scenes import (
    DAY,
    NOW,
    at,
    days,
    default,
    hashed,
    listed,
    months,
    numbers,
    partition,
    policy,
    table,
)


def found(judged: PartitionAssessment, kind: PartitionTrouble) -> PartitionFinding:
    return next(each for each in judged.findings if each.kind is kind)


def kinds(judged: PartitionAssessment) -> set[PartitionTrouble]:
    return {each.kind for each in judged.findings}


def test_a_table_in_order_has_nothing_to_say() -> None:
    judged = assess_partitions(table(months(at(2026, 1), 15)), policy(), NOW)
    assert judged.findings == ()
    assert judged.level is None
    assert judged.current == "logs_y2026m11"
    assert judged.ends_at == at(2027, 4)
    assert judged.headroom_seconds == (at(2027, 4) - NOW).total_seconds()
    assert len(judged.coverage) == 15
    assert judged.coverage[0].lower == at(2026, 1)


def test_a_gap_is_shown_where_it_is() -> None:
    made = months(at(2026, 1), 16)
    judged = assess_partitions(table([*made[:3], *made[5:]]), policy(), NOW)
    finding = found(judged, PartitionTrouble.GAP)
    assert (finding.level, finding.partition) == (PartitionLevel.WARNING, "logs_y2026m06")
    assert "[2026-04-01, 2026-06-01) cannot be written" in finding.sentence
    gap = next(each for each in judged.coverage if not each.partition)
    assert (gap.lower, gap.upper) == (at(2026, 4), at(2026, 6))


def test_a_gap_ahead_is_worse() -> None:
    made = months(at(2026, 10), 6)
    judged = assess_partitions(table([*made[:3], *made[4:]]), policy(), NOW)
    assert judged.findings[0].kind is PartitionTrouble.GAP
    assert judged.level is PartitionLevel.TROUBLE


@pytest.mark.parametrize(
    ("last", "level", "sentence"),
    [
        (
            NOW + timedelta(days=3, hours=4),
            PartitionLevel.WARNING,
            "the last partition ends in 3 d 4 h: rows of then cannot",
        ),
        (NOW + timedelta(minutes=20), PartitionLevel.TROUBLE, "the last partition ends in 20 min"),
        (
            NOW - timedelta(days=2),
            PartitionLevel.TROUBLE,
            "the last partition ended 2 d ago: rows of now cannot be written",
        ),
    ],
)
def test_the_clock_of_headroom(last: object, level: PartitionLevel, sentence: str) -> None:
    made = [*months(at(2026, 8), 3), partition("last", at(2026, 11), last)]  # type: ignore[arg-type]
    finding = found(assess_partitions(table(made), policy(), NOW), PartitionTrouble.HEADROOM)
    assert finding.level is level
    assert sentence in finding.sentence


def test_what_is_missing_ahead_is_a_remark() -> None:
    finding = found(assess_partitions(table(months(at(2026, 10), 4)), policy(), NOW), PartitionTrouble.HEADROOM)
    assert finding.level is PartitionLevel.REMARK
    assert "2 of 4 are there ahead" in finding.sentence


def test_what_is_past_retention_is_named() -> None:
    asked = policy(retention=Interval(12, IntervalUnit.MONTH))
    judged = assess_partitions(table(months(at(2025, 9), 20)), asked, NOW)
    assert judged.due == ("logs_y2025m09", "logs_y2025m10")
    assert found(judged, PartitionTrouble.PAST_RETENTION).sentence == "2 past retention (12 months)"


def test_rows_in_default_and_default_itself_are_told() -> None:
    judged = assess_partitions(table([*months(at(2026, 10), 7), default()], default_rows=1209), policy(), NOW)
    assert "1.2 k rows" in found(judged, PartitionTrouble.DEFAULT_ROWS).sentence
    assert found(judged, PartitionTrouble.HAS_DEFAULT).level is PartitionLevel.REMARK


def test_without_a_policy_the_partitions_tell_theirs() -> None:
    judged = assess_partitions(table(days(at(2026, 11, 1), 30)), None, NOW)
    assert judged.policy is not None
    assert judged.policy.interval == DAY
    assert judged.findings == ()


def test_a_policy_that_disagrees_is_a_finding() -> None:
    judged = assess_partitions(table(months(at(2026, 10), 7)), policy(DAY), NOW)
    assert "says 1 day" in found(judged, PartitionTrouble.MISALIGNED).sentence
    odd = [*months(at(2026, 6), 3), partition("odd", at(2026, 9), at(2026, 9, 15)), *months(at(2026, 10), 7)]
    assert found(assess_partitions(table(odd), policy(), NOW), PartitionTrouble.MISALIGNED).partition == "odd"


def test_what_cannot_be_planned_is_still_shown() -> None:
    made = months(at(2026, 10), 7)
    pending = [replace(made[0], is_detach_pending=True), replace(made[1], bound=UnreadBound()), *made[2:]]
    judged = assess_partitions(table(pending, managed_by="pg_partman", is_owner=False), policy(), NOW, prunes=False)
    expected = {
        PartitionTrouble.DETACH_PENDING, PartitionTrouble.UNREADABLE, PartitionTrouble.MANAGED,
        PartitionTrouble.NOT_OWNER, PartitionTrouble.CANNOT_PRUNE,
    }  # fmt: skip
    assert kinds(judged) >= expected
    assert judged.level is PartitionLevel.TROUBLE


def test_overlaps_of_a_model_are_seen() -> None:
    made = [*months(at(2026, 10), 7), partition("twice", at(2026, 10, 3), at(2026, 10, 4))]
    assert PartitionTrouble.OVERLAP in kinds(assess_partitions(table(made), policy(), NOW))


def test_indexes_that_lack_or_did_not_get_built() -> None:
    parent = PartitionIndex(
        name="i", definition="CREATE INDEX i ON t USING btree (created_at)", columns=("created_at",)
    )
    good = replace(parent, name="a", parent="i")
    made = months(at(2026, 10), 7)
    made = [replace(each, indexes=(good,)) for each in made[:5]] + [
        made[5],
        replace(made[6], indexes=(replace(good, is_valid=False),)),
    ]
    judged = assess_partitions(table(made, indexes=(replace(parent, is_valid=False),)), policy(), NOW)
    assert found(judged, PartitionTrouble.MISSING_INDEX).partition == "logs_y2027m03"
    assert [each.partition for each in judged.findings if each.kind is PartitionTrouble.INVALID_INDEX] == [
        "",
        "logs_y2027m04",
    ]
    without = assess_partitions(table(months(at(2026, 10), 7), are_indexes_read=True), policy(), NOW)
    assert "CREATE INDEX ON ONLY public.logs (created_at)" in found(without, PartitionTrouble.MISSING_INDEX).sentence
    assert not assess_partitions(table(months(at(2026, 10), 7)), policy(), NOW).findings


def test_more_partitions_than_the_server_has_locks_for() -> None:
    judged = assess_partitions(table(days(at(2026, 1, 1), 400), lock_slots=300), policy(DAY), NOW)
    assert found(judged, PartitionTrouble.LOCK_TABLE).level is PartitionLevel.WARNING
    assert "401 of the server's 300 locks" in found(judged, PartitionTrouble.LOCK_TABLE).sentence


def test_hashes_and_lists_that_lack_something() -> None:
    incomplete = table([hashed(4, 0), hashed(4, 1)], KeyKind.INTEGER, strategy=PartitionStrategy.HASH)
    judged = assess_partitions(incomplete, None, NOW)
    assert "remainder 2, 3 of 4" in found(judged, PartitionTrouble.INCOMPLETE_HASH).sentence
    tenants = table([listed("a", "acme")], KeyKind.TEXT, strategy=PartitionStrategy.LIST)
    judged = assess_partitions(tenants, policy(None, values=("acme", "zeta")), NOW)
    assert "“zeta”" in found(judged, PartitionTrouble.MISSING_VALUE).sentence


def test_numbers_have_an_end_and_no_clock() -> None:
    kept = table(numbers(0, 10, 3), KeyKind.INTEGER, newest_value=25)
    judged = assess_partitions(kept, policy(Interval(10, IntervalUnit.NUMBER)), NOW)
    assert judged.headroom_seconds is None
    assert judged.current == "logs_p20"
    assert "from 30 on cannot be written" in found(judged, PartitionTrouble.HEADROOM).sentence
    assert (judged.coverage[0].lower, judged.coverage[-1].upper) == (0, 30)


def test_a_tail_of_mysql_takes_what_is_ahead() -> None:
    made = [
        partition("p1", Limit.LOWEST, at(2026, 10)),
        partition("p2", at(2026, 10), at(2026, 11)),
        partition("pmax", at(2026, 11), Limit.HIGHEST),
    ]
    judged = assess_partitions(table(made, engine=EngineName.MYSQL, default_rows=42), policy(), NOW)
    assert judged.current == "pmax"
    assert "rows of now go to pmax" in found(judged, PartitionTrouble.HEADROOM).sentence
    assert found(judged, PartitionTrouble.DEFAULT_ROWS).partition == "pmax"
    assert [each.partition for each in judged.coverage] == ["p1", "p2", "pmax"]


def test_an_empty_table_and_strange_ones_are_judged_without_a_fault() -> None:
    for kept in (
        table(),
        table([default()]),
        table(kind=KeyKind.OTHER),
        table([listed("a", None)], strategy=PartitionStrategy.LIST),
    ):
        for asked in (None, policy(), policy(time_zone="Mars/Olympus")):
            assert assess_partitions(kept, asked, NOW).table == TableName("public", "logs")
