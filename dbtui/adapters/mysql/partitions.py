"""Partitioned tables of a MySQL or MariaDB server, from information_schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby

from dbtui.adapters.adapter import PartitionExecutor, Target, narrow
from dbtui.adapters.mysql.bounds import KeyForm, parse_bounds, parse_key
from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.names import quote_name, quote_table
from dbtui.adapters.mysql.partition_sql import describe_step, rest_of
from dbtui.adapters.mysql.privileges import has_roles, lacks, privileges_on
from dbtui.adapters.mysql.session_text import decode_text
from dbtui.adapters.partition_marks import parse_mark
from dbtui.adapters.partition_past import has_past
from dbtui.errors import ServerError, UsageError
from dbtui.model.backups import TableName
from dbtui.model.connections import EngineName
from dbtui.model.partitions import (
    Bound,
    DetachedPartition,
    HashBound,
    KeyKind,
    LockPatience,
    Partition,
    PartitionedTable,
    PartitionStep,
    PartitionStrategy,
    UnreadBound,
)

#: Rows of the last partition are counted so far: more is too many in any case.
MOST_COUNTED = 100_000
NEEDED = ("ALTER", "CREATE", "DROP", "INSERT", "LOCK TABLES")
_REFUSED = ("1044", "1142", "1143", "1205", "1969", "3024")
_KINDS = {
    "date": KeyKind.DATE, "datetime": KeyKind.TIMESTAMP, "timestamp": KeyKind.TIMESTAMPTZ,
    "tinyint": KeyKind.INTEGER, "smallint": KeyKind.INTEGER, "mediumint": KeyKind.INTEGER, "int": KeyKind.INTEGER,
    "bigint": KeyKind.INTEGER, "decimal": KeyKind.NUMERIC, "char": KeyKind.TEXT, "varchar": KeyKind.TEXT,
}  # fmt: skip
_SHOWN = re.compile(r"VALUES (?:IN|LESS THAN) \((.*)\)", re.DOTALL)
_TIMES = (KeyKind.DATE, KeyKind.TIMESTAMP, KeyKind.TIMESTAMPTZ)


class MysqlPartitions:
    """See `dbtui.adapters.adapter.PartitionAdapter`."""

    def collect_partitioned_tables(self, target: Target) -> tuple[PartitionedTable, ...]:
        """Ask for every partitioned table of the database, or of all of them where the profile names none."""
        used = narrow(target, MysqlTarget)
        return tuple(_collect_described(used, used.database, ""))

    def collect_partitioned_table(self, target: Target, table: TableName) -> PartitionedTable:
        """Ask for one, whole. Raises UsageError."""
        return collect_partitioned_table(narrow(target, MysqlTarget), table)

    def collect_exact_sizes(
        self, target: Target, table: TableName, partitions: Sequence[Partition]
    ) -> Mapping[TableName, int]:
        """Return the pages of some partitions, as InnoDB counts them now."""
        asked = {each.table for each in partitions}
        rows = narrow(target, MysqlTarget).collect(
            "collect_partitions", table_schema=table.schema, table_name=table.name
        )
        sizes: dict[TableName, int] = {}
        for row in rows:
            name = TableName(table.schema, decode_text(row["partition_name"]))
            if name in asked:
                sizes[name] = sizes.get(name, 0) + int(row["bytes"] or 0)
        return sizes

    def count_conflicts(self, target: Target, table: PartitionedTable, step: PartitionStep) -> int:
        """Count the rows that a split of the last partition copies: all of it."""
        if step.bound is None:
            return 0
        return _count_tail(narrow(target, MysqlTarget), table) or 0

    def collect_prunes(self, target: Target, table: PartitionedTable) -> bool | None:
        """Whether a question about the last hour leaves partitions out, by its plan alone."""
        if len(table.key_kinds) != 1 or table.key_kinds[0] not in _TIMES or len(table.partitions) < 2:
            return None
        if not has_past(
            table.partitions[1:], table.taken_at
        ):  # rows whose key is no date are in the first, which is read
            return None
        used = narrow(target, MysqlTarget)
        words = "EXPLAIN PARTITIONS" if used.is_mariadb else "EXPLAIN"
        parent, key = quote_table(table.table), quote_name(table.key_columns[0])
        sql = f"{words} SELECT 1 FROM {parent} WHERE {key} >= NOW() - INTERVAL 1 HOUR"  # noqa: S608 - quoted
        read = {name.split("_")[0] for row in used.rows(sql) for name in str(row.get("partitions") or "").split(",")}
        return len(read) < len(table.partitions)

    def describe_step(self, table: PartitionedTable, step: PartitionStep) -> PartitionStep:
        """Return the step with its SQL and locks."""
        return describe_step(table, step)

    def open_executor(
        self, target: Target, table: PartitionedTable, patience: LockPatience
    ) -> AbstractContextManager[PartitionExecutor]:
        """Take the table's lock by name for a block."""
        from dbtui.adapters.mysql.partition_executor import open_executor

        return open_executor(narrow(target, MysqlTarget), table, patience)


PARTITIONS = MysqlPartitions()


def collect_partitioned_table(target: MysqlTarget, table: TableName) -> PartitionedTable:
    """Ask for one, with what planning needs. Raises UsageError: it is not there, or not partitioned."""
    schema = table.schema or target.database
    if not schema:
        raise UsageError(f"which database {table.name} is in is not said", "name it: database.table")
    found = next(_collect_described(target, schema, table.name), None)
    if found is not None:
        return _complete(target, found)
    if target.collect("look_at_table", table_schema=schema, table_name=table.name):
        raise UsageError(f"{schema}.{table.name} is not partitioned", "name one that was made with PARTITION BY")
    raise UsageError(f"there is no table {schema}.{table.name} here", "correct its name")


def _collect_described(target: MysqlTarget, schema: str, name: str) -> Iterator[PartitionedTable]:
    target.rows("SET SESSION sql_mode = ''")  # keys are written for the session that asks: names in backticks
    session = target.collect_one("collect_partition_session")
    rows = target.collect("collect_partitions", table_schema=schema, table_name=name)
    grants = target.collect_grants()
    marked = target.collect("collect_detached_partitions", table_schema=schema)
    for (found_schema, found_name), group in groupby(rows, key=_table_of):
        table = TableName(found_schema, found_name)
        yield _describe(target, table, list(group), session, grants, marked)


def _table_of(row: Row) -> tuple[str, str]:
    return decode_text(row["table_schema"]), decode_text(row["table_name"])


def _describe(
    target: MysqlTarget, table: TableName, rows: list[Row], session: Row, grants: Sequence[str], marked: list[Row]
) -> PartitionedTable:
    method, expression = str(rows[0]["method"]), decode_text(rows[0]["expression"]) or ""
    strategy = _strategy(method)
    form, columns = parse_key(expression)
    kinds = tuple(_collect_kinds(target, table, columns))
    zone = decode_text(session["time_zone"])
    made = PartitionedTable(
        table=table,
        engine=EngineName.MYSQL,
        taken_at=datetime.fromtimestamp(float(session["seconds"]), UTC),
        server_version_number=target.info.version_number,
        flavour=target.info.flavour,
        strategy=strategy,
        key_columns=columns,
        key_kinds=kinds,
        key_text=f"{method} ({expression})",
        is_owner=target.info.is_superuser or _may_change(grants, table),
        is_replica=target.info.role == "replica",
        is_pooled=is_pooled(target),
        session_time_zone="UTC" if zone in ("+00:00", "UTC") else zone,
    )
    reader = _BoundReader(strategy, form, kinds)
    return replace(
        made,
        partitions=tuple(_partitions(rows, table.schema, reader)),
        detached=tuple(_detached(marked, table, reader)),
    )


@dataclass(frozen=True, slots=True)
class _BoundReader:
    """Reads the bounds of one table."""

    strategy: PartitionStrategy
    form: KeyForm
    kinds: tuple[KeyKind, ...]

    def read(self, texts: Sequence[str | None]) -> tuple[Bound, ...]:
        """Return the bounds of descriptions in the table's order."""
        if self.strategy is PartitionStrategy.HASH:
            return tuple(HashBound(len(texts), number) for number in range(len(texts)))
        return parse_bounds(texts, self.strategy, self.form, self.kinds)

    def show(self, text: str | None) -> str:
        """Return a description as CREATE TABLE has it."""
        if self.strategy is PartitionStrategy.HASH or text is None:
            return ""
        return f"VALUES {'IN' if self.strategy is PartitionStrategy.LIST else 'LESS THAN'} ({text})"

    def read_shown(self, shown: str) -> Bound:
        """Return the bound of one description by itself: where it began is not known any more."""
        found = _SHOWN.fullmatch(shown)
        return self.read([found[1]])[0] if found else UnreadBound()


def _partitions(rows: Sequence[Row], schema: str, reader: _BoundReader) -> Iterator[Partition]:
    """Rows of sub-partitions are added up: those are not looked after by themselves."""
    names = [(name, list(group)) for name, group in groupby(rows, key=lambda row: decode_text(row["partition_name"]))]
    texts = [_text(group[0]["description"]) for _, group in names]
    for (name, group), text, bound in zip(names, texts, reader.read(texts), strict=True):
        yield Partition(
            table=TableName(schema, name),
            bound=bound,
            bound_text=reader.show(text),
            rows_estimate=sum(int(row["estimate"] or 0) for row in group),
            bytes_estimate=sum(int(row["bytes"] or 0) for row in group),
            strategy=PartitionStrategy.HASH if group[0]["subpartition_name"] is not None else None,
        )


def _text(value: object) -> str | None:
    return None if value is None else decode_text(value)


def _detached(rows: Iterable[Row], parent: TableName, reader: _BoundReader) -> Iterator[DetachedPartition]:
    for row in rows:
        mark = parse_mark(decode_text(row["comment"]))
        if mark is not None and mark.parent == parent:
            yield DetachedPartition(
                table=TableName(decode_text(row["table_schema"]), decode_text(row["table_name"])),
                parent=parent,
                bound_text=mark.bound_text,
                bound=reader.read_shown(mark.bound_text),
                detached_at=mark.detached_at,
                archive=mark.archive,
                rows_estimate=None if row["estimate"] is None else int(row["estimate"]),
            )


def _complete(target: MysqlTarget, table: PartitionedTable) -> PartitionedTable:
    """Add what only a plan needs."""
    gaps: list[str] = []
    rows = newest = None
    try:
        rows = _count_tail(target, table)
        newest = _collect_newest(target, table)
    except ServerError as error:
        if error.code not in _REFUSED:
            raise
        gaps.append(f"rows of {table.table} cannot be counted: {error.message}")
    own = {f"{table.table.name}_{each.table.name}".lower() for each in table.partitions}
    names = [
        decode_text(row["table_name"])
        for row in target.collect("collect_names_taken", table_schema=table.table.schema)
        # An empty copy of the table is what a run that was killed has left: the next one takes it.
        if not (row["is_unfinished"] and decode_text(row["table_name"]).lower() in own)
    ]
    return replace(table, default_rows=rows, newest_value=newest, names_taken=tuple(names), gaps=tuple(gaps))


def _count_tail(target: MysqlTarget, table: PartitionedTable) -> int | None:
    """Count the rows of the last partition or the default, as far as MOST_COUNTED."""
    tail = rest_of(table)
    if tail is None:
        return None
    part = f"{quote_table(table.table)} PARTITION ({quote_name(tail.table.name)})"
    sql = f"SELECT COUNT(*) AS count FROM (SELECT 1 FROM {part} LIMIT {MOST_COUNTED}) counted"  # noqa: S608 - quoted
    return int(target.rows(sql)[0]["count"])


def _collect_newest(target: MysqlTarget, table: PartitionedTable) -> int | None:
    """Return the highest value of a key of whole numbers: from the last partition that holds a row."""
    if table.strategy is not PartitionStrategy.RANGE or table.key_kinds != (KeyKind.INTEGER,):
        return None
    for each in reversed(table.partitions):
        part = f"{quote_table(table.table)} PARTITION ({quote_name(each.table.name)})"
        newest = target.rows(f"SELECT MAX({quote_name(table.key_columns[0])}) AS newest FROM {part}")[0]["newest"]  # noqa: S608
        if newest is not None:
            return int(newest)
    return None


def _strategy(method: str) -> PartitionStrategy:
    if method.startswith(("RANGE", "SYSTEM_TIME")):
        return PartitionStrategy.RANGE
    return PartitionStrategy.LIST if method.startswith("LIST") else PartitionStrategy.HASH


def is_pooled(target: MysqlTarget) -> bool:
    """Whether a proxy answers: it has a session number of its own."""
    rows = target.rows("SELECT CONNECTION_ID() AS id")
    return int(rows[0]["id"]) != target.own_number


def _collect_kinds(target: MysqlTarget, table: TableName, columns: Sequence[str]) -> Iterator[KeyKind]:
    types = {
        decode_text(row["column_name"]).lower(): str(row["data_type"]).lower()
        for row in target.collect("collect_column_types", table_schema=table.schema, table_name=table.name)
    }
    for column in columns:
        yield _KINDS.get(types.get(column.lower(), ""), KeyKind.OTHER)


def _may_change(grants: Sequence[str], table: TableName) -> bool:
    """Whether SHOW GRANTS lets this login change the table; a grant on the table itself or a role may."""
    held = privileges_on(grants, table.schema)
    if not any(lacks(held, privilege) for privilege in NEEDED) or has_roles(grants):
        return True
    return any(f".{quote_name(table.name)} TO" in grant for grant in grants)
