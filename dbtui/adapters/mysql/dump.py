"""Making a dump with mariadb-dump or mysqldump, whose rows are counted exactly while they stream by."""

import contextlib
import errno
import fcntl
import os
import shlex
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from dbtui.adapters.driving import forward
from dbtui.adapters.encryption import sink_for
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.facts import require_database
from dbtui.adapters.mysql.history import plan_history
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.orphans import DumpSession
from dbtui.adapters.mysql.patterns import choose_tables
from dbtui.adapters.mysql.tap import RowCounter
from dbtui.adapters.mysql.tools import Tool, find_tools
from dbtui.adapters.processes import ChildTool
from dbtui.adapters.streams import WrittenFile, storage_error, write_stream
from dbtui.errors import StorageError, ToolError
from dbtui.model.backups import BackupFile, BackupTable, DumpRequest, DumpResult, TableName
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted, Warned
from dbtui.model.text import format_bytes

TRAILER = b"-- Dump completed"
#: Errors of a dump that met a change of structure: 1412 "table definition has changed", 1146 and 1051 "no such table".
CHANGED_SIGNS = ("(1412)", "(1146)", "(1051)", "doesn't exist", "Table definition has changed", "Couldn't find table")
_FLAGS = (
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    "--triggers",
    "--hex-blob",
    "--no-tablespaces",
    "--default-character-set=utf8mb4",
    "--tz-utc",
    "--max-allowed-packet=1G",
    "--net-buffer-length=1M",
)
#: Oracle's tool alone knows these: no statement for administrators, no question that older servers do not know.
_MYSQL_FLAGS = ("--loose-set-gtid-purged=OFF", "--loose-column-statistics=0")


def dump(target: MysqlTarget, request: DumpRequest) -> Routine[DumpResult]:
    """Write the dump at `request.partial_path`.

    A change of structure meanwhile ends the tool; then everything is dumped once more. Raises ToolError, StorageError,
    Cancelled.
    """
    path = Path(request.partial_path)
    return (yield from dump_again(lambda: _dump_once(target, request), lambda: path.unlink(missing_ok=True)))


class StructureChanged(ToolError):
    """The tool met a table that had changed since its transaction began."""


def dump_again(dump_once: Callable[[], Routine[DumpResult]], clear: Callable[[], None]) -> Routine[DumpResult]:
    """Dump; when the structure changed meanwhile, `clear` what was written and dump once more. Raises ToolError."""
    try:
        return (yield from dump_once())
    except StructureChanged as error:
        clear()
        yield Warned(f"{error.message}; the dump begins again")
    try:
        return (yield from dump_once())
    except StructureChanged as error:
        raise ToolError(error.message, "make the backup when nobody changes tables") from error


def _dump_once(target: MysqlTarget, request: DumpRequest) -> Routine[DumpResult]:
    database = require_database(target)
    tool = _tool_of(target, request)
    counter = RowCounter()
    began = time.monotonic()
    yield StepStarted("dump", show_name(database))
    with target.tool_arguments(tool.version_number if tool.is_mariadb else None) as login:
        argv = tool_command(target, request, tool, login, database)
        yield CommandRan(shlex.join([argv[0], "--defaults-file=…", *argv[2:]]))
        written = yield from run_tool(target, request, argv, counter)
    seconds = time.monotonic() - began
    yield StepFinished("dump", seconds, f"{format_bytes(written.raw_bytes)}, {counter.rows} rows")
    tables = tuple(_table_of(table.table_name, table.bytes, request, counter) for table in request.facts.tables)
    return DumpResult(
        files=(BackupFile("", written.size_bytes, written.sha256),),
        tables=tuple(table for table in tables if table.name in counter.tables),
        uncompressed_bytes=written.raw_bytes,
        schemas=(database,),
        roles=request.facts.roles,
    )


def _table_of(name: TableName, size: int | None, request: DumpRequest, counter: RowCounter) -> BackupTable:
    rows = None if request.options.schema_only else counter.tables.get(name.name, 0)
    return BackupTable(name.schema, name.name, rows, "estimate" if rows is None else "exact", size)


def _tool_of(target: MysqlTarget, request: DumpRequest) -> Tool:
    for tool in find_tools(target.environ):
        if tool.path == request.facts.tool_path:
            return tool
    raise ToolError(f"{request.facts.tool_path} has gone since this was planned", "plan the backup again")


def tool_command(target: MysqlTarget, request: DumpRequest, tool: Tool, login: str, database: str) -> list[str]:
    """Return the words that have the chosen tables of a database dumped, with routines and events if all are."""
    options = request.options
    argv = [tool.path, login, *_FLAGS, *(() if tool.is_mariadb else _MYSQL_FLAGS)]
    if options.schema_only:
        argv.append("--no-data")
    elif plan_history(target, tool, {table.name for table in request.facts.tables})[0]:
        argv.append("--dump-history")
    if not options.tables:
        argv += ["--routines", "--events", *_ignored(target, request, database)]
        return [*argv, "--", database]
    names = [TableName(database, str(row["name"])) for row in target.collect("tables_of_schema", schema=database)]
    chosen, _ = choose_tables(names, options.tables, options.exclude_tables)
    return [*argv, "--", database, *sorted(table.name for table in chosen)]


def _ignored(target: MysqlTarget, request: DumpRequest, database: str) -> list[str]:
    if not request.options.exclude_tables:
        return []
    names = [TableName(database, str(row["name"])) for row in target.collect("tables_of_schema", schema=database)]
    kept, _ = choose_tables(names, (), request.options.exclude_tables)
    return [f"--ignore-table={database}.{table.name}" for table in sorted(set(names) - kept)]


def run_tool(
    target: MysqlTarget, request: DumpRequest, argv: Sequence[str], counter: RowCounter
) -> Generator[Progressed, None, WrittenFile]:
    """Have a dump tool write the file `request.partial_path`, whose rows are counted while they pass.

    Raises StructureChanged, ToolError, StorageError, Cancelled.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # a user may have used up what pipes may take
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)
    try:
        with DumpSession(target) as session:
            try:
                tool = ChildTool(argv, stdout=writer)
            finally:
                os.close(writer)
            session.is_running = True
            with tool, target.cancellation.interrupting(tool.stop):
                written = yield from _copy(target, request, reader, counter, session)
                code = tool.wait()
                target.cancellation.check()
                _judge(tool, code, written, show_name(target.database))
            session.is_running = False
    finally:
        os.close(reader)
    return written


def _copy(
    target: MysqlTarget, request: DumpRequest, source: int, counter: RowCounter, session: DumpSession
) -> Generator[Progressed, None, WrittenFile]:
    options = request.options
    writing = write_stream(
        source,
        Path(request.partial_path),
        options.compression,
        target.cancellation,
        counter.tap,
        sink_for(options.encrypt_to, target.cancellation),
    )

    def shown(done: int) -> Progressed:
        session.recognise()
        return Progressed(done, request.expected_raw_bytes, "bytes", show_name(counter.current))

    written = yield from forward(writing, shown)
    counter.finish()
    return written


def _judge(tool: ChildTool, code: int, written: WrittenFile, database: str) -> None:
    """Raise unless the tool ended well and wrote its last line: neither alone proves a whole dump."""
    what = f"the dump of {database} failed"
    if code != 0:
        said = " ".join(tool.messages)
        if any(sign in said for sign in CHANGED_SIGNS):
            raise StructureChanged(tool.failure(f"the structure of {database} changed during the dump", code).message)
        if os.strerror(errno.ENOSPC) in said:
            raise StorageError(str(storage_error("the tool's files", OSError(errno.ENOSPC, ""))))
        raise tool.failure(what, code)
    lines = written.tail.rstrip().rsplit(b"\n", 1)
    if not lines[-1].startswith(TRAILER):
        raise ToolError(f"{what}: {tool.name} ended without its last line", "look at the server's log")
