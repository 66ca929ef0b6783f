"""What `dbtui sessions cancel|terminate` do: plan, ask, order, tell what was really hit."""

from collections.abc import Sequence
from typing import Any

from dbtui.analysis.session_words import describe_hit, describe_result, describe_subject, judge_result, name_session
from dbtui.cli.confirm import confirm, confirm_yes
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.errors import RefusedError
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.sessions import Session, SessionsPlan, SessionsResult, SessionVerb
from dbtui.model.text import format_duration, format_untrusted
from dbtui.routines.sessions import apply_end_sessions, plan_end_sessions

_SQL_CHARACTERS = 200


def end_sessions(
    verb: SessionVerb,
    *,
    target: str,
    session_ids: tuple[int, ...],
    dry_run: bool,
    confirmed: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Cancel the statements of sessions, or terminate them, and print what became of each."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    profile = invocation.target(target)
    if profile.read_only and not dry_run:
        name = format_untrusted(profile.name)
        raise RefusedError(f"{verb} refused: profile {name} is read-only", "nothing was changed; use another profile")
    plan = _make_plan(invocation, profile, verb, session_ids)
    lines = show_end_plan(plan, profile)
    if dry_run:
        return show_plan(invocation, lines, plan.refusals, plan=plan, target=profile.name)
    if plan.refusals:
        raise RefusedError(f"{verb} refused: {'; '.join(plan.refusals)}", "nothing was changed")
    _confirm(plan, profile, lines, confirmed)
    request: JobRequest[SessionsResult] = JobRequest(
        routine=f"sessions {verb}",
        target=profile.name,
        subject=describe_subject(plan),
        start=lambda c: apply_end_sessions(c, profile, plan),
        summary=describe_result,
        judge=judge_result,
    )
    outcome = invocation.run(request, profile)
    return finish(invocation, outcome, lambda done: _fields(profile, done), _data, None)


def _make_plan(
    invocation: Invocation, profile: ConnectionProfile, verb: SessionVerb, session_ids: Sequence[int]
) -> SessionsPlan:
    request: JobRequest[SessionsPlan] = JobRequest(
        routine="plan to end sessions",
        target=profile.name,
        start=lambda c: plan_end_sessions(c, profile, verb, session_ids),
        changes=False,
    )
    return invocation.result_of(request, profile)


def _confirm(plan: SessionsPlan, profile: ConnectionProfile, lines: list[str], confirmed: tuple[str, ...]) -> None:
    consequence = describe_end(plan, profile)
    numbers = [str(each.session_id) for each in plan.sessions]
    named = len(plan.sessions) + len(plan.missing)  # what was confirmed before somebody went holds for those left
    if set(numbers) <= set(confirmed) or (named > 1 and str(named) in confirmed):
        return
    if len(numbers) == 1:
        confirm_yes(consequence, lines, numbers[0], confirmed)
    else:
        confirm(consequence, lines, [str(len(numbers))], confirmed)


def describe_end(plan: SessionsPlan, profile: ConnectionProfile) -> str:
    """Return the consequence of a plan as a verb phrase."""
    where = format_untrusted(profile.name) + (" (PRODUCTION)" if profile.environment is Environment.PRODUCTION else "")
    count = len(plan.sessions)
    what = f"session {name_session(plan.sessions[0])}" if count == 1 else f"{count or 'no'} sessions"
    if plan.verb is SessionVerb.CANCEL:
        return f"cancels the running statement of {what}, at {where}"
    return f"terminates {what}, at {where}"


def show_end_plan(plan: SessionsPlan, profile: ConnectionProfile) -> list[str]:
    """Return the lines of a plan: who and what, the orders, and what speaks against it."""
    lines = [f"this {describe_end(plan, profile)}"]
    for session in plan.sessions:
        lines.append(f"  session   {name_session(session)}")
        lines += [f"            {part}" for part in _session_lines(session)]
    lines += [f"  order     {each}" for each in plan.commands]
    lines += [f"  warning   {each}" for each in plan.warnings]
    lines += [f"  refused   {each}" for each in plan.refusals]
    return [format_untrusted(line) for line in lines]


def _session_lines(session: Session) -> list[str]:
    ages = [
        f"{name} {format_duration(seconds)}"
        for name, seconds in (("transaction", session.transaction_seconds), ("statement", session.query_seconds))
        if seconds is not None
    ]
    doing = ", ".join(part for part in (session.state, session.wait, *ages) if part)
    sql = " ".join(session.sql.split())
    return [part for part in (doing, format_untrusted(sql, _SQL_CHARACTERS)) if part]


def _fields(profile: ConnectionProfile, done: SessionsResult) -> dict[str, Any]:
    hits = [
        {"session_id": each.session.session_id, "hit": each.hit, "detail": each.detail, "session": each.session}
        for each in done.hits
    ]
    return {"target": profile.name, "verb": done.verb, "hits": hits}


def _data(done: SessionsResult) -> str:
    return "\n".join(describe_hit(done.verb, each) for each in done.hits)
