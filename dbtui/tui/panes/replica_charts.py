"""Five minutes of a replica: bytes that wait at each stage, on one scale, and the lag in seconds. Pure."""

from collections.abc import Sequence

from dbtui.model.replicas import LagStage
from dbtui.model.text import format_bytes
from dbtui.tui.cells import Tone
from dbtui.tui.panes.pool_charts import Chart
from dbtui.tui.panes.pool_panels import ChartPanel
from dbtui.tui.panes.replica_cells import UNKNOWN, brief_lag
from dbtui.tui.panes.replica_groups import Group, StagePoint
from dbtui.tui.panes.replica_rows import ReplicaRow, RowKind
from dbtui.tui.widgets.braille import choose_top

_LEAST_BYTES = 1000.0
_MOST_REPLICAS = 6
#: Upper edges for seconds, as people count them.
_TOPS = (*(each * unit for unit in (1.0, 60.0, 3600.0) for each in (1, 2, 5, 10, 20, 30)), 86_400.0, 604_800.0)


class StageCharts(ChartPanel):
    """The charts of the row under the cursor. It takes the keys while it has the screen."""


def row_charts(group: Group, row: ReplicaRow) -> list[Chart]:
    """Return the charts of a row: of a replica its stages, of a primary each replica's distance."""
    if row.kind is RowKind.REPLICA and row.verdict is not None:
        return stage_charts(group.points.get(row.verdict.key, ()))
    if row.kind is RowKind.PRIMARY and group.assessment is not None:
        return _distances(group)
    return []


def stage_charts(points: Sequence[StagePoint]) -> list[Chart]:
    """Return a chart for each stage, all with the same upper edge, and one of the seconds."""
    if not points:
        return []
    last = points[-1]
    top = choose_top([each for point in points for each in point.stages], _LEAST_BYTES)
    charts = []
    for place, stage in enumerate(LagStage):
        seen = tuple((point.at, float(value)) for point in points if (value := point.stages[place]) is not None)
        charts.append(Chart(stage.value, _bytes(last.stages[place]), seen, top, format_bytes(top)))
    seconds = tuple((point.at, point.lag_seconds) for point in points if point.lag_seconds is not None)
    longest = next((each for each in _TOPS if each >= max((value for _, value in seconds), default=0.0)), _TOPS[-1])
    now = UNKNOWN if last.lag_seconds is None else brief_lag(last.lag_seconds)
    return [*charts, Chart("lag", now, seconds, longest, brief_lag(longest), tone=Tone.WARNING)]


def _distances(group: Group) -> list[Chart]:
    assessment = group.assessment
    replicas = assessment.replicas[:_MOST_REPLICAS] if assessment is not None else ()
    values = [point.behind_bytes for each in replicas for point in group.points.get(each.key, ())]
    top = choose_top(values, _LEAST_BYTES)
    charts = []
    for each in replicas:
        points = group.points.get(each.key, ())
        seen = tuple((point.at, float(point.behind_bytes)) for point in points if point.behind_bytes is not None)
        charts.append(Chart(each.name, _bytes(each.behind_bytes), seen, top, format_bytes(top)))
    return charts


def _bytes(count: int | None) -> str:
    return UNKNOWN if count is None else format_bytes(count)
