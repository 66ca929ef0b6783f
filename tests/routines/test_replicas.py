"""Replication of real PostgreSQL servers, looked at and judged: what a lag is, and what only looks like one."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica, ServerDirectory
from dbtui.model.replicas import LagStage, ReplicaState, StageLag
from tests.fix_servers import unique_name, wait_until
from tests.routines.replica_lab import MEGABYTE, Watcher, fill, profile_of


@dataclass
class Family:
    """A primary, a replica of it, and a replica of that one."""

    primary: PostgreSQL
    replica: PostgreSQLReplica
    cascade: PostgreSQLReplica


@pytest.fixture(scope="module")
def family(server_directory: ServerDirectory) -> Iterator[Family]:
    with PostgreSQL(server_directory, name=unique_name("pg"), config=["full_page_writes = on"]) as primary:
        replica = primary.add_replica(
            unique_name("near"), config=["max_standby_streaming_delay = -1", "max_standby_archive_delay = -1"]
        )
        cascade = replica.add_replica(unique_name("far"))
        yield Family(primary, replica, cascade)


@pytest.fixture
def watcher(family: Family) -> Iterator[Watcher]:
    """Looks at the whole family, everybody having everything at first."""
    profiles = [profile_of("near", family.replica), profile_of("far", family.cascade)]
    with closing(Watcher(profile_of("erp", family.primary), profiles)) as made:
        made.until("far", lambda each: each.behind_bytes == 0)
        made.until("near", lambda each: each.behind_bytes == 0)
        yield made


def test_who_receives_from_whom(watcher: Watcher, family: Family) -> None:
    assessment = watcher.look()
    assert assessment.primary == "erp"
    assert [(each.name, each.parent, each.depth) for each in assessment.replicas] == [
        ("near", "erp", 0),
        ("far", "near", 1),
    ]
    assert all(each.state is ReplicaState.CURRENT and each.level == "ok" for each in assessment.replicas)
    assert assessment.sentence.startswith("2 of 2 replicas are safe for reads older than")
    assert not assessment.gaps
    with closing(Watcher(profile_of("erp", family.primary))) as alone:  # nothing but the primary's own view
        alone.look()
        assert [each.profile for each in alone.assessment.replicas] == [""]
        assert "name its profile" in alone.assessment.replicas[0].remarks[0]


def test_an_idle_replica_has_no_lag_although_the_servers_figures_are_old(watcher: Watcher, family: Family) -> None:
    fill(family.primary, 1)
    watcher.until("near", lambda each: each.behind_bytes == 0)
    wait_until(lambda: _idle_seconds(family.replica) > 2.0)
    watcher.look()
    applier = watcher.server("near").applier
    assert applier is not None and applier.replay_age_seconds is not None and applier.replay_age_seconds > 2.0
    verdict = watcher.replica("near")
    assert (verdict.state, verdict.lag_seconds, verdict.behind_bytes) == (ReplicaState.CURRENT, 0.0, 0)
    assert verdict.safe_after_seconds is not None and verdict.safe_after_seconds < 1.5
    assert verdict.is_safe
    assert [(each.behind_bytes, each.seconds) for each in verdict.stages] == [(0, 0.0)] * 4


def _idle_seconds(replica: PostgreSQL) -> float:
    return float(
        replica.execute("SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8")[0][0]
    )


def test_paused_replay_is_called_that_and_catching_up_returns_to_nothing(watcher: Watcher, family: Family) -> None:
    family.replica.execute("SELECT pg_wal_replay_pause()")
    try:
        fill(family.primary, 20)
        verdict = watcher.until("near", lambda each: _behind(each.stages, LagStage.APPLY) > 20 * MEGABYTE)
        assert (verdict.state, verdict.level, verdict.is_safe) == (ReplicaState.PAUSED, "warning", False)
        assert [each.stage for each in verdict.stages if each.behind_bytes] == [LagStage.APPLY]
        assert "replay is paused, with 20 MB" in verdict.sentence or "replay is paused, with 21 MB" in verdict.sentence
        assert verdict.command == "SELECT pg_wal_replay_resume();"
        wait_until(lambda: _lag_of_near(watcher) > 2.0)
        promised = watcher.replica("near").safe_after_seconds
        assert promised is not None and promised >= (watcher.replica("near").lag_seconds or 0.0)
        assert "near: replay is paused" in watcher.assessment.sentence
    finally:
        family.replica.execute("SELECT pg_wal_replay_resume()")
    verdict = watcher.until("near", lambda each: each.behind_bytes == 0)
    assert (verdict.state, verdict.lag_seconds) == (ReplicaState.CURRENT, 0.0)

    def is_stale() -> bool:  # what the primary measured last stays there
        watcher.look()
        return any((each.replay_seconds or 0.0) > 0.5 for each in watcher.server("erp").streams)

    wait_until(is_stale)
    assert watcher.replica("near").lag_seconds == 0.0


def _lag_of_near(watcher: Watcher) -> float:
    watcher.look()
    return watcher.replica("near").lag_seconds or 0.0


def _behind(stages: tuple[StageLag, ...], wanted: LagStage) -> int:
    return next(each.behind_bytes or 0 for each in stages if each.stage is wanted)


def test_a_query_that_replay_waits_for_is_named(watcher: Watcher, family: Family) -> None:
    family.primary.execute("CREATE TABLE IF NOT EXISTS busy AS SELECT i FROM generate_series(1, 1000) i")
    wait_until(lambda: bool(family.replica.execute("SELECT to_regclass('busy')")[0][0]))
    reader = psycopg2.connect(family.replica.url(), application_name="report")
    try:
        reader.set_session(isolation_level="REPEATABLE READ")
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM busy")
        family.primary.execute("DELETE FROM busy")
        family.primary.execute("VACUUM busy")
        verdict = watcher.until("near", lambda each: each.state is ReplicaState.CONFLICT)
        assert "replay waits for a query on the replica, likeliest" in verdict.sentence
        assert "report" in verdict.sentence
        assert verdict.command == f"dbtui sessions cancel near {reader.info.backend_pid}"
        assert not verdict.is_safe
        far = watcher.replica("far")  # it has the log already, and applies it
        assert far.state is ReplicaState.CURRENT
    finally:
        reader.close()
    assert watcher.until("near", lambda each: each.behind_bytes == 0).state is ReplicaState.CURRENT


def test_a_base_backup_is_no_replica_whatever_it_calls_itself(
    watcher: Watcher, family: Family, server_directory: ServerDirectory
) -> None:
    secret = family.primary.write_private("backup_passfile", f"*:*:*:*:{family.primary.password}\n")
    name = watcher.server("erp").streams[0].name
    login = f"host=127.0.0.1 port={family.primary.port} user=postgres passfile={secret} application_name={name}"
    copy = server_directory.add_subdirectory(unique_name("copy"), family.primary.account)
    copying = family.primary.spawn(
        [str(family.primary.binaries / "pg_basebackup"), "--checkpoint=fast", "--no-sync", "--max-rate=4M",
         "--dbname", login, f"--pgdata={copy}"]
    )  # fmt: skip
    try:
        wait_until(lambda: any(each.backup.streamed_bytes for each in watcher.look().backups))
        wait_until(lambda: watcher.look().backups[0].left_seconds is not None)
        assert len(watcher.server("erp").streams) == 3  # the replica, and two of the backup
        assert [each.name for each in watcher.assessment.replicas] == ["near", "far"]
        assert "left" in watcher.assessment.backups[0].sentence
        assert watcher.assessment.level == "ok", watcher.assessment.sentence
    finally:
        copying.terminate()
        copying.wait()


def test_a_replica_without_a_receiver(watcher: Watcher, family: Family) -> None:
    found = family.cascade.execute("SELECT setting FROM pg_settings WHERE name = 'primary_conninfo'")[0][0]
    family.cascade.execute("ALTER SYSTEM SET primary_conninfo = ''")
    family.cascade.execute("SELECT pg_reload_conf()")
    try:
        verdict = watcher.until("far", lambda each: each.state is ReplicaState.RECEIVER_DEAD)
        assert verdict.level == "trouble"
        assert "receives nothing" in verdict.sentence
        assert verdict.safe_after_seconds is not None  # what it has, it has
    finally:
        family.cascade.execute("ALTER SYSTEM SET primary_conninfo = %s", [found])
        family.cascade.execute("SELECT pg_reload_conf()")
    watcher.until("far", lambda each: each.state is ReplicaState.CURRENT)


def test_a_login_without_the_privilege_is_told_the_grant(watcher: Watcher, family: Family) -> None:
    login = unique_name("plain")
    family.primary.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    wait_until(lambda: bool(family.replica.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login])))
    profiles = [profile_of(name, server, user=login, password="x")
                for name, server in (("erp", family.primary), ("near", family.replica))]  # fmt: skip
    with closing(Watcher(profiles[0], profiles[1:])) as plain:
        assessment = plain.look()
        grant = f'what replicas and receivers do needs GRANT pg_monitor TO "{login}"'
        assert assessment.gaps == (f"erp: {grant}", f"near: {grant}")
        near = plain.replica("near")
        assert (near.state, near.behind_bytes, near.lag_seconds) == (ReplicaState.CURRENT, 0, 0.0)
        with closing(Watcher(profiles[0])) as alone:
            verdict = alone.look().replicas[0]
            assert (verdict.state, verdict.level, verdict.is_safe) == (ReplicaState.UNKNOWN, "warning", False)


def test_a_promoted_replica_is_on_a_timeline_of_its_own(new_postgresql: Callable[..., PostgreSQL]) -> None:
    primary = new_postgresql()
    replica = primary.add_replica(unique_name("gone"))
    with closing(Watcher(profile_of("erp", primary), [profile_of("gone", replica)])) as watcher:
        watcher.until("gone", lambda each: each.state is ReplicaState.CURRENT)
        replica.execute("SELECT pg_promote()")
        verdict = watcher.until("gone", lambda each: each.state is ReplicaState.OTHER_TIMELINE)
        assert verdict.safe_after_seconds is None
        assert "is a primary of its own now: it is on timeline 2, and erp is on timeline 1" in verdict.sentence


def test_servers_that_are_no_replicas_of_this_primary(
    new_postgresql: Callable[..., PostgreSQL], family: Family
) -> None:
    stranger = new_postgresql()
    child = stranger.add_replica(unique_name("child"))
    profiles = [profile_of("near", family.replica), profile_of("stranger", stranger), profile_of("child", child)]
    with closing(Watcher(profile_of("erp", family.primary), profiles)) as watcher:
        watcher.look()
        assert watcher.replica("near").state is ReplicaState.CURRENT
        for name in ("stranger", "child"):
            assert watcher.replica(name).state is ReplicaState.STRANGER
            assert "is of another primary: its system identifier is" in watcher.replica(name).sentence
            assert watcher.replica(name).safe_after_seconds is None


def test_who_cannot_be_asked_costs_the_others_nothing(new_postgresql: Callable[..., PostgreSQL]) -> None:
    primary = new_postgresql()
    replica = primary.add_replica(unique_name("here"))
    down = new_postgresql()
    profiles = [profile_of("down", down), profile_of("here", replica)]
    with closing(Watcher(profile_of("erp", primary), profiles)) as watcher:
        watcher.until("here", lambda each: each.state is ReplicaState.CURRENT)
        down.stop()
        verdict = watcher.until("down", lambda each: each.state is ReplicaState.DOWN)
        assert verdict.level == "trouble" and "cannot be asked" in verdict.sentence
        assert watcher.replica("here").is_safe
        began = time.monotonic()
        watcher.look()
        assert time.monotonic() - began < 1.0  # it is not tried again at once
        assert primary.process is not None
        primary.process.send_signal(signal.SIGQUIT)
        watcher.until("here", lambda each: each.state is ReplicaState.RECEIVER_DEAD)
        assert "the primary erp cannot be asked" in watcher.assessment.sentence
        assert watcher.assessment.level == "trouble"


def test_a_slot_counts_down_and_is_lost_with_its_replica(new_postgresql: Callable[..., PostgreSQL]) -> None:
    primary = new_postgresql(config=["max_slot_wal_keep_size = 48MB", "min_wal_size = 32MB", "max_wal_size = 64MB"])
    primary.execute("SELECT pg_create_physical_replication_slot('near_slot', true)")
    replica = primary.add_replica(unique_name("slotted"), config=["primary_slot_name = 'near_slot'"])
    with closing(Watcher(profile_of("erp", primary), [profile_of("near", replica)])) as watcher:
        watcher.until("near", lambda each: each.state is ReplicaState.CURRENT)
        assert [(each.slot.name, each.level) for each in watcher.assessment.slots] == [("near_slot", "ok")]
        wait_until(lambda: bool(watcher.look()) and watcher.server("erp").streams[0].slot == "near_slot")
        replica.stop()
        wait_until(lambda: not watcher.look().slots[0].slot.is_active)
        assert watcher.assessment.slots[0].level == "warning"
        fill(primary, 8)
        time.sleep(0.5)
        fill(primary, 2)
        slot = watcher.look().slots[0]
        assert slot.full_seconds is not None and slot.level == "trouble"
        assert "it is given up (max_slot_wal_keep_size) in" in slot.sentence
        assert slot.command == "SELECT pg_drop_replication_slot('near_slot');"
        for _ in range(6):
            fill(primary, 30)
            primary.execute("CHECKPOINT")
        assert watcher.look().slots[0].slot.status == "lost"
        replica.start()
        verdict = watcher.until("near", lambda each: each.state is not ReplicaState.DOWN, 40.0)
        assert verdict.state is ReplicaState.SLOT_LOST
        assert "its slot near_slot is lost" in verdict.sentence


def test_a_delay_on_purpose(new_postgresql: Callable[..., PostgreSQL]) -> None:
    primary = new_postgresql()
    replica = primary.add_replica(unique_name("late"), config=["recovery_min_apply_delay = '1h'"])
    with closing(Watcher(profile_of("erp", primary), [profile_of("late", replica)])) as watcher:
        fill(primary, 1)
        verdict = watcher.until("late", lambda each: bool(each.behind_bytes))
        assert (verdict.state, verdict.level, verdict.is_safe) == (ReplicaState.DELAYED, "ok", False)
        assert "applies 1 h late on purpose" in verdict.sentence


def test_a_server_that_hangs_is_given_up(new_postgresql: Callable[..., PostgreSQL]) -> None:
    primary = new_postgresql()
    name = unique_name("hung")
    replica = primary.add_replica(name)
    with closing(Watcher(profile_of("erp", primary), [profile_of(name.replace("_", "-"), replica)])) as watcher:
        name = name.replace("_", "-")
        watcher.until(name, lambda each: each.state is ReplicaState.CURRENT)
        halted = _processes_of(replica)
        for each in halted:
            os.kill(each, signal.SIGSTOP)
        try:
            began = time.monotonic()
            verdict = watcher.until(name, lambda each: each.state is ReplicaState.DOWN)
            assert time.monotonic() - began < 12.0
            assert "did not answer in time" in verdict.sentence
            assert "the primary goes on sending to it" in verdict.sentence
        finally:
            for each in halted:
                os.kill(each, signal.SIGCONT)


def _processes_of(server: PostgreSQL) -> list[int]:
    assert server.process is not None
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *map(int, children)]
