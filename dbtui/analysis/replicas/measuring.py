"""How far a replica is behind: bytes and seconds, stage by stage. Where no bytes are missing there are no seconds.

PostgreSQL keeps the lag that it measured last when a replica has caught up, and the age of the last commit grows while
nothing is written: neither is a lag by itself. So every second here is gated by bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from dbtui.analysis.replicas.joining import Link, replayed_of
from dbtui.analysis.replicas.positions import Point, bytes_between, end_of, latest, point_of, sizes_of
from dbtui.analysis.replicas.tracks import Sample, age_of
from dbtui.model.connections import EngineName
from dbtui.model.replicas import Applier, LagStage, ReplicaStream, ServerReplication, StageLag

#: What a sender measured counts while its replica goes on reporting.
_FRESH_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How far one replica is. `safe_seconds`: what was committed longer ago has been applied; None: not known."""

    stages: tuple[StageLag, ...] = ()
    replayed: Point | None = None
    behind_bytes: int | None = None
    lag_seconds: float | None = None
    safe_seconds: float | None = None

    def behind(self, stage: LagStage) -> int:
        """Return the bytes of one stage, 0 when they are not known."""
        return next((each.behind_bytes or 0 for each in self.stages if each.stage is stage), 0)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where each stage of the way from the parent's log to what is applied is."""

    end: Point | None
    sent: Point | None
    written: Point | None
    flushed: Point | None
    replayed: Point | None


def measure(link: Link, root: ServerReplication | None, ends: Sequence[Sample], now: float) -> Measured:
    """Return how far a replica is. `ends`: where the primary's log ended before, newest last; `now`: monotonic."""
    top = root if root is not None and not root.problem else None
    asked = link.server.monotonic_seconds if link.server is not None else (top.monotonic_seconds if top else now)
    places = _places(link)
    root_end = end_of(top) if top else None
    in_root = _is_in_log_of(link, top)
    sizes = sizes_of(top if in_root else link.sender)
    behind = bytes_between(places.replayed, root_end, sizes) if in_root else _behind_parent(places, link)
    if _has_same_transactions(link, top):
        behind = 0
    bound = age_of(ends, places.replayed, asked) if in_root else None
    own = _own_age(link, top)
    lag = _lag_seconds(link, behind, bound, own)
    told = _told_age(link, places)
    ages = [each for each in (bound, own, told) if each is not None]
    return Measured(
        stages=_measure_stages(link, places, lag, ends if in_root else (), asked),
        replayed=places.replayed,
        behind_bytes=behind,
        lag_seconds=lag,
        safe_seconds=_safe_seconds(behind, ages, top if in_root else link.sender, asked),
    )


def add_parent(link: Link, measured: Measured, root: ServerReplication | None, parent: Measured | None) -> Measured:
    """Return how far behind the primary a replica is that was measured behind its parent alone (MySQL's cascades)."""
    if parent is None or _is_in_log_of(link, root):
        return measured
    return replace(
        measured,
        behind_bytes=_add(measured.behind_bytes, parent.behind_bytes),
        lag_seconds=_add(measured.lag_seconds, parent.lag_seconds),
        safe_seconds=_add(measured.safe_seconds, parent.safe_seconds),
    )


NumberT = TypeVar("NumberT", int, float)


def _add(one: NumberT | None, other: NumberT | None) -> NumberT | None:
    return None if one is None or other is None else one + other


def _is_in_log_of(link: Link, root: ServerReplication | None) -> bool:
    """Whether a replica's places are in the primary's log: always in PostgreSQL, in MySQL for its direct replicas."""
    if root is None:
        return False
    return root.engine is EngineName.POSTGRESQL or link.sender is root


def _behind_parent(places: _Places, link: Link) -> int | None:
    return bytes_between(places.replayed, places.end, sizes_of(link.sender))


def _has_same_transactions(link: Link, root: ServerReplication | None) -> bool:
    """Whether MySQL's or MariaDB's GTIDs say that nothing is missing."""
    applier = link.server.applier if link.server is not None else None
    return bool(root and applier and applier.gtid and applier.gtid == root.gtid)


# ---------------------------------------------------------------- places


def _places(link: Link) -> _Places:
    """Where the stages are, each at least as far as the one behind it: two views are never of one moment."""
    stream, receiver = link.stream, link.receiver
    replayed = replayed_of(link)
    received = point_of(receiver.received, receiver.log_file) if receiver is not None else None
    flushed = latest(point_of(stream.flushed) if stream else None, received)
    flushed = latest(flushed, replayed) if flushed is not None else None
    written = _at_least(point_of(stream.written) if stream else None, flushed)
    sent = _at_least(point_of(stream.sent) if stream else None, written)
    end = end_of(link.sender) if link.sender is not None and not link.sender.problem else None
    if end is None and receiver is not None:
        end = point_of(receiver.source_end)
    return _Places(_at_least(end, latest(sent, written, flushed)), sent, written, flushed, replayed)


def _at_least(point: Point | None, other: Point | None) -> Point | None:
    return None if point is None else latest(point, other)


def _measure_stages(
    link: Link, places: _Places, lag: float | None, ends: Sequence[Sample], now: float
) -> tuple[StageLag, ...]:
    """SEND and NETWORK are one where the sender's view is missing: then it is all NETWORK's."""
    sizes = sizes_of(link.sender)
    ways = (
        (LagStage.SEND, places.sent, places.end),
        (LagStage.NETWORK, places.written or places.flushed, places.sent or places.end),
        (LagStage.FLUSH, places.flushed, places.written),
        (LagStage.APPLY, places.replayed, places.flushed),
    )
    measured = _told_seconds(link.stream)
    stages: list[StageLag] = []
    for stage, low, high in ways:
        behind = bytes_between(low, high, sizes)
        seconds = 0.0 if behind == 0 else _stage_seconds(low, high, ends, now)
        if seconds is None and behind is not None:
            seconds = measured.get(stage)
        if stage is LagStage.APPLY and behind and lag is not None:
            before = sum((each.seconds or 0.0 for each in stages if each.behind_bytes), 0.0)
            seconds = max(0.0, lag - before)
        stages.append(StageLag(stage, behind, seconds))
    return tuple(stages)


def _stage_seconds(low: Point | None, high: Point | None, ends: Sequence[Sample], now: float) -> float | None:
    older, newer = age_of(ends, low, now), age_of(ends, high, now)
    return None if older is None or newer is None else max(0.0, older - newer)


def _told_seconds(stream: ReplicaStream | None) -> Mapping[LagStage, float | None]:
    """What the sender measured last, taken apart: its figures add up stage by stage."""
    if stream is None:
        return {}
    write, flush, replay = stream.write_seconds, stream.flush_seconds, stream.replay_seconds
    return {
        LagStage.NETWORK: write,
        LagStage.FLUSH: None if flush is None else max(0.0, flush - (write or 0.0)),
        LagStage.APPLY: None if replay is None else max(0.0, replay - (flush or 0.0)),
    }


# ---------------------------------------------------------------- seconds


def _own_age(link: Link, root: ServerReplication | None) -> float | None:
    """The age of what was applied last, by the replica, freed from the difference of two clocks."""
    server = link.server
    if server is None or server.applier is None or server.applier.replay_age_seconds is None:
        return None
    ours = server.clock_skew_seconds or 0.0
    theirs = root.clock_skew_seconds or 0.0 if root is not None else ours
    return max(0.0, server.applier.replay_age_seconds - (ours - theirs))


def _lag_seconds(link: Link, behind: int | None, bound: float | None, own: float | None) -> float | None:
    """The lag: 0 where nothing is missing, else the least that is known to be enough, else what was measured."""
    applier = link.server.applier if link.server is not None else None
    if behind == 0:
        return 0.0
    if applier is not None and applier.lag_seconds is not None:
        return applier.lag_seconds
    if behind is None:
        return None
    told = _fresh_figure(link.stream, applier)
    known = [each for each in (bound, own, told) if each is not None]
    return min(known, default=None)


def _told_age(link: Link, places: _Places) -> float | None:
    """MySQL's own figure, in whole seconds, is the age of what is applied now as far as it was received."""
    applier = link.server.applier if link.server is not None else None
    if applier is None or applier.lag_seconds is None or places.end is None or places.flushed is None:
        return None
    return applier.lag_seconds + 1.0 if places.flushed >= places.end else None


def _fresh_figure(stream: ReplicaStream | None, applier: Applier | None) -> float | None:
    """What the sender measured, unless it is from before replay stood still."""
    if stream is None or stream.replay_seconds is None or stream.reply_age_seconds is None:
        return None
    if applier is not None and (applier.is_held or applier.is_stalled or applier.delay_seconds):
        return None
    return stream.replay_seconds if stream.reply_age_seconds <= _FRESH_SECONDS and applier is not None else None


def _safe_seconds(
    behind: int | None, ages: Sequence[float], source: ServerReplication | None, asked: float
) -> float | None:
    """What was committed longer ago than this has been applied.

    Who had, when asked, all that its source had a moment before, has everything older than that moment.
    """
    delay = source.flush_delay_seconds if source is not None else 0.0
    if behind == 0 and source is not None and not source.problem:
        return max(0.0, asked - source.monotonic_seconds) + delay
    return min((age + delay for age in ages), default=None)
