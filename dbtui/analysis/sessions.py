"""Judging sessions: who blocks whom, which are shown, how they add up, and what an order to end some would do."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dbtui.model.connections import ConnectionProfile
from dbtui.model.findings import FindingLevel, SessionConcern, SessionFinding
from dbtui.model.sessions import Session, SessionsPlan, SessionsSnapshot, SessionVerb
from dbtui.model.text import format_duration, format_untrusted

#: What PostgreSQL's pg_blocking_pids() says for a lock that a prepared transaction holds.
PREPARED_TRANSACTION = 0
#: From so old on, the transaction of a client is something to say.
OLD_TRANSACTION_SECONDS = 60.0
_NAMED_SESSIONS = 5
_COMPARED = ("state", "wait", "blocked_by")
_LONG_TRANSACTION_SECONDS = 1.0


class SessionFilter(StrEnum):
    """Which sessions are shown; all but the last leave out what is in the background."""

    CLIENTS = "clients"
    ACTIVE = "active"
    IDLE_IN_TRANSACTION = "idle in transaction"
    BLOCKED = "blocked"
    MINE = "mine"
    ALL = "all"


class GroupBy(StrEnum):
    """What sessions are added up by."""

    APPLICATION = "application"
    USER = "user"
    DATABASE = "database"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class BlockingNode:
    """A session in the blocking tree. `victims`: how many sessions wait for it, directly or not."""

    session: Session
    children: tuple["BlockingNode", ...] = ()
    depth: int = 0
    victims: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """Sessions that have something in common. `oldest_seconds`: the age of their oldest transaction."""

    name: str
    count: int
    active: int
    idle_in_transaction: int
    blocked: int
    oldest_seconds: float | None


# ---------------------------------------------------------------- filters and groups


def filter_sessions(
    snapshot: SessionsSnapshot, wanted: SessionFilter, *, everybody: bool = False
) -> tuple[Session, ...]:
    """Return the sessions that a filter lets through, in their order.

    Workers of the server and dbtui's own sessions are in the background: unless `everybody` is wanted they are left
    out, save those that wait for another session or keep one waiting.
    """
    found = tuple(each for each in snapshot.sessions if _is_wanted(each, wanted, snapshot.user))
    if everybody or wanted is SessionFilter.ALL:
        return found
    blockers = {blocker for each in snapshot.sessions for blocker in each.blocked_by}
    return tuple(each for each in found if not _is_background(each) or each.blocked_by or each.session_id in blockers)


#: Filters that look at a session itself.
_NARROWING = (SessionFilter.ACTIVE, SessionFilter.IDLE_IN_TRANSACTION, SessionFilter.BLOCKED, SessionFilter.MINE)


def count_filtered(snapshot: SessionsSnapshot) -> dict[SessionFilter, int]:
    """Return how many sessions each filter lets through, as `filter_sessions` would, looking at each session once."""
    blockers = {blocker for each in snapshot.sessions for blocker in each.blocked_by}
    shown = [
        each for each in snapshot.sessions if not _is_background(each) or each.blocked_by or each.session_id in blockers
    ]
    counts = {wanted: sum(_is_wanted(each, wanted, snapshot.user) for each in shown) for wanted in _NARROWING}
    return {each: counts.get(each, len(shown)) for each in SessionFilter} | {SessionFilter.ALL: len(snapshot.sessions)}


def _is_background(session: Session) -> bool:
    return session.is_own or not session.is_client


def _is_wanted(session: Session, wanted: SessionFilter, user: str) -> bool:
    if wanted is SessionFilter.ACTIVE:
        return session.is_active
    if wanted is SessionFilter.IDLE_IN_TRANSACTION:
        return session.is_idle_in_transaction
    if wanted is SessionFilter.BLOCKED:
        return bool(session.blocked_by)
    if wanted is SessionFilter.MINE:
        return bool(user) and session.user == user
    return True


def group_sessions(sessions: Iterable[Session], by: GroupBy | str) -> tuple[GroupRow, ...]:
    """Add sessions up by one of their properties, the most numerous first; a client counts without its port."""
    groups: dict[str, list[Session]] = {}
    for session in sessions:
        groups.setdefault(_name_in_group(session, GroupBy(by)), []).append(session)
    rows = [_group_row(name, members) for name, members in groups.items()]
    return tuple(sorted(rows, key=lambda row: (-row.count, row.name)))


def _name_in_group(session: Session, by: GroupBy) -> str:
    if by is GroupBy.APPLICATION:
        return session.application
    if by is GroupBy.USER:
        return session.user
    if by is GroupBy.DATABASE:
        return session.database
    host, _, port = session.client.rpartition(":")
    return host if host and port.isdecimal() else session.client


def _group_row(name: str, members: Sequence[Session]) -> GroupRow:
    ages = [each.transaction_seconds for each in members if each.transaction_seconds is not None]
    return GroupRow(
        name=name,
        count=len(members),
        active=sum(each.is_active for each in members),
        idle_in_transaction=sum(each.is_idle_in_transaction for each in members),
        blocked=sum(bool(each.blocked_by) for each in members),
        oldest_seconds=max(ages, default=None),
    )


# ---------------------------------------------------------------- findings


def assess_session(session: Session, victims: int = 0) -> tuple[SessionFinding, ...]:
    """Return what there is to say of a session that so many wait for, what matters most first."""
    return tuple(
        SessionFinding(session.session_id, kind, level, words) for kind, level, words in _findings(session, victims)
    )


def _findings(session: Session, victims: int) -> Iterator[tuple[SessionConcern, FindingLevel, str]]:
    age = session.transaction_seconds
    if session.blocked_by:
        blockers = ", ".join(str(each) for each in session.blocked_by[:_NAMED_SESSIONS])
        more = " …" if len(session.blocked_by) > _NAMED_SESSIONS else ""
        yield SessionConcern.BLOCKED, FindingLevel.TROUBLE, f"blocked by {blockers}{more}"
    if victims:
        yield SessionConcern.BLOCKS, FindingLevel.REMARK, f"blocks {victims}"
    if session.is_idle_in_transaction:
        since = f" {format_duration(session.state_seconds)}" if session.state_seconds is not None else ""
        yield SessionConcern.IDLE_IN_TRANSACTION, FindingLevel.REMARK, f"idle in transaction{since}"
    if session.is_client and age is not None and age >= OLD_TRANSACTION_SECONDS:
        yield SessionConcern.OLD_TRANSACTION, FindingLevel.REMARK, f"transaction {format_duration(age)} old"


def assess_changes(
    previous: SessionsSnapshot | None, current: SessionsSnapshot, victims: Mapping[int, tuple[int, int]]
) -> dict[int, frozenset[str]]:
    """Return by its number which values of a session differ between two looks.

    They are `state`, `wait`, `blocked_by` and `victims`; a session that was not there has another `session_id`. Ages,
    which always differ, are not compared. `victims` are how many waited for each then and now. Before the first look
    there was nothing to differ from.
    """
    if previous is None:
        return {}
    before = {each.session_id: each for each in previous.sessions}
    changes: dict[int, frozenset[str]] = {}
    for session in current.sessions:
        then = before.get(session.session_id)
        if then is None or not _is_same(then, session):
            changes[session.session_id] = frozenset({"session_id"})
            continue
        changed = {name for name in _COMPARED if getattr(then, name) != getattr(session, name)}
        waited, wait = victims.get(session.session_id, (0, 0))
        if changed or waited != wait:
            changes[session.session_id] = frozenset(changed | ({"victims"} if waited != wait else set()))
    return changes


def _is_same(then: Session, now: Session) -> bool:
    """Whether two looks tell of one session, and not of a later one that was given its number."""
    return (then.started_at, then.user, then.client) == (now.started_at, now.user, now.client)


# ---------------------------------------------------------------- the blocking tree


def blocking_tree(sessions: Iterable[Session]) -> tuple[BlockingNode, ...]:
    """Return who blocks whom: the root blockers, most victims first, with those who wait for them below.

    Every session stands once, as near to a root as it can; `blocked_by` tells the rest. Of a circle (a deadlock that
    the server has not broken yet) the session with most victims is the root, and what leads back to it is left out.
    A blocker that the snapshot does not hold, such as a prepared transaction, stands as a session in state "not seen".
    """
    known = {each.session_id: each for each in sessions}
    waiting = _waiting_for(known)
    victims = _count_reached(waiting)
    blocked = {victim for found in waiting.values() for victim in found}

    def rank(session_id: int) -> tuple[float, ...]:
        age = known[session_id].transaction_seconds if session_id in known else None
        return (-victims[session_id], -(age or 0.0), session_id)

    order: list[int] = []
    depths: dict[int, int] = {}
    parents: dict[int, int] = {}
    roots = sorted((each for each in waiting if each not in blocked), key=rank)
    _descend(roots, waiting, rank, order, depths, parents)
    for session_id in sorted(waiting, key=rank):  # what is left goes round in circles
        if session_id not in depths:
            roots.append(session_id)
            _descend([session_id], waiting, rank, order, depths, parents)
    nodes = _build_nodes(order, depths, parents, known, victims)
    return tuple(nodes[root] for root in sorted(roots, key=rank))


def walk_tree(nodes: Sequence[BlockingNode]) -> Iterator[BlockingNode]:
    """Every node of a tree, each before those below it."""
    stack = list(reversed(nodes))
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


def count_victims(nodes: Sequence[BlockingNode]) -> dict[int, int]:
    """Return how many wait for each session of a tree, by its number."""
    return {node.session.session_id: node.victims for node in walk_tree(nodes)}


def root_blocker(nodes: Sequence[BlockingNode], session_id: int) -> BlockingNode | None:
    """Return the root that a session stands under, itself if it is one; None when it is not in the tree."""
    return next(
        (root for root in nodes if any(each.session.session_id == session_id for each in walk_tree([root]))), None
    )


def _waiting_for(known: Mapping[int, Session]) -> dict[int, list[int]]:
    """By blocker: who waits for it. Everybody in the tree is a key."""
    waiting: dict[int, list[int]] = {}
    for session in known.values():
        for blocker in dict.fromkeys(session.blocked_by):
            if blocker != session.session_id:
                waiting.setdefault(blocker, []).append(session.session_id)
                waiting.setdefault(session.session_id, [])
    return waiting


def _count_reached(waiting: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """How many sessions each one reaches, as bits of a number; those waited for last are summed up first."""
    bits = {session_id: 1 << position for position, session_id in enumerate(waiting)}
    reached = dict.fromkeys(waiting, 0)
    order = _deepest_first(waiting)
    changed = True
    while changed:
        changed = False
        for session_id in order:
            found = reached[session_id]
            for victim in waiting[session_id]:
                found |= bits[victim] | reached[victim]
            if found != reached[session_id]:
                reached[session_id], changed = found, True
    return {session_id: (found & ~bits[session_id]).bit_count() for session_id, found in reached.items()}


def _deepest_first(waiting: Mapping[int, Sequence[int]]) -> list[int]:
    order: list[int] = []
    seen: set[int] = set()
    for start in waiting:
        if start in seen:
            continue
        seen.add(start)
        stack = [(start, iter(waiting[start]))]
        while stack:
            session_id, victims = stack[-1]
            following = next((each for each in victims if each not in seen), None)
            if following is None:
                order.append(session_id)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(waiting[following])))
    return order


def _descend(
    roots: Sequence[int],
    waiting: Mapping[int, Sequence[int]],
    rank: Callable[[int], tuple[float, ...]],
    order: list[int],
    depths: dict[int, int],
    parents: dict[int, int],
) -> None:
    """Walk from roots to victims, level by level, noting where each session is met first."""
    depths.update(dict.fromkeys(roots, 0))
    level = list(roots)
    while level:
        order.extend(level)
        below: list[int] = []
        for blocker in level:
            for victim in sorted(waiting[blocker], key=rank):
                if victim not in depths:
                    depths[victim], parents[victim] = depths[blocker] + 1, blocker
                    below.append(victim)
        level = below


def _build_nodes(
    order: Sequence[int],
    depths: Mapping[int, int],
    parents: Mapping[int, int],
    known: Mapping[int, Session],
    victims: Mapping[int, int],
) -> dict[int, BlockingNode]:
    children: dict[int, list[BlockingNode]] = {}
    nodes: dict[int, BlockingNode] = {}
    for session_id in reversed(order):
        session = known.get(session_id) or _unseen(session_id)
        below = tuple(reversed(children.pop(session_id, [])))
        nodes[session_id] = BlockingNode(session, below, depths[session_id], victims[session_id])
        if session_id in parents:
            children.setdefault(parents[session_id], []).append(nodes[session_id])
    return nodes


def _unseen(session_id: int) -> Session:
    if session_id == PREPARED_TRANSACTION:
        return Session(session_id=session_id, state="prepared transaction", is_client=False)
    return Session(session_id=session_id, state="not seen", is_client=False)


# ---------------------------------------------------------------- ending sessions


def choose_sessions(snapshot: SessionsSnapshot, session_ids: Iterable[int]) -> tuple[Session, ...]:
    """Return the sessions with these numbers, each once, in the order asked for; those not there are left out."""
    known = {each.session_id: each for each in snapshot.sessions}
    return tuple(known[each] for each in dict.fromkeys(session_ids) if each in known)


def plan_end(
    snapshot: SessionsSnapshot,
    verb: SessionVerb,
    session_ids: Sequence[int],
    orders: Sequence[str],
    profile: ConnectionProfile,
) -> SessionsPlan:
    """Return what ending these statements or sessions would do, and what speaks against it.

    A session that has gone is no reason to leave the others alone: it is `missing`, and said in a warning.
    `orders` are the statements that would run, as the engine's adapter shows them.
    """
    chosen = choose_sessions(snapshot, session_ids)
    there = {each.session_id for each in chosen}
    missing = () if snapshot.unsupported else tuple(each for each in dict.fromkeys(session_ids) if each not in there)
    return SessionsPlan(
        verb=verb,
        sessions=chosen,
        taken_at=snapshot.taken_at,
        commands=tuple(orders),
        warnings=(*(_missing(each, profile) for each in missing), *_warnings(snapshot, verb, chosen)),
        refusals=tuple(_refusals(snapshot, verb, session_ids, chosen, profile)),
        missing=missing,
    )


def _missing(session_id: int, profile: ConnectionProfile) -> str:
    return f"there is no session {session_id} on {format_untrusted(profile.name)}, or the login may not see it"


def _refusals(
    snapshot: SessionsSnapshot,
    verb: SessionVerb,
    session_ids: Sequence[int],
    chosen: Sequence[Session],
    profile: ConnectionProfile,
) -> Iterator[str]:
    name = format_untrusted(profile.name)
    if profile.read_only:
        yield f"profile {name} is read-only; use another profile to {verb.value} sessions"
    if snapshot.unsupported:
        yield snapshot.unsupported
        return
    if not session_ids:
        yield "no session was named"
    for session in chosen:
        if session.is_own:
            yield f"session {session.session_id} is dbtui's own"
        elif not session.is_client:
            yield f"session {session.session_id} is a worker of the server itself"


def _warnings(snapshot: SessionsSnapshot, verb: SessionVerb, chosen: Sequence[Session]) -> Iterator[str]:
    for session in chosen:
        number, age = session.session_id, session.transaction_seconds
        if verb is SessionVerb.CANCEL and session.is_idle_in_transaction:
            yield f"session {number} is idle in transaction: there is nothing to cancel, and its locks stay"
        elif verb is SessionVerb.CANCEL and not session.is_active:
            yield f"session {number} runs no statement: there is nothing to cancel"
        elif verb is SessionVerb.TERMINATE and age is not None and age >= _LONG_TRANSACTION_SECONDS:
            yield f"the transaction of session {number}, {format_duration(age)} old, is rolled back"
    waiting = _others_waiting(snapshot, chosen)
    if waiting:
        named = ", ".join(str(each) for each in waiting[:_NAMED_SESSIONS])
        more = f" and {len(waiting) - _NAMED_SESSIONS} more" if len(waiting) > _NAMED_SESSIONS else ""
        yield f"waiting for {'it' if len(chosen) == 1 else 'them'}: {named}{more}"


def _others_waiting(snapshot: SessionsSnapshot, chosen: Sequence[Session]) -> list[int]:
    ended = {each.session_id for each in chosen}
    return [
        each.session_id
        for each in snapshot.sessions
        if each.session_id not in ended and not ended.isdisjoint(each.blocked_by)
    ]
