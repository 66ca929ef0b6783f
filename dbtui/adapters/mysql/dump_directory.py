"""Making a directory dump: rows with mydumper in several sessions that share one snapshot, the rest with mariadb-dump.

The definitions are written after the rows: sequences and counters are then past every row, as they must be. Tables that
changed their form meanwhile are noticed, for they are looked at before and after.
"""

import re
import shlex
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dbtui.adapters.directory_packing import PACKED_SUFFIX, DirectoryPacker
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.directory import DEFINITIONS, ROWS_FILE, TRIGGERS
from dbtui.adapters.mysql.dump import CHANGED_SIGNS, StructureChanged, dump_again, run_tool, tool_command
from dbtui.adapters.mysql.facts import require_database
from dbtui.adapters.mysql.names import show_name
from dbtui.adapters.mysql.orphans import newest_session, terminate_flushing
from dbtui.adapters.mysql.shapes import collect_shape
from dbtui.adapters.mysql.tap import RowCounter
from dbtui.adapters.mysql.tools import find_tool
from dbtui.adapters.processes import ChildTool
from dbtui.adapters.space import SpaceWatch
from dbtui.adapters.streams import WrittenFile
from dbtui.errors import ServerError, ToolError
from dbtui.model.backups import BackupFile, BackupFormat, BackupTable, CompressionKind, DumpRequest, DumpResult
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted
from dbtui.model.shapes import TableShape
from dbtui.model.text import format_bytes

_TICK_SECONDS = 0.2
#: The rows of a large table are cut into files of so many MiB, so that several sessions can load it.
FILE_MIB = 32
_DUMPING = re.compile(r"dumping data for `[^`]*`\.`([^`]*)`")
#: A session that runs for longer would make everybody wait for the lock behind it.
_GUARD_SECONDS = 60
#: Nobody who writes waits for longer on our behalf.
LOCK_WAIT_SECONDS = 15
_LONG_QUERIES = "running longer than"


def dump_directory(target: MysqlTarget, request: DumpRequest) -> Routine[DumpResult]:
    """Write the dump into the empty directory `request.partial_path`.

    A change of structure meanwhile has everything dumped once more. Raises ToolError, StorageError, Cancelled.
    """
    directory = Path(request.partial_path)

    def clear() -> None:
        for path in directory.iterdir():
            path.unlink()

    return (yield from dump_again(lambda: _dump_once(target, request), clear))


def _dump_once(target: MysqlTarget, request: DumpRequest) -> Routine[DumpResult]:
    database = require_database(target)
    before = _tables(target)
    counts = _Counts()
    began = time.monotonic()
    yield StepStarted("dump", show_name(database))
    files: tuple[BackupFile, ...] = ()
    raw_bytes = 0
    if request.facts.tables and not request.options.schema_only:
        files, raw_bytes = yield from _dump_rows(target, request, counts)
    created = RowCounter()
    written = yield from _dump_definitions(target, request, created)
    if _tables(target) != before:
        raise StructureChanged(f"the structure of {show_name(database)} changed during the dump")
    raw_bytes += sum(each.raw_bytes for _, each in written)
    yield StepFinished("dump", time.monotonic() - began, f"{format_bytes(raw_bytes)}, {counts.total} rows")
    strangers = sorted(set(counts.rows) - set(created.tables))
    if strangers:
        raise ToolError(f"rows of {show_name(strangers[0])} came, but not its definition", "take the backup again")
    wanted = {table.name for table in request.facts.tables} if not request.options.schema_only else set()
    if missing := (wanted & set(created.tables)) - counts.begun:
        shown = show_name(min(missing))
        raise ToolError(f"mydumper passed over table {shown}: its rows would be missing", "use --format plain")
    return DumpResult(
        files=(*files, *(BackupFile(name, each.size_bytes, each.sha256) for name, each in written)),
        tables=tuple(
            _table_of(table.name, table.schema, table.bytes, request, counts)
            for table in request.facts.tables
            if table.name in created.tables
        ),
        uncompressed_bytes=raw_bytes,
        schemas=(database,),
        roles=request.facts.roles,
    )


def _tables(target: MysqlTarget) -> tuple[TableShape, ...]:
    return collect_shape(target).tables


def _table_of(name: str, schema: str, size: int | None, request: DumpRequest, counts: "_Counts") -> BackupTable:
    rows = None if request.options.schema_only else counts.rows.get(name, 0)
    return BackupTable(schema, name, rows, "estimate" if rows is None else "exact", size)


class _Counts:
    """The rows of each table, put together from its files, which are counted side by side."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.begun: set[str] = set()  # tables that mydumper said it dumps, also those without a row
        self.current = ""  # the last of them
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """The rows of all tables."""
        return sum(self.rows.values())

    def listen(self, line: str) -> None:
        """Take a line of what mydumper says."""
        if found := _DUMPING.search(line):
            self.current = found[1]
            self.begun.add(found[1])

    def tap(self) -> "_FileCounter":
        """Return what counts the rows of one file."""
        return _FileCounter(self)

    def add(self, tables: dict[str, int]) -> None:
        """Add the rows of a file."""
        with self._lock:
            for name, rows in tables.items():
                self.rows[name] = self.rows.get(name, 0) + rows


class _FileCounter(RowCounter):
    def __init__(self, counts: _Counts) -> None:
        super().__init__()
        self._counts = counts

    def finish(self) -> None:
        super().finish()
        self._counts.add(self.tables)


# ---------------------------------------------------------------- rows


def _dump_rows(
    target: MysqlTarget, request: DumpRequest, counts: _Counts
) -> Routine[tuple[tuple[BackupFile, ...], int]]:
    directory, options = Path(request.partial_path), request.options
    patience = _Patience(target, newest_session(target))
    with target.tool_arguments(None) as login, _left_out(target, request) as omitted:
        argv = [request.facts.tool_path, login, *_arguments(target, request, omitted)]
        yield CommandRan(shlex.join([argv[0], "--defaults-file=…", *argv[2:]]))
        try:
            with (
                ChildTool(argv, on_line=counts.listen) as tool,
                target.cancellation.interrupting(tool.stop),
                DirectoryPacker(
                    directory, options.compression, options.jobs, tool.process.pid, _holds_rows, counts.tap
                ) as packer,
                target.cancellation.interrupting(packer.stop),
            ):
                yield from _follow(target, request, tool, packer, counts, patience)
                files, raw_bytes = packer.finish(), packer.raw_bytes
        finally:
            terminate_flushing(target, patience.newest)
    (directory / "metadata").unlink(missing_ok=True)  # says nothing that the manifest does not
    return tuple(file for file in files if file.path != "metadata"), raw_bytes


def _follow(
    target: MysqlTarget,
    request: DumpRequest,
    tool: ChildTool,
    packer: DirectoryPacker,
    counts: _Counts,
    patience: "_Patience",
) -> Routine[None]:
    space = SpaceWatch(Path(request.partial_path))
    has_ended = False
    while not has_ended or not packer.wait_for(_TICK_SECONDS):
        target.cancellation.check()
        packer.check()
        space.check()
        if not counts.begun:
            patience.check()
        yield Progressed(packer.raw_bytes, request.expected_raw_bytes, "bytes", show_name(counts.current))
        if not has_ended and tool.wait_for(_TICK_SECONDS):
            has_ended = True
            _judge(tool, tool.wait(), target, space)


class _Patience:
    """Looks how long mydumper waits for the lock on all tables: whoever writes waits behind it."""

    def __init__(self, target: MysqlTarget, newest: int) -> None:
        self._target = target
        self.newest = newest  # of the sessions that were there before
        self._since: float | None = None

    def check(self) -> None:
        """Raise ServerError when it has waited for too long."""
        if not self._target.collect("flushing_sessions", newest=self.newest):
            self._since = None
            return
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > LOCK_WAIT_SECONDS:
            raise ServerError(
                f"mydumper could not hold all tables against writing within {LOCK_WAIT_SECONDS} s, and whoever writes "
                "had to wait behind it",
                "wait for the session that writes (see dbtui sessions), or use --format plain, which needs no lock",
            )


def _judge(tool: ChildTool, code: int, target: MysqlTarget, space: SpaceWatch) -> None:
    """Raise unless mydumper ended well and had nothing critical to say."""
    critical = [line for line in tool.messages if "CRITICAL" in line]
    if code == 0 and not critical:
        return
    target.cancellation.check()
    space.check_messages(tool.messages)
    database = show_name(target.database)
    said = critical[0].partition("CRITICAL **: ")[2] if critical else ""
    if any(sign in line for line in critical for sign in CHANGED_SIGNS):
        raise StructureChanged(f"the structure of {database} changed during the dump: {said}")
    if any(_LONG_QUERIES in line for line in tool.messages):
        raise ToolError(
            f"the dump of {database} did not begin: a session runs for more than {_GUARD_SECONDS} s, and everybody "
            "who writes would have had to wait behind it",
            "see dbtui sessions; wait for its end, or use --format plain",
        )
    if said:
        raise ToolError(f"the dump of {database} failed: {tool.name}: {said}")
    raise tool.failure(f"the dump of {database} failed", code)


def _arguments(target: MysqlTarget, request: DumpRequest, omitted: str) -> Iterator[str]:
    yield f"--database={target.database}"
    yield f"--outputdir={request.partial_path}"
    yield f"--threads={max(1, request.options.jobs)}"
    yield f"--chunk-filesize={FILE_MIB}"
    yield "--no-schemas"
    yield f"--long-query-guard={_GUARD_SECONDS}"
    yield "--verbose=3"
    yield f"--omit-from-file={omitted}"


@contextmanager
def _left_out(target: MysqlTarget, request: DumpRequest) -> Iterator[str]:
    """The tables, views and sequences whose rows are not wanted, as a file."""
    wanted = {table.name for table in request.facts.tables}
    there = [str(row["name"]) for row in target.collect("tables_of_schema", schema=target.database)]
    with tempfile.NamedTemporaryFile("w", prefix="dbtui-", suffix=".omitted") as file:
        # A name of several lines is no table's that is dumped, and no line of it is taken for one.
        lines = (f"{target.database}.{name}\n" for name in there if name not in wanted and "\n" not in name)
        file.writelines(lines)
        file.flush()
        yield file.name


def _holds_rows(name: str) -> bool:
    return ROWS_FILE.fullmatch(name) is not None


# ---------------------------------------------------------------- definitions


def _dump_definitions(
    target: MysqlTarget, request: DumpRequest, created: RowCounter
) -> Routine[list[tuple[str, WrittenFile]]]:
    tool = find_tool(target.info, target.environ)
    suffix = PACKED_SUFFIX if request.options.compression.kind is CompressionKind.ZSTD else ""
    options = replace(request.options, format=BackupFormat.PLAIN, schema_only=True)
    written = []
    with target.tool_arguments(tool.version_number if tool.is_mariadb else None) as login:
        for name, flags in ((DEFINITIONS, ["--skip-triggers"]), (TRIGGERS, ["--no-create-info", "--skip-routines"])):
            part = replace(request, partial_path=str(Path(request.partial_path) / (name + suffix)), options=options)
            argv = tool_command(target, part, tool, login, target.database)
            end = argv.index("--")
            argv = [*argv[:end], *flags, *(["--skip-events"] if name == TRIGGERS else []), *argv[end:]]
            yield CommandRan(shlex.join([argv[0], "--defaults-file=…", *argv[2:]]))
            counter = created if name == DEFINITIONS else RowCounter()
            written.append((name + suffix, (yield from run_tool(target, part, argv, counter))))
    return written
