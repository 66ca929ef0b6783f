"""Triggers, views, routines and events of a database: read, and made again in another one.

RENAME TABLE moves none of them. Each is made again under the sql_mode and in the character set it was made with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pymysql.charset import charset_by_name

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.facts import use
from dbtui.adapters.mysql.names import quote_name, quote_text, show_name
from dbtui.adapters.mysql.privileges import format_account
from dbtui.adapters.mysql.sql_lexer import Statement
from dbtui.adapters.mysql.statements import Judge, edit
from dbtui.adapters.mysql.tokens import parse_modes
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.errors import ServerError


@dataclass(frozen=True, slots=True)
class CodeObject:
    """One trigger, view, routine or event, with the words that make it."""

    kind: str  # as DROP names it: TRIGGER, VIEW, PROCEDURE, FUNCTION, PACKAGE, PACKAGE BODY, EVENT
    name: str
    sql: str
    sql_mode: str | None
    charset: str
    collation: str
    time_zone: str | None = None

    def __str__(self) -> str:
        return f"{self.kind.lower()} {show_name(self.name)}"

    def is_same(self, other: "CodeObject") -> bool:
        """Whether it says the same; then the one that is there can stay, with the privileges given on it."""
        return (self.sql, self.sql_mode) == (other.sql, other.sql_mode)


@dataclass(frozen=True, slots=True)
class Code:
    """Everything in a database that is not a table or a sequence, in an order in which it can be made."""

    database: str
    triggers: tuple[CodeObject, ...]
    views: tuple[CodeObject, ...]
    routines: tuple[CodeObject, ...]
    events: tuple[CodeObject, ...]


def collect_code(target: MysqlTarget, connection: MysqlConnection, database: str) -> Code:
    """Read the code of a database, which becomes the current one. Raises ServerError when a definition is hidden."""
    target.rows(use(database), on=connection)

    def collect(question: str, fixed: str = "") -> tuple[CodeObject, ...]:
        rows = target.collect(question, on=connection, schema=database)
        return tuple(read_code(target, connection, fixed or str(row["type"]), str(row["name"])) for row in rows)

    return Code(
        database,
        collect("trigger_names", "TRIGGER"),
        collect("view_names", "VIEW"),
        collect("routine_names"),
        collect("event_names", "EVENT"),
    )


def read_code(target: MysqlTarget, connection: MysqlConnection, kind: str, name: str) -> CodeObject:
    """Read one object of the current database. Raises ServerError when its definition is hidden."""
    row = target.rows(f"SHOW CREATE {kind} {quote_name(name)}", on=connection, what=f"reading {kind.lower()} {name}")[0]
    return CodeObject(
        kind,
        name,
        _definition(row, kind, name),
        row.get("sql_mode"),
        str(row["character_set_client"]),
        str(row["collation_connection"]),
        row.get("time_zone"),
    )


def _definition(row: Row, kind: str, name: str) -> str:
    for column, value in row.items():
        if column.startswith(("Create ", "SQL Original")) and value:
            return str(value)
    raise ServerError(f"the definition of {kind.lower()} {show_name(name)} is hidden from this login")


def enable_statements(target: MysqlTarget, database: str, names: Sequence[str]) -> list[str]:
    """Return the statements that switch events on; each goes on running as its own account.

    ALTER EVENT without a DEFINER gives the event to whoever runs it (MariaDB's and MySQL's manuals, "ALTER EVENT").
    """
    if not names:
        return []
    definers = {str(row["name"]): str(row["definer"]) for row in target.collect("event_names", schema=database)}
    return [
        f"ALTER DEFINER = {format_account(definers[name])} EVENT {quote_name(database)}.{quote_name(name)} ENABLE"
        for name in names
        if name in definers
    ]


def drop_statement(database: str, one: CodeObject) -> str:
    """Return the statement that drops an object, if it is there."""
    return f"DROP {one.kind} IF EXISTS {quote_name(database)}.{quote_name(one.name)}"


def make(
    target: MysqlTarget,
    connection: MysqlConnection,
    database: str,
    one: CodeObject,
    source: str,
    *,
    enable: bool = True,
) -> Iterator[str]:
    """Make an object of `source` in `database`; yield the SQL before it is sent, so that it can be shown if it fails.

    A name of `source` before a trigger, its table or a sequence is left out. An event is made switched off unless
    `enable`.
    """
    modes = parse_modes(one.sql_mode or "")
    text = one.sql.encode("utf-8", "surrogateescape")
    verdict = Judge(source=source).judge(Statement(text, 1, len(text), modes=modes))
    text = edit(text, verdict, {"qualifier": b""} | ({} if enable else {"enable": b"DISABLE"}))
    if one.kind == "VIEW":
        text = text.replace(b"CREATE ", b"CREATE OR REPLACE ", 1)
    sql = text.decode("utf-8", "surrogateescape")
    yield f"{use(database)}; {sql}"
    target.rows(use(database), on=connection)
    before = target.collect_one("session_words", on=connection)
    try:
        if one.sql_mode is not None:
            target.rows(f"SET SESSION sql_mode = {quote_text(one.sql_mode)}", on=connection)
        if one.time_zone:
            target.rows(f"SET SESSION time_zone = {quote_text(one.time_zone)}", on=connection)
        _set_words(target, connection, one.charset, one.collation)
        with target.translating(f"making {one} in {show_name(database)}"):
            connection.query(_encode(sql, one.charset))
    finally:
        _set_words(target, connection, str(before["charset"]), str(before["collation"]))
        target.rows(f"SET SESSION sql_mode = {quote_text(str(before['sql_mode']))}", on=connection)
        target.rows(f"SET SESSION time_zone = {quote_text(str(before['time_zone']))}", on=connection)


def _set_words(target: MysqlTarget, connection: MysqlConnection, charset: str, collation: str) -> None:
    target.rows(
        f"SET SESSION character_set_client = {quote_text(charset)}, collation_connection = {quote_text(collation)}",
        on=connection,
    )


def _encode(sql: str, charset: str) -> bytes:
    """Return the words in the character set they were written in. Raises ServerError."""
    try:
        return sql.encode(charset_by_name(charset).encoding or "utf-8", "surrogateescape")
    except (LookupError, UnicodeEncodeError) as error:
        raise ServerError(f"a definition cannot be written in the character set {show_name(charset)}") from error
