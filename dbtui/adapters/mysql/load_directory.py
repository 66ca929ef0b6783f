"""Loading a directory dump: definitions, then rows in several sessions at once, then triggers.

Every statement is judged as in any other dump; of the files with rows, nothing but rows and settings is run.
"""

import queue
import threading
from collections.abc import Sequence
from dataclasses import replace

from dbtui.adapters.mysql.connect import MysqlTarget, close_quietly
from dbtui.adapters.mysql.cursor import Refusal
from dbtui.adapters.mysql.directory import DumpDirectory, check_rows
from dbtui.adapters.mysql.load import Loading, begin, finish, is_wanted, run_all, run_one
from dbtui.adapters.mysql.names import quote_name
from dbtui.adapters.mysql.plain import DumpFile
from dbtui.adapters.mysql.sql_lexer import Statement
from dbtui.adapters.mysql.statements import Action, Judge, Verdict
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import LoadRequest, StoredBackup
from dbtui.model.events import CommandRan, Progressed, Routine

_TICK_SECONDS = 0.2
_MOST_JOBS = 16
#: Statements of about a mebibyte, so many in a transaction: the server then waits for its disk less often.
_STATEMENTS_TOGETHER = 16
#: What rows are written for.
_SESSION = (
    "SET NAMES binary",
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
    "SET SESSION foreign_key_checks = 0",
    "SET SESSION unique_checks = 0",
    "SET SESSION time_zone = '+00:00'",
)


def load_directory(target: MysqlTarget, request: LoadRequest) -> Routine[None]:
    """Load a directory dump into an empty database, with as many sessions as jobs were asked for.

    Events of a copy are left switched off. Raises ServerError naming file, line and object, DamagedBackupError,
    RefusedError, Cancelled.
    """
    target.refuse_read_only(f"loading {request.backup.backup_id}")
    connection = target.connect(request.database)
    try:
        with DumpDirectory(request.backup, target.cancellation) as dump:
            loading = begin(target, request, connection, dump.source)
            jobs = max(1, min(request.jobs, _MOST_JOBS, len(dump.rows)))
            yield CommandRan(f"USE {quote_name(request.database)}; statements of {dump.path.name}, in {jobs} sessions")
            judge = Judge(source=dump.source)
            yield from _run_part(loading, dump, dump.definitions, judge)
            yield from _run_rows(loading, dump, judge, jobs)
            yield from _run_part(loading, dump, dump.triggers, judge)
        yield from finish(loading)
    finally:
        close_quietly(connection)


def _run_part(loading: Loading, dump: DumpDirectory, part: StoredBackup, judge: Judge) -> Routine[None]:
    with dump.open_part(part) as file:
        yield from run_all(loading, file, judge)


# ---------------------------------------------------------------- rows, side by side


def _run_rows(loading: Loading, dump: DumpDirectory, judge: Judge, jobs: int) -> Routine[None]:
    rows = [part for part in dump.rows if not loading.chosen or dump.table_of(part) in loading.chosen]
    crew = _Crew(dump, rows, judge)
    connections = [loading.target.connect(loading.request.database) for _ in range(jobs if rows else 0)]
    threads = [
        threading.Thread(target=crew.work, args=(replace(loading, connection=each),), name="loading", daemon=True)
        for each in connections
    ]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            next(thread for thread in threads if thread.is_alive() or thread is threads[-1]).join(_TICK_SECONDS)
            loading.target.cancellation.check()
            yield Progressed(crew.done_bytes, dump.expected_bytes, "bytes", crew.current)
        crew.check()
    finally:
        crew.has_stopped.set()
        for thread in threads:
            thread.join()
        for made in connections:
            close_quietly(made)


class _Crew:
    """What the sessions share: the files that are left, how far they are, and the first error."""

    def __init__(self, dump: DumpDirectory, rows: Sequence[StoredBackup], judge: Judge) -> None:
        self._dump = dump
        self._judge = judge
        self._left: queue.SimpleQueue[StoredBackup] = queue.SimpleQueue()
        for part in rows:
            self._left.put(part)
        self._lock = threading.Lock()
        self._error: Exception | None = None
        self.has_stopped = threading.Event()
        self.done_bytes = 0
        self.current = ""

    def check(self) -> None:
        """Raise the first error there was."""
        if self._error is not None:
            raise self._error

    def work(self, loading: Loading) -> None:
        """Load files until none is left, or somebody failed."""
        try:
            for statement in _SESSION:
                loading.target.rows(statement, on=loading.connection)
            while not self.has_stopped.is_set():
                try:
                    part = self._left.get_nowait()
                except queue.Empty:
                    return
                with self._dump.open_part(part) as file:
                    self._load(loading, file)
        except Exception as error:  # handed to the thread that waits
            with self._lock:
                self._error = self._error or error
            self.has_stopped.set()

    def _load(self, loading: Loading, file: DumpFile) -> None:
        judge = Judge(source=self._dump.source, tables=self._judge.tables, views=self._judge.views)
        sent, seen = 0, 0
        for statement in file.statements():
            if self.has_stopped.is_set():
                return
            verdict = _judge_rows(judge, file, statement)
            if verdict.action is not Action.RUN or not is_wanted(loading, verdict):
                continue
            if verdict.kind == "rows" and sent % _STATEMENTS_TOGETHER == 0:
                _say(loading, loading.connection, "COMMIT" if sent else "")
                _say(loading, loading.connection, "START TRANSACTION")
            sent += verdict.kind == "rows"
            run_one(loading, file, statement, verdict)
            with self._lock:
                self.done_bytes += file.raw_bytes - seen
                self.current = verdict.name or self.current
            seen = file.raw_bytes
        _say(loading, loading.connection, "COMMIT" if sent else "")


def _say(loading: Loading, connection: MysqlConnection, statement: str) -> None:
    if statement:
        loading.target.rows(statement, on=connection)


def _judge_rows(judge: Judge, file: DumpFile, statement: Statement) -> Verdict:
    """Judge a statement of a file that may hold rows and settings. Raises DamagedBackupError for anything else."""
    try:
        verdict = judge.judge(statement)
        check_rows(verdict)
    except Refusal as refusal:
        raise DamagedBackupError(
            f"{file.name}, line {statement.line}: {refusal.message}; it was not run", "use another backup"
        ) from refusal
    return verdict
