"""Named SQL of this folder, and names and texts quoted for SQL that cannot take binds."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from dbtui.adapters.queries import query

if TYPE_CHECKING:
    from dbtui.model.backups import TableName

_BIND = re.compile(r"(?<![:\w]):([a-z_]\w*)")


@cache
def statement(name: str, version_number: int) -> str:
    """Return the SQL called `name` for a server, with psycopg2's binds in place of `:name`."""
    version = (version_number // 10000, version_number % 10000)
    return _BIND.sub(r"%(\1)s", query(__package__, name, version).replace("%", "%%"))


def quote_name(name: str) -> str:
    """Return an identifier as SQL text, always quoted."""
    return '"' + name.replace('"', '""') + '"'


def quote_visible_name(name: str) -> str:
    r"""Return an identifier as SQL text that is safe to print: control characters as `U&"\001B"` has them."""
    if name.isprintable():
        return quote_name(name)
    signs = (each if each.isprintable() and each not in "\\" else f"\\+{ord(each):06X}" for each in name)
    return "U&" + quote_name("".join(signs))


def quote_table(table: TableName) -> str:
    """Return a table as SQL text: `"schema"."name"`."""
    return f"{quote_name(table.schema)}.{quote_name(table.name)}"


def quote_text(text: str) -> str:
    """Return a string literal, safe whatever standard_conforming_strings is."""
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f" E{quoted}" if "\\" in text else quoted
