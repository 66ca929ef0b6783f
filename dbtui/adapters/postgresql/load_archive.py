"""A custom or directory archive loaded by pg_restore, straight over libpq: no psql, and every error ends it.

What it restores is always a list of entries made here, of statements that were judged one by one.
"""

import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, cast

from dbtui.adapters.postgresql.archive import ArchiveEntry
from dbtui.adapters.postgresql.archive_index import ArchiveIndex, collect_archive_index, is_after_data
from dbtui.adapters.postgresql.archive_tool import Feeding, archive_tool, use_list
from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.load_plain import PlainLoader, refusal
from dbtui.adapters.postgresql.selection import select_tables
from dbtui.adapters.postgresql.tools import find_tool
from dbtui.adapters.processes import ChildTool
from dbtui.errors import DamagedBackupError, ServerError
from dbtui.model.backups import LoadRequest
from dbtui.model.events import CommandRan, Event, Progressed, Routine, Warned

#: The oldest pg_restore that reads an archive of a version, where that is not every one in use.
_NEEDED_TOOLS = {(1, 14): 12, (1, 15): 16, (1, 16): 17}
_TICK_SECONDS = 0.4
_RESTORING = re.compile(r"(?:processing data for table|creating|launching item \d+) (.*)")
_ENTRY = re.compile(r"from TOC entry (\d+); \d+ \d+ (.*)")
_SERVER_ERROR = re.compile(r"error: (?:could not execute query|COPY failed for table .*?): ERROR:\s+(.*)")
_MOST_JOBS = 8


def load_archive(target: PostgresqlTarget, request: LoadRequest) -> Routine[None]:
    """Load an archive.

    Raises DamagedBackupError, RefusedError before anything runs; ServerError, ToolError, Cancelled.
    """
    index = collect_archive_index(request.backup, target.cancellation)
    name = Path(request.backup.data_path).name
    if index.problems:
        raise DamagedBackupError(index.problems[0], "nothing was changed; restore another backup")
    is_powerful = target.collect_one("collect_login_power").is_powerful
    grave = [risk for risk in index.risks if not risk.skippable]
    if grave and is_powerful:
        raise refusal(f"{name}: entry {grave[0].line}", grave[0].reason)
    for remark in index.left_out:
        yield Warned(remark)
    entries = yield from _choose_entries(target, request, index, is_powerful)
    jobs = max(1, min(request.jobs, _MOST_JOBS))
    needed = _NEEDED_TOOLS.get(index.archive.version[:2], 0)
    if target.find_tool("pg_restore").major >= needed:
        for part in _parts(entries, jobs):
            yield from _Restore(target, request, index, part, jobs).run()
    else:
        yield from _load_as_text(target, request, index, entries, needed)


def _load_as_text(
    target: PostgresqlTarget, request: LoadRequest, index: ArchiveIndex, entries: list[ArchiveEntry], needed: int
) -> Routine[None]:
    """An archive that is too new for the server's own pg_restore: a newer one turns it into SQL, which we load.

    A newer pg_restore could not load it itself: it sends settings that an older server does not know.
    """
    tool = find_tool("pg_restore", needed * 10000, target.environ)
    with use_list(entries) as listing:
        options = ["--no-owner", "--no-acl"] if request.skip_owners else []
        arguments = [tool.path, "--file=-", "--no-password", *options, f"--use-list={listing}"]
        with archive_tool(arguments, request.backup, stdout=subprocess.PIPE) as feeding:
            yield CommandRan(" ".join(arguments))
            loader = PlainLoader(target, request, index, None)
            yield from loader.load(cast(BinaryIO, feeding.tool.process.stdout), feeding.check)


def _choose_entries(
    target: PostgresqlTarget, request: LoadRequest, index: ArchiveIndex, is_powerful: bool
) -> Generator[Event, None, list[ArchiveEntry]]:
    left_out = set(index.left_out_ids)
    if is_powerful:
        for number, reason in index.risky_ids.items():
            yield Warned(f"entry {number} was left out: {reason}")
            left_out.add(number)
    chosen: frozenset[int] | None = None
    if request.tables:
        selection = select_tables(index, request.tables)
        chosen = selection.offsets
        for warning in selection.warnings:
            yield Warned(warning)
    entries = []
    for entry in index.archive.entries:
        if entry.dump_id in left_out or (chosen is not None and entry.dump_id not in chosen):
            continue
        if entry.kind == b"STATISTICS DATA":
            continue  # they are gathered afresh, and only some servers know how to take them
        if entry.kind == b"COMMENT" and entry.tag.startswith(b"EXTENSION ") and not target.info.is_superuser:
            continue  # only the extension's owner may; nothing depends on it
        if entry.kind == b"EVENT TRIGGER" and not target.info.is_superuser:
            yield Warned(f"{entry.describe()} was left out: only a superuser may create an event trigger")
            continue
        entries.append(entry)
    return entries


def _parts(entries: list[ArchiveEntry], jobs: int) -> list[list[ArchiveEntry]]:
    """Several jobs go by what the archive says of dependencies: triggers and rules wait for all rows all the same."""
    first = [entry for entry in entries if not is_after_data(entry)]
    if jobs == 1:
        return [entries]
    acting = (b"TRIGGER", b"RULE", b"EVENT TRIGGER")
    middle = [entry for entry in entries if is_after_data(entry) and entry.kind not in acting]
    last = [entry for entry in entries if entry.kind in acting]
    return [part for part in (first + middle, last) if part]


class _Restore:
    """One run of pg_restore."""

    def __init__(
        self,
        target: PostgresqlTarget,
        request: LoadRequest,
        index: ArchiveIndex,
        entries: list[ArchiveEntry],
        jobs: int,
    ) -> None:
        self._target = target
        self._request = request
        self._index = index
        self._entries = entries
        self._jobs = 1 if request.backup.is_packed else jobs
        self._tool = target.find_tool("pg_restore")
        self._current = ""
        self._began = 0

    def run(self) -> Routine[None]:
        """Restore the entries, saying how far it is."""
        with (
            self._target.tool_arguments(self._request.database) as (login, environ),
            use_list(self._entries) as listing,
        ):
            arguments = [self._tool.path, *self._options(), f"--use-list={listing}", *login]
            yield CommandRan(" ".join(arguments))
            watch = self._target.connect(self._request.database, autocommit=True)
            try:
                with (
                    archive_tool(arguments, self._request.backup, environ=environ, on_line=self._take_line) as feeding,
                    self._target.cancellation.interrupting(feeding.tool.stop),
                ):
                    yield from self._follow(feeding.tool, watch)
                    self._end(feeding)
            finally:
                watch.close()

    def _options(self) -> list[str]:
        options = ["--exit-on-error", "--no-password", "--verbose"]
        if self._jobs > 1:
            options.append(f"--jobs={self._jobs}")
        if self._request.skip_owners or not self._may_give_away():
            options += ["--no-owner", "--no-acl"]
        if not self._has_tablespaces():
            options.append("--no-tablespaces")
        return options

    def _may_give_away(self) -> bool:
        """Whether this login may make every owner the owner: pg_restore would stop at the first that it may not."""
        ours = {row.role_name for row in self._target.collect("collect_role_names") if row.is_ours}
        owners = {self._index.text_of(entry.owner) for entry in self._entries if entry.owner}
        return self._target.info.is_superuser or owners <= ours

    def _has_tablespaces(self) -> bool:
        there = {row.name for row in self._target.collect("collect_tablespaces")}
        return {self._index.text_of(entry.tablespace) for entry in self._entries if entry.tablespace} <= there

    def _take_line(self, line: str) -> None:
        if found := _RESTORING.search(line):
            self._current = found[1].strip('"')
            self._began += 1

    def _follow(self, tool: ChildTool, watch: Connection) -> Generator[Event, None, None]:
        total = self._total_bytes()
        done = 0
        while tool.process.poll() is None:
            copied = self._target.collect_one("collect_load_progress", watch)
            done = max(done, int(copied.written_bytes))
            if total:
                yield Progressed(min(done, total), total, "bytes", self._current)
            else:
                yield Progressed(min(self._began, len(self._entries)), len(self._entries), "objects", self._current)
            self._target.cancellation.wait(_TICK_SECONDS)
            self._target.cancellation.check()

    def _total_bytes(self) -> int | None:
        manifest = self._request.backup.manifest
        return manifest.database_bytes if manifest and not self._request.tables else None

    def _end(self, feeding: Feeding) -> None:
        code = feeding.tool.wait()
        self._target.cancellation.check()
        if code == 0:
            feeding.check()
            return
        lines = feeding.tool.messages
        failed = next((found for line in lines if (found := _SERVER_ERROR.search(line))), None)
        entry = next((found for line in lines if (found := _ENTRY.search(line))), None)
        if failed is None:
            feeding.check()
            raise feeding.tool.failure("restoring the archive", code)
        where = f"{Path(self._request.backup.data_path).name}: entry {entry[1]}, {entry[2]}" if entry else "the archive"
        raise ServerError(f"{where}: {failed[1]}")
