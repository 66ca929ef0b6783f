"""All about one shape that takes the time: its text, its sums, the index it lacks, its plan. No widget in here."""

from collections.abc import Callable, Iterator, Sequence

from dbtui.analysis.load_report import format_latency
from dbtui.analysis.queries.index_advice import advise_index
from dbtui.analysis.queries.savings import format_seconds
from dbtui.model.queries import Child, QuerySchema, Shape, TopQuery
from dbtui.model.text import format_bytes, format_count, format_duration
from dbtui.model.top_queries import TopQueriesWindow, TopQueryRate
from dbtui.tui.ages import format_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line
from dbtui.tui.dialogs.plan_lines import fact
from dbtui.tui.spoken_keys import speak_keys

_COLUMN = 12
_MUCH_EXAMINED = 100


def show_query(
    query: TopQuery, now: TopQueryRate | None, whole: TopQueryRate | None, window: TopQueriesWindow | None
) -> list[Line]:
    """Return the text of a shape and its sums: of the last window beside those since the reset."""
    lines = [line(text) for text in query.sql.splitlines()]
    if query.is_truncated:
        lines.append(line(dim("cut by the server")))
    seconds = window.seconds if window is not None else None
    label = f"last {seconds:.0f} s" if seconds else "now"
    lines += [BLANK, line(dim(f"{'':<12}{label:>{_COLUMN}}{'in all':>{_COLUMN}}"))]
    lines += [
        line(dim(f"{name:<12}"), f"{first:>{_COLUMN}}{last:>{_COLUMN}}") for name, first, last in _sums(now, whole)
    ]
    lines.append(BLANK)
    if query.min_seconds is not None and query.max_seconds is not None:
        lines.append(fact("one call", f"{format_latency(query.min_seconds)} to {format_latency(query.max_seconds)}"))
    lines.append(fact("login", query.user or "–", dim(f"  database {query.database}" if query.database else "")))
    lines.append(fact("key", query.key))
    if query.first_at is not None:
        lines.append(fact("first seen", format_time(query.first_at)))
    return lines


_Sum = tuple[str, str, str]
_SIZES = {"read": "read_bytes", "from cache": "hit_bytes", "temp": "temp_bytes", "written": "written_bytes",
          "WAL": "wal_bytes"}  # fmt: skip
_COUNTS = {"examined": "rows_examined", "no index": "no_index_calls"}


def _sums(now: TopQueryRate | None, whole: TopQueryRate | None) -> Iterator[_Sum]:
    """Yield each sum's name, in the window and in all; what this server does not count is left out."""

    def row(name: str, show: Callable[[TopQueryRate], str]) -> _Sum:
        return name, "" if now is None else show(now), "" if whole is None else show(whole)

    yield row("calls", lambda rate: format_count(rate.calls))
    yield row("a second", lambda rate: f"{rate.calls_per_second:.1f}")
    yield row("time", lambda rate: format_seconds(rate.total_seconds))
    yield row("share", lambda rate: f"{rate.share:.1%}")
    yield row("mean", lambda rate: format_latency(rate.mean_seconds))
    yield row("rows", lambda rate: _counted(rate.rows))
    yield row("rows a call", lambda rate: "" if rate.rows_per_call is None else f"{rate.rows_per_call:.1f}")
    for names, show in ((_SIZES, _sized), (_COUNTS, _counted)):
        for name, field in names.items():
            if whole is not None and getattr(whole, field) is not None:
                yield row(name, _shower(field, show))


def _shower(field: str, show: Callable[[int | None], str]) -> Callable[[TopQueryRate], str]:
    return lambda rate: show(getattr(rate, field))


def _counted(value: int | None) -> str:
    return "" if value is None else format_count(value)


def _sized(value: int | None) -> str:
    return "" if value is None else format_bytes(value) if value else "0"


# ---------------------------------------------------------------- advice


def show_advice(rate: TopQueryRate | None, shape: Shape, schema: QuerySchema | None) -> list[Line]:
    """Return the index that its look-up lacks, and what else its sums give away."""
    lines = []
    index = advise_index([Child(shape=shape, repeats=1, seconds=None)], schema) if shape.lookups else ""
    for number, text in enumerate(index.splitlines()):
        lines.append(fact("index" if not number else "", Span(text, Tone.ACCENT), dim("" if number else _WHY)))
    if rate is not None and rate.no_index_calls:
        lines.append(_remark(f"{format_count(rate.no_index_calls)} of {format_count(rate.calls)} calls used no index"))
    if rate is not None and rate.rows_examined and rate.rows_examined > _MUCH_EXAMINED * max(1, rate.rows or 0):
        examined = rate.rows_examined / max(1, rate.rows or 0)
        lines.append(_remark(f"{format_count(round(examined))} rows are examined for each that is returned"))
    if rate is not None and rate.temp_bytes:
        lines.append(
            _remark(f"{format_bytes(rate.temp_bytes)} went through temporary files: sorts and hashes too large")
        )
    return [BLANK, *lines] if lines else []


_WHY = "   its look-up begins no index"


def _remark(text: str) -> Line:
    return line(Span("▲ ", Tone.WARNING), text)


def show_plan_key(lines: Sequence[Line] | None) -> list[Line]:
    """Return the plan, or the key that asks for it."""
    if lines is not None:
        return [BLANK, *lines]
    return [BLANK, line(Span(speak_keys("{top.explain}"), Tone.KEY), dim(" shows its plan, without running it"))]


def span_text(window: TopQueriesWindow) -> str:
    """Return what a window covers."""
    if window.is_since_reset:
        since = f"since {format_time(window.began_at)}" if window.began_at is not None else "since the counters began"
        return f"{since}, {format_duration(window.seconds)}" if window.seconds else since
    return f"in the last {window.seconds:.0f} s" if window.seconds else "between two looks"
