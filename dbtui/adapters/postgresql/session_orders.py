"""Cancels a statement or terminates a session of PostgreSQL, and looks what became of it."""

import time
from collections.abc import Sequence
from typing import Any

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_name
from dbtui.errors import ServerError
from dbtui.model.sessions import Hit, Session, SessionHit, SessionVerb

_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.02
_NO_PRIVILEGE = "42501"


def show_orders(target: PostgresqlTarget, verb: SessionVerb, sessions: Sequence[Session]) -> tuple[str, ...]:
    """Return the statements that `end_session` would run."""
    return tuple(
        _shown(target, verb, session)
        for session in sessions
        if session.started_at is not None and (verb is SessionVerb.TERMINATE or session.is_active)
    )


def _shown(target: PostgresqlTarget, verb: SessionVerb, session: Session) -> str:
    if verb is SessionVerb.TERMINATE:
        return target.show_statement("terminate_session", **_identity(session))
    return target.show_statement("cancel_session", **_identity(session), query_started_at=session.query_started_at)


def _identity(session: Session) -> dict[str, Any]:
    return {"process_id": session.session_id, "started_at": session.started_at}


def end_session(target: PostgresqlTarget, verb: SessionVerb, session: Session) -> SessionHit:
    """Cancel what a session runs, or terminate it, if it still is that session and, for cancel, that statement.

    Waits up to five seconds until it has ended. Raises RefusedError for a read-only profile.
    """
    target.refuse_read_only(f"to {verb.value} a session")
    if objection := _objection(target, verb, session):
        return SessionHit(session=session, hit=Hit.REFUSED, detail=objection)
    try:
        told = _order(target, verb, session)
    except ServerError as error:
        if error.code != _NO_PRIVILEGE:
            raise
        return SessionHit(session=session, hit=Hit.REFUSED, detail=_missing_privilege(target, session, error))
    if not any(row.was_told for row in told):
        return _missed(verb, session, _look(target, session))
    return _await_end(target, verb, session)


def _order(target: PostgresqlTarget, verb: SessionVerb, session: Session) -> list[Any]:
    if verb is SessionVerb.TERMINATE:
        return target.collect("terminate_session", **_identity(session))
    return target.collect("cancel_session", **_identity(session), query_started_at=session.query_started_at)


def _objection(target: PostgresqlTarget, verb: SessionVerb, session: Session) -> str:
    if session.is_own:
        return "it is a session of dbtui itself"
    if not session.is_client:
        return "it belongs to the server itself and is no client's session"
    if session.started_at is None:
        return (
            "when it began is hidden, so it cannot be told from a later one: "
            f"GRANT pg_read_all_stats TO {quote_name(target.info.user)}"
        )
    if verb is SessionVerb.CANCEL and session.query_started_at is None:
        return "it has run no statement yet; only terminating it ends it"
    if verb is SessionVerb.CANCEL and session.is_idle_in_transaction:
        return "it runs no statement; only terminating it ends its transaction"
    return ""


def _missing_privilege(target: PostgresqlTarget, session: Session, error: ServerError) -> str:
    """Which role is needed, as the server's rule is: superusers' sessions end by superusers alone.

    Source: the manual, "Server Signaling Functions".
    """
    rows = target.collect("collect_login_of_session", process_id=session.session_id)
    if any(row.is_superuser for row in rows):
        return "it is a superuser's session: only a superuser may end it"
    me = quote_name(target.info.user)
    return f"GRANT pg_signal_backend TO {me}, or log in as {quote_name(session.user)} ({error.message})"


def _look(target: PostgresqlTarget, session: Session) -> Any:
    rows = target.collect("collect_session_now", **_identity(session), query_started_at=session.query_started_at)
    return rows[0] if rows else None


def _missed(verb: SessionVerb, session: Session, row: Any) -> SessionHit:
    """Why the order met nobody."""
    if row is None:
        return SessionHit(session=session, hit=Hit.GONE, detail="the session had ended already")
    if row.is_same is None:
        return SessionHit(session=session, hit=Hit.REFUSED, detail="this login may not see when the session began")
    if not row.is_same:
        return SessionHit(session=session, hit=Hit.REPLACED, detail="the number belongs to a later session now")
    if row.is_asking:
        return SessionHit(session=session, hit=Hit.REFUSED, detail="dbtui's own question runs in it at the moment")
    if verb is SessionVerb.CANCEL and row.is_active and not row.is_same_query:
        return SessionHit(session=session, hit=Hit.REPLACED, detail="it runs another statement now")
    ended = "its statement had ended already" if verb is SessionVerb.CANCEL else "the session was just ending"
    return SessionHit(session=session, hit=Hit.GONE, detail=ended)


def _await_end(target: PostgresqlTarget, verb: SessionVerb, session: Session) -> SessionHit:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        row = _look(target, session)
        if row is None or not row.is_same or (verb is SessionVerb.CANCEL and not (row.is_active and row.is_same_query)):
            return SessionHit(session=session, hit=Hit.DONE)
        if time.monotonic() > deadline:
            waits = f", waiting for {row.wait_event_type}: {row.wait_event}" if row.wait_event_type else ""
            detail = f"the server took the order; after {_PATIENCE_SECONDS:.0f} s it is still {row.state}{waits}"
            return SessionHit(session=session, hit=Hit.STILL_THERE, detail=detail)
        target.cancellation.wait(_PAUSE_SECONDS)
