"""Rows of the catalogue to partitions and their indexes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from dbtui.adapters.partition_marks import parse_mark
from dbtui.adapters.postgresql.bounds import parse_bound
from dbtui.model.backups import TableName
from dbtui.model.partitions import (
    Bound,
    DefaultBound,
    DetachedPartition,
    KeyKind,
    Limit,
    Partition,
    PartitionIndex,
    PartitionStrategy,
    RangeBound,
)

STRATEGIES = {"r": PartitionStrategy.RANGE, "l": PartitionStrategy.LIST, "h": PartitionStrategy.HASH}
_KINDS = {
    "date": KeyKind.DATE,
    "timestamp without time zone": KeyKind.TIMESTAMP,
    "timestamp with time zone": KeyKind.TIMESTAMPTZ,
    "smallint": KeyKind.INTEGER,
    "integer": KeyKind.INTEGER,
    "bigint": KeyKind.INTEGER,
    "numeric": KeyKind.NUMERIC,
    "uuid": KeyKind.UUID,
    "text": KeyKind.TEXT,
    "character": KeyKind.TEXT,
}

_MOST = {"smallint": (1 << 15) - 1, "integer": (1 << 31) - 1, "bigint": (1 << 63) - 1}


def key_kinds(types: Iterable[str], columns: Sequence[object | None]) -> tuple[KeyKind, ...]:
    """Return what each part of a key holds; of an expression, which is no column, we do not know the order."""
    return tuple(
        KeyKind.OTHER if column is None else _KINDS.get(name, KeyKind.OTHER)
        for name, column in zip(types, columns, strict=True)
    )


def key_most(types: Sequence[str]) -> int | None:
    """Return the highest number that a key of one column can hold; None: it is not one of whole numbers."""
    return _MOST.get(types[0]) if len(types) == 1 else None


#: What comes before and after every other value. Texts that are called so are sorted wrongly, and shown rightly.
_PLACES: dict[object, int] = {Limit.LOWEST: -2, "-infinity": -1, "infinity": 1, Limit.HIGHEST: 2}


class PartitionTree:
    """Rows of partitions by their parent."""

    def __init__(self, rows: Iterable[Any], pending: Collection[int]) -> None:
        self._pending = pending
        self._children: defaultdict[int, list[Any]] = defaultdict(list)
        for row in rows:
            self._children[row.parent].append(row)

    def partitions(self, parent: int, kinds: Sequence[KeyKind]) -> tuple[Partition, ...]:
        """Return the partitions of a table in the order of their bounds, the default last; without indexes."""
        made = [self._partition(row, kinds) for row in self._children[parent]]
        return tuple(sorted(made, key=_order))

    def _partition(self, row: Any, kinds: Sequence[KeyKind]) -> Partition:
        own_kinds: tuple[KeyKind, ...] = ()
        if row.strategy is not None:
            numbers = [None if number == "0" else number for number in row.key_numbers.split()]
            own_kinds = key_kinds(row.key_types, numbers)
        bound = row.bound or ""  # a partition that is just being detached has none any more
        return Partition(
            table=TableName(row.schema, row.name),
            bound=parse_bound(bound, kinds),
            bound_text=bound,
            identity=row.identity,
            rows_estimate=row.rows_estimate,
            bytes_estimate=row.bytes_estimate,
            is_detach_pending=row.identity in self._pending,
            is_foreign=row.kind == "f",
            strategy=STRATEGIES[row.strategy] if row.strategy else None,
            partitions=self.partitions(row.identity, own_kinds) if row.strategy else (),
        )


def _order(partition: Partition) -> tuple[int, tuple[tuple[int, Any], ...], str]:
    """Ranges by their lower end, others by their text, the default last."""
    return _rank(partition.bound), _ends(partition.bound), partition.bound_text


def _rank(bound: Bound) -> int:
    return 2 if isinstance(bound, DefaultBound) else 0 if isinstance(bound, RangeBound) else 1


def _ends(bound: Bound) -> tuple[tuple[int, Any], ...]:
    if not isinstance(bound, RangeBound):
        return ()
    return tuple((_PLACES[value], 0) if value in _PLACES else (0, value) for value in bound.lower)


def indexes_by_table(rows: Sequence[Any]) -> dict[int, list[PartitionIndex]]:
    """Return the indexes of each table, by its identity; attached ones take their columns from the parent's."""
    by_identity = {row.identity: row for row in rows}
    found: defaultdict[int, list[PartitionIndex]] = defaultdict(list)
    columns: dict[int, tuple[str, ...]] = {row.identity: tuple(row.columns) for row in rows if row.columns is not None}
    for row in rows:
        parent = by_identity.get(row.parent)
        found[row.table_id].append(
            PartitionIndex(
                name=row.name,
                definition=row.definition or "",
                columns=columns.get(row.identity) or columns.get(row.parent, ()),
                is_unique=row.is_unique,
                is_constraint=row.is_constraint,
                is_valid=row.is_valid,
                parent=parent.name if parent else "",
            )
        )
    return dict(found)


def detached_partitions(
    rows: Iterable[Any], parent: TableName, kinds: Sequence[KeyKind]
) -> tuple[DetachedPartition, ...]:
    """Return the tables that were partitions of `parent`."""
    found = []
    for row in rows:
        mark = parse_mark(row.mark)
        if mark is not None and mark.parent == parent:
            found.append(
                DetachedPartition(
                    table=TableName(row.schema, row.name),
                    parent=parent,
                    bound=parse_bound(mark.bound_text, kinds),
                    bound_text=mark.bound_text,
                    detached_at=mark.detached_at,
                    archive=mark.archive,
                    identity=row.identity,
                    rows_estimate=row.rows_estimate,
                    is_copy=mark.identity not in (0, row.identity),
                )
            )
    return tuple(found)
