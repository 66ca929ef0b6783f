"""Sessions in words; what stands in statements as a text is never kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.analysis.session_words import announce_result, describe_subject, mask_texts, name_session
from dbtui.model.sessions import Hit, Session, SessionHit, SessionsPlan, SessionsResult, SessionVerb
from tests.unit.samples import MOMENT


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE ROLE x PASSWORD 'hunter2'",
        "ALTER USER x IDENTIFIED BY 'hunter2'",
        'ALTER USER x IDENTIFIED BY "hunter2"',
        'SET PASSWORD = PASSWORD("hunter2")',
        "SELECT 'a''hunter2'",
        "SELECT 'it\\'s hunter2'",
        "SELECT 'C:\\', 'hunter2'",
        "SELECT 'cut off hunter2",
        "DO $$ hunter2 $$",
        "DO $body$ hunter2 $$ hunter2 $body$",
        "DO $x$ cut off hunter2",
    ],
)
def test_texts_are_masked(sql: str) -> None:
    assert "hunter2" not in mask_texts(sql)


def test_the_rest_is_kept() -> None:
    assert mask_texts("UPDATE \"T\" SET n = 'x', m = $1 WHERE i = 5") == "UPDATE \"T\" SET n = '…', m = $1 WHERE i = 5"


@given(st.lists(st.sampled_from(["'", "''", "\\", "$$", "$a$", " ", "x"]), max_size=12))
def test_anything_can_be_masked(parts: list[str]) -> None:
    mask_texts("".join(parts))


def _plan(*sessions: Session) -> SessionsPlan:
    return SessionsPlan(verb=SessionVerb.CANCEL, sessions=sessions, taken_at=MOMENT)


def test_a_session_has_a_name_in_one_line() -> None:
    session = Session(
        session_id=4711, user="erp", database="shop", application="web\x1b[31m", client="10.0.0.7:51022",
        sql="UPDATE t\n  SET n = 'x'",
    )  # fmt: skip
    assert name_session(session) == "4711 erp on shop, web·[31m from 10.0.0.7:51022"
    assert describe_subject(_plan(session)) == f"{name_session(session)}: UPDATE t SET n = '…'"
    assert describe_subject(_plan(Session(session_id=1), Session(session_id=2, user="dba"))) == "1; 2 dba"
    assert len(describe_subject(_plan(*[session] * 100))) <= 600
    there = Session(session_id=2, user="dba")
    plan = SessionsPlan(verb=SessionVerb.CANCEL, sessions=(there,), taken_at=MOMENT, missing=(7,))
    assert describe_subject(plan) == "2 dba; 7 (not there)"


@pytest.mark.parametrize(
    ("verb", "hits", "said"),
    [
        (SessionVerb.CANCEL, [Hit.DONE], "cancelled the statement of 1 erp web from local"),
        (SessionVerb.TERMINATE, [Hit.DONE], "terminated 1 erp web from local"),
        (SessionVerb.TERMINATE, [Hit.GONE], "1 gone"),
        (SessionVerb.TERMINATE, [Hit.DONE, Hit.GONE], "terminated 1 of 2: 1 terminated; 2 gone"),
    ],
)
def test_who_gave_an_order_is_told_whom_it_hit(verb: SessionVerb, hits: list[Hit], said: str) -> None:
    found = tuple(
        SessionHit(session=Session(session_id=number, user="erp", application="web", client="local"), hit=hit)
        for number, hit in enumerate(hits, 1)
    )
    assert announce_result(SessionsResult(verb=verb, hits=found)) == said
