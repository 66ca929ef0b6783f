"""Rows of COPY's text format, as a dump holds them.

Source: PostgreSQL manual, COPY, "Text Format".
"""

import re
from collections.abc import Iterable

from dbtui.model.backups import TableSample

_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
#: A value longer than this is shown cut; a sample never reads more than this of a table.
LONGEST_CELL = 4000
SAMPLE_BYTES = 16 << 20


def _unescaped(found: re.Match[bytes]) -> bytes:
    what = found[1]
    if what[:1] == b"x" and len(what) > 1:
        return bytes([int(what[1:], 16)])
    if what[:1].isdigit() and what[0] < 0x38:
        return bytes([int(what, 8) & 0xFF])
    return _LETTERS.get(what, what)


def parse_copy_row(line: bytes, encoding: str = "utf-8") -> tuple[str | None, ...]:
    """Return the values of one line without its newline; a NULL is None."""
    return tuple(_parse_value(field, encoding) for field in line.split(b"\t"))


def _parse_value(field: bytes, encoding: str) -> str | None:
    if field == b"\\N":
        return None
    if b"\\" in field:
        field = _ESCAPE.sub(_unescaped, field)
    return cut_cell(field.decode(encoding, "replace"))


def cut_cell(text: str) -> str:
    """Return a value short enough to be shown."""
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def sample_of_chunks(
    chunks: Iterable[bytes], columns: tuple[str, ...], limit: int, encoding: str = "utf-8"
) -> TableSample:
    """Return the first `limit` rows of a table's COPY data, reading no further than needed."""
    window, rows, taken = b"", 0, 0
    ended = True
    for chunk in chunks:
        window += chunk
        rows += chunk.count(b"\n")
        taken += len(chunk)
        if rows > limit or taken > SAMPLE_BYTES:
            ended = False
            break
    lines = window.split(b"\n")[:-1]
    if b"\\." in lines:  # what follows is not of this block
        del lines[lines.index(b"\\.") :]
        ended = True
    kept = [parse_copy_row(line, encoding) if columns else () for line in lines[:limit]]
    return TableSample(columns, tuple(kept), more=not ended or len(lines) > limit)
