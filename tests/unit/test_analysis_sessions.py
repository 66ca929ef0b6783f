"""Who blocks whom, filters, groups, and what speaks against ending a session."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.analysis.sessions import (
    BlockingNode,
    SessionFilter,
    assess_changes,
    assess_session,
    blocking_tree,
    count_filtered,
    count_victims,
    filter_sessions,
    group_sessions,
    plan_end,
    root_blocker,
    walk_tree,
)
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.findings import FindingLevel, SessionConcern
from dbtui.model.sessions import Session, SessionsSnapshot, SessionVerb
from tests.tui.fake_watches import lock_chain, snapshot
from tests.unit.samples import MOMENT

PROFILE = ConnectionProfile(name="erp", engine=EngineName.POSTGRESQL, url="postgresql://dba@db1/erp")


def session(session_id: int, *blocked_by: int, **words: object) -> Session:
    return Session(session_id=session_id, blocked_by=blocked_by, **words)  # type: ignore[arg-type]


def snapshot_of(*sessions: Session, **words: object) -> SessionsSnapshot:
    return SessionsSnapshot(profile="erp", taken_at=MOMENT, sessions=sessions, **words)  # type: ignore[arg-type]


def drawn(nodes: tuple[BlockingNode, ...]) -> list[str]:
    return [f"{'.' * node.depth}{node.session.session_id}:{node.victims}" for node in walk_tree(nodes)]


# ---------------------------------------------------------------- the blocking tree


def test_a_chain_is_drawn_from_its_root() -> None:
    tree = blocking_tree([session(4, 3), session(1), session(3, 2), session(2, 1), session(9)])
    assert drawn(tree) == ["1:3", ".2:2", "..3:1", "...4:0"]
    root = root_blocker(tree, 4)
    assert root is not None
    assert root.session.session_id == 1
    assert root_blocker(tree, 9) is None


def test_the_root_with_most_victims_comes_first_then_the_oldest() -> None:
    tree = blocking_tree([
        session(1), session(2, 1),
        session(3), session(4, 3), session(5, 3),
        session(6, transaction_seconds=90.0), session(7, 6),
    ])  # fmt: skip
    assert [node.session.session_id for node in tree] == [3, 6, 1]


def test_those_who_queue_for_one_lock_stand_below_its_holder() -> None:
    """PostgreSQL names the holder and everybody ahead in the queue."""
    tree = blocking_tree([session(1), session(2, 1), session(3, 1, 2), session(4, 1, 2, 3)])
    assert drawn(tree) == ["1:3", ".2:2", ".3:1", ".4:0"]


def test_who_waits_for_two_roots_stands_once_and_counts_for_both() -> None:
    tree = blocking_tree([session(1), session(2), session(3, 1, 2), session(4, 1)])
    assert drawn(tree) == ["1:2", ".3:0", ".4:0", "2:1"]


def test_a_circle_is_cut() -> None:
    tree = blocking_tree([session(1, 2), session(2, 1), session(3, 2)])
    assert drawn(tree) == ["1:2", ".2:2", "..3:0"]
    assert drawn(blocking_tree([session(5, 5)])) == []


def test_a_blocker_that_is_not_seen_stands_for_itself() -> None:
    tree = blocking_tree([session(2, 0), session(3, 77)])
    assert [(node.session.session_id, node.session.state, node.session.is_client) for node in tree] == [
        (0, "prepared transaction", False),
        (77, "not seen", False),
    ]


def test_ten_thousand_in_one_queue_take_no_time() -> None:
    began = time.monotonic()
    chain = blocking_tree([session(1), *(session(number, number - 1) for number in range(2, 10_001))])
    assert sum(1 for _ in walk_tree(chain)) == 10_000
    queue = blocking_tree([session(1), *(session(number, *range(1, number)) for number in range(2, 501))])
    assert (queue[0].victims, len(queue[0].children)) == (499, 499)
    assert time.monotonic() - began < 5


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), max_size=40))
def test_everybody_involved_stands_once(pairs: list[tuple[int, int]]) -> None:
    blockers: dict[int, set[int]] = {}
    for victim, blocker in pairs:
        blockers.setdefault(victim, set()).add(blocker)
    tree = blocking_tree([session(victim, *sorted(found)) for victim, found in blockers.items()])
    involved = {each for victim, found in blockers.items() for each in found | {victim} if found - {victim}}
    stand = [node.session.session_id for node in walk_tree(tree)]
    assert sorted(stand) == sorted(set(stand))
    assert set(stand) == involved
    for node in walk_tree(tree):
        assert all(child.depth == node.depth + 1 for child in node.children)
        assert all(node.session.session_id in child.session.blocked_by for child in node.children)


def test_victims_are_counted_for_everybody_in_the_tree() -> None:
    assert count_victims(blocking_tree([session(3, 2), session(2, 1), session(9)])) == {1: 2, 2: 1, 3: 0}


# ---------------------------------------------------------------- findings


def test_nothing_is_said_of_a_session_that_does_well() -> None:
    assert assess_session(session(1, is_active=True, transaction_seconds=59.9)) == ()
    assert assess_session(session(1, is_client=False, transaction_seconds=3600.0)) == ()


def test_what_there_is_to_say_of_a_session() -> None:
    waits = assess_session(session(1, 4, 5, is_active=True))
    assert [(each.session_id, each.kind, each.level, each.words) for each in waits] == [
        (1, SessionConcern.BLOCKED, FindingLevel.TROUBLE, "blocked by 4, 5"),
    ]
    holds = session(2, is_idle_in_transaction=True, state_seconds=120.0, transaction_seconds=130.0)
    assert [(each.kind, each.level, each.words) for each in assess_session(holds, victims=3)] == [
        (SessionConcern.BLOCKS, FindingLevel.REMARK, "blocks 3"),
        (SessionConcern.IDLE_IN_TRANSACTION, FindingLevel.REMARK, "idle in transaction 2 min"),
        (SessionConcern.OLD_TRANSACTION, FindingLevel.REMARK, "transaction 2 min 10 s old"),
    ]
    (many,) = assess_session(session(9, *range(1, 8)))
    assert many.words == "blocked by 1, 2, 3, 4, 5 …"


# ---------------------------------------------------------------- changes


def test_values_that_differ_are_named_and_ages_are_none() -> None:
    first = snapshot_of(session(1, state="active", transaction_seconds=1.0, sql="SELECT 1"), session(2), session(3))
    assert assess_changes(None, first, {}) == {}
    older = replace(session(1, state="active", transaction_seconds=2.0, sql="SELECT 2"))
    second = snapshot_of(older, session(2, 1, wait="Lock: tuple"), session(4))
    assert assess_changes(first, second, {1: (0, 1), 2: (0, 0)}) == {
        1: {"victims"}, 2: {"wait", "blocked_by"}, 4: {"session_id"},
    }  # fmt: skip
    assert assess_changes(second, second, {1: (1, 1)}) == {}


def test_another_session_with_the_same_number_is_a_new_one() -> None:
    first, second = (snapshot_of(session(1, started_at=MOMENT.replace(hour=hour))) for hour in (1, 2))
    assert assess_changes(first, second, {}) == {1: {"session_id"}}


# ---------------------------------------------------------------- filters and groups

MANY = snapshot_of(
    session(1, user="erp", application="web", client="10.0.0.7:51022", is_active=True, transaction_seconds=3.0),
    session(2, 1, user="erp", application="web", client="10.0.0.7:51023", is_active=True, transaction_seconds=9.0),
    session(3, user="dba", application="psql", client="[::1]:5151", is_idle_in_transaction=True),
    session(4, user="report", client="local"),
    user="dba",
)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (SessionFilter.CLIENTS, [1, 2, 3, 4]),
        (SessionFilter.ALL, [1, 2, 3, 4]),
        (SessionFilter.ACTIVE, [1, 2]),
        (SessionFilter.IDLE_IN_TRANSACTION, [3]),
        (SessionFilter.BLOCKED, [2]),
        (SessionFilter.MINE, [3]),
    ],
)
def test_filters(wanted: SessionFilter, found: list[int]) -> None:
    assert [each.session_id for each in filter_sessions(MANY, wanted)] == found


def test_the_background_is_left_out_unless_it_blocks_or_waits() -> None:
    """dbtui's own sessions and workers of the server."""
    sessions = snapshot_of(
        session(1, is_active=True),
        session(2, is_own=True, is_active=True, user="dba"),
        session(3, is_client=False),
        session(4, 5),
        session(5, is_client=False),
        session(6, 1, is_own=True, is_active=True),
        user="dba",
    )

    def found(wanted: SessionFilter, **words: bool) -> list[int]:
        return [each.session_id for each in filter_sessions(sessions, wanted, **words)]

    assert found(SessionFilter.CLIENTS) == [1, 4, 5, 6]
    assert found(SessionFilter.ACTIVE) == [1, 6]
    assert found(SessionFilter.MINE) == []
    assert found(SessionFilter.BLOCKED) == [4, 6]
    assert found(SessionFilter.ALL) == found(SessionFilter.CLIENTS, everybody=True) == [1, 2, 3, 4, 5, 6]
    assert found(SessionFilter.ACTIVE, everybody=True) == [1, 2, 6]
    assert found(SessionFilter.MINE, everybody=True) == [2]


def test_nobody_is_me_when_the_login_is_not_known() -> None:
    assert filter_sessions(replace(MANY, user=""), SessionFilter.MINE) == ()


def test_groups_are_added_up_and_sorted() -> None:
    web, *rest = group_sessions(MANY.sessions, "application")
    assert (web.name, web.count, web.active, web.idle_in_transaction, web.blocked, web.oldest_seconds) == (
        "web", 2, 2, 0, 1, 9.0,
    )  # fmt: skip
    assert [(row.name, row.count, row.oldest_seconds) for row in rest] == [("", 1, None), ("psql", 1, None)]
    assert [row.name for row in group_sessions(MANY.sessions, "client")] == ["10.0.0.7", "[::1]", "local"]
    assert [row.name for row in group_sessions(MANY.sessions, "user")] == ["erp", "dba", "report"]


# ---------------------------------------------------------------- ending


def test_a_plan_names_each_session_once_in_the_order_asked_for() -> None:
    plan = plan_end(MANY, SessionVerb.TERMINATE, [2, 1, 2], ["SELECT 1", "SELECT 2"], PROFILE)
    assert [each.session_id for each in plan.sessions] == [2, 1]
    assert (plan.refusals, plan.taken_at, plan.commands) == ((), MOMENT, ("SELECT 1", "SELECT 2"))
    assert plan.warnings == (
        "the transaction of session 2, 9 s old, is rolled back",
        "the transaction of session 1, 3 s old, is rolled back",
    )


def test_a_plan_says_who_waits_and_what_cancelling_does_not_do() -> None:
    assert plan_end(MANY, SessionVerb.CANCEL, [1], [], PROFILE).warnings == ("waiting for it: 2",)
    (idle,) = plan_end(MANY, SessionVerb.CANCEL, [3], [], PROFILE).warnings
    assert "nothing to cancel, and its locks stay" in idle
    (nothing,) = plan_end(MANY, SessionVerb.CANCEL, [4], [], PROFILE).warnings
    assert "runs no statement" in nothing


def test_many_who_wait_are_counted() -> None:
    waiting = snapshot_of(session(1), *(session(number, 1) for number in range(2, 12)))
    (said,) = plan_end(waiting, SessionVerb.TERMINATE, [1], [], PROFILE).warnings
    assert said == "waiting for it: 2, 3, 4, 5, 6 and 5 more"


def test_what_is_refused() -> None:
    sessions = snapshot_of(session(1, is_own=True), session(2, is_client=False), session(3))
    refusals = plan_end(sessions, SessionVerb.TERMINATE, [1, 2, 3, 4], [], PROFILE).refusals
    assert refusals == (
        "session 1 is dbtui's own",
        "session 2 is a worker of the server itself",
    )
    (read_only,) = plan_end(sessions, SessionVerb.CANCEL, [3], [], replace(PROFILE, read_only=True)).refusals
    assert "read-only" in read_only
    assert plan_end(sessions, SessionVerb.CANCEL, [], [], PROFILE).refusals == ("no session was named",)
    assert plan_end(sessions, SessionVerb.CANCEL, [9], [], replace(PROFILE, read_only=True)).refusals == (read_only,)
    unsupported = snapshot_of(unsupported="SQLite has no server and so no sessions")
    plan = plan_end(unsupported, SessionVerb.CANCEL, [1], [], PROFILE)
    assert (plan.refusals, plan.missing) == ((unsupported.unsupported,), ())


def test_who_has_gone_is_said_and_refuses_nothing() -> None:
    plan = plan_end(MANY, SessionVerb.TERMINATE, [9, 1, 9, 8], [], PROFILE)
    assert ([each.session_id for each in plan.sessions], plan.missing, plan.refusals) == ([1], (9, 8), ())
    assert plan.warnings[:2] == (
        "there is no session 9 on erp, or the login may not see it",
        "there is no session 8 on erp, or the login may not see it",
    )


def test_counts_are_those_of_the_filters() -> None:
    """One pass instead of one for each filter."""
    found = snapshot("erp", *lock_chain())
    assert count_filtered(found) == {each: len(filter_sessions(found, each)) for each in SessionFilter}
