"""Table patterns as an operator types them: `schema.table` or `table`, `*` and `?`, and "quoted" exact names."""

import re
from collections.abc import Iterable

from dbtui.model.backups import TableName

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(.)', re.DOTALL)


def matching_tables(pattern: str, tables: Iterable[TableName]) -> frozenset[TableName]:
    """Return the tables that a pattern names. Without a schema it means the table in any schema.

    A part without quotes matches as it is typed and, as the server folds it, in lower case.
    """
    parts = _parts(pattern)
    whole = re.compile(_part(pattern), re.DOTALL)
    found = []
    for table in tables:
        texts = (table.schema, table.name) if len(parts) == 2 else (table.name,)
        if (
            len(parts) <= 2
            and all(re.fullmatch(part, text, re.DOTALL) for part, text in zip(parts, texts, strict=True))
        ) or whole.fullmatch(str(table)):
            found.append(table)
    return frozenset(found)


def _parts(pattern: str) -> list[str]:
    """Split at the dots outside quotes; each part as a regular expression."""
    texts = [""]
    for found in _TOKEN.finditer(pattern):
        if found[2] == ".":
            texts.append("")
        else:
            texts[-1] += found[0]
    return [_part(text) for text in texts]


def _part(text: str) -> str:
    exact, folded = "", ""
    for found in _TOKEN.finditer(text):
        if found[1] is not None:
            piece = re.escape(found[1].replace('""', '"'))
            exact, folded = exact + piece, folded + piece
        else:
            sign = {"*": ".*", "?": "."}.get(found[2])
            exact += sign or re.escape(found[2])
            folded += sign or re.escape(found[2].lower())
    return f"(?:{exact}|{folded})"
