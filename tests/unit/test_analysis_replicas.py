"""Judging recorded views of replication: seconds are gated by bytes, promises are bounds, states are told apart."""

from dataclasses import replace
from typing import Any

import pytest

from dbtui.analysis.replicas import ReplicaThresholds, Track, advance, assess_replicas
from dbtui.analysis.replicas.joining import join
from dbtui.analysis.replicas.slots import assess_slot
from dbtui.analysis.replicas.tracks import Sample, age_of, remember, remember_end
from dbtui.model.replicas import (
    Applier,
    BaseBackupProgress,
    LagStage,
    Receiver,
    ReplicasAssessment,
    ReplicasSnapshot,
    ReplicaState,
    ReplicationSlot,
    ReplicaVerdict,
    ServerReplication,
)
from tests.unit.replica_scenes import END, MY, PG, look, primary, standby, stream

MB = 1_000_000


def judge(*looks: ReplicasSnapshot) -> ReplicasAssessment:
    track = Track()
    for each in looks:
        track, assessment = advance(track, each)
    return assessment


def only(*looks: ReplicasSnapshot) -> ReplicaVerdict:
    (verdict,) = judge(*looks).replicas
    return verdict


def stages(verdict: ReplicaVerdict) -> dict[LagStage, int | None]:
    return {each.stage: each.behind_bytes for each in verdict.stages}


# ---------------------------------------------------------------- seconds and bytes


def test_twelve_idle_seconds_are_no_lag() -> None:
    stale = stream(replay_seconds=2.0, flush_seconds=1.9, write_seconds=1.8)
    verdict = only(look(primary(stale), standby(applier={"replay_age_seconds": 12.5})))
    assert (verdict.state, verdict.lag_seconds, verdict.behind_bytes) == (ReplicaState.CURRENT, 0.0, 0)
    assert [each.seconds for each in verdict.stages] == [0.0] * 4
    assert verdict.safe_after_seconds == pytest.approx(0.01)
    assert verdict.is_safe and verdict.sentence == "has everything: safe for reads older than 0.1 s"


def test_what_the_primary_was_told_last_is_older_than_what_the_replica_says() -> None:
    told = stream(at=END - 30 * MB, reply_age_seconds=9.0)
    assert only(look(primary(told), standby())).behind_bytes == 0
    alone = only(look(primary(told)))
    assert (alone.behind_bytes, alone.is_safe) == (30 * MB, False)


def test_every_stage_by_itself() -> None:
    way = stream(sent=END - MB, written=END - 3 * MB, flushed=END - 7 * MB, replayed=END - 15 * MB)
    verdict = only(look(primary(way)))
    assert stages(verdict) == {
        LagStage.SEND: MB, LagStage.NETWORK: 2 * MB, LagStage.FLUSH: 4 * MB, LagStage.APPLY: 8 * MB,
    }  # fmt: skip
    assert verdict.behind_bytes == 15 * MB
    assert "replay is slower than the primary writes" in verdict.sentence


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ({"sent": END - 9 * MB}, "walsender"),
        ({"written": END - 9 * MB}, "the network"),
        ({"flushed": END - 9 * MB}, "the replica's disk"),
    ],
)
def test_each_stage_has_a_cure_of_its_own(places: dict[str, int], words: str) -> None:
    order = ("sent", "written", "flushed", "replayed")
    first = order.index(next(iter(places)))
    changes: dict[str, Any] = dict.fromkeys(order[first:], END - 9 * MB)
    assert words in only(look(primary(stream(**changes)))).sentence


def test_a_lag_is_measured_by_when_the_primary_was_there() -> None:
    track = Track()
    for second in range(40):
        seen = look(primary(stream(), at=100.0 + second, end=END + second * MB), at=100.0 + second)
        track, _ = advance(track, seen)
    behind = standby(at=139.0, replayed=END + 29 * MB, received=END + 39 * MB, applier={"replay_age_seconds": 500.0})
    last = look(
        primary(stream(at=END + 39 * MB, replayed=END + 29 * MB), at=139.0, end=END + 39 * MB), behind, at=139.0
    )
    track, assessment = advance(track, last)
    (verdict,) = assessment.replicas
    assert verdict.lag_seconds == pytest.approx(10.0)
    assert verdict.safe_after_seconds == pytest.approx(10.0)
    assert assessment.log_bytes_per_second == pytest.approx(MB, rel=0.01)


def test_the_age_of_the_last_commit_is_freed_from_the_clocks() -> None:
    slow = standby(replayed=END - MB, applier={"replay_age_seconds": 4.0}, clock_skew_seconds=-30.0)
    verdict = only(look(primary(stream(at=END - MB), clock_skew_seconds=0.0), slow))
    assert verdict.lag_seconds == pytest.approx(34.0)
    gaps = judge(look(primary(stream()), standby(clock_skew_seconds=-30.0))).gaps
    assert gaps == ("near: its clock is 30 s behind this machine's; ages allow for that",)


def test_a_commit_that_is_not_in_the_log_yet_is_not_promised() -> None:
    verdict = only(look(primary(stream(), flush_delay_seconds=0.6), standby()))
    assert verdict.safe_after_seconds == pytest.approx(0.61)


def test_catching_up_is_told_from_falling_behind() -> None:
    looks = []
    for second, (end, replayed) in enumerate(((0, -100), (1, -90), (2, -80), (3, -70))):
        at = 100.0 + second
        place = END + replayed * MB
        looks.append(
            look(primary(stream(at=END + end * MB, replayed=place), at=at, end=END + end * MB),
                 standby(at=at, replayed=place, received=END + end * MB), at=at)
        )  # fmt: skip
    verdict = only(*looks)
    assert verdict.state is ReplicaState.CATCHING_UP
    assert verdict.catch_up_seconds == pytest.approx(73 / 9, rel=0.01)
    assert "catching up; has everything in 8 s" in verdict.sentence


# ---------------------------------------------------------------- states


def behind(**applier: Any) -> ReplicasSnapshot:
    place = END - 22 * MB
    return look(primary(stream(replayed=place)), standby(replayed=place, applier=applier))


@pytest.mark.parametrize(
    ("snapshot", "state", "level", "words"),
    [
        (behind(pause="paused"), ReplicaState.PAUSED, "warning", "replay is paused, with 22 MB, 12 s to apply"),
        (behind(pause="pause requested"), ReplicaState.PAUSED, "warning", "a pause of replay was asked for"),
        (behind(is_stalled=True, stalled_by=("91 bi",), stalled_by_ids=(91,)), ReplicaState.CONFLICT, "warning",
         "replay waits for a query on the replica, likeliest 91 bi"),
        (behind(is_stalled=True, replay_age_seconds=90.0), ReplicaState.CONFLICT, "trouble", "22 MB, 1 min 30 s"),
        (behind(delay_seconds=3600.0), ReplicaState.DELAYED, "ok", "applies 1 h late on purpose"),
        (behind(replay_age_seconds=5.0), ReplicaState.LAGGING, "ok", "22 MB, 5.0 s behind"),
        (behind(), ReplicaState.LAGGING, "warning", "safe for reads older than 13 s"),
        (behind(replay_age_seconds=61.0), ReplicaState.LAGGING, "trouble", "waits to be applied"),
        (look(primary(), standby(receiver={"status": "stopped"})), ReplicaState.RECEIVER_DEAD, "trouble",
         "receives nothing from 10.0.0.1:5432: no receiver runs"),
        (look(primary(stream()), standby(receiver={"silence_seconds": 46.0})), ReplicaState.RECEIVER_DEAD, "trouble",
         "it has been silent for 46 s"),
        (look(primary(), standby(system="78")), ReplicaState.STRANGER, "trouble", "identifier is 78, not 77"),
        (look(primary(), standby(timeline=2)), ReplicaState.OTHER_TIMELINE, "trouble", "cannot follow any more"),
        (look(primary(), standby(timeline=2, is_replica=False)), ReplicaState.OTHER_TIMELINE, "trouble",
         "is a primary of its own now"),
        (look(primary(stream()), standby(problem="no route to host")), ReplicaState.DOWN, "trouble",
         "cannot be asked: no route to host; the primary goes on sending to it"),
        (look(primary(stream(sent=None, written=None, flushed=None, replayed=None, state=""))), ReplicaState.UNKNOWN,
         "warning", "its lag is not known"),
    ],
)  # fmt: skip
def test_the_worst_that_is_true_is_told(
    snapshot: ReplicasSnapshot, state: ReplicaState, level: str, words: str
) -> None:
    verdict = only(snapshot)
    assert (verdict.state, verdict.level) == (state, level)
    assert words in verdict.sentence
    assert not verdict.is_safe or state is ReplicaState.LAGGING


def test_a_silent_receiver_on_an_idle_primary_is_alive_as_long_as_it_may_be() -> None:
    assert only(look(primary(stream()), standby(receiver={"silence_seconds": 30.0}))).state is ReplicaState.CURRENT
    unlimited = {"silence_seconds": 3000.0, "silence_limit_seconds": None}
    assert only(look(primary(stream()), standby(receiver=unlimited))).state is ReplicaState.CURRENT


def test_a_primary_that_is_down_leaves_what_its_replicas_know() -> None:
    gone = ServerReplication(profile="erp", engine=PG, problem="connection refused")
    verdict = only(look(gone, standby(replayed=END - MB)))
    assert verdict.behind_bytes == MB
    assert verdict.safe_after_seconds == 12.5
    assert judge(look(gone, standby())).level == "trouble"


def test_a_replica_alone_is_no_primary() -> None:
    assessment = judge(look(standby()))
    assert assessment.primary == ""
    assert assessment.replicas[0].state is ReplicaState.CURRENT


def test_thresholds_are_a_parameter() -> None:
    patient = ReplicaThresholds(warn_seconds=20.0, safe_seconds=20.0)
    (verdict,) = assess_replicas(behind(), patient).replicas
    assert (verdict.level, verdict.is_safe) == ("ok", True)


# ---------------------------------------------------------------- who is whose


def test_streams_are_matched_by_slot_then_by_name_then_by_place() -> None:
    one = stream(name="walreceiver", session_id=1, slot="a", at=END - 5)
    two = stream(name="walreceiver", session_id=2, slot="b", at=END - 9)
    first = standby(profile="first", receiver={"name": "walreceiver", "slot": "b"})
    second = standby(profile="second", receiver={"name": "walreceiver", "slot": "a"})
    tree = join(look(primary(one, two), first, second))
    assert [(each.name, each.stream.session_id if each.stream else 0) for each in tree.links] == [
        ("first", 2),
        ("second", 1),
    ]
    bare = [replace(each, slot="") for each in (one, two)]
    near = standby(profile="near", replayed=END - 9, received=END - 9, receiver={"name": "walreceiver"})
    far = standby(profile="far", replayed=END - 5, received=END - 5, receiver={"name": "walreceiver"})
    tree = join(look(primary(*bare), near, far))
    assert [(each.name, each.stream.session_id if each.stream else 0) for each in tree.links] == [
        ("near", 2),
        ("far", 1),
    ]


def test_base_backups_are_not_in_the_tree_and_tell_how_long_they_take() -> None:
    copying = stream(name="near", session_id=9, is_backup=True, replayed=None)
    looks = []
    for second in range(3):
        progress = BaseBackupProgress(session_id=8, phase="streaming database files", streamed_bytes=second * 20 * MB,
                                      total_bytes=331 * MB)  # fmt: skip
        looks.append(look(primary(copying, at=100.0 + second, backups=(progress,)), at=100.0 + second))
    assessment = judge(*looks)
    assert assessment.replicas == ()
    (backup,) = assessment.backups
    assert backup.left_seconds == pytest.approx(291 / 20, rel=0.01)
    assert backup.sentence == "streaming database files: 40 MB of 331 MB, 20 MB/s, 14 s left"
    waiting = BaseBackupProgress(session_id=8, phase="waiting for checkpoint to finish")
    (backup,) = judge(look(primary(backups=(waiting,)))).backups
    assert "--checkpoint=fast" in backup.sentence


def test_a_logical_subscriber_is_nobody_to_read_from() -> None:
    verdict = only(look(primary(stream(name="billing", is_logical=True))))
    assert not verdict.is_safe
    assert "a logical subscriber" in verdict.remarks[0]


def test_a_circle_of_servers_ends() -> None:
    one = standby(profile="one", address="10.0.0.8:5432", receiver={"source": "10.0.0.9:5432"})
    two = standby(profile="two", address="10.0.0.9:5432", receiver={"source": "10.0.0.8:5432"})
    assert sorted(each.name for each in judge(look(one, two)).replicas) == ["one", "two"]


def test_who_follows_a_promoted_replica_has_gone_with_it() -> None:
    promoted = standby(profile="gone", timeline=2, is_replica=False, streams=(stream(name="child"),), receivers=())
    child = standby(profile="child", timeline=2, receiver={"name": "child"})
    assessment = judge(look(primary(), promoted, child))
    assert [each.state for each in assessment.replicas] == [ReplicaState.OTHER_TIMELINE] * 2


# ---------------------------------------------------------------- slots


def slot(**changes: Any) -> ReplicationSlot:
    return replace(ReplicationSlot(name="s", retained_bytes=100 * MB, status="reserved"), **changes)


def slots_over(seconds: float, growth: int, **changes: Any) -> ReplicasAssessment:
    looks = []
    for share in (0.0, 0.5, 1.0):
        kept = slot(retained_bytes=100 * MB + int(growth * share * seconds), **changes)
        at = 100.0 + share * seconds
        looks.append(look(primary(at=at, slots=(kept,)), at=at))
    return judge(*looks)


def test_a_slot_counts_down() -> None:
    (verdict,) = slots_over(10.0, MB, safe_bytes=600 * MB).slots
    assert verdict.full_seconds == pytest.approx(600.0)
    assert verdict.level == "trouble"
    assert "it is given up (max_slot_wal_keep_size) in 10 min at this rate" in verdict.sentence
    assert verdict.command == "SELECT pg_drop_replication_slot('s');"
    (verdict,) = slots_over(10.0, MB // 100, safe_bytes=600 * MB).slots
    assert verdict.level == "warning"
    assert verdict.full_seconds == pytest.approx(60_000.0)


@pytest.mark.parametrize(
    ("made", "level", "words"),
    [
        (slot(is_active=True), "ok", "read; keeps 100 MB"),
        (slot(), "warning", "read by nobody, and keeps 100 MB"),
        (slot(retained_bytes=None), "ok", "read by nobody yet"),
        (slot(status="lost", invalidation="wal_removed"), "trouble", "lost (wal_removed)"),
        (slot(status="unreserved"), "trouble", "lost at the next checkpoint unless read"),
        (slot(is_synced=True), "ok", "a copy of the primary's slot"),
    ],
)
def test_slots_by_what_they_are(made: ReplicationSlot, level: str, words: str) -> None:
    (verdict,) = judge(look(primary(slots=(made,)))).slots
    assert verdict.level == level
    assert words in verdict.sentence


def test_the_disk_may_be_full_first() -> None:
    looks = [
        look(
            primary(at=100.0 + at, slots=(slot(is_active=True, retained_bytes=at * MB),), log_free_bytes=30 * MB),
            at=100.0 + at,
        )
        for at in (0, 1, 2)
    ]
    (verdict,) = judge(*looks).slots
    assert (
        verdict.sentence == "read, and keeps 2.0 MB and more and more: the disk of the log is full in 30 s at this rate"
    )


def test_the_slot_of_a_replica_that_is_being_copied_is_not_told_to_be_dropped() -> None:
    """Its reader comes when the base backup is done; one that is in danger stays so."""
    backup = BaseBackupProgress(session_id=9, phase="waiting for checkpoint to finish")
    (verdict,) = judge(look(primary(slots=(slot(),), backups=(backup,)))).slots
    assert (verdict.level, verdict.command) == ("ok", "")
    assert "a base backup runs, and may be for it" in verdict.sentence
    (verdict,) = judge(look(primary(slots=(slot(status="lost"),), backups=(backup,)))).slots
    assert verdict.level == "trouble"


def test_a_replica_whose_slot_is_lost() -> None:
    lost = slot(name="near_slot", status="lost", invalidation="wal_removed")
    verdict = only(look(primary(slots=(lost,)), standby(receiver={"status": "stopped", "slot": "near_slot"})))
    assert verdict.state is ReplicaState.SLOT_LOST
    assert "its slot near_slot is lost (wal_removed)" in verdict.sentence


# ---------------------------------------------------------------- MySQL


def source(at: int = 500, file: str = "binlog.000009", **changes: Any) -> ServerReplication:
    files = (("binlog.000007", 1000), ("binlog.000008", 2000), (file, at))
    made = ServerReplication(profile="shop", engine=MY, address="db1:3306", monotonic_seconds=100.0, identity="11",
                             position=at, log_file=file, log_files=files)  # fmt: skip
    return replace(made, **changes)


def copy(read: tuple[str, int], done: tuple[str, int], lag: float | None, **changes: Any) -> ServerReplication:
    hears = Receiver(status="streaming", source="db1:3306", source_identity="11", log_file=read[0], received=read[1])
    applies = Applier(log_file=done[0], replayed=done[1], lag_seconds=lag)
    made = ServerReplication(profile="copy", engine=MY, address="db2:3306", monotonic_seconds=100.1, is_replica=True,
                             identity="12", receivers=(hears,), applier=applies)  # fmt: skip
    return replace(made, **changes)


def test_bytes_are_counted_over_log_files() -> None:
    verdict = only(look(source(), copy(("binlog.000009", 100), ("binlog.000007", 400), 33.0)))
    assert stages(verdict) == {
        LagStage.SEND: None, LagStage.NETWORK: 400, LagStage.FLUSH: None, LagStage.APPLY: 600 + 2000 + 100,
    }  # fmt: skip
    assert (verdict.behind_bytes, verdict.lag_seconds) == (600 + 2000 + 500, 33.0)
    assert verdict.safe_after_seconds is None  # it is not known how old what was not received is
    arrived = only(look(source(), copy(("binlog.000009", 500), ("binlog.000007", 400), 33.0)))
    assert arrived.safe_after_seconds == 34.0


@pytest.mark.parametrize("applier", [{"pause": "paused"}, {"is_running": False, "error": "Duplicate entry"}])
def test_what_starts_an_applier_is_said_in_the_words_of_any_version(applier: dict[str, Any]) -> None:
    """START REPLICA is unknown to MySQL before 8.0.22 and MariaDB before 10.5.1, START SLAVE to MySQL from 8.4 on."""
    stopped = copy(("binlog.000009", 500), ("binlog.000009", 400), None, profile="copy 1")
    assert stopped.applier is not None
    verdict = only(look(source(), replace(stopped, applier=replace(stopped.applier, **applier))))
    assert verdict.command == "dbtui replicas resume shop 'copy 1'"


def test_zero_seconds_behind_is_no_zero_while_bytes_are_missing() -> None:
    at_end = ("binlog.000009", 500)
    assert only(look(source(), copy(at_end, at_end, 0.0))).safe_after_seconds == pytest.approx(0.1)
    starved = only(look(source(at=900), copy(at_end, at_end, 0.0)))
    assert (starved.behind_bytes, starved.is_safe) == (400, False)


def test_equal_gtids_are_everything_whatever_the_files_say() -> None:
    far = copy(("binlog.000003", 4), ("binlog.000003", 4), None)
    assert far.applier is not None
    same = replace(far, applier=replace(far.applier, gtid="0-11-9"))
    assert only(look(source(gtid="0-11-9"), same)).behind_bytes == 0


def test_a_child_of_a_late_parent_is_as_late() -> None:
    late = copy(("binlog.000009", 500), ("binlog.000008", 0), 20.0, position=50, log_file="log.000001")
    hears = Receiver(status="streaming", source_identity="12", log_file="log.000001", received=50)
    child = ServerReplication(profile="child", engine=MY, monotonic_seconds=100.2, is_replica=True, identity="13",
                              receivers=(hears,),
                              applier=Applier(log_file="log.000001", replayed=50, lag_seconds=0.0))  # fmt: skip
    verdicts = {each.name: each for each in judge(look(source(), late, child)).replicas}
    assert verdicts["child"].parent == "copy"
    assert verdicts["child"].lag_seconds == verdicts["copy"].lag_seconds == 20.0
    assert verdicts["child"].safe_after_seconds == pytest.approx(21.1)


# ---------------------------------------------------------------- memory


def test_memory_is_bounded_and_forgets_another_log() -> None:
    track = Track()
    for second in range(3000):
        at = 100.0 + second
        track, _ = advance(
            track, look(primary(stream(), at=at, end=END + second), standby(at=at, replayed=END + second), at=at)
        )
    assert len(track.ends) <= 1200
    assert all(len(each) <= 60 for each in track.replays.values())
    track, _ = advance(track, look(primary(stream(), at=4000.0, timeline=2), at=4000.0))
    assert len(track.ends) == 1


def test_a_clock_that_ran_back_begins_anew() -> None:
    before = (Sample(10.0, (0, 5)), Sample(11.0, (0, 6)))
    assert remember(before, Sample(3.0, (0, 7))) == (Sample(3.0, (0, 7)),)
    assert remember(before, Sample(12.0, (0, 2))) == (Sample(12.0, (0, 2)),)
    idle = remember_end((Sample(1.0, (0, 5)), Sample(2.0, (0, 5))), Sample(9.0, (0, 5)))
    assert idle == (Sample(1.0, (0, 5)), Sample(9.0, (0, 5)))
    assert age_of(idle, (0, 5), 9.5) == 0.5
    assert age_of(idle, (0, 4), 9.5) is None


def test_a_countdown_of_years_is_none() -> None:
    """A few bytes a second fill no disk; a rate says nothing of the year after next."""
    slot = ReplicationSlot(name="s", retained_bytes=100, status="reserved")
    server = ServerReplication(profile="erp", engine=PG, log_free_bytes=100 << 30)
    assert assess_slot(server, slot, 4.0, ReplicaThresholds()).full_seconds is None
    near = assess_slot(server, slot, float(10 << 20), ReplicaThresholds())
    assert near.full_seconds == pytest.approx(10240)
