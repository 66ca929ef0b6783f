"""What a dump holds, told from the index of its statements: contents, definitions; and a plain dump's first rows."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.encryption import open_data
from dbtui.adapters.postgresql.copy_text import cut_cell, sample_of_chunks
from dbtui.adapters.postgresql.objects import DumpedObject, Name
from dbtui.adapters.postgresql.plain import PlainIndex, PlainItem, TableRows, collect_index, insert_rows
from dbtui.adapters.postgresql.sql_lexer import Lexer
from dbtui.adapters.postgresql.sql_tokens import head_words, parse_tokens
from dbtui.adapters.postgresql.statements import INSERT_OF_VALUES
from dbtui.adapters.streams import CHUNK_BYTES, storage_errors
from dbtui.errors import DamagedBackupError, UsageError
from dbtui.model.backups import (
    BackupContents,
    BackupTable,
    DumpObject,
    StoredBackup,
    TableName,
    TableSample,
)
from dbtui.model.connections import EngineName

_NOT_LISTED = frozenset(
    [
        "SETTING",
        "BLOBS",
        "LARGE OBJECT",
        "ACL",
        "DEFAULT ACL",
        "TABLE DATA",
        "TABLE ATTACH",
        "SEQUENCE SET",
        "STATISTICS DATA",
    ]
)


def plain_contents(backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
    """Return what a plain dump holds. Raises DamagedBackupError when it is no dump of PostgreSQL at all."""
    index = collect_index(backup, cancellation)
    if index.problems and not index.items:
        raise DamagedBackupError(index.problems[0], "choose another file")
    return contents_of(index, backup)


def contents_of(index: PlainIndex, backup: StoredBackup, database: str = "") -> BackupContents:
    """Return what the indexed statements make."""
    created = [item.object for item in index.items if _creates(item)]
    objects = [found for found in created if found.kind not in ("TABLE", "SCHEMA", "EXTENSION")]
    if any(item.object.kind == "BLOBS" for item in index.items):
        objects.append(DumpedObject("LARGE OBJECTS"))
    schemas = {index.text_of(found.schema) for found in created if found.schema}
    return BackupContents(
        engine=EngineName.POSTGRESQL,
        database=database or (backup.manifest.database if backup.manifest else ""),
        server_version=index.server_version,
        tool_version=index.tool_version,
        schemas=tuple(sorted(schemas | _names_of(index, created, "SCHEMA"))),
        tables=_tables(index, created),
        objects=tuple(
            DumpObject(found.kind.lower(), index.text_of(found.schema), index.text_of(found.name)) for found in objects
        ),
        extensions=tuple(sorted(_names_of(index, created, "EXTENSION"))),
        roles=tuple(sorted({index.text_of(role) for item in index.items for role in item.object.roles})),
        warnings=(*index.problems, *index.left_out, *index.describe_risks(Path(backup.data_path).name)),
    )


def _creates(item: PlainItem) -> bool:
    if item.object.kind in _NOT_LISTED:
        return False
    return item.object.kind.endswith("CONSTRAINT") or head_words(item.statement.text, 1) == ("CREATE",)


def _names_of(index: PlainIndex, created: list[DumpedObject], kind: str) -> set[str]:
    return {index.text_of(found.name) for found in created if found.kind == kind}


def _tables(index: PlainIndex, created: list[DumpedObject]) -> tuple[BackupTable, ...]:
    names = dict.fromkeys(found.key for found in created if found.kind == "TABLE")
    names.update(dict.fromkeys(index.data))  # a dump of data alone creates no table
    tables = [_table(index, name, index.data.get(name)) for name in names]
    return tuple(sorted(tables, key=lambda table: (table.schema, table.name)))


def _table(index: PlainIndex, name: Name, data: TableRows | None) -> BackupTable:
    schema, table = index.text_of(name[0]), index.text_of(name[1])
    if data is None:
        return BackupTable(schema, table)
    return BackupTable(schema, table, data.rows, "estimate" if data.rows is None else "exact", data.bytes)


def plain_definition(backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
    """Return the SQL about a table, in the dump's order. Raises UsageError when the dump does not hold it."""
    return definition_of(collect_index(backup, cancellation), table)


def definition_of(index: PlainIndex, table: TableName) -> str:
    """Return the indexed SQL about a table. Raises UsageError."""
    key = table_key(index, table)
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


def table_key(index: PlainIndex, table: TableName) -> Name:
    """Return a table's name as the dump spells it."""
    return (table.schema.encode(index.encoding, "replace"), table.name.encode(index.encoding, "replace"))


def plain_sample(backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation) -> TableSample:
    """Return a table's first rows. Raises UsageError when the dump does not hold it."""
    index = collect_index(backup, cancellation)
    data = index.data.get(table_key(index, table))
    if data is None:
        if any(item.object.kind == "TABLE" and item.object.key == table_key(index, table) for item in index.items):
            return TableSample((), ())
        raise UsageError(f"the backup holds no table {table}", "see the contents for its tables")
    columns = tuple(index.text_of(column) for column in data.columns)
    path = Path(backup.data_path)
    with open_data(backup) as stream, storage_errors(path):
        _go_to(stream, data.offset, cancellation)
        if data.is_copy:
            return sample_of_chunks(_chunks_until(stream, data), columns, limit, index.encoding)
        return sample_of_inserts(Lexer(stream, path.name), columns or table_columns(index, table), limit)


_NO_COLUMNS = frozenset({b"constraint", b"primary", b"unique", b"check", b"foreign", b"exclude", b"like"})


def table_columns(index: PlainIndex, table: TableName) -> tuple[str, ...]:
    """Return the columns of a table's CREATE TABLE: for data that do not name them. Generated ones are among them."""
    key = table_key(index, table)
    tables = (item for item in index.items if item.object.kind == "TABLE" and item.object.key == key)
    created = next((item for item in tables if _creates(item)), None)
    tokens = parse_tokens(created.statement.text) if created else []
    names, depth = [], 0
    for token, following in pairwise(tokens):
        depth += {b"(": 1, b")": -1}.get(token.text, 0)
        begins = depth == 1 and token.text in (b"(", b",") and following.kind in ("word", "name")
        if begins and not (following.kind == "word" and following.body in _NO_COLUMNS):
            names.append(index.text_of(following.body))
        if depth == 0 and names:
            break
    return tuple(names)


def _go_to(stream: BinaryIO, offset: int, cancellation: Cancellation) -> None:
    if stream.seekable():
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


def sample_of_inserts(lexer: Lexer, columns: tuple[str, ...], limit: int) -> TableSample:
    """Return the first rows of a table whose data are INSERTs; `lexer` stands at the first."""
    rows: list[tuple[str | None, ...]] = []
    first = b""
    for statement in lexer:
        found = INSERT_OF_VALUES.fullmatch(statement.text)
        first = first or (found["table"] if found else b"")
        if found is None or found["table"] != first or len(rows) > limit:
            break
        rows += insert_rows(statement.text)
    width = len(rows[0]) if rows else len(columns)
    names = columns if width == len(columns) else tuple(f"column {number}" for number in range(1, width + 1))
    kept = [tuple(None if value is None else cut_cell(value) for value in row) for row in rows[:limit]]
    return TableSample(names, tuple(kept), more=len(rows) > len(kept))
