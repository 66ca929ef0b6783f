"""What a replica is doing: the worst that is true of it."""

from dbtui.analysis.replicas.joining import Link
from dbtui.analysis.replicas.measuring import Measured
from dbtui.analysis.replicas.thresholds import ReplicaThresholds
from dbtui.model.connections import EngineName
from dbtui.model.replicas import LagStage, ReplicaState, ReplicationSlot, ServerReplication

_LOST = "lost"
_TROUBLE = frozenset(
    (
        ReplicaState.STOPPED,
        ReplicaState.RECEIVER_DEAD,
        ReplicaState.SLOT_LOST,
        ReplicaState.DOWN,
        ReplicaState.STRANGER,
        ReplicaState.OTHER_TIMELINE,
    )
)
_WARNING = frozenset((ReplicaState.PAUSED, ReplicaState.CONFLICT, ReplicaState.UNKNOWN))
#: Reads may go to a replica in one of these.
_SERVING = (ReplicaState.CURRENT, ReplicaState.LAGGING, ReplicaState.CATCHING_UP)


def find_state(
    link: Link,
    root: ServerReplication | None,
    measured: Measured,
    thresholds: ReplicaThresholds,
    *,
    is_catching_up: bool,
    parent: ReplicaState | None = None,
) -> ReplicaState:
    """Return what is worst. `is_catching_up`: it applies faster than the primary writes; `parent`: its parent's."""
    server = link.server
    if server is not None and server.problem:
        return ReplicaState.DOWN
    if server is not None and not server.is_role_known:
        return ReplicaState.UNKNOWN
    if server is not None and (strange := _find_strangeness(link, server, root)) is not None:
        return strange
    if parent is ReplicaState.STRANGER or parent is ReplicaState.OTHER_TIMELINE:
        return parent  # it has what that one has
    slot = find_slot(link)
    if slot is not None and slot.status == _LOST:
        return ReplicaState.SLOT_LOST
    applier = server.applier if server is not None else None
    if applier is not None and not applier.is_running and not applier.is_held:
        return ReplicaState.STOPPED
    if server is not None and is_receiver_dead(link):
        return ReplicaState.RECEIVER_DEAD
    if applier is not None and applier.is_held:
        return ReplicaState.PAUSED
    if applier is not None and applier.is_stalled and measured.behind_bytes != 0:
        return ReplicaState.CONFLICT
    if applier is not None and applier.delay_seconds and measured.behind_bytes != 0:
        return ReplicaState.DELAYED
    return _find_lag(link, measured, thresholds, is_catching_up)


def _find_lag(link: Link, measured: Measured, thresholds: ReplicaThresholds, is_catching_up: bool) -> ReplicaState:
    if measured.behind_bytes is None and measured.lag_seconds is None:
        return ReplicaState.UNKNOWN
    if measured.behind_bytes == 0:
        return ReplicaState.CURRENT
    if measured.lag_seconds is not None and measured.lag_seconds <= thresholds.current_seconds:
        return ReplicaState.CURRENT
    is_fetching = link.stream is not None and link.stream.state == "catchup"
    return ReplicaState.CATCHING_UP if is_fetching or is_catching_up else ReplicaState.LAGGING


def _find_strangeness(link: Link, server: ServerReplication, root: ServerReplication | None) -> ReplicaState | None:
    """Whether it has other data, or has gone its own way."""
    if root is None or root.problem:
        return None
    if server.engine is not root.engine or (root.system and server.system and root.system != server.system):
        return ReplicaState.STRANGER
    is_ahead_alone = root.timeline is not None and server.timeline is not None and server.timeline != root.timeline
    if not server.is_replica:
        return ReplicaState.OTHER_TIMELINE if is_ahead_alone else ReplicaState.STRANGER
    if is_ahead_alone and link.stream is None:
        return ReplicaState.OTHER_TIMELINE
    is_elsewhere = link.sender is None and any(receiver.source_identity for receiver in server.receivers)
    return ReplicaState.STRANGER if is_elsewhere and server.engine is EngineName.MYSQL else None


def is_receiver_dead(link: Link) -> bool:
    """Whether nothing comes in: no receiver, one that the source has been silent to, or a source that sends nothing."""
    receiver = link.receiver
    if receiver is None or receiver.status == "stopped":
        return True
    if receiver.status != "streaming" and link.stream is None:
        return True
    limit, silence = receiver.silence_limit_seconds, receiver.silence_seconds
    return limit is not None and silence is not None and silence > limit


def find_slot(link: Link) -> ReplicationSlot | None:
    """Return the slot that a replica reads, or would read."""
    name = link.stream.slot if link.stream is not None else ""
    name = name or (link.receiver.slot if link.receiver is not None else "")
    slots = link.sender.slots if link.sender is not None and name else ()
    return next((each for each in slots if each.name == name), None)


def find_level(state: ReplicaState, measured: Measured, thresholds: ReplicaThresholds) -> str:
    """Return "ok", "warning" or "trouble". Who catches up is not trouble any more."""
    if state in _TROUBLE:
        return "trouble"
    lag = measured.lag_seconds
    is_long = lag is not None and lag > thresholds.trouble_seconds
    if state in _WARNING:
        return "trouble" if state is ReplicaState.CONFLICT and is_long else "warning"
    if state not in (ReplicaState.LAGGING, ReplicaState.CATCHING_UP):
        return "ok"
    if is_long and state is ReplicaState.LAGGING:
        return "trouble"
    is_late = lag > thresholds.warn_seconds if lag is not None else (measured.behind_bytes or 0) > thresholds.warn_bytes
    return "warning" if is_late else "ok"


def may_serve(link: Link, state: ReplicaState, measured: Measured, thresholds: ReplicaThresholds) -> bool:
    """Whether reads that may be a little old can go there now."""
    is_logical = link.stream is not None and link.stream.is_logical
    safe = measured.safe_seconds
    return not is_logical and state in _SERVING and safe is not None and safe <= thresholds.safe_seconds


def narrowest(measured: Measured) -> LagStage | None:
    """Return the stage where most of the log waits; None when none does, or it is not known."""
    known = [each for each in measured.stages if each.behind_bytes]
    return max(known, key=lambda each: each.behind_bytes or 0).stage if known else None
