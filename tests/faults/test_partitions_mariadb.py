"""Servers of MariaDB with odd settings, tables in other databases, old rows that no dump holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dbtui.config import parse_url
from dbtui.demo.servers import MariaDB
from dbtui.model.connections import ConnectionProfile
from dbtui.model.partitions import StepKind, StepOutcome
from dbtui.model.tables import TableName
from tests.fix_servers import unique_name
from tests.routines.partition_lab import ROWS, month
from tests.routines.test_partitions_mysql import DUE, MariaLab


@pytest.fixture
def lab(mariadb_database: str, tmp_path: Path) -> Iterator[MariaLab]:
    yield made_lab(mariadb_database, tmp_path)


def made_lab(url: str, folder: Path) -> MariaLab:
    made = MariaLab(url, folder, TableName(url.rpartition("/")[2], "logs"))
    made.create()
    return made


def is_done(lab: MariaLab) -> bool:
    """Whether a plan does all it says, takes out what is due, and leaves nothing to do."""
    plan = lab.plan()
    result = lab.apply(plan)
    assert {each.outcome for each in result.results} == {StepOutcome.DONE}
    assert [each.step.kind for each in result.results].count(StepKind.DROP) == len(DUE)
    assert lab.run("SELECT COUNT(*) FROM logs") == [(13 * ROWS,)]
    return result.left == 0 and lab.plan().is_converged


def test_whatever_the_server_is_set_to(new_mariadb: Callable[..., MariaDB], tmp_path: Path) -> None:
    """Names in double quotes, backslashes that are letters, only ways of ALTER that partitions lack, short patience."""
    options = ["--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "--alter-algorithm=INSTANT", "--wait-timeout=1"]
    server = new_mariadb(options=[*options, "--autocommit=0", "--default-time-zone=+05:30"])
    server.execute("CREATE DATABASE odd")
    assert is_done(made_lab(server.url("odd"), tmp_path))


@dataclass
class AwayLab(MariaLab):
    """Logged in to another database than that of the table."""

    away: str = ""

    @property
    def profile(self) -> ConnectionProfile:
        near = parse_url(self.url.rpartition("/")[0] + f"/{self.away}", "erp")
        return replace(near, backup_dir=str(self.folder / "backups"))


def test_a_table_of_another_database_is_archived_there(
    mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    away = unique_name("away")
    mariadb_server.execute(f"CREATE DATABASE {away}")
    try:
        made = made_lab(mariadb_database, tmp_path)
        assert is_done(AwayLab(made.url, made.folder, made.table, away=away))
    finally:
        mariadb_server.execute(f"DROP DATABASE {away}")


def test_what_has_subpartitions_is_not_exchanged(lab: MariaLab) -> None:
    parts = ", ".join(
        f"PARTITION p{month(offset):%Y%m} VALUES LESS THAN (TO_DAYS('{month(offset + 1):%Y-%m-%d}'))"
        for offset in range(-14, 2)
    )
    lab.run("DROP TABLE logs")
    lab.run("CREATE TABLE logs (id int NOT NULL, at datetime NOT NULL) PARTITION BY RANGE (TO_DAYS(at))"
            f" SUBPARTITION BY HASH (id) SUBPARTITIONS 2 ({parts})")  # fmt: skip
    plan = lab.plan()
    assert {step.kind for step in plan.steps} == {StepKind.CREATE}
    assert "which cannot be exchanged with a table" in " ".join(plan.refusals)
    assert lab.apply(plan).left == 0


def test_old_rows_that_no_dump_holds_are_not_dropped(lab: MariaLab) -> None:
    """A system-versioned table that tells its rows' times by transactions."""
    parts = ", ".join(
        f"PARTITION p{month(offset):%Y%m} VALUES LESS THAN ('{month(offset + 1):%Y-%m-%d}')" for offset in range(-14, 2)
    )
    lab.run("DROP TABLE logs")
    lab.run("CREATE TABLE logs (id int NOT NULL, at datetime NOT NULL, a bigint unsigned GENERATED ALWAYS AS ROW START,"
            " b bigint unsigned GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (a, b)) WITH SYSTEM VERSIONING"
            f" PARTITION BY RANGE COLUMNS (at) ({parts})")  # fmt: skip
    lab.run(f"INSERT INTO logs (id, at) VALUES (1, '{month(-14):%Y-%m-%d} 01:00:00')")
    lab.run("UPDATE logs SET id = 2")
    result = lab.apply(lab.plan())
    failed = next(each for each in result.results if each.outcome is StepOutcome.FAILED)
    assert failed.step.kind is StepKind.ARCHIVE
    assert "cannot be archived whole" in failed.detail
    assert lab.run(f"SELECT COUNT(*) FROM {lab.taken(-14)} FOR SYSTEM_TIME ALL") == [(2,)]
