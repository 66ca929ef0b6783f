"""Where a ReadWriteSession sends what, on a primary with two replicas."""

from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session, selectinload, sessionmaker

from dbtui.errors import UsageError
from dbtui.instrument import ReadWriteSession, ReplicaSet, create_engine
from tests.instrument.routing_lab import PORT, Item, Lab, Owner, port_of

MARK = {"dbtui_read_from": "replica"}
UNMARK = {"dbtui_read_from": "primary"}
TEXT_PORT = text("SELECT inet_server_port()")


@pytest.fixture
def replicas(lab: Lab) -> ReplicaSet:
    """A set in which both replicas are read from."""
    return lab.open_set()


@pytest.fixture
def make(replicas: ReplicaSet) -> Any:
    """Makes sessions."""
    return sessionmaker(class_=ReadWriteSession, replicas=replicas)


def test_reads_go_to_the_replicas_by_turns(lab: Lab, make: Any) -> None:
    seen = set()
    for _ in range(4):
        with make() as session:
            seen.add(port_of(session))
    assert seen == lab.ports


def test_one_transaction_reads_on_one_replica(lab: Lab, make: Any) -> None:
    with make() as session:
        ports = {port_of(session) for _ in range(5)}
        assert len(ports) == 1
        session.commit()
        others = {port_of(session) for _ in range(5)}
        assert ports | others == lab.ports


WRITES = {
    "insert": insert(Item).values(id=100),
    "update": update(Item).values(number=7).where(Item.id == 1),
    "delete": delete(Item).where(Item.id == 2),
    "lock": select(Item).where(Item.id == 3).with_for_update(),
    "text": text("UPDATE items SET number = 8 WHERE id = 4"),
    "unknown function": select(func.txid_current()),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_go_to_the_primary_and_the_rest_of_the_transaction_too(lab: Lab, make: Any, name: str) -> None:
    with make() as session:
        assert port_of(session) in lab.ports
        session.execute(WRITES[name])
        assert port_of(session) == lab.primary.port
        session.rollback()
        assert port_of(session) in lab.ports


def test_objects_are_written_to_the_primary_and_seen_by_the_next_statement(lab: Lab, make: Any) -> None:
    with make() as session:
        owner = session.get(Owner, 1)
        assert port_of(session) in lab.ports
        owner.name = "renamed"
        assert session.scalars(select(Owner.name).where(Owner.id == 1)).one() == "renamed"
        session.add(Item(number=99))
        assert session.scalar(select(func.count()).where(Item.number == 99)) == 1
        assert port_of(session) == lab.primary.port
        session.commit()
    assert lab.primary.execute("SELECT name FROM owners WHERE id = 1") == [("renamed",)]


def test_what_waits_to_be_written_sends_reads_to_the_primary(lab: Lab, make: Any) -> None:
    with make(autoflush=False) as session:
        session.add(Item(number=5))
        assert port_of(session) == lab.primary.port
        session.rollback()
        session.get(Item, 1).number = 6
        assert port_of(session) == lab.primary.port


def test_bulk_writes_and_bare_connections_are_the_primarys(lab: Lab, make: Any) -> None:
    with make() as session:
        session.bulk_insert_mappings(Item, [{"number": 1}])
        assert port_of(session) == lab.primary.port
        session.rollback()
        assert session.connection().scalar(PORT) == lab.primary.port
        assert port_of(session) == lab.primary.port
        session.rollback()
        with session.begin_nested():
            assert port_of(session) == lab.primary.port


def test_what_is_deleted_or_merged_is_looked_up_on_the_primary(lab: Lab, make: Any) -> None:
    with lab.paused():
        lab.primary.execute("INSERT INTO items (number, owner_id) VALUES (55, 1)")
        lab.primary.execute("INSERT INTO owners (id, name) VALUES (77, 'new')")
        with make(read_your_writes=False) as session:
            owner = session.scalars(select(Owner).where(Owner.id == 1), execution_options=UNMARK).one()
            session.commit()
            session.delete(owner)
            session.commit()
        with make() as session:
            session.merge(Owner(id=77, name="merged"))
            session.commit()
    assert lab.primary.execute("SELECT count(*) FROM items WHERE owner_id = 1") == [(0,)]
    assert lab.primary.execute("SELECT name FROM owners WHERE id = 77") == [("merged",)]


def test_the_rows_that_an_update_will_change_are_looked_up_on_the_primary(lab: Lab, make: Any) -> None:
    with make() as session:
        statement = update(Item).values(number=Item.number + 1).where(Item.id < 5)
        session.execute(statement, execution_options={"synchronize_session": "fetch"})
        assert port_of(session) == lab.primary.port


def test_text_reads_from_a_replica_when_it_is_marked(lab: Lab, make: Any) -> None:
    with make() as session:
        assert session.scalar(TEXT_PORT) == lab.primary.port
        session.rollback()
        assert session.scalar(TEXT_PORT, execution_options=MARK) in lab.ports
        session.rollback()
        assert session.scalar(TEXT_PORT.execution_options(**MARK)) in lab.ports
        session.rollback()
        assert session.scalar(PORT, execution_options=UNMARK) == lab.primary.port
        session.rollback()
        with pytest.raises(UsageError):
            session.scalar(PORT, execution_options={"dbtui_read_from": "somewhere"})
    with make(execution_options=UNMARK) as session:
        assert port_of(session) == lab.primary.port
        session.rollback()
        assert session.scalar(PORT, execution_options=MARK) in lab.ports


def test_a_marked_statement_that_cannot_run_on_a_replica_runs_on_the_primary(lab: Lab, make: Any) -> None:
    lab.primary.execute("CREATE SEQUENCE IF NOT EXISTS numbers")
    lab.wait_for_replay()
    with make() as session:
        session.scalars(select(Item)).all()
        assert session.scalar(text("SELECT nextval('numbers')"), execution_options=MARK) >= 1
        assert port_of(session) == lab.primary.port
        session.rollback()
    with make() as session:
        assert session.scalar(text("SELECT pg_current_wal_lsn()"), execution_options=MARK)


def test_a_table_that_a_replica_does_not_have_yet_is_read_on_the_primary(lab: Lab, make: Any) -> None:
    with lab.paused():
        lab.primary.execute("DROP TABLE IF EXISTS fresh")
        lab.primary.execute("CREATE TABLE fresh AS SELECT 41 AS n")
        with make() as session:
            assert session.scalar(text("SELECT n FROM fresh"), execution_options=MARK) == 41
    with make() as session, pytest.raises(ProgrammingError, match="nowhere"):
        session.execute(text("SELECT 1 FROM nowhere"), execution_options=MARK)


def test_lazy_and_eager_loads_follow_their_transaction(lab: Lab, make: Any) -> None:
    with make() as session:
        owner = session.get(Owner, 1)
        port = port_of(session)
        assert [item.number for item in owner.items] == [0]
        owners = session.scalars(select(Owner).options(selectinload(Owner.items))).all()
        assert [len(each.items) for each in owners] == [1] * 10
        assert session.query(Item).filter(Item.owner == owner).count() == 1
        assert port_of(session) == port


def test_a_critical_read_is_of_now_even_for_objects_that_are_known(lab: Lab, make: Any) -> None:
    with lab.paused():
        with make(expire_on_commit=False) as session:
            item = session.get(Item, 1)
            lab.primary.execute("UPDATE items SET number = 1 WHERE id = 1")
            assert session.scalars(select(Item).where(Item.id == 1)).one().number == 0
            with session.primary():
                assert session.get(Item, 1).number == 1
            lab.primary.execute("UPDATE items SET number = 2 WHERE id = 1")
            with session.primary():
                assert session.scalars(select(Item).where(Item.id == 1)).one() is item
                assert item.number == 2
                assert item.owner.name == "owner 1"
            assert port_of(session) == lab.primary.port, "the transaction does not go back"
            session.commit()
        with make() as session, session.primary():
            session.get(Item, 1).number = 9
            assert session.get(Item, 1).number == 9, "what was not written yet is not lost"
            session.commit()


def test_nothing_is_routed_with_a_connection_two_phases_or_an_isolation_of_its_own(lab: Lab, replicas: Any) -> None:
    with replicas.primary.connect() as connection:
        connection.begin()
        with ReadWriteSession(connection, replicas=replicas) as session:
            session.add(Item(id=500))
            session.commit()
            assert port_of(session) == lab.primary.port
        assert connection.in_transaction()
        assert connection.scalar(select(func.count()).where(Item.id == 500)) == 1
        connection.rollback()
    assert lab.primary.execute("SELECT count(*) FROM items WHERE id = 500") == [(0,)]
    for options in (
        {"twophase": True},
        {"join_transaction_mode": "create_savepoint"},
        {"execution_options": {"isolation_level": "REPEATABLE READ"}},
    ):
        with ReadWriteSession(replicas=replicas, **options) as session:
            assert port_of(session) == lab.primary.port
            session.rollback()
    with pytest.raises(UsageError, match="binds"):
        ReadWriteSession(replicas=replicas, binds={Item: replicas.primary})


def test_nothing_is_left_checked_out(lab: Lab, replicas: ReplicaSet, make: Any) -> None:
    def in_use() -> int:
        return sum(each.pool.checkedout() for each in replicas.engines)  # type: ignore[attr-defined]

    with make() as session:
        port_of(session)
        assert in_use() == 1
    assert in_use() == 0
    with make.begin() as session:
        port_of(session)
        session.add(Item())
    assert in_use() == 0
    with make(autobegin=False) as session, pytest.raises(Exception, match="Autobegin"):
        port_of(session)
    assert in_use() == 0
    with make() as session, pytest.raises(ProgrammingError):
        session.execute(select(Item).where(text("no_such_column = 1")))
    assert in_use() == 0
    session = make()
    port_of(session)
    session.reset()
    assert in_use() == 0
    port_of(session)
    session.invalidate()
    assert in_use() == 0


def test_a_set_without_replicas_and_a_closed_one_read_from_the_primary(lab: Lab, replicas: ReplicaSet) -> None:
    with ReplicaSet(lab.url(lab.primary), harmless_functions=["inet_server_port"]) as alone:
        with ReadWriteSession(replicas=alone) as session:
            assert port_of(session) == lab.primary.port
        alone.primary.dispose()
    replicas.close()
    replicas.close()
    with ReadWriteSession(replicas=replicas) as session:
        assert port_of(session) == lab.primary.port


def test_a_set_is_made_of_the_environment(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", lab.url(lab.primary))
    monkeypatch.setenv("DB_REPLICA_URLS", " ".join(lab.url(each) for each in lab.replicas))
    monkeypatch.setenv("DB_REPLICA_LAG_SECONDS", "7.5")
    with ReplicaSet.from_environment(service="erp", harmless_functions="inet_server_port") as made:
        assert made.limits.lag_seconds == 7.5
        assert made.wait_for_looks(60)
        with ReadWriteSession(replicas=made) as session:
            assert port_of(session) in lab.ports
            name = session.scalar(text("SELECT current_setting('application_name')"), execution_options=MARK)
            assert name.startswith("erp:")
        for engine in made.engines:
            engine.dispose()
    monkeypatch.setenv("DB_REPLICA_LAG_BYTES", "many")
    with pytest.raises(UsageError, match="DB_REPLICA_LAG_BYTES is 'many'"):
        ReplicaSet.from_environment()
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(UsageError, match="DATABASE_URL is not set"):
        ReplicaSet.from_environment()


def test_engines_that_do_not_belong_together_are_refused(lab: Lab) -> None:
    url = lab.url(lab.primary)
    engine = create_engine(url)
    with pytest.raises(UsageError, match="among the replicas"):
        ReplicaSet(engine, [engine])
    replica = create_engine(url)
    with pytest.raises(UsageError, match="twice"):
        ReplicaSet(engine, [replica, replica])
    with pytest.raises(UsageError, match="cannot follow"):
        ReplicaSet(engine, ["sqlite:///x.db"])
    with pytest.raises(UsageError, match="asyncio"):
        ReplicaSet(engine, [url.replace("postgresql://", "postgresql+asyncpg://")])
    with pytest.raises(UsageError, match="sqlite"):
        ReplicaSet("sqlite:///x.db")
    with pytest.raises(UsageError, match="positive"):
        ReplicaSet(engine, [replica], look_seconds=0)


def test_a_plain_session_on_the_same_engines_is_not_disturbed(lab: Lab, replicas: ReplicaSet) -> None:
    for engine in replicas.engines:
        with Session(engine) as session:
            assert session.scalar(select(func.count()).select_from(Item)) == 10
