"""Giving PgBouncer orders: PAUSE, RESUME, RELOAD, RECONNECT, KILL, planned, sent, and looked at afterwards."""

import time
from dataclasses import replace

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.adapters.pgbouncer.console import Console
from dbtui.adapters.pgbouncer.orders import Order, send_order, show_order, try_order
from dbtui.adapters.pgbouncer.snapshot import collect_pooler, forget_settings
from dbtui.analysis.pooler_orders import describe_outcome, plan_order
from dbtui.errors import Cancelled, ConnectError, RefusedError, ServerError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted
from dbtui.model.pools import PoolerPlan, PoolerResult, PoolerSnapshot, PoolerVerb
from dbtui.model.text import format_untrusted
from dbtui.routines.consoles import opened_console
from dbtui.routines.context import RoutineContext

_LOOK_SECONDS = 10.0
_ASKED_EVERY_SECONDS = 1.0


def plan_pooler_order(
    c: RoutineContext, profile: ConnectionProfile, verb: PoolerVerb, database: str = ""
) -> Routine[PoolerPlan]:
    """Look at PgBouncer and plan an order; `database` empty: all of them. Raises ConnectError, UsageError."""
    yield from ()
    with opened_console(c, profile) as console:
        snapshot = collect_pooler(console, c.now())
    undo = show_order(PoolerVerb.RESUME, database)
    return plan_order(snapshot, profile, verb, database, show_order(verb, database), undo)


def apply_pooler_order(c: RoutineContext, profile: ConnectionProfile, plan: PoolerPlan) -> Routine[PoolerResult]:
    """Give the order of a plan and look at what came of it.

    A PAUSE waits until transactions have ended. Cancelled meanwhile it is taken back by RESUME, and the reason of
    Cancelled says in what state PgBouncer was left. Raises RefusedError, ConnectError, ServerError, Cancelled.
    """
    _refuse(profile, plan)
    began = time.monotonic()
    yield StepStarted(plan.verb.value, f"PgBouncer at {plan.source}")
    shielded = Cancellation()  # a cancelled order is still taken back and looked at
    with opened_console(c, profile) as console, opened_console(_shielded(c, shielded), profile) as witness:
        before = _look(c, witness)
        _check_still(before, plan)
        yield CommandRan(plan.command)
        order = send_order(console, plan.verb, plan.database)
        try:
            while not order.wait(_ASKED_EVERY_SECONDS):
                c.cancellation.check()
                yield Progressed(0, None, "server connections", _describe_wait(_look(c, witness), plan))
        except (Cancelled, GeneratorExit) as stop:
            left = _take_back(c, witness, order, plan)
            if isinstance(stop, GeneratorExit):
                raise
            raise Cancelled(f"{stop.message}: {left}") from None
        detail = describe_outcome(plan.verb, plan.database, before, _look(c, witness))
    seconds = time.monotonic() - began
    yield StepFinished(plan.verb.value, seconds, detail)
    return PoolerResult(verb=plan.verb, database=plan.database, seconds=seconds, detail=detail)


def _refuse(profile: ConnectionProfile, plan: PoolerPlan) -> None:
    refusals = plan.refusals
    if profile.read_only and not refusals:
        refusals = (f"profile {format_untrusted(profile.name)} is read-only",)
    if refusals:
        raise RefusedError(f"{plan.verb.value} refused: {'; '.join(refusals)}", "nothing was changed")


def _shielded(c: RoutineContext, cancellation: Cancellation) -> RoutineContext:
    return replace(c, cancellation=cancellation)


def _look(c: RoutineContext, witness: Console) -> PoolerSnapshot:
    with DEADLINES.limiting(_LOOK_SECONDS, witness.cancellation):
        forget_settings(witness)
        return collect_pooler(witness, c.now())


def _check_still(now: PoolerSnapshot, plan: PoolerPlan) -> None:
    """What the plan was made for must still be there: PgBouncer makes a database up whose name it does not know."""
    is_needed = bool(plan.database) and plan.verb is not PoolerVerb.RESUME
    if is_needed and plan.database not in {each.name for each in now.databases}:
        name = format_untrusted(plan.database)
        raise RefusedError(f"{plan.verb.value} refused: PgBouncer has no database {name} any more", "plan it again")


def _describe_wait(now: PoolerSnapshot, plan: PoolerPlan) -> str:
    pools = [pool for pool in now.pools if plan.database in ("", pool.database)]
    waiting = sum(pool.cl_waiting for pool in pools)
    return f"waits for {sum(pool.sv_active for pool in pools)} server connections in use; {waiting} clients wait"


def _take_back(c: RoutineContext, witness: Console, order: Order, plan: PoolerPlan) -> str:
    """Undo an order that has not ended, and say in what state PgBouncer is left.

    RESUME alone leaves the console that ordered PAUSE waiting, so that it is closed; closing alone leaves a database
    paused.
    """
    order.abandon()
    if plan.verb is not PoolerVerb.PAUSE:
        return f"{plan.command} was sent, and whether PgBouncer has carried it out is not known"
    undo = show_order(PoolerVerb.RESUME, plan.database)
    try:
        with DEADLINES.limiting(_LOOK_SECONDS, witness.cancellation):
            said = try_order(witness, PoolerVerb.RESUME, plan.database)
        found = describe_outcome(PoolerVerb.RESUME, plan.database, _look(c, witness), _look(c, witness))
    except (Cancelled, ConnectError, ServerError) as error:
        return f"it may still be paused, for PgBouncer does not answer ({error}); {undo} takes the pause back"
    if said and "not paused" not in said:
        return f"{undo} was refused ({said}); {found}"
    return f"taken back by {undo}; {found}"
