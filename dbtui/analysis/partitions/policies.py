"""Intervals and retentions as they are typed: `1 month`, `monthly`, `6 hours`, `1_000_000`."""

import re

from dbtui.errors import UsageError
from dbtui.model.policies import Interval, IntervalUnit
from dbtui.model.text import format_untrusted

_WORDS = {
    "hourly": IntervalUnit.HOUR,
    "daily": IntervalUnit.DAY,
    "weekly": IntervalUnit.WEEK,
    "monthly": IntervalUnit.MONTH,
    "quarterly": IntervalUnit.QUARTER,
    "yearly": IntervalUnit.YEAR,
    "annually": IntervalUnit.YEAR,
}
_UNITS = {
    "h": IntervalUnit.HOUR,
    "hour": IntervalUnit.HOUR,
    "d": IntervalUnit.DAY,
    "day": IntervalUnit.DAY,
    "w": IntervalUnit.WEEK,
    "week": IntervalUnit.WEEK,
    "mon": IntervalUnit.MONTH,
    "month": IntervalUnit.MONTH,
    "quarter": IntervalUnit.QUARTER,
    "y": IntervalUnit.YEAR,
    "year": IntervalUnit.YEAR,
}
_FOREVER = ("", "forever", "for ever", "none", "keep", "all")
_TYPED = re.compile(r"(?:(?P<count>\d[\d_]*)\s*)?(?P<unit>[a-z]*)", re.ASCII)
_HINT = 'write it as "1 hour", "1 day", "1 week", "1 month", "1 quarter", "1 year", or a whole number for ids'
#: As many steps reach beyond the calendar, whatever they are.
_MOST = dict.fromkeys(IntervalUnit, 100000) | {IntervalUnit.NUMBER: 1 << 127}


def parse_interval(text: str) -> Interval:
    """Return the interval that `text` says. Raises UsageError for what is none, or is shorter than an hour."""
    typed = " ".join(text.lower().split())
    if typed in _WORDS:
        return Interval(1, _WORDS[typed])
    found = _TYPED.fullmatch(typed)
    if found is None or not typed:
        raise UsageError(f"“{format_untrusted(text, 60)}” is no interval", _HINT)
    unit = _unit_of(found["unit"], text)
    count = int(found["count"].replace("_", "")) if found["count"] else 1
    if not 1 <= count <= _MOST[unit]:
        raise UsageError(f"an interval of {format_untrusted(text, 60)} cannot be used", f"use 1 to {_MOST[unit]}")
    return Interval(count, unit)


def _unit_of(word: str, text: str) -> IntervalUnit:
    if not word:
        return IntervalUnit.NUMBER
    unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    if unit is None:
        raise UsageError(f"“{format_untrusted(text, 60)}” has a unit that partitions are not made by", _HINT)
    return unit


def parse_retention(text: str) -> Interval | None:
    """Return how long partitions are kept, None for `forever`. Raises UsageError."""
    if " ".join(text.lower().split()) in _FOREVER:
        return None
    return parse_interval(text)
