"""How often the detector is right on what libraries write, in four states of telling.

Django's and ActiveRecord's programs were run against PostgreSQL 15. Django's statements come by the simple protocol,
ActiveRecord's by the extended one, where a statement outside of a transaction is logged with a transaction id of its
own. The others are written by hand: spans with markers for values, logs of Rails, Laravel, Hibernate, Prisma and
more, workers, seeds, validations, windows of time.
"""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.logs import open_log
from dbtui.model.queries import StatementEvent
from tests.unit.query_cases import Score, detect

TRACES = Path(__file__).parent / "query_traces" / "frameworks"
LEAST = 0.96
Record = dict[str, Any]


def with_fields(*names: str) -> Callable[[Record], Record]:
    """Leave out of a record what its source does not tell."""
    return lambda record: {name: record[name] for name in names if name in record}


TELLING: dict[str, Callable[[Record], Record]] = {
    "everything": with_fields("session", "seq", "sql", "ts", "duration_ms", "params", "scope"),
    "no transactions": with_fields("session", "seq", "sql", "ts", "duration_ms", "params"),
    "no parameters": with_fields("session", "seq", "sql", "ts", "duration_ms"),
    "text alone": with_fields("session", "seq", "sql"),
}


def read_cases(framework: str) -> dict[tuple[str, bool], list[Record]]:
    """Return the traces of one framework by name and label."""
    cases: dict[tuple[str, bool], list[Record]] = {}
    with gzip.open(TRACES / f"{framework}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            key = (record["source_case"], record["expected_label"] == "positive")
            cases.setdefault(key, []).append(record)
    return cases


def read(records: list[Record], telling: Callable[[Record], Record]) -> list[StatementEvent]:
    """Read records as a trace's file is read."""
    text = "".join(json.dumps(telling(record)) + "\n" for record in records)
    with open_log(io.BytesIO(text.encode()), "trace") as reader:
        return list(reader)


@pytest.mark.parametrize("telling", TELLING)
@pytest.mark.parametrize("framework", ["django", "rails", "others"])
def test_precision_and_recall(framework: str, telling: str, capsys: pytest.CaptureFixture[str]) -> None:
    score = Score()
    cases = read_cases(framework)
    for (name, is_positive), records in cases.items():
        found = detect(read(records, TELLING[telling])).findings
        score.add(name, is_positive=is_positive, is_found=bool(found))
    with capsys.disabled():
        print(f"\nN+1 in {len(cases)} traces of {framework}, {telling}: {score}")
    assert score.found + score.missed >= 36
    assert score.precision >= LEAST, score
    assert score.recall >= LEAST, score


def events_of(*statements: str) -> list[StatementEvent]:
    """Return statements as the events of one session."""
    return [StatementEvent("s1", seq, sql) for seq, sql in enumerate(statements, 1)]


def test_what_only_asks_whether_a_row_is_there_returns_none_to_go_through() -> None:
    validations = ['SELECT 1 AS one FROM "users" WHERE "users"."email" = $1 LIMIT $2'] * 2
    shown = ['SELECT "users".* FROM "users" WHERE "users"."session_token" = $1 LIMIT $2'] * 6
    assert detect(events_of(*validations, *shown)).findings == ()


@pytest.mark.parametrize("select", ["COUNT(*)", '"posts".*'])
def test_rows_of_each_state_are_not_the_rows_of_the_list_read_again(select: str) -> None:
    states = [f'SELECT {select} FROM "posts" WHERE "posts"."status" = \'s{n}\'' for n in range(6)]
    assert detect(events_of('SELECT "posts".* FROM "posts"', *states)).findings == ()


def test_statements_outside_of_transactions_are_no_transactions_of_their_own() -> None:
    sql = ['SELECT "posts".* FROM "posts"', *(f'SELECT "c".* FROM "c" WHERE "c"."post_id" = {n}' for n in range(6))]
    events = [event._replace(transaction=f"3/{event.seq}") for event in events_of(*sql)]
    assert len(detect(events).findings) == 1
