"""What a card about a repetition is made of, sums that are watched, and captures in words."""

from dataclasses import replace

import pytest

from dbtui.analysis.capture_words import describe_few, describe_plan, describe_stale, parse_size
from dbtui.analysis.queries.live_sums import KEPT_WINDOWS, LiveSums
from dbtui.analysis.query_cards import (
    Piece,
    copy_cure,
    count_moments,
    mark_placeholders,
    mark_values,
    name_pattern,
    name_statement,
    reckon_lost,
    write_card,
)
from dbtui.errors import UsageError
from dbtui.model.captures import CaptureWish, StaleCapture
from tests.tui.query_world import COMMENTS, events, judged, looks, plan_of, snapshot
from tests.unit.watched import profile_named


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        (COMMENTS.format("?"), "comment WHERE ? = post_id"),
        ("SELECT a.x, a.yyyyyyyyyyyyyyy FROM a ORDER BY a.x LIMIT 5", "a"),
        ("SELECT a.x, a.yyyyyyyyyyyyyyy FROM a JOIN b ON a.id = b.a_id", "a JOIN b ON a.id = b.a_id"),
        ("SELECT a.x, a.yyyyyyyyyyyyyyy FROM a, b WHERE a.id = b.id", "a, b WHERE a.id = b.id"),
        ("SELECT count(*) FROM a", "SELECT count(*) FROM a"),
        ("UPDATE a SET b = 1", "UPDATE a SET b = 1"),
        ("", ""),
    ],
)
def test_statements_in_few_words(sql: str, name: str) -> None:
    assert name_statement(sql) == name


def test_what_varies_is_marked() -> None:
    assert mark_values(["WHERE id = 15", "WHERE id = 17"]) == [
        [Piece("WHERE id = "), Piece("15", True)],
        [Piece("WHERE id = "), Piece("17", True)],
    ]
    assert mark_values(["t = 'it''s' AND x = 1", "t = 'me' AND x = 1"])[0][1] == Piece("'it''s'", True)
    assert mark_values(["id = -15 ;", "id = 7 ;"])[0] == [Piece("id = "), Piece("-15", True), Piece(" ;")]
    assert mark_values(["one"]) == [[Piece("one")]]
    assert mark_values([]) == []
    assert mark_values(["same", "same"]) == [[Piece("same")], [Piece("same")]]
    assert mark_placeholders("a = ? AND b IN (?+) AND c = $12") == [
        Piece("a = "), Piece("?", True), Piece(" AND b IN ("), Piece("?+", True), Piece(") AND c = "),
        Piece("$12", True),
    ]  # fmt: skip


def test_moments_fall_into_equal_parts() -> None:
    assert count_moments([0.1, 0.2, 1.0], 10) == [0, 1, 1, 0, 0, 0, 0, 0, 0, 1]
    assert count_moments([], 3) == [0, 0, 0]
    assert count_moments([0.0, 0.0], 3) == [2, 0, 0]


def test_cards_and_what_is_lost() -> None:
    (found,) = judged(events(3)).findings
    assert name_pattern(found) == "post then 12 × comment WHERE ? = post_id"
    assert name_pattern(replace(found, parent=None)) == "12 × comment WHERE ? = post_id"
    assert reckon_lost(found, None) == found.saved_seconds
    assert found.saved_seconds is not None
    assert reckon_lost(found, 30.0, 0.1) == pytest.approx(found.saved_seconds * 20)
    assert reckon_lost(replace(found, saved_seconds=None, total_seconds=None), 30.0) is None
    card = write_card(found, 0.0005)
    assert card.startswith("N+1 (finding, 0.")
    assert "\nsaved: (36 − 3) × (1.50 ms + 500 µs round trip)" in card
    assert copy_cure(found.cure).splitlines() == [
        "select(Post).options(selectinload(Post.comments))",
        "# guard: raiseload(Post.comments)",
        "-- CREATE INDEX CONCURRENTLY ix_comment_post_id ON comment (post_id)",
    ]
    assert copy_cure(None) == ""


def test_watched_sums_are_compared_and_suspected() -> None:
    seen = looks(KEPT_WINDOWS + 4)
    assert [each.compared for each in seen[:3]] == [0, 1, 2]
    assert seen[0].window is None
    assert seen[4].suspects == ()
    assert [each.child.key for each in seen[5].suspects] == ["22/comments"]
    assert seen[-1].compared == KEPT_WINDOWS
    assert seen[-1].schema is not None and seen[-1].round_trip_seconds == 0.0004


def test_looks_long_ago_and_resets_are_no_windows() -> None:
    sums = LiveSums()
    sums.take(snapshot(0))
    late = sums.take(snapshot(2, monotonic_seconds=9999.0))
    assert (late.compared, late.window is None) == (0, False)
    reset = sums.take(snapshot(3, monotonic_seconds=10002.0, since=snapshot(3).taken_at))
    assert reset.compared == 0
    older = sums.take(snapshot(1, monotonic_seconds=5.0))
    assert older.window is None


def test_captures_in_words() -> None:
    assert parse_size("at most", "64 MB") == 64_000_000
    assert parse_size("at most", "1.5G") == 1_500_000_000
    with pytest.raises(UsageError, match="at most: 'much' is no size"):
        parse_size("at most", "much")
    assert describe_few(10, 0.1) == "10% of the transactions were few here: capture every statement"
    assert describe_few(10, 1.0) == describe_few(1000, 0.1) == ""
    plan = plan_of(profile_named(), CaptureWish(sample_rate=0.1), "no room")
    assert [label for label, _ in describe_plan(plan)] == ["change", "limit", "refused"]
    assert describe_stale(StaleCapture(path="/x", problem="half a line")) == "/x: half a line"
