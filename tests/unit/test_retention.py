"""Retention as a pure plan: places, pins, proofs, clocks; and what must hold for every history there could be."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbtui.analysis.backups.clock_doubts import TOLERANCE
from dbtui.analysis.backups.retention import counts, plan_group, plan_retention
from dbtui.analysis.backups.retention_words import describe_plan, format_plan, format_survival, names_to_type
from dbtui.analysis.backups.survival import DAYS, simulate
from dbtui.errors import UsageError
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.model.policies import CountedProof, RetentionPolicy
from dbtui.model.retention import RetentionBackup, RetentionGroup, RetentionPlan, RetentionScope

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ERP = RetentionScope("erp", EngineName.POSTGRESQL, "postgresql://db1/erp")


def backup(age: timedelta, **fields: object) -> RetentionBackup:
    """A good backup of so long ago."""
    moment = NOW - age
    known = RetentionBackup(backup_id=f"erp-{moment:%Y%m%dT%H%M%SZ}", directory="/b", scope=ERP, began_at=moment,
                            size_bytes=1000)  # fmt: skip
    return replace(known, **fields)  # type: ignore[arg-type]


def daily(days: int) -> list[RetentionBackup]:
    """A backup of each of the last days, newest first."""
    return [backup(DAY * each) for each in range(days)]


def plan(backups: Sequence[RetentionBackup], *, trusts: bool = False, **numbers: object) -> RetentionGroup:
    """What a policy does to them."""
    policy = RetentionPolicy(**numbers)  # type: ignore[arg-type]
    return plan_group(ERP, backups, policy, NOW, trusts_gaps=trusts)


def ages_kept(group: RetentionGroup) -> list[int]:
    """How many days old what stays is."""
    return [(NOW - each.began_at).days for each in group.kept]


# ---------------------------------------------------------------- places


def test_the_last_ones_stay() -> None:
    assert ages_kept(plan(daily(10), last=3)) == [0, 1, 2]


def test_the_newest_of_each_day_stays() -> None:
    hours = [backup(timedelta(hours=each)) for each in range(60)]
    assert [each.began_at.hour for each in plan(hours, daily=3).kept] == [12, 23, 23]


def test_weeks_begin_on_monday() -> None:
    """The 23rd of November 2026 is one."""
    kept = plan(daily(30), weekly=3).kept
    assert [each.began_at.isocalendar()[:2] for each in kept] == [(2026, 48), (2026, 47), (2026, 46)]
    assert [each.began_at.isoweekday() for each in kept] == [1, 7, 7]


def test_the_last_days_of_december_may_be_in_the_first_week_of_the_next_year() -> None:
    moments = [datetime(2024, 12, day, tzinfo=UTC) for day in (28, 29, 30, 31)]
    found = [replace(backup(DAY), backup_id=f"erp-{each.day}", began_at=each) for each in moments]
    group = plan_group(ERP, found, RetentionPolicy(weekly=1), datetime(2025, 1, 1, tzinfo=UTC))
    assert group.verdicts[0].reasons == ("weekly 2025-W01",)


def test_months_and_years() -> None:
    kept = plan(daily(800), monthly=2, yearly=3).kept
    assert [f"{each.began_at:%Y-%m-%d}" for each in kept] == ["2026-11-23", "2026-10-31", "2025-12-31", "2024-12-31"]


def test_periods_without_a_backup_take_no_place() -> None:
    """Backups that stopped are not aged away."""
    assert ages_kept(plan([backup(DAY * each) for each in (200, 201, 202)], daily=7)) == [200, 201, 202]


def test_days_begin_in_the_time_zone() -> None:
    """At 23:30 UTC it is already tomorrow in Paris; one hour of its longest day of the year comes twice."""
    late, early = backup(timedelta(hours=12, minutes=30)), backup(timedelta(hours=11))
    assert len(plan([late, early], daily=2).kept) == 2
    assert len(plan([late, early], daily=2, time_zone="Europe/Paris").kept) == 1
    twice = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]  # both half past two in Paris
    found = [replace(backup(DAY), backup_id=f"erp-{each:%H}", began_at=each) for each in twice]
    group = plan_group(ERP, found, RetentionPolicy(daily=5, time_zone="Europe/Paris"), NOW)
    assert [each.backup_id for each in group.kept] == ["erp-01"]


def test_a_time_zone_that_is_none_is_said() -> None:
    with pytest.raises(UsageError, match="Mars/Olympus"):
        plan(daily(3), daily=1, time_zone="Mars/Olympus")


# ---------------------------------------------------------------- what counts


def test_what_is_no_good_one_takes_no_place_and_stays() -> None:
    """The last good one stays although every newer one failed."""
    failed = [replace(each, problem="its data is cut") for each in daily(7)]
    group = plan([*failed, backup(DAY * 8), backup(DAY * 9)], last=1)
    assert [each.began_at for each in group.removed] == [NOW - DAY * 9]


def test_proven_ones_only() -> None:
    """Those that may still be proven stay; those that lie behind a proven one do not."""
    proofs = (None, "checksums", "restored", None, "checksums", "restored", "restored")
    found = [replace(each, proof=proof) for each, proof in zip(daily(7), proofs, strict=True)]
    assert ages_kept(plan(found, last=1, counts=CountedProof.RESTORED)) == [0, 1, 2]
    assert ages_kept(plan(found, last=2, counts=CountedProof.CHECKSUMS)) == [0, 1, 2]


def test_where_nothing_is_proven_nothing_goes() -> None:
    group = plan(daily(5), last=1, counts=CountedProof.RESTORED)
    assert not group.removed
    assert "no backup of erp is proven by a restore" in group.warnings[0]


def test_pins_stay_and_take_no_place() -> None:
    found = daily(6)
    found[0], found[5] = replace(found[0], is_pinned=True), replace(found[5], is_pinned=True)
    assert ages_kept(plan(found, last=1)) == [0, 1, 5]


def test_the_one_before_a_shrink_stays() -> None:
    """Seven small ones in a row do not push out the last one that was whole."""
    found = [*(replace(each, size_bytes=10) for each in daily(7)), *(backup(DAY * each) for each in (7, 8))]
    group = plan(found, last=3)
    assert ages_kept(group) == [0, 1, 2]  # the first small one has gone, nothing tells of the shrink any more
    group = plan(found, last=7)
    assert ages_kept(group) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert "99 % smaller" in group.warnings[0]


def test_kinds_and_databases_are_apart() -> None:
    """Definitions alone never push out rows."""
    schema = replace(ERP, covers="definitions only")
    other = replace(ERP, database="shop")
    found = [*daily(2), *(replace(each, scope=schema) for each in daily(3)),
             *(replace(each, scope=other) for each in daily(4))]  # fmt: skip
    groups = plan_retention(found, lambda _backup: RetentionPolicy(last=1), NOW)
    assert [(each.scope, len(each.removed)) for each in groups] == [(ERP, 1), (schema, 2), (other, 3)]


def test_copies_in_another_directory_keep_nothing_alive_here() -> None:
    """The same ids in two places: each place keeps its own."""
    copies = [replace(each, directory="/copies") for each in daily(3)]
    groups = plan_retention([*daily(3), *copies], lambda _backup: RetentionPolicy(last=1), NOW)
    assert [(each.directory, ages_kept(each)) for each in groups] == [("/b", [0]), ("/copies", [0])]


def test_without_a_policy_everything_stays() -> None:
    (group,) = plan_retention(daily(9), lambda _backup: None, NOW)
    assert len(group.kept) == 9
    assert not plan(daily(9)).removed


def test_production_is_typed_also_when_a_backup_was_made_by_its_url() -> None:
    groups = plan_retention(daily(3), lambda _backup: RetentionPolicy(last=1), NOW)
    made = RetentionPlan(taken_at=NOW, directories=("/b",), groups=groups)
    known = ConnectionProfile(name="main", engine=EngineName.POSTGRESQL, url=ERP.server)
    assert names_to_type(made, [known]) == (("database", "erp"),)
    production = replace(known, environment=Environment.PRODUCTION)
    assert names_to_type(made, [production]) == (("database", "erp"), ("profile", "main"))
    assert names_to_type(made, [replace(production, url="postgresql://db2/erp")]) == (("database", "erp"),)


# ---------------------------------------------------------------- clocks


def test_a_backup_of_the_future_refuses_everything() -> None:
    """No option overrules it, and other scopes are not judged by such a clock either."""
    shop = replace(ERP, database="shop")
    found = [backup(-DAY), *daily(3), *(replace(each, scope=shop) for each in daily(3))]
    groups = plan_retention(found, lambda _backup: RetentionPolicy(last=1), NOW, trusts_gaps=True)
    made = RetentionPlan(taken_at=NOW, directories=("/b",), groups=groups)
    assert made.is_refused
    assert made.removed == ()
    assert len(made.kept) == 7
    assert "is dated 2026-11-24 12:00 UTC, 1 d after now" in made.refusals[0]


def test_a_backup_that_ended_before_it_began_refuses() -> None:
    odd = backup(DAY, ended_at=NOW - DAY * 3)
    group = plan([backup(timedelta(0)), odd, *(backup(DAY * each) for each in (2, 3))], last=1)
    assert group.is_clock_wrong
    assert not group.removed


def test_clocks_of_two_machines_may_differ_a_little() -> None:
    assert not plan([backup(-TOLERANCE), *daily(3)], last=1).refusals


def test_a_pin_takes_a_backup_of_the_future_out() -> None:
    group = plan([backup(-DAY * 400, is_pinned=True), *daily(3)], last=1)
    assert ages_kept(group) == [-400, 0]


def test_an_absurd_silence_refuses_until_it_is_said_to_be_right() -> None:
    """Daily backups, then two years of nothing: the clock jumped, or nobody makes backups any more."""
    found = [backup(DAY * (700 + each)) for each in range(9)]
    group = plan(found, last=1)
    assert not group.removed
    assert "is 700 d old, and they came every 1 d" in group.refusals[0]
    assert not group.is_clock_wrong
    assert len(plan(found, last=1, trusts=True).removed) == 8


def test_a_silence_is_a_warning_where_nothing_would_go() -> None:
    group = plan([backup(DAY * (700 + each)) for each in range(9)], last=9)
    assert not group.refusals
    assert "either backups have stopped or the clock jumped" in group.warnings[0]


def test_a_newest_backup_far_from_its_elders_refuses() -> None:
    """The backup itself was made by a clock that had jumped."""
    found = [backup(timedelta(0)), *(backup(DAY * (400 + each)) for each in range(9))]
    assert "came 400 d after" in plan(found, last=1).refusals[0]
    assert plan(found, last=1, trusts=True).removed


def test_a_holiday_is_no_jump() -> None:
    assert plan([backup(DAY * (20 + each)) for each in range(9)], last=1).removed


def test_one_silent_database_does_not_hold_up_the_others() -> None:
    shop = replace(ERP, database="shop")
    silent = [replace(backup(DAY * (700 + each)), scope=shop) for each in range(5)]
    groups = plan_retention([*daily(3), *silent], lambda _backup: RetentionPolicy(last=1), NOW)
    made = RetentionPlan(taken_at=NOW, directories=("/b",), groups=groups)
    assert not made.is_refused
    assert {each.scope for each in made.removed} == {ERP}
    assert made.refusals


# ---------------------------------------------------------------- what must always hold

POLICIES = st.builds(
    RetentionPolicy,
    last=st.integers(0, 4),
    daily=st.integers(0, 4),
    weekly=st.integers(0, 3),
    monthly=st.integers(0, 3),
    yearly=st.integers(0, 2),
    time_zone=st.sampled_from(["UTC", "Europe/Paris", "Pacific/Chatham", "America/St_Johns"]),
    counts=st.sampled_from(list(CountedProof)),
)
MINUTES = st.one_of(st.integers(0, 3 * 1440), st.integers(0, 60 * 1440), st.integers(-2 * 525_600, 2 * 525_600))
BACKUPS = st.lists(
    st.builds(
        lambda minutes, number, size, proof, pinned, problem: replace(
            backup(timedelta(minutes=minutes)),
            backup_id=f"erp-{number}",
            size_bytes=size,
            proof=proof,
            is_pinned=pinned,
            problem=problem,
        ),
        MINUTES,
        st.integers(0, 10_000),
        st.sampled_from([10, 900, 1000]),
        st.sampled_from([None, "checksums", "restored"]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from(["", "", "", "cut"]),
    ),
    max_size=25,
    unique_by=lambda each: each.backup_id,
)
MANY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(BACKUPS, POLICIES, st.booleans())
def test_a_good_one_always_stays(found: list[RetentionBackup], policy: RetentionPolicy, trusts: bool) -> None:
    """Of what counts, and of what is whole; pinned and broken ones stay; every one has a verdict and a reason."""
    group = plan_group(ERP, found, policy, NOW, trusts_gaps=trusts)
    kept = set(group.kept)
    assert kept | set(group.removed) == set(found)
    assert len(group.verdicts) == len(found)
    assert all(verdict.reasons for verdict in group.verdicts)
    assert all(each in kept for each in found if each.is_pinned or each.problem)
    for good in ([each for each in found if not each.problem], [each for each in found if counts(each, policy)]):
        assert not good or any(each in kept for each in good)
    counted = sorted((each for each in found if counts(each, policy)), key=lambda each: (each.began_at, each.backup_id))
    assert not counted or counted[-1] in kept


@MANY
@given(BACKUPS, POLICIES)
def test_a_plan_converges_and_so_does_half_of_one(found: list[RetentionBackup], policy: RetentionPolicy) -> None:
    """After it nothing is left to do; after an interrupted one, what is left of it, and nothing else."""
    group = plan_group(ERP, found, policy, NOW, trusts_gaps=True)
    again = plan_group(ERP, group.kept, policy, NOW, trusts_gaps=True)
    assert not again.removed
    half = set(group.removed[: len(group.removed) // 2])
    rest = plan_group(ERP, [each for each in found if each not in half], policy, NOW, trusts_gaps=True)
    assert set(rest.removed) == set(group.removed) - half


@MANY
@given(BACKUPS, POLICIES, st.booleans())
def test_a_future_is_always_refused(found: list[RetentionBackup], policy: RetentionPolicy, trusts: bool) -> None:
    good = [each for each in found if not (each.problem or each.is_pinned)]
    group = plan_group(ERP, found, policy, NOW, trusts_gaps=trusts)
    if not policy.is_empty and any(each.began_at > NOW + TOLERANCE for each in good):
        assert group.is_clock_wrong
        assert not group.removed


@MANY
@given(BACKUPS, POLICIES)
def test_a_larger_policy_keeps_no_less(found: list[RetentionBackup], policy: RetentionPolicy) -> None:
    if policy.is_empty:
        return
    larger = replace(policy, last=policy.last + 1, daily=policy.daily + 2, monthly=policy.monthly + 1)
    kept = set(plan_group(ERP, found, policy, NOW, trusts_gaps=True).kept)
    assert kept <= set(plan_group(ERP, found, larger, NOW, trusts_gaps=True).kept)


# ---------------------------------------------------------------- the year ahead


def test_the_year_ends_as_the_policy_says() -> None:
    """Daily backups under 3/7/4/12: the numbers settle, and what is there today goes in time."""
    year = simulate(plan(daily(40), last=3, daily=7, weekly=4, monthly=12), NOW)
    assert year is not None
    assert year.is_rhythm_known
    assert year.every_seconds == DAY.total_seconds()
    assert [each.label for each in year.points][:3] == ["today", "expired", "1 week"]
    last = year.points[-1]
    assert last.at == NOW + DAYS * DAY
    months = {f"{each.began_at:%Y-%m}" for each in last.survivors}
    assert len(months) == 12
    assert not any(each.backup_id for each in last.survivors)
    leaves = dict(year.leaves)
    assert set(leaves) == {each.backup_id for each in daily(40)}
    oldest = leaves[daily(40)[-1].backup_id]
    assert oldest == NOW


def test_the_year_agrees_with_the_plan_of_each_day() -> None:
    """Played by hand: a backup, a plan, every day of a month."""
    policy = RetentionPolicy(last=2, daily=5, weekly=2)
    group = plan_group(ERP, daily(20), policy, NOW)
    year = simulate(group, NOW)
    assert year is not None
    kept = list(group.kept)
    for day in range(1, 31):
        moment = NOW + DAY * day
        kept = list(plan_group(ERP, [backup(-DAY * day), *kept], policy, moment).kept)
    month = next(each for each in year.points if each.label == "1 month")
    assert [each.began_at for each in month.survivors] == [each.began_at for each in kept]


def test_a_year_as_text() -> None:
    year = simulate(plan(daily(12), daily=7), NOW)
    assert year is not None
    lines = format_survival(year, 80)
    assert all(len(line) <= 80 for line in lines)
    assert lines[3].split()[:4] == ["today", "12", "12", "kB"]
    assert lines[4].split()[:3] == ["expired", "7", "7.0"]


def test_two_backups_have_no_rhythm_and_a_day_is_assumed() -> None:
    year = simulate(plan(daily(2), last=1), NOW)
    assert year is not None
    assert not year.is_rhythm_known


def test_a_plan_as_text() -> None:
    groups = plan_retention(daily(3), lambda _backup: RetentionPolicy(last=1), NOW)
    made = RetentionPlan(taken_at=NOW, directories=("/b",), groups=groups)
    assert describe_plan(made) == "removes 2 of 3 backups of erp (2.0 kB) for good"
    text = "\n".join(format_plan(made))
    assert "keep     erp-20261123T120000Z   1.0 kB  last 1 of 1" in text
    assert "remove   erp-20261122T120000Z   1.0 kB  no place left" in text
