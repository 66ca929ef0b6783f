"""A pooler's server sessions, on which the requests of several clients follow one another: each is judged alone."""

from collections.abc import Callable
from math import floor

import pytest

from dbtui.analysis.queries.applications import fold_application
from dbtui.analysis.query_cards import key_of
from dbtui.model.queries import Repetition, StatementEvent
from tests.unit.query_cases import detect
from tests.unit.query_dialects import DIALECTS, Dialect, Tape

PAGES = 6
TELLING: dict[str, tuple[bool, Callable[[float], float]]] = {
    "transactions": (True, lambda ts: ts),
    "transactions, whole seconds": (True, floor),
    "pauses": (False, lambda ts: ts),
}


def serve_page(d: Dialect, tape: Tape, owner: int, *, has_boundaries: bool) -> None:
    """A page of one author's posts, with the comments and the tags' authors of each: the list is a look-up itself."""
    tape.run(*(["SELECT 1", "BEGIN"] if has_boundaries else []))
    tape.run(d.of("post", "author_id", owner, " ORDER BY post.id LIMIT 20"))
    for post in range(owner * 100, owner * 100 + 10):
        tape.run(d.of("comment", "post_id", post), d.by_id("profile", post + 7))
    tape.run(*(["ROLLBACK"] if has_boundaries else []))


def serve_row(d: Dialect, tape: Tape, owner: int, *, has_boundaries: bool) -> None:
    """A page of one row."""
    tape.run(*(["SELECT 1", "BEGIN"] if has_boundaries else []), d.by_id("setting", owner))
    tape.run(*(["ROLLBACK"] if has_boundaries else []))


def pages_of(found: tuple[Repetition, ...]) -> list[tuple[int, int]]:
    """The repeats and units of the findings that go through the posts."""
    return [(each.repeats, each.units) for each in found if each.parent is not None and each.parent.tables == ("post",)]


@pytest.mark.parametrize("telling", TELLING)
@pytest.mark.parametrize("dialect", [DIALECTS[0], DIALECTS[9]], ids=lambda each: each.name)
def test_the_list_of_each_request_is_the_parent_of_its_own_loop(dialect: Dialect, telling: str) -> None:
    has_boundaries, told = TELLING[telling]
    tape = Tape()
    for owner in range(1, PAGES + 1):
        serve_page(dialect, tape, owner, has_boundaries=has_boundaries)
        tape.wait(0.4)
        serve_row(dialect, tape, owner, has_boundaries=has_boundaries)
        tape.wait(0.4)
    found = detect([event._replace(ts=told(event.ts or 0.0)) for event in tape.events])
    assert pages_of(found.findings) == [(10, PAGES)]
    assert len(found.findings) == 1


@pytest.mark.parametrize("count", [3, 10])
def test_a_loop_whose_every_turn_ends_a_list_of_its_own_is_no_page(count: int) -> None:
    """Two loops in one transaction: the last turn of the first is no parent of the second."""
    d, tape = DIALECTS[9], Tape()
    for _ in range(count):
        tape.run("BEGIN", d.rows("tag"))
        for author in range(6):
            tape.run(d.of("post", "author_id", author, " ORDER BY post.id LIMIT 20"))
        for author in range(6):
            tape.run(d.of("comment", "author_id", author))
        tape.run("COMMIT")
    assert pages_of(detect(tape.events).findings) == []


def named(events: list[StatementEvent], *applications: str) -> list[StatementEvent]:
    """The same statements, as if each of the applications had asked in turn."""
    return [event._replace(application=applications[at % len(applications)]) for at, event in enumerate(events)]


@pytest.mark.parametrize("seconds", [0.0, 0.003])
def test_clients_that_share_a_server_session_statement_by_statement_are_told_apart_by_their_names(
    seconds: float,
) -> None:
    """Without transactions, a pooler lends the connection for one statement."""
    d, one, other = DIALECTS[9], Tape(), Tape()
    one.run(d.rows("post"))
    for post in range(10):
        one.wait(seconds)
        one.run(d.of("comment", "post_id", post))
    for row in range(11):
        other.wait(seconds)
        other.run(d.by_id("setting", row))
    mixed = [event for pair in zip(one.events, other.events, strict=True) for event in pair]
    found = detect(named(mixed, "erp-api:17", "mailer:23")).findings
    assert [(each.application, each.repeats) for each in found] == [("erp-api:17", 10)]
    reasons = " ".join(found[0].reasons)
    assert "much else" not in reasons


def test_the_list_of_one_client_is_no_parent_of_the_loop_of_another() -> None:
    d, tape = DIALECTS[9], Tape()
    tape.run("BEGIN", d.rows("post"), "COMMIT")
    first = named(tape.events, "erp-api:17")
    tape.run("BEGIN", *(d.of("comment", "post_id", post) for post in range(10)), "COMMIT")
    assert detect(tape.events).findings
    assert not detect(first + named(tape.events[len(first) :], "erp-api:18")).findings


def test_the_processes_of_an_application_have_their_findings_in_common() -> None:
    d, events = DIALECTS[0], list[StatementEvent]()
    for number in (4711, 4712, 4713):
        tape = Tape(session=f"s{number}")
        tape.run("BEGIN", d.rows("post"))
        tape.run(*(d.of("comment", "post_id", post) for post in range(10)))
        tape.run("COMMIT")
        events += named(tape.events, f"erp-api:{number}")
    (found,) = detect(events).findings
    assert (found.application, found.units, found.repeats) == ("erp-api:*", 3, 10)
    (alone,) = detect([event for event in events if event.session == "s4711"]).findings
    assert alone.application == "erp-api:4711"
    assert key_of(alone) == key_of(found)


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("erp-api:4711", "erp-api:*"),
        ("worker-2", "worker-*"),
        ("unicorn worker[3]", "unicorn worker[*]"),
        ("puma: 17", "puma: *"),
        ("erp-api", "erp-api"),
        ("psql", "psql"),
        ("s3", "s3"),
        ("4711", "4711"),
        ("", ""),
    ],
)
def test_only_a_number_behind_a_sign_is_of_a_process(name: str, folded: str) -> None:
    assert fold_application(name) == folded
