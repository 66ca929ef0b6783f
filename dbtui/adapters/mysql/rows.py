"""The rows of an INSERT: found, counted and read back as text."""

import re
from collections.abc import Iterator

from dbtui.adapters.mysql.tokens import unquote

_STRING = rb"'[^'\\]*+(?:\\.[^'\\]*+|(?!))*+'"
_DOUBLE = rb'"[^"\\]*+(?:\\.[^"\\]*+|(?!))*+"'
#: Literals as dump tools write them; adjacent strings ('a''b') are one.
LITERAL = (
    rb"(?:(?:_[a-z0-9]++\s?)?(?:(?:" + _STRING + rb"|(?!))++|(?:" + _DOUBLE + rb"|(?!))++)"
    rb"|[-+]?\d[0-9.]*+(?:[eE][-+]?\d++)?(?![A-Za-z0-9_$\x80-\xff])|(?:_[a-z0-9]++\s?)?0[xb][0-9A-Fa-f]*+"
    rb"|[bBxXnN]'[^'\\]*+'|(?i:NULL|DEFAULT|TRUE|FALSE)(?![A-Za-z0-9_$\x80-\xff(]))"
)
_SPACE = rb"[ \t\r\n]*+"
#: Functions of one or two literals by which dumps bring bytes and shapes; they read nothing.
_CALL = rb"(?i:UNHEX|FROM_BASE64|(?:ST_)?GeomFrom(?:Text|WKB)|ST_GeometryFromText)\((?:" + LITERAL + rb",?\s?|(?!))++\)"
_VALUE = rb"(?:" + LITERAL + rb"|" + _CALL + rb")"
_VALUES = _SPACE + _VALUE + _SPACE + rb"(?:," + _SPACE + _VALUE + _SPACE + rb"|(?!))*+"
_TUPLE = rb"\((?:" + _VALUES + rb"|(?!))?+\)"
#: The same as dump tools write it, twice as fast: no blanks, and numbers, NULL and 0x... by their letters alone. A bare
#: word of these letters is followed by a comma or a bracket, so it can call nothing.
_PLAIN_TUPLE = rb"\((?:(?:" + _STRING + rb"|" + _DOUBLE + rb"|[-0-9.A-FLNUex]++)[,)]|(?!))++(?<=\))"
_ANY_TUPLE = rb"(?:" + _PLAIN_TUPLE + rb"|" + _TUPLE + rb")"
_NAME = rb"(?:`(?:[^`]++|``|(?!))*+`|[A-Za-z_][A-Za-z0-9_$]*+)"
_HEAD = (
    rb"(?:INSERT|REPLACE|insert|replace)\s++(?:(?:IGNORE|DELAYED|LOW_PRIORITY|ignore)\s++)?(?:INTO|into)\s++"
    rb"(?P<table>" + _NAME + rb")(?P<qualified>\s*+\.\s*+" + _NAME + rb"|(?!))?+\s*+"
    rb"(?P<columns>\(\s*+" + _NAME + rb"(?:\s*+,\s*+" + _NAME + rb"|(?!))*+\s*+\)\s*+|(?!))?+(?:VALUES|values)" + _SPACE
)

INSERT_HEAD = re.compile(rb"(?s:" + _HEAD + rb")")
#: A whole INSERT of literals, with its semicolon.
INSERT = re.compile(
    rb"(?s:" + _HEAD + rb"(?:" + _ANY_TUPLE + _SPACE + rb"(?:,(?=" + _SPACE + rb"\()" + _SPACE + rb"|(?=;))|(?!))++;)"
)
_ONE_TUPLE = re.compile(rb"(?s:" + _ANY_TUPLE + rb")")
_ONE_VALUE = re.compile(rb"(?s:" + _SPACE + rb"(" + _VALUE + rb")" + _SPACE + rb",?)")
_ONE_NAME = re.compile(rb"(?s:" + _NAME + rb")")


def parse_name(raw: bytes) -> str:
    """Return a name that may stand in backticks."""
    return unquote(raw) if raw.startswith(b"`") else raw.decode("utf-8", "surrogateescape")


def parse_columns(raw: bytes | None) -> tuple[str, ...]:
    """Return the column names in an INSERT's head, none when it has no list."""
    return tuple(parse_name(found[0]) for found in _ONE_NAME.finditer(raw or b""))


def count_tuples(text: bytes, rows_start: int, lines: int) -> int:
    """Count the rows of an INSERT as a dump tool wrote it, `lines` line breaks in all, rows from `rows_start` on.

    Such tools never write a line break into a text. So where there are some, MariaDB's tool put one between every two
    rows; where there are none, every row is looked at.
    """
    breaks = lines - text.count(b"\n", 0, rows_start)
    return breaks + 1 if breaks > 0 else sum(1 for _ in iterate_tuples(text, rows_start, len(text)))


def iterate_tuples(text: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield each row of an INSERT, brackets included."""
    while True:
        found = _ONE_TUPLE.search(text, start, end)
        if found is None:
            return
        yield found[0]
        start = found.end()


def parse_tuple(raw: bytes) -> tuple[str | None, ...]:
    """Return a row's values as text: NULL is None, binary stays hexadecimal."""
    return tuple(_parse_value(found[1]) for found in _ONE_VALUE.finditer(raw, 1, len(raw) - 1))


def _parse_value(raw: bytes) -> str | None:
    if raw.upper() == b"NULL":
        return None
    text = re.sub(rb"^_[a-z0-9]+\s?(?=['\"0])", b"", raw)
    if text[:1] in b"'\"":
        return unquote(text)
    return text.decode("utf-8", "surrogateescape")
