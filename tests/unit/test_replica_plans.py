"""Plans for replicas, by judgement alone: refusals, warnings, what a promotion loses, what a slot means."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dbtui.analysis.replicas import Track, advance
from dbtui.analysis.replicas.adding import complete_wish, plan_addition
from dbtui.analysis.replicas.plan_words import describe_plan, describe_result
from dbtui.analysis.replicas.planning import plan_order, plan_slot_drop
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.model.replica_facts import AdditionFacts, LeftAddition, PlaceFacts, SourceFacts
from dbtui.model.replicas import (
    Applier,
    Receiver,
    ReplicaAction,
    ReplicaPlan,
    ReplicaResult,
    ReplicasSnapshot,
    ReplicaStream,
    ReplicationSlot,
    ReplicaWish,
    ServerReplication,
)

ERP = ConnectionProfile(name="erp", engine=EngineName.POSTGRESQL, url="postgresql://db1/erp")
WISH = complete_wish(ReplicaWish(data_directory="/srv/pg/Near-1", port=5433))
SOURCE = SourceFacts(address="db1:5432", login="erp", senders=(1, 10), slots=(1, 10), size_bytes=10**9)
PLACE = PlaceFacts(
    data_directory="/srv/pg/Near-1",
    free_bytes=10**10,
    account="postgres",
    commands=(("create slot", "SELECT 1;"), ("copy", "pg_basebackup"), ("settings", "set"), ("start", "pg_ctl start")),
)


def plan(wish: ReplicaWish = WISH, *, source: SourceFacts = SOURCE, place: PlaceFacts = PLACE) -> ReplicaPlan:
    return plan_addition(ERP, wish, AdditionFacts(source=source, place=place))


def test_name_and_slot_are_made_of_the_directory() -> None:
    assert (WISH.name, WISH.slot) == ("Near-1", "near_1")
    named = complete_wish(replace(WISH, name="shop replica", slot=""))
    assert (named.name, named.slot) == ("shop replica", "shop_replica")
    assert complete_wish(replace(WISH, slot="mine")).slot == "mine"


def test_a_plan_that_nothing_speaks_against() -> None:
    made = plan()
    assert (made.refusals, made.warnings, made.danger, made.names) == ((), (), 1, ())
    assert made.consequence == "copies db1:5432 to /srv/pg/Near-1 and starts a replica at port 5433"
    assert made.steps == (
        "make the directory: install -d -m 0700 /srv/pg/Near-1", "SELECT 1;", "pg_basebackup", "set", "pg_ctl start",
        "wait until db1:5432 streams to Near-1 at slot near_1",
    )  # fmt: skip
    lines = describe_plan(made)
    assert lines[0] == f"this {made.consequence}"
    assert lines[-1] == "  space     1.0 GB needed, 10 GB free"


@pytest.mark.parametrize(
    ("source", "place", "said"),
    [
        ({"wal_level": "minimal"}, {}, "wal_level is minimal, too low for a replica"),
        ({"senders": (9, 10)}, {}, "max_wal_senders is 10 and 9 are in use: the copy needs 2"),
        ({"slots": (10, 10)}, {}, "max_replication_slots is 10 and all are taken"),
        ({"may_replicate": False}, {}, 'ALTER ROLE "erp" REPLICATION; allows it'),
        ({"replication_problem": "no entry"}, {}, "tried and refused: no entry"),
        ({"is_pooled": True}, {}, "a pooler answers at db1:5432"),
        ({"slot_names": ("near_1",)}, {}, "slot near_1 exists on db1:5432"),
        ({"is_replica": True, "has_full_pages": False}, {}, "full_page_writes is off at the primary"),
        ({"size_bytes": 2 * 10**10}, {}, "20 GB are needed and 10 GB are free on the disk of /srv/pg/Near-1"),
        ({}, {"problem": "it is not empty"}, "it is not empty"),
        ({}, {"port_problem": "the port is taken"}, "the port is taken"),
        ({}, {"tool_problem": "no pg_basebackup"}, "no pg_basebackup"),
    ],
)
def test_what_is_refused(source: dict[str, object], place: dict[str, object], said: str) -> None:
    made = plan(source=replace(SOURCE, **source), place=replace(PLACE, **place))  # type: ignore[arg-type]
    assert len(made.refusals) == 1
    assert said in made.refusals[0]


@pytest.mark.parametrize(
    ("source", "place", "said"),
    [
        ({"clock_skew_seconds": 75.0}, {}, "the clock of db1:5432 is 1 min 15 s ahead of this machine's"),
        ({"clock_skew_seconds": -75.0}, {}, "the clock of db1:5432 is 1 min 15 s behind this machine's"),
        ({"tablespaces": ("fast",)}, {}, "the source has tablespaces (fast)"),
        ({"outside_files": ("/etc/pg.conf",)}, {}, "outside its data directory (/etc/pg.conf) and it is not copied"),
        ({"replica_names": ("Near-1",)}, {}, "a replica called Near-1 is there already"),
        ({"kept_bytes": 10**8}, {}, "a slot keeps 100 MB of the log at most"),
        ({"size_bytes": None}, {}, "how large the source is may not be seen"),
        ({"size_bytes": 95 * 10**8}, {}, "the copy leaves 500 MB free on its disk"),
        ({"is_tunnelled": True}, {}, "the replica needs that tunnel as long as it lives"),
        ({"synchronous_names": "ANY 1 (*)"}, {}, "commits may wait for the new replica"),
        ({}, {"is_other_account": True}, "postgres will own the directory and run the replica"),
    ],
)
def test_what_is_warned_of(source: dict[str, object], place: dict[str, object], said: str) -> None:
    made = plan(source=replace(SOURCE, **source), place=replace(PLACE, **place))  # type: ignore[arg-type]
    assert made.refusals == ()
    assert len(made.warnings) == 1
    assert said in made.warnings[0]


def test_what_an_earlier_run_left_is_removed_first() -> None:
    left = LeftAddition(path="/srv/pg/.x", began="2026-11-22T15:00:00Z", process=7, server="db1:5432", slot="near_1",
                        has_slot=True, has_directory=True)  # fmt: skip
    source = replace(SOURCE, slot_names=("near_1",))
    made = plan(source=source, place=replace(PLACE, left=left))
    assert made.refusals == ()
    left_by = "remove what the run of 2026-11-22T15:00:00Z left: "
    assert made.steps[0] == f"{left_by}what it copied, slot near_1 on db1:5432"
    slotless = replace(left, has_slot=False, has_directory=False, passfile="/srv/pg/near.passfile")
    assert plan(place=replace(PLACE, left=slotless)).steps[0] == f"{left_by}/srv/pg/near.passfile"
    made = plan(source=source, place=replace(PLACE, left=replace(left, is_running=True)))
    assert made.refusals[0].startswith("process 7 has been adding a replica there since")
    made = plan(source=source, place=replace(PLACE, left=replace(left, is_served=True)))
    assert "keep it (rm /srv/pg/.x)" in made.refusals[0]


def test_who_has_no_way_to_add_one_is_told_how_by_hand() -> None:
    facts = AdditionFacts(source=SOURCE, place=PLACE, unsupported="dbtui does not", manual=("one", "two"))
    made = plan_addition(ERP, WISH, facts)
    assert (made.refusals, made.steps) == (("dbtui does not",), ("one", "two"))


# ---------------------------------------------------------------- promoting

PRIMARY = ServerReplication(
    profile="erp", engine=EngineName.POSTGRESQL, address="db1:5432", system="7", timeline=1, position=1000,
    streams=(ReplicaStream(name="near", state="streaming", sent=1000, written=900, flushed=900, replayed=800,
                           session_id=42, slot="near"),),
    slots=(ReplicationSlot(name="near", is_active=True, session_id=42),
           ReplicationSlot(name="old", retained_bytes=5000)),
)  # fmt: skip
NEAR = ServerReplication(
    profile="near", engine=EngineName.POSTGRESQL, address="db2:5432", is_replica=True, system="7", timeline=1,
    position=900, receivers=(Receiver(status="streaming", source="db1:5432", received=900, slot="near", name="near"),),
    applier=Applier(replayed=800),
)  # fmt: skip


def order(action: ReplicaAction, subject: str, *servers: ServerReplication) -> ReplicaPlan:
    snapshot = ReplicasSnapshot(profile="erp", taken_at=datetime.now(UTC), monotonic_seconds=1.0, servers=servers)
    return plan_order(ERP, action, subject, snapshot, advance(Track(), snapshot)[1], ("SELECT 1;",))


def test_a_promotion_says_what_is_lost_and_who_is_left_behind() -> None:
    made = order(ReplicaAction.PROMOTE, "near", PRIMARY, NEAR)
    assert (made.refusals, made.danger, made.names) == ((), 3, ("near",))
    assert made.consequence == "makes near a primary for good: 100 B that it has not received are lost"
    assert "erp is up and takes writes: stop it first" in made.warnings[0]
    assert made.warnings[1] == "100 B that it has received are applied before it takes writes"
    received = replace(NEAR, receivers=(replace(NEAR.receivers[0], received=1000),))
    assert "nothing committed so far is lost" in order(ReplicaAction.PROMOTE, "near", PRIMARY, received).consequence
    down = replace(PRIMARY, problem="connection refused")
    made = order(ReplicaAction.PROMOTE, "near", down, NEAR)
    assert "how much is not known" in made.consequence
    assert "no primary could be asked (connection refused)" in made.warnings[0]
    paused = replace(NEAR, applier=Applier(replayed=800, pause="paused", delay_seconds=60.0))
    text = "\n".join(order(ReplicaAction.PROMOTE, "near", PRIMARY, paused).warnings)
    assert "replay is paused there" in text and "delayed on purpose" in text


@pytest.mark.parametrize("engine", [EngineName.POSTGRESQL, EngineName.MYSQL])
def test_what_is_to_be_done_after_a_promotion_is_said_in_the_words_of_the_engine(engine: EngineName) -> None:
    far = replace(NEAR, profile="far", address="db3:5432")
    servers = [replace(each, engine=engine, identity=name) for name, each in
               (("1", PRIMARY), ("2", NEAR), ("3", far))]  # fmt: skip
    servers[1:] = [replace(each, receivers=(replace(each.receivers[0], source_identity="1"),)) for each in servers[1:]]
    text = "\n".join(order(ReplicaAction.PROMOTE, "near", *servers).warnings)
    is_postgresql = engine is EngineName.POSTGRESQL
    for word, of_postgresql in (("pg_rewind", True), ("primary_conninfo", True), ("CHANGE MASTER TO", False),
                                ("GTID", False)):  # fmt: skip
        assert (word in text) == (of_postgresql is is_postgresql), text


def siblings(*servers: ServerReplication) -> str:
    """The warnings of who goes on following, and subscribing to, the old primary."""
    return "\n".join(each for each in order(ReplicaAction.PROMOTE, "near", *servers).warnings if "go on" in each)


def test_only_replicas_of_the_same_primary_are_said_to_follow_the_old_one() -> None:
    far = replace(NEAR, profile="far", address="db3:5432", receivers=(replace(NEAR.receivers[0], slot="", name="far"),))
    away = ReplicaStream(name="away", state="streaming", flushed=900, replayed=800)
    keeper = ReplicaStream(name="log archive", state="streaming", written=900, flushed=900)
    subscriber = ReplicaStream(name="reports", state="streaming", flushed=900, replayed=900, is_logical=True)
    primary = replace(PRIMARY, streams=(*PRIMARY.streams, away, keeper, subscriber))
    other = replace(far, profile="other", system="8")
    alone = replace(far, profile="alone", is_replica=False, receivers=(), applier=None)
    servers = (NEAR, far, other, alone)
    assert siblings(primary, *servers) == (
        "far, away go on following the old primary: point their primary_conninfo to near afterwards\n"
        "reports go on subscribing to the old primary: they need slots on near, and ALTER SUBSCRIPTION … CONNECTION"
        " to it"
    )
    following = "far go on following the old primary: point their primary_conninfo to near afterwards"
    assert siblings(replace(primary, problem="refused"), *servers) == following
    assert siblings(*servers) == following
    down = replace(far, problem="refused", is_replica=False, system="")
    assert siblings(replace(primary, streams=PRIMARY.streams), NEAR, down) == following
    mysql = [replace(each, engine=EngineName.MYSQL, system="", receivers=(Receiver(status="streaming", slot=source,
             source_identity=source),)) for each, source in ((NEAR, "1"), (far, "1"), (other, "9"))]  # fmt: skip
    down = replace(PRIMARY, engine=EngineName.MYSQL, system="", streams=(), problem="refused")
    assert siblings(down, *mysql).startswith("far go on following the old primary: point them to near with CHANGE")


def test_in_production_the_profile_is_typed_as_well() -> None:
    snapshot = ReplicasSnapshot(
        profile="erp", taken_at=datetime.now(UTC), monotonic_seconds=1.0, servers=(PRIMARY, NEAR)
    )
    profile = replace(ERP, environment=Environment.PRODUCTION)
    assessment = advance(Track(), snapshot)[1]
    made = plan_order(profile, ReplicaAction.PROMOTE, "near", snapshot, assessment, ())
    assert made.names == ("near", "erp")
    assert plan_slot_drop(profile, "old", snapshot, ()).names == ("old", "erp")


@pytest.mark.parametrize(
    ("subject", "near", "said"),
    [
        ("far", NEAR, "far is not known here: name its profile in replicas"),
        ("near", replace(NEAR, problem="refused"), "near cannot be asked: refused"),
        ("near", replace(NEAR, is_replica=False), "near is a primary: there is nothing to promote"),
        (
            "near",
            replace(NEAR, is_replica=False, role_gap="its role needs GRANT x"),
            "whether near is a replica may not be seen by its login: its role needs GRANT x",
        ),
        ("near", replace(NEAR, system="8"), "near is not a replica of this primary"),
        ("near", replace(NEAR, timeline=2, receivers=()), "near is on another timeline than its primary"),
        ("erp", NEAR, "erp is a primary"),
    ],
)
def test_what_cannot_be_promoted(subject: str, near: ServerReplication, said: str) -> None:
    made = order(ReplicaAction.PROMOTE, subject, PRIMARY, near)
    assert len(made.refusals) == 1
    assert said in made.refusals[0]


def test_pausing_is_reversible() -> None:
    made = order(ReplicaAction.PAUSE, "near", PRIMARY, NEAR)
    assert (made.refusals, made.danger, made.names) == ((), 1, ())
    assert made.consequence.startswith("lets near go on receiving and apply nothing")


# ---------------------------------------------------------------- slots


def drop(name: str, *servers: ServerReplication) -> ReplicaPlan:
    snapshot = ReplicasSnapshot(profile="erp", taken_at=datetime.now(UTC), monotonic_seconds=1.0, servers=servers)
    return plan_slot_drop(ERP, name, snapshot, ("SELECT 1;",))


def test_a_slot_that_nobody_reads_is_dropped() -> None:
    made = drop("old", PRIMARY, NEAR)
    assert (made.refusals, made.danger, made.names) == ((), 3, ("old",))
    assert made.consequence == "drops slot old of erp, and the 5.0 kB of log that it keeps may go"
    assert "its reader, if it comes back, misses the log" in made.warnings[0]
    reader = replace(NEAR, receivers=(replace(NEAR.receivers[0], slot="old", status="stopped"),))
    assert drop("old", PRIMARY, reader).warnings[0].startswith("near is set to read it")
    lost = replace(PRIMARY, slots=(ReplicationSlot(name="old", status="lost", kind="logical", plugin="pgoutput"),))
    warnings = drop("old", lost).warnings
    assert "it is a logical slot (pgoutput" in warnings[0] and "given it up already" in warnings[1]


def test_slots_that_are_not() -> None:
    assert drop("near", PRIMARY).refusals == ("slot near is in use by near (session 42): stop its reader first",)
    assert drop("none", PRIMARY).refusals == ("there is no slot none on erp (there are: near, old)",)


# ---------------------------------------------------------------- results


def test_what_was_done_in_words() -> None:
    done = ReplicaResult(plan=plan(), seconds=12.0, pid=4711, behind_bytes=0, copied_bytes=10**9)
    assert describe_result(done) == (
        "Near-1 streams from erp at port 5433 (process 4711, 0 B behind, 1.0 GB copied in 12 s)"
    )
    cold = replace(done, plan=plan(replace(WISH, is_started=False)))
    assert describe_result(cold) == "Near-1 is ready in /srv/pg/Near-1, and not started (1.0 GB copied in 12 s)"
    promoted = ReplicaResult(plan=order(ReplicaAction.PROMOTE, "near", PRIMARY, NEAR), seconds=2.0)
    assert describe_result(promoted) == "near is a primary now, after 2 s"
