"""Looking at sessions and ending them: what is refused, what a plan says, what becomes of each order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

import pytest

from dbtui.adapters.adapter import Adapter, SessionAdapter, Target
from dbtui.analysis.session_words import describe_result, judge_result
from dbtui.errors import Cancelled, ConnectError, RefusedError, ServerError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import CommandRan, Event, Progressed, Routine
from dbtui.model.jobs import JobState
from dbtui.model.sessions import Hit, Session, SessionHit, SessionsPlan, SessionsSnapshot, SessionVerb
from dbtui.routines.sessions import (
    apply_end_sessions,
    collect_sessions,
    explain_numbered_session,
    explain_session,
    plan_end_sessions,
)
from tests.routines.fake_engine import Clock, FakeContext, FakeEngine, drive

PROFILE = ConnectionProfile(name="erp", engine=EngineName.POSTGRESQL, url="postgresql://dba@db1/erp")
FILE = ConnectionProfile(name="file", engine=EngineName.SQLITE, url="sqlite:///shop.db")
TERMINATE = SessionVerb.TERMINATE


@dataclass
class FakeSessions:
    """`hits` are what the server does with each session: an outcome, or an error to raise."""

    sessions: tuple[Session, ...] = tuple(Session(session_id=number, user="erp") for number in (1, 2, 3))
    hits: dict[int, Hit | Exception] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    profiles: list[ConnectionProfile] = field(default_factory=list)

    def collect_sessions(self, target: Target) -> SessionsSnapshot:
        self.profiles.append(target.profile)
        return SessionsSnapshot(profile=target.profile.name, taken_at=Clock()(), sessions=self.sessions, user="dba")

    def show_orders(self, target: Target, verb: SessionVerb, sessions: Sequence[Session]) -> tuple[str, ...]:
        return tuple(f"{verb} {each.session_id}" for each in sessions)

    def end_session(self, target: Target, verb: SessionVerb, session: Session, taken_at: datetime) -> SessionHit:
        self.profiles.append(target.profile)
        found = self.hits.get(session.session_id, Hit.DONE)
        if isinstance(found, Exception):
            raise found
        self.ended.append(session.session_id)
        return SessionHit(session=session, hit=found)

    def explain(self, target: Target, session: Session) -> str:
        self.profiles.append(target.profile)
        return "Seq Scan on links"


@dataclass(frozen=True)
class Context(FakeContext):
    """A context whose engine has sessions, unless it is a file."""

    sessions: FakeSessions = field(default_factory=FakeSessions)

    def adapter(self, engine: EngineName) -> Adapter:
        offered = None if engine is EngineName.SQLITE else cast(SessionAdapter, self.sessions)
        return cast(Adapter, type("Offering", (), {"sessions": offered}))


@pytest.fixture
def c() -> Context:
    return Context(now=Clock(), fake=FakeEngine())


def planned(c: Context, *session_ids: int, profile: ConnectionProfile = PROFILE) -> SessionsPlan:
    plan: SessionsPlan = drive(plan_end_sessions(c, profile, TERMINATE, session_ids))
    return plan


def events_of(routine: Routine[Any]) -> tuple[list[Event], Any]:
    events: list[Event] = []
    try:
        while True:
            events.append(next(routine))
    except StopIteration as end:
        return events, end.value


# ---------------------------------------------------------------- looking


def test_looking_connects_read_only_and_closes(c: Context) -> None:
    snapshot = drive(collect_sessions(c, PROFILE))
    assert [each.session_id for each in snapshot.sessions] == [1, 2, 3]
    assert [each.read_only for each in c.sessions.profiles] == [True]
    assert c.fake.open_targets == 0


def test_a_file_has_no_sessions(c: Context) -> None:
    assert "SQLite" in drive(collect_sessions(c, FILE)).unsupported
    with pytest.raises(UsageError, match="SQLite has no server"):
        drive(plan_end_sessions(c, FILE, TERMINATE, [1]))
    with pytest.raises(UsageError, match="SQLite has no server"):
        drive(explain_session(c, FILE, Session(session_id=1)))


def test_a_plan_of_a_statement_is_asked_for_as_the_profile_says(c: Context) -> None:
    """MariaDB plans a changing statement only for who may change something; the adapters change nothing."""
    for profile in (PROFILE, replace(PROFILE, read_only=True)):
        assert drive(explain_session(c, profile, Session(session_id=1, sql="SELECT"))) == "Seq Scan on links"
    assert [each.read_only for each in c.sessions.profiles] == [False, True]
    assert c.fake.open_targets == 0


def test_a_plan_by_the_number_of_a_session_takes_one_connection(c: Context) -> None:
    explained = drive(explain_numbered_session(c, PROFILE, 2))
    assert (explained.session.session_id, explained.plan) == (2, "Seq Scan on links")
    assert [each.read_only for each in c.sessions.profiles] == [False, False]
    assert c.fake.open_targets == 0
    with pytest.raises(ServerError, match="there is no session 9 on erp"):
        drive(explain_numbered_session(c, PROFILE, 9))
    with pytest.raises(UsageError, match="SQLite has no server"):
        drive(explain_numbered_session(c, FILE, 1))


# ---------------------------------------------------------------- ending


def test_a_plan_holds_the_orders(c: Context) -> None:
    plan = planned(c, 3, 1)
    assert (plan.commands, plan.refusals) == (("terminate 3", "terminate 1"), ())


def test_each_session_is_ended_in_turn(c: Context) -> None:
    events, result = events_of(apply_end_sessions(c, PROFILE, planned(c, 3, 1)))
    assert c.sessions.ended == [3, 1]
    assert [event.text for event in events if isinstance(event, CommandRan)] == ["terminate 3", "terminate 1"]
    assert [(event.done, event.total) for event in events if isinstance(event, Progressed)] == [(1, 2), (2, 2)]
    assert describe_result(result) == "terminated 2 of 2: 3 terminated; 1 terminated"
    assert judge_result(result) is JobState.SUCCEEDED
    assert c.fake.open_targets == 0


def test_what_was_not_hit_is_said_and_judged(c: Context) -> None:
    c.sessions.hits = {1: Hit.GONE, 3: ServerError("must be a superuser", code="42501")}
    _, result = events_of(apply_end_sessions(c, PROFILE, planned(c, 1, 2, 3)))
    assert describe_result(result) == (
        "terminated 1 of 3: 1 gone; 2 terminated; 3 refused (must be a superuser)"
    )  # fmt: skip
    assert judge_result(result) is JobState.PARTIAL
    c.sessions.hits = {1: Hit.REPLACED}
    _, result = events_of(apply_end_sessions(c, PROFILE, planned(c, 1)))
    assert (describe_result(result), judge_result(result)) == ("1 replaced", JobState.FAILED)


def test_a_lost_connection_leaves_no_doubt_about_the_others(c: Context) -> None:
    c.sessions.hits = {2: ConnectError("the connection to the server was lost")}
    _, result = events_of(apply_end_sessions(c, PROFILE, planned(c, 1, 2, 3)))
    first, second, third = result.hits
    assert first.hit is Hit.DONE
    assert "it is not known whether it was ended" in second.detail
    assert third.detail == "not tried"
    assert c.sessions.ended == [1]


def test_a_read_only_profile_is_refused_twice(c: Context) -> None:
    read_only = replace(PROFILE, read_only=True)
    plan = planned(c, 1, profile=read_only)
    assert plan.refusals
    for each in (plan, replace(plan, refusals=())):
        with pytest.raises(RefusedError, match="read-only"):
            drive(apply_end_sessions(c, read_only, each))
    assert c.sessions.ended == []


def test_a_plan_with_refusals_is_not_applied(c: Context) -> None:
    c.sessions.sessions = (*c.sessions.sessions, Session(session_id=9, is_own=True))
    with pytest.raises(RefusedError, match="session 9 is dbtui's own"):
        drive(apply_end_sessions(c, PROFILE, planned(c, 1, 9)))
    assert c.sessions.ended == []


def test_who_has_gone_keeps_nobody_else_from_being_ended(c: Context) -> None:
    events, result = events_of(apply_end_sessions(c, PROFILE, planned(c, 9, 1)))
    assert c.sessions.ended == [1]
    assert [event.text for event in events if isinstance(event, CommandRan)] == ["terminate 1"]
    assert describe_result(result) == (
        "terminated 1 of 2: 1 terminated; 9 gone (it was not there, or the login may not see it)"
    )  # fmt: skip
    assert judge_result(result) is JobState.PARTIAL


def test_where_nobody_is_there_the_server_is_not_asked(c: Context) -> None:
    plan = planned(c, 8, 9)
    events, result = events_of(apply_end_sessions(c, PROFILE, plan))
    assert events == []
    assert [(each.session.session_id, each.hit) for each in result.hits] == [(8, Hit.GONE), (9, Hit.GONE)]
    assert judge_result(result) is JobState.FAILED
    assert len(c.sessions.profiles) == 1  # for the plan


def test_cancelling_stops_between_two_orders(c: Context) -> None:
    routine = apply_end_sessions(c, PROFILE, planned(c, 1, 2, 3))
    while not isinstance(next(routine), Progressed):
        pass
    c.cancellation.request("operator")
    with pytest.raises(Cancelled):
        drive(routine)
    assert c.sessions.ended == [1]
    assert c.fake.open_targets == 0
