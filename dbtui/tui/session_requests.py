"""What the panes ask the runner to do with sessions."""

from dbtui.analysis.session_words import announce_result, describe_subject, judge_result
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.sessions import Session, SessionsPlan, SessionsResult, SessionVerb
from dbtui.routines import sessions


def end_plan(profile: ConnectionProfile, verb: SessionVerb, session_ids: tuple[int, ...]) -> JobRequest[SessionsPlan]:
    """Plan to cancel statements or terminate sessions."""
    return JobRequest(
        routine="plan to end sessions",
        target=profile.name,
        changes=False,
        start=lambda context: sessions.plan_end_sessions(context, profile, verb, session_ids),
    )


def end_sessions(profile: ConnectionProfile, plan: SessionsPlan) -> JobRequest[SessionsResult]:
    """Cancel statements or terminate sessions."""
    return JobRequest(
        routine=f"sessions {plan.verb.value}",
        target=profile.name,
        subject=describe_subject(plan),
        start=lambda context: sessions.apply_end_sessions(context, profile, plan),
        summary=announce_result,
        judge=judge_result,
    )


def explain(profile: ConnectionProfile, session: Session) -> JobRequest[str]:
    """Ask for the plan of what a session runs."""
    return JobRequest(routine="explain", target=profile.name, changes=False,
                      start=lambda context: sessions.explain_session(context, profile, session))  # fmt: skip
