"""The plan of a session's statement, without running it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dbtui.adapters.mysql.connect import MysqlTarget, Row, close_quietly
from dbtui.adapters.mysql.names import quote_name
from dbtui.adapters.mysql.session_text import CUT, SQL_LENGTH, decode_statement, decode_text
from dbtui.adapters.mysql.tokens import Token, UnreadableError, tokens
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.errors import RefusedError, ServerError
from dbtui.model.sessions import Session
from dbtui.model.text import format_untrusted

_EXPLAINED = ("SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "TABLE", "VALUES")
#: The target runs nothing that has a plan, is gone, or may not be asked: the text is explained instead.
_NOT_NOW = ("1094", "1095", "1227", "1933", "1064", "1205", "1969", "3012")
#: Planning may read a few rows.
_LIMIT_MARIADB, _LIMIT_MYSQL = "max_statement_time = 3", "max_execution_time = 3000"
_PATIENCE = "lock_wait_timeout = 2"
_CHANGING = ("INSERT", "REPLACE", "UPDATE", "DELETE")
_READ_ONLY, _LOCKED = "1792", ("1205", "1969")
_WIDTH = 60


def explain(target: MysqlTarget, session: Session) -> str:
    """Return the plan that runs now, or else the plan that the statement would have.

    Raises RefusedError for what cannot be explained safely or is not known whole; ServerError, ConnectError.
    """
    with explaining(target) as made:
        running = _explain_running(target, session, made)
        if running is not None:
            return running
        return "The plan it would have:\n\n" + format_plan(explain_text(target, session.sql, session.database, made))


@contextmanager
def explaining(target: MysqlTarget) -> Iterator[MysqlConnection]:
    """Open another connection for a block, on which planning takes three seconds at most."""
    made = target.connect("")
    try:
        limit = _LIMIT_MARIADB if target.is_mariadb else _LIMIT_MYSQL
        target.rows(f"SET SESSION {limit}, {_PATIENCE}", on=made)
        yield made
    finally:
        close_quietly(made)


def require_explainable(sql: str) -> str:
    """Return the one statement in `sql`. Raises RefusedError: EXPLAIN must not run anything."""
    if not sql.strip():
        raise RefusedError("no statement of this session is known", "look again while it runs one")
    if sql.endswith(CUT):
        raise RefusedError("the statement is too long to be known whole", "explain it where it comes from")
    if "/*!" in sql or "/*M!" in sql:
        raise RefusedError("the statement has comments that some servers run", "explain it by hand")
    words = _words(sql)
    ends = [number for number, word in enumerate(words) if word.is_sign(";")]
    if ends and ends[0] < len(words) - 1:
        raise RefusedError("the text holds several statements", "explain one of them by hand")
    first = next((word for word in words if not word.is_sign("(")), None)
    if first is None or not first.is_word(*_EXPLAINED):
        shown = format_untrusted(first.text, 20) if first else "nothing"
        raise RefusedError(f"{shown} has no plan", f"these have one: {', '.join(_EXPLAINED)}")
    if any(word.is_word("OUTFILE", "DUMPFILE") for word in words):
        raise RefusedError("the statement writes a file", "explain it without INTO OUTFILE")
    return sql.encode()[: words[ends[0]].start].decode() if ends else sql


def _words(sql: str) -> Sequence[Token]:
    try:
        return list(tokens(sql.encode("utf-8", "surrogateescape")))
    except UnreadableError as error:
        raise RefusedError("the statement cannot be read to its end", "explain it by hand") from error


def _explain_running(target: MysqlTarget, session: Session, made: MysqlConnection) -> str | None:
    """Ask for the plan that a session is following; None when it runs that statement no more, or cannot answer.

    MariaDB has the session itself answer, at its next step: one that waits for a lock takes none.
    """
    if not session.is_active or (target.is_mariadb and session.wait):
        return None
    words = "SHOW EXPLAIN FOR" if target.is_mariadb else "EXPLAIN FOR CONNECTION"
    try:
        rows = target.rows(f"{words} {session.session_id}", on=made)
        is_same = _is_the_same(target, session, made)
    except ServerError as error:
        if error.code not in _NOT_NOW:
            raise
        return None
    return "The plan it follows now:\n\n" + format_plan(rows) if rows and is_same else None


def _is_the_same(target: MysqlTarget, session: Session, made: MysqlConnection) -> bool:
    """Whether the statement that was explained is the one that was seen. MariaDB names it in a note."""
    if not target.is_mariadb:
        rows = target.collect("look_again_mysql", id=session.session_id, length=SQL_LENGTH + 1)
        return bool(rows) and decode_statement(rows[0]["info"]) == session.sql
    said = [str(row["Message"]) for row in target.rows("SHOW WARNINGS", on=made) if row["Code"] == 1003]
    return bool(said) and said[0].strip() == session.sql.strip()


def explain_text(target: MysqlTarget, sql: str, database: str, made: MysqlConnection, words: str = "") -> list[Row]:
    """Explain in the statement's database; of what only reads in a transaction that cannot change anything.

    The servers refuse to explain a changing statement there. EXPLAIN does not run those either. `words` stand behind
    EXPLAIN.
    """
    text = require_explainable(sql)
    if database:
        target.rows(f"USE {quote_name(database)}", on=made, what="going to the statement's database")
    target.rows("START TRANSACTION" if _changes(text) else "START TRANSACTION READ ONLY", on=made)
    try:
        return target.rows(f"EXPLAIN {words}{text}", on=made, what="EXPLAIN")
    except ServerError as error:
        if error.code in _LOCKED:
            hint = "end or await who holds it, then ask again"
            raise RefusedError("a lock on the definition of a table keeps its plan from being made", hint) from error
        if error.code != _READ_ONLY:
            raise
        hint = "explain it with a profile that is not read-only"
        raise RefusedError("the server explains a changing statement only to who may change something", hint) from error


def _changes(text: str) -> bool:
    words = _words(text)
    return any(
        word.is_word(*_CHANGING) and (number == 0 or not words[number - 1].is_word("FOR"))
        for number, word in enumerate(words)
    )


def format_plan(rows: Sequence[Row]) -> str:
    """Return a plan as aligned columns; one that is a text of its own as it is."""
    if rows and len(rows[0]) == 1:
        return "\n".join(str(value) for row in rows for value in row.values())
    heads = list(rows[0]) if rows else []
    cells = [heads, *([_cell(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in cells)  # fmt: skip


def _cell(value: object) -> str:
    return "-" if value is None else format_untrusted(decode_text(value), _WIDTH)
