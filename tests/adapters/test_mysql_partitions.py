"""Partitioned tables of MariaDB: collected, and the steps of their plans run."""

import json
from datetime import UTC, date, datetime

import pymysql
import pytest

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.partitions import PARTITIONS
from dbtui.demo.servers import MariaDB
from dbtui.errors import LockedError, RefusedError, UsageError
from dbtui.model.backups import TableName
from dbtui.model.events import Event, Progressed, Warned
from dbtui.model.partitions import (
    DefaultBound,
    HashBound,
    KeyKind,
    Limit,
    ListBound,
    LockPatience,
    PartitionedTable,
    PartitionStep,
    PartitionStrategy,
    RangeBound,
    StepKind,
    StepOutcome,
    StepResult,
    UnreadBound,
)
from tests.adapters.bystanders import Bystander, keeps_promise
from tests.adapters.mysql_targets import collect, open_mysql

QUICK = LockPatience(tries=3, seconds=5.0, first_pause_seconds=0.02, longest_pause_seconds=0.05)


class Lab:
    """A database with `logs`, by month until April 2026 and beyond."""

    def __init__(self, server: MariaDB, url: str) -> None:
        self.server = server
        self.schema = url.rpartition("/")[2]
        self.target: MysqlTarget = open_mysql(url)
        self.logs = TableName(self.schema, "logs")

    def sql(self, text: str) -> None:
        self.server.execute(text, database=self.schema)

    def rows(self, text: str) -> list[dict[str, object]]:
        made = self.target.connect(self.schema)
        try:
            return self.target.rows(text, on=made)
        finally:
            made.close()

    def see(self, name: str = "logs") -> PartitionedTable:
        return PARTITIONS.collect_partitioned_table(self.target, TableName("", name))

    def step(self, kind: StepKind, name: str, table: PartitionedTable | None = None, **fields: object) -> PartitionStep:
        table = table or self.see()
        found = next((each for each in table.partitions if each.table.name == name), None)
        known = {} if found is None else {"bound": found.bound, "bound_text": found.bound_text}
        where = TableName(self.schema, name)
        step = PartitionStep(kind=kind, table=table.table, partition=where, why="", **{**known, **fields})  # type: ignore[arg-type]
        return PARTITIONS.describe_step(table, step)

    def run(self, step: PartitionStep, patience: LockPatience = QUICK) -> tuple[list[object], StepResult]:
        with PARTITIONS.open_executor(self.target, self.see(step.table.name), patience) as executor:
            return collect(executor.run(step))


@pytest.fixture
def lab(mariadb_server: MariaDB, mariadb_database: str):  # type: ignore[no-untyped-def]
    made = Lab(mariadb_server, mariadb_database)
    made.sql(
        "CREATE TABLE logs (id bigint NOT NULL AUTO_INCREMENT, at date NOT NULL, v int, PRIMARY KEY (id, at), KEY (at))"
        " COMMENT = 'mine' PARTITION BY RANGE COLUMNS (at) (PARTITION p1 VALUES LESS THAN ('2026-02-01'),"
        " PARTITION p2 VALUES LESS THAN ('2026-03-01'), PARTITION p3 VALUES LESS THAN ('2026-04-01'),"
        " PARTITION pmax VALUES LESS THAN (MAXVALUE))"
    )
    made.sql("INSERT INTO logs (at, v) VALUES ('2026-01-05', 1), ('2026-01-06', 2), ('2026-02-05', 3)")
    yield made
    made.target.close()


def ends(table: PartitionedTable) -> list[object]:
    return [each.bound.upper[0] for each in table.partitions if isinstance(each.bound, RangeBound)]


def april(name: str = "2026-05-01") -> RangeBound:
    return RangeBound((date(2026, 4, 1),), (date.fromisoformat(name),))


def test_what_a_table_is_like(lab: Lab) -> None:
    table = lab.see()
    assert (table.strategy, table.key_columns, table.key_kinds) == (PartitionStrategy.RANGE, ("at",), (KeyKind.DATE,))
    assert ends(table) == [date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1), Limit.HIGHEST]
    assert table.partitions[0].bound == RangeBound((Limit.LOWEST,), (date(2026, 2, 1),))
    assert table.partitions[1].bound_text == "VALUES LESS THAN ('2026-03-01')"
    assert (table.default_rows, table.is_owner, table.is_replica, table.is_pooled) == (0, True, False, False)
    assert "logs" in table.names_taken
    assert [each.table for each in PARTITIONS.collect_partitioned_tables(lab.target)] == [lab.logs]
    assert PARTITIONS.collect_prunes(lab.target, table) is True
    assert set(PARTITIONS.collect_exact_sizes(lab.target, lab.logs, table.partitions[:2])) == {
        TableName(lab.schema, "p1"),
        TableName(lab.schema, "p2"),
    }


def test_other_keys(lab: Lab) -> None:
    lab.sql("CREATE TABLE d (at datetime) PARTITION BY RANGE (TO_DAYS(at)) (PARTITION p VALUES LESS THAN (740013))")
    lab.sql(
        "CREATE TABLE s (at timestamp NOT NULL) PARTITION BY RANGE (UNIX_TIMESTAMP(at))"
        " (PARTITION p VALUES LESS THAN (1769904000), PARTITION q VALUES LESS THAN MAXVALUE)"
    )
    lab.sql("CREATE TABLE h (k int) PARTITION BY HASH (k) PARTITIONS 2")
    lab.sql(
        "CREATE TABLE l (k varchar(9)) PARTITION BY LIST COLUMNS (k)"
        " (PARTITION p VALUES IN ('a', 'it''s\\\\', NULL), PARTITION q DEFAULT)"
    )
    lab.sql("CREATE TABLE y (at date) PARTITION BY RANGE (YEAR(at)) (PARTITION p VALUES LESS THAN (2026))")
    days, seconds = lab.see("d"), lab.see("s")
    assert ends(days) == [date(2026, 2, 1)]
    assert ends(seconds) == [datetime(2026, 2, 1, tzinfo=UTC), Limit.HIGHEST]
    assert lab.see("h").partitions[1].bound == HashBound(2, 1)
    assert [each.bound for each in lab.see("l").partitions] == [ListBound(("a", "it's\\", None)), DefaultBound()]
    assert isinstance(lab.see("y").partitions[0].bound, UnreadBound)
    bound = RangeBound((date(2026, 2, 1),), (date(2026, 3, 1),))
    assert lab.run(lab.step(StepKind.CREATE, "p2", days, bound=bound))[1].outcome is StepOutcome.DONE
    assert ends(lab.see("d")) == [date(2026, 2, 1), date(2026, 3, 1)]
    moment = RangeBound((datetime(2026, 2, 1, tzinfo=UTC),), (datetime(2026, 3, 1, tzinfo=UTC),))
    assert lab.run(lab.step(StepKind.CREATE, "p2", seconds, bound=moment))[1].outcome is StepOutcome.DONE
    assert ends(lab.see("s"))[1] == datetime(2026, 3, 1, tzinfo=UTC)
    values = ListBound(("b'\\",))
    assert lab.run(lab.step(StepKind.CREATE, "b", lab.see("l"), bound=values))[1].outcome is StepOutcome.DONE
    assert values in [each.bound for each in lab.see("l").partitions]


def test_tables_that_are_not_there_or_not_partitioned(lab: Lab) -> None:
    lab.sql("CREATE TABLE plain (i int)")
    for name, words in (("plain", "not partitioned"), ("nothing", "no table")):
        with pytest.raises(UsageError, match=words):
            lab.see(name)


def test_an_empty_tail_is_split(lab: Lab) -> None:
    step = lab.step(StepKind.CREATE, "p4", bound=april())
    assert "REORGANIZE" in step.sql[1]
    assert lab.run(step)[1].outcome is StepOutcome.DONE
    assert ends(lab.see())[3:] == [date(2026, 5, 1), Limit.HIGHEST]
    assert lab.run(step)[1].outcome is StepOutcome.SKIPPED


def test_a_tail_with_rows_is_drained_and_not_split(lab: Lab) -> None:
    lab.sql("INSERT INTO logs (at, v) VALUES ('2026-04-05', 9), ('2026-09-05', 10)")
    table = lab.see()
    step = lab.step(StepKind.CREATE, "p4", bound=april())
    assert (table.default_rows, PARTITIONS.count_conflicts(lab.target, table, step)) == (2, 2)
    refused = lab.run(step)[1]
    assert (refused.outcome, "holds rows" in refused.detail) == (StepOutcome.FAILED, True)
    assert lab.run(lab.step(StepKind.DRAIN_DEFAULT, "p4", bound=april()))[1].outcome is StepOutcome.DONE
    assert lab.rows("SELECT v FROM logs PARTITION (p4)") == [{"v": 9}]


def test_rows_in_the_default_of_a_list_do_not_get_lost(lab: Lab) -> None:
    """ADD PARTITION beside a default leaves its rows where no query looks for them."""
    lab.sql(
        "CREATE TABLE tenants (k varchar(9)) PARTITION BY LIST COLUMNS (k)"
        " (PARTITION a VALUES IN ('a'), PARTITION rest DEFAULT)"
    )
    lab.sql("INSERT INTO tenants VALUES ('a'), ('y'), ('z')")
    table, bound = lab.see("tenants"), ListBound(("z",))
    assert table.default_rows == 2
    refused = lab.run(lab.step(StepKind.CREATE, "z", table, bound=bound))[1]
    assert (refused.outcome, "rest holds rows" in refused.detail) == (StepOutcome.FAILED, True)
    assert lab.run(lab.step(StepKind.DRAIN_DEFAULT, "z", table, bound=bound))[1].outcome is StepOutcome.DONE
    assert lab.rows("SELECT k FROM tenants PARTITION (z)") == [{"k": "z"}]
    assert lab.rows("SELECT k FROM tenants WHERE k = 'z'") == [{"k": "z"}]
    assert lab.rows("CHECK TABLE tenants")[0]["Msg_text"] == "OK"


def test_a_partition_that_is_not_to_be_archived_is_dropped(lab: Lab) -> None:
    step = lab.step(StepKind.DROP, "p1")
    assert "DROP PARTITION" in step.sql[0]
    assert lab.run(step)[1].outcome is StepOutcome.DONE
    assert lab.rows("SELECT v FROM logs") == [{"v": 3}]


def test_without_a_tail_partitions_are_added(lab: Lab) -> None:
    lab.sql("ALTER TABLE logs DROP PARTITION pmax")
    step = lab.step(StepKind.CREATE, "p4", bound=april())
    assert "ADD PARTITION" in step.sql[0]
    assert lab.run(step)[1].outcome is StepOutcome.DONE
    again = lab.step(StepKind.CREATE, "late", bound=RangeBound((date(2026, 1, 1),), (date(2026, 1, 15),)))
    failed = lab.run(again)[1]
    assert (failed.outcome, "increasing" in failed.detail) == (StepOutcome.FAILED, True)


def test_rows_leave_by_exchange_are_marked_and_dropped(lab: Lab) -> None:
    into = TableName(lab.schema, "logs_p1")
    assert lab.run(lab.step(StepKind.EXCHANGE, "p1", into=into))[1].outcome is StepOutcome.DONE
    table = lab.see()
    assert ends(table)[0] == date(2026, 3, 1)
    (gone,) = table.detached
    assert (gone.table, gone.bound) == (into, RangeBound((Limit.LOWEST,), (date(2026, 2, 1),)))
    assert lab.rows("SELECT v FROM logs_p1 ORDER BY v") == [{"v": 1}, {"v": 2}]
    drop = lab.step(StepKind.DROP, "logs_p1", bound_text=gone.bound_text)
    with PARTITIONS.open_executor(lab.target, table, QUICK) as executor:
        executor.mark_archived(drop, "erp-1'\\")
    assert lab.see().detached[0].archive == "erp-1'\\"
    assert lab.run(drop)[1].outcome is StepOutcome.DONE
    assert lab.run(drop)[1].outcome is StepOutcome.SKIPPED
    assert not lab.see().detached


@pytest.mark.parametrize("done", [1, 2, 3])
def test_an_exchange_that_was_killed_is_gone_on_with(lab: Lab, done: int) -> None:
    """After each of its statements: the copy, the mark, the exchange."""
    into = TableName(lab.schema, "logs_p1")
    step = lab.step(StepKind.EXCHANGE, "p1", into=into)
    fields = {"parent": [lab.schema, "logs"], "bound": step.bound_text, "at": "", "archive": ""}
    mark = f"dbtui:detached {json.dumps(fields)}".replace("'", "''")
    for sql in (step.sql[0], f"ALTER TABLE logs_p1 COMMENT = '{mark}' REMOVE PARTITIONING", step.sql[2])[:done]:
        lab.sql(sql)
    table = lab.see()
    assert ("logs_p1" in table.names_taken) is (done > 1)
    name = "logs_p1" if done < 3 else "logs_p1_2"
    assert lab.run(lab.step(StepKind.EXCHANGE, "p1", into=TableName(lab.schema, name)))[1].outcome is StepOutcome.DONE
    after = lab.see()
    assert ends(after)[0] == date(2026, 3, 1)
    assert (
        sum(int(str(lab.rows(f"SELECT COUNT(*) AS n FROM `{each.table.name}`")[0]["n"])) for each in after.detached)
        == 2
    )


def test_a_table_of_somebody_else_is_not_taken(lab: Lab) -> None:
    lab.sql("CREATE TABLE logs_p1 (i int)")
    result = lab.run(lab.step(StepKind.EXCHANGE, "p1", into=TableName(lab.schema, "logs_p1")))[1]
    assert (result.outcome, "something else" in result.detail) == (StepOutcome.FAILED, True)
    dropped = lab.run(lab.step(StepKind.DROP, "logs_p1"))[1]
    assert (dropped.outcome, "mark" in dropped.detail) == (StepOutcome.FAILED, True)


def test_a_bound_that_has_changed_is_left_alone(lab: Lab) -> None:
    step = lab.step(StepKind.DROP, "p1")
    lab.sql("ALTER TABLE logs REORGANIZE PARTITION p1, p2 INTO (PARTITION p1 VALUES LESS THAN ('2026-03-01'))")
    result = lab.run(step)[1]
    assert (result.outcome, "2026-03-01" in result.detail) == (StepOutcome.FAILED, True)


def test_who_is_in_the_way_is_named_and_nobody_waits(lab: Lab, mariadb_server: MariaDB) -> None:
    made = pymysql.connect(
        host=mariadb_server.host, port=mariadb_server.port, user="root", password=mariadb_server.password,
        database=lab.schema, autocommit=True,
    )  # fmt: skip

    def ask(sql: str) -> None:
        with made.cursor() as cursor:
            cursor.execute(sql)
            cursor.fetchall()

    def measure() -> float:
        bystander = Bystander(lambda: ask("SELECT COUNT(*) FROM logs"), lambda: ask("SELECT COUNT(*) FROM calm"))
        with bystander.watching():
            split_beside_a_reader(lab)
        lab.sql("ALTER TABLE logs DROP PARTITION p4")
        return bystander.longest_seconds

    ask("CREATE TABLE calm AS SELECT seq FROM seq_1_to_100")
    try:
        assert keeps_promise(measure)
    finally:
        made.close()


def split_beside_a_reader(lab: Lab) -> None:
    """Create a partition, first with a transaction in the way and then without."""
    blocker = lab.target.connect(lab.schema)
    blocker.autocommit(False)
    lab.target.rows("SELECT * FROM logs", on=blocker)
    events, result = lab.run(lab.step(StepKind.CREATE, "p4", bound=april()))
    assert result.outcome is StepOutcome.LOCKED
    assert f"session {blocker.thread_id()}" in result.detail  # type: ignore[no-untyped-call]
    said: list[Event | object] = events
    assert any(isinstance(each, Warned) for each in said)
    assert any(isinstance(each, Progressed) for each in said)
    blocker.rollback()
    assert lab.run(lab.step(StepKind.CREATE, "p4", bound=april()))[1].outcome is StepOutcome.DONE
    blocker.close()


def test_two_runs_do_not_meet(lab: Lab) -> None:
    with (
        PARTITIONS.open_executor(lab.target, lab.see(), QUICK),
        pytest.raises(LockedError, match="another run"),
        PARTITIONS.open_executor(lab.target, lab.see(), QUICK),
    ):
        pass


def test_a_login_that_may_not_is_refused(lab: Lab, mariadb_server: MariaDB) -> None:
    name = f"reader_{lab.schema}"[:60]
    lab.sql(f"CREATE USER `{name}`@`%` IDENTIFIED BY 'x'")
    lab.sql(f"GRANT SELECT ON `{lab.schema}`.* TO `{name}`@`%`")
    target = open_mysql(f"mariadb://{name}:x@{mariadb_server.host}:{mariadb_server.port}/{lab.schema}")
    try:
        table = PARTITIONS.collect_partitioned_table(target, TableName("", "logs"))
        assert not table.is_owner
        with (
            pytest.raises(RefusedError, match="GRANT ALTER"),
            PARTITIONS.open_executor(target, table, QUICK),
        ):
            pass
    finally:
        target.close()
        lab.sql(f"DROP USER `{name}`@`%`")
