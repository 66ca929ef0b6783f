"""A plain dump loaded without psql: statement by statement, all data in one transaction, then indexes side by side.

psql would take a truncated file for a whole one and commit it, and run the commands that a hostile one holds. Here the
whole dump was read and judged before the first statement, psql commands do not exist, and the database is a new one,
which is dropped when anything fails.
"""

import re
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import psycopg2
from psycopg2 import errorcodes as codes
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, though its author spelt it small

from dbtui.adapters.encryption import open_data
from dbtui.adapters.libpq.failures import translate
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.frame import DumpFrame
from dbtui.adapters.postgresql.index_builders import Build, IndexBuilders, builds_index
from dbtui.adapters.postgresql.load_code import LoadCode
from dbtui.adapters.postgresql.objects import DumpedObject, Name, parse_object
from dbtui.adapters.postgresql.plain import PlainIndex
from dbtui.adapters.postgresql.read_ahead import read_ahead
from dbtui.adapters.postgresql.selection import Selection
from dbtui.adapters.postgresql.sql_lexer import CHUNK_BYTES, Lexer, Reader, Statement
from dbtui.adapters.postgresql.sql_tokens import head_words
from dbtui.adapters.postgresql.statements import Action, Verdict, assess_statement
from dbtui.adapters.streams import storage_errors
from dbtui.errors import ConnectError, DamagedBackupError, DbtuiError, RefusedError, ServerError
from dbtui.model.backups import LoadRequest
from dbtui.model.events import Event, Progressed, Routine, Warned
from dbtui.model.text import format_untrusted

PIECE_SECONDS = 0.4
_BATCH_BYTES = 1 << 16
#: A smaller dump is loaded before more connections would be open.
_WORTH_BUILDERS_BYTES = 32 << 20
_ABSENT = frozenset(
    {codes.UNDEFINED_TABLE, codes.UNDEFINED_OBJECT, codes.UNDEFINED_FUNCTION, codes.UNDEFINED_COLUMN,
     codes.INVALID_SCHEMA_NAME, codes.DEPENDENT_OBJECTS_STILL_EXIST}
)  # fmt: skip
_RIGHTS = frozenset({codes.INSUFFICIENT_PRIVILEGE, codes.UNDEFINED_OBJECT})
#: Statements whose failure for these reasons leaves the data whole: by kind, the codes.
_BEARABLE: dict[str, frozenset[str]] = {
    "COMMENT": frozenset({codes.INSUFFICIENT_PRIVILEGE}),
    "SECURITY LABEL": frozenset({codes.INSUFFICIENT_PRIVILEGE, codes.INVALID_PARAMETER_VALUE}),
    "EVENT TRIGGER": frozenset({codes.INSUFFICIENT_PRIVILEGE}),
    "LANGUAGE": frozenset({codes.DUPLICATE_OBJECT}),
    "SET": frozenset({codes.UNDEFINED_OBJECT, codes.INVALID_PARAMETER_VALUE}),
}
_CREATE_TABLE = re.compile(rb"CREATE\s+(?:UNLOGGED\s+)?TABLE\b", re.IGNORECASE)
_PARTITIONED = re.compile(rb"\bPARTITION\s+BY\b", re.IGNORECASE)
_COPY_LINE = re.compile(r"^COPY .*?, line (\d+)", re.DOTALL)


class CopyFeed:
    """COPY data as a file that psycopg2 reads, cut into pieces that last less than a second, between rows."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._deadline = 0.0
        self._piece_ended = False
        self.exhausted = False
        self.error: DbtuiError | None = None

    def begin_piece(self) -> int:
        """Let the next piece begin; returns how many lines were taken out of the dump but not yet sent."""
        self._deadline, self._piece_ended = time.monotonic() + PIECE_SECONDS, False
        return self._rest.count(b"\n")

    def read(self, _size: int = -1) -> bytes:
        """Return the next bytes, nothing at the end of a piece."""
        if self._piece_ended:
            return b""
        data, self._rest = self._rest or self._next(), b""
        if data and time.monotonic() >= self._deadline and (cut := data.rfind(b"\n") + 1):
            data, self._rest, self._piece_ended = data[:cut], data[cut:], True
        return data

    def readline(self, _size: int = -1) -> bytes:
        """What psycopg2's file type asks for besides; it reads COPY data with `read`."""
        return self.read()

    def _next(self) -> bytes:
        try:
            data = next(self._chunks, b"")
        except DbtuiError as error:  # psycopg2 would hide it behind its own
            self.error = error
            raise
        self.exhausted = not data
        return data


class InsertBatch:
    """INSERTs sent many at a time. When one fails they are run one by one by `run_one`, which names the culprit."""

    def __init__(self, run_one: Callable[[Cursor, Statement], None]) -> None:
        self._run_one = run_one
        self._statements: list[Statement] = []
        self._bytes = 0

    def take(self, cursor: Cursor, statement: Statement) -> None:
        """Add one; send them when there are enough."""
        self._statements.append(statement)
        self._bytes += len(statement.text)
        if self._bytes >= _BATCH_BYTES:
            self.flush(cursor)

    def flush(self, cursor: Cursor) -> None:
        """Send what waits."""
        statements, self._statements, self._bytes = self._statements, [], 0
        if len(statements) < 2:
            for statement in statements:
                self._run_one(cursor, statement)
            return
        texts = [b"SAVEPOINT dbtui", *(statement.text for statement in statements), b"RELEASE SAVEPOINT dbtui"]
        try:
            cursor.execute(b";\n".join(texts))
        except psycopg2.DatabaseError:
            if cursor.connection.closed:
                raise
            cursor.execute("ROLLBACK TO SAVEPOINT dbtui")
            for statement in statements:
                self._run_one(cursor, statement)


class PlainLoader:
    """One load. `selection` says which statements to run, None for all. Event triggers are created last."""

    def __init__(
        self, target: PostgresqlTarget, request: LoadRequest, index: PlainIndex, selection: Selection | None
    ) -> None:
        self._target = target
        self._request = request
        self._index = index
        self._selection = selection
        self._path = Path(request.backup.data_path)
        self._connection = target.connect(request.database)
        self._connection.set_session(isolation_level="READ COMMITTED")  # which COPY FREEZE needs
        self._own_tables: set[Name] = set()  # created in this very transaction
        self._code = LoadCode() if target.collect_one("collect_login_power").is_powerful else None
        self._roles = {row.role_name for row in target.collect("collect_role_names")}
        self._deferred: list[tuple[Statement, DumpedObject]] = []
        self._warnings: list[str] = []
        self._builders: IndexBuilders | None = None
        self._inserts = InsertBatch(lambda cursor, statement: self._execute(cursor, statement, "INSERT"))

    def run(self) -> Routine[None]:
        """Load everything and commit. Raises ServerError, ConnectError, DamagedBackupError, RefusedError, Cancelled."""
        with open_data(self._request.backup) as stream, storage_errors(self._path):
            if not self._request.backup.is_packed:
                yield from self.load(stream)
                return
            with read_ahead(stream) as unpacked:
                yield from self.load(unpacked)

    def load(self, stream: Reader, check: Callable[[], None] = lambda: None) -> Routine[None]:
        """The same from a stream of SQL; `check` raises when what writes the stream failed."""
        try:
            with self._target.translating(self._path.name):
                yield from self._load(Lexer(stream, self._path.name), check)
                self._connection.commit()
        finally:
            if self._builders is not None:
                self._builders.close()
            self._connection.close()

    def _load(self, lexer: Lexer, check: Callable[[], None]) -> Generator[Event, None, None]:
        self._target.collect("prepare_load", self._connection)
        frame = DumpFrame(self._path.name)
        next_tick = 0.0
        with self._connection.cursor(cursor_factory=Cursor) as cursor:
            for statement in lexer:
                if problem := frame.follow(statement):
                    raise DamagedBackupError(problem, "nothing was changed; restore another backup")
                if not statement.is_command:
                    yield from self._take(cursor, lexer, statement)
                if time.monotonic() >= next_tick:
                    self._target.cancellation.check()
                    yield from self._report(lexer, "")
                    next_tick = time.monotonic() + PIECE_SECONDS
            self._inserts.flush(cursor)
            yield from self._finish_builds(lexer)
            check()
            for problem in frame.close(lexer.trailing_comments):
                raise DamagedBackupError(problem, "nothing was changed; restore another backup")
            if self._code and (risk := self._code.finish()):
                raise refusal(self._path.name, risk.reason)
            for statement, about in self._deferred:
                if self._may_run(statement, Verdict(Action.RUN, "EVENT TRIGGER")):
                    self._run(cursor, statement, "EVENT TRIGGER", about)
            cursor.execute("RESET SESSION AUTHORIZATION; RESET ALL")
        yield from self._report(lexer, "")

    def _report(self, lexer: Lexer, detail: str) -> Generator[Event, None, None]:
        for warning in self._warnings:
            yield Warned(warning)
        self._warnings.clear()
        yield Progressed(lexer.offset, self._index.raw_bytes or None, "bytes", detail)

    def _take(self, cursor: Cursor, lexer: Lexer, statement: Statement) -> Generator[Event, None, None]:
        verdict = assess_statement(statement)
        if verdict.action is Action.REFUSE:
            raise DamagedBackupError(f"{self._at(statement)}: {verdict.reason}", "nothing was changed")
        if verdict.action is Action.LEAVE_OUT or not self._may_run(statement, verdict):
            return
        if self._selection is not None and not self._is_chosen(statement, verdict, self._selection):
            return
        if builds_index(statement.text) and self._is_worth_builders():
            self._inserts.flush(cursor)
            self._build(statement, verdict.kind)
            return
        yield from self._finish_builds(lexer)
        if verdict.kind == "INSERT":
            self._inserts.take(cursor, statement)
            return
        self._inserts.flush(cursor)
        if statement.has_data:
            yield from self._copy(cursor, lexer, statement)
            return
        about = parse_object(statement.text, verdict.kind)
        if _CREATE_TABLE.match(statement.text) and not _PARTITIONED.search(statement.text):
            self._own_tables.add(about.key)
        if about.kind == "STATISTICS DATA" or (self._request.skip_owners and self._is_about_roles(statement, about)):
            return  # statistics are gathered afresh
        if about.kind == "EVENT TRIGGER" and verdict.action is Action.RUN:
            self._deferred.append((statement, about))
        else:
            self._run(cursor, statement, verdict.kind, about, is_optional=verdict.action is Action.TRY)

    def _is_worth_builders(self) -> bool:
        if self._builders is None:
            if self._target.works_pooled or 0 < (self._index.raw_bytes or 0) < _WORTH_BUILDERS_BYTES:
                return False
            self._builders = IndexBuilders(self._target, self._request.database, self._request.jobs)
        return self._builders.can_build

    def _build(self, statement: Statement, kind: str) -> None:
        """Give an index to the builders, who have to see what was loaded and set so far."""
        assert self._builders is not None  # noqa: S101 - made when it was found worth while
        if not self._builders.is_busy:
            self._builders.adopt_settings(self._connection)
            self._connection.commit()
            self._own_tables.clear()  # only this transaction's own may be filled frozen
            self._target.collect("prepare_load", self._connection)
        about = parse_object(statement.text, kind)

        def explain(error: psycopg2.Error) -> DbtuiError:
            return self._failure(error, statement, kind, about)

        self._builders.add(Build(statement.text, self._show(about), explain))

    def _finish_builds(self, lexer: Lexer) -> Generator[Event, None, None]:
        """Whatever is no index may need those before it: wait for them."""
        if self._builders is not None and self._builders.is_busy:
            self._connection.commit()  # a lock of ours would keep them waiting
            for shown in self._builders.drain():
                yield Progressed(lexer.offset, self._index.raw_bytes or None, "bytes", shown)
            self._target.collect("prepare_load", self._connection)

    def _is_chosen(self, statement: Statement, verdict: Verdict, selection: Selection) -> bool:
        if verdict.kind in ("INSERT", "COPY"):
            return parse_object(statement.text, verdict.kind).key in selection.tables
        return statement.offset in selection.offsets

    def _may_run(self, statement: Statement, verdict: Verdict) -> bool:
        """Whether a login with power over the server may run it; refuse what cannot be left out."""
        risk = self._code.examine(statement.text, verdict.kind) if self._code else None
        if risk is None:
            return True
        if risk.skippable:
            self._warnings.append(f"{self._at(statement)}: {verdict.kind} was left out: {risk.reason}")
            return False
        raise refusal(self._at(statement), risk.reason)

    def _is_about_roles(self, statement: Statement, about: DumpedObject) -> bool:
        if about.kind in ("ACL", "DEFAULT ACL"):
            return True
        words = head_words(statement.text, 3)
        if words[:1] == ("RESET",) or words[1:2] == ("SESSION",) or words[1:2] == ("ROLE",):
            return True
        if about.kind == "POLICY" and not {self._index.text_of(role) for role in about.roles} <= self._roles:
            self._warnings.append(f"{self._at(statement)}: a policy was left out: its role does not exist here")
            return True
        return words[:1] == ("ALTER",) and bool(about.roles)

    def _run(
        self, cursor: Cursor, statement: Statement, kind: str, about: DumpedObject, *, is_optional: bool = False
    ) -> None:
        bearable = _ABSENT if is_optional else _BEARABLE.get(kind, frozenset())
        if about.roles and statement.text[:5].upper() == b"ALTER":
            bearable = _RIGHTS
        if kind == "SCHEMA" and about.name == b"public":
            bearable = bearable | {codes.DUPLICATE_SCHEMA}
        if not bearable:
            self._execute(cursor, statement, kind, about)
            return
        cursor.execute("SAVEPOINT dbtui")
        try:
            cursor.execute(statement.text)
        except psycopg2.Error as error:
            if error.pgcode not in bearable:
                raise self._failure(error, statement, kind, about) from error
            cursor.execute("ROLLBACK TO SAVEPOINT dbtui")
            is_unknown_setting = kind == "SET" and error.pgcode == codes.UNDEFINED_OBJECT  # of a newer server
            if kind != "SCHEMA" and not is_optional and not is_unknown_setting:
                self._warnings.append(str(self._failure(error, statement, kind, about)))
        cursor.execute("RELEASE SAVEPOINT dbtui")

    def _execute(self, cursor: Cursor, statement: Statement, kind: str, about: DumpedObject | None = None) -> None:
        try:
            cursor.execute(statement.text)
        except psycopg2.Error as error:
            raise self._failure(error, statement, kind, about) from error

    def _copy(self, cursor: Cursor, lexer: Lexer, statement: Statement) -> Generator[Event, None, None]:
        feed = CopyFeed(lexer.copy_chunks())
        about = parse_object(statement.text, "COPY")
        shown = self._show(about)
        # Nobody saw the table before the rows: they need no freezing later, and no look whether they are there.
        text = statement.text + (b" WITH (FREEZE)" if about.key in self._own_tables else b"")
        while not feed.exhausted:
            lines_before = lexer.data_lines - feed.begin_piece()
            try:
                cursor.copy_expert(text, feed, CHUNK_BYTES)
            except psycopg2.Error as error:
                if feed.error is not None:
                    raise feed.error from None
                raise self._failure(error, statement, "COPY", about, lines_before) from error
            self._target.cancellation.check()
            yield from self._report(lexer, shown)

    def _failure(
        self, error: psycopg2.Error, statement: Statement, kind: str, about: DumpedObject | None, lines: int = 0
    ) -> DbtuiError:
        """Name file, line and object. The server's context is not repeated: it holds data."""
        self._target.cancellation.check()
        found = _COPY_LINE.match(error.diag.context or "") if kind == "COPY" else None
        line = statement.line + lines + int(found[1]) if found else statement.line
        what = f"{self._path.name}:{line}: {kind} {self._show(about) if about else ''}".rstrip()
        failure = translate(error, what)
        if isinstance(failure, (ServerError, ConnectError)):
            return failure
        return ServerError(failure.message, failure.hint)

    def _show(self, about: DumpedObject) -> str:
        names = [self._index.text_of(name) for name in about.key if name]
        return format_untrusted(".".join(names), 200)

    def _at(self, statement: Statement) -> str:
        return f"{self._path.name}:{statement.line}"


def refusal(where: str, reason: str) -> RefusedError:
    """Return the RefusedError for a statement that would run opaque code with a powerful login."""
    return RefusedError(
        f"{where}: restoring would run code of the dump with this login's power over the server: {reason}",
        "restore with a login that is neither a superuser nor allowed to run programs or touch files there",
    )
