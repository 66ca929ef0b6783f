"""Units of work, parents, sums over units, live answers: what the detector makes of streams of statements."""

import tracemalloc
from datetime import UTC, datetime

import pytest

from dbtui.analysis.queries import Detector
from dbtui.model.queries import Cure, CureKind, PatternKind, PatternLevel, Repetition, StatementEvent
from tests.unit.query_cases import detect
from tests.unit.query_dialects import DIALECTS, Tape

D = DIALECTS[0]
DJANGO = DIALECTS[2]


def loop(tape: Tape, count: int = 10) -> None:
    """A list of posts, and the comments of each."""
    tape.run(D.rows("post"))
    for i in range(count):
        tape.run(D.of("comment", "post_id", i))


def only(found: tuple[Repetition, ...]) -> Repetition:
    assert len(found) == 1, found
    return found[0]


def test_a_finding_tells_everything_that_is_shown_of_it() -> None:
    tape = Tape()
    tape.run("BEGIN")
    tape.run(D.rows("post"), rows=10)
    for i in range(10):
        tape.run(D.of("comment", "post_id", i), rows=3)
    findings = detect(tape.events)
    found = only(findings.findings)
    assert (found.kind, found.level) == (PatternKind.N_PLUS_ONE, PatternLevel.FINDING)
    assert (found.session, found.first_seq, found.last_seq, found.repeats) == ("s1", 3, 12, 10)
    assert found.parent_sql == tape.events[1].sql
    assert found.parent_rows == 10
    assert found.parent is not None
    assert found.parent.tables == ("post",)
    assert [child.shape.tables for child in found.children] == [("comment",)]
    child = found.children[0]
    assert (child.repeats, child.executions, child.batches, child.distinct_values) == (10, 10, 1, 10)
    assert child.samples == (tape.events[2].sql, tape.events[7].sql, tape.events[11].sql)
    assert child.seconds == found.total_seconds == pytest.approx(0.005)
    assert found.units == 1
    assert found.repeats_p50 == 10
    assert found.timeline == pytest.approx([0.001 * n for n in range(1, 11)], rel=1e-3)
    assert found.first_at == datetime.fromtimestamp(tape.events[2].ts or 0, UTC)
    assert found.last_at == datetime.fromtimestamp(tape.events[11].ts or 0, UTC)
    assert 0.9 <= found.confidence < 0.99
    assert "10 look-ups match its 10 rows" in found.reasons
    assert "comment.post_id is named as a key to post" in found.reasons
    assert (findings.statements, findings.sessions, findings.units) == (12, 1, 1)


def test_two_relations_of_one_loop_are_one_finding_with_two_children() -> None:
    tape = Tape()
    tape.run(D.rows("post"))
    for i in range(6):
        tape.run(D.of("comment", "post_id", i), D.by_id("author", 50 + i))
    found = only(detect(tape.events).findings)
    assert [child.shape.tables[0] for child in found.children] == ["comment", "author"]
    assert "2 look-ups are repeated for the same rows" in found.reasons


def test_a_chain_is_two_findings_of_which_one_knows_the_other() -> None:
    tape = Tape()
    tape.run(D.rows("post"))
    for i in range(6):
        tape.run(D.of("comment", "post_id", i))
        for j in range(4):
            tape.run(D.by_id("author", 10 * i + j))
    inner, outer = detect(tape.events).findings
    assert outer.parent is not None
    assert inner.parent is not None
    assert (outer.parent.tables, outer.repeats, outer.above) == (("post",), 6, ())
    assert (inner.parent.tables, inner.repeats) == (("comment",), 24)
    assert [shape.tables for shape in inner.above] == [("post",)]


def test_one_row_a_pattern_with_counts_over_units() -> None:
    detector = Detector()
    for number, count in enumerate((3, 7, 12, 7)):
        tape = Tape(session=f"s{number}", ts=1_795_359_501.25 + 100 * number)
        loop(tape, count)
        detector.feed_all(tape.events)
    found = only(detector.findings().findings)
    assert (found.units, found.repeats, found.repeats_p50) == (4, 12, 7)
    assert (found.session, found.first_seq, found.last_seq) == ("s2", 2, 13)
    assert found.children[0].executions == 29
    assert found.children[0].batches == 4
    assert found.total_seconds == pytest.approx(29 * 0.0005)
    assert found.first_at is not None
    assert found.last_at is not None
    assert 299 < (found.last_at - found.first_at).total_seconds() < 301


def test_a_list_that_is_read_again_begins_anew() -> None:
    tape = Tape()
    for _ in range(5):
        loop(tape, 8)
    found = only(detect(tape.events).findings)
    assert (found.units, found.repeats, found.children[0].executions) == (5, 8, 40)
    assert found.last_seq - found.first_seq == 7


def test_routes_and_databases_are_rows_of_their_own() -> None:
    detector = Detector()
    for number, route in enumerate(("/posts", "/feed", "/posts")):
        tape = Tape(session=f"s{number}")
        loop(tape, 6)
        detector.feed_all(event._replace(sql=f"{event.sql} /*route='{route}'*/") for event in tape.events)
    found = detector.findings().findings
    assert sorted((each.route, each.units) for each in found) == [("/feed", 1), ("/posts", 2)]


def test_answers_may_be_asked_for_at_any_time_and_stop_nothing() -> None:
    tape = Tape()
    loop(tape, 20)
    detector = Detector()
    counts = []
    for event in tape.events:
        detector.feed(event)
        found = detector.findings().findings
        counts.append(found[0].repeats if found else 0)
    assert counts == [0, 0, 0, *range(3, 21)]
    assert only(detector.findings().findings).units == 1
    assert detector.findings(final=False).findings == ()
    tape.wait(5)
    tape.run(D.rows("post"))
    detector.feed(tape.events[-1])
    assert only(detector.findings(final=False).findings).repeats == 20
    assert detector.findings() == detector.findings()


def test_a_trace_is_a_unit_whatever_connections_it_uses() -> None:
    tape = Tape()
    for i in range(12):
        for scope in ("a", "b"):
            step = D.of("comment", "post_id", i) if i else D.rows("post")
            tape.run(step, scope=scope, session=f"s{i % 3}")
    findings = detect(tape.events)
    found = only(findings.findings)
    assert (found.units, found.repeats, findings.units) == (2, 11, 2)


def test_a_trace_id_in_a_comment_is_a_unit_too() -> None:
    tape = Tape()
    for i in range(8):
        for trace in ("1", "2"):
            sql = (D.of("comment", "post_id", i) if i else D.rows("post"))[0]
            tape.run(f"{sql} /*traceparent='00-{trace * 32}-{i:016}-01'*/")
    found = only(detect(tape.events).findings)
    assert (found.units, found.repeats) == (2, 7)


def test_a_transaction_id_is_no_trace() -> None:
    tape = Tape()
    tape.run(D.rows("post"), scope="3/1")
    for i in range(6):
        tape.run(D.of("comment", "post_id", i), scope=f"3/{2 + i // 3}")
    assert only(detect(tape.events).findings).repeats == 6


def test_a_pause_ends_a_unit_but_not_a_long_statement_nor_an_open_transaction() -> None:
    def run(*, begins: bool, duration: float) -> int:
        tape = Tape()
        tape.run(*(["BEGIN"] if begins else []), D.rows("post"))
        for i in range(6):
            tape.wait(3)
            tape.run(D.of("comment", "post_id", i))
        events = [event._replace(duration_ms=duration) for event in tape.events]
        return len(detect(events).findings)

    assert run(begins=False, duration=0.5) == 0
    assert run(begins=True, duration=0.5) == 1
    assert run(begins=False, duration=3_000) == 1


def test_a_pause_may_be_of_any_length() -> None:
    tape = Tape()
    tape.run(D.rows("post"))
    for i in range(6):
        tape.run(D.of("comment", "post_id", i))
        tape.wait(3)
    assert detect(tape.events, Detector(gap_seconds=5)).findings
    assert detect([event._replace(ts=None) for event in tape.events]).findings


def test_numbers_of_repeats_are_settings() -> None:
    tape = Tape()
    loop(tape, 6)
    assert only(detect(tape.events, Detector(finding_repeats=7)).findings).level is PatternLevel.HINT
    assert not detect(tape.events, Detector(finding_repeats=9, hint_repeats=7)).findings


def test_a_statement_that_returned_one_row_is_no_list() -> None:
    tape = Tape()
    tape.run(DJANGO.rows("post"), rows=1)
    for i in range(6):
        tape.run(DJANGO.of("comment", "post_id", i))
    assert not detect(tape.events).findings


def test_more_look_ups_than_rows_are_less_sure() -> None:
    def confidence(rows: int) -> float:
        tape = Tape()
        tape.run(DJANGO.rows("post"), rows=rows)
        for i in range(12):
            tape.run(DJANGO.by_id("author", 100 + i))
        return only(detect(tape.events).findings).confidence

    assert confidence(12) > confidence(100) > confidence(3)


def test_what_the_recorder_says_is_certain() -> None:
    tape = Tape()
    tape.run(DJANGO.by_id("post", 1))
    for i in range(6):
        tape.run(DJANGO.by_id("author", i), DJANGO.update("post", i))
    lazy = [
        event._replace(load="lazy", relationship="Post.author", call_site="app/views.py:41")
        if '"author"' in event.sql
        else event
        for event in tape.events
    ]
    assert not detect(tape.events).findings
    found = only(detect(lazy).findings)
    assert (found.confidence, found.relationship, found.call_site) == (0.99, "Post.author", "app/views.py:41")
    assert "every one came from app/views.py:41" in found.reasons
    eager = [event._replace(load="selectin", relationship="Post.author") for event in lazy]
    assert not detect(eager).findings


def test_time_saved_counts_round_trips_and_orders_rows() -> None:
    detector = Detector(round_trip_seconds=0.01)
    slow = Tape(session="slow")
    loop(slow, 6)
    detector.feed_all(event._replace(duration_ms=100.0) for event in slow.events)
    quick = Tape(session="quick")
    quick.run(D.rows("author"))
    for i in range(20):
        quick.run(D.of("profile", "author_id", i))
    detector.feed_all(quick.events)
    findings = detector.findings()
    assert findings.is_round_trip_measured
    assert [each.session for each in findings.findings] == ["slow", "quick"]
    first, second = findings.findings
    assert first.saved_seconds == pytest.approx(5 * (0.1 + 0.01))
    assert second.saved_seconds == pytest.approx(19 * (0.0005 + 0.01))


def test_a_round_trip_nobody_measured_is_read_from_the_pauses() -> None:
    tape = Tape()
    loop(tape, 20)
    tape.wait(5)
    tape.run("SELECT 1")
    findings = detect(tape.events)
    assert not findings.is_round_trip_measured
    assert findings.round_trip_seconds == pytest.approx(0.0005, rel=1e-3)
    whole = [event._replace(ts=float(int(event.ts or 0))) for event in tape.events]
    assert detect(whole).round_trip_seconds is None


def test_nothing_is_saved_that_nobody_can_reckon() -> None:
    tape = Tape()
    loop(tape, 6)
    found = only(detect([event._replace(duration_ms=None, ts=None) for event in tape.events]).findings)
    assert (found.saved_seconds, found.total_seconds, found.timeline, found.first_at) == (None, None, (), None)


def test_a_cure_is_asked_for_every_finding() -> None:
    def cure(repetition: Repetition) -> Cure:
        return Cure(kind=CureKind.SELECTIN, snippet=f"cures {repetition.repeats}", why="")

    tape = Tape()
    loop(tape, 6)
    found = only(detect(tape.events, Detector(cure=cure)).findings)
    assert found.cure is not None
    assert found.cure.snippet == "cures 6"


def test_a_loop_longer_than_what_is_held_is_one_unit() -> None:
    tape = Tape()
    tape.run(D.rows("post", 100_000))
    for i in range(20_000):
        tape.run(D.of("comment", "post_id", i))
    findings = detect(tape.events)
    found = only(findings.findings)
    assert (findings.units, found.units) == (1, 1)
    assert found.children[0].executions == 20_000


def test_what_is_held_is_bounded_with_many_sessions_and_shapes() -> None:
    detector = Detector()
    tracemalloc.start()
    for number in range(120_000):
        sql = f"SELECT c{number % 30_000}.id FROM c{number % 30_000} WHERE a = {number}"
        if number >= 30_000:
            sql = f"SELECT post.id, post.title, post.author_id FROM post WHERE post.id = {number}"
        detector.feed(StatementEvent(f"session-{number}", number, sql, 1e9 + number * 1e-4, 0.1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    findings = detector.findings()
    assert (findings.statements, findings.units, findings.sessions) == (120_000, 120_000, 120_000)
    assert peak < 120e6


def test_a_list_whose_text_was_cut_is_still_one() -> None:
    tape = Tape()
    tape.run("SELECT post.id, post.title, post.author_id, post.par", rows=10)
    for i in range(6):
        tape.run(DJANGO.by_id("author", i))
    events = [replaced(tape.events[0], is_truncated=True), *tape.events[1:]]
    found = only(detect(events).findings)
    assert found.parent is not None
    assert found.parent.is_truncated


def replaced(event: StatementEvent, *, is_truncated: bool) -> StatementEvent:
    return event._replace(is_truncated=is_truncated)


def test_look_ups_whose_text_was_cut_are_not_guessed_at() -> None:
    tape = Tape()
    tape.run(D.rows("post"))
    for i in range(9):
        tape.run(f"SELECT comment.id FROM comment WHERE comment.post_id = {i} AND comment.bod")
    events = [tape.events[0], *(replaced(event, is_truncated=True) for event in tape.events[1:])]
    assert not detect(events).findings


@pytest.mark.parametrize(
    "params", [None, (5,), ([["id", 5], ["LIMIT", 1]],), ({"id": 5},), (b"\xff", None, 1.5)], ids=str
)
def test_odd_events_are_taken_as_they_are(params: tuple[object, ...] | None) -> None:
    detector = Detector()
    for number, sql in enumerate(["", ";", "\x00", "'", "SELECT", "/*", "SELECT * FROM t WHERE id = $1 LIMIT $2"] * 9):
        detector.feed(StatementEvent("", number, sql * (1 + 9_999 * (number == 20)), -1.0 * number, params=params))
    assert detector.findings().statements == 63


def test_parameters_tell_repeated_values_from_different_ones() -> None:
    sql = 'SELECT "author".* FROM "author" WHERE "author"."id" = $1 LIMIT $2'

    def find(values: list[int]) -> tuple[int, list[PatternKind]]:
        tape = Tape()
        tape.run('SELECT "post".* FROM "post"')
        for value in values:
            tape.run((sql, (["id", value], ["LIMIT", 1])))
        findings = detect(tape.events)
        return len(findings.findings), [each.kind for each in findings.others]

    assert find([1, 2, 3, 4, 5]) == (1, [])
    assert find([7] * 5) == (0, [PatternKind.DUPLICATE])


def test_what_is_held_of_busy_connections_is_bounded() -> None:
    """Twenty connections without a pause, whose statements come in large batches."""
    detector = Detector()
    tracemalloc.start()
    for begin in range(0, 200_000, 5_000):
        detector.feed_all(
            StatementEvent(
                f"s{number % 20}",
                number,
                f"SELECT a.id, a.name FROM a WHERE a.b_id = {number}",
                1e9 + number * 1e-4,
                0.1,
            )
            for number in range(begin, begin + 5_000)
        )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert detector.findings().statements == 200_000
    assert peak < 60e6


def test_a_loop_whose_list_ran_before_the_log_began_is_no_finding_of_its_own() -> None:
    whole = Tape()
    for _ in range(3):
        loop(whole, 12)
        whole.wait(5.0)
    rest = whole.events[4:]
    findings = detect(rest)
    assert only(findings.findings).parent is not None
    alone = detect(whole.events[4:13])
    assert only(alone.findings).parent is None
