"""What changes a PostgreSQL replica: pausing replay, promoting it, dropping a slot. Each with what it would run."""

import time

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_name
from dbtui.errors import RefusedError, ServerError, UsageError
from dbtui.model.events import CommandRan, Progressed, Routine
from dbtui.model.replicas import ReplicaAction
from dbtui.model.text import format_duration, format_untrusted

_LOOK_SECONDS = 0.2
_STATEMENTS = {
    ReplicaAction.PAUSE: "pause_replay",
    ReplicaAction.RESUME: "resume_replay",
    ReplicaAction.DROP_SLOT: "drop_replication_slot",
    ReplicaAction.PROMOTE: "promote_replica",
}
_GRANTS = {
    ReplicaAction.PAUSE: "GRANT EXECUTE ON FUNCTION pg_wal_replay_pause() TO {login}",
    ReplicaAction.RESUME: "GRANT EXECUTE ON FUNCTION pg_wal_replay_resume() TO {login}",
    ReplicaAction.DROP_SLOT: "ALTER ROLE {login} REPLICATION",
    ReplicaAction.PROMOTE: "GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO {login}",
}
_NO_PRIVILEGE, _NO_RECOVERY, _NO_OBJECT, _IN_USE = "42501", "55000", "42704", "55006"


def show_orders(target: PostgresqlTarget, action: ReplicaAction, slot: str = "") -> tuple[str, ...]:
    """Return the statements that an action runs. Raises UsageError for one that is no statement."""
    if action not in _STATEMENTS:
        raise UsageError(f"{action.value} is more than a statement", "plan it as a whole")
    binds = {"slot": slot} if action is ReplicaAction.DROP_SLOT else {}
    return (f"{target.show_statement(_STATEMENTS[action], **binds)};",)


def pause_replay(target: PostgresqlTarget) -> None:
    """Have replay wait. Raises RefusedError (a primary, a read-only profile, no privilege), ServerError."""
    _order(target, ReplicaAction.PAUSE)


def resume_replay(target: PostgresqlTarget) -> None:
    """Have replay go on. Raises as `pause_replay` does."""
    _order(target, ReplicaAction.RESUME)


def drop_slot(target: PostgresqlTarget, slot: str) -> None:
    """Drop a slot. Raises UsageError (there is none of that name), RefusedError (somebody reads it), ServerError."""
    _order(target, ReplicaAction.DROP_SLOT, slot)


def promote(target: PostgresqlTarget, patience_seconds: float) -> Routine[None]:
    """Make a replica a primary and wait until it is one. Raises RefusedError, ServerError (not in time), Cancelled.

    A promotion that was asked for goes on whatever becomes of this run.
    """
    yield CommandRan(show_orders(target, ReplicaAction.PROMOTE)[0])
    _order(target, ReplicaAction.PROMOTE)
    began = time.monotonic()
    while target.collect_one("look_at_recovery").is_replica:
        waited = time.monotonic() - began
        if waited > patience_seconds:
            said = f"the replica was asked to become a primary and has not after {format_duration(waited)}"
            raise ServerError(said, "look into its log: the promotion goes on")
        yield Progressed(int(waited), None, "seconds", "waiting until it takes writes")
        target.cancellation.wait(_LOOK_SECONDS)
        target.cancellation.check()


def _order(target: PostgresqlTarget, action: ReplicaAction, slot: str = "") -> None:
    target.refuse_read_only(action.value)
    try:
        if action is ReplicaAction.DROP_SLOT:
            target.collect("drop_replication_slot", slot=slot)
        else:
            target.collect(_STATEMENTS[action])
    except ServerError as error:
        raise _explain(target, action, slot, error) from error


def _explain(target: PostgresqlTarget, action: ReplicaAction, slot: str, error: ServerError) -> Exception:
    if error.code == _NO_PRIVILEGE:
        grant = _GRANTS[action].format(login=quote_name(target.info.user))
        return RefusedError(f"{action.value} is not allowed for this login: {error.message}", f"it needs {grant}")
    if error.code == _NO_RECOVERY:
        return RefusedError(f"{action.value} is for replicas: {target.where} is a primary", "name a replica")
    shown = format_untrusted(slot)
    if error.code == _NO_OBJECT:
        return UsageError(f"there is no slot {shown} on {target.where}", "dbtui replicas TARGET lists them")
    if error.code == _IN_USE:
        return RefusedError(f"slot {shown} is in use: {error.message}", "stop its reader first")
    return error
