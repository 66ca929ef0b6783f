"""A statement as one line of JSON, without secrets: the values of parameters are digests unless somebody wants them."""

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from dbtui.model.queries import StatementEvent
from dbtui.model.text import mask_passwords

#: What becomes of the values of parameters. "digests": the same value has the same digest within one process, and
#: nobody can tell the value from it. "values": as they are, cut short.
Params = Literal["none", "digests", "values"]

LONGEST_SQL = 64_000  # characters
_KNOWN = (str, int, float, Decimal, datetime, date, time, timedelta, UUID)
_LONGEST_VALUE = 64  # characters
_MOST_VALUES = 100
_MOST_REMEMBERED = 2_000
_MASK = "***"

_SECRET = re.compile(r"(?i)passw|secret|identified|credential|api_?key|token|crypt")
#: From the first quote to the last: what a backslash does in between depends on the server's settings.
_QUOTED = re.compile(r"'.*'|'.*$|\$(\w*)\$.*\$\1\$", re.DOTALL)
#: In double quotes stands a name, unless MySQL is told a password.
_DOUBLE_QUOTED = re.compile(r"(?i)(\b(?:passw\w*|identified|secret|by|as)\b[\s=(]*)\".*?(?:\"|$)", re.DOTALL)


class _Escaped(dict[str, str]):
    """Texts as JSON, each made once: an application has few statements and runs them often."""

    def __init__(self, escape: Callable[[str], str]) -> None:
        super().__init__()
        self._escape = escape

    def __missing__(self, text: str) -> str:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        made = self[text] = self._escape(text)
        return made


def mask_sql(sql: str) -> str:
    """Return a statement with the strings in it as `***` where it speaks of passwords or the like."""
    if not _SECRET.search(sql):
        return sql
    masked = _DOUBLE_QUOTED.sub(rf'\1"{_MASK}"', _QUOTED.sub(f"'{_MASK}'", sql))
    return mask_passwords(masked) if "://" in masked else masked


class LineFormat:
    """Writes statements as lines. One for each trace: it remembers texts, and has a key of its own for digests."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._sql = _Escaped(_format_sql)
        self._texts = _Escaped(json.dumps)
        self._key = os.urandom(16)

    def format_statement(self, seen: StatementEvent) -> str:
        """Return the line, with its end."""
        texts = self._texts
        line = f'{{"session":{texts[seen.session]},"seq":{seen.seq},"ts":{seen.ts or 0.0:.6f}'
        line += f',"duration_ms":{seen.duration_ms or 0.0:.3f},{self._sql[seen.sql]}'
        if seen.rows is not None:
            line += f',"rows":{seen.rows}'
        params = self.read_params(seen)
        if params is not None:
            line += f',"params":{json.dumps(params)}'
        line += f',"scope":{json.dumps(seen.scope or seen.transaction)},"transaction":"{seen.transaction}"'
        for key, text in (
            ("call_site", seen.call_site),
            ("relationship", seen.relationship),
            ("load", seen.load),
            ("database", seen.database),
        ):
            if text:
                line += f',"{key}":{texts[text]}'
        return line + "}\n"

    def format_lost(self, count: int, ts: float) -> str:
        """Return the line that tells how many statements ran and were not written before it."""
        return f'{{"session":"","seq":0,"sql":"","lost":{count},"ts":{ts:.6f}}}\n'

    def clean(self, seen: StatementEvent) -> StatementEvent:
        """Return the event as others may see it: with the same cuts and masks as in a line."""
        return seen._replace(
            sql=mask_sql(seen.sql[:LONGEST_SQL]),
            is_truncated=len(seen.sql) > LONGEST_SQL,
            params=None if (params := self.read_params(seen)) is None else tuple(params),
        )

    def read_params(self, seen: StatementEvent) -> list[object] | None:
        """Return the parameters as they are written, None when they are not."""
        given: Any = seen.params
        if self._params == "none" or given is None:
            return None
        if isinstance(given, Mapping):
            items = list(given.items())[:_MOST_VALUES]
        elif isinstance(given, Sequence) and not isinstance(given, str | bytes):
            items = [("", value) for value in given[:_MOST_VALUES]]
        else:
            return None
        if self._params == "digests":
            return [_digest(value, self._key) for _, value in items]
        is_secret = bool(_SECRET.search(seen.sql))
        return [_MASK if is_secret or _SECRET.search(str(name)) else _cut(value) for name, value in items]


def _format_sql(sql: str) -> str:
    if len(sql) <= LONGEST_SQL:
        return f'"sql":{json.dumps(mask_sql(sql))}'
    return f'"sql":{json.dumps(mask_sql(sql[:LONGEST_SQL]))},"is_truncated":true'


def _digest(value: object, key: bytes) -> str | None:
    plain = value if isinstance(value, bytes) else (_text_of(value) or "").encode(errors="surrogatepass")
    if not plain and value not in ("", b""):
        return None
    return "#" + hashlib.blake2b(plain, key=key, digest_size=5).hexdigest()


def _cut(value: object) -> object:
    """Return a value as JSON can hold it, no longer than a line bears."""
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    text = _text_of(value)
    if text is None:
        return f"<{type(value).__name__}>"
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _text_of(value: object) -> str | None:
    """Return a value's text, None for a class that is not known: nobody knows what its `str` does."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text_of(each) or '…' for each in value[:_MOST_VALUES])}]"
    return str(value) if isinstance(value, _KNOWN) else None
