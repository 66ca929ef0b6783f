"""Whether a replica may be read from now: what its looks say, and what failed since."""

import logging
import random
import threading
from dataclasses import dataclass
from time import monotonic
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from dbtui.instrument.routing_looks import PrimaryLook, ReplicaLook
from dbtui.instrument.routing_servers import Log
from dbtui.instrument.routing_settings import RoutingLimits
from dbtui.model.text import format_bytes, format_untrusted, mask_passwords

_LOG = logging.getLogger("dbtui.instrument")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
#: Who has not failed for so long begins again with short pauses.
_FORGIVEN_SECONDS = 30.0
#: Of the time between two looks: how soon to look again when the first one did not suffice.
_SOON = 0.05
_NEVER = float("-inf")
_NOT_KNOWN = "how far it is behind is not known yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaState:
    """One replica as routing sees it. `fault`: why it is not read from, "" when it is.

    `lag_bytes`, `lag_seconds`: behind the primary at the last look; 0 when it had everything. None: not known.
    """

    name: str
    is_read_from: bool
    fault: str = ""
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    failures: int = 0


class PrimaryTrack:
    """Where the primary's log was at which time: what a replica lacks is then known without comparing clocks."""

    def __init__(self, log: Log, limits: RoutingLimits) -> None:
        self._log = log
        self._stale_seconds = limits.stale_seconds
        self._most = int(limits.lag_seconds / limits.look_seconds) + 3
        self.reset()

    def reset(self) -> None:
        """Begin again from nothing, as in a forked child."""
        self._samples: tuple[tuple[float, Any], ...] = ()
        self.look: PrimaryLook | None = None

    def add(self, look: PrimaryLook, now: float) -> None:
        """Remember one look."""
        if not look.fault:
            self._samples = (*self._samples[-self._most :], (now, look.position))
        self.look = look

    def is_lost(self, now: float) -> bool:
        """Whether the primary was seen once, and not lately."""
        return bool(self._samples) and now - self._samples[-1][0] > self._stale_seconds

    def lag_bytes(self, reached: Any) -> int | None:
        """How many bytes `reached` is behind the primary's last look."""
        return self._log.distance_bytes(reached, self._samples[-1][1]) if self._samples else None

    def lag_seconds(self, reached: Any, age_seconds: float | None, now: float) -> float | None:
        """How long ago the primary had no more than `reached`; 0 when it has no more now.

        Where that was before the first look, the age of what was replayed last stands in.
        """
        for number, (at, position) in enumerate(reversed(self._samples)):
            if self._log.covers(reached, position):
                is_fresh = number == 0 and now - at <= self._stale_seconds
                return 0.0 if is_fresh else now - at
        if not self._samples or age_seconds is None:
            return None
        return max(age_seconds, now - self._samples[0][0])


def find_fault(look: ReplicaLook, track: PrimaryTrack, limits: RoutingLimits, now: float) -> str:
    """Why a replica that looks like this is not read from; "" when it is."""
    primary = track.look
    if look.fault:
        return look.fault
    if not look.is_replica:
        return "it is no replica any more"
    if primary is None or primary.fault:
        return f"the primary was not seen{f': {primary.fault}' if primary else ' yet'}"
    if look.system != primary.system:
        return "it is no replica of this primary"
    if look.timeline != primary.timeline:
        return f"it is on timeline {look.timeline}, the primary on {primary.timeline}"
    if look.is_paused:
        return "its replay is paused"
    if limits.serve_without_primary and track.is_lost(now):
        return ""
    if not look.is_receiving:
        return "it receives nothing from the primary"
    return _find_lag(look, track, limits, now)


def _find_lag(look: ReplicaLook, track: PrimaryTrack, limits: RoutingLimits, now: float) -> str:
    seconds = track.lag_seconds(look.reached, look.age_seconds, now)
    size = track.lag_bytes(look.reached)
    if seconds is None:
        return _NOT_KNOWN
    if seconds > limits.lag_seconds:
        return f"it is {seconds:.1f} seconds behind{f', {format_bytes(size)}' if size else ''}"
    if size is not None and size > limits.lag_bytes:
        return f"it is {format_bytes(size)} behind"
    return ""


class Replica:
    """One replica: its engine, and whether it may be read from. Looks and failures come from several threads."""

    def __init__(self, name: str, engine: Engine, track: PrimaryTrack, limits: RoutingLimits) -> None:
        self.name = name
        self.engine = engine
        self.isolation = ""  # of its transactions, asked once
        self._track = track
        self._limits = limits
        self.reset()

    def reset(self) -> None:
        """Begin again from nothing, as in a forked child."""
        self._lock = threading.Lock()
        self.wake = threading.Event()  # look now
        self._fault = "it was not looked at yet"
        self.good_until = _NEVER  # monotonic seconds: until then it may be read from
        self._failed_at = self._opens_at = _NEVER
        self._failures = 0
        self._is_judged = False
        self._look: ReplicaLook | None = None

    def is_open(self, now: float) -> bool:
        """Whether it may be read from at `now` (monotonic seconds)."""
        return now <= self.good_until

    @property
    def was_looked_at(self) -> bool:
        """Whether a look found it, and the primary, or failed."""
        return self._failures > 0 or self._is_judged

    def load(self) -> int:
        """How busy its pool is: connections in use."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    @property
    def pause_seconds(self) -> float:
        """How long to wait before the next look."""
        rest = max(0.0, self._opens_at - monotonic())
        return rest or self._limits.look_seconds * (_SOON if self._fault == _NOT_KNOWN else random.uniform(0.9, 1.1))

    def note_look(self, look: ReplicaLook, began: float) -> None:
        """Take a look that began at `began` (monotonic seconds). One from before the last failure opens nothing."""
        now = monotonic()
        fault = find_fault(look, self._track, self._limits, now)
        with self._lock:
            self._look = look
            if began < self._failed_at or (not fault and now < self._opens_at):
                return
            self._is_judged = self._track.look is not None and fault != _NOT_KNOWN
            if self._failures and now - self._failed_at > _FORGIVEN_SECONDS:
                self._failures = 0
            self._change(fault, _NEVER if fault else began + self._limits.stale_seconds)

    def note_failure(self, error: object) -> None:
        """A read failed on it: it is closed for a while, longer each time, and looked at again."""
        self.note_failed_look(error)
        self.wake.set()

    def note_failed_look(self, error: object) -> None:
        """The same of a look, which is repeated when the pause is over."""
        now = monotonic()
        with self._lock:
            if now >= self._opens_at:  # many reads fail at once when a server goes: that is one failure
                pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 16))
                self._opens_at = now + pause * random.uniform(0.5, 1.5)
                self._failures += 1
            self._failed_at = now
            self._change(f"it failed: {describe(error)}")

    def note_promoted(self) -> None:
        """A connection to it says that it is no replica any more."""
        with self._lock:
            self._failed_at = monotonic()
            self._change("it is no replica any more")
        self.wake.set()

    def state(self) -> ReplicaState:
        """What is known of it now."""
        now, look = monotonic(), self._look
        fault = self._fault
        is_open = self.is_open(now)
        if not fault and not is_open:
            fault = "it has not answered for a while"
        return ReplicaState(
            name=self.name,
            is_read_from=is_open,
            fault=fault,
            lag_bytes=self._track.lag_bytes(look.reached) if look else None,
            lag_seconds=self._track.lag_seconds(look.reached, look.age_seconds, now) if look else None,
            failures=self._failures,
        )

    def _change(self, fault: str, good_until: float = _NEVER) -> None:
        if bool(fault) != bool(self._fault):
            if fault:
                _LOG.warning("the replica %s is not read from: %s", self.name, fault)
            else:
                _LOG.info("the replica %s is read from", self.name)
        self._fault = fault
        self.good_until = good_until


def describe(error: object) -> str:
    """An error's first line, without passwords."""
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines() or [type(original).__name__]
    return format_untrusted(mask_passwords(lines[0]), 200)
