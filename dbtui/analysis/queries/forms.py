"""A shape with what the detector asks of it in every statement, worked out once."""

import re

from dbtui.model.queries import Shape, ShapeKind

#: What only asks whether there is a row: `SELECT 1 AS one FROM ...`.
ASKS_WHETHER = re.compile(r"SELECT \?(?: AS \S+)? FROM ")
_COUNTED = frozenset({ShapeKind.WRITE, ShapeKind.BATCH, ShapeKind.CURSOR, ShapeKind.LOCKING, ShapeKind.SET})
_READS = frozenset(
    {ShapeKind.LOOKUP, ShapeKind.BATCH, ShapeKind.AGGREGATE, ShapeKind.SET, ShapeKind.RANGE, ShapeKind.LOCKING}
    | {ShapeKind.UNREADABLE}
)


class Form:
    """One shape, and what part its statements can take in a pattern. Compared by identity: that makes counting cheap.

    `is_child`: may be run once for each row of another. `is_parent`: may return the rows that are gone through;
    `is_doubtful_parent`: the same, if its rows or its names say so. `is_boundary`: of a transaction, `is_end` its end.
    `is_read`: reads a table. `is_counted`: worth a look when it is repeated. `has_many_values`: more than one value is
    in the text, so that it must be seen which of them varies.
    """

    __slots__ = (
        "has_many_values", "is_boundary", "is_child", "is_counted", "is_doubtful_parent", "is_end", "is_parent",
        "is_read", "is_reset", "is_utility", "is_write", "shape",
    )  # fmt: skip

    def __init__(self, shape: Shape, *, has_many_values: bool = False) -> None:
        kind = shape.kind
        self.shape = shape
        self.has_many_values = has_many_values
        self.is_child = kind in (ShapeKind.LOOKUP, ShapeKind.AGGREGATE) or (
            kind is ShapeKind.RANGE and bool(shape.lookups)
        )
        self.is_counted = self.is_child or kind in _COUNTED
        self.is_read = kind in _READS
        self.is_write = kind is ShapeKind.WRITE
        self.is_boundary = kind in (ShapeKind.BEGIN, ShapeKind.END)
        self.is_end = kind is ShapeKind.END
        self.is_utility = kind is ShapeKind.UTILITY
        self.is_reset = kind is ShapeKind.RESET
        self.is_parent, self.is_doubtful_parent = _parenthood(shape)


def _parenthood(shape: Shape) -> tuple[bool, bool]:
    """Whether rows of a shape can be gone through: surely, or perhaps."""
    kind = shape.kind
    if (
        shape.has_limit_one
        or kind is ShapeKind.AGGREGATE
        or ASKS_WHETHER.match(shape.text)
        or not (shape.tables or kind is ShapeKind.UNREADABLE)
    ):
        return False, False
    if kind in (ShapeKind.SET, ShapeKind.BATCH, ShapeKind.RANGE, ShapeKind.CURSOR):
        return True, False
    if kind in (ShapeKind.LOOKUP, ShapeKind.LOCKING):
        by_key = is_by_key(shape)
        return not by_key, by_key
    return False, kind is ShapeKind.UNREADABLE


def is_by_key(shape: Shape) -> bool:
    """Whether a look-up is by what is probably the primary key of the table it reads first."""
    for lookup in shape.lookups:
        if lookup.is_value_first or (lookup.table and shape.tables and lookup.table != shape.tables[0]):
            continue
        lower = lookup.column.lower()
        table = shape.tables[0].rpartition(".")[2].lower() if shape.tables else ""
        if lower in ("id", "pk", "uuid", "guid", "_id", "rowid") or lower in (f"{table}_id", f"{table.rstrip('s')}_id"):
            return True
    return False
