"""Sessions in words: who one is and what it runs, for plans, confirmations and history."""

import re

from dbtui.model.jobs import JobState
from dbtui.model.sessions import Hit, Session, SessionHit, SessionsPlan, SessionsResult, SessionVerb
from dbtui.model.text import format_untrusted

PAST = {SessionVerb.CANCEL: "cancelled", SessionVerb.TERMINATE: "terminated"}
_SQL_CHARACTERS = 120
_SUBJECT_CHARACTERS = 600
_TEXT = re.compile(r"'(?:[^']|'')*(?:'|$)|\$(\w*)\$.*?(?:\$\1\$|$)", re.DOTALL)
_QUOTED_PASSWORD = re.compile(r'(?i)\b((?:by|password)\s*(?:=|\()?\s*)"[^"]*(?:"|$)')


def mask_texts(sql: str) -> str:
    """Return SQL with `'…'` in place of every text in it: a statement in history must not keep what it was about,
    such as the password of CREATE ROLE.

    Servers disagree on what a backslash in a text means, so nothing after the first text is kept where there is one.
    """
    if "\\" in sql and "'" in sql:
        sql = sql[: sql.index("'")] + "'…'"
    return _QUOTED_PASSWORD.sub(r'\1"…"', _TEXT.sub("'…'", sql))


def name_session(session: Session) -> str:
    """Return who a session is: `4711 erp on shop, web from 10.0.0.7:51022`."""
    parts = [str(session.session_id), session.user]
    if session.database:
        parts += ["on", session.database]
    name = " ".join(part for part in parts if part)
    if session.application:
        name += f", {session.application}"
    if session.client:
        name += f" from {session.client}"
    return format_untrusted(name, 200)


def describe_subject(plan: SessionsPlan) -> str:
    """Return whom an order is for, as history keeps it; those not there by their numbers."""
    missing = [f"{number} (not there)" for number in plan.missing]
    return format_untrusted("; ".join([*map(_describe, plan.sessions), *missing]), _SUBJECT_CHARACTERS)


def _describe(session: Session) -> str:
    sql = format_untrusted(" ".join(mask_texts(session.sql).split()), _SQL_CHARACTERS)
    return f"{name_session(session)}: {sql}" if sql else name_session(session)


def describe_hit(verb: SessionVerb, hit: SessionHit) -> str:
    """Return what became of one order: `4711 terminated`, `4712 gone`."""
    said = PAST[verb] if hit.hit is Hit.DONE else hit.hit.value
    detail = f" ({hit.detail})" if hit.detail else ""
    return format_untrusted(f"{hit.session.session_id} {said}{detail}")


def describe_result(result: SessionsResult) -> str:
    """Return what an order really did, in one line."""
    hits = "; ".join(describe_hit(result.verb, each) for each in result.hits)
    if len(result.hits) == 1:
        return hits
    done = sum(each.hit is Hit.DONE for each in result.hits)
    return f"{PAST[result.verb]} {done} of {len(result.hits)}: {hits}"


def announce_result(result: SessionsResult) -> str:
    """Return what an order really did, in one line for who gave it; of a single session that was hit, who it was."""
    if len(result.hits) != 1 or result.hits[0].hit is not Hit.DONE:
        return describe_result(result)
    session = result.hits[0].session
    who = " ".join(each for each in (str(session.session_id), session.user, session.application) if each)
    where = f" from {session.client}" if session.client else ""
    verb = "cancelled the statement of" if result.verb is SessionVerb.CANCEL else "terminated"
    return format_untrusted(f"{verb} {who}{where}")


def judge_result(result: SessionsResult) -> JobState:
    """Succeeded when every session was hit, partial when some were."""
    done = sum(each.hit is Hit.DONE for each in result.hits)
    if done == len(result.hits):
        return JobState.SUCCEEDED
    return JobState.PARTIAL if done else JobState.FAILED
