"""Planning what is done to replicas that are there: promoting one, pausing replay, dropping a slot. Pure."""

from collections.abc import Iterator, Sequence

from dbtui.analysis.replicas.joining import Link, find_root, join, keeps_log
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.model.replicas import (
    ReplicaAction,
    ReplicaPlan,
    ReplicasAssessment,
    ReplicasSnapshot,
    ReplicaState,
    ReplicationSlot,
    ReplicaVerdict,
    ServerReplication,
)
from dbtui.model.text import format_bytes, format_untrusted

_FOREIGN = {
    ReplicaState.STRANGER: "is not a replica of this primary",
    ReplicaState.OTHER_TIMELINE: "is on another timeline than its primary: it has left that one's history",
}


#: What becomes of an old primary after another was promoted, and how the others are sent to the new one.
_FOLLOWS_AGAIN = {
    EngineName.POSTGRESQL: "afterwards it cannot follow without pg_rewind or a new copy",
    EngineName.MYSQL: "afterwards it can follow only while no GTID of its own is missing in the new one, else it needs"
    " a new copy",
}
_POINTS_ELSEWHERE = {
    EngineName.POSTGRESQL: "point their primary_conninfo to {name}",
    EngineName.MYSQL: "point them to {name} with CHANGE MASTER TO (newer MySQL: CHANGE REPLICATION SOURCE TO)",
}


def names_to_type(profile: ConnectionProfile, subject: str) -> tuple[str, ...]:
    """Return what has to be typed before data is at stake: the subject, in production the profile as well."""
    return (subject, profile.name) if profile.environment is Environment.PRODUCTION else (subject,)


def plan_order(
    profile: ConnectionProfile,
    action: ReplicaAction,
    subject: str,
    snapshot: ReplicasSnapshot,
    assessment: ReplicasAssessment,
    orders: Sequence[str],
) -> ReplicaPlan:
    """Plan to promote the replica `subject`, or to pause or resume its replay. `orders`: the statements it takes."""
    server = next((each for each in snapshot.servers if each.profile == subject), None)
    verdict = next((each for each in assessment.replicas if each.profile == subject), None)
    is_promotion = action is ReplicaAction.PROMOTE
    refusals = tuple(_order_refusals(profile, action, subject, server, verdict))
    return ReplicaPlan(
        action=action,
        profile=profile.name,
        subject=subject,
        steps=tuple(orders),
        danger=3 if is_promotion else 1,
        names=names_to_type(profile, subject) if is_promotion else (),
        consequence=_promotion(snapshot, subject) if is_promotion else _replay(action, subject),
        warnings=tuple(_promotion_warnings(snapshot, assessment, server)) if is_promotion and server else (),
        refusals=refusals,
    )


def _order_refusals(
    profile: ConnectionProfile,
    action: ReplicaAction,
    subject: str,
    server: ServerReplication | None,
    verdict: ReplicaVerdict | None,
) -> Iterator[str]:
    shown = format_untrusted(subject)
    if server is None:
        name = format_untrusted(profile.name)
        yield f'{shown} is not known here: name its profile in replicas = ["…"] of profile {name}, or as a URL'
    elif server.problem:
        yield f"{shown} cannot be asked: {server.problem}"
    elif server.role_gap:
        yield f"whether {shown} is a replica may not be seen by its login: {server.role_gap}"
    elif not server.is_replica:
        yield f"{shown} is a primary: there is nothing to {'promote' if action is ReplicaAction.PROMOTE else 'replay'}"
    elif action is ReplicaAction.PROMOTE and verdict is not None and verdict.state in _FOREIGN:
        yield f"{shown} {_FOREIGN[verdict.state]}"


def _replay(action: ReplicaAction, subject: str) -> str:
    shown = format_untrusted(subject)
    if action is ReplicaAction.PAUSE:
        return f"lets {shown} go on receiving and apply nothing: reads there grow older until replay is resumed"
    return f"lets {shown} apply what it has received"


# ---------------------------------------------------------------- promotion


def lost_bytes(primary: ServerReplication | None, server: ServerReplication) -> int | None:
    """Return how much of the primary's log a replica has not received, and would lose. None: that is not known."""
    received = next((each.received for each in server.receivers if each.received is not None), None)
    if primary is None or primary.problem or primary.position is None or received is None:
        return None
    if primary.log_file != next((each.log_file for each in server.receivers), ""):
        return None
    return max(0, primary.position - received)


def unapplied_bytes(server: ServerReplication) -> int | None:
    """Return how much a replica has received and not applied yet; None: that is not known."""
    received = next((each for each in server.receivers if each.received is not None), None)
    applier = server.applier
    if received is None or received.received is None or applier is None or applier.replayed is None:
        return None
    return max(0, received.received - applier.replayed) if received.log_file == applier.log_file else None


def _promotion(snapshot: ReplicasSnapshot, subject: str) -> str:
    shown = format_untrusted(subject)
    root = find_root(snapshot.servers)
    server = next((each for each in snapshot.servers if each.profile == subject), None)
    lost = lost_bytes(root, server) if server else None
    said = "what it has not received is lost, and how much is not known"
    if lost is not None:
        said = f"{format_bytes(lost)} that it has not received are lost" if lost else "nothing committed so far is lost"
    return f"makes {shown} a primary for good: {said}"


def _promotion_warnings(
    snapshot: ReplicasSnapshot, assessment: ReplicasAssessment, server: ServerReplication
) -> Iterator[str]:
    root = find_root(snapshot.servers)
    if root is None or root.problem:
        asked = snapshot.servers[0]
        why = f" ({asked.problem})" if asked.problem else ""
        yield f"no primary could be asked{why}: see that it is down for good, and cannot come back and take writes"
    elif root is not server:
        name = format_untrusted(root.profile)
        yield (
            f"{name} is up and takes writes: stop it first, or both will, and their data part;"
            f" {_FOLLOWS_AGAIN[root.engine]}"
        )
    if waiting := unapplied_bytes(server):
        yield f"{format_bytes(waiting)} that it has received are applied before it takes writes"
    applier = server.applier
    if applier is not None and applier.is_held:
        yield "replay is paused there: promoting it ends that"
    if applier is not None and applier.delay_seconds:
        yield "it is delayed on purpose: what was received is applied at once, mistakes of the last moments included"
    name = server.profile
    states = {each.key: each.state for each in assessment.replicas}
    beside = [each for each in join(snapshot).links if each.depth == 0 and server not in (each.server, each.sender)]
    beside = [each for each in beside if states.get(each.key) not in _FOREIGN]
    siblings = [each.name for each in beside if _is_of_the_same(each, server)]
    subscribers = [each.name for each in beside if each.stream is not None and each.stream.is_logical]
    below = [each.name for each in assessment.replicas if each.parent == name]
    if siblings:
        how = _POINTS_ELSEWHERE[server.engine].format(name=format_untrusted(name))
        yield f"{_names(siblings)} go on following the old primary: {how} afterwards"
    if subscribers:
        yield (
            f"{_names(subscribers)} go on subscribing to the old primary: they need slots on {format_untrusted(name)},"
            " and ALTER SUBSCRIPTION … CONNECTION to it"
        )
    if below:
        yield f"{_names(below)} follow {format_untrusted(name)} along"


def _is_of_the_same(link: Link, server: ServerReplication) -> bool:
    """Whether what is beside a replica is another of the same primary, as far as is known."""
    other, stream = link.server, link.stream
    if other is None:
        return stream is not None and not stream.is_logical and not keeps_log(stream)
    if other.problem or not other.is_role_known:
        return True  # it is configured as one
    ours, theirs = ({each.source_identity for each in one.receivers} - {""} for one in (server, other))
    is_elsewhere = bool(ours and theirs) and not ours & theirs
    return other.is_replica and not is_elsewhere and not (server.system and other.system != server.system)


def _names(names: Sequence[str]) -> str:
    return ", ".join(format_untrusted(each) for each in names)


# ---------------------------------------------------------------- slots


def plan_slot_drop(
    profile: ConnectionProfile,
    name: str,
    snapshot: ReplicasSnapshot,
    orders: Sequence[str],
) -> ReplicaPlan:
    """Plan to drop a slot of the profile's server, the first of the look. `orders`: the statements it takes."""
    server = snapshot.servers[0]
    slot = next((each for each in server.slots if each.name == name), None)
    return ReplicaPlan(
        action=ReplicaAction.DROP_SLOT,
        profile=profile.name,
        subject=name,
        steps=tuple(orders),
        danger=3,
        names=names_to_type(profile, name),
        consequence=_drop(slot, name, profile),
        warnings=tuple(_slot_warnings(slot, snapshot)) if slot else (),
        refusals=tuple(_slot_refusals(profile, name, slot, server)),
    )


def _drop(slot: ReplicationSlot | None, name: str, profile: ConnectionProfile) -> str:
    kept = ""
    if slot is not None and slot.retained_bytes:
        kept = f", and the {format_bytes(slot.retained_bytes)} of log that it keeps may go"
    return f"drops slot {format_untrusted(name)} of {format_untrusted(profile.name)}{kept}"


def _slot_refusals(
    profile: ConnectionProfile, name: str, slot: ReplicationSlot | None, server: ServerReplication
) -> Iterator[str]:
    shown = format_untrusted(name)
    if profile.read_only:
        yield f"profile {format_untrusted(profile.name)} is read-only"
    if slot is None:
        known = ", ".join(each.name for each in server.slots) or "none"
        yield f"there is no slot {shown} on {format_untrusted(profile.name)} (there are: {known})"
    elif slot.is_active:
        reader = next((each.name for each in server.streams if each.session_id == slot.session_id), "")
        who = f" by {format_untrusted(reader)}" if reader else ""
        yield f"slot {shown} is in use{who} (session {slot.session_id}): stop its reader first"
    elif slot.is_synced:
        yield f"slot {shown} is a copy that the server keeps of one of its primary's: drop that one"


def _slot_warnings(slot: ReplicationSlot, snapshot: ReplicasSnapshot) -> Iterator[str]:
    if slot.kind == "logical":
        what = format_untrusted(slot.plugin or "logical decoding")
        yield f"it is a logical slot ({what}, database {format_untrusted(slot.database)}): its subscriber loses changes"
    owners = [each.profile for each in snapshot.servers if slot.name in {end.slot for end in each.receivers}]
    if slot.status == "lost" or slot.invalidation:
        yield "the server has given it up already: its reader has to be built anew in any case"
    elif owners:
        yield f"{_names(owners)} is set to read it: it receives nothing without it, until it is told to do without"
    else:
        yield "its reader, if it comes back, misses the log that is removed from then on, and may have to be built anew"
