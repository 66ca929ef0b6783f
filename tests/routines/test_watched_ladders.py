"""A watched ladder: each tier at its own pace, one that stalls or dies costs the others nothing, and all come back."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from dbtui.adapters.pgbouncer.snapshot import collect_pooler
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.ladders import LadderWatch
from dbtui.model.connections import ConnectionProfile
from dbtui.model.pools import PoolerClients, PoolerSnapshot, PoolsSnapshot
from dbtui.routines.context import RoutineContext
from dbtui.watches import Look, Watch
from tests.adapters.pooled import ask, connect, console_of, pool_of, profile_of
from tests.adapters.publishers import document, line, publishing
from tests.fix_servers import unique_name, wait_until

SECONDS = 20.0
NewLadder = Callable[..., LadderWatch]


class Snapshots:
    """What a ladder published."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[PoolsSnapshot] = SimpleQueue()

    def __call__(self, snapshot: PoolsSnapshot) -> None:
        self.queue.put(snapshot)

    def next(self, is_wanted: Callable[[PoolsSnapshot], bool] = lambda _: True) -> PoolsSnapshot:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                snapshot = self.queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise AssertionError("no such snapshot was published") from None
            if is_wanted(snapshot):
                return snapshot


@pytest.fixture
def pooler(postgresql_server: PostgreSQL) -> Iterator[PgBouncer]:
    with PgBouncer(postgresql_server, name=unique_name("bouncer"), settings={"default_pool_size": "3"}) as pooler:
        yield pooler


@pytest.fixture
def profile(pooler: PgBouncer, postgresql_database: str, short_directory: Path) -> ConnectionProfile:
    return profile_of(pooler, postgresql_database.rpartition("/")[2], app_pools=(f"unix://{short_directory}/*.sock",))


@pytest.fixture
def snapshots() -> Snapshots:
    return Snapshots()


@pytest.fixture
def new_ladder(snapshots: Snapshots) -> Iterator[NewLadder]:
    made: list[LadderWatch] = []

    def start(profile: ConnectionProfile, **words: object) -> LadderWatch:
        settings = {"context": RoutineContext(environ={}), "interval_seconds": 0.05, "chance": lambda: 0.0} | words
        context = settings.pop("context")
        ladder = LadderWatch(profile, context, snapshots, **settings)  # type: ignore[arg-type]
        made.append(ladder)
        return ladder.start()

    yield start
    for ladder in made:
        ladder.stop()
    for ladder in made:
        wait_until(lambda ladder=ladder: not ladder.is_running)  # type: ignore[misc]


def is_whole(snapshot: PoolsSnapshot) -> bool:
    return bool(snapshot.pooler and not snapshot.pooler.problem and snapshot.server and snapshot.app and snapshot.host)


def pooler_in(snapshot: PoolsSnapshot) -> PoolerSnapshot:
    assert snapshot.pooler is not None
    return snapshot.pooler


def test_every_tier_is_published(new_ladder: NewLadder, profile: ConnectionProfile, pooler: PgBouncer,
                                 short_directory: Path, snapshots: Snapshots) -> None:  # fmt: skip
    with (
        publishing(short_directory / "erp.1.sock", line(document())),
        closing(connect(pooler, profile.database)) as busy,
    ):
        ask(busy)
        new_ladder(profile)
        found = snapshots.next(lambda each: is_whole(each) and bool(pooler_in(each).pools))
        assert found.app is not None
        assert found.app.pools[0].service == "erp-api"
        assert pool_of(pooler_in(found), profile.database).sv_active == 1
        later = snapshots.next(lambda each: pooler_in(each).monotonic_seconds > pooler_in(found).monotonic_seconds)
        assert later.monotonic_seconds > found.monotonic_seconds


def test_one_console_session_is_held(
    new_ladder: NewLadder, profile: ConnectionProfile, pooler: PgBouncer, snapshots: Snapshots
) -> None:
    new_ladder(profile)
    for _ in range(10):
        snapshots.next(is_whole)
    logins = pooler.log.read_text().count("login attempt: db=pgbouncer")
    assert logins == 1


def test_a_pooler_that_stalls_keeps_its_age_and_comes_back(
    new_ladder: NewLadder, profile: ConnectionProfile, pooler: PgBouncer, snapshots: Snapshots
) -> None:
    assert pooler.process is not None
    new_ladder(profile)
    snapshots.next(is_whole)
    os.kill(pooler.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        stale = snapshots.next(lambda each: each.monotonic_seconds > pooler_in(each).monotonic_seconds + 1.0)
        assert time.monotonic() - began < 5
        assert stale.server is not None
        assert stale.monotonic_seconds - stale.server.monotonic_seconds < 1.0  # the others went on
    finally:
        os.kill(pooler.process.pid, signal.SIGCONT)
    snapshots.next(lambda each: each.monotonic_seconds - pooler_in(each).monotonic_seconds < 0.5)


def test_a_restart_is_told_and_counters_begin_anew(
    new_ladder: NewLadder, profile: ConnectionProfile, pooler: PgBouncer, snapshots: Snapshots
) -> None:
    with closing(connect(pooler, profile.database, autocommit=True)) as client:
        for _ in range(5):
            ask(client)
    ladder = new_ladder(profile)
    before = snapshots.next(lambda each: is_whole(each) and bool(pooler_in(each).totals))
    pooler.stop()
    lost = snapshots.next(lambda each: bool(pooler_in(each).problem))
    assert lost.server is not None
    pooler.launch()
    pooler.wait_until_ready()
    ladder.wake()
    snapshots.next(lambda each: is_whole(each))
    with closing(connect(pooler, profile.database, autocommit=True)) as client:
        ask(client)
    after = snapshots.next(lambda each: is_whole(each) and bool(pooler_in(each).totals))
    assert pooler_in(after).totals[0].xact_total < pooler_in(before).totals[0].xact_total


def test_a_wrong_login_is_tried_seldom(
    new_ladder: NewLadder, profile: ConnectionProfile, pooler: PgBouncer, snapshots: Snapshots
) -> None:
    url = pooler.url("pgbouncer", "postgres")
    wrong = replace(profile, pgbouncer_url=url.replace(f":{pooler.password}", ""), pgbouncer_password=profile.password)
    new_ladder(wrong)
    found = snapshots.next(lambda each: bool(each.pooler and each.pooler.problem))
    assert "stats_users" in pooler_in(found).problem
    assert pooler_in(found).problem_code == "28000"
    for _ in range(20):
        snapshots.next()
    assert pooler.log.read_text().count("login failed: db=pgbouncer") + pooler.log.read_text().count("not allowed") <= 2


def test_a_profile_without_pooler_and_applications(
    new_ladder: NewLadder, profile: ConnectionProfile, snapshots: Snapshots
) -> None:
    new_ladder(replace(profile, pgbouncer_url="", app_pools=()))
    found = snapshots.next(lambda each: each.server is not None)
    assert (found.pooler, found.app) == (None, None)
    assert found.host is not None


def test_the_looks_of_a_watch_that_is_there_are_taken(
    new_ladder: NewLadder, profile: ConnectionProfile, snapshots: Snapshots
) -> None:
    context = RoutineContext(environ={})
    taken: list[LadderWatch] = []

    def hand_on(look: Look) -> None:
        for ladder in taken:
            ladder.receive(look)

    watch = Watch(profile, context, hand_on, 0.05).start()
    try:
        ladder = new_ladder(profile, server=watch)
        taken.append(ladder)
        wanted = [watch.wants_pool]
        assert snapshots.next(is_whole).server is not None
        names = [thread.name for thread in threading.enumerate() if thread.name == "watch erp"]
        assert len(names) == 1
        ladder.stop()
        assert [*wanted, watch.wants_pool] == [True, False]
        assert watch.is_running
    finally:
        watch.stop()


def test_a_server_that_is_away_is_told_and_the_rest_goes_on(
    new_ladder: NewLadder, profile: ConnectionProfile, snapshots: Snapshots
) -> None:
    new_ladder(replace(profile, url="postgresql://postgres@127.0.0.1:1/x", password=None))
    found = snapshots.next(lambda each: bool(each.gaps and each.pooler))
    assert found.server is None
    assert "127.0.0.1:1" in found.gaps[0]


def test_clients_are_asked_for_on_demand_and_rarely(
    new_ladder: NewLadder, profile: ConnectionProfile, pooler: PgBouncer, snapshots: Snapshots
) -> None:
    asked: SimpleQueue[PoolerClients] = SimpleQueue()
    with closing(connect(pooler, profile.database, application="report")) as busy:
        with busy.cursor() as cursor:
            cursor.execute("SELECT 1 /* held */")
        ladder = new_ladder(profile)
        snapshots.next(is_whole)
        ladder.wants_clients = asked.put
        first = asked.get(timeout=SECONDS)
        assert [each.application for each in first.clients] == ["report"]
        again = asked.get(timeout=SECONDS) if not first.clients[0].sql else first  # sessions came a moment later
        assert "held" in again.clients[0].sql
        for _ in range(20):
            snapshots.next()
        ladder.wants_clients = None
        assert asked.qsize() == 0


def test_a_clock_that_jumps_changes_no_age(
    new_ladder: NewLadder, profile: ConnectionProfile, snapshots: Snapshots
) -> None:
    jumps = iter(range(1_000_000))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    new_ladder(profile, context=RoutineContext(environ={}, now=lambda: start - timedelta(days=next(jumps))))
    first = snapshots.next(is_whole)
    second = snapshots.next(lambda each: pooler_in(each).monotonic_seconds > pooler_in(first).monotonic_seconds)
    assert second.taken_at < first.taken_at
    assert 0 < second.monotonic_seconds - first.monotonic_seconds < 5


def test_pauses_and_stops(new_ladder: NewLadder, profile: ConnectionProfile, snapshots: Snapshots) -> None:
    ladder = new_ladder(profile)
    snapshots.next(is_whole)
    ladder.pause()
    time.sleep(0.2)  # what was under way ends
    while snapshots.queue.qsize():
        snapshots.queue.get()
    time.sleep(0.3)
    assert snapshots.queue.qsize() == 0
    ladder.resume()
    snapshots.next(is_whole)
    ladder.set_interval(3600.0)
    ladder.stop()
    wait_until(lambda: not ladder.is_running)


def test_a_stop_does_not_wait_for_a_pooler_that_stalls(
    new_ladder: NewLadder, profile: ConnectionProfile, pooler: PgBouncer, snapshots: Snapshots
) -> None:
    assert pooler.process is not None
    ladder = new_ladder(profile)
    snapshots.next(is_whole)
    os.kill(pooler.process.pid, signal.SIGSTOP)
    try:
        time.sleep(0.2)
        began = time.monotonic()
        ladder.stop()
        wait_until(lambda: not ladder.is_running, 5)
        assert time.monotonic() - began < 5
    finally:
        os.kill(pooler.process.pid, signal.SIGCONT)
    with console_of(pooler) as console:
        assert collect_pooler(console, datetime.now(UTC)).version
