"""Differences of a server's sums, over resets and forgotten shapes, and what is suspected from them."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.queries.normalising import Normaliser
from dbtui.analysis.queries.suspects import CONFIRM, find_suspects
from dbtui.analysis.queries.top_queries import compare_top_queries, find_rates, list_sorts, sort_rates
from dbtui.model.queries import ForeignKey, QuerySchema, TopQueriesSnapshot, TopQuery
from dbtui.model.top_queries import TopQueriesWindow, TopQueryRate, TopQuerySort

START = datetime(2026, 3, 1, tzinfo=UTC)
SOURCE = "pg_stat_statements 1.10"


def look(second: float, *queries: TopQuery, **more: object) -> TopQueriesSnapshot:
    taken_at = START + timedelta(seconds=second)
    base = TopQueriesSnapshot(
        profile="erp", taken_at=taken_at, monotonic_seconds=second, source=SOURCE, queries=queries
    )
    return replace(base, **more)  # type: ignore[arg-type]


def sums(key: str, calls: int, seconds: float, rows: int | None = None, **more: object) -> TopQuery:
    return replace(TopQuery(key=key, sql=f"SELECT {key}", calls=calls, total_seconds=seconds, rows=rows), **more)  # type: ignore[arg-type]


def rate_of(window: TopQueriesWindow, key: str) -> TopQueryRate:
    return next(rate for rate in window.rates if rate.query.key == key)


def test_rates_are_differences() -> None:
    before = look(0, sums("a", 100, 10.0, 500, read_bytes=8192), sums("b", 5, 1.0, 5), sums("idle", 7, 7.0))
    after = look(10, sums("a", 120, 13.0, 700, read_bytes=16384), sums("b", 6, 2.0, 5), sums("idle", 7, 7.0))
    window = compare_top_queries(before, after)
    assert [rate.query.key for rate in window.rates] == ["a", "b"]
    assert (window.seconds, window.calls, window.total_seconds) == (10, 21, 4.0)
    assert window.began_at == START
    a = rate_of(window, "a")
    assert (a.calls, a.calls_per_second, a.mean_seconds, a.rows, a.rows_per_call) == (20, 2.0, 0.15, 200, 10.0)
    assert (a.share, a.read_bytes, a.hit_bytes, a.is_least) == (0.75, 8192, None, False)
    assert rate_of(window, "b").rows_per_call == 0


def test_one_look_alone_counts_since_the_reset() -> None:
    window = compare_top_queries(None, look(100, sums("a", 50, 5.0), since=START))
    assert (window.seconds, window.is_since_reset, rate_of(window, "a").calls_per_second) == (100, True, 0.5)
    unknown = compare_top_queries(None, look(100, sums("a", 50, 5.0)))
    assert (unknown.seconds, unknown.began_at, rate_of(unknown, "a").calls_per_second) == (None, None, 0)
    other = compare_top_queries(
        look(0, sums("a", 1, 1.0), source="performance_schema digests"), look(9, sums("a", 9, 9.0))
    )
    assert other.is_since_reset


def test_a_reset_within_the_window() -> None:
    before = look(0, sums("a", 100, 10.0), sums("gone", 1, 1.0), since=START - timedelta(days=1))
    after = look(10, sums("a", 8, 1.0), sums("c", 4, 1.0), since=START + timedelta(seconds=6))
    window = compare_top_queries(before, after)
    assert (window.is_since_reset, window.seconds) == (True, 4)
    assert window.began_at == START + timedelta(seconds=6)
    assert (rate_of(window, "a").calls, rate_of(window, "a").calls_per_second) == (8, 2.0)
    assert window.forgotten == 1
    assert "the counters were reset" in window.warnings[0]
    skewed = compare_top_queries(before, replace(after, since=START + timedelta(hours=3)))
    assert (skewed.seconds, skewed.began_at) == (10, START)


def test_a_shape_that_was_forgotten_and_met_again_did_at_least_this() -> None:
    before = look(0, sums("a", 100, 10.0), evicted=3)
    window = compare_top_queries(before, look(10, sums("a", 8, 1.0), evicted=9))
    assert (rate_of(window, "a").calls, rate_of(window, "a").is_least) == (8, True)
    assert "no room for 6 statements' shapes" in window.warnings[0]
    first = START - timedelta(hours=1)
    again = compare_top_queries(
        look(0, sums("a", 5, 1.0, first_at=first)), look(10, sums("a", 8, 2.0, first_at=START + timedelta(seconds=3)))
    )
    assert (rate_of(again, "a").calls, rate_of(again, "a").is_least) == (8, True)


def test_what_was_there_and_not_seen_is_left_out() -> None:
    old, new = START - timedelta(hours=1), START + timedelta(seconds=1)
    window = compare_top_queries(
        look(0), look(10, sums("old", 9, 9.0, first_at=old), sums("new", 3, 1.0, first_at=new))
    )
    assert [rate.query.key for rate in window.rates] == ["new"]
    assert (window.unmatched, window.appeared) == (1, 1)


def test_looks_of_two_processes_go_by_the_clock() -> None:
    later = look(30, sums("a", 9, 9.0), monotonic_seconds=-500.0)
    assert compare_top_queries(look(0, sums("a", 1, 1.0)), later).seconds == 30


COUNTS = st.lists(st.tuples(st.integers(0, 50), st.floats(0, 5), st.integers(0, 99)), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(COUNTS, min_size=2, max_size=6))
def test_windows_add_up(steps: list[list[tuple[int, float, int]]]) -> None:
    """The differences of all windows are the difference of the ends; shares of each are one whole."""
    totals: dict[str, tuple[int, float, int]] = {}
    looks = []
    for second, step in enumerate(steps):
        for number, (calls, seconds, rows) in enumerate(step):
            key = f"q{number}"
            had = totals.get(key, (0, 0.0, 0))
            totals[key] = (had[0] + calls, had[1] + seconds, had[2] + rows)
        looks.append(look(second, *(sums(key, *counted) for key, counted in totals.items())))
    windows = [compare_top_queries(one, other) for one, other in itertools.pairwise(looks)]
    whole = compare_top_queries(looks[0], looks[-1])
    assert sum(window.calls for window in windows) == whole.calls
    assert sum(window.total_seconds for window in windows) == pytest.approx(whole.total_seconds)
    for window in windows:
        assert not window.rates or sum(rate.share for rate in window.rates) == pytest.approx(
            1.0 if window.total_seconds else 0
        )
        assert all(rate.calls >= 0 and rate.total_seconds >= 0 and not rate.is_least for rate in window.rates)


@settings(max_examples=150, deadline=None)
@given(COUNTS, COUNTS)
def test_counters_that_went_back_are_never_negative(
    one: list[tuple[int, float, int]], other: list[tuple[int, float, int]]
) -> None:
    before = look(0, *(sums(f"q{number}", *counted) for number, counted in enumerate(one)))
    after = look(5, *(sums(f"q{number}", *counted) for number, counted in enumerate(other)))
    for rate in compare_top_queries(before, after).rates:
        assert rate.calls >= 0
        assert rate.total_seconds >= 0
        assert rate.rows is not None and rate.rows >= 0


def test_rates_are_sorted_and_found() -> None:
    after = look(
        10, sums("a", 1, 9.0, 100, database="shop"), sums("b", 90, 1.0, None), sums("c", 3, 3.0, 3, user="Bob")
    )
    rates = compare_top_queries(None, after).rates
    keys = {by: "".join(rate.query.key for rate in sort_rates(rates, by)) for by in TopQuerySort}
    assert (keys[TopQuerySort.TIME], keys[TopQuerySort.CALLS], keys[TopQuerySort.MEAN]) == ("acb", "bca", "acb")
    assert (keys[TopQuerySort.ROWS], keys[TopQuerySort.ROWS_PER_CALL]) == ("acb", "acb")
    assert [rate.query.key for rate in sort_rates(rates, TopQuerySort.ROWS, is_ascending=True)] == ["c", "a", "b"]
    assert TopQuerySort.WAL not in list_sorts(rates)
    assert TopQuerySort.ROWS in list_sorts(rates)
    assert [rate.query.key for rate in find_rates(rates, "SELECT shop")] == ["a"]
    assert [rate.query.key for rate in find_rates(rates, "bob")] == ["c"]
    assert len(find_rates(rates, "  ")) == 3


# ---------------------------------------------------------------- suspects

SCHEMA = QuerySchema(
    (ForeignKey("comment", ("post_id",), "post", ("id",)), ForeignKey("post", ("author_id",), "author", ("id",))),
    {"comment": ("id",), "post": ("id",), "author": ("id",)},
    {},
)
POSTS = "SELECT post.id, post.title, post.author_id FROM post ORDER BY post.id LIMIT $1"
COMMENTS = "SELECT comment.id, comment.body FROM comment WHERE $1 = comment.post_id"
AUTHORS = "SELECT author.id, author.name FROM author WHERE author.id = $1"
OTHERS = "SELECT tag.id, tag.label FROM tag ORDER BY tag.id LIMIT $1"


def windows_of(*shapes: tuple[str, Sequence[int], Sequence[int]], database: str = "shop") -> list[TopQueriesWindow]:
    """Windows of ten seconds: each shape's calls and rows in each."""
    totals = [[0, 0] for _ in shapes]
    looks = [look(0, *(sums(sql, 0, 0.0, 0, sql=sql, database=database) for sql, *_ in shapes))]
    for place in range(len(shapes[0][1])):
        for total, (_sql, calls, rows) in zip(totals, shapes, strict=True):
            total[0] += calls[place]
            total[1] += rows[place]
        made = [
            sums(sql, calls, calls / 1000, rows, sql=sql, database=database)
            for (sql, *_rest), (calls, rows) in zip(shapes, totals, strict=True)
        ]
        looks.append(look(10 * place + 10, *made))
    return [compare_top_queries(one, other) for one, other in itertools.pairwise(looks)]


def suspected(windows: list[TopQueriesWindow], schema: QuerySchema | None = SCHEMA) -> list[tuple[str, str]]:
    found = find_suspects(windows, Normaliser().shape, schema)
    return [(each.child.sql, each.parent.sql) for each in found]


UNEVEN, EVEN = [3, 9, 1, 5, 12, 4], [5, 5, 5, 5, 5, 5]


def times(calls: Sequence[int], factor: float) -> list[int]:
    return [round(each * factor) for each in calls]


def test_a_look_up_that_follows_a_parent_s_rows_is_suspect() -> None:
    windows = windows_of((POSTS, UNEVEN, times(UNEVEN, 12)), (COMMENTS, times(UNEVEN, 12), times(UNEVEN, 24)))
    (suspect,) = find_suspects(windows, Normaliser().shape, SCHEMA)
    assert (suspect.child.sql, suspect.parent.sql) == (COMMENTS, POSTS)
    assert (suspect.repeats, suspect.parent_rows, suspect.windows) == (12, 12, 6)
    assert suspect.is_value_first
    assert suspect.foreign_key == SCHEMA.foreign_keys[0]
    assert suspect.seconds_per_second == pytest.approx(34 * 12 / 1000 / 60)
    assert suspect.reasons == (
        "12.0 calls for one of the parent, which returns 12.0 rows",
        "its calls followed the parent's rows through 6 windows, within 0 %",
        "foreign key comment.post_id to post",
        "the value is written first, as SQLAlchemy's lazy loads are",
        CONFIRM,
    )
    assert suspect.cure is not None
    assert suspect.cure.snippet == "select(Post).options(selectinload(Post.comments))"


def test_many_to_one_is_suspect_only_under_an_uneven_load() -> None:
    for calls, found in ((UNEVEN, [(AUTHORS, POSTS)]), (EVEN, [])):
        windows = windows_of((POSTS, calls, times(calls, 10)), (AUTHORS, times(calls, 8), times(calls, 8)))
        assert suspected(windows) == found


def test_a_loop_that_a_look_divides_goes_on_in_the_next_window() -> None:
    """The parent's rows are counted in one window, half of the look-ups in the next, in which no parent runs."""
    parent_calls = [2, 0, 4, 1, 0, 3, 2, 5]
    child_calls = [18, 6, 48, 5, 7, 36, 24, 60]
    rows = times(parent_calls, 12)
    windows = windows_of((POSTS, parent_calls, rows), (COMMENTS, child_calls, child_calls))
    assert suspected(windows) == [(COMMENTS, POSTS)]
    child_calls[1] = 0  # what the look divided was never finished
    windows = windows_of((POSTS, parent_calls, rows), (COMMENTS, child_calls, child_calls))
    assert suspected(windows) == []


@pytest.mark.parametrize(
    ("name", "parent", "child"),
    [
        ("too few windows", (POSTS, UNEVEN[:4], times(UNEVEN[:4], 12)), (COMMENTS, times(UNEVEN[:4], 12), [0] * 4)),
        ("no key", (OTHERS, UNEVEN, times(UNEVEN, 12)), (COMMENTS, times(UNEVEN, 12), [0] * 6)),
        ("fewer than half", (POSTS, UNEVEN, times(UNEVEN, 30)), (COMMENTS, times(UNEVEN, 12), [0] * 6)),
        ("more than rows", (POSTS, UNEVEN, times(UNEVEN, 10)), (COMMENTS, times(UNEVEN, 12), [0] * 6)),
        ("few rows", (POSTS, UNEVEN, times(UNEVEN, 2)), (COMMENTS, times(UNEVEN, 2), [0] * 6)),
        ("moves alone", (POSTS, UNEVEN, times(UNEVEN, 12)), (COMMENTS, times(UNEVEN[::-1], 12), [0] * 6)),
        ("runs without", (POSTS, [*UNEVEN, 0], [*times(UNEVEN, 12), 0]), (COMMENTS, times([*UNEVEN, 1], 12), [0] * 7)),
    ],
)  # fmt: skip
def test_what_does_not_move_with_its_parent_is_no_suspect(
    name: str, parent: tuple[str, list[int], list[int]], child: tuple[str, list[int], list[int]]
) -> None:
    assert suspected(windows_of(parent, child)) == []


def test_other_databases_and_resets_do_not_count() -> None:
    shapes = ((POSTS, UNEVEN, times(UNEVEN, 12)), (COMMENTS, times(UNEVEN, 12), times(UNEVEN, 24)))
    windows = windows_of(*shapes)
    assert suspected([replace(window, is_since_reset=True) for window in windows]) == []
    apart = [
        replace(window, rates=tuple(
            replace(rate, query=replace(rate.query, database=rate.query.sql[:20])) for rate in window.rates))
        for window in windows
    ]  # fmt: skip
    assert suspected(apart) == []


def test_lazy_loads_come_first_and_other_parents_are_told() -> None:
    more = "SELECT post.id, post.title, post.author_id FROM post WHERE post.org_id = $1"
    slow = [each + (each % 3) for each in times(UNEVEN, 12)]
    windows = windows_of(
        (POSTS, UNEVEN, times(UNEVEN, 12)), (more, UNEVEN, slow), (AUTHORS, times(UNEVEN, 12), times(UNEVEN, 12)),
        (COMMENTS, times(UNEVEN, 12), times(UNEVEN, 24)),
    )  # fmt: skip
    found = find_suspects(windows, Normaliser().shape, SCHEMA)
    assert [each.child.sql for each in found] == [COMMENTS, AUTHORS]
    assert {each.parent.sql for each in found} == {POSTS}
    assert [each.other_parents for each in found] == [1, 1]
    assert "1 other statement would do as its parent" in found[0].reasons


def test_without_a_catalogue_only_lazy_loads_are_suspect() -> None:
    windows = windows_of(
        (POSTS, UNEVEN, times(UNEVEN, 12)),
        (COMMENTS, times(UNEVEN, 12), [0] * 6),
        (AUTHORS, times(UNEVEN, 12), [0] * 6),
    )
    found = find_suspects(windows, Normaliser().shape, None)
    assert [each.child.sql for each in found] == [COMMENTS]
    assert found[0].foreign_key is None
    assert "by its name; the catalogue does not know it" in found[0].reasons[2]


LOADS = st.lists(st.integers(0, 20), min_size=6, max_size=6)


@settings(max_examples=100, deadline=None)
@given(posts=LOADS, rows=st.integers(0, 30), comments=LOADS, authors=LOADS, factor=st.integers(1, 15))
def test_a_suspicion_keeps_all_rules(
    posts: list[int], rows: int, comments: list[int], authors: list[int], factor: int
) -> None:
    follows = [each * factor for each in posts]
    windows = windows_of(
        (POSTS, posts, times(posts, rows)), (COMMENTS, comments, comments), (AUTHORS, follows, follows),
        (OTHERS, authors, times(authors, 5)),
    )  # fmt: skip
    for suspect in find_suspects(windows, Normaliser().shape, SCHEMA):
        assert suspect.parent.sql == POSTS
        assert suspect.repeats >= 3
        assert suspect.parent_rows >= 3
        assert 0.5 <= suspect.repeats / suspect.parent_rows <= 1.15
        assert sum(1 for each in posts if each) >= 5
        assert suspect.foreign_key in SCHEMA.foreign_keys
        assert suspect.is_value_first or max(posts) - min(posts) >= 0.2 * max(posts)
        assert suspect.reasons[-1] == CONFIRM
