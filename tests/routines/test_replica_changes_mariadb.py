"""Orders to a replica of MariaDB: paused, resumed, promoted. One is added by hand."""

from collections.abc import Iterator

import pytest

from dbtui.adapters.driving import exhaust
from dbtui.demo.servers import MariaDB, ServerDirectory
from dbtui.demo.servers.base import start_together
from dbtui.errors import UsageError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.replicas import ReplicaAction, ReplicaPlan, ReplicaWish
from dbtui.routines.context import RoutineContext
from dbtui.routines.replica_changes import apply_replica, plan_replica
from tests.fix_servers import unique_name, wait_until
from tests.routines.test_replicas_mariadb import SOURCE, Pair, follow, maria, replica_options


@pytest.fixture(scope="module")
def pair(server_directory: ServerDirectory) -> Iterator[Pair]:
    source = MariaDB(server_directory, name=unique_name("source"), options=SOURCE)
    replica = MariaDB(server_directory, name=unique_name("replica"), options=replica_options(12))
    try:
        start_together(source, replica)
        follow(replica, source)
        yield Pair(source, replica)
    finally:
        replica.stop()
        source.stop()


def plan(pair: Pair, action: ReplicaAction, subject: str = "copy", wish: ReplicaWish | None = None) -> ReplicaPlan:
    return exhaust(plan_replica(RoutineContext(), maria("shop", pair.source), action, wish, subject, known(pair)))


def known(pair: Pair) -> tuple[ConnectionProfile, ...]:
    return (maria("copy", pair.replica),)


def apply(pair: Pair, made: ReplicaPlan) -> None:
    exhaust(apply_replica(RoutineContext(), maria("shop", pair.source), made, known(pair)))


def rows(pair: Pair) -> int:
    found = pair.replica.execute("SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE 'shop%'")
    return int(found[0][0])


def test_the_applier_is_paused_resumed_and_the_replica_promoted(pair: Pair) -> None:
    pair.source.execute("CREATE DATABASE shop_1")
    wait_until(lambda: rows(pair) == 1)
    made = plan(pair, ReplicaAction.PAUSE)
    assert made.steps == ("STOP SLAVE SQL_THREAD;",) and not made.refusals
    apply(pair, made)
    pair.source.execute("CREATE DATABASE shop_2")
    assert rows(pair) == 1
    apply(pair, plan(pair, ReplicaAction.RESUME))
    wait_until(lambda: rows(pair) == 2)
    made = plan(pair, ReplicaAction.PROMOTE)
    assert made.steps == ("STOP SLAVE;", "RESET SLAVE ALL;", "SET GLOBAL read_only = OFF;")
    assert (made.names, made.danger) == (("copy",), 3)
    assert "shop is up and takes writes: stop it first" in made.warnings[0]
    apply(pair, made)
    assert pair.replica.execute("SELECT @@read_only") == [(0,)]
    assert pair.replica.execute("SHOW SLAVE STATUS") == []
    assert "copy is a primary" in plan(pair, ReplicaAction.PROMOTE).refusals[0]


def test_one_is_added_by_hand_and_slots_there_are_none(pair: Pair) -> None:
    wish = ReplicaWish(data_directory="/srv/maria", port=3307)
    made = plan(pair, ReplicaAction.ADD, "", wish)
    assert made.refusals == ("dbtui copies no data directory of MariaDB: a replica of it is added by hand",)
    assert f"--port={pair.source.port}" in "\n".join(made.steps) and "/srv/maria" in "\n".join(made.steps)
    with pytest.raises(UsageError, match="there is no slot 'x'"):
        plan(pair, ReplicaAction.DROP_SLOT, "x")
