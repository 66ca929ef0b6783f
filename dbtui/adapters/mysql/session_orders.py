"""Ending statements and sessions, only if they still are those that were looked at.

A server counts its sessions upwards and gives no number twice before 2^32 of them. Number, user and host (with the
client's port) therefore mean one session as long as the server has not been restarted since, which its uptime, told in
whole seconds, shows.
MariaDB checks all this in the statement that ends the session, and numbers its statements, so that a cancelled one is
exactly the one that was seen. MySQL cannot check and end in one statement: it is asked first, on the same connection.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.names import quote_text
from dbtui.adapters.mysql.probes import grant_everywhere, termination_privilege
from dbtui.adapters.mysql.session_text import SQL_LENGTH, decode_statement, decode_text, format_client, parse_client
from dbtui.errors import ServerError
from dbtui.model.sessions import Hit, Session, SessionHit, SessionVerb
from dbtui.model.text import format_untrusted

_WAIT_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
_NO_SESSION, _NO_QUERY = "1094", "1957"
_DENIED = ("1095", "1979", "1227")
_RESTING = "Sleep"
#: MySQL tells the age of a statement in whole seconds.
_TOLERANCE_SECONDS = 2.0
_PLAIN_QUOTING = str.maketrans({"'": None, "\\": None})


def format_orders(target: MysqlTarget, verb: SessionVerb, sessions: Sequence[Session]) -> tuple[str, ...]:
    """Return the statements that end these sessions. @age is set to the seconds since they were looked at."""
    orders: list[str] = []
    for session in sessions:
        orders += (
            [_guarded(session, verb)]
            if target.is_mariadb
            else [_check(session, is_mariadb=False), _order(session, verb)]
        )
    return tuple(orders)


def end_session(target: MysqlTarget, verb: SessionVerb, session: Session, taken_at: datetime) -> SessionHit:
    """Cancel or terminate exactly this session, and say what it really hit.

    Raises RefusedError for a read-only profile, ConnectError, ServerError.
    """
    target.refuse_read_only("ending a session")
    if not session.is_client:
        return SessionHit(session=session, hit=Hit.REFUSED, detail="it belongs to the server itself")
    if verb is SessionVerb.CANCEL and not session.is_active:
        return SessionHit(session=session, hit=Hit.GONE, detail="no statement of it was running")
    age = max(0.0, (datetime.now(UTC) - taken_at).total_seconds())
    try:
        was_sent = _send(target, verb, session, age)
    except ServerError as error:
        return _explain_refusal(target, session, error)
    if not was_sent:
        return _explain_miss(target, verb, session)
    return _await_end(target, verb, session)


def _send(target: MysqlTarget, verb: SessionVerb, session: Session, age: float) -> bool:
    target.rows(f"SET @age = {age:.3f}")
    if target.is_mariadb:
        return bool(target.rows(_guarded(session, verb))[0]["was_sent"])
    if not target.rows(_check(session, is_mariadb=False)):
        return False
    if verb is SessionVerb.CANCEL and not _is_same_statement(_look(target, session), session, age):
        return False
    target.rows(_order(session, verb))
    return True


def _guarded(session: Session, verb: SessionVerb) -> str:
    same = ""
    if verb is SessionVerb.CANCEL:  # a session at rest keeps the number of its last statement
        same = f" AND command <> '{_RESTING}' AND query_id = {session.query_id or 0}"
    return (
        f"BEGIN NOT ATOMIC IF EXISTS ({_check(session, is_mariadb=True)}{same}) THEN {_order(session, verb)}; "
        "SELECT 1 AS was_sent; ELSE SELECT 0 AS was_sent; END IF; END"
    )


def _order(session: Session, verb: SessionVerb) -> str:
    if verb is SessionVerb.TERMINATE:
        return f"KILL CONNECTION {session.session_id}"
    if session.query_id:
        return f"KILL QUERY ID {session.query_id}"
    return f"KILL QUERY {session.session_id}"


def _check(session: Session, *, is_mariadb: bool) -> str:
    user, host = _literal(session.user), _literal(parse_client(session.client))
    schema = "information_schema" if is_mariadb else "performance_schema"
    uptime = f"(SELECT variable_value FROM {schema}.global_status WHERE variable_name = 'Uptime')"  # noqa: S608
    return (
        f"SELECT id FROM information_schema.processlist WHERE id = {session.session_id} AND user = {user}"  # noqa: S608
        f" AND host = {host} AND {uptime} + 1 >= @age"
    )


def _literal(text: str) -> str:
    """Return a literal that can be read where that is safe, and hexadecimal otherwise."""
    is_plain = text.isascii() and text.isprintable() and text == text.translate(_PLAIN_QUOTING)
    return f"'{text}'" if is_plain else quote_text(text)


def _look(target: MysqlTarget, session: Session) -> Row | None:
    name = "look_again_mariadb" if target.is_mariadb else "look_again_mysql"
    rows = target.collect(name, id=session.session_id, length=SQL_LENGTH + 1)
    return rows[0] if rows else None


def _is_same_session(row: Row, session: Session) -> bool:
    return decode_text(row["user"]) == session.user and format_client(decode_text(row["host"])) == session.client


def _is_same_statement(row: Row | None, session: Session, age: float) -> bool:
    """Whether a session still runs what was seen: by the statement's number, else by its text and its age."""
    if row is None or row["command"] == _RESTING:
        return False
    if session.query_id:
        return row.get("query_id") == session.query_id
    expected = (session.query_seconds or 0.0) + age
    is_as_old = abs(float(row["seconds"] or 0) - expected) <= _TOLERANCE_SECONDS
    return is_as_old and decode_statement(row["info"]) == session.sql


def _explain_refusal(target: MysqlTarget, session: Session, error: ServerError) -> SessionHit:
    if error.code == _NO_SESSION:
        return SessionHit(session=session, hit=Hit.GONE, detail="it had ended by itself")
    if error.code == _NO_QUERY:
        return SessionHit(session=session, hit=Hit.GONE, detail="its statement had ended by itself")
    if error.code not in _DENIED:
        raise error
    grant = grant_everywhere(target, termination_privilege(target))
    return SessionHit(session=session, hit=Hit.REFUSED, detail=f"{error.message}: {grant}")


def _explain_miss(target: MysqlTarget, verb: SessionVerb, session: Session) -> SessionHit:
    """Say why the check did not find the session as it was."""
    row = _look(target, session)
    if row is None:
        return SessionHit(session=session, hit=Hit.GONE, detail="it had ended by itself")
    if verb is SessionVerb.TERMINATE or not _is_same_session(row, session):
        who = f"{decode_text(row['user'])} from {format_client(decode_text(row['host']))}"
        detail = f"number {session.session_id} is now {format_untrusted(who, 160)}, which was left alone"
        return SessionHit(session=session, hit=Hit.REPLACED, detail=detail)
    if row["command"] == _RESTING:
        return SessionHit(session=session, hit=Hit.GONE, detail="its statement had ended by itself")
    return SessionHit(session=session, hit=Hit.REPLACED, detail="it runs another statement now, which was left alone")


def _await_end(target: MysqlTarget, verb: SessionVerb, session: Session) -> SessionHit:
    """Look until it has ended: the server takes an order at once and obeys when the session comes to a safe place."""
    row = None
    for _ in range(int(_WAIT_SECONDS / _PAUSE_SECONDS)):
        row = _look(target, session)
        if row is None or not _is_same_session(row, session) or _has_ended(row, verb, session):
            return SessionHit(session=session, hit=Hit.DONE)
        if target.cancellation.wait(_PAUSE_SECONDS):
            break
    return SessionHit(session=session, hit=Hit.STILL_THERE, detail=_show_progress(target, session, row))


def _has_ended(row: Row, verb: SessionVerb, session: Session) -> bool:
    if verb is SessionVerb.TERMINATE:
        return False
    if session.query_id:
        return bool(row["command"] == _RESTING or row["query_id"] != session.query_id)
    return bool(row["command"] == _RESTING or decode_statement(row["info"]) != session.sql)


def _show_progress(target: MysqlTarget, session: Session, row: Row | None) -> str:
    try:
        undoing = target.collect("rows_to_roll_back", id=session.session_id)
    except ServerError:  # without PROCESS there is less to tell
        undoing = []
    state = format_untrusted(decode_text(row["state"]), 80) if row else ""
    left = f", {undoing[0]['changed']} changed rows to roll back" if undoing else ""
    return f"the server took the order{f' and says: {state}' if state else ''}{left}"
