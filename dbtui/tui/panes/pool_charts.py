"""Five minutes of every tier on one time axis, a load test's throughput and p95 beneath, as text. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbtui.model.ladders import LadderAssessment, LadderPoint
from dbtui.model.pools import LoadPoint, Tier
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, fit, line, strong
from dbtui.tui.panes.pool_rows import format_number, format_seconds
from dbtui.tui.widgets.braille import Value, bin_by_time, choose_top, draw_area, draw_marks, fill_gaps

SECONDS = 300.0
#: The right edge stands still for so long and is then moved at once: a cell is sent when it fills, not every second.
MOVE_SECONDS = 10.0
_LABEL = 20
_LEAST_ROWS, _MOST_ROWS = 2, 6
_LONGEST_HOLE_SECONDS = 2.5
#: Capacity is drawn on the border of two rows: a chart is as high as 1, 2, 4 … times it.
_MOST_FACTOR = 1024


def braille_fits(environ: Mapping[str, str]) -> bool:
    """Whether a terminal is likely to have braille: not the console of Linux, not old terminals, not ASCII."""
    if environ.get("TERM", "").startswith(("linux", "vt1", "vt2", "ansi")):
        return False
    name = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    return "utf" in name.lower()


@dataclass(frozen=True, slots=True)
class Chart:
    """One curve: what it is called, what it shows now, its points, and where its upper edge and its limit are."""

    name: str
    now: str
    points: tuple[tuple[float, float], ...]
    top: float
    top_text: str
    limit: float | None = None
    remark: str = ""
    tone: Tone = Tone.ACCENT


@dataclass(frozen=True, slots=True)
class Axis:
    """What all charts share: the newest moment (monotonic seconds) and what the clock said then."""

    now: float
    clock: datetime
    interval_seconds: float = 1.0

    @property
    def end(self) -> float:
        """The right edge: it moves a few columns at a time."""
        return math.ceil((self.now + 1e-9) / MOVE_SECONDS) * MOVE_SECONDS


def tier_charts(assessment: LadderAssessment, points: Sequence[LadderPoint]) -> list[Chart]:
    """Return the chart of each tier: connections that are used and, on top of them, who waits."""
    charts = []
    for reading in assessment.tiers:
        tier = reading.tier
        seen = [(point.monotonic_seconds, each) for point in points for each in point.tiers if each.tier is tier]
        demand = tuple((moment, each.used + each.waiting) for moment, each in seen)
        limit = float(reading.effective_capacity) if reading.effective_capacity else None
        top = _top_of([value for _, value in demand], limit)
        used = f"{reading.used:.1f}" if tier is Tier.HOST else f"{reading.used:.0f}"
        of = "" if reading.effective_capacity is None else f"/{reading.effective_capacity}"
        waiting = f"+{reading.waiting} waiting" if reading.waiting else ""
        is_old = reading.is_stale or bool(reading.problem)
        charts.append(Chart(reading.label, used + of, demand, top, f"{top:.0f}", limit, waiting,
                            Tone.DIM if is_old else Tone.ACCENT))  # fmt: skip
    return charts


def _top_of(values: Sequence[float], limit: float | None) -> float:
    if not limit:
        return choose_top(values)
    highest, factor = max(values, default=0.0), 1
    while limit * factor < highest and factor < _MOST_FACTOR:
        factor *= 2
    return limit * factor


def load_charts(points: Sequence[LoadPoint], slo_seconds: float | None = None) -> list[Chart]:
    """Return throughput and p95 of a load test; nothing without one."""
    if not points:
        return []
    last = points[-1]
    rates = tuple((point.monotonic_seconds, point.rate) for point in points)
    slow = tuple((point.monotonic_seconds, point.p95_seconds) for point in points if point.p95_seconds is not None)
    top, slowest = choose_top([rate for _, rate in rates]), choose_top([each for _, each in slow], 0.001)
    errors = f"{last.errors} errors" if last.errors else ""
    return [
        Chart("load", f"{format_number(last.rate)}/s", rates, top, format_number(top), None, errors, Tone.OK),
        Chart("p95", format_seconds(last.p95_seconds), slow, slowest, format_seconds(slowest),
              slo_seconds if slo_seconds and slo_seconds < slowest else None, "", Tone.WARNING),
    ]  # fmt: skip


def stage_marks(points: Sequence[LoadPoint]) -> list[tuple[float, str]]:
    """Return where each stage of a load test began."""
    marks: list[tuple[float, str]] = []
    for before, point in zip((None, *points), points, strict=False):
        if before is None or before.stage != point.stage:
            marks.append((point.monotonic_seconds, point.stage))
    return marks


def draw_charts(
    charts: Sequence[Chart], axis: Axis, marks: Sequence[tuple[float, str]], width: int, height: int,
    *, braille: bool = True,
) -> list[Line]:  # fmt: skip
    """Return at most `height` lines: the charts above each other, the stages if there are any, the minutes."""
    plot = width - _LABEL
    room = height - 1 - bool(marks)
    if plot < 10 or room < _LEAST_ROWS or not charts:
        return []
    rows = max(_LEAST_ROWS, min(_MOST_ROWS, room // len(charts)))
    fitting = list(charts)[: room // rows]
    extra = min(len(fitting), room - rows * len(fitting)) if rows < _MOST_ROWS else 0
    lines: list[Line] = []
    for place, chart in enumerate(fitting):
        lines += _draw_chart(chart, axis, plot, rows + (place < extra), braille)
    if marks:
        drawn = draw_marks(marks, end=axis.end, seconds=SECONDS, width=plot)
        lines.append((*fit(line(dim(" stages  "), marks[-1][1]), _LABEL), Span(drawn, Tone.ACCENT)))
    lines.append(line(dim(" " * _LABEL + draw_marks(_minutes(axis), end=axis.end, seconds=SECONDS, width=plot))))
    return lines


def _minutes(axis: Axis) -> list[tuple[float, str]]:
    """Return the full minutes within the axis, as the clock on the wall says them."""
    end = axis.clock + timedelta(seconds=axis.end - axis.now)
    minute = end.replace(second=0, microsecond=0)
    marks = []
    while (ago := (end - minute).total_seconds()) < SECONDS:
        marks.append((axis.end - ago, f"{minute.astimezone():%H:%M}"))
        minute -= timedelta(minutes=1)
    return marks


def _values(chart: Chart, axis: Axis, columns: int) -> list[Value]:
    step = SECONDS / columns
    values = bin_by_time(chart.points, end=axis.end, seconds=SECONDS, columns=columns)
    longest = max(1, math.ceil(_LONGEST_HOLE_SECONDS * axis.interval_seconds / step))
    filled = fill_gaps(values, longest)
    # What is to come stays empty, so that nothing is drawn that has to be taken back.
    to_come = math.floor(axis.end / step) - math.floor(axis.now / step)
    return [*filled[: columns - to_come], *values[columns - to_come :]] if to_come else filled


def _draw_chart(chart: Chart, axis: Axis, plot: int, rows: int, braille: bool) -> list[Line]:
    columns = plot * 2 if braille else plot
    drawn = draw_area(_values(chart, axis, columns), rows, chart.top, braille=braille)
    limit_row = None
    if chart.limit is not None and chart.limit < chart.top:
        limit_row = rows - 1 - math.floor(chart.limit / chart.top * rows - 1e-9)
    lines = []
    for row, text in enumerate(drawn):
        is_above = limit_row is not None and row < limit_row
        tone = Tone.TROUBLE if is_above else chart.tone
        # Blanks before the curve are a run of their own: in pictures a font's dots may be wider than its blanks.
        blanks = len(text) - len(text.lstrip(" "))
        lines.append((*_label(chart, row, rows, limit_row), Span(" " * blanks), Span(text[blanks:], tone)))
    return lines


def _label(chart: Chart, row: int, rows: int, limit_row: int | None) -> Line:
    """Return the cells left of a row: name and value, what else there is to say, and the scale at its edge."""
    said: Line = BLANK
    if row == 0:
        said = line(" ", strong(chart.name))
    elif row == 1:
        is_last = rows == _LEAST_ROWS and chart.remark
        said = line(" ", chart.now, Span(f" {chart.remark.split()[0]}" if is_last else "", Tone.WARNING))
    elif row == 2:
        said = line(Span(f" {chart.remark}", Tone.WARNING))
    scale = chart.top_text if row == 0 else ""
    if row == limit_row and chart.limit is not None:
        scale = f"{chart.limit:.0f}" if chart.limit >= 1 else format_seconds(chart.limit)
    left = _LABEL - 8
    return (*fit(said, left), dim(f"{scale:>7}"), dim("┤" if scale else "│"))
