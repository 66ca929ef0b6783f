"""Over random tables, policies and clocks: plans converge, cover now, and drop nothing that is not past retention."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from dbtui.analysis.partitions import assess_partitions, plan_partitions
from dbtui.analysis.partitions.calendar import Grid, grid_through, plain_grid
from dbtui.analysis.partitions.keys import Axis, open_axis
from dbtui.analysis.partitions.spans import axis_of, ends_of, lay_out
from dbtui.model.connections import EngineName
from dbtui.model.partitions import KeyKind, Partition, PartitionPlan, RangeBound, StepKind
from dbtui.model.policies import ArchiveMode, Interval, IntervalUnit, KeyCodec, PartitionPolicy
from dbtui.model.tables import TableName
from tests.unit.partition_scenes import LOGS, Server, default, table

ZONES = (
    "UTC", "Europe/Paris", "Europe/Moscow", "America/Sao_Paulo", "America/Havana", "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia", "Africa/Cairo", "America/New_York",
)  # fmt: skip
KEYS = (
    (KeyKind.TIMESTAMPTZ, KeyCodec.NONE), (KeyKind.TIMESTAMP, KeyCodec.NONE), (KeyKind.DATE, KeyCodec.NONE),
    (KeyKind.INTEGER, KeyCodec.EPOCH_SECONDS), (KeyKind.INTEGER, KeyCodec.EPOCH_MILLISECONDS),
    (KeyKind.INTEGER, KeyCodec.EPOCH_NANOSECONDS), (KeyKind.UUID, KeyCodec.UUID7), (KeyKind.INTEGER, KeyCodec.NONE),
    (KeyKind.NUMERIC, KeyCodec.NONE),
)  # fmt: skip
TIME_UNITS = [unit for unit in IntervalUnit if unit is not IntervalUnit.NUMBER]
NEWEST = 1_000_003
#: The least that a unit can be, in days: what must lie between a dropped partition's end and now.
LEAST_DAYS = {
    IntervalUnit.HOUR: 1 / 24, IntervalUnit.DAY: 22 / 24, IntervalUnit.WEEK: 6.9, IntervalUnit.MONTH: 27.9,
    IntervalUnit.QUARTER: 88.9, IntervalUnit.YEAR: 364.9,
}  # fmt: skip
GONE = (StepKind.DETACH, StepKind.EXCHANGE, StepKind.DROP)
EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _draw_policy(draw: st.DrawFn, kind: KeyKind, codec: KeyCodec) -> PartitionPolicy:
    is_number = kind in (KeyKind.INTEGER, KeyKind.NUMERIC) and codec is KeyCodec.NONE
    if is_number:
        counts = st.sampled_from((1, 7, 10, 1000))
        interval = Interval(draw(counts), IntervalUnit.NUMBER)
        kept = st.none() | st.integers(1, 6000).map(lambda n: Interval(n, IntervalUnit.NUMBER))
    else:
        units = [unit for unit in TIME_UNITS if kind is not KeyKind.DATE or unit is not IntervalUnit.HOUR]
        of_units = st.builds(Interval, st.integers(1, 4), st.sampled_from(units))
        interval = draw(of_units)
        kept = st.none() | of_units
    return draw(
        st.builds(
            PartitionPolicy,
            table=st.just(LOGS),
            interval=st.just(interval),
            time_zone=st.sampled_from(ZONES),
            premake=st.integers(1, 5),
            retention=kept,
            grace_seconds=st.sampled_from((0.0, 86400.0)),
            archive=st.sampled_from(ArchiveMode),
            codec=st.just(codec),
        )
    )


def _draw_grid(draw: st.DrawFn, interval: Interval, axis: Axis, here: int) -> Grid:
    """The plain grid, or one through another hour, day or number, as somebody may have begun."""
    plain = plain_grid(interval, axis.grid_zone)
    lower = plain.floor(here)
    if draw(st.booleans()) and interval.unit is IntervalUnit.NUMBER:
        shift = draw(st.integers(0, interval.count))
        shifted = grid_through(lower + shift, lower + shift + interval.count, interval, axis.grid_zone)
        return shifted or plain
    return plain


def _begin_points(grid: Grid, here: int, back: int) -> list[int]:
    point = grid.floor(here)
    points = [point]
    for _ in range(back):
        point = grid.floor(point - 1)
        points.append(point)
    points.reverse()
    for _ in range(3):
        points.append(grid.following(points[-1]))
    return points


@st.composite
def servers(draw: st.DrawFn) -> tuple[Server, datetime]:
    kind, codec = draw(st.sampled_from(KEYS))
    asked = _draw_policy(draw, kind, codec)
    seconds = draw(st.integers(int(datetime(2005, 1, 1).timestamp()), int(datetime(2035, 1, 1).timestamp())))
    now = datetime.fromtimestamp(seconds, UTC)
    axis = open_axis(kind, codec, asked.time_zone)
    here = axis.now(now) if axis.is_time else NEWEST
    assert asked.interval is not None
    grid = _draw_grid(draw, asked.interval, axis, here)
    points = _begin_points(grid, here, draw(st.integers(1, 9)))
    assume(codec is KeyCodec.NONE or all(map(axis.is_sane, points)))  # such keys hold no time before 1970
    cells = list(pairwise(points))
    chosen: list[tuple[int, int]] = draw(st.lists(st.sampled_from(cells), unique=True, max_size=len(cells)))
    cut = {index: draw(st.booleans()) for index in range(len(chosen)) if draw(st.integers(0, 5)) == 0}
    ends = [_odd(each, axis, first=cut[index]) if index in cut else each for index, each in enumerate(chosen)]
    engine = draw(st.sampled_from((EngineName.POSTGRESQL, EngineName.POSTGRESQL, EngineName.MYSQL)))
    made = [_partition(f"p{number}", lower, upper, axis) for number, (lower, upper) in enumerate(ends)]
    is_mysql = engine is EngineName.MYSQL
    if is_mysql:
        if draw(st.booleans()) or not made:
            made.append(_partition("pmax", -inf, inf, axis))
    else:
        if made and draw(st.integers(0, 3)) == 0:
            made[0] = replace(made[0], is_detach_pending=True)
        if draw(st.booleans()):
            made.append(default())
    server = Server(table(made, kind, engine, taken_at=now, newest_value=None if axis.is_time else NEWEST), asked)
    if server.table.default is not None:
        spread = points[-1] - points[0]
        rows = draw(st.lists(st.integers(points[0], points[-1] + spread), max_size=6))
        covered = server.spans()
        server.stray = [row for row in rows if not any(s.lower <= row < s.upper for s in covered)]
        server.table = replace(server.table, default_rows=len(server.stray))
    return server, now


def _odd(cell: tuple[int, int], axis: Axis, *, first: bool) -> tuple[int, int]:
    """Half a cell: at a whole day for keys that hold no less."""
    unit = 86_400_000_000_000 if axis.is_time else 1
    middle = cell[0] + (cell[1] - cell[0]) // 2 // unit * unit
    if axis.kind is KeyKind.DATE and middle % unit:
        return cell
    if not cell[0] < middle < cell[1]:
        return cell
    return (cell[0], middle) if first else (middle, cell[1])


def _partition(name: str, lower: float, upper: float, axis: Axis) -> Partition:
    bound = RangeBound((axis.value(lower),), (axis.value(upper),))
    return Partition(
        table=TableName("public", name), bound=bound, bound_text=str(bound), identity=hash(name), rows_estimate=0
    )


def _check_nothing_young_goes(server: Server, plan: PartitionPlan, now: datetime) -> None:
    axis = axis_of(server.table, server.policy)
    here = axis.now(now) if axis.is_time else NEWEST
    for step in plan.steps:
        if step.kind in GONE:
            kept = server.policy.retention
            assert kept is not None
            assert isinstance(step.bound, RangeBound)
            ends = ends_of(step.bound, axis)
            assert ends is not None
            least = kept.count if not axis.is_time else LEAST_DAYS[kept.unit] * kept.count * 86_400e9
            assert ends[1] <= here - least
            assert step.danger == (3 if step.kind is StepKind.DROP else 1)


def _check_order(plan: PartitionPlan, policy: PartitionPolicy) -> None:
    archived: set[TableName] = set()
    for step in plan.steps:
        if step.kind is StepKind.ARCHIVE:
            archived.add(step.partition)
        if step.kind is StepKind.DROP and policy.archive is ArchiveMode.DUMP:
            assert step.partition in archived


def _covers(server: Server, here: float) -> bool:
    return any(span.lower <= here < span.upper for span in server.spans())


def _reaches(server: Server, here: float) -> float:
    """Where the first gap after a position is."""
    for span in server.spans():
        here = span.upper if span.lower <= here < span.upper else here
    return here


@EXAMPLES
@given(servers())
def test_a_plan_converges_and_covers_now_and_drops_only_what_is_past_retention(scene: tuple[Server, datetime]) -> None:
    server, now = scene
    plan = server.plan(now)
    assert plan == server.plan(now)
    assess_partitions(server.table, server.policy, now)
    if plan.refusals:
        event("refused: " + plan.refusals[0][:40])
        assert not plan.steps
        return
    event(f"{'some' if plan.steps else 'no'} steps, {server.table.engine}")
    _check_nothing_young_goes(server, plan, now)
    _check_order(plan, server.policy)
    server.apply(plan.steps, now)
    again = server.plan(now)
    assert (again.steps, again.refusals) == ((), ())
    axis = axis_of(server.table, server.policy)
    here = axis.now(now) if axis.is_time else NEWEST
    assert _covers(server, here)
    for first, second in pairwise(server.spans()):
        assert first.upper <= second.lower
    assert server.policy.interval is not None
    layout = lay_out(server.table, server.policy, server.policy.interval, now)
    end = layout.grid.ahead(layout.now, server.policy.premake)
    assert _reaches(server, here) >= end
    if server.policy.archive is ArchiveMode.DUMP and server.dropped:
        assert {step.partition.name for step in plan.steps if step.kind is StepKind.ARCHIVE} >= set(server.dropped)


@EXAMPLES
@given(servers(), st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_after_a_kill_at_any_step_a_new_plan_converges(scene: tuple[Server, datetime], kills: list[int]) -> None:
    server, now = scene
    for kill in kills:
        plan = server.plan(now)
        if plan.refusals:
            assert not plan.steps
            return
        server.apply(plan.steps[:kill], now)
    plan = server.plan(now)
    assert not plan.refusals
    server.apply(plan.steps, now)
    assert server.plan(now).is_converged


def _is_regular(server: Server, now: datetime) -> bool:
    """Whether nobody made a partition of another length: if only such are left one day, the policy is refused."""
    interval = server.policy.interval
    assert interval is not None
    grid = lay_out(server.table, server.policy, interval, now).grid
    ends = [(int(span.lower), int(span.upper)) for span in server.spans() if span.is_finite]
    return all(grid_through(lower, upper, interval, grid.zone) == grid for lower, upper in ends)


@EXAMPLES
@given(servers(), st.lists(st.integers(1, 400), min_size=1, max_size=4))
def test_as_the_clock_goes_on_plans_go_on(scene: tuple[Server, datetime], steps: list[int]) -> None:
    """Run once in a while, as cron does: now is always covered, and what ages goes once its grace is over."""
    server, now = scene
    assume(_is_regular(server, now))
    for hours in steps:
        server.apply(server.plan(now).steps, now)
        now += timedelta(hours=hours)
        if not server.table.detached:
            assert not any(each.is_detach_pending for each in server.table.partitions)
    plan = server.plan(now)
    assert not plan.refusals
    _check_nothing_young_goes(server, plan, now)
    server.apply(plan.steps, now)
    server.apply(server.plan(now + timedelta(days=1)).steps, now + timedelta(days=1))
    if server.policy.retention is not None and server.table.newest_value is None:
        gone = plan_partitions(server.table, server.policy, now + timedelta(days=1))
        assert not [step for step in gone.steps if step.kind is StepKind.DROP]
