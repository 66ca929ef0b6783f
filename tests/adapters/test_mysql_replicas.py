"""Replication as Oracle's MySQL tells it, by recorded answers (no such server is at hand), and MariaDB's orders."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dbtui.adapters.mysql.connect import statement
from dbtui.adapters.mysql.replica_orders import promote, show_orders
from dbtui.adapters.mysql.replicas import REPLICAS, collect_replication, hosts_words, log_words
from dbtui.demo.servers import MariaDB
from dbtui.errors import RefusedError, ServerError, UsageError
from dbtui.model.events import CommandRan
from dbtui.model.replicas import ReplicaAction
from tests.adapters.mysql_targets import collect, open_mysql
from tests.adapters.test_mysql_recorded import RecordedMysql

#: SHOW REPLICA STATUS of 8.0.22 and later (manual): the columns that are read, and some that are not.
STATUS: dict[str, Any] = {
    "Replica_IO_State": "Waiting for source to send event", "Source_Host": "db1", "Source_User": "repl",
    "Source_Port": 3306, "Connect_Retry": 60, "Source_Log_File": "binlog.000009", "Read_Source_Log_Pos": 900,
    "Relay_Log_File": "relay.000002", "Relay_Log_Pos": 320, "Relay_Source_Log_File": "binlog.000008",
    "Replica_IO_Running": "Yes", "Replica_SQL_Running": "Yes", "Exec_Source_Log_Pos": 700, "Seconds_Behind_Source": 7,
    "Last_IO_Error": "", "Last_SQL_Error": "", "Source_Server_Id": 11, "SQL_Delay": 0, "Channel_Name": "",
    "Replica_SQL_Running_State": "Waiting for dependent transaction to commit",
    "Executed_Gtid_Set": "aaa:1-5,\nbbb:1-3",
}  # fmt: skip
IDENTITY = [{"Variable_name": "server_id", "Value": "12"}, {"Variable_name": "port", "Value": "3306"},
            {"Variable_name": "gtid_executed", "Value": "aaa:1-5,\nbbb:1-3"}]  # fmt: skip
RECORD: dict[str, Any] = {
    "SHOW BINARY LOG STATUS": [{"File": "binlog.000002", "Position": 157}],
    "SHOW MASTER STATUS": [{"File": "binlog.000002", "Position": 157}],
    "SHOW BINARY LOGS": [{"Log_name": "binlog.000002", "File_size": 157}],
    "UNIX_TIMESTAMP": [{"clock": 1_800_000_000.0}],
    "SHOW GLOBAL VARIABLES": IDENTITY,
    "SHOW REPLICA STATUS": [STATUS],
    "SHOW REPLICAS": [{"Server_Id": 13, "Host": "db3", "Port": 3306, "Source_Id": 12}],
    "SHOW SLAVE HOSTS": [{"Server_id": 13, "Host": "db3", "Port": 3306, "Master_id": 12}],
    "Binlog Dump": [],
    "@@performance_schema": [{"is_on": 1}],
    "replication_applier_status_by_worker": [{"applying_seconds": 6.5, "applied_seconds": 7.5}],
}


def recorded(version_number: int = 80036, **changes: Any) -> RecordedMysql:
    answers = {statement("read_only"): [{"read_only": 1}], **RECORD, **changes}
    return RecordedMysql(answers, version_number)


def test_mysql_8_under_its_new_names() -> None:
    seen = collect_replication(recorded())
    (receiver,), applier = seen.receivers, seen.applier
    assert (receiver.source, receiver.source_identity, receiver.status) == ("db1:3306", "11", "streaming")
    assert (receiver.log_file, receiver.received) == ("binlog.000009", 900)
    assert applier is not None
    assert (applier.log_file, applier.replayed, applier.lag_seconds) == ("binlog.000008", 700, 7.0)
    assert applier.replay_age_seconds == 6.5
    assert (seen.identity, seen.gtid, applier.gtid) == ("12", "aaa:1-5,bbb:1-3", "aaa:1-5,bbb:1-3")


@pytest.mark.parametrize(
    ("number", "log", "hosts"),
    [
        (50744, "SHOW MASTER STATUS", "SHOW SLAVE HOSTS"),
        (80036, "SHOW MASTER STATUS", "SHOW REPLICAS"),
        (80200, "SHOW BINARY LOG STATUS", "SHOW REPLICAS"),
        (80404, "SHOW BINARY LOG STATUS", "SHOW REPLICAS"),
    ],
)
def test_words_of_each_version(number: int, log: str, hosts: str) -> None:
    assert (log_words(False, number), hosts_words(False, number)) == (log, hosts)
    assert (log_words(True, 101119), hosts_words(True, 101119)) == ("SHOW MASTER STATUS", "SHOW SLAVE HOSTS")
    changes = {"SHOW SLAVE STATUS": [{"Slave_IO_Running": "Yes", "Slave_SQL_Running": "Yes", "Master_Host": "db1",
                                      "Master_Port": 3306, "Seconds_Behind_Master": 3}]}  # fmt: skip
    target = recorded(number, **changes)
    seen = collect_replication(target)
    assert seen.is_replica and seen.streams[0].name == "db3:3306"
    assert log in target.asked and hosts in target.asked


def test_what_may_not_be_seen_is_a_gap_with_its_grant() -> None:
    denied = ServerError("Access denied; you need REPLICATION CLIENT", code="1227")
    refusals: dict[str, Any] = {"SHOW MASTER STATUS": denied, "SHOW REPLICA STATUS": denied}
    seen = collect_replication(recorded(**refusals))
    assert seen.role_gap == "role and lag of a replica need GRANT REPLICATION CLIENT ON *.* TO 'dba'@'%'"
    assert not seen.is_role_known
    assert [gap.partition("GRANT ")[2] for gap in seen.gaps] == ["REPLICATION CLIENT ON *.* TO 'dba'@'%'"] * 2


def test_orders_under_the_names_of_each_version() -> None:
    new, old = recorded(80036), recorded(50744)
    assert show_orders(new, ReplicaAction.PAUSE) == ("STOP REPLICA SQL_THREAD;",)
    assert show_orders(old, ReplicaAction.RESUME) == ("START SLAVE SQL_THREAD;",)
    assert show_orders(new, ReplicaAction.PROMOTE) == (
        "STOP REPLICA;", "RESET REPLICA ALL;", "SET GLOBAL read_only = OFF;",
    )  # fmt: skip
    named = RecordedMysql({"SHOW ALL SLAVES STATUS": [{"Connection_name": ""}, {"Connection_name": "o'clock"}]})
    named.info = replace(named.info, flavour="MariaDB", version_number=101119)
    assert show_orders(named, ReplicaAction.PAUSE) == ("STOP SLAVE SQL_THREAD;", "STOP SLAVE 'o''clock' SQL_THREAD;")
    with pytest.raises(UsageError, match="has none"):
        REPLICAS.drop_slot(new, "s")


def test_a_mariadb_replica_is_paused_and_promoted(new_mariadb: Callable[..., MariaDB]) -> None:
    source = new_mariadb(options=["--server-id=31", "--log-bin=binlog"])
    replica = new_mariadb(options=["--server-id=32", "--read-only", "--log-bin=binlog"])
    file, position = source.execute("SHOW MASTER STATUS")[0][:2]
    replica.execute(
        f"CHANGE MASTER TO master_host='127.0.0.1', master_port={source.port}, master_user='root', "
        f"master_password='{source.password}', master_log_file='{file}', master_log_pos={position}"
    )
    replica.execute("START SLAVE")
    with_source = open_mysql(source.url())
    target = open_mysql(replica.url())
    try:
        with pytest.raises(RefusedError, match="is for replicas"):
            REPLICAS.pause_replay(with_source)
        REPLICAS.pause_replay(target)
        applier = collect_replication(target).applier
        assert applier is not None and applier.pause == "paused"
        source.execute("CREATE DATABASE late")
        REPLICAS.resume_replay(target)
        events, _ = collect(promote(target, 30.0))
        ran = [each.text for each in events if isinstance(each, CommandRan)]
        assert ran == ["STOP SLAVE;", "RESET SLAVE ALL;", "SET GLOBAL read_only = OFF;"]
        assert not collect_replication(target).is_replica
        assert replica.execute("SELECT @@read_only")[0][0] == 0
    finally:
        with_source.close()
        target.close()
