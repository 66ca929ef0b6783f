"""Sessions see what they, or others, have committed: on the very connection that serves them."""

import threading
from collections.abc import Callable
from time import monotonic

import pytest
from sqlalchemy import Connection, event, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dbtui.demo.servers import PgBouncer
from dbtui.errors import UsageError
from dbtui.instrument import ReadWriteSession, ReplicaSet
from dbtui.instrument.routing_postgresql import PostgreSQLLog
from tests.fix_servers import unique_name, wait_until
from tests.instrument.reading import run_threads
from tests.instrument.routing_lab import GENEROUS, Item, Lab, port_of

NUMBER = select(Item.number).where(Item.id == 1)


def write(session: Session, number: int) -> None:
    """Change the row that `NUMBER` reads."""
    item = session.get(Item, 1)
    assert item
    item.number = number
    session.commit()


def test_a_session_sees_its_commits_on_the_replicas(lab: Lab) -> None:
    replicas = lab.open_set()
    with ReadWriteSession(replicas=replicas) as session:
        assert session.position == ""
        for number in range(1, 101):
            write(session, number)
            assert session.scalar(NUMBER) == number
            assert port_of(session) in lab.ports
            session.commit()
        assert PostgreSQLLog().parse(session.position)


def test_commits_that_are_not_on_disk_yet_are_waited_for_too(new_lab: Callable[..., Lab]) -> None:
    """With synchronous_commit = off the log's end as written is behind the commit; its INSERT position is not."""
    lab = new_lab(replicas=1, config=["synchronous_commit = off", "wal_writer_delay = 300ms"])
    replicas = lab.open_set(wait_seconds=30.0)
    with ReadWriteSession(replicas=replicas) as session:
        for number in range(1, 11):
            write(session, number)
            assert session.scalar(NUMBER) == number
            assert port_of(session) in lab.ports
            session.rollback()


def test_a_position_is_carried_to_another_session(lab: Lab) -> None:
    replicas = lab.open_set()
    with lab.paused(), ReadWriteSession(replicas=replicas) as session:
        with ReadWriteSession(replicas=replicas) as other:
            other.get(Item, 2)  # a replica's connection that was looked at before
        write(session, 7)
        position = session.position
        with ReadWriteSession(replicas=replicas, after=position) as other:
            assert other.scalar(NUMBER) == 7
            assert port_of(other) == lab.primary.port
            assert other.position == position
    lab.wait_for_replay()
    replicas = lab.open_set()
    with ReadWriteSession(replicas=replicas, after=position) as other:
        assert other.scalar(NUMBER) == 7
        assert port_of(other) in lab.ports
    with ReadWriteSession(replicas=replicas, after=position) as other:
        other.read_after("1:0/1")
        assert other.position == position, "the later one holds"
        other.read_after("")
    for wrong in ("nonsense", "0/", "1/2/3", "0-1-5", "1:0/ZZ", "0/1"):
        with pytest.raises(UsageError, match="no position"):
            ReadWriteSession(replicas=replicas, after=wrong)


def test_a_position_that_nobody_reaches_is_not_waited_for_long(lab: Lab) -> None:
    replicas = lab.open_set(wait_seconds=0.2)
    with ReadWriteSession(replicas=replicas, after="1:FFFFFF/0") as session:
        began = monotonic()
        assert port_of(session) == lab.primary.port
        assert monotonic() - began < 30
    assert all(each.is_read_from for each in replicas.states()), "to be late is no failure"


def test_a_position_of_another_timeline_is_the_primarys(lab: Lab) -> None:
    """After a failover the same bytes hold something else: a replica that has them may lack the commit."""
    replicas = lab.open_set(wait_seconds=0.05)
    log = PostgreSQLLog()
    with ReadWriteSession(replicas=replicas) as session:
        write(session, 1)
        timeline, lsn = log.parse(session.position)
    for other in ((timeline + 1, lsn), (timeline - 1, lsn)):
        with ReadWriteSession(replicas=replicas, after=log.format(other)) as session:
            assert port_of(session) == lab.primary.port
    assert log.join((2, 5), (1, 9)) == (2, 5)


def test_a_wait_ends_when_the_replica_catches_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = lab.open_set(wait_seconds=60.0, look_seconds=30.0)
    ask, waiting = replicas.log.ask_reached, threading.Event()

    def ask_and_tell(raw: object) -> tuple[bool, object, bool]:
        answer = ask(raw)
        waiting.set()
        return answer

    def resume() -> None:
        waiting.wait(60)
        for server in lab.replicas:
            server.execute("SELECT pg_wal_replay_resume()")

    monkeypatch.setattr(replicas.log, "ask_reached", ask_and_tell)
    with ReadWriteSession(replicas=replicas) as session:
        for server in lab.replicas:
            server.execute("SELECT pg_wal_replay_pause()")
        write(session, 9)
        resuming = threading.Thread(target=resume)
        resuming.start()
        assert session.scalar(NUMBER) == 9
        resuming.join()
        assert port_of(session) in lab.ports


def test_a_session_that_does_not_care_reads_what_the_replica_has(lab: Lab) -> None:
    replicas = lab.open_set(look_seconds=30.0)
    with lab.paused(), ReadWriteSession(replicas=replicas, read_your_writes=False) as session:
        write(session, 5)
        assert session.position == ""
        assert session.scalar(NUMBER) == 0
        assert port_of(session) in lab.ports


def test_only_what_was_committed_moves_the_position(lab: Lab) -> None:
    replicas = lab.open_set()
    with ReadWriteSession(replicas=replicas) as session:
        session.add(Item())
        session.flush()
        session.rollback()
        session.scalar(NUMBER)
        session.commit()
        with session.primary():
            session.scalar(NUMBER)
        session.commit()
        assert session.position == ""
        with session.begin_nested():
            session.add(Item())
        assert session.position == "", "a savepoint that is released commits nothing"
        session.commit()
        assert session.position


def test_without_a_position_after_its_commit_a_session_reads_from_the_primary(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replicas = lab.open_set()

    def fail(_: object) -> None:
        raise OSError("the line went dead")

    with ReadWriteSession(replicas=replicas) as session:
        with monkeypatch.context() as patched:
            patched.setattr(replicas.log, "ask_position", fail)
            write(session, 3)
        assert session.position == "primary"
        assert "where a commit stands is not known, its session reads from the primary: " in caplog.text
        assert session.scalar(NUMBER) == 3
        assert port_of(session) == lab.primary.port
        with ReadWriteSession(replicas=replicas, after=session.position) as other:
            assert port_of(other) == lab.primary.port
        session.rollback()
        write(session, 4)
        assert session.scalar(NUMBER) == 4
        assert port_of(session) in lab.ports


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_commit_of_which_nobody_knows_is_looked_for_on_the_primary(lab: Lab, is_lost: bool) -> None:
    """The line to the primary breaks while it commits, or the primary refuses what is to be written."""
    replicas = lab.open_set(look_seconds=30.0)
    with lab.paused(), ReadWriteSession(replicas=replicas) as session:

        def cut(connection: Connection) -> None:
            pid = connection.connection.dbapi_connection.get_backend_pid()  # type: ignore[union-attr]
            connection.connection.dbapi_connection.commit()  # type: ignore[union-attr]
            lab.primary.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            connection.exec_driver_sql("SELECT 1")

        if is_lost:
            event.listen(replicas.primary, "commit", cut)
        session.add(Item(id=700) if is_lost else Item(id=1))
        with pytest.raises(DBAPIError):
            session.commit()
        if is_lost:
            event.remove(replicas.primary, "commit", cut)
        session.close()
        assert (session.get(Item, 700) is not None) is is_lost
        assert (port_of(session) == lab.primary.port) is is_lost


def test_a_full_page_of_the_log_is_not_waited_for_in_vain(new_lab: Callable[..., Lab]) -> None:
    """Behind a full page the server tells where the next record will begin, which replay reaches with that record."""
    lab = new_lab(replicas=1, config=["synchronous_commit = on", "autovacuum = off", "checkpoint_timeout = 1h"])
    replicas = lab.open_set(wait_seconds=60.0)
    raw = replicas.primary.raw_connection()
    log, met = PostgreSQLLog(), False
    cursor = raw.cursor()
    raw.dbapi_connection.autocommit = True  # type: ignore[union-attr]
    for _ in range(200):
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint % 8192")
        filled = next(iter(cursor.fetchone() or (0,)))
        if filled == 24:
            met = True
            break
        rest = 8192 - filled
        size = rest - 64 if 100 < rest < 4000 else 3000 if rest >= 4000 else 200
        cursor.execute("SELECT pg_logical_emit_message(false, '', repeat('x', %s))", (size - size % 8 + 3,))
    assert met, "no page of the log was filled to its end"
    position = log.ask_position(raw.dbapi_connection)
    assert position[1] % 8192 == 0
    with ReadWriteSession(replicas=replicas, after=log.format(position)) as session:
        assert port_of(session) in lab.ports
    raw.close()


def test_behind_a_pooler_nothing_is_remembered_of_a_connection(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """In transaction mode the same connection leads to another process the next time."""
    asked: list[object] = []
    with PgBouncer(lab.replicas[0], name=unique_name("bouncer")) as pooler:
        urls = [lab.url(lab.primary), pooler.url("postgres")]
        for url, is_remembered in ((urls[1], False), (lab.url(lab.replicas[0]), True)):
            with ReplicaSet(urls[0], [url], look_seconds=0.2, wait_seconds=10.0) as replicas:
                replicas.start()
                wait_until(lambda replicas=replicas: replicas.states()[0].is_read_from, GENEROUS)  # type: ignore[misc]
                ask = replicas.log.ask_reached

                def ask_and_tell(raw: object, ask: Callable[..., object] = ask) -> object:
                    asked.append(raw)
                    return ask(raw)

                monkeypatch.setattr(replicas.log, "ask_reached", ask_and_tell)
                with ReadWriteSession(replicas=replicas) as session:
                    write(session, 1)
                    session.scalar(NUMBER)
                    session.rollback()
                    asked.clear()
                    assert session.scalar(NUMBER) == 1
                    assert bool(asked) is not is_remembered
                for engine in replicas.engines:
                    engine.dispose()


def test_many_sessions_at_once_see_their_own_commits(lab: Lab) -> None:
    replicas = lab.open_set(engine_options={"pool_size": 10, "max_overflow": 10})

    def work(number: int) -> None:
        for round_ in range(20):
            with ReadWriteSession(replicas=replicas) as session:
                item = session.get(Item, number + 1)
                assert item
                item.number = round_
                session.commit()
                after = session.position
            with ReadWriteSession(replicas=replicas, after=after) as session:
                found = session.get(Item, number + 1)
                assert found
                assert found.number == round_

    run_threads(8, work)
