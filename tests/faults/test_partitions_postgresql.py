"""What goes wrong around partitions of PostgreSQL: locks that last, sessions that are ended, indexes half made."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dbtui.demo.servers import PostgreSQL
from dbtui.model.partitions import StepKind, StepOutcome
from dbtui.model.policies import Interval, IntervalUnit, PartitionPolicy
from dbtui.model.tables import TableName
from dbtui.routines.partitions import SeenTable, collect_one
from tests.routines.partition_lab import Lab, month


@pytest.fixture
def lab(postgresql_database: str, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(postgresql_database, tmp_path)
    made.create()
    yield made


def is_valid(lab: Lab, index: str) -> bool:
    return bool(lab.run(f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{index}'::regclass")[0][0])


def test_an_index_becomes_valid_although_what_lacks_it_leaves_later(lab: Lab) -> None:
    lab.run("CREATE INDEX by_what ON ONLY logs (what)")
    with lab.holding(f'SELECT count(*) FROM "{lab.name(-14)}"'):
        result = lab.apply(lab.plan())
    built = [each.outcome for each in result.results if each.step.kind is StepKind.CREATE_INDEX]
    attached = [each.outcome for each in result.results if each.step.kind is StepKind.ATTACH_INDEX]
    assert set(built) == {StepOutcome.DONE}
    assert set(attached) == {StepOutcome.SKIPPED}
    assert lab.apply(lab.plan()).left == 0
    assert is_valid(lab, "by_what")
    assert lab.plan().is_converged


def test_a_session_that_waits_while_others_work_is_not_ended_for_it(lab: Lab) -> None:
    """Archives take longer than a server may let a session do nothing."""
    database = lab.url.rpartition("/")[2]
    lab.run(f"ALTER DATABASE \"{database}\" SET idle_session_timeout = '150ms'")
    result = lab.apply(lab.plan())
    assert {each.outcome for each in result.results} == {StepOutcome.DONE}
    assert result.left == 0


def test_a_session_in_the_way_is_named_once(lab: Lab) -> None:
    with lab.holding(f'SELECT count(*) FROM logs; SELECT count(*) FROM "{lab.name(-14)}"'):
        result = lab.apply(lab.plan())
    locked = next(each for each in result.results if each.outcome is StepOutcome.LOCKED)
    assert locked.detail.count("bystander") == 1


def test_a_key_that_ends_is_covered_to_its_end(lab: Lab) -> None:
    lab.run("CREATE TABLE ids (id smallint NOT NULL) PARTITION BY RANGE (id)")
    lab.run("CREATE TABLE ids_0 PARTITION OF ids FOR VALUES FROM (0) TO (15000)")
    lab.run("INSERT INTO ids VALUES (14000)")
    ids = replace(lab, table=TableName("public", "ids"))
    asked = PartitionPolicy(table=ids.table, interval=Interval(15000, IntervalUnit.NUMBER), premake=4)
    assert ids.apply(ids.plan(asked)).left == 0
    lab.run("INSERT INTO ids VALUES (29999), (32767)")
    assert ids.partitions() == {"ids_0", "ids_15000", "ids_30000"}


def test_a_young_table_is_not_blamed_for_reading_all_of_it(lab: Lab) -> None:
    """Where every partition reaches beyond now, a question about the last hour rightly reads each."""
    lab.run("CREATE TABLE young (at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    for offset in (0, 1):
        ends = (f"{month(offset):%Y-%m-%d}", f"{month(offset + 1):%Y-%m-%d}")
        lab.run(f"CREATE TABLE young_{offset} PARTITION OF young FOR VALUES FROM ('{ends[0]}') TO ('{ends[1]}')")

    def prunes(name: str) -> bool | None:
        seen: SeenTable = lab.drive(collect_one(lab.context(), lab.profile, TableName("public", name)))
        return seen.prunes

    assert prunes("young") is None
    assert prunes("logs") is True
    lab.run("CREATE TABLE young_past PARTITION OF young FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')")
    assert prunes("young") is True


def test_readers_of_the_default_do_not_wait_while_its_rows_move(lab: Lab) -> None:
    lab.run("CREATE TABLE logs_rest PARTITION OF logs DEFAULT")
    lab.run(f"INSERT INTO logs (at, what) VALUES ('{month(2):%Y-%m-%d} 12:00+00', 'early')")
    plan = lab.plan()
    drain = next(step for step in plan.steps if step.kind is StepKind.DRAIN_DEFAULT)
    moving = next(number for number, sql in enumerate(drain.sql) if sql.startswith("WITH moved"))
    held = [sql for sql in drain.sql[:moving] if "logs_rest" in sql]
    assert held == ['LOCK TABLE ONLY "public"."logs_rest" IN EXCLUSIVE MODE']
    assert drain.sql[moving + 1] == 'LOCK TABLE ONLY "public"."logs_rest" IN ACCESS EXCLUSIVE MODE'
    with lab.holding("SELECT count(*) FROM logs_rest"):
        waited = lab.apply(replace(plan, steps=(drain,)))
    assert waited.results[0].outcome is StepOutcome.LOCKED
    assert lab.apply(lab.plan()).left == 0
    assert lab.run("SELECT what FROM logs WHERE what = 'early'") == [("early",)]


def test_a_prepared_transaction_in_the_way_is_named(new_postgresql: Callable[..., PostgreSQL], tmp_path: Path) -> None:
    server = new_postgresql(config=["max_prepared_transactions = 1"])
    server.execute("CREATE DATABASE prepared")
    made = Lab(server.url("prepared"), tmp_path)
    made.create()
    old = made.name(-14)
    made.run(f"BEGIN; DELETE FROM {old}; PREPARE TRANSACTION 'left by nobody'")
    plan = made.plan()
    detaches = tuple(step for step in plan.steps if step.partition.name == old and step.kind is StepKind.DETACH)
    locked = made.apply(replace(plan, steps=detaches)).results[0]
    assert locked.outcome is StepOutcome.LOCKED
    assert "a prepared transaction (left by nobody postgres, in a transaction for" in locked.detail
    made.run("ROLLBACK PREPARED 'left by nobody'")
    assert made.apply(made.plan()).left == 0
