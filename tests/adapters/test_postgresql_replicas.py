"""Replication as one PostgreSQL sees it, on the installed version and 18: orders, and who may give them."""

import time
from collections.abc import Callable, Iterator

import pytest

from dbtui.adapters.clocks import measure_skew
from dbtui.adapters.postgresql.replicas import REPLICAS, collect_replication
from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica
from dbtui.errors import RefusedError, UsageError
from dbtui.model.replicas import ReplicaAction
from tests.adapters.postgresql_nasty import newest_tools
from tests.adapters.postgresql_sessions import add_login
from tests.adapters.postgresql_targets import commands_of, opened
from tests.fix_servers import unique_name, wait_until


@pytest.fixture(scope="module", params=["installed", "18"])
def pair(request: pytest.FixtureRequest, server_directory: object) -> Iterator[tuple[PostgreSQL, PostgreSQLReplica]]:
    binaries = newest_tools() if request.param == "18" else None
    with PostgreSQL(server_directory, name=unique_name("pg"), binaries=binaries) as server:  # type: ignore[arg-type]
        yield server, server.add_replica(unique_name("replica"))


def test_both_ends_tell_the_same(pair: tuple[PostgreSQL, PostgreSQLReplica]) -> None:
    server, replica = pair
    server.execute("SELECT pg_create_physical_replication_slot('kept', true)")
    wait_until(lambda: bool(server.execute("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")))
    with opened(server.url()) as above, opened(replica.url()) as below:
        wait_until(lambda: collect_replication(below).receivers[0].source_end is not None)
        primary, standby = collect_replication(above), collect_replication(below)
    assert (primary.is_replica, standby.is_replica) == (False, True)
    assert primary.system == standby.system != ""
    assert primary.timeline == standby.timeline == 1
    assert [each.name for each in primary.streams] == [standby.receivers[0].name] == [replica.name]
    assert standby.receivers[0].source == primary.address == f"127.0.0.1:{server.port}"
    assert primary.streams[0].state == "streaming"
    assert standby.applier is not None and standby.applier.pause == "not paused"
    (slot,) = primary.slots
    assert (slot.name, slot.kind, slot.is_active, slot.status) == ("kept", "physical", False, "reserved")
    assert slot.retained_bytes is not None and slot.retained_bytes >= 0
    assert primary.clock_skew_seconds is not None and abs(primary.clock_skew_seconds) < 1.0
    assert primary.gaps == standby.gaps == ()


def test_replay_is_paused_and_goes_on(pair: tuple[PostgreSQL, PostgreSQLReplica]) -> None:
    _, replica = pair
    with opened(replica.url()) as target:
        assert REPLICAS.show_orders(target, ReplicaAction.PAUSE) == ("SELECT pg_wal_replay_pause();",)
        REPLICAS.pause_replay(target)
        wait_until(lambda: _pause(target) == "paused")
        REPLICAS.resume_replay(target)
        wait_until(lambda: _pause(target) == "not paused")


def _pause(target: object) -> str:
    applier = REPLICAS.collect_replication(target).applier  # type: ignore[arg-type]
    return applier.pause if applier is not None else ""


def test_orders_that_are_refused_say_why(pair: tuple[PostgreSQL, PostgreSQLReplica]) -> None:
    server, replica = pair
    login = add_login(server)
    wait_until(lambda: bool(replica.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login])))
    with opened(server.url()) as target, pytest.raises(RefusedError, match="is a primary"):
        REPLICAS.pause_replay(target)
    with opened(server.url()) as target, pytest.raises(UsageError, match="there is no slot nobody"):
        REPLICAS.drop_slot(target, "nobody")
    with opened(replica.url(), read_only=True) as target, pytest.raises(RefusedError, match="read-only"):
        REPLICAS.pause_replay(target)
    with opened(replica.url(user=login, password="x"), password="x") as target:
        with pytest.raises(RefusedError, match=f'GRANT EXECUTE ON FUNCTION pg_wal_replay_pause.. TO "{login}"'):
            REPLICAS.pause_replay(target)
        with pytest.raises(RefusedError, match=r"GRANT EXECUTE ON FUNCTION pg_promote\(boolean, integer\)"):
            commands_of(REPLICAS.promote(target, 5.0))
    server.execute(f"GRANT EXECUTE ON FUNCTION pg_wal_replay_pause() TO {login}")
    server.execute(f"GRANT EXECUTE ON FUNCTION pg_wal_replay_resume() TO {login}")
    with opened(replica.url(user=login, password="x"), password="x") as target:  # what was told is enough
        wait_until(lambda: bool(replica.execute(
            "SELECT 1 WHERE has_function_privilege(%s, 'pg_wal_replay_resume()', 'EXECUTE')", [login])))  # fmt: skip
        REPLICAS.pause_replay(target)
        REPLICAS.resume_replay(target)


def test_a_slot_is_dropped_unless_somebody_reads_it(pair: tuple[PostgreSQL, PostgreSQLReplica]) -> None:
    server, _ = pair
    name = unique_name("slot")
    server.execute("SELECT pg_create_physical_replication_slot(%s)", [name])
    with opened(server.url()) as target:
        assert REPLICAS.show_orders(target, ReplicaAction.DROP_SLOT, "o'clock") == (
            "SELECT pg_drop_replication_slot('o''clock');",
        )
        REPLICAS.drop_slot(target, name)
        assert name not in [each.name for each in collect_replication(target).slots]


def test_a_replica_is_promoted(new_postgresql: Callable[..., PostgreSQL]) -> None:
    replica = new_postgresql().add_replica(unique_name("heir"))
    with opened(replica.url()) as target:
        began = time.monotonic()
        _, commands = commands_of(REPLICAS.promote(target, 30.0))
        assert commands == ["SELECT pg_promote(false) AS is_asked;"]
        assert time.monotonic() - began < 30.0
        seen = collect_replication(target)
        assert (seen.is_replica, seen.timeline) == (False, 2)
        with pytest.raises(RefusedError, match="is a primary"):
            commands_of(REPLICAS.promote(target, 5.0))


def test_a_clock_is_no_further_off_than_the_round_trip_leaves_open() -> None:
    assert measure_skew(100.4, 100.0, 101.0) == 0.0
    assert measure_skew(130.5, 100.0, 101.0) == 30.0
    assert measure_skew(70.5, 100.0, 101.0) == -30.0
