"""The tables of a database, how they descend from one another, and which of them a dump takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.patterns import matching_tables
from dbtui.adapters.postgresql.sql import quote_table
from dbtui.errors import ServerError
from dbtui.model.backups import DumpOptions, TableName

_LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """One table as pg_class has it. `is_parent`: partitioned, so its rows are those of its partitions."""

    table_id: int
    table: TableName
    is_parent: bool
    is_unlogged: bool
    size_bytes: int
    rows_estimate: int | None
    can_use_schema: bool
    can_read: bool
    hides_rows: bool

    @property
    def sql(self) -> str:
        """Its quoted name."""
        return quote_table(self.table)


@dataclass(frozen=True)
class Catalogue:
    """Every table that pg_dump would dump, and each child's parents."""

    tables: Mapping[int, CatalogTable]
    parents: Mapping[int, frozenset[int]]

    def choose(self, options: DumpOptions) -> tuple[tuple[CatalogTable, ...], tuple[str, ...]]:
        """Return the tables that `options` asks for, by name, and the patterns that match none.

        A partitioned table stands for its partitions too. What is chosen brings its parents along, without which it
        could not be restored.
        """
        by_name = {each.table: each.table_id for each in self.tables.values()}
        unmatched = []

        def matched(patterns: Iterable[str]) -> set[int]:
            found: set[int] = set()
            for pattern in patterns:
                tables = matching_tables(pattern, by_name)
                found |= {by_name[table] for table in tables}
                if not tables:
                    unmatched.append(pattern)
            return found | self._reach(found, self._children)

        chosen = matched(options.tables) if options.tables else set(self.tables)
        chosen -= matched(options.exclude_tables)
        chosen |= self._reach(chosen, self.parents)
        return self.named(chosen), tuple(unmatched)

    def named(self, table_ids: Iterable[int]) -> tuple[CatalogTable, ...]:
        """Return tables in the order of their names."""
        return tuple(sorted((self.tables[each] for each in table_ids), key=lambda each: each.table))

    def listed(self, chosen: Iterable[CatalogTable]) -> tuple[CatalogTable, ...]:
        """Leave out parents whose partitions are chosen too, so that no row is counted twice."""
        chosen = tuple(chosen)
        with_children = {parent for each in chosen for parent in self.parents.get(each.table_id, ())}
        return tuple(each for each in chosen if not (each.is_parent and each.table_id in with_children))

    @property
    def _children(self) -> Mapping[int, frozenset[int]]:
        turned: dict[int, set[int]] = {}
        for child, parents in self.parents.items():
            for parent in parents:
                turned.setdefault(parent, set()).add(child)
        return {parent: frozenset(children) for parent, children in turned.items()}

    def _reach(self, start: set[int], steps: Mapping[int, frozenset[int]]) -> set[int]:
        reached: set[int] = set()
        waiting = list(start)
        while waiting:
            for step in steps.get(waiting.pop(), frozenset()):
                if step in self.tables and step not in reached:
                    reached.add(step)
                    waiting.append(step)
        return reached


def collect_catalogue(target: PostgresqlTarget, on: Connection | None = None) -> Catalogue:
    """Ask for every table; with estimated sizes where measuring would have to wait for a lock.

    `on` is a session with a snapshot: it is not asked to measure, because its transaction must not fail.
    """
    rows = _collect_rows(target, on)
    parents: dict[int, set[int]] = {}
    for row in target.collect("collect_parents", on):
        parents.setdefault(row.child_id, set()).add(row.parent_id)
    tables = [
        CatalogTable(
            table_id=row.table_id,
            table=TableName(row.schema, row.name),
            is_parent=row.kind == "p",
            is_unlogged=row.is_unlogged,
            size_bytes=row.size_bytes,
            rows_estimate=row.rows_estimate,
            can_use_schema=row.can_use_schema,
            can_read=row.can_read,
            hides_rows=row.hides_rows,
        )
        for row in rows
    ]
    return Catalogue(
        {each.table_id: each for each in tables}, {child: frozenset(each) for child, each in parents.items()}
    )


def _collect_rows(target: PostgresqlTarget, on: Connection | None) -> list[Any]:
    if on is not None:
        return target.collect("collect_tables", on, measure=False)
    try:
        return target.collect("collect_tables", measure=True)
    except ServerError as error:
        if error.code != _LOCK_NOT_AVAILABLE:
            raise
        return target.collect("collect_tables", measure=False)
