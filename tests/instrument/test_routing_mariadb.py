"""Routing on a MariaDB primary with a replica, by GTIDs."""

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from dbtui.demo.servers import MariaDB, ServerDirectory
from dbtui.demo.servers.base import start_together
from dbtui.errors import UsageError
from dbtui.instrument import ReadWriteSession, ReplicaSet, create_engine
from dbtui.instrument.routing_mysql import GtidLog
from tests.fix_servers import unique_name, wait_until
from tests.instrument.routing_lab import GENEROUS, Base, Item, kill_server, restart_server

PORT = text("SELECT @@port").execution_options(dbtui_read_from="replica")
UUID = "3E11FA47-71CA-11E1-9E33-C80AA9429562"


@dataclass
class Pair:
    """A source and its replica."""

    source: MariaDB
    replica: MariaDB

    def make_set(self, **options: float) -> ReplicaSet:
        """A set that looks often, when its replica is read from."""
        urls = [each.url("shop") for each in (self.source, self.replica)]
        made = ReplicaSet(urls[0], urls[1:], look_seconds=0.2, wait_seconds=options.pop("wait_seconds", 10.0))
        made.start()
        wait_until(lambda: made.states()[0].is_read_from, GENEROUS)
        return made


@pytest.fixture(scope="module")
def servers(server_directory: ServerDirectory) -> Iterator[Pair]:
    source = MariaDB(server_directory, name=unique_name("source"), options=["--server-id=11", "--log-bin=binlog"])
    replica = MariaDB(server_directory, name=unique_name("replica"), options=["--server-id=12", "--read-only"])
    try:
        start_together(source, replica)
        ((position,),) = source.execute("SELECT @@gtid_binlog_pos")  # what came before is each server's own set-up
        replica.execute("SET GLOBAL gtid_slave_pos = %s", [position])
        login = f"master_user='root', master_password='{source.password}'"
        where = f"master_host='127.0.0.1', master_port={source.port}, master_connect_retry=1"
        replica.execute(f"CHANGE MASTER TO {where}, {login}, master_use_gtid=slave_pos")
        replica.execute("START SLAVE")
        source.execute("CREATE DATABASE shop")
        engine = create_engine(source.url("shop"))
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            session.add_all(Item(number=0) for _ in range(10))
            session.commit()
        engine.dispose()
        yield Pair(source, replica)
    finally:
        replica.stop()
        source.stop()


@pytest.fixture
def replicas(servers: Pair) -> Iterator[ReplicaSet]:
    with servers.make_set() as made:
        yield made
        for engine in made.engines:
            engine.dispose()


def test_reads_go_to_the_replica_and_see_what_was_committed(servers: Pair, replicas: ReplicaSet) -> None:
    with ReadWriteSession(replicas=replicas) as session:
        for number in range(1, 51):
            item = session.get(Item, 1)
            assert item
            item.number = number
            assert session.scalar(PORT) == servers.source.port
            session.commit()
            assert session.scalar(select(Item.number).where(Item.id == 1)) == number
            assert session.scalar(PORT) == servers.replica.port
            session.commit()
        position = session.position
        assert replicas.log.covers(replicas.log.parse(position), replicas.log.parse("0-11-50"))
    with ReadWriteSession(replicas=replicas, after=position) as session:
        assert session.scalar(select(func.max(Item.number))) == 50
        assert session.scalar(PORT) == servers.replica.port
        with session.primary():
            assert session.scalar(PORT) == servers.source.port
    with pytest.raises(UsageError, match="GTID"):
        ReadWriteSession(replicas=replicas, after="16/B374D848")


def test_a_replica_that_stands_still_is_waited_for_or_not_read_from(servers: Pair, replicas: ReplicaSet) -> None:
    servers.replica.execute("STOP SLAVE SQL_THREAD")
    with ReadWriteSession(replicas=replicas) as session:
        session.add(Item(number=77))
        session.commit()
        resumed = threading.Thread(target=lambda: servers.replica.execute("START SLAVE"))
        wait_until(lambda: replicas.states()[0].fault == "its replay is paused", GENEROUS)
        assert session.scalar(select(func.count()).where(Item.number == 77)) == 1
        assert session.scalar(PORT) == servers.source.port
        session.rollback()
        resumed.start()
        resumed.join()
        wait_until(lambda: replicas.states()[0].is_read_from, GENEROUS)
        assert session.scalar(select(func.count()).where(Item.number == 77)) == 1
        assert session.scalar(PORT) == servers.replica.port


def test_an_outage_fails_no_read(servers: Pair, replicas: ReplicaSet) -> None:
    done, failures, reads = threading.Event(), [], [0]

    def read_on() -> None:
        try:
            while not done.is_set():
                with ReadWriteSession(replicas=replicas) as session:
                    assert session.get(Item, 1)
                    reads[0] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: reads[0] > 100, GENEROUS)
        kill_server(servers.replica)
        goal = reads[0] + 300
        wait_until(lambda: reads[0] > goal or bool(failures), GENEROUS)
        restart_server(servers.replica)
        wait_until(lambda: replicas.states()[0].is_read_from or bool(failures), GENEROUS)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures
    with ReadWriteSession(replicas=replicas) as session:
        assert session.scalar(PORT) == servers.replica.port


def test_a_server_that_follows_nobody_is_no_replica(servers: Pair) -> None:
    urls = [servers.source.url("shop"), servers.source.url("mysql")]
    with ReplicaSet(urls[0], urls[1:], look_seconds=0.2) as made, closing(made):
        made.start()
        wait_until(lambda: made.states()[0].fault == "it is no replica any more", GENEROUS)
        for engine in made.engines:
            engine.dispose()


def test_sets_of_gtids() -> None:
    log = GtidLog()
    assert log.covers(log.parse("0-1-10,1-2-5"), log.parse("0-7-10"))
    assert not log.covers(log.parse("0-1-9"), log.parse("0-1-10"))
    assert not log.covers(log.parse("0-1-9"), log.parse("1-1-1"))
    assert log.format(log.join(log.parse("0-1-3"), log.parse("0-2-4,1-1-1"))) == "0-0-4,1-0-1"
    theirs = log.parse(f"{UUID}:1-5:7-9, {UUID}:6")
    assert log.format(theirs) == f"{UUID.lower()}:1-9"
    assert log.covers(theirs, log.parse(f"{UUID.lower()}:2-3:8"))
    assert not log.covers(log.parse(f"{UUID}:1-5:7-9"), log.parse(f"{UUID}:4-7"))
    tagged = log.parse(f"{UUID}:tag:1-2")
    assert not log.covers(theirs, tagged)
    assert log.parse(log.format(tagged)) == tagged
    assert log.parse("") == {}
    assert log.covers({}, {})
    for wrong in ("x", "0-1", "0-1-2;", f"{UUID}", f"{UUID}:a"):
        with pytest.raises(UsageError):
            log.parse(wrong)
