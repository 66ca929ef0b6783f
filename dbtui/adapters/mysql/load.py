"""Loading a dump: our own client, which sends one judged statement after another and knows no commands.

A server that takes several statements in one packet is not asked to, LOAD DATA LOCAL is switched off, and everything is
judged again while it is loaded: the file may have changed since it was checked.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pymysql

from dbtui.adapters.mysql.code import enable_statements
from dbtui.adapters.mysql.connect import MysqlTarget, close_quietly
from dbtui.adapters.mysql.cursor import Refusal
from dbtui.adapters.mysql.failures import split_error
from dbtui.adapters.mysql.losses import LOSS_HINT, find_losses
from dbtui.adapters.mysql.names import quote_name, show_name
from dbtui.adapters.mysql.plain import DumpFile
from dbtui.adapters.mysql.sql_lexer import Statement
from dbtui.adapters.mysql.statements import Action, Judge, Verdict, edit
from dbtui.adapters.mysql.views import definer_clause, give_definers
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.errors import DamagedBackupError, DbtuiError, RefusedError, ServerError
from dbtui.model.backups import LoadRequest
from dbtui.model.events import CommandRan, Progressed, Routine, Warned
from dbtui.model.text import format_bytes, format_untrusted

_TICK_SECONDS = 0.2
#: What holds before the first statement. The dump sets its own; these are for dumps that set nothing.
_SESSION = (
    "SET NAMES utf8mb4",
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_TRANS_TABLES'",
    "SET SESSION foreign_key_checks = 0",
    "SET SESSION unique_checks = 0",
)
#: Access denied: to be another account's definer needs SUPER, SET USER or SET_USER_ID.
_NO_DEFINER = 1227
_SYNTAX = 1064
_GENERATED = 1906
_LENIENT = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"
_WRONG_VALUE = 1231
_FORGOTTEN_MODE = re.compile(rb",NO_AUTO_CREATE_USER|NO_AUTO_CREATE_USER,?")
#: Where the server's words repeat what was in a row or a statement: everything up to the last quotation mark.
_WITH_DATA = re.compile(r"(?<!column )(?<!key )'.*'( for key| for column| for function| at line|$)?", re.DOTALL)
#: Errors that a statement on the database alone can have because a chosen table's neighbours are missing.
_WITH_TABLE = ("rows", "table", "keys", "alter", "index", "drop")


@dataclass(slots=True)
class Loading:
    """One load: where it goes, what was seen."""

    target: MysqlTarget
    request: LoadRequest
    connection: MysqlConnection
    packet_bytes: int
    source: str
    chosen: frozenset[str]
    events: list[str] = field(default_factory=list)
    without_definer: int = 0
    definers: dict[str, bytes] = field(default_factory=dict)  # views, ours until all is loaded, and whose they are
    changed: dict[str, str] = field(default_factory=dict)  # tables, and what the server said of a value

    @property
    def keeps_events_on(self) -> bool:
        """Whether events may run at once: in a database of the same name, but not in a copy beside it."""
        return self.request.database == self.source


def load(target: MysqlTarget, request: LoadRequest) -> Routine[None]:
    """Load a dump into an empty database.

    Events of a copy are left switched off. Raises ServerError naming file, line and object, DamagedBackupError,
    RefusedError, Cancelled.
    """
    target.refuse_read_only(f"loading {request.backup.backup_id}")
    connection = target.connect(request.database)
    try:
        with DumpFile(request.backup, target.cancellation) as dump:
            loading = begin(target, request, connection, dump.source)
            yield CommandRan(f"USE {quote_name(request.database)}; statements of {dump.name} one by one")
            yield from run_all(loading, dump, Judge(source=dump.source))
        yield from finish(loading)
    finally:
        close_quietly(connection)


def begin(target: MysqlTarget, request: LoadRequest, connection: MysqlConnection, source: str) -> Loading:
    """Return a load on a connection to an empty database."""
    for statement in _SESSION:
        target.rows(statement, on=connection)
    packet = int(target.collect_one("packet_limit", on=connection)["bytes"])
    chosen = frozenset(table.name for table in request.tables)
    return Loading(target, request, connection, packet, source, chosen)


def run_all(loading: Loading, dump: DumpFile, judge: Judge) -> Routine[None]:
    """Run the wanted statements of one file. Raises DamagedBackupError, ServerError, RefusedError, Cancelled."""
    total, next_tick, table = dump.expected_bytes, time.monotonic() + _TICK_SECONDS, ""
    for statement in dump.statements():
        try:
            verdict = judge.judge(statement)
        except Refusal as refusal:
            raise DamagedBackupError(
                f"{dump.name}, line {statement.line}: {refusal.message}; it was not run", "use another backup"
            ) from refusal
        if verdict.action is Action.RUN and is_wanted(loading, verdict):
            run_one(loading, dump, statement, verdict)
            table = verdict.name or table
        if time.monotonic() >= next_tick:
            yield Progressed(statement.raw_end, total, "bytes", show_name(table))
            next_tick = time.monotonic() + _TICK_SECONDS
    if missing := dump.describe_missing_end(judge):
        raise DamagedBackupError(f"{dump.name} {missing}", "use another backup")


def is_wanted(loading: Loading, verdict: Verdict) -> bool:
    """Whether a statement belongs to the tables that were chosen; sequences do, for defaults count with them."""
    if not loading.chosen or verdict.kind in ("setting", "database", "sequence", "sequence value"):
        return True
    return (verdict.table or verdict.name) in loading.chosen and verdict.kind in (*_WITH_TABLE, "trigger")


def run_one(loading: Loading, dump: DumpFile, statement: Statement, verdict: Verdict) -> None:
    """Run one judged statement, as it has to be in the new database. Raises ServerError, RefusedError."""
    cuts = {"qualifier": b"", "database": quote_name(loading.request.database).encode()}
    if verdict.kind == "event" and not loading.keeps_events_on:
        cuts["enable"] = b"DISABLE"
        loading.events += [verdict.name for purpose, _, _ in verdict.cuts if purpose == "enable"]
    if verdict.kind == "view" and verdict.definer:
        loading.definers[verdict.name] = definer_clause(statement.text, verdict)
        cuts["definer"] = b""
    try:
        _send(loading, edit(statement.text, verdict, cuts))
    except pymysql.Error as error:
        if split_error(error)[0] == _GENERATED:
            loading.target.rows(_LENIENT, on=loading.connection)
        second_text = _second_text(statement, verdict, cuts, split_error(error)[0])
        if second_text is None:
            raise _explain(loading, dump, statement, verdict, error) from error
        loading.without_definer += verdict.kind not in ("setting", "rows")
        try:
            _send(loading, second_text)
        except pymysql.Error as second:
            raise _explain(loading, dump, statement, verdict, second) from second
    except RefusedError as error:
        raise RefusedError(f"{dump.name}, line {statement.line}: {error.message}", error.hint) from error
    if verdict.kind == "rows":
        _watch_values(loading, dump, statement, verdict.name)


def _watch_values(loading: Loading, dump: DumpFile, statement: Statement, table: str) -> None:
    """Raise ServerError when the server has lost a value of these rows; note what it may have changed."""
    for is_lost, said in find_losses(loading.connection):
        if is_lost:
            what = f"{dump.name}, line {statement.line}, rows {show_name(table)}"
            raise ServerError(f"{what}: the server would lose a value: {format_untrusted(said)}", LOSS_HINT)
        loading.changed.setdefault(table, said)


def _second_text(statement: Statement, verdict: Verdict, cuts: dict[str, bytes], number: int) -> bytes | None:
    """Return what is sent after a refusal that need not end the restore; None when there is no such thing.

    A strict server takes no values for generated columns, which dumps hold; all but the shortest dumps turn that off.
    Without its DEFINER an object belongs to the restoring login. MySQL 8 no longer knows one of the older sql_modes.
    """
    if number == _GENERATED and verdict.kind == "rows":
        return statement.text
    if number == _NO_DEFINER and verdict.definer:
        return edit(statement.text, verdict, cuts | {"definer": b""})
    if number == _WRONG_VALUE and verdict.kind == "setting" and _FORGOTTEN_MODE.search(statement.text):
        return _FORGOTTEN_MODE.sub(b"", statement.text)
    return None


def _send(loading: Loading, text: bytes) -> None:
    if len(text) + 1 >= loading.packet_bytes:
        raise RefusedError(
            f"a statement of {format_bytes(len(text))} is longer than the server's max_allowed_packet",
            f"SET GLOBAL max_allowed_packet = {min(1 << 30, (len(text) // 1024 + 2) * 1024)} there, then restore again",
        )
    loading.connection.query(text)


def _explain(
    loading: Loading, dump: DumpFile, statement: Statement, verdict: Verdict, error: pymysql.Error
) -> DbtuiError:
    """Say where it went wrong and on what, without the data that the server repeats."""
    number, said = split_error(error)
    if verdict.kind == "rows" or number == _SYNTAX:
        said = _WITH_DATA.sub(r"'…'\1", said)
    what = f"{dump.name}, line {statement.line}, {verdict.kind} {show_name(verdict.name)}".rstrip()
    return loading.target.explain(type(error)(number, said) if number else error, what)


def finish(loading: Loading) -> Routine[None]:
    """Check what was loaded, and say what differs from the backup. Raises ServerError."""
    target, connection = loading.target, loading.connection
    target.rows("SET SESSION foreign_key_checks = 1", on=connection)
    target.rows("SET SESSION unique_checks = 1", on=connection)
    orphans = target.collect("foreign_keys_without_parent", on=connection, schema=loading.request.database)
    for row in orphans:
        child, parent = show_name(str(row["child"])), show_name(str(row["parent"]))
        message = f"table {child} refers to {parent}, which is not in the new database"
        if not loading.chosen:
            raise ServerError(message, "use a backup of the whole database")
        yield Warned(message)
    yield from _warn(loading)


def _warn(loading: Loading) -> Iterator[Warned]:
    database = loading.request.database
    loading.target.switched_off_events[database] = tuple(loading.events)
    if loading.events:
        shown = "; ".join(enable_statements(loading.target, database, loading.events[:3]))
        more = len(loading.events) - 3
        yield Warned(
            f"{len(loading.events)} events are switched off in {show_name(database)}, so that a copy does not act on "
            f"its own; a swap switches them on again, otherwise run: {shown}{f'; and {more} more' if more > 0 else ''}"
        )
    for table, said in loading.changed.items():
        yield Warned(f"table {show_name(table)}: the server may have changed values: {format_untrusted(said)}")
    staying = give_definers(loading.target, loading.connection, database, loading.definers)
    loading.without_definer += sum(1 for _ in staying)
    if loading.without_definer:
        yield Warned(
            f"{loading.without_definer} views, triggers, routines or events now run as {loading.target.info.user}: "
            "to keep their DEFINER, restore as an account with SET USER (MySQL: SET_USER_ID)"
        )
