"""Sessions of a PostgreSQL server: who is connected, what each does, who waits for whom."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg2.extensions import encodings

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.libpq.conninfo import APPLICATION_NAME
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.explain import explain
from dbtui.adapters.postgresql.session_orders import end_session, show_orders
from dbtui.adapters.postgresql.sql import quote_name
from dbtui.model.sessions import Session, SessionHit, SessionsSnapshot, SessionVerb

#: What stands in place of a statement that the login may not see.
_HIDDEN = b"<insufficient privilege>"
_CLIENTS = (b"client backend", b"walsender")
_ACTIVE = ("active", "fastpath function call")
_LONGEST_CHARACTER_BYTES = 4
_KEPT_SECONDS = 3600.0
_NAMED_TRANSACTIONS = 5


class PostgresqlSessions:
    """See `dbtui.adapters.adapter.SessionAdapter`."""

    def collect_sessions(self, target: Target) -> SessionsSnapshot:
        """Ask for every session, with who blocks whom. What the login may not see is a gap with its GRANT."""
        return collect_sessions(narrow(target, PostgresqlTarget))

    def show_orders(self, target: Target, verb: SessionVerb, sessions: Sequence[Session]) -> tuple[str, ...]:
        """Return the statements that `end_session` would run, for the plan."""
        return show_orders(narrow(target, PostgresqlTarget), verb, sessions)

    def end_session(
        self,
        target: Target,
        verb: SessionVerb,
        session: Session,
        taken_at: datetime,  # noqa: ARG002 - the protocol has it
    ) -> SessionHit:
        """Cancel or terminate exactly this session; the server's own times tell it apart, not `taken_at`."""
        return end_session(narrow(target, PostgresqlTarget), verb, session)

    def explain(self, target: Target, session: Session) -> str:
        """Return the plan of the session's statement without running it. Raises ServerError, RefusedError."""
        return explain(narrow(target, PostgresqlTarget), session)


SESSIONS = PostgresqlSessions()


def collect_sessions(target: PostgresqlTarget) -> SessionsSnapshot:
    """Ask for every session in one round trip; parallel workers are counted with their leader.

    A blocker without a process (a prepared transaction) is a session of its own, number 0.
    """
    limit_bytes = target.collect_kept("collect_query_limit", _KEPT_SECONDS)[0].bytes
    rows = target.collect_bytes("collect_sessions", own=target.own_processes())
    sessions = [_session(row, target, limit_bytes) for row in rows]
    if any(0 in session.blocked_by for session in sessions):
        sessions.extend(_prepared_transactions(target))
    gaps = tuple(_gaps(rows, target))
    return SessionsSnapshot(
        profile=target.profile.name,
        taken_at=datetime.now(UTC),
        sessions=tuple(sessions),
        user=target.info.user,
        gaps=gaps,
        is_partial=bool(gaps),
    )


def _gaps(rows: Sequence[Any], target: PostgresqlTarget) -> Iterator[str]:
    if any(row.sql == _HIDDEN for row in rows):
        yield missing_sight(target)
    if any(row.state == b"disabled" for row in rows):
        yield "the server tells no states and statements: SET track_activities = on, for all sessions, shows them"


def missing_sight(target: PostgresqlTarget) -> str:
    """Say what a login needs to see other logins' sessions."""
    return f"sessions of other logins need GRANT pg_read_all_stats TO {quote_name(target.info.user)}"


def _session(row: Any, target: PostgresqlTarget, limit_bytes: int) -> Session:
    state = decode_text(row.state)
    is_client = row.backend_type in _CLIENTS or (row.backend_type is None and row.login is not None)
    is_active = row.backend_type == b"client backend" and state in _ACTIVE
    application = decode_text(row.application)
    return Session(
        session_id=row.process_id,
        user=decode_text(row.login),
        database=decode_text(row.database),
        application=application or ("" if is_client else decode_text(row.backend_type)),
        client=_client(row),
        state=state,
        wait=format_wait(decode_text(row.wait_event_type), decode_text(row.wait_event)),
        started_at=row.started_at,
        transaction_seconds=_age(row.transaction_seconds),
        query_seconds=_age(row.query_seconds) if is_active else None,
        state_seconds=_age(row.state_seconds),
        sql=_statement(row, limit_bytes),
        blocked_by=tuple(dict.fromkeys(row.blocked_by or ())),
        is_active=is_active,
        is_idle_in_transaction=state.startswith("idle in transaction"),
        is_own=row.is_own or _is_dbtui(row, target, application, state),
        is_client=is_client,
        is_tls=row.is_tls,
        query_started_at=row.query_started_at,
        workers=row.workers,
    )


def _is_dbtui(row: Any, target: PostgresqlTarget, application: str, state: str) -> bool:
    """Whether it is a dbtui of the same login. What a pooler keeps open has the name of whoever used it last."""
    is_kept = target.is_pooled and state == "idle"
    return application == APPLICATION_NAME and decode_text(row.login) == target.info.user and not is_kept


def _client(row: Any) -> str:
    if row.port is None:
        return ""
    if row.address is None:
        return "local"
    address = decode_text(row.address)
    name = decode_text(row.host_name) or (f"[{address}]" if ":" in address else address)
    return f"{name}:{row.port}"


def format_wait(event_type: str | None, event: str | None) -> str:
    """Return what a session waits for as the server calls it: `Lock: transactionid`."""
    return f"{event_type}: {event}" if event_type else ""


def _age(seconds: float | None) -> float | None:
    return None if seconds is None else max(0.0, seconds)


def _statement(row: Any, limit_bytes: int) -> str:
    """The text in its database's encoding, marked with `…` where the server has cut it.

    The server cuts whole characters, so that a text which is not ASCII may end up to three bytes early.
    """
    if row.sql is None or row.sql == _HIDDEN:
        return ""
    text = decode_text(row.sql, decode_text(row.encoding))
    room = limit_bytes - 1 - len(row.sql)
    is_cut = room <= 0 or (room < _LONGEST_CHARACTER_BYTES and not row.sql.isascii())
    return f"{text}…" if is_cut else text


def decode_text(text: bytes | None, encoding: str = "UTF8") -> str:
    """Return a text that the server sent as it is stored; what is not valid is replaced.

    `encoding` is the server's name of it; where a text may be in any (SQL_ASCII, shared names) UTF-8 is assumed.
    """
    codec = "utf-8" if encoding == "SQL_ASCII" else encodings.get(encoding, "utf-8")
    return (text or b"").decode(codec, "replace")


def _prepared_transactions(target: PostgresqlTarget) -> Iterator[Session]:
    """The blocker that has no process: the oldest prepared transaction stands for all of them."""
    rows = target.collect_bytes("collect_prepared_transactions")
    if not rows:  # it has ended meanwhile
        return
    names = [decode_text(row.gid) for row in rows]
    shown = ", ".join(repr(name) for name in names[:_NAMED_TRANSACTIONS])
    more = f" and {len(names) - _NAMED_TRANSACTIONS} more" if len(names) > _NAMED_TRANSACTIONS else ""
    yield Session(
        session_id=0,
        user=decode_text(rows[0].login),
        database=decode_text(rows[0].database),
        application="prepared transaction",
        state="prepared",
        transaction_seconds=_age(rows[0].seconds),
        sql=f"prepared: {shown}{more}; COMMIT PREPARED or ROLLBACK PREPARED ends one",
        is_client=False,
    )
