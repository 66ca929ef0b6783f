"""Replicas that go away, stand still, lag, conflict, or are something else: no read fails, and none is stale."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from dbtui.instrument import ReadWriteSession, ReplicaSet, create_engine
from tests.fix_servers import wait_until
from tests.instrument.applications import Trace
from tests.instrument.reading import run_in_child, run_threads
from tests.instrument.routing_lab import (
    GENEROUS,
    Item,
    Lab,
    kill_server,
    port_of,
    restart_server,
    state_of,
    wait_for_state,
)
from tests.routines.replica_lab import FILLER

# From Python 3.12 on, forking with threads earns a warning; prefork servers do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

MARK = {"dbtui_read_from": "replica"}
SLOW = text("SELECT pg_backend_pid()")


def pid_of(session: ReadWriteSession) -> int:
    """The server's process that serves a session."""
    found = session.scalar(SLOW, execution_options=MARK)
    assert found
    return int(found)


def cut_off(lab: Lab, session: ReadWriteSession) -> None:
    """End the process that serves a session, as an outage would."""
    pid = pid_of(session)
    port = port_of(session)
    server = next(each for each in (lab.primary, *lab.replicas) if each.port == port)
    server.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


def test_a_read_whose_connection_breaks_is_repeated_elsewhere(lab: Lab) -> None:
    replicas = lab.open_set(engine_options={"pool_pre_ping": False}, look_seconds=30.0)
    pids = {}
    for _ in range(2):
        with ReadWriteSession(replicas=replicas) as session:
            pids[port_of(session)] = pid_of(session)
    assert set(pids) == lab.ports
    for server in lab.replicas:  # whose connections rest in their pools
        server.execute("SELECT pg_terminate_backend(%s, 10000)", [pids[server.port]])
    with ReadWriteSession(replicas=replicas) as session:
        assert session.get(Item, 1)
        assert port_of(session) == lab.primary.port, "both have failed"
    assert [each.failures for each in replicas.states()] == [1, 1]
    for server in lab.replicas:
        wait_for_state(replicas, server, lambda state: state.is_read_from)


def test_a_read_in_the_middle_of_a_transaction_is_repeated_on_the_primary(lab: Lab) -> None:
    replicas = lab.open_set()
    with ReadWriteSession(replicas=replicas) as session:
        item = session.get(Item, 1)
        assert item
        cut_off(lab, session)
        assert item.owner
        assert item.owner.name == "owner 1", "lazily loaded"
        assert port_of(session) == lab.primary.port, "which is ahead of every replica: time does not go back"
        item.number = 8
        session.commit()
        assert lab.primary.execute("SELECT number FROM items WHERE id = 1") == [(8,)]


def test_rows_that_were_streamed_are_not_read_twice(lab: Lab) -> None:
    replicas = lab.open_set()
    with ReadWriteSession(replicas=replicas) as session:
        streamed = session.scalars(select(Item.id).order_by(Item.id), execution_options={"yield_per": 2})
        assert next(streamed) == 1
        server = next(each for each in lab.replicas if each.port == port_of(session))
        server.execute("SELECT pg_terminate_backend(%s, 10000)", [pid_of(session)])
        with pytest.raises(DBAPIError):
            list(streamed)
        assert session.get(Item, 1), "the session goes on, on the primary"
        assert port_of(session) == lab.primary.port


def test_a_snapshot_that_is_lost_is_an_error(lab: Lab) -> None:
    replicas = lab.open_set(engine_options={"isolation_level": "REPEATABLE READ"})
    with ReadWriteSession(replicas=replicas) as session:
        session.get(Item, 1)
        cut_off(lab, session)
        with pytest.raises(DBAPIError):
            session.get(Item, 2)
        session.rollback()
        assert session.get(Item, 2)
    with ReadWriteSession(replicas=replicas) as session:
        session.get(Item, 1)
        session.commit()
        assert session.get(Item, 2)


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_an_outage_after_the_last_read_fails_nothing(lab: Lab, end: str) -> None:
    replicas = lab.open_set()
    with ReadWriteSession(replicas=replicas) as session:
        session.get(Item, 1)
        cut_off(lab, session)
        getattr(session, end)()
        assert session.get(Item, 1)
    with ReadWriteSession(replicas=replicas) as session:
        item = session.get(Item, 1)
        assert item
        cut_off(lab, session)
        item.number = 77
        getattr(session, end)()
    found = lab.primary.execute("SELECT number FROM items WHERE id = 1")
    assert found == [(77 if end == "commit" else 0,)], "a replica's end is no reason for a write to fail"


def test_replay_that_is_paused_is_not_read_from(lab: Lab) -> None:
    replicas = lab.open_set()
    with lab.paused():
        for server in lab.replicas:
            wait_for_state(replicas, server, lambda state: state.fault == "its replay is paused")
        with ReadWriteSession(replicas=replicas) as session:
            assert port_of(session) == lab.primary.port
            session.add(Item(id=900))
            session.commit()
            assert session.get(Item, 900)
            assert port_of(session) == lab.primary.port
    for server in lab.replicas:
        wait_for_state(replicas, server, lambda state: state.is_read_from)
    with ReadWriteSession(replicas=replicas) as session:
        assert port_of(session) in lab.ports


def test_a_replica_that_is_too_far_behind_is_not_read_from(lab: Lab) -> None:
    """Replay waits for a query on one replica: it is neither paused nor cut off, it is late."""
    late, other = lab.replicas
    late.execute("ALTER SYSTEM SET max_standby_streaming_delay = -1")
    late.execute("SELECT pg_reload_conf()")
    replicas = lab.open_set(lag_bytes=5_000_000, lag_seconds=600.0)
    engine = create_engine(lab.url(late))
    with engine.connect() as reader:
        reader.execute(text("SELECT 1 FROM items")).all()
        lab.primary.execute("ALTER TABLE items ALTER COLUMN number SET DEFAULT 1")
        lab.primary.execute(FILLER, [8])
        lab.primary.execute("INSERT INTO items (number) VALUES (1)")
        state = wait_for_state(replicas, late, lambda each: not each.is_read_from)
        assert "behind" in state.fault
        assert (state.lag_bytes or 0) > 5_000_000
        for _ in range(4):
            with ReadWriteSession(replicas=replicas) as session:
                assert port_of(session) == other.port
        reader.rollback()
    engine.dispose()
    wait_for_state(replicas, late, lambda each: each.is_read_from and each.lag_bytes == 0)


def test_lag_in_seconds_is_of_bytes_that_are_missing(lab: Lab) -> None:
    replicas = lab.open_set(lag_seconds=1.0, look_seconds=0.1)
    first = [state_of(replicas, each) for each in lab.replicas]
    assert [state.lag_seconds for state in first] == [0.0, 0.0]
    late = lab.replicas[0]
    late.execute("SELECT pg_wal_replay_pause()")
    lab.primary.execute("INSERT INTO items (number) VALUES (1)")
    state = wait_for_state(replicas, late, lambda each: (each.lag_seconds or 0) > 0.5)
    assert state.lag_bytes
    late.execute("SELECT pg_wal_replay_resume()")
    wait_for_state(replicas, late, lambda each: each.is_read_from and each.lag_seconds == 0)


def test_a_query_that_replay_cancels_is_repeated_elsewhere(lab: Lab) -> None:
    victim = lab.replicas[0]
    victim.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
    victim.execute("SELECT pg_reload_conf()")
    replicas = lab.open_set()
    with ReadWriteSession(replicas=replicas) as session:
        while port_of(session) != victim.port:
            session.rollback()
        session.scalars(select(Item)).all()
        lab.primary.execute("ALTER TABLE items ALTER COLUMN number SET DEFAULT 2")
        lab.wait_for_replay()
        assert len(session.scalars(select(Item.id)).all()) == 10
        assert port_of(session) == lab.primary.port


def test_an_exhausted_pool_is_no_outage(lab: Lab) -> None:
    replicas = lab.open_set(engine_options={"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.05})
    first, second, third = (ReadWriteSession(replicas=replicas) for _ in range(3))
    with first, second, third:
        assert {port_of(first), port_of(second)} == lab.ports, "the one that is less busy"
        assert port_of(third) == lab.primary.port
        assert [(each.is_read_from, each.failures) for each in replicas.states()] == [(True, 0), (True, 0)]
        first.close()
        third.close()
        assert port_of(third) in lab.ports


def test_all_replicas_down_and_back(new_lab: Callable[..., Lab], caplog: pytest.LogCaptureFixture) -> None:
    lab = new_lab()
    replicas = lab.open_set()
    caplog.set_level(logging.INFO, "dbtui.instrument")
    for server in lab.replicas:
        kill_server(server)
    for _ in range(20):
        with ReadWriteSession(replicas=replicas) as session:
            assert session.get(Item, 1)
    for server in lab.replicas:
        wait_for_state(replicas, server, lambda state: not state.is_read_from and "failed" in state.fault)
    with ReadWriteSession(replicas=replicas) as session:
        assert port_of(session) == lab.primary.port
    for server in lab.replicas:
        restart_server(server)
        wait_for_state(replicas, server, lambda state: state.is_read_from)
    with ReadWriteSession(replicas=replicas) as session:
        assert port_of(session) in lab.ports
    said = [record.getMessage() for record in caplog.records]
    assert sum("is not read from" in each for each in said) >= 2
    assert sum("is read from" in each for each in said) >= 2
    assert not [each for each in said if lab.primary.password in each]


def test_a_promoted_replica_is_none_any_more(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(config=["synchronous_commit = on", "full_page_writes = on"])
    promoted, other = lab.replicas
    follower = promoted.add_replica("follower")
    lab.replicas.append(follower)
    replicas = lab.open_set(look_seconds=0.2)
    slow = lab.make_set(look_seconds=3600.0)
    slow.start()
    wait_until(lambda: all(each.is_read_from for each in slow.states()), GENEROUS)
    promoted.execute("SELECT pg_promote(true, 60)")
    wait_for_state(replicas, promoted, lambda state: state.fault == "it is no replica any more")
    wait_for_state(replicas, follower, lambda state: state.fault == "it is on timeline 2, the primary on 1")
    for _ in range(6):
        with ReadWriteSession(replicas=replicas) as session:
            assert port_of(session) == other.port
        with ReadWriteSession(replicas=slow) as session:  # it has not looked: the read itself finds out
            session.add(Item())
            session.commit()
            assert port_of(session) in {other.port, lab.primary.port}
    assert state_of(slow, promoted).fault in ("it is no replica any more", "it has not answered for a while")


def test_somebody_elses_replica_is_not_read_from(lab: Lab, new_lab: Callable[..., Lab]) -> None:
    other = new_lab(replicas=1)
    with ReplicaSet(lab.url(lab.primary), [other.url(other.replicas[0])], look_seconds=0.2) as replicas:
        replicas.start()
        wait_until(lambda: replicas.states()[0].fault == "it is no replica of this primary", GENEROUS)
        for engine in replicas.engines:
            engine.dispose()


def test_a_child_process_routes_by_itself(lab: Lab) -> None:
    replicas = lab.open_set()
    with ReadWriteSession(replicas=replicas) as session:
        assert port_of(session) in lab.ports

    def in_child() -> None:
        with ReadWriteSession(replicas=replicas) as mine:
            assert mine.get(Item, 1)
        wait_until(lambda: all(each.is_read_from for each in replicas.states()), GENEROUS)
        with ReadWriteSession(replicas=replicas) as mine:
            assert port_of(mine) in lab.ports
            mine.add(Item())
            mine.commit()
            assert port_of(mine) in lab.ports
        replicas.close()

    for _ in range(2):
        run_in_child(in_child)
    assert all(each.is_read_from for each in replicas.states())
    with ReadWriteSession(replicas=replicas) as session:
        assert port_of(session) in lab.ports
    names = [each.name for each in threading.enumerate() if each.name.startswith("dbtui replicas")]
    assert len(names) == 3
    replicas.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("dbtui replicas")]


def test_a_replica_that_hangs_is_not_read_from(new_lab: Callable[..., Lab]) -> None:
    """Its processes stand still: connections stay open, and nobody answers."""
    lab = new_lab()
    hanging, other = lab.replicas
    replicas = lab.open_set()
    assert hanging.process
    postmaster = psutil.Process(hanging.process.pid)
    stopped = [postmaster, *postmaster.children(recursive=True)]
    try:
        for process in stopped:
            process.suspend()
        wait_for_state(replicas, hanging, lambda state: state.fault == "it has not answered for a while")
        for _ in range(4):
            with ReadWriteSession(replicas=replicas) as session:
                assert port_of(session) == other.port
    finally:
        for process in reversed(stopped):
            process.resume()
    wait_for_state(replicas, hanging, lambda state: state.is_read_from)


def test_a_login_without_privileges_reads_from_replicas(lab: Lab) -> None:
    lab.primary.execute("DROP ROLE IF EXISTS plain_reader")
    lab.primary.execute("CREATE ROLE plain_reader LOGIN PASSWORD 'reader'")
    lab.wait_for_replay()
    urls = [each.url("postgres", "plain_reader", "reader") for each in (lab.primary, *lab.replicas)]
    with ReplicaSet(urls[0], urls[1:], harmless_functions=["inet_server_port"]) as replicas:
        assert replicas.wait_for_looks(GENEROUS)
        with ReadWriteSession(replicas=replicas) as session:
            assert port_of(session) in lab.ports
            session.execute(text("SELECT 1"))
            session.commit()
            assert session.position
            assert port_of(session) in lab.ports
        for engine in replicas.engines:
            engine.dispose()


def test_a_primary_that_is_gone_does_not_stop_what_replicas_can_serve_at_once(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(replicas=1)
    replicas = lab.open_set(look_seconds=30.0)
    kill_server(lab.primary)
    with ReadWriteSession(replicas=replicas) as session:
        assert session.get(Item, 1)
        with session.primary(), pytest.raises(OperationalError):
            session.get(Item, 1)


def test_replicas_go_on_without_the_primary_when_they_are_told_to(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(replicas=1)
    server = lab.replicas[0]
    alone = lab.open_set(serve_without_primary=True, lag_seconds=1.0)
    usual = lab.open_set(lag_seconds=1.0)
    kill_server(lab.primary)
    wait_for_state(usual, server, lambda state: state.fault == "it receives nothing from the primary")
    wait_for_state(alone, server, lambda state: state.is_read_from and (state.lag_seconds or 0) > 2)
    with ReadWriteSession(replicas=alone) as session:
        assert port_of(session) == server.port
    with ReadWriteSession(replicas=alone, after="1:FFFF/0") as session, pytest.raises(OperationalError):
        session.get(Item, 1)
    restart_server(lab.primary)
    wait_for_state(usual, server, lambda state: state.is_read_from)
    wait_for_state(alone, server, lambda state: state.is_read_from and state.lag_seconds == 0)


def test_what_replicas_serve_can_be_recorded(lab: Lab, tmp_path: Path) -> None:
    replicas = lab.open_set()
    with Trace(replicas.engines, tmp_path / "trace.jsonl") as trace:
        for _ in range(4):
            with ReadWriteSession(replicas=replicas) as session:
                session.get(Item, 1)
        with ReadWriteSession(replicas=replicas) as session:
            session.add(Item())
            session.commit()
    kinds = [line["sql"].partition(" ")[0] for line in trace.lines]
    assert kinds == ["SELECT"] * 4 + ["INSERT"], "and what routing asks for itself is not among them"


def test_threads_share_a_set(lab: Lab) -> None:
    replicas = lab.open_set(engine_options={"pool_size": 4, "max_overflow": 20})

    def work(_: int) -> None:
        for _ in range(50):
            with ReadWriteSession(replicas=replicas) as session:
                assert session.get(Item, 1)
                assert port_of(session) in lab.ports

    run_threads(12, work)
