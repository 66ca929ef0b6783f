"""Table patterns as an operator types them: `database.table` or `table`, with `*` and `?`."""

import re
from collections.abc import Iterable

from dbtui.model.backups import TableName


def matching_tables(pattern: str, tables: Iterable[TableName]) -> frozenset[TableName]:
    """Return the tables that a pattern names, by name or by database and name; a table called `a.b` too."""
    wanted = re.compile("".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern), re.DOTALL)
    return frozenset(table for table in tables if wanted.fullmatch(table.name) or wanted.fullmatch(str(table)))


def choose_tables(
    tables: Iterable[TableName], included: tuple[str, ...], excluded: tuple[str, ...]
) -> tuple[frozenset[TableName], tuple[str, ...]]:
    """Return the chosen tables, and the patterns that match none."""
    every = frozenset(tables)
    unmatched = [pattern for pattern in (*included, *excluded) if not matching_tables(pattern, every)]
    chosen = frozenset().union(*(matching_tables(pattern, every) for pattern in included)) if included else every
    for pattern in excluded:
        chosen -= matching_tables(pattern, every)
    return chosen, tuple(unmatched)
