"""Who is whose replica: what senders say of streams, joined with what replicas say of themselves."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from dbtui.analysis.replicas.positions import Point, point_of
from dbtui.model.connections import EngineName
from dbtui.model.replicas import Receiver, ReplicasSnapshot, ReplicaStream, ServerReplication

_SLOT, _IDENTITY, _NAME, _PORT, _HOST, _CLIENT, _SYSTEM = 16, 16, 8, 2, 1, 1, 1
_UNNAMED_STREAM = "session "


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One replica in the tree, seen from its sender (`stream`), from itself (`server`), or from both.

    `sender`: from whom it receives, None when that is not one of the servers. `key` is unique in a snapshot and
    the same in the next one.
    """

    key: str
    name: str
    depth: int = 0
    server: ServerReplication | None = None
    stream: ReplicaStream | None = None
    receiver: Receiver | None = None
    sender: ServerReplication | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """A primary and its replicas, parents before children. `root` None: no primary is among the servers."""

    root: ServerReplication | None
    links: tuple[Link, ...] = ()


def join(snapshot: ReplicasSnapshot) -> Tree:
    """Return the tree of a look. What is not under the primary comes last, at depth 0 and without a sender."""
    servers = snapshot.servers
    root = find_root(servers)
    others = [each for each in servers if each is not root]
    links = list(_links(servers, others, root))
    return Tree(root, tuple(_in_order(links, root)))


def find_root(servers: tuple[ServerReplication, ...]) -> ServerReplication | None:
    """Return the primary: the server asked for or, when that is a replica, one that takes writes and feeds it."""
    if not servers:
        return None
    asked = servers[0]
    if not asked.is_replica:
        return asked
    return next((each for each in servers[1:] if not each.is_replica and _is_same_data(each, asked)), None)


def _is_same_data(sender: ServerReplication, replica: ServerReplication) -> bool:
    if sender.problem or sender.engine is not replica.engine:
        return False
    if sender.engine is EngineName.POSTGRESQL:
        return bool(sender.system) and sender.system == replica.system
    return any(each.source_identity == sender.identity for each in replica.receivers if each.source_identity)


# ---------------------------------------------------------------- matching


def _links(
    servers: tuple[ServerReplication, ...], others: list[ServerReplication], root: ServerReplication | None
) -> Iterator[Link]:
    able = [each for each in servers if not each.problem]
    streams = [(sender, stream) for sender in able for stream in sender.streams if not stream.is_backup]
    matched = match(streams, others)
    taken = {position for position, _ in matched.values()}
    for server in others:
        found = matched.get(server.profile)
        if found is not None:
            sender, stream = streams[found[0]]
            yield _link(server, sender, stream, found[1])
        else:
            receiver = server.receivers[0] if server.receivers else None
            yield _link(server, _find_sender(server, servers, root), None, receiver)
    for position, (sender, stream) in enumerate(streams):
        if position not in taken:
            key = f"{sender.profile}/{stream.identity or stream.session_id or stream.name}"
            yield Link(key=key, name=stream.name, stream=stream, sender=sender)


def _link(
    server: ServerReplication,
    sender: ServerReplication | None,
    stream: ReplicaStream | None,
    receiver: Receiver | None,
) -> Link:
    return Link(key=server.profile, name=server.profile, server=server, stream=stream, receiver=receiver, sender=sender)


def match(
    streams: list[tuple[ServerReplication, ReplicaStream]], replicas: Iterable[ServerReplication]
) -> Mapping[str, tuple[int, Receiver | None]]:
    """Return for each replica, by profile, the stream that is its own, and the receiver at its end of it."""
    candidates = []
    for replica in replicas:
        for position, (sender, stream) in enumerate(streams):
            for receiver in _ends(replica):
                score = _score(sender, stream, replica, receiver)
                if score > 0:
                    apart = _distance(stream, replica, receiver)
                    candidates.append((-score, apart, position, replica.profile, receiver))
    candidates.sort(key=lambda each: each[:4])
    found: dict[str, tuple[int, Receiver | None]] = {}
    taken: set[int] = set()
    for _, _, position, profile, receiver in candidates:
        if profile not in found and position not in taken:
            found[profile] = position, receiver
            taken.add(position)
    return found


def _ends(replica: ServerReplication) -> tuple[Receiver | None, ...]:
    """The receivers that may be at a stream's end; None: the replica itself could not be asked."""
    if replica.problem:
        return (None,)
    return tuple(each for each in replica.receivers if each.status != "stopped")


def _score(
    sender: ServerReplication, stream: ReplicaStream, replica: ServerReplication, receiver: Receiver | None
) -> int:
    """How much speaks for a stream ending at a replica; 0: something speaks against it, or nothing for it."""
    if sender is replica or sender.engine is not replica.engine or stream.is_logical:
        return 0
    if receiver is None:  # its name is all that is known
        return _NAME if _plain(stream.name) == _plain(replica.profile) else 0
    score = 0
    pairs = [
        (sender.system, replica.system, _SYSTEM),
        (stream.identity, replica.identity, _IDENTITY),
        (sender.identity, receiver.source_identity, _IDENTITY),
        ("" if stream.name.startswith(_UNNAMED_STREAM) or stream.identity else stream.name, receiver.name, _NAME),
    ]
    for one, other, weight in pairs:
        if one and other:
            if one != other:
                return 0
            score += weight
    if sender.engine is EngineName.POSTGRESQL:
        if stream.slot != receiver.slot:
            return 0
        score += _SLOT if stream.slot else 0
    return score + _score_addresses(sender, stream, replica, receiver)


def _score_addresses(
    sender: ServerReplication, stream: ReplicaStream, replica: ServerReplication, receiver: Receiver
) -> int:
    """Addresses have many names, and tunnels others: they speak for something, and never against it."""
    host, _, port = receiver.source.rpartition(":")
    sender_host, _, sender_port = sender.address.rpartition(":")
    score = _PORT if port and port == sender_port else 0
    score += _HOST if host and host == sender_host else 0
    return score + (_CLIENT if stream.client and stream.client == replica.address.rpartition(":")[0] else 0)


def _distance(stream: ReplicaStream, replica: ServerReplication, receiver: Receiver | None) -> int:
    """How far two views of the same position are apart, to tell streams that are alike."""
    received = receiver.received if receiver else None
    replayed = replica.applier.replayed if replica.applier else None
    pairs = ((stream.flushed, received), (stream.replayed, replayed))
    return sum(abs(one - other) for one, other in pairs if one is not None and other is not None)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _find_sender(
    server: ServerReplication, servers: tuple[ServerReplication, ...], root: ServerReplication | None
) -> ServerReplication | None:
    """From whom a replica without a stream would receive: by server_id, by address, else the primary of its data."""
    if server.problem or not server.is_replica:
        return None
    for receiver in server.receivers:
        for each in servers:
            if each is server or each.engine is not server.engine:
                continue
            if receiver.source_identity and each.identity:
                if receiver.source_identity == each.identity:
                    return each
            elif receiver.source and receiver.source == each.address and each.system in ("", server.system):
                return each
    is_kin = root is not None and bool(root.system) and root.system == server.system
    return root if is_kin else None


# ---------------------------------------------------------------- order


def _in_order(links: list[Link], root: ServerReplication | None) -> Iterator[Link]:
    """Parents before their children, as deep as they are; then what hangs on nothing that is known."""
    left = dict.fromkeys(range(len(links)))

    def under(sender: ServerReplication, depth: int) -> Iterator[Link]:
        for position in [each for each in left if links[each].sender is sender]:
            if position in left:
                del left[position]
                yield replace(links[position], depth=depth)
                child = links[position].server
                if child is not None:
                    yield from under(child, depth + 1)

    if root is not None:
        yield from under(root, 0)
    while left:  # beginning with those whose sender is not here
        first = next((each for each in left if links[each].sender is None), next(iter(left)))
        del left[first]
        yield links[first]
        server = links[first].server
        if server is not None:
            yield from under(server, 1)


def keeps_log(stream: ReplicaStream) -> bool:
    """Whether it is told what is kept and never what is applied: a tool that keeps the log, by whatever name."""
    kept = stream.flushed if stream.flushed is not None else stream.written
    return stream.state == "streaming" and kept is not None and stream.replayed is None


def replayed_of(link: Link) -> Point | None:
    """Return how far a replica has applied the log, by whoever knows more: its own word is newer than its sender's."""
    own = link.server.applier if link.server is not None else None
    told = [point_of(own.replayed, own.log_file)] if own is not None else []
    if link.stream is not None:
        told.append(point_of(link.stream.replayed))
    return max((each for each in told if each is not None), default=None)
