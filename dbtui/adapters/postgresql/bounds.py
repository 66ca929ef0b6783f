"""Bounds of partitions: PostgreSQL's text to ours and back.

The text is what `pg_get_expr(relpartbound)` writes under the time zone UTC and the date style ISO. Source: the manual,
"CREATE TABLE", partition_bound_spec.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from dbtui.adapters.postgresql.sql import quote_text
from dbtui.model.partitions import (
    Bound,
    BoundValue,
    DefaultBound,
    HashBound,
    KeyKind,
    Limit,
    ListBound,
    RangeBound,
    UnreadBound,
)

_HASH = re.compile(r"FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)")
_RANGE = re.compile(r"FOR VALUES FROM \((.*)\) TO \((.*)\)", re.DOTALL)
#: One column's range of quoted values: nearly every bound there is, and there may be tens of thousands.
_PLAIN_RANGE = re.compile(r"FOR VALUES FROM \('([^'\\]*)'\) TO \('([^'\\]*)'\)")
_LIST = re.compile(r"FOR VALUES IN \((.*)\)", re.DOTALL)
#: One value: quoted (with its backslashes doubled after an E), or a bare word or number.
_VALUE = re.compile(r"\s*(?:(E?)'((?:[^']|'')*)'|([\w.+-]+))\s*(?:,|\Z)", re.DOTALL)
_BARE = {"MINVALUE": Limit.LOWEST, "MAXVALUE": Limit.HIGHEST, "NULL": None}
_TIMES = (KeyKind.DATE, KeyKind.TIMESTAMP, KeyKind.TIMESTAMPTZ)
_ENDLESS = ("-infinity", "infinity")  # kept as words: no time of Python's is as far away
_MOST_DIGITS = 200


class _UnreadError(Exception):
    """A value that Python cannot hold: a year before 1 or after 9999, what was not expected."""


def parse_bound(text: str, kinds: Sequence[KeyKind]) -> Bound:
    """Return the bound that a text says, for a key of these kinds; UnreadBound when it is not understood."""
    if text == "DEFAULT":
        return DefaultBound()
    if found := _HASH.fullmatch(text):
        return HashBound(int(found[1]), int(found[2]))
    try:
        if len(kinds) == 1 and (found := _PLAIN_RANGE.fullmatch(text)):
            return RangeBound((_parse_value(found[1], kinds[0]),), (_parse_value(found[2], kinds[0]),))
        if found := _LIST.fullmatch(text):
            return ListBound(tuple(_parse_value(each, kinds[0]) for each in _split(found[1])))
        if (ends := _split_range(text)) is not None:
            lower, upper = (_parse_row(_split(each), kinds) for each in ends)
            return RangeBound(lower, upper)
    except (_UnreadError, ValueError, InvalidOperation):
        return UnreadBound()
    return UnreadBound()


def _split_range(text: str) -> tuple[str, str] | None:
    """The two lists of a range. A quoted value may hold `) TO (` itself: both sides must then be whole lists."""
    if not _RANGE.fullmatch(text):
        return None
    inner = text.removeprefix("FOR VALUES FROM (")[:-1]
    for found in re.finditer(r"\) TO \(", inner):
        lower, upper = inner[: found.start()], inner[found.end() :]
        if _is_list(lower) and _is_list(upper):
            return lower, upper
    return None


def _is_list(text: str) -> bool:
    try:
        return bool(_split(text))
    except _UnreadError:
        return False


def _split(text: str) -> list[str | Limit | None]:
    """The values of a list, unquoted; what stood bare and means something is that."""
    values: list[str | Limit | None] = []
    position = 0
    while position < len(text):
        found = _VALUE.match(text, position)
        if found is None:
            raise _UnreadError
        if found[3] is not None:
            values.append(_BARE.get(found[3], found[3]))
        else:
            plain = found[2].replace("''", "'")
            values.append(plain.replace("\\\\", "\\") if found[1] else plain)
        position = found.end()
    return values


def _parse_row(values: Sequence[str | Limit | None], kinds: Sequence[KeyKind]) -> tuple[BoundValue, ...]:
    if len(values) != len(kinds):
        raise _UnreadError
    return tuple(_parse_value(value, kind) for value, kind in zip(values, kinds, strict=True))


def _parse_value(value: str | Limit | None, kind: KeyKind) -> BoundValue:
    if value is None or isinstance(value, Limit):
        return value
    if kind in _TIMES and value in _ENDLESS:
        return value
    if kind is KeyKind.DATE:
        return date.fromisoformat(value)
    if kind is KeyKind.TIMESTAMP:
        return _parse_time(value, is_aware=False)
    if kind is KeyKind.TIMESTAMPTZ:
        return _parse_time(value, is_aware=True).astimezone(UTC)
    if kind is KeyKind.INTEGER:
        return int(value)
    if kind is KeyKind.NUMERIC:
        number = Decimal(value)
        if not number.is_finite() or len(value) > _MOST_DIGITS:
            raise _UnreadError
        return number
    return value


def _parse_time(value: str, *, is_aware: bool) -> datetime:
    time = datetime.fromisoformat(value)
    if (time.tzinfo is not None) is not is_aware:
        raise _UnreadError
    return time


def format_bound(bound: Bound) -> str:
    """Return a bound as it stands behind ATTACH PARTITION. Raises ValueError for one that was not understood."""
    if isinstance(bound, DefaultBound):
        return "DEFAULT"
    if isinstance(bound, HashBound):
        return f"FOR VALUES WITH (modulus {bound.modulus}, remainder {bound.remainder})"
    if isinstance(bound, ListBound):
        return f"FOR VALUES IN ({', '.join(map(format_value, bound.values))})"
    if isinstance(bound, RangeBound):
        lower, upper = (", ".join(map(format_value, each)) for each in (bound.lower, bound.upper))
        return f"FOR VALUES FROM ({lower}) TO ({upper})"
    raise ValueError("a bound that was not understood cannot be written")


def format_value(value: BoundValue) -> str:
    """Return a value as a literal that means the same whatever the session's time zone and date style are."""
    if value is None:
        return "NULL"
    if isinstance(value, Limit):
        return value.value
    if isinstance(value, datetime):
        plain = value if value.tzinfo is None else value.astimezone(UTC)
        return quote_text(plain.isoformat(" "))
    if isinstance(value, date):
        return quote_text(value.isoformat())
    if isinstance(value, int) and value >= 0:
        return str(value)
    if isinstance(value, Decimal):
        return quote_text(f"{value:f}")
    return quote_text(str(value)).strip()
