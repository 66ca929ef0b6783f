"""The statements that take the time, a line each. No widget in here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dbtui.analysis.load_report import format_latency
from dbtui.analysis.queries.savings import format_seconds
from dbtui.analysis.queries.top_queries import sort_rates
from dbtui.analysis.query_cards import shorten_reading
from dbtui.model.text import format_bytes, format_count
from dbtui.model.top_queries import TopQueriesWindow, TopQueryRate, TopQuerySort
from dbtui.tui.cells import Span, Tone, dim, fresh
from dbtui.tui.widgets.rows import Column

_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class TopRow:
    """One shape. `changed`: what of it is another than at the look before."""

    rate: TopQueryRate
    changed: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """What tells shapes apart."""
        return self.rate.query.key


def make_rows(
    window: TopQueriesWindow, before: Mapping[str, TopQueryRate] | None, *, marks_values: bool
) -> list[TopRow]:
    """Return a row for each shape. `before`: the rates of the look before, None: nothing is marked.

    `marks_values`: calls and time are marked where they grew; else what did not run before.
    """
    return [TopRow(rate, _changes(rate, before, marks_values)) for rate in sort_rates(window.rates, TopQuerySort.TIME)]


def _changes(rate: TopQueryRate, before: Mapping[str, TopQueryRate] | None, marks_values: bool) -> frozenset[str]:
    if before is None:
        return frozenset()
    known = before.get(rate.query.key)
    if known is None:
        return frozenset(("sql",))
    if not marks_values:
        return frozenset()
    names = {"calls": rate.calls != known.calls, "time": rate.total_seconds != known.total_seconds}
    return frozenset(name for name, is_changed in names.items() if is_changed)


def search(row: TopRow) -> str:
    """Return what a filter looks into."""
    query = row.rate.query
    return f"{query.sql} {query.database} {query.user} {query.key}"


def _count(value: Callable[[TopQueryRate], int | None]) -> Callable[[TopRow], Span]:
    def draw(row: TopRow) -> Span:
        found = value(row.rate)
        return Span("" if found is None else format_count(found))

    return draw


def _bytes(value: Callable[[TopQueryRate], int | None]) -> Callable[[TopRow], Span]:
    def draw(row: TopRow) -> Span:
        found = value(row.rate)
        return Span("" if not found else format_bytes(found))

    return draw


def _time(row: TopRow) -> Span:
    return fresh(Span(format_seconds(row.rate.total_seconds)), "time" in row.changed)


def _share(row: TopRow) -> Span:
    share = row.rate.share
    return Span(f"{share:.0%}", Tone.WARNING if share >= _SHARE else Tone.PLAIN)


def _calls(row: TopRow) -> Span:
    least = "≥" if row.rate.is_least else ""
    return fresh(Span(least + format_count(row.rate.calls)), "calls" in row.changed)


def _per_second(row: TopRow) -> Span:
    rate = row.rate.calls_per_second
    return dim(f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate else "")


COLUMNS: list[Column[TopRow]] = [
    Column("TIME", _time, 8, right=True, order=lambda row: row.rate.total_seconds, descending=True),
    Column("SHARE", _share, 6, right=True, order=lambda row: row.rate.share, descending=True),
    Column("CALLS", _calls, 7, right=True, order=lambda row: row.rate.calls, descending=True),
    Column("RATE", _per_second, 7, right=True, spare=3),
    Column("MEAN", lambda row: Span(format_latency(row.rate.mean_seconds)), 8, right=True,
           order=lambda row: row.rate.mean_seconds, descending=True),
    Column("ROWS", _count(lambda rate: rate.rows), 7, right=True, spare=2, order=lambda row: row.rate.rows,
           descending=True),
    Column("READ", _bytes(lambda rate: rate.read_bytes), 7, right=True, spare=4,
           order=lambda row: row.rate.read_bytes, descending=True),
    Column("TEMP", _bytes(lambda rate: rate.temp_bytes), 7, right=True, spare=5,
           order=lambda row: row.rate.temp_bytes, descending=True),
    Column("WRITTEN", _bytes(lambda rate: rate.written_bytes), 7, right=True, spare=6,
           order=lambda row: row.rate.written_bytes, descending=True),
    Column("SQL", lambda row: fresh(Span(shorten_reading(row.rate.query.sql)), "sql" in row.changed), 30, grow=1),
]  # fmt: skip
TIME = 0


def rates_by_key(window: TopQueriesWindow | None) -> dict[str, TopQueryRate]:
    """Return the rates of a window by the key of their shape."""
    return {rate.query.key: rate for rate in window.rates} if window is not None else {}


def shapes_text(rates: Sequence[TopQueryRate]) -> str:
    """Return how many shapes that is."""
    return f"{format_count(len(rates))} shape{'' if len(rates) == 1 else 's'}"
