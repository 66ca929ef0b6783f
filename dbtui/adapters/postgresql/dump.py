"""Making a dump with pg_dump, in a snapshot of which the rows are counted exactly."""

import re
import shlex
import subprocess
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.directory_packing import DirectoryPacker
from dbtui.adapters.driving import forward, report
from dbtui.adapters.followers import DirectoryFollower, FileFollower
from dbtui.adapters.packing import write_packed
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.dump_arguments import dump_arguments, outer_compression, packs_itself
from dbtui.adapters.postgresql.flaws import collect_known_flaws
from dbtui.adapters.postgresql.progress import DumpProgress
from dbtui.adapters.postgresql.row_counter import RowCounter
from dbtui.adapters.postgresql.snapshot import LOCK_WAIT_SECONDS, Snapshot, open_snapshot
from dbtui.adapters.processes import ChildTool
from dbtui.adapters.space import SpaceWatch
from dbtui.adapters.streams import WrittenFile, create_file, hash_file
from dbtui.errors import ServerError, ToolError
from dbtui.model.backups import (
    BackupFile,
    BackupFormat,
    BackupTable,
    CompressionKind,
    DumpRequest,
    DumpResult,
    TableName,
)
from dbtui.model.events import CommandRan, Event, Routine, StepFinished, StepStarted, Warned
from dbtui.model.text import format_bytes

_TICK_SECONDS = 0.2
_TRAILER = b"-- PostgreSQL database dump complete"
_TRAILER_WITHIN_BYTES = 4096
#: Files of a directory dump that pg_dump writes at its end, or more than once.
_REWRITTEN = frozenset({"toc.dat", "blobs.toc"})
#: Files of a directory dump that hold rows. Large objects, a file each, are mostly packed already.
_ROWS = re.compile(r"\d+\.dat", re.ASCII)


@dataclass(frozen=True)
class _Written:
    """What a dump left: files by name (empty: the one file), and how large it is uncompressed, where that is known."""

    files: tuple[BackupFile, ...]
    raw_bytes: int | None


@dataclass(frozen=True)
class _Run:
    """One run of pg_dump: everything its way of writing needs."""

    target: PostgresqlTarget
    request: DumpRequest
    argv: Sequence[str]
    environ: dict[str, str]
    progress: DumpProgress

    @property
    def path(self) -> Path:
        """The partial file or directory."""
        return Path(self.request.partial_path)

    def start(self, stdout: int = subprocess.DEVNULL) -> ChildTool:
        """Start pg_dump."""
        return ChildTool(self.argv, environ=self.environ, stdout=stdout, on_line=self.progress.listen)

    def check(self, tool: ChildTool) -> None:
        """Wait for the end; raise what its exit code and last words mean."""
        code = tool.wait()
        if code == 0:
            return
        self.target.cancellation.check()
        SpaceWatch(self.path).check_messages(tool.errors)
        said = next(iter(tool.errors), "")
        if "lock timeout" in said:
            raise ServerError(
                f"pg_dump could not lock a table for reading within {LOCK_WAIT_SECONDS} s: {said}",
                "wait for the session that changes it, or end that session, then try again",
                code="55P03",
            )
        raise tool.failure(f"the dump of {self.target.info.database}", code)


def dump(target: PostgresqlTarget, request: DumpRequest) -> Routine[DumpResult]:
    """Write the dump at `request.partial_path`, durable and hashed, and count its rows in the same snapshot.

    Raises ToolError, ServerError, StorageError, Cancelled; no process or query is left behind.
    """
    target.check_database()
    began = time.monotonic()
    yield StepStarted("snapshot", target.info.database)
    with open_snapshot(target, request.options) as snapshot:
        yield StepFinished("snapshot", time.monotonic() - began, f"{len(snapshot.listed)} tables locked for reading")
        counted = () if request.options.schema_only else snapshot.counted
        with RowCounter(target, snapshot.connection, counted) as counter:
            progress = DumpProgress(target, request.facts.tables, request.expected_raw_bytes, counter.announce)
            written = yield from _dump_files(target, request, snapshot, progress, counter)
            for message in progress.warnings:
                yield Warned(f"pg_dump: {message}")
            counts = yield from _finish_counts(counter, len(counted))
        schemas = tuple(row.name for row in target.collect("collect_schemas", snapshot.connection))
        flaws = collect_known_flaws(target, snapshot.connection, {each.table for each in counted})
    return DumpResult(
        files=written.files,
        tables=_backup_tables(request, snapshot, counts),
        uncompressed_bytes=written.raw_bytes,
        schemas=schemas,
        extensions=request.facts.extensions,
        roles=request.facts.roles,
        warnings=tuple(progress.warnings),
        flaws=flaws,
    )


def _backup_tables(request: DumpRequest, snapshot: Snapshot, counts: dict[TableName, int]) -> tuple[BackupTable, ...]:
    sizes = {facts.table_name: facts.bytes for facts in request.facts.tables}
    if request.options.schema_only:
        return tuple(BackupTable(each.table.schema, each.table.name) for each in snapshot.listed)
    return tuple(
        BackupTable(each.table.schema, each.table.name, counts.get(each.table, 0), "exact", sizes.get(each.table))
        for each in snapshot.listed
    )


def _dump_files(
    target: PostgresqlTarget, request: DumpRequest, snapshot: Snapshot, progress: DumpProgress, counter: RowCounter
) -> Generator[Event, None, _Written]:
    began = time.monotonic()
    space = SpaceWatch(Path(request.partial_path))
    with target.tool_arguments(target.info.database) as (login, environ):
        argv = [request.facts.tool_path, *login, *dump_arguments(target, request, snapshot)]
        yield StepStarted("dump", target.info.database)
        yield CommandRan(shlex.join(argv))
        writing = _write(_Run(target, request, argv, environ, progress))

        def shown(raw_bytes: int | None) -> Event:
            target.cancellation.check()
            counter.check()
            space.check()
            return progress.of_tables() if raw_bytes is None else progress.of_text(raw_bytes)

        written = yield from forward(writing, shown)
    size = sum(file.size_bytes for file in written.files)
    yield StepFinished("dump", time.monotonic() - began, format_bytes(size))
    return written


def _finish_counts(counter: RowCounter, total: int) -> Generator[Event, None, dict[TableName, int]]:
    began = time.monotonic()
    yield StepStarted("count rows")
    counts = yield from report(counter.finish(), total, "tables")
    yield StepFinished("count rows", time.monotonic() - began, f"{sum(counts.values())} rows in {total} tables")
    return counts


_Writing = Generator[int | None, None, _Written]


def _write(run: _Run) -> _Writing:
    """Choose how the dump is written: by pg_dump itself wherever that can be, so that Python is out of the way."""
    options = run.request.options
    if options.format is BackupFormat.DIRECTORY:
        return _write_directory(run) if packs_itself(run.request) else _write_packed_directory(run)
    if options.encrypt_to:
        return _write_packed(run)
    if options.format is BackupFormat.CUSTOM:
        return _write_archive(run) if packs_itself(run.request) else _write_packed(run)
    return _write_plain(run) if options.compression.kind is CompressionKind.NONE else _write_packed(run)


def _write_plain(run: _Run) -> _Writing:
    with (
        create_file(run.path) as file,
        run.start(file.fileno()) as tool,
        run.target.cancellation.interrupting(tool.stop),
        FileFollower(file.fileno(), run.path) as follower,
    ):
        while not tool.wait_for(_TICK_SECONDS):
            yield follower.size_bytes
        run.check(tool)
        written = follower.finish()
    return _single(run, written)


def _write_packed(run: _Run) -> _Writing:
    options = run.request.options
    with run.start(subprocess.PIPE) as tool, run.target.cancellation.interrupting(tool.stop):
        assert tool.process.stdout is not None  # noqa: S101 - asked for above
        written = yield from write_packed(
            tool.process.stdout.fileno(),
            run.path,
            outer_compression(run.request),
            run.target.cancellation,
            options.encrypt_to,
        )
        run.check(tool)
    return _single(run, written)


def _write_archive(run: _Run) -> _Writing:
    create_file(run.path).close()  # pg_dump keeps its mode
    with run.start() as tool, run.target.cancellation.interrupting(tool.stop):
        while not tool.wait_for(_TICK_SECONDS):
            yield None
        run.check(tool)
    # pg_dump goes back to the head of an archive at its end, so it can be hashed only now.
    hashing = hash_file(run.path, "", run.target.cancellation)
    file = yield from forward(hashing, lambda _done: None)
    return _Written((file,), _raw_bytes(run, (file,)))


def _write_directory(run: _Run) -> _Writing:
    with (
        run.start() as tool,
        run.target.cancellation.interrupting(tool.stop),
        DirectoryFollower(run.path, _REWRITTEN) as follower,
    ):
        while not tool.wait_for(_TICK_SECONDS):
            yield None
        run.check(tool)
        files = follower.finish()
    return _Written(files, _raw_bytes(run, files))


def _write_packed_directory(run: _Run) -> _Writing:
    """For a pg_dump that knows no zstd: its rows are packed behind it, into files named as newer ones name them."""
    options = run.request.options
    with (
        run.start() as tool,
        run.target.cancellation.interrupting(tool.stop),
        DirectoryPacker(run.path, options.compression, options.jobs, tool.process.pid, _holds_rows) as packer,
        run.target.cancellation.interrupting(packer.stop),
    ):
        while not tool.wait_for(_TICK_SECONDS):
            packer.check()
            yield None
        run.check(tool)
        while not packer.wait_for(_TICK_SECONDS):
            yield None
        files = packer.finish()
    return _Written(files, None)


def _holds_rows(name: str) -> bool:
    return _ROWS.fullmatch(name) is not None


def _raw_bytes(run: _Run, files: Sequence[BackupFile]) -> int | None:
    if run.request.options.compression.kind is CompressionKind.NONE:
        return sum(file.size_bytes for file in files)
    return None


def _single(run: _Run, written: WrittenFile) -> _Written:
    """A dump in one file; a plain one has to end as pg_dump ends it."""
    if run.request.options.format is BackupFormat.PLAIN and _TRAILER not in written.tail[-_TRAILER_WITHIN_BYTES:]:
        raise ToolError(
            f"the dump of {run.target.info.database} is not complete: its last line is missing, though pg_dump "
            "reported success",
            "look at the disk and the tool, then try again",
        )
    return _Written((BackupFile("", written.size_bytes, written.sha256),), written.raw_bytes)
