"""How a table is named, and how an operator types that."""

import re
from dataclasses import dataclass

from dbtui.errors import UsageError
from dbtui.model.text import format_untrusted

_QUOTED = r'"(?:[^"]|"")+"|`(?:[^`]|``)+`'
_TYPED = re.compile(
    rf'(?P<schema>{_QUOTED}|[^."`][^.]*)\.(?P<name>{_QUOTED}|[^."`].*)|(?P<alone>{_QUOTED}|[^."`][^.]*)', re.DOTALL
)


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table by schema and name. MySQL's schema is its database, SQLite's is `main`."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


def parse_table_name(text: str) -> TableName:
    """Return the table that `schema.table` or `table` names; of the latter the schema is empty. Raises UsageError.

    A part with a dot in it stands in double quotes or backticks. Letters are taken as they are typed.
    """
    found = _TYPED.fullmatch(text)
    if found is None or "\0" in text:
        shown = format_untrusted(text, 80)
        raise UsageError(f"“{shown}” is no table's name", 'write schema.table, or "my.schema"."my.table"')
    return TableName(_unquote(found["schema"] or ""), _unquote(found["name"] or found["alone"]))


def _unquote(part: str) -> str:
    sign = part[:1]
    return part[1:-1].replace(sign * 2, sign) if sign in ('"', "`") and sign else part
