"""The online backup: a copy of one moment, made while others write, checked and counted before it counts."""

import contextlib
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dbtui.adapters.background import Background
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.driving import report
from dbtui.adapters.encryption import sink_for
from dbtui.adapters.memory_directories import memory_directory
from dbtui.adapters.sqlite.connect import SqliteTarget, hold_snapshot, open_file, open_untrusted, sql
from dbtui.adapters.sqlite.copying import CopyWatch, copy_pages
from dbtui.adapters.sqlite.counts import collect_sizes, count_tables
from dbtui.adapters.sqlite.filing import use_rollback_journal
from dbtui.adapters.sqlite.integrity import find_damage
from dbtui.adapters.sqlite.schema import MAIN, Schema, collect_schema
from dbtui.adapters.sqlite.schema_only import copy_schema
from dbtui.adapters.sqlite.selection import choose_tables, keep_only
from dbtui.adapters.sqlite.translate import shown, sqlite_errors
from dbtui.adapters.streams import create_file, fsync_path, hash_file, storage_errors, write_stream
from dbtui.errors import RefusedError, ServerError, StorageError
from dbtui.model.backups import (
    PARTIAL_SUFFIX,
    BackupFile,
    BackupTable,
    CompressionKind,
    DumpOptions,
    DumpRequest,
    DumpResult,
)
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted

_DATA_SUFFIX = re.compile(r"\.sqlite(\.gz|\.zst)?(\.age)?$", re.ASCII)
_SIZES_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the look at the finished copy gave."""

    tables: tuple[BackupTable, ...]
    modules: tuple[str, ...]
    warnings: tuple[str, ...]


def dump(target: SqliteTarget, request: DumpRequest) -> Routine[DumpResult]:
    """Write a copy of the database at `request.partial_path`. Nothing of it stays when this does not end well.

    Raises ConnectError, ServerError (the database is damaged, or locked too long), StorageError, Cancelled.
    """
    partial = Path(request.partial_path)
    if os.path.lexists(partial):
        raise StorageError(f"{shown(partial)} exists already", "another run may be writing it")
    try:
        with _workspace(partial, request) as workspace:
            copy = yield from _make_copy(target, request.options, partial, workspace)
            return (yield from _finish(target, request, partial, copy))
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def needed_in_memory(database_bytes: int, options: DumpOptions) -> int:
    """Return what the copies take that are made before a backup is encrypted."""
    if options.schema_only:
        return 0
    return database_bytes * (2 if options.tables or options.exclude_tables else 1)


@contextmanager
def _workspace(partial: Path, request: DumpRequest) -> Iterator[Path]:
    """Give a private directory beside the partial, under a name that a later run sweeps if this one is killed.

    What is to be encrypted is copied in memory.
    """
    if request.options.encrypt_to:
        with memory_directory(needed_in_memory(request.facts.database_bytes or 0, request.options)) as folder:
            yield folder
        return
    stem = _DATA_SUFFIX.sub("", partial.name.removesuffix(PARTIAL_SUFFIX))
    folder = partial.with_name(f"{stem}.dir{PARTIAL_SUFFIX}")
    with storage_errors(shown(folder)):
        folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---------------------------------------------------------------- copying


def _make_copy(target: SqliteTarget, options: DumpOptions, partial: Path, workspace: Path) -> Routine[Path]:
    """Return the path of the finished copy: the partial itself unless it is still to be packed."""
    packs = _packs(options)
    copy = workspace / "copy.sqlite" if packs else partial
    is_selected = bool(options.tables or options.exclude_tables)
    began = time.monotonic()
    yield StepStarted("dump", shown(target.path))
    with (
        contextlib.closing(target.open_reader(target.path)) as source,
        sqlite_errors(target.path, target.cancellation),
    ):
        hold_snapshot(source, target.path, target.cancellation)
        chosen = _chosen_names(source, options)
        if options.schema_only:
            yield CommandRan(f"definitions of {shown(target.path)} into {shown(partial.name)}")
            with sqlite_errors(copy, target.cancellation):
                copy_schema(source, copy, chosen, keep_views=not options.tables)
        else:
            whole = workspace / "whole.sqlite" if is_selected else copy
            yield from _copy_whole(target, source, whole, partial)
    if is_selected and not options.schema_only:
        yield from _select(target, whole, copy, chosen, keep_views=not options.tables)
    fsync_path(copy)
    target.cancellation.check()
    yield StepFinished("dump", time.monotonic() - began)
    return copy


def _chosen_names(source: sqlite3.Connection, options: DumpOptions) -> tuple[str, ...]:
    chosen, unmatched = choose_tables(collect_schema(source), options)
    if unmatched:
        raise RefusedError(f"no table matches {', '.join(unmatched)}", "patterns are table or main.table with * and ?")
    return tuple(table.name for table in chosen)


def _copy_whole(target: SqliteTarget, source: sqlite3.Connection, whole: Path, partial: Path) -> Routine[None]:
    yield CommandRan(f"online backup of {shown(target.path)} into {shown(partial.name)}, in one read transaction")
    create_file(whole).close()
    with contextlib.closing(open_file(whole, "rw")) as destination, sqlite_errors(whole, target.cancellation):
        for name in ("no_journal", "no_sync"):
            destination.execute(sql(name)).fetchall()
        yield from copy_pages(source, destination, CopyWatch(target.path), target.cancellation)
    use_rollback_journal(whole)


def _select(
    target: SqliteTarget, whole: Path, copy: Path, chosen: tuple[str, ...], *, keep_views: bool
) -> Routine[None]:
    """Leave tables out of the copy."""
    yield StepStarted("select tables", f"{len(chosen)} of them")
    began = time.monotonic()
    yield from select_tables(whole, copy, chosen, target.cancellation, keep_views=keep_views)
    whole.unlink()
    yield StepFinished("select tables", time.monotonic() - began)


def select_tables(
    whole: Path, copy: Path, chosen: tuple[str, ...], cancellation: Cancellation, *, keep_views: bool
) -> Routine[None]:
    """Write some tables of the copy at `whole` to a new file at `copy`. `whole` is spoilt by that."""
    with contextlib.closing(open_file(whole, "rw")) as connection:

        def work() -> None:
            with sqlite_errors(copy, cancellation):
                keep_only(connection, whole, copy, chosen, keep_views=keep_views)

        with Background(work, connection.interrupt, cancellation) as selecting:
            yield from selecting.wait(lambda: Progressed(0, None, "bytes", "leaving tables out"))


# ---------------------------------------------------------------- proving and packing


def _finish(target: SqliteTarget, request: DumpRequest, partial: Path, copy: Path) -> Routine[DumpResult]:
    """Check and count the copy while its bytes are hashed or packed."""
    compression = request.options.compression
    is_packed = compression.kind is not CompressionKind.NONE
    began = time.monotonic()
    size = copy.stat().st_size
    yield StepStarted("check", "structure and row counts" + (f", {compression}" if is_packed else ""))
    with contextlib.ExitStack() as stack:
        looker = stack.enter_context(open_untrusted(copy))
        checking = stack.enter_context(
            Background(lambda: _look(looker, target, request), looker.interrupt, target.cancellation)
        )
        file = yield from _write(target, request.options, partial, copy, size)
        findings = yield from checking.wait(lambda: Progressed(size, size, "bytes", "checking"))
    target.cancellation.check()
    yield StepFinished("check", time.monotonic() - began)
    return DumpResult(
        files=(file,),
        tables=findings.tables,
        uncompressed_bytes=size,
        schemas=(MAIN,),
        extensions=findings.modules,
        warnings=findings.warnings,
    )


def _packs(options: DumpOptions) -> bool:
    """Whether the copy is not the backup itself."""
    return bool(options.encrypt_to) or options.compression.kind is not CompressionKind.NONE


def _write(target: SqliteTarget, options: DumpOptions, partial: Path, copy: Path, size: int) -> Routine[BackupFile]:
    """Pack and encrypt the copy into the partial, or hash it where it is."""
    if not _packs(options):
        return (yield from report(hash_file(copy, "", target.cancellation), size))
    with storage_errors(shown(copy)):
        descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sink = sink_for(options.encrypt_to, target.cancellation)
        writing = write_stream(descriptor, partial, options.compression, target.cancellation, open_sink=sink)
        written = yield from report(writing, size)
    finally:
        os.close(descriptor)
    return BackupFile("", written.size_bytes, written.sha256)


def _look(connection: sqlite3.Connection, target: SqliteTarget, request: DumpRequest) -> _Findings:
    """Check the copy's structure and count its rows. Raises ServerError when the database itself is damaged."""
    with sqlite_errors(target.path, target.cancellation):
        damage = find_damage(connection)
        if damage:
            raise ServerError(
                f"{shown(target.path)} is damaged: {damage[0]}",
                "no backup was made of it: use an earlier one, or the .recover command of the sqlite3 shell",
                code="SQLITE_CORRUPT",
            )
        schema = collect_schema(connection)
        sizes = _sizes(connection, schema, request)
        counted = count_tables(connection, schema.tables, target.cancellation)
        tables = tuple(replace(table, bytes=sizes.get(table.name)) for table in counted)
        uncounted = [table.name for table in tables if table.rows is None]
        warnings = [f"the rows of {shown(name)} cannot be counted here: its module is missing" for name in uncounted]
        return _Findings(tables, schema.modules, tuple(warnings))


def _sizes(connection: sqlite3.Connection, schema: Schema, request: DumpRequest) -> dict[str, int]:
    """The sizes that planning has measured just now; walking through every page again would double the check."""
    if request.options.schema_only:
        return collect_sizes(connection, schema, _SIZES_SECONDS)
    return {table.name: table.bytes for table in request.facts.tables if table.bytes is not None}
