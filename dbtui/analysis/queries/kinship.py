"""Whether the names of two shapes say that one looks up what the other returned."""

import re
from functools import lru_cache

from dbtui.analysis.queries.forms import ASKS_WHETHER
from dbtui.analysis.queries.python_names import bare_name, is_same_table, points_to, stem_of
from dbtui.model.queries import Lookup, Shape, ShapeKind

_WORD = re.compile(r"[^\W\d]\w*")


#: Columns that many tables have, and that say nothing when two statements both name them.
COMMON_COLUMNS = frozenset(
    {"id", "uuid", "pk", "name", "title", "type", "kind", "status", "state", "value", "key", "label", "text", "slug"}
    | {"code", "position", "description", "created_at", "updated_at", "deleted_at", "deleted", "active", "locale"}
    | {"language", "body"}
)
_KEY_COLUMNS = frozenset({"id", "uuid", "pk"})
_KIND_COLUMNS = frozenset({"type", "kind", "status", "state", "deleted", "active", "locale", "language"})


@lru_cache(maxsize=4096)
def explain_kinship(child: Shape, lookups: tuple[Lookup, ...], parent: Shape) -> str:
    """Return a clause that says why a look-up belongs to a parent's rows; "" when the names say nothing."""
    for lookup in lookups:
        if clause := _explain(child, lookup, parent):
            return clause
    return ""


def _explain(child: Shape, lookup: Lookup, parent: Shape) -> str:
    for table in parent.tables:
        if points_to(lookup.column, table):
            return f"{_shown(lookup)} is named as a key to {table}"
    table = lookup.table or (child.tables[0] if len(child.tables) == 1 else "")
    if not table or lookup.is_value_first:
        return ""
    is_again = any(is_same_table(table, each) for each in parent.tables)
    if is_again and not stem_of(lookup.column) and not _says_what_kind(child, lookup):
        return f"it reads rows of {table} again, one by one"
    columns = dict.fromkeys(_WORD.findall(parent.text))
    if lookup.column.lower() not in _KEY_COLUMNS and not points_to(lookup.column, table):
        if lookup.column.lower() in columns and lookup.column.lower() not in COMMON_COLUMNS:
            return f"the statement before it returns {lookup.column}"
        return ""
    for column in columns:
        if stem_of(column) and points_to(column, table):
            return f"the statement before it returns {column}, a key to {bare_name(table)}"
    return ""


def _says_what_kind(child: Shape, lookup: Lookup) -> bool:
    """Whether a column tells kinds of rows, not one row: each state is counted, or listed, once."""
    column = lookup.column.lower()
    if child.kind is ShapeKind.AGGREGATE or ASKS_WHETHER.match(child.text):
        return column not in _KEY_COLUMNS
    return column in _KIND_COLUMNS


def _shown(lookup: Lookup) -> str:
    return f"{bare_name(lookup.table)}.{lookup.column}" if lookup.table else lookup.column
