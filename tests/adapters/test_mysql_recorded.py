"""Oracle's MySQL 8, untested: no such server is at hand. Its answers are written here after its manual.

Columns and words: data_lock_waits, metadata_locks, processlist and threads of performance_schema, SHOW REPLICA STATUS,
KILL.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.probes import replication_privilege, termination_privilege
from dbtui.adapters.mysql.replication import assess_sources, replica_words
from dbtui.adapters.mysql.session_orders import end_session, format_orders
from dbtui.adapters.mysql.sessions import collect_sessions
from dbtui.adapters.mysql.waits import MetadataLock, find_blockers
from dbtui.errors import ServerError
from dbtui.model.connections import ConnectionProfile, EngineName, ServerInfo
from dbtui.model.sessions import Hit, Session, SessionVerb


class RecordedMysql(MysqlTarget):
    """A target that answers from a record: the first answer whose words stand in the statement."""

    def __init__(self, answers: Mapping[str, Any], version_number: int = 80036) -> None:
        self.profile = ConnectionProfile(name="rec", engine=EngineName.MYSQL, url="mysql://dba@db1/erp")
        self.info = ServerInfo(
            engine=EngineName.MYSQL, flavour="MySQL", version="8.0.36", version_number=version_number, user="dba@%"
        )
        self.options = cast(Any, SimpleNamespace(server="db1:3306", user="dba"))
        self.cancellation = Cancellation()
        self.memory = {}
        self.answers = answers
        self.asked: list[str] = []

    def rows(self, sql: str, binds: Mapping[str, Any] | None = None, on: Any = None, what: str = "") -> list[Row]:
        self.asked.append(sql)
        for words, answer in self.answers.items():
            if words in sql:
                if isinstance(answer, Exception):
                    raise answer
                return list(answer)
        raise AssertionError(f"not recorded: {sql}")


def row(number: int, command: str, state: str, info: str | None, **others: Any) -> Row:
    return {"id": number, "user": b"app", "host": b"10.0.0.7:51022", "db": b"erp", "command": command,
            "state": state.encode(), "seconds": 12, "info": info and info.encode(), "is_own": 0, **others}  # fmt: skip


LIST = [
    row(11, "Sleep", "", None),
    row(12, "Query", "updating", "UPDATE t SET v = 1 WHERE id = 1"),
    row(13, "Query", "Waiting for table metadata lock", "ALTER TABLE t ADD w INT"),
    row(14, "Query", "Waiting for table metadata lock", "SELECT * FROM t"),
    row(5, "Daemon", "Waiting on empty queue", None, user=b"event_scheduler", host=b"localhost", db=None),
    row(20, "Query", "executing", "SELECT …", is_own=1, user=b"dba"),
]
RECORD: dict[str, Any] = {
    "@@performance_schema": [{"is_on": 1}],
    "FROM performance_schema.processlist": LIST,
    "FROM performance_schema.data_lock_waits": [{"waiting": 12, "blocking": 11, "locked": b"`erp`.`t`"}],
    "FROM information_schema.innodb_trx": [
        {"id": 11, "state": "RUNNING", "seconds": 600},
        {"id": 12, "state": "LOCK WAIT", "seconds": 12},
    ],
    "FROM performance_schema.metadata_locks": [
        {
            "id": 11,
            "mode": "SHARED_WRITE",
            "kind": "TABLE",
            "object_schema": b"erp",
            "object_name": b"t",
            "is_wanted": 0,
        },
        {
            "id": 12,
            "mode": "SHARED_WRITE",
            "kind": "TABLE",
            "object_schema": b"erp",
            "object_name": b"t",
            "is_wanted": 0,
        },
        {"id": 13, "mode": "EXCLUSIVE", "kind": "TABLE", "object_schema": b"erp", "object_name": b"t", "is_wanted": 1},
        {
            "id": 14,
            "mode": "SHARED_READ",
            "kind": "TABLE",
            "object_schema": b"erp",
            "object_name": b"t",
            "is_wanted": 1,
        },
    ],
    "session_connect_attrs": [{"id": 11, "connection_type": "SSL/TLS", "program": b"billing"}],
}


def test_sessions_and_both_kinds_of_locks() -> None:
    snapshot = collect_sessions(RecordedMysql(RECORD))
    found = {each.session_id: each for each in snapshot.sessions}
    assert {number: each.blocked_by for number, each in found.items() if each.blocked_by} == {
        12: (11,), 13: (11, 12), 14: (13,),
    }  # fmt: skip
    assert found[11].is_idle_in_transaction
    assert (found[11].application, found[11].is_tls, found[11].transaction_seconds) == ("billing", True, 600.0)
    assert found[12].wait == "Lock: row of `erp`.`t`"
    assert (found[12].query_seconds, found[12].query_id) == (12.0, None)
    assert not found[5].is_client
    assert snapshot.user == "dba"
    assert snapshot.gaps == ()


def test_what_is_refused_is_a_gap_with_its_grant_and_asked_once() -> None:
    denied = ServerError("SELECT command denied", code="1142")
    process = ServerError("you need PROCESS", code="1227")
    target = RecordedMysql(
        {**RECORD, "FROM information_schema.innodb_trx": process, "FROM performance_schema.metadata_locks": denied,
         "session_connect_attrs": denied}
    )  # fmt: skip
    first, second = collect_sessions(target), collect_sessions(target)
    assert first.gaps == second.gaps
    assert "GRANT PROCESS ON *.* TO 'dba'@'%'" in first.gaps[0]
    assert "GRANT SELECT ON performance_schema.* TO 'dba'@'%'" in " ".join(first.gaps[1:])
    assert sum("innodb_trx" in each for each in target.asked) == 1
    assert sum("session_connect_attrs" in each for each in target.asked) == 1


def test_a_server_that_does_not_measure_itself() -> None:
    record = {"@@performance_schema": [{"is_on": 0}], "FROM information_schema.processlist": LIST[:2],
              "FROM information_schema.innodb_trx": []}  # fmt: skip
    assert len(collect_sessions(RecordedMysql(record)).sessions) == 2


SEEN = Session(
    session_id=12,
    user="app",
    client="10.0.0.7:51022",
    sql="UPDATE t SET v = 1",
    is_active=True,
    query_seconds=12.0,
)
HERE = row(12, "Query", "updating", "UPDATE t SET v = 1")


def test_orders_are_a_question_and_a_statement() -> None:
    check, order = format_orders(RecordedMysql({}), SessionVerb.CANCEL, [SEEN])
    assert "id = 12 AND user = 'app' AND host = '10.0.0.7:51022'" in check
    assert "performance_schema.global_status" in check
    assert order == "KILL QUERY 12"


@pytest.mark.parametrize(
    ("change", "hit"),
    [
        ({}, Hit.DONE),
        ({"seconds": 1}, Hit.REPLACED),
        ({"info": b"SELECT 2"}, Hit.REPLACED),
        ({"command": "Sleep"}, Hit.GONE),
    ],
)
def test_cancel_compares_text_and_age(change: dict[str, Any], hit: Hit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbtui.adapters.mysql.session_orders._WAIT_SECONDS", 0.1)
    target = RecordedMysql({})
    now = {**HERE, **change}
    answers: dict[str, Any] = {"SET @age": [], "AND host =": [{"id": 12}], "CAST(user AS BINARY)": [now]}

    def rows(sql: str, *_others: Any, **_more: Any) -> list[Row]:
        target.asked.append(sql)
        if sql == "KILL QUERY 12":
            answers["CAST(user AS BINARY)"] = [{**now, "command": "Sleep"}]
            return []
        return next(list(answer) for words, answer in answers.items() if words in sql)

    monkeypatch.setattr(target, "rows", rows)
    assert end_session(target, SessionVerb.CANCEL, SEEN, datetime.now(UTC)).hit is hit
    assert ("KILL QUERY 12" in target.asked) == (hit is Hit.DONE)


def test_terminate_without_the_privilege() -> None:
    record = {
        "SET @age": [],
        "AND host =": [{"id": 12}],
        "KILL": ServerError("You are not owner of thread 12", code="1095"),
    }
    hit = end_session(RecordedMysql(record), SessionVerb.TERMINATE, SEEN, datetime.now(UTC))
    assert hit.hit is Hit.REFUSED
    assert "GRANT CONNECTION_ADMIN ON *.* TO 'dba'@'%'" in hit.detail


@pytest.mark.parametrize(
    ("flavour", "version_number", "replication", "termination"),
    [
        ("MySQL", 50744, "REPLICATION CLIENT", "SUPER"),
        ("MySQL", 80000, "REPLICATION CLIENT", "CONNECTION_ADMIN"),
        ("MySQL", 90100, "REPLICATION CLIENT", "CONNECTION_ADMIN"),
        ("MariaDB", 100432, "REPLICATION CLIENT", "SUPER"),
        ("MariaDB", 100501, "REPLICATION CLIENT", "SUPER"),
        ("MariaDB", 100502, "REPLICATION SLAVE ADMIN", "CONNECTION ADMIN"),
        ("MariaDB", 100508, "REPLICATION SLAVE ADMIN", "CONNECTION ADMIN"),
        ("MariaDB", 100509, "SLAVE MONITOR", "CONNECTION ADMIN"),
        ("MariaDB", 110402, "SLAVE MONITOR", "CONNECTION ADMIN"),
    ],
)
def test_privileges_under_the_names_of_each_server(
    flavour: str, version_number: int, replication: str, termination: str
) -> None:
    target = RecordedMysql({}, version_number)
    target.info = replace(target.info, flavour=flavour)
    assert (replication_privilege(target), termination_privilege(target)) == (replication, termination)


OLD = {"Slave_IO_Running": "Yes", "Slave_SQL_Running": "Yes", "Seconds_Behind_Master": 7}
NEW = {"Replica_IO_Running": "Yes", "Replica_SQL_Running": "Yes", "Seconds_Behind_Source": 3, "Channel_Name": ""}


def test_replicas_under_old_and_new_names() -> None:
    assert assess_sources([], is_read_only=True).role == "primary"
    assert (assess_sources([OLD], is_read_only=True).role, assess_sources([OLD], is_read_only=True).lag_seconds) == (
        "replica",
        7.0,
    )
    assert assess_sources([OLD, NEW], is_read_only=True).lag_seconds == 7.0
    stopped = {
        **NEW,
        "Replica_SQL_Running": "No",
        "Seconds_Behind_Source": None,
        "Last_SQL_Error": "Duplicate entry\x1b",
        "Channel_Name": "eu",
    }
    found = assess_sources([stopped], is_read_only=True)
    assert (found.role, found.lag_seconds) == ("replica", None)
    assert found.gaps == ("replication thread SQL of eu is stopped: Duplicate entry·",)
    both = {**OLD, "Slave_IO_Running": "No", "Slave_SQL_Running": "No", "Seconds_Behind_Master": None}
    assert assess_sources([both], is_read_only=False).role == "primary"
    assert [replica_words(*each) for each in ((True, 101100), (False, 80022), (False, 50744))] == [
        "SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS",
    ]  # fmt: skip


def test_who_is_in_the_way_of_a_metadata_lock() -> None:
    def lock(session: int, mode: str, name: str = "t", kind: str = "TABLE", *, wanted: bool = False) -> MetadataLock:
        return MetadataLock(session, mode, kind, "d", name, is_wanted=wanted)

    held = [lock(1, "SHARED_READ"), lock(2, "SHARED_WRITE"), lock(3, "SHARED_READ", "other")]
    assert find_blockers(held, {9: "ALTER TABLE d.t ADD x INT"}, is_complete=False) == {9: (1, 2)}
    assert find_blockers(held, {9: "ALTER TABLE tt ADD x INT"}, is_complete=False) == {9: ()}
    assert find_blockers([*held, lock(9, "SHARED_NO_WRITE")], {9: "ALTER TABLE t FORCE"}, is_complete=False) == {
        9: (1, 2)
    }
    user = [lock(4, "SHARED_NO_WRITE", "", "USER LEVEL LOCK")]
    assert find_blockers(user, {9: "SELECT GET_LOCK('d', 9)"}, is_complete=False) == {9: (4,)}
    backup = [MetadataLock(5, "BACKUP_FTWRL2", "BACKUP", "", "")]
    assert find_blockers(backup, {9: "INSERT INTO t VALUES (1)"}, is_complete=False) == {9: (5,)}
    scope = [lock(6, "INTENTION_EXCLUSIVE", kind="GLOBAL"), lock(9, "SHARED", kind="GLOBAL", wanted=True)]
    assert find_blockers(scope, {9: "FLUSH TABLES WITH READ LOCK"}, is_complete=True) == {9: (6,)}
    peace = [lock(6, "INTENTION_EXCLUSIVE", kind="GLOBAL"), lock(9, "INTENTION_EXCLUSIVE", kind="GLOBAL", wanted=True)]
    assert find_blockers(peace, {9: "INSERT"}, is_complete=True) == {9: ()}
