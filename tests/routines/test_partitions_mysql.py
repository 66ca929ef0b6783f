"""Partitions kept right on a real MariaDB: the tail is split, old months are taken out, archived, dropped."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy.engine import make_url

from dbtui.analysis.partition_words import judge_result
from dbtui.model.backups import RestoreOptions
from dbtui.model.events import StepFinished, Warned
from dbtui.model.jobs import JobState
from dbtui.model.partitions import StepKind, StepOutcome
from dbtui.model.tables import TableName
from dbtui.routines.backups import apply_restore, find_backup, plan_restore
from dbtui.routines.partitions import apply_partitions
from tests.routines.partition_lab import QUICK, ROWS, Lab, month

DUE = (-15, -14, -13)


@dataclass
class MariaLab(Lab):
    """The same on MariaDB: months from 15 back to 1 ahead and a tail; nothing is missing between them."""

    def name(self, offset: int) -> str:
        return f"p{month(offset):%Y%m}"

    def taken(self, offset: int) -> str:
        return f"logs_{self.name(offset)}"

    def create(self) -> None:
        parts = ", ".join(
            f"PARTITION {self.name(offset)} VALUES LESS THAN ('{month(offset + 1):%Y-%m-%d}')"
            for offset in range(-15, 2)
        )
        self.run("CREATE TABLE logs (id bigint NOT NULL AUTO_INCREMENT, at datetime NOT NULL, what varchar(20),"
                 " PRIMARY KEY (id, at)) PARTITION BY RANGE COLUMNS (at)"
                 f" ({parts}, PARTITION pmax VALUES LESS THAN (MAXVALUE))")  # fmt: skip
        for offset in range(-15, 1):
            values = ", ".join(f"('{month(offset):%Y-%m-%d} 0{hour}:00:00', 'row {hour}')" for hour in range(ROWS))
            self.run(f"INSERT INTO logs (at, what) VALUES {values}")

    def _connect(self, url: str) -> Any:
        parts = make_url(url)
        return pymysql.connect(
            host=parts.host or "127.0.0.1", port=parts.port or 3306, user=parts.username, autocommit=True,
            password=parts.password or "", database=parts.database, unix_socket=parts.query.get("unix_socket"),
            program_name="bystander",
        )  # fmt: skip

    def run(self, statement: Any) -> list[Any]:
        with closing(self._connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    @contextmanager
    def holding(self, statement: str) -> Iterator[None]:
        with closing(self._connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(statement)
            yield

    def partitions(self) -> set[str]:
        return {row[0] for row in self.run("SELECT partition_name FROM information_schema.partitions WHERE"
                                           " table_schema = DATABASE() AND table_name = 'logs'")}  # fmt: skip

    def tables(self) -> set[str]:
        return {row[0] for row in self.run("SHOW TABLES")}


@pytest.fixture
def lab(mariadb_database: str, tmp_path: Path) -> MariaLab:
    made = MariaLab(
        mariadb_database, tmp_path, TableName(mariadb_database.rpartition("/")[2].partition("?")[0], "logs")
    )
    made.create()
    return made


def kept(lab: MariaLab) -> set[str]:
    return {lab.name(offset) for offset in range(-12, 4)} | {"pmax"}


def test_the_next_are_made_and_what_is_due_goes_into_a_backup(lab: MariaLab) -> None:
    before = lab.run(f"SELECT * FROM logs PARTITION ({lab.name(-15)}) ORDER BY id")
    result = lab.apply(lab.plan())
    assert {each.outcome for each in result.results} == {StepOutcome.DONE}, result
    assert (result.left, judge_result(result)) == (0, JobState.SUCCEEDED)
    assert lab.partitions() >= kept(lab) - {lab.name(3)}
    assert not {lab.name(offset) for offset in DUE} & lab.partitions()
    assert lab.tables() == {"logs"}
    assert lab.plan().is_converged
    archive = next(
        each.archive for each in result.results if each.step.partition.name == lab.taken(-15) and each.archive
    )
    entry = find_backup(lab.folder / "archive", archive)
    assert (entry.tables, entry.rows, entry.proof) == (1, ROWS, "checksums")
    plan = lab.drive(plan_restore(lab.context(), entry, lab.profile, RestoreOptions(tables=(lab.taken(-15),))))
    assert not plan.refusals, plan.refusals
    done = lab.drive(apply_restore(lab.context(), lab.profile, plan))
    rows = lab.run(f"SELECT * FROM `{done.database}`.`{lab.taken(-15)}` ORDER BY id")
    lab.run(f"DROP DATABASE `{done.database}`")
    assert rows == before


@pytest.mark.parametrize("stop", [("create", 1), ("exchange", 2), ("archive", 1), ("drop", 1)], ids=str)
def test_whenever_it_is_stopped_a_new_plan_converges(lab: MariaLab, stop: tuple[str, int]) -> None:
    routine = apply_partitions(lab.context(), lab.profile, lab.plan(), lab.journals, QUICK)
    seen = 0
    for event in routine:
        seen += isinstance(event, StepFinished) and event.step == stop[0]
        if seen == stop[1]:
            break
    assert seen == stop[1]
    routine.close()
    assert lab.apply(lab.plan()).left == 0
    assert lab.tables() == {"logs"}
    assert lab.plan().is_converged
    rows = [find_backup(lab.folder / "archive", each).rows for each in lab.archived()]
    assert len(rows) >= len(DUE)
    assert set(rows) == {ROWS}


def test_with_a_grace_what_was_archived_is_dropped_later(lab: MariaLab) -> None:
    graced = replace(lab.policy, grace_seconds=30 * 86400.0)
    lab.apply(lab.plan(graced))
    assert {lab.taken(offset) for offset in DUE} <= lab.tables()
    assert lab.plan(graced).is_converged
    before = lab.archived()
    plan = lab.plan()
    assert {step.kind for step in plan.steps} == {StepKind.DROP}
    assert lab.apply(plan).left == 0
    assert lab.archived() == before
    assert lab.tables() == {"logs"}


def test_an_open_transaction_is_named_and_waited_for(lab: MariaLab) -> None:
    with lab.holding("SELECT count(*) FROM logs"):
        result = lab.apply(lab.plan())
    assert judge_result(result) is JobState.PARTIAL
    assert {each.outcome for each in result.results} <= {StepOutcome.LOCKED, StepOutcome.SKIPPED}
    told = " ".join(event.message for event in lab.events if isinstance(event, Warned))
    assert "held by" in told
    assert {lab.name(offset) for offset in DUE} <= lab.partitions()
    assert lab.apply(lab.plan()).left == 0
    assert lab.tables() == {"logs"}
