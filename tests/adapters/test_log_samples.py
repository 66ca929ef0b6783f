"""Every format: what is read, that any split of the bytes gives the same, and that counts are honest."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.adapters.log_parsing import LogParser
from dbtui.model.queries import StatementEvent
from tests.adapters.log_samples import SAMPLES, Sample, read_all

NAMES = sorted(SAMPLES)


def brief(events: list[StatementEvent]) -> list[tuple[str, str, float | None, int | None]]:
    return [
        (event.session, event.sql, event.duration_ms and round(event.duration_ms, 3), event.rows) for event in events
    ]


def feed_in_pieces(parser: LogParser, data: bytes, cuts: list[int]) -> list[StatementEvent]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    events = [event for a, b in pairwise(places) for event in parser.feed(data[a:b])]
    return [*events, *parser.finish()]


@pytest.mark.parametrize("name", NAMES)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_split_gives_the_same(name: str, cuts: list[int]) -> None:
    sample = SAMPLES[name]
    whole, pieces = sample.make(), sample.make()
    expected = read_all(whole, sample.text)
    assert feed_in_pieces(pieces, sample.text.encode(), cuts) == expected
    assert pieces.counts == whole.counts


@pytest.mark.parametrize("name", NAMES)
def test_byte_by_byte_gives_the_same(name: str) -> None:
    sample = SAMPLES[name]
    whole, pieces = sample.make(), sample.make()
    expected = read_all(whole, sample.text)
    data = sample.text.encode()
    assert feed_in_pieces(pieces, data, list(range(len(data)))) == expected
    assert pieces.counts == whole.counts


@pytest.mark.parametrize("name", NAMES)
def test_all_lines_are_counted_and_none_is_unreadable(name: str) -> None:
    sample = SAMPLES[name]
    parser = sample.make()
    events = read_all(parser, sample.text)
    counts = parser.counts
    assert (counts.lines, counts.statements, counts.unreadable) == (sample.text.count("\n"), len(events), 0)
    assert len({event.seq for event in events}) == len(events)


@pytest.mark.parametrize("name", NAMES)
@given(end=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_log_that_is_cut_anywhere_gives_what_is_before_the_cut(name: str, end: int) -> None:
    """The last statement may be cut, and then it says so, or is not there; those before are what they are."""
    sample = SAMPLES[name]
    data = sample.text.encode()
    end %= len(data) + 1
    expected = [event.sql for event in read_all(sample.make(), data)]
    parser = sample.make()
    events = read_all(parser, data[:end])
    whole = [event.sql for event in events if not event.is_truncated]
    assert sum(event.is_truncated for event in events) == parser.counts.truncated <= 1
    for sql in whole:  # a detail may be behind the cut, and a line's end within a statement is no sign
        if name == "syslog":  # the lines of one may be cut off behind another's
            continue
        at_line_end = data[end - 1 : end] == b"\n" and any(each.startswith(sql.rstrip("\n")) for each in expected)
        assert sql in expected or sql.startswith(("execute p(", "execute p using")) or at_line_end
    assert len(events) <= len(expected)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_damage_is_counted_and_nothing_fails(name: str, seed: int) -> None:
    sample = SAMPLES[name]
    data = bytearray(sample.text.encode())
    chance = random.Random(seed)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data))
        match chance.randrange(3):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(40)]
            case _:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(10)))
    parser = sample.make()
    events = feed_in_pieces(parser, bytes(data), [chance.randrange(len(data)) for _ in range(4)])
    assert parser.counts.statements == len(events)
    assert len(events) <= len(read_all(sample.make(), sample.text)) + 6
    assert bool(parser.counts.unreadable) == bool(parser.counts.first_unreadable)


def test_stderr() -> None:
    sample = SAMPLES["stderr"]
    parser = sample.make()
    events = read_all(parser, sample.text)
    assert brief(events) == [
        ("30842", "BEGIN", 0.034, None),
        ("30842", "select *\n from t\n\twhere name <> 'it''s \"x\"\\ ü €'", 0.238, None),
        ("30842", "select * from t where id=$1", 0.142, None),
        ("30848", "select name from t where id = $1", 0.013, None),
        ("30849", "select * from t where id<9", 0.175, 8),
        ("30850", "select 1;", 0.558, None),
        ("30851", "select 2;", 0.559, None),
        ("30852", "select 8", None, None),
    ]
    assert [event.params for event in events[2:4]] == [("5", "a, b"), ("15", None)]
    assert {(event.database, event.application) for event in events} == {("shop", "")}
    assert events[0].ts == pytest.approx(1795402380.494)
    assert [event.seq for event in events] == list(range(1, 9))
    assert parser.counts.skipped == 10


def test_csvlog() -> None:
    events = read_all(SAMPLES["csvlog"].make(), SAMPLES["csvlog"].text)
    assert [(event.sql, event.transaction, event.params) for event in events] == [
        ("BEGIN", "3/2", None),
        ("select *\n from t\n\n2026-11-23 where name <> 'it''s \"x\"\\ ü €'", "3/2", None),
        ("select * from t where id=$1", "3/3", ("5",)),
        ("select name from t where id = $1", "3/4", ('a "b", $2 = c',)),
        ("select 8", "4/1", None),
    ]
    assert {(event.session, event.database) for event in events} == {
        ("6b03aa8c.787a", "shop"),
        ("6b03aa8c.787b", "shop"),
    }
    assert [event.application for event in events] == ['my, "app"', *["my app"] * 4]


def test_jsonlog() -> None:
    events = read_all(SAMPLES["jsonlog"].make(), SAMPLES["jsonlog"].text)
    assert [(event.sql, event.transaction, event.params, event.application) for event in events] == [
        ("select *\n\tfrom t where name <> 'it''s \"x\"\\ ü €'", "3/2", None, "my app"),
        ("select name from t where id = $1", "3/0", ("7",), "my app"),
        ("select 8", "4/1", None, "my app"),
    ]


def test_syslog() -> None:
    events = read_all(SAMPLES["syslog"].make(), SAMPLES["syslog"].text)
    assert {(event.session, event.sql) for event in events} == {
        ("30842", "select *\n from t where name = 'a very long one'"),
        ("30848", "BEGIN"),
        ("30842", "COMMIT"),
    }
    assert {event.database for event in events} == {"shop"}
    assert all(event.ts for event in events)


def test_the_slow_log_of_mariadb() -> None:
    parser = SAMPLES["slow log of MariaDB"].make()
    events = read_all(parser, SAMPLES["slow log of MariaDB"].text)
    assert brief(events) == [
        ("5", "create database app", 0.108, 1),
        ("6", "insert into t values(0,'n\\'0\n  # Time: x; ü'),(1,'#')", 0.647, 5),
        ("6", "select *\n from t where id=0", 2000.158, 3),
    ]
    assert [event.database for event in events] == ["", "app", "app"]
    assert [event.ts for event in events] == [1795402384, 1795402384, 1795402385]
    assert parser.counts.skipped == 1


def test_the_slow_log_of_mysql() -> None:
    events = read_all(SAMPLES["slow log of MySQL"].make(), SAMPLES["slow log of MySQL"].text)
    assert [(event.session, event.sql, event.rows, event.database) for event in events] == [
        ("12", "SELECT * FROM post", 7, "shop"),
        ("12", "SELECT * FROM author WHERE id = 3", 1, "shop"),
        ("12", "RESET CONNECTION", 0, "shop"),
        ("13", "UPDATE title SET a = 1", 4, "imdb"),
    ]
    assert [event.ts for event in events] == [1795402384.25, 1795402384.5, 1795402384.6, 1795402384.7]


def test_the_general_log_of_mariadb() -> None:
    events = read_all(SAMPLES["general log of MariaDB"].make(), SAMPLES["general log of MariaDB"].text)
    assert [(event.session, event.sql, event.database) for event in events] == [
        ("6", "SET NAMES utf8mb4", "app"),
        ("6", "select *\n from t\n\n\twhere id=0", "app"),
        ("6", "prepare p from 'select * from t where id=?'", "app"),
        ("6", "select * from t where id=3", "app"),
        ("6", "select 'ü' -- c", "mysql"),
    ]
    assert [event.ts for event in events] == [1795402384, 1795402384, *[1795402385] * 3]


def test_the_general_log_of_mysql() -> None:
    events = read_all(SAMPLES["general log of MySQL"].make(), SAMPLES["general log of MySQL"].text)
    assert [(event.sql, event.database, event.ts) for event in events] == [
        ("SELECT 1", "shop", 1795402384.3),
        ("RESET CONNECTION", "", 1795402384.4),
        ("SELECT * FROM t WHERE id = 4", "shop", 1795402384.5),
    ]


def test_a_trace() -> None:
    events = read_all(SAMPLES["trace"].make(), SAMPLES["trace"].text)
    assert [(event.session, event.seq, event.scope, event.transaction, event.params) for event in events] == [
        ("s1", 1, "req-1", "", None),
        ("7", 2, "", "4/1971550", (1, None, "x")),
        ("s1", 3, "", "", (1,)),
    ]
    assert (events[2].call_site, events[2].relationship, events[2].load) == ("a.py:4", "Post.tags", "lazy")


def test_a_line_of_a_trace_that_is_wrong_is_told_in_a_sentence() -> None:
    sample = Sample(
        '{"session":"a","seq":1,"sql":"s"}\n{"session":"a","seq":"x","sql":"s"}\n{"sql":1}\nx\n', SAMPLES["trace"].make
    )
    parser = sample.make()
    assert len(read_all(parser, sample.text)) == 1
    assert parser.counts.unreadable == 3
    assert parser.counts.first_unreadable == 'line 2: seq: expected int, got str: {"session":"a","seq":"x","sql":"s"}'


@pytest.mark.parametrize("name", NAMES)
def test_a_log_that_begins_within_a_record_is_read_from_the_next(name: str) -> None:
    sample = SAMPLES[name]
    data = sample.text.encode()
    expected = read_all(sample.make(), data)
    for start in range(0, len(data), 37):
        parser = sample.make()
        events = read_all(parser, data[start:])
        assert parser.counts.statements == len(events) <= len(expected)
        last = [event for event in expected if event.session == expected[-1].session][-1]
        if start < len(data) // 2:
            assert any(event.sql == last.sql for event in events), start


@pytest.mark.parametrize("name", NAMES)
def test_what_is_whole_is_given_when_the_log_is_silent(name: str) -> None:
    """For one who follows: nothing waits for the next line once it is clear that none comes for now."""
    sample = SAMPLES[name]
    parser = sample.make()
    expected = read_all(sample.make(), sample.text)
    events = [*parser.feed(sample.text.encode()), *parser.settle()]
    assert events == expected[: len(events)]
    assert len(events) >= len(expected) - any(event.sql == "select 8" for event in expected)  # its duration may come
    assert [event.sql for event in parser.finish()] == [event.sql for event in expected[len(events) :]]
