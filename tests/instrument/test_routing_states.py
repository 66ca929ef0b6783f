"""When a replica is read from: judged by looks, without a server."""

import random
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError, InvalidRequestError, OperationalError
from sqlalchemy.pool import NullPool

from dbtui.instrument import routing_states
from dbtui.instrument.routing_errors import Verdict, judge_error
from dbtui.instrument.routing_looks import PrimaryLook, ReplicaLook
from dbtui.instrument.routing_postgresql import PostgreSQLLog
from dbtui.instrument.routing_replicas import ReplicaSet
from dbtui.instrument.routing_settings import RoutingLimits
from dbtui.instrument.routing_states import PrimaryTrack, Replica, describe, find_fault

LIMITS = RoutingLimits(lag_seconds=10.0, lag_bytes=1000)
PRIMARY = PrimaryLook(position=(1, 5000), timeline=1, system="7")
WELL = ReplicaLook(is_replica=True, reached=(1, 5000), timeline=1, system="7")


def track_of(*samples: tuple[float, int]) -> PrimaryTrack:
    track = PrimaryTrack(PostgreSQLLog(), LIMITS)
    for at, lsn in samples:
        track.add(replace(PRIMARY, position=(1, lsn)), at)
    return track


@pytest.mark.parametrize(
    ("look", "fault"),
    [
        (WELL, ""),
        (replace(WELL, reached=(1, 4500)), ""),
        (replace(WELL, age_seconds=3600.0), ""),
        (replace(WELL, is_replica=False), "it is no replica any more"),
        (replace(WELL, system="8"), "it is no replica of this primary"),
        (replace(WELL, timeline=2), "it is on timeline 2, the primary on 1"),
        (replace(WELL, is_paused=True), "its replay is paused"),
        (replace(WELL, is_receiving=False), "it receives nothing from the primary"),
        (replace(WELL, reached=(1, 3999)), "it is 1.0 kB behind"),
        (replace(WELL, reached=(1, 10)), "it is 30.0 seconds behind, 5.0 kB"),
        (replace(WELL, reached=(1, 0), age_seconds=45.0), "it is 45.0 seconds behind, 5.0 kB"),
        (replace(WELL, reached=(1, 0), age_seconds=2.0), "it is 30.0 seconds behind, 5.0 kB"),
        (replace(WELL, reached=(1, 0)), "how far it is behind is not known yet"),
        (replace(WELL, fault="of its own"), "of its own"),
    ],
)
def test_a_look_is_judged(look: ReplicaLook, fault: str) -> None:
    track = track_of((70.0, 10), (98.0, 3500), (99.0, 4500), (100.0, 5000))
    assert find_fault(look, track, LIMITS, 100.0) == fault


def test_nothing_is_read_from_before_the_primary_was_seen() -> None:
    track = track_of()
    assert find_fault(WELL, track, LIMITS, 0.0) == "the primary was not seen yet"
    track.add(PrimaryLook(position=None, system="7", fault="it is a replica itself"), 1.0)
    assert find_fault(WELL, track, LIMITS, 1.0) == "the primary was not seen: it is a replica itself"


def test_seconds_are_of_bytes_that_are_missing() -> None:
    track = track_of((0.0, 100), (1.0, 200), (2.0, 300))
    assert track.lag_seconds((1, 300), 9999.0, 2.5) == 0
    assert track.lag_seconds((1, 299), 9999.0, 2.5) == 1.5
    assert track.lag_seconds((1, 100), 9999.0, 2.5) == 2.5
    assert track.lag_seconds((1, 300), None, 50.0) == 48.0, "the primary was not seen since"
    assert track.lag_bytes((1, 400)) == 0
    assert track.lag_seconds((2, 300), 4.0, 2.5) == 4.0, "another timeline covers nothing"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test moves."""
    now = [100.0]
    monkeypatch.setattr(routing_states, "monotonic", lambda: now[0])
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)
    return now


@pytest.fixture
def engine() -> Engine:
    return create_engine("sqlite://", poolclass=NullPool)


def test_a_replica_that_fails_pauses_longer_each_time(clock: list[float], engine: Engine) -> None:
    track = track_of((100.0, 5000))
    replica = Replica("r", engine, track, LIMITS)
    assert not replica.is_open(clock[0])
    replica.note_look(WELL, clock[0])
    assert replica.is_open(clock[0])
    pauses = []
    for _ in range(8):
        replica.note_failure(OSError("gone"))
        assert replica.wake.is_set()
        assert not replica.is_open(clock[0])
        replica.note_failure(OSError("gone"))  # many reads fail at once
        pauses.append(replica.pause_seconds)
        replica.note_look(WELL, clock[0])
        assert not replica.is_open(clock[0]), "too early"
        began = clock[0] - 1
        clock[0] += pauses[-1] + 0.001
        track.add(PRIMARY, clock[0])
        replica.note_look(WELL, began)
        assert not replica.is_open(clock[0]), "a look from before the failure"
        replica.note_look(WELL, clock[0])
        assert replica.is_open(clock[0])
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert pauses[-1] == 5.0
    assert replica.state().failures == 8
    clock[0] += 31
    track.add(PRIMARY, clock[0])
    replica.note_look(WELL, clock[0])
    assert replica.state().failures == 0, "forgiven"


def test_an_old_look_opens_nothing(clock: list[float], engine: Engine) -> None:
    replica = Replica("r", engine, track_of((100.0, 5000)), LIMITS)
    replica.note_look(WELL, 100.0)
    clock[0] = 102.9
    assert replica.is_open(clock[0])
    clock[0] = 103.1
    assert not replica.is_open(clock[0])
    state = replica.state()
    assert (state.is_read_from, state.fault) == (False, "it has not answered for a while")
    replica.note_look(replace(WELL, is_paused=True), 103.1)
    assert replica.state().fault == "its replay is paused"
    replica.note_look(WELL, 103.1)
    assert replica.is_open(clock[0])
    replica.note_promoted()
    assert replica.state().fault == "it is no replica any more"
    replica.reset()
    assert replica.state().fault == "it was not looked at yet"


class DriverError(Exception):
    """An error of a driver."""

    def __init__(self, code: object = None, message: str = "no") -> None:
        super().__init__(*([code, message] if isinstance(code, int) else [message]))
        self.pgcode = code


def raised(code: object, *, is_lost: bool = False) -> DBAPIError:
    return OperationalError("SELECT 1", None, DriverError(code), connection_invalidated=is_lost)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (raised("57P01"), Verdict.OUTAGE),
        (raised(None, is_lost=True), Verdict.OUTAGE),
        (ConnectionResetError(), Verdict.OUTAGE),
        (raised(2013), Verdict.OUTAGE),
        (raised("40001"), Verdict.ELSEWHERE),
        (raised(1205), Verdict.ELSEWHERE),
        (raised("25006"), Verdict.PRIMARY),
        (raised("42P01"), Verdict.PRIMARY),
        (raised("XX001"), Verdict.PRIMARY),
        (raised("53200"), Verdict.PRIMARY),
        (raised(1146), Verdict.PRIMARY),
        (raised("57014"), Verdict.RAISE),  # cancelled or out of time: twice as much work would help nobody
        (raised("22012"), Verdict.RAISE),
        (raised("55P03"), Verdict.RAISE),
        (raised(None), Verdict.RAISE),
        (InvalidRequestError("no"), Verdict.RAISE),
        (ValueError("no"), Verdict.RAISE),
    ],
    ids=str,
)
def test_an_error_says_where_to_read_next(error: Exception, verdict: Verdict) -> None:
    assert judge_error(error) is verdict


def test_errors_are_described_in_one_line_without_secrets() -> None:
    error: Any = OperationalError(None, None, DriverError(message="postgresql://u:hunter2@h/d is gone\n\x1b[2Jmore"))
    assert describe(error) == "postgresql://u:***@h/d is gone"
    assert describe(ValueError()) == "ValueError"


def test_a_look_that_ends_after_the_set_was_closed_opens_no_replica() -> None:
    replicas = ReplicaSet("postgresql://u@127.0.0.1:1/x", ["postgresql://u@127.0.0.1:2/x"])
    replicas.replicas[0].good_until = monotonic() + 60
    replicas.close()
    replicas.replicas[0].good_until = monotonic() + 60
    assert replicas.choose() is None
    for engine in replicas.engines:
        engine.dispose()
