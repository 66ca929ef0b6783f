"""Bounds of partitions: what information_schema.PARTITIONS says to ours, and ours to what CREATE TABLE takes.

MySQL writes upper ends alone: a partition begins where the one before it ends. Source: the manuals, "The
INFORMATION_SCHEMA PARTITIONS Table", PARTITION_DESCRIPTION. Days of TO_DAYS are counted from the year 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from dbtui.model.partitions import (
    Bound,
    BoundValue,
    DefaultBound,
    KeyKind,
    Limit,
    ListBound,
    PartitionStrategy,
    RangeBound,
    UnreadBound,
)


class KeyForm(StrEnum):
    """How a key's bounds are written."""

    COLUMN = "column"  # as values of the column
    DAYS = "days"  # as numbers of TO_DAYS
    SECONDS = "seconds"  # as numbers of UNIX_TIMESTAMP
    OTHER = "other"  # by an expression whose order we do not know


#: TO_DAYS('0001-01-01') is 366, Python's ordinal of it 1.
_YEAR_ZERO_DAYS = 365
_VALUE = re.compile(r"\s*(?:(?:_\w+\s*)?'((?:[^'\\]|''|\\.)*)'|(-?[\w.]+))\s*(?:,|\Z)", re.DOTALL)
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}
_EXPRESSION = re.compile(r"(?P<function>to_days|unix_timestamp)\(`(?P<column>(?:[^`]|``)+)`\)", re.IGNORECASE)
_COLUMN = re.compile(r"`((?:[^`]|``)+)`\s*(?:,|\Z)")
_FORMS = {"to_days": KeyForm.DAYS, "unix_timestamp": KeyForm.SECONDS}


class _UnreadError(Exception):
    """A value that was not expected."""


def parse_key(expression: str) -> tuple[KeyForm, tuple[str, ...]]:
    """Return the columns of a key and how its bounds are written; of an unknown expression one nameless column."""
    if found := _EXPRESSION.fullmatch(expression.strip()):
        return _FORMS[found["function"].lower()], (found["column"].replace("``", "`"),)
    if re.fullmatch(rf"(?:{_COLUMN.pattern})+", expression.strip()):
        return KeyForm.COLUMN, tuple(each.replace("``", "`") for each in _COLUMN.findall(expression))
    return KeyForm.OTHER, ("",)


def parse_bounds(
    texts: Sequence[str | None], strategy: PartitionStrategy, form: KeyForm, kinds: Sequence[KeyKind]
) -> tuple[Bound, ...]:
    """Return the bounds of a table's partitions from their descriptions, in the table's order. Hashes have none."""
    if strategy is PartitionStrategy.LIST:
        return tuple(_parse_list(text or "", form, kinds) for text in texts)
    bounds: list[Bound] = []
    lower: tuple[BoundValue, ...] | None = tuple(Limit.LOWEST for _ in kinds)
    for text in texts:
        upper = _parse_upper(text or "", form, kinds)
        bounds.append(RangeBound(lower, upper) if lower is not None and upper is not None else UnreadBound())
        lower = upper
    return tuple(bounds)


def _parse_upper(text: str, form: KeyForm, kinds: Sequence[KeyKind]) -> tuple[BoundValue, ...] | None:
    try:
        values = _split(text)
        if form is KeyForm.OTHER or len(values) != len(kinds):
            return None
        return tuple(_parse_value(value, form, kind) for value, kind in zip(values, kinds, strict=True))
    except (_UnreadError, ValueError, InvalidOperation, OverflowError):
        return None


def _parse_list(text: str, form: KeyForm, kinds: Sequence[KeyKind]) -> Bound:
    if text.replace("(", "").replace(")", "").split(",")[0].strip() in ("MAXVALUE", "DEFAULT"):
        return DefaultBound()
    if form is not KeyForm.COLUMN or len(kinds) != 1:
        return UnreadBound()
    try:
        return ListBound(tuple(_parse_value(value, form, kinds[0]) for value in _split(text)))
    except (_UnreadError, ValueError, InvalidOperation):
        return UnreadBound()


def _split(text: str) -> list[str | Limit | None]:
    values: list[str | Limit | None] = []
    position = 0
    while position < len(text):
        found = _VALUE.match(text, position)
        if found is None:
            raise _UnreadError
        if found[2] is not None:
            values.append({"MAXVALUE": Limit.HIGHEST, "NULL": None}.get(found[2], found[2]))
        else:
            values.append(_ESCAPE.sub(lambda each: _ESCAPED.get(each[1], each[1]) if each[1] else "'", found[1]))
        position = found.end()
    return values


def _parse_value(value: str | Limit | None, form: KeyForm, kind: KeyKind) -> BoundValue:
    if value is None or isinstance(value, Limit):
        return value
    if form is KeyForm.DAYS:
        return date.fromordinal(int(value) - _YEAR_ZERO_DAYS)
    if form is KeyForm.SECONDS:
        return datetime.fromtimestamp(int(value), UTC)
    if kind is KeyKind.DATE:
        return date.fromisoformat(value)
    if kind is KeyKind.TIMESTAMP:
        return datetime.fromisoformat(value)
    if kind is KeyKind.INTEGER:
        return int(value)
    if kind is KeyKind.TEXT:
        return value
    raise _UnreadError


def format_upper(bound: RangeBound, form: KeyForm) -> str:
    """Return `LESS THAN` and the upper end of a range, as a partition's definition has it."""
    if bound.upper == (Limit.HIGHEST,) and form is not KeyForm.COLUMN:
        return "LESS THAN MAXVALUE"
    return f"LESS THAN ({', '.join(format_value(each, form) for each in bound.upper)})"


def format_list(bound: ListBound) -> str:
    """Return `IN` and the values of a list, as a partition's definition has it."""
    return f"IN ({', '.join(format_value(each, KeyForm.COLUMN) for each in bound.values)})"


def format_value(value: BoundValue, form: KeyForm) -> str:
    """Return a value as a literal that means the same whatever sql_mode and time zone are."""
    if value is None:
        return "NULL"
    if isinstance(value, Limit):
        return value.value
    if form is KeyForm.SECONDS and isinstance(value, datetime):
        return str(int(value.timestamp()))
    if form is KeyForm.DAYS and isinstance(value, date):
        day = value.date() if isinstance(value, datetime) else value
        return f"TO_DAYS('{day.isoformat()}')"
    if isinstance(value, datetime):
        return f"'{value.replace(tzinfo=None).isoformat(' ')}'"
    if isinstance(value, date):
        return f"'{value.isoformat()}'"
    if isinstance(value, int | Decimal):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
