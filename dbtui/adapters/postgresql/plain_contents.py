"""What a plain dump holds, told from its index: contents, definitions, first rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.copy_text import cut_cell, sample_of_chunks
from dbtui.adapters.postgresql.objects import DumpedObject, Name
from dbtui.adapters.postgresql.plain import PlainIndex, PlainItem, TableRows, collect_index, insert_rows
from dbtui.adapters.postgresql.sql_lexer import Lexer
from dbtui.adapters.postgresql.sql_tokens import head_words
from dbtui.adapters.streams import CHUNK_BYTES, open_raw, storage_errors
from dbtui.errors import DamagedBackupError, UsageError
from dbtui.model.backups import (
    BackupContents,
    BackupTable,
    CompressionKind,
    DumpObject,
    StoredBackup,
    TableName,
    TableSample,
)
from dbtui.model.connections import EngineName

_NOT_LISTED = frozenset(
    {"SETTING", "ACL", "DEFAULT ACL", "TABLE DATA", "TABLE ATTACH", "SEQUENCE SET", "STATISTICS DATA"}
)


def plain_contents(backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
    """Return what a plain dump holds. Raises DamagedBackupError when it is no dump of PostgreSQL at all."""
    index = collect_index(backup, cancellation)
    if index.problems and not index.items:
        raise DamagedBackupError(index.problems[0], "choose another file")
    created = [item for item in index.items if _creates(item)]
    objects = [item.object for item in created if item.object.kind not in ("TABLE", "SCHEMA", "EXTENSION")]
    large = [item.object for item in index.items if item.object.kind in ("BLOBS", "MATERIALIZED VIEW DATA")][:1]
    return BackupContents(
        engine=EngineName.POSTGRESQL,
        database=backup.manifest.database if backup.manifest else "",
        server_version=index.server_version,
        tool_version=index.tool_version,
        schemas=tuple(
            sorted({index.text_of(item.object.schema) for item in created if item.object.schema} | _schemas(index))
        ),
        tables=_tables(index, created),
        objects=tuple(
            DumpObject(found.kind.lower(), index.text_of(found.schema), index.text_of(found.name))
            for found in objects + [found for found in large if found.kind == "BLOBS"]
        ),
        extensions=tuple(sorted(_names_of(index, "EXTENSION"))),
        roles=tuple(sorted({index.text_of(role) for item in index.items for role in item.object.roles})),
        warnings=(*index.problems, *index.left_out, *index.describe_risks(Path(backup.data_path).name)),
    )


def _creates(item: PlainItem) -> bool:
    return item.object.kind not in _NOT_LISTED and (
        head_words(item.statement.text, 1) == ("CREATE",) or item.object.kind.endswith("CONSTRAINT")
    )


def _schemas(index: PlainIndex) -> set[str]:
    return set(_names_of(index, "SCHEMA"))


def _names_of(index: PlainIndex, kind: str) -> set[str]:
    found = (item for item in index.items if item.object.kind == kind and _creates(item))
    return {index.text_of(item.object.name) for item in found}


def _tables(index: PlainIndex, created: list[PlainItem]) -> tuple[BackupTable, ...]:
    names = dict.fromkeys(item.object.key for item in created if item.object.kind == "TABLE")
    names.update(dict.fromkeys(index.data))  # a dump of data alone creates no table
    tables = [_table(index, name, index.data.get(name)) for name in names]
    return tuple(sorted(tables, key=lambda table: (table.schema, table.name)))


def _table(index: PlainIndex, name: Name, data: TableRows | None) -> BackupTable:
    schema, table = index.text_of(name[0]), index.text_of(name[1])
    if data is None:
        return BackupTable(schema, table)
    return BackupTable(schema, table, data.rows, "exact", data.bytes)


def plain_definition(backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
    """Return the SQL about a table, in the dump's order. Raises UsageError when the dump does not hold it."""
    index = collect_index(backup, cancellation)
    key = _key(index, table)
    indexes = {item.object.key for item in index.items if item.object.kind == "INDEX" and item.object.table == key}
    parts = [index.text_of(item.statement.text) + ";" for item in index.items if _is_about(item.object, key, indexes)]
    if not parts:
        raise UsageError(f"the backup holds no table {table}", "see the contents for its tables")
    return "\n\n".join(parts) + "\n"


def _is_about(found: DumpedObject, table: Name, indexes: set[Name]) -> bool:
    if found.kind == "TABLE DATA":
        return False
    if found.kind == "FK CONSTRAINT":
        return found.table == table
    if found.kind in ("TABLE", "FOREIGN TABLE", "COMMENT ON TABLE"):
        return found.key == table
    return table in (found.table, found.partner) or (found.kind == "COMMENT ON INDEX" and found.key in indexes)


def _key(index: PlainIndex, table: TableName) -> Name:
    return (table.schema.encode(index.encoding, "replace"), table.name.encode(index.encoding, "replace"))


def plain_sample(backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation) -> TableSample:
    """Return a table's first rows. Raises UsageError when the dump does not hold it."""
    index = collect_index(backup, cancellation)
    data = index.data.get(_key(index, table))
    if data is None:
        if any(item.object.kind == "TABLE" and item.object.key == _key(index, table) for item in index.items):
            return TableSample((), ())
        raise UsageError(f"the backup holds no table {table}", "see the contents for its tables")
    columns = tuple(index.text_of(column) for column in data.columns)
    path = Path(backup.data_path)
    with open_raw(path, backup.compression) as stream, storage_errors(path):
        _go_to(stream, data.offset, backup.compression.kind, cancellation)
        if data.is_copy:
            return sample_of_chunks(_chunks_until(stream, data), columns, limit, index.encoding)
        return _sample_of_inserts(Lexer(stream, path.name), columns, limit, data)


def _go_to(stream: BinaryIO, offset: int, kind: CompressionKind, cancellation: Cancellation) -> None:
    if kind is CompressionKind.NONE:
        stream.seek(offset)
        return
    while offset > 0 and (chunk := stream.read(min(offset, CHUNK_BYTES))):
        cancellation.check()
        offset -= len(chunk)


def _chunks_until(stream: BinaryIO, data: TableRows) -> Iterator[bytes]:
    left = data.bytes
    while left > 0 and (chunk := stream.read(min(left, 1 << 16))):
        left -= len(chunk)
        yield chunk


def _sample_of_inserts(lexer: Lexer, columns: tuple[str, ...], limit: int, data: TableRows) -> TableSample:
    rows: list[tuple[str | None, ...]] = []
    for statement in lexer:
        if statement.text[:6].upper() != b"INSERT" or len(rows) >= min(limit, data.rows):
            break
        rows += insert_rows(statement.text)
    names = columns or tuple(f"column {number}" for number in range(1, len(rows[0]) + 1 if rows else 1))
    kept = [tuple(None if value is None else cut_cell(value) for value in row) for row in rows[:limit]]
    return TableSample(names, tuple(kept), more=data.rows > len(kept))
