"""Sessions as rows: of the list, of the blocking tree, of groups; and the line that counts them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbtui.analysis.sessions import BlockingNode, GroupRow, SessionFilter, assess_session, count_filtered
from dbtui.model.findings import FindingLevel, SessionConcern
from dbtui.model.sessions import Session, SessionsSnapshot
from dbtui.tui.ages import brief_age
from dbtui.tui.cells import Line, Span, Tone, dim, fresh, line, strong
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.rows import Column

_SHORT_STATES = {"idle in transaction": "idle in tx", "idle in transaction (aborted)": "aborted tx"}


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session, how many wait for it, in the tree the branch that leads to it, and what differs from the last look."""

    session: Session
    key: str
    victims: int = 0
    branch: str = ""
    changed: frozenset[str] = frozenset()


def session_key(session: Session) -> str:
    """What tells a session from a later one of the same number."""
    born = session.started_at.isoformat() if session.started_at else f"{session.user} {session.client}"
    return f"{session.session_id} {born}"


#: Which values of each session differ from the last look, by its number.
Changes = Mapping[int, frozenset[str]]
_SAME: frozenset[str] = frozenset()


def list_rows(sessions: Sequence[Session], victims: Mapping[int, int], changes: Changes) -> list[SessionRow]:
    """Return sessions as rows: those that work first, then dbtui's own, workers of the server last."""
    rows = [
        SessionRow(each, session_key(each), victims.get(each.session_id, 0),
                   changed=changes.get(each.session_id, _SAME))
        for each in sessions
    ]  # fmt: skip

    def rank(row: SessionRow) -> tuple[bool, bool, bool, int]:
        session = row.session
        return (not session.is_client, session.is_own, not session.is_active, session.session_id)

    return sorted(rows, key=rank)


def tree_rows(roots: Sequence[BlockingNode], changes: Changes | None = None) -> list[SessionRow]:
    """Return the blocking tree as rows, each root followed by those who wait for it."""
    return [row for root in roots for row in _branch(root, "", "", changes or {})]


def _branch(node: BlockingNode, before: str, below: str, changes: Changes) -> Iterator[SessionRow]:
    changed = changes.get(node.session.session_id, _SAME)
    yield SessionRow(node.session, session_key(node.session), node.victims, before, changed)
    for place, child in enumerate(node.children, 1):
        last = place == len(node.children)
        bend, line_down = ("└ ", "  ") if last else ("├ ", "│ ")
        yield from _branch(child, below + bend, below + line_down, changes)


# ------------------------------------------------------------ cells


def sign(session: Session, victims: int) -> Span:
    """Return the sign of a session: in trouble, worth a look, works, rests."""
    levels = {finding.level for finding in assess_session(session, victims)}
    if FindingLevel.TROUBLE in levels:
        return Span("✖ ", Tone.TROUBLE)
    if FindingLevel.REMARK in levels:
        return Span("▲ ", Tone.WARNING)
    return Span("● ", Tone.OK) if session.is_active else dim("○ ")


def state_text(session: Session) -> str:
    """Return its state in a few cells."""
    return _SHORT_STATES.get(session.state, session.state or "–")


def _state(row: SessionRow) -> Line:
    return (sign(row.session, row.victims), _state_span(row))


def _state_span(row: SessionRow) -> Span:
    return fresh(Span(state_text(row.session)), "state" in row.changed)


def _wait(row: SessionRow) -> Span:
    return fresh(_reason(row), not row.changed.isdisjoint(("wait", "blocked_by", "victims")))


def _reason(row: SessionRow) -> Span:
    session = row.session
    if session.blocked_by:
        return Span(f"by {' '.join(str(each) for each in session.blocked_by[:3])}", Tone.TROUBLE)
    if row.victims:
        return Span(f"blocks {row.victims}", Tone.WARNING)
    return Span(session.wait) if session.is_active else dim(session.wait)


def sql_text(session: Session) -> str:
    """Return its statement on one line."""
    return " ".join(session.sql[:2000].split())


def _sql(row: SessionRow) -> Span:
    return Span(sql_text(row.session), Tone.PLAIN if row.session.is_active else Tone.DIM)


def _transaction(row: SessionRow) -> Span:
    is_old = any(each.kind is SessionConcern.OLD_TRANSACTION for each in assess_session(row.session))
    return Span(brief_age(row.session.transaction_seconds), Tone.WARNING if is_old else Tone.PLAIN)


def _transaction_order(row: SessionRow) -> float | None:
    return None if row.session.is_own else row.session.transaction_seconds


def _query(row: SessionRow) -> Span:
    return Span(brief_age(row.session.query_seconds))


def _id(row: SessionRow) -> Span:
    number = str(row.session.session_id)
    cell = dim(number) if row.session.is_own or not row.session.is_client else strong(number)
    return fresh(cell, "session_id" in row.changed)


def _user(row: SessionRow) -> Span:
    return Span(row.session.user) if row.session.user else dim(row.session.application)


SESSION_COLUMNS: list[Column[SessionRow]] = [
    Column("ID", _id, 7, right=True, order=lambda row: row.session.session_id),
    Column("USER", _user, 8, grow=1, widest=14, order=lambda row: row.session.user),
    Column("DATABASE", lambda row: Span(row.session.database), 10, spare=3, order=lambda row: row.session.database),
    Column("APPLICATION", lambda row: Span(row.session.application), 14, spare=1, grow=1, widest=22,
           order=lambda row: row.session.application),
    Column("CLIENT", lambda row: dim(row.session.client), 14, spare=2, grow=1, widest=22,
           order=lambda row: row.session.client),
    Column("STATE", _state, 12, grow=1, widest=24, order=lambda row: row.session.state),
    Column("WAIT", _wait, 11, grow=2, widest=28, order=lambda row: row.session.wait or None),
    Column("XACT", _transaction, 6, right=True, descending=True, order=_transaction_order),
    Column("QUERY", _query, 6, right=True, descending=True, order=lambda row: row.session.query_seconds),
    Column("SQL", _sql, 12, grow=8, order=lambda row: row.session.sql or None),
]  # fmt: skip
#: The column that the list is sorted by at first.
OLDEST_TRANSACTION = 7


def _node(row: SessionRow) -> Line:
    number = fresh(strong(str(row.session.session_id)), "session_id" in row.changed)
    return (dim(row.branch), sign(row.session, row.victims), number,
            Span(f" {row.session.user or row.session.application}"))  # fmt: skip


def _since(row: SessionRow) -> Span:
    session = row.session
    seconds = session.state_seconds if not session.blocked_by else session.query_seconds or session.state_seconds
    return Span(brief_age(seconds))


def _role(row: SessionRow) -> Span:
    if row.victims:
        return fresh(Span(f"blocks {row.victims}", Tone.WARNING), "victims" in row.changed)
    return Span("waits", Tone.TROUBLE) if row.session.blocked_by else Span("")


TREE_COLUMNS: list[Column[SessionRow]] = [
    Column("SESSION", _node, 22, grow=2, widest=38),
    Column("", _role, 9),
    Column("STATE", _state_span, 10),
    Column("SINCE", _since, 6, right=True),
    Column("WAIT", lambda row: fresh(Span(row.session.wait), "wait" in row.changed), 10, spare=2, grow=1, widest=26),
    Column("APPLICATION", lambda row: Span(row.session.application), 12, spare=1, grow=1, widest=22),
    Column("SQL", _sql, 14, grow=6),
]


GROUP_COLUMNS: list[Column[GroupRow]] = [
    Column("GROUP", lambda row: strong(row.name or "–"), 20, grow=1, widest=50, order=lambda row: row.name.lower()),
    Column("SESSIONS", lambda row: Span(str(row.count)), 8, right=True, descending=True, order=lambda row: row.count),
    Column("ACTIVE", lambda row: Span(str(row.active or "")), 6, right=True, descending=True,
           order=lambda row: row.active),
    Column("BLOCKED", lambda row: Span(str(row.blocked or ""), Tone.TROUBLE), 7, right=True, descending=True,
           order=lambda row: row.blocked),
    Column("IDLE IN TX", lambda row: Span(str(row.idle_in_transaction or ""), Tone.WARNING), 10, right=True,
           descending=True, order=lambda row: row.idle_in_transaction),
    Column("OLDEST XACT", lambda row: Span(brief_age(row.oldest_seconds)), 11, right=True, descending=True,
           order=lambda row: row.oldest_seconds),
]  # fmt: skip


def summary_line(snapshot: SessionsSnapshot, chosen: SessionFilter, marked: int, mode: str) -> Line:
    """Return what is marked or drawn, then how many sessions each filter shows, the chosen one bright."""
    cells: list[Span] = [Span(" ")]
    if marked:
        cells += [Span(f"■ {marked} marked", Tone.ACCENT), Span("  ")]
    if snapshot.is_partial:
        cells += [Span(speak_keys("▲ partly hidden, {sessions.detail} says why"), Tone.WARNING), Span("  ")]
    if mode:
        cells += [strong(mode), Span("  ")]
    counts = count_filtered(snapshot)
    for each in FILTERS:
        count = counts[each]
        text = f" {each.value} {count} "
        if each is chosen:
            cells.append(Span(text, Tone.ACTIVE))
        elif count and each is SessionFilter.BLOCKED:
            cells.append(Span(text, Tone.TROUBLE))
        else:
            cells.append(dim(text))
    return line(*cells)


FILTERS = tuple(SessionFilter)
