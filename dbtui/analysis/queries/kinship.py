"""Whether the names of two shapes say that one looks up what the other returned."""

import re
from functools import lru_cache

from dbtui.analysis.queries.python_names import bare_name, is_same_table, points_to, stem_of
from dbtui.model.queries import Lookup, Shape

_WORD = re.compile(r"[^\W\d]\w*")


@lru_cache(maxsize=4096)
def explain_kinship(child: Shape, parent: Shape) -> str:
    """Return a clause that says why a look-up belongs to a parent's rows; "" when the names say nothing."""
    for lookup in child.lookups:
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
    if any(is_same_table(table, each) for each in parent.tables) and not stem_of(lookup.column):
        return f"it reads rows of {table} again, one by one"
    columns = dict.fromkeys(_WORD.findall(parent.text))
    if lookup.column.lower() not in ("id", "uuid", "pk") and not points_to(lookup.column, table):
        if lookup.column in columns and stem_of(lookup.column):
            return f"the statement before it returns {lookup.column}"
        return ""
    for column in columns:
        if stem_of(column) and points_to(column, table):
            return f"the statement before it returns {column}, a key to {bare_name(table)}"
    return ""


def _shown(lookup: Lookup) -> str:
    return f"{bare_name(lookup.table)}.{lookup.column}" if lookup.table else lookup.column
