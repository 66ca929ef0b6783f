"""A shape with what the detector asks of it in every statement, worked out once."""

from enum import IntFlag

from dbtui.analysis.queries.shapes import is_key_column
from dbtui.model.queries import Shape, ShapeKind


class Role(IntFlag):
    """What part a statement can take in a pattern."""

    NONE = 0
    CHILD = 1  # may be run once for each row of another
    PARENT = 2  # may return the rows that are gone through
    DOUBTFUL_PARENT = 4  # the same, when its rows or names say so: by a key, with a join
    WRITE = 8
    BOUNDARY = 16  # of a transaction
    END = 32
    RESET = 64
    READ = 128  # reads a table
    COUNTED = 256  # worth a look when it is repeated


_COUNTED = {ShapeKind.WRITE, ShapeKind.BATCH, ShapeKind.CURSOR, ShapeKind.LOCKING, ShapeKind.SET}
_READS = {
    ShapeKind.LOOKUP, ShapeKind.BATCH, ShapeKind.AGGREGATE, ShapeKind.SET, ShapeKind.RANGE, ShapeKind.LOCKING,
    ShapeKind.UNREADABLE,
}  # fmt: skip


class Form:
    """One shape. Compared by identity, which is what makes counting cheap."""

    __slots__ = ("has_many_values", "role", "shape")

    def __init__(self, shape: Shape, *, has_many_values: bool = False) -> None:
        self.shape = shape
        self.role = role_of(shape)
        self.has_many_values = has_many_values  # more than one value in the text: which of them varies is to be seen


def role_of(shape: Shape) -> Role:
    """Return the parts that statements of a shape can take."""
    kind = shape.kind
    role = Role.READ if kind in _READS else Role.NONE
    if kind in (ShapeKind.LOOKUP, ShapeKind.AGGREGATE) or (kind is ShapeKind.RANGE and shape.lookups):
        role |= Role.CHILD | Role.COUNTED
    if kind in _COUNTED:
        role |= Role.COUNTED
    if kind is ShapeKind.WRITE:
        role |= Role.WRITE
    elif kind is ShapeKind.BEGIN:
        role |= Role.BOUNDARY
    elif kind is ShapeKind.END:
        role |= Role.BOUNDARY | Role.END
    elif kind is ShapeKind.RESET:
        role |= Role.RESET
    return role | _parenthood(shape)


def _parenthood(shape: Shape) -> Role:
    """Whether rows of a shape can be gone through."""
    kind = shape.kind
    if shape.has_limit_one or kind is ShapeKind.AGGREGATE or not (shape.tables or kind is ShapeKind.UNREADABLE):
        return Role.NONE
    if kind in (ShapeKind.SET, ShapeKind.BATCH, ShapeKind.RANGE) or (kind is ShapeKind.CURSOR and shape.tables):
        return Role.PARENT
    if kind in (ShapeKind.LOOKUP, ShapeKind.LOCKING):
        if not is_by_key(shape):
            return Role.PARENT
        return Role.DOUBTFUL_PARENT
    return Role.DOUBTFUL_PARENT if kind is ShapeKind.UNREADABLE else Role.NONE


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


def looks_up_key(shape: Shape) -> bool:
    """Whether one of the looked-up columns is named as keys are, or is written value first."""
    return any(lookup.is_value_first or is_key_column(lookup.column) for lookup in shape.lookups)
