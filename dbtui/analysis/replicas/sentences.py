"""What is so with a replica, and what to do, in a sentence; the command, where there is one."""

import shlex

from dbtui.analysis.replicas.joining import Link
from dbtui.analysis.replicas.measuring import Measured
from dbtui.analysis.replicas.states import find_slot, narrowest
from dbtui.analysis.replicas.words import format_behind, format_lag, format_left, format_promise
from dbtui.model.connections import EngineName
from dbtui.model.replicas import PAUSE_REQUESTED, LagStage, ReplicaState, ServerReplication
from dbtui.model.text import format_bytes, format_duration, format_untrusted

#: Each stage has a cure of its own.
_CURES = {
    LagStage.SEND: "most of it is not sent: look at the primary's CPU and disk, and at its walsender",
    LagStage.NETWORK: "most of it is under way: look at the network between the two",
    LagStage.FLUSH: "most of it waits for the replica's disk",
    LagStage.APPLY: "most of it has arrived and waits to be applied: replay is slower than the primary writes",
}


#: They say it themselves, or there is nothing to be promised.
_WITHOUT_PROMISE = (ReplicaState.CURRENT, ReplicaState.DOWN, ReplicaState.STRANGER, ReplicaState.OTHER_TIMELINE)


def describe(
    link: Link, root: ServerReplication | None, state: ReplicaState, measured: Measured, catch_up: float | None
) -> tuple[str, str]:
    """Return the sentence and the command for a replica. `catch_up`: seconds until it has everything."""
    sentence, command = _describe_state(link, root, state, measured, catch_up)
    if state in _WITHOUT_PROMISE:
        return sentence, command
    return f"{sentence}; {_promise(measured)}", command


def _promise(measured: Measured) -> str:
    if measured.safe_seconds is None:
        return "the age of its data is not known"
    return f"safe for reads older than {format_promise(measured.safe_seconds)}"


def _describe_state(
    link: Link, root: ServerReplication | None, state: ReplicaState, measured: Measured, catch_up: float | None
) -> tuple[str, str]:
    if state is ReplicaState.DOWN:
        return _describe_down(link), ""
    if state in (ReplicaState.STRANGER, ReplicaState.OTHER_TIMELINE):
        return _describe_stranger(link, root, state), ""
    if state is ReplicaState.SLOT_LOST:
        return _describe_lost_slot(link), ""
    if state is ReplicaState.STOPPED:
        return _describe_stopped(link, root)
    if state is ReplicaState.RECEIVER_DEAD:
        return _describe_silence(link), ""
    if state is ReplicaState.PAUSED:
        return _describe_pause(link, root, measured)
    if state is ReplicaState.CONFLICT:
        return _describe_conflict(link, measured)
    return _describe_lag(link, state, measured, catch_up), ""


# ---------------------------------------------------------------- lag


def _describe_lag(link: Link, state: ReplicaState, measured: Measured, catch_up: float | None) -> str:
    applier = link.server.applier if link.server is not None else None
    behind = format_behind(measured.behind_bytes, measured.lag_seconds)
    if state is ReplicaState.UNKNOWN:
        gap = link.server.role_gap if link.server is not None else ""
        return f"whether it is a replica may not be seen by this login: {gap}" if gap else "its lag is not known"
    if state is ReplicaState.DELAYED and applier is not None:
        return f"applies {format_duration(applier.delay_seconds)} late on purpose; {behind} behind"
    if state is ReplicaState.CURRENT:
        what = "has everything" if measured.behind_bytes == 0 else f"{behind} behind"
        return f"{what}: {_promise(measured)}"
    if state is ReplicaState.CATCHING_UP:
        until = f"; has everything {format_left(catch_up)}" if catch_up is not None else ""
        return f"{behind} behind and catching up{until}"
    stage = narrowest(measured)
    return f"{behind} behind" + (f"; {_CURES[stage]}" if stage is not None else "")


def _to_apply(measured: Measured) -> str:
    count = measured.behind(LagStage.APPLY)
    lag = "" if not measured.lag_seconds else f", {format_lag(measured.lag_seconds)}"
    return f"{format_bytes(count)}{lag}" if count else "nothing yet"


def _describe_pause(link: Link, root: ServerReplication | None, measured: Measured) -> tuple[str, str]:
    applier = link.server.applier if link.server is not None else None
    if link.server is not None and link.server.engine is EngineName.MYSQL:
        said = f"its applier was stopped by somebody, with {_to_apply(measured)} to apply"
        return said, _resume_command(link.server, root)
    is_asked = applier is not None and applier.pause == PAUSE_REQUESTED
    what = "a pause of replay was asked for" if is_asked else "replay is paused"
    return f"{what}, with {_to_apply(measured)} to apply", "SELECT pg_wal_replay_resume();"


def _describe_conflict(link: Link, measured: Measured) -> tuple[str, str]:
    server = link.server
    applier = server.applier if server is not None else None
    if server is None or applier is None:
        return "replay waits for queries on the replica", ""
    who = f", likeliest {applier.stalled_by[0]}" if applier.stalled_by else ""
    command = f"dbtui sessions cancel {server.profile} {applier.stalled_by_ids[0]}" if applier.stalled_by_ids else ""
    return f"replay waits for a query on the replica{who}, with {_to_apply(measured)} to apply", command


# ---------------------------------------------------------------- what is broken


def _describe_down(link: Link) -> str:
    problem = link.server.problem if link.server is not None else ""
    still = "; the primary goes on sending to it" if link.stream is not None else ""
    return f"cannot be asked: {problem}{still}"


def _describe_stranger(link: Link, root: ServerReplication | None, state: ReplicaState) -> str:
    server = link.server
    if server is None or root is None:
        return "is not of this primary"
    name = format_untrusted(root.profile)
    if server.engine is not root.engine:
        return f"is no replica of {name}: it is another kind of server"
    if state is ReplicaState.OTHER_TIMELINE:
        ways = f"timeline {server.timeline}, and {name} is on timeline {root.timeline}"
        what = "is a primary of its own now" if not server.is_replica else "cannot follow any more"
        return f"{what}: it is on {ways}; pg_rewind or build it anew"
    if root.system and server.system and root.system != server.system:
        return f"is of another primary: its system identifier is {server.system}, not {root.system}"
    if not server.is_replica:
        return f"is no replica of {name}: it takes writes by itself; look at the URL of its profile"
    source = next((each.source for each in server.receivers if each.source), "another server")
    return f"is of another primary: it receives from {source}"


def _describe_lost_slot(link: Link) -> str:
    slot = find_slot(link)
    name = slot.name if slot is not None else "?"
    why = f" ({slot.invalidation})" if slot is not None and slot.invalidation else ""
    return f"its slot {name} is lost{why}: the log that it needs is gone; restore it from an archive, or build it anew"


def _describe_stopped(link: Link, root: ServerReplication | None) -> tuple[str, str]:
    applier = link.server.applier if link.server is not None else None
    error = f": {applier.error}" if applier is not None and applier.error else ""
    command = _resume_command(link.server, root) if link.server is not None else ""
    return f"its applier has stopped{error}; mend the cause, then start it", command


def _resume_command(server: ServerReplication, root: ServerReplication | None) -> str:
    """What starts an applier, in the words of any version: dbtui knows those of the server."""
    return shlex.join(("dbtui", "replicas", "resume", root.profile if root is not None else server.profile,
                       server.profile))  # fmt: skip


def _describe_silence(link: Link) -> str:
    receiver = link.receiver
    source = f" from {receiver.source}" if receiver is not None and receiver.source else ""
    if receiver is None or receiver.status == "stopped":
        said = f": {receiver.error}" if receiver is not None and receiver.error else ""
        return f"receives nothing{source}: no receiver runs{said}; its log says why"
    if receiver.status != "streaming":
        said = f": {receiver.error}" if receiver.error else ""
        return f"receives nothing{source}: its receiver is {receiver.status}{said}"
    silence = format_duration(receiver.silence_seconds or 0.0)
    return f"receives nothing{source}: it has been silent for {silence}; look at that server and the network"
