"""Replication of real MariaDB servers, looked at and judged."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pymysql
import pytest

from dbtui.demo.servers import MariaDB, ServerDirectory
from dbtui.demo.servers.base import start_together
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.replicas import LagStage, ReplicaState
from tests.fix_servers import unique_name, wait_until
from tests.routines.replica_lab import Watcher, profile_of

SOURCE = ["--server-id=11", "--log-bin=binlog", "--max-binlog-size=64K", "--binlog-format=ROW"]


def replica_options(number: int) -> list[str]:
    return [
        f"--server-id={number}",
        "--read-only",
        f"--log-bin=log{number}",
        "--log-slave-updates",
        "--report-host=127.0.0.1",
    ]


def follow(replica: MariaDB, source: MariaDB) -> None:
    """Have a server receive from another one, from where that one's log ends now."""
    file, position = source.execute("SHOW MASTER STATUS")[0][:2]
    where = f"master_host='127.0.0.1', master_port={source.port}, master_log_file='{file}', master_log_pos={position}"
    login = f"master_user='root', master_password='{source.password}'"
    replica.execute(f"CHANGE MASTER TO {where}, {login}, master_connect_retry=1")
    replica.execute("START SLAVE")


@dataclass
class Pair:
    """A source and its replica."""

    source: MariaDB
    replica: MariaDB


@pytest.fixture(scope="module")
def pair(server_directory: ServerDirectory) -> Iterator[Pair]:
    source = MariaDB(server_directory, name=unique_name("source"), options=SOURCE)
    replica = MariaDB(server_directory, name=unique_name("replica"), options=replica_options(12))
    try:
        start_together(source, replica)
        follow(replica, source)
        source.execute("CREATE DATABASE shop")
        source.execute("CREATE TABLE shop.t (i INT PRIMARY KEY, t LONGTEXT)")
        yield Pair(source, replica)
    finally:
        replica.stop()
        source.stop()


def maria(name: str, server: MariaDB, user: str = "", password: str = "") -> ConnectionProfile:
    return profile_of(name, server, user=user, password=password, engine=EngineName.MYSQL)


@pytest.fixture
def watcher(pair: Pair) -> Iterator[Watcher]:
    with closing(Watcher(maria("shop", pair.source), [maria("copy", pair.replica)])) as made:
        made.until("copy", lambda each: each.behind_bytes == 0)
        yield made


def write(pair: Pair, first: int, rows: int, size: int = 50_000) -> None:
    for number in range(first, first + rows):
        pair.source.execute("INSERT INTO shop.t (i, t) VALUES (%s, repeat('x', %s))", [number, size])


def test_a_replica_that_has_everything(watcher: Watcher) -> None:
    verdict = watcher.replica("copy")
    assert (verdict.parent, verdict.state, verdict.lag_seconds) == ("shop", ReplicaState.CURRENT, 0.0)
    assert verdict.is_safe and verdict.safe_after_seconds is not None and verdict.safe_after_seconds < 2.0
    assert [each.behind_bytes for each in verdict.stages] == [None, 0, None, 0]
    assert len(watcher.assessment.replicas) == 1
    assert watcher.assessment.gaps == ()
    assert watcher.assessment.level == "ok"


def test_an_applier_that_somebody_stopped_counts_bytes_over_log_files(watcher: Watcher, pair: Pair) -> None:
    pair.replica.execute("STOP SLAVE SQL_THREAD")
    try:
        write(pair, 100, 10)
        verdict = watcher.until(
            "copy", lambda each: any(stage.stage is LagStage.APPLY and (stage.behind_bytes or 0) > 500_000
                                     for stage in each.stages)
        )  # fmt: skip
        assert (verdict.state, verdict.level) == (ReplicaState.PAUSED, "warning")
        assert "its applier was stopped by somebody" in verdict.sentence
        wait_until(lambda: bool(watcher.look()) and (watcher.replica("copy").lag_seconds or 0.0) > 1.0)
        assert (watcher.replica("copy").safe_after_seconds or 0.0) > 1.0
    finally:
        pair.replica.execute("START SLAVE SQL_THREAD")
    assert watcher.until("copy", lambda each: each.behind_bytes == 0).state is ReplicaState.CURRENT


def test_an_applier_that_met_an_error_says_which(watcher: Watcher, pair: Pair) -> None:
    pair.replica.execute("INSERT INTO shop.t VALUES (1, 'mine')")
    pair.source.execute("INSERT INTO shop.t VALUES (1, 'theirs')")
    verdict = watcher.until("copy", lambda each: each.state is ReplicaState.STOPPED)
    assert verdict.level == "trouble"
    assert "Duplicate entry" in verdict.sentence
    pair.replica.execute("SET sql_log_bin = 0")
    pair.replica.execute("DELETE FROM shop.t WHERE i = 1")
    pair.replica.execute("START SLAVE")
    watcher.until("copy", lambda each: each.state is ReplicaState.CURRENT)


def test_a_query_that_the_applier_waits_for(watcher: Watcher, pair: Pair) -> None:
    reader = pymysql.connect(host="127.0.0.1", port=pair.replica.port, user="root", password=pair.replica.password)
    try:
        with reader.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT count(*) FROM shop.t")
        pair.source.execute("ALTER TABLE shop.t ADD n INT")
        verdict = watcher.until("copy", lambda each: each.state is ReplicaState.CONFLICT)
        assert "replay waits for a query on the replica, likeliest" in verdict.sentence
        assert verdict.command == f"dbtui sessions cancel copy {reader.thread_id()}"  # type: ignore[no-untyped-call]
    finally:
        reader.close()
    watcher.until("copy", lambda each: each.state is ReplicaState.CURRENT)


def test_a_receiver_that_stands_still(watcher: Watcher, pair: Pair) -> None:
    pair.replica.execute("STOP SLAVE IO_THREAD")
    try:
        write(pair, 200, 1)
        verdict = watcher.until("copy", lambda each: each.state is ReplicaState.RECEIVER_DEAD)
        assert f"receives nothing from 127.0.0.1:{pair.source.port}: no receiver runs" in verdict.sentence
        assert (verdict.behind_bytes or 0) > 50_000
    finally:
        pair.replica.execute("START SLAVE IO_THREAD")
    watcher.until("copy", lambda each: each.state is ReplicaState.CURRENT)


def test_the_grants_that_a_login_lacks_are_those_that_help(watcher: Watcher, pair: Pair) -> None:
    login = unique_name("plain")
    pair.source.execute(f"CREATE USER {login}@'127.0.0.1' IDENTIFIED BY 'x'")
    wait_until(lambda: bool(pair.replica.execute("SELECT 1 FROM mysql.user WHERE user = %s", [login])))
    profiles = [maria("shop", pair.source, login, "x"), maria("copy", pair.replica, login, "x")]
    with closing(Watcher(profiles[0], profiles[1:])) as plain:
        gaps = plain.look().gaps
        assert plain.replica("copy").state is ReplicaState.UNKNOWN
        said = plain.replica("copy").sentence
        assert "may not be seen by this login: role and lag of a replica need GRANT " in said
    grants = {gap.partition("GRANT ")[2] for gap in gaps}
    assert len(grants) == 3
    for grant in grants:
        pair.source.execute(f"GRANT {grant}")
    watcher.until("copy", lambda each: each.behind_bytes == 0)
    with closing(Watcher(profiles[0], profiles[1:])) as able:
        assert able.look().gaps == ()
        assert able.until("copy", lambda each: each.behind_bytes == 0).state is ReplicaState.CURRENT


def test_a_replica_of_a_replica_and_one_of_another_source(new_mariadb: Callable[..., MariaDB], pair: Pair) -> None:
    far = new_mariadb(options=replica_options(13))
    follow(far, pair.replica)
    stranger = new_mariadb(options=["--server-id=21", "--log-bin=binlog"])
    child = new_mariadb(options=replica_options(22))
    follow(child, stranger)
    profiles = [maria("copy", pair.replica), maria("far", far), maria("child", child), maria("stranger", stranger)]
    with closing(Watcher(maria("shop", pair.source), profiles)) as watcher:
        watcher.until("far", lambda each: each.state is ReplicaState.CURRENT)
        watcher.until("child", lambda each: each.state is ReplicaState.STRANGER)
        tree = [(each.name, each.parent, each.depth) for each in watcher.assessment.replicas]
        assert tree[:2] == [("copy", "shop", 0), ("far", "copy", 1)]
        assert "is no replica of shop: it takes writes by itself" in watcher.replica("stranger").sentence
        assert watcher.replica("child").safe_after_seconds is None
