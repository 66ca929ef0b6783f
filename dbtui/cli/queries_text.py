"""Queries that take the time, suspects and plans as lines of text."""

import textwrap
from collections.abc import Collection, Sequence

from dbtui.analysis.load_report import format_latency
from dbtui.analysis.queries.curing import format_suggestion
from dbtui.analysis.queries.savings import format_seconds
from dbtui.analysis.query_words import shorten_keys, shorten_sql
from dbtui.cli.tables import Column, format_table
from dbtui.model.text import format_bytes, format_count, format_untrusted
from dbtui.model.top_queries import QuerySuspect, TopQueryRate

_TOP = (
    Column("KEY", least=8),
    Column("TIME", right=True),
    Column("SHARE", right=True),
    Column("CALLS", right=True),
    Column("A SECOND", right=True, drop=3),
    Column("MEAN", right=True),
    Column("ROWS", right=True, drop=4),
    Column("READ", right=True, drop=5),
    Column("TEMP", right=True, drop=6),
    Column("USER", least=6, drop=2),
    Column("DATABASE", least=6, drop=1),
    Column("SQL", least=30),
)
_INDENT = " " * 10


def format_top(rates: Sequence[TopQueryRate], keys: Collection[str], width: int | None) -> list[str]:
    """Return a line for each query, with as much of its key as tells it from the others of `keys`."""
    shown = shorten_keys(keys)
    return format_table(_TOP, [_row(rate, shown[rate.query.key]) for rate in rates], width)


def _row(rate: TopQueryRate, key: str) -> tuple[str, ...]:
    query = rate.query
    return (
        key,
        format_seconds(rate.total_seconds),
        f"{rate.share:.0%}",
        ("≥" if rate.is_least else "") + format_count(rate.calls),
        f"{rate.calls_per_second:.1f}",
        format_latency(rate.mean_seconds),
        "" if rate.rows is None else format_count(rate.rows),
        "" if rate.read_bytes is None else format_bytes(rate.read_bytes),
        "" if not rate.temp_bytes else format_bytes(rate.temp_bytes),
        query.user,
        query.database,
        shorten_sql(query.sql),
    )


def format_suspects(suspects: Sequence[QuerySuspect], width: int) -> list[str]:
    """Return a block for each suspicion, with how to make sure."""
    lines = []
    for each in suspects:
        lines += _wrapped(f"▲ suspect   {each.repeats:.0f} × {shorten_sql(each.child.sql)}", width)
        lines += _wrapped(f"  after   {shorten_sql(each.parent.sql)}   {each.parent_rows:.0f} rows", width)
        lines += _wrapped(f"  time    {format_latency(each.seconds_per_second)} of each second", width)
        lines += _wrapped(f"  why     {' · '.join(each.reasons)}", width)
        suggestion = format_suggestion(each.cure)
        lines += _wrapped(f"  cure    {suggestion}", width) if suggestion else []
    return [*lines, "  dbtui queries capture TARGET makes sure"]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(format_untrusted(text), max(width, 40), subsequent_indent=_INDENT, break_on_hyphens=False)


def format_plan(plan: str) -> list[str]:
    """Return a plan's lines as they may be shown."""
    return [format_untrusted(line) for line in plan.splitlines()]
