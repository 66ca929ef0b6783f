"""Looking at the sessions of a target, and ending some of them."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from dbtui.adapters.adapter import SessionAdapter, Target
from dbtui.analysis.sessions import choose_sessions, plan_end
from dbtui.errors import ConnectError, RefusedError, ServerError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted
from dbtui.model.sessions import (
    ExplainedSession,
    Hit,
    Session,
    SessionHit,
    SessionsPlan,
    SessionsResult,
    SessionsSnapshot,
    SessionVerb,
)
from dbtui.model.text import format_untrusted
from dbtui.routines.context import RoutineContext

_NOT_THERE = "it was not there, or the login may not see it"
_NAMES = {EngineName.POSTGRESQL: "PostgreSQL", EngineName.MYSQL: "MySQL", EngineName.SQLITE: "SQLite"}


def unsupported_sessions(profile: ConnectionProfile, taken_at: datetime) -> SessionsSnapshot:
    """Return the snapshot of an engine that has no such thing as sessions."""
    reason = f"{_NAMES[profile.engine]} has no server and so no sessions"
    return SessionsSnapshot(profile=profile.name, taken_at=taken_at, unsupported=reason)


def collect_sessions(c: RoutineContext, profile: ConnectionProfile) -> Routine[SessionsSnapshot]:
    """Connect to a target and ask for its sessions. Raises ConnectError, ServerError."""
    yield from ()
    sessions = c.adapter(profile.engine).sessions
    if sessions is None:
        return unsupported_sessions(profile, c.now())
    with c.open_target(replace(profile, read_only=True)) as target:
        return sessions.collect_sessions(target)


def plan_end_sessions(
    c: RoutineContext, profile: ConnectionProfile, verb: SessionVerb, session_ids: Sequence[int]
) -> Routine[SessionsPlan]:
    """Ask for the sessions with these numbers and plan to end them. Raises ConnectError, ServerError, UsageError."""
    yield from ()
    sessions = _sessions_of(c, profile)
    with c.open_target(replace(profile, read_only=True)) as target:
        snapshot = sessions.collect_sessions(target)
        orders = sessions.show_orders(target, verb, choose_sessions(snapshot, session_ids))
    return plan_end(snapshot, verb, session_ids, orders, profile)


def apply_end_sessions(c: RoutineContext, profile: ConnectionProfile, plan: SessionsPlan) -> Routine[SessionsResult]:
    """Cancel or terminate the sessions of a plan, one by one; each is checked to be the planned one by the server.

    Those that the plan says are not there count as gone.
    Raises RefusedError, ConnectError (when nothing was ordered yet), Cancelled.
    """
    _refuse(profile, plan)
    sessions = _sessions_of(c, profile)
    missing = [SessionHit(session=Session(session_id=each), hit=Hit.GONE, detail=_NOT_THERE) for each in plan.missing]
    hits: list[SessionHit] = []
    if plan.sessions:
        began = time.monotonic()
        yield StepStarted(plan.verb.value, f"{len(plan.sessions)} on {profile.name}")
        hits = yield from _end_each(c, profile, plan, sessions)
        yield StepFinished(plan.verb.value, time.monotonic() - began)
    return SessionsResult(verb=plan.verb, hits=(*hits, *missing))


def _end_each(
    c: RoutineContext, profile: ConnectionProfile, plan: SessionsPlan, sessions: SessionAdapter
) -> Routine[list[SessionHit]]:
    hits: list[SessionHit] = []
    with c.open_target(profile) as target:
        for number, session in enumerate(plan.sessions):
            c.cancellation.check()
            orders = plan.commands if len(plan.sessions) == 1 else sessions.show_orders(target, plan.verb, [session])
            for order in orders:
                yield CommandRan(order)
            try:
                hits.append(_end(sessions, target, plan, session))
            except ConnectError as error:
                hits += _lost(error, plan.sessions[number:])
                break
            yield Progressed(number + 1, len(plan.sessions), "sessions", f"session {session.session_id}")
    return hits


def _refuse(profile: ConnectionProfile, plan: SessionsPlan) -> None:
    refusals = plan.refusals
    if profile.read_only and not refusals:
        refusals = (f"profile {format_untrusted(profile.name)} is read-only",)
    if refusals:
        raise RefusedError(f"{plan.verb.value} refused: {'; '.join(refusals)}", "nothing was changed")


def _end(sessions: SessionAdapter, target: Target, plan: SessionsPlan, session: Session) -> SessionHit:
    try:
        return sessions.end_session(target, plan.verb, session, plan.taken_at)
    except ServerError as error:
        return SessionHit(session=session, hit=Hit.REFUSED, detail=str(error))


def _lost(error: ConnectError, left: Sequence[Session]) -> list[SessionHit]:
    first = SessionHit(session=left[0], hit=Hit.REFUSED, detail=f"it is not known whether it was ended: {error}")
    return [first, *(SessionHit(session=each, hit=Hit.REFUSED, detail="not tried") for each in left[1:])]


def explain_session(c: RoutineContext, profile: ConnectionProfile, session: Session) -> Routine[str]:
    """Return the plan of what a session runs, without running it. Raises ConnectError, ServerError, RefusedError.

    The adapters see to it that nothing is changed. The connection is as the profile says all the same: MariaDB plans a
    statement that changes something only for who may change something.
    """
    yield from ()
    sessions = _sessions_of(c, profile)
    with c.open_target(profile) as target:
        return sessions.explain(target, session)


def explain_numbered_session(
    c: RoutineContext, profile: ConnectionProfile, session_id: int
) -> Routine[ExplainedSession]:
    """Return the plan of what the session of this number runs now, without running it; see `explain_session`.

    Raises ConnectError, ServerError (also when there is no such session), RefusedError for what has no plan,
    UsageError.
    """
    yield from ()
    sessions = _sessions_of(c, profile)
    with c.open_target(profile) as target:
        snapshot = sessions.collect_sessions(target)
        session = next(iter(choose_sessions(snapshot, [session_id])), None)
        if session is None:
            name = format_untrusted(profile.name)
            hint = f"dbtui sessions {name} --all shows those it sees"
            raise ServerError(f"there is no session {session_id} on {name}, or the login may not see it", hint)
        return ExplainedSession(session=session, taken_at=snapshot.taken_at, plan=sessions.explain(target, session))


def _sessions_of(c: RoutineContext, profile: ConnectionProfile) -> SessionAdapter:
    sessions = c.adapter(profile.engine).sessions
    if sessions is None:
        raise UsageError(unsupported_sessions(profile, c.now()).unsupported, "name a PostgreSQL or MySQL target")
    return sessions
