"""What `dbtui sessions TARGET` does: asks once, and prints a table, the blocking tree or one JSON document."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dbtui.analysis.sessions import (
    BlockingNode,
    GroupRow,
    SessionFilter,
    assess_session,
    blocking_tree,
    count_victims,
    filter_sessions,
    group_sessions,
    walk_tree,
)
from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.cli.printers import print_document, write_data
from dbtui.cli.tables import Column, format_table, show_age, terminal_width
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest
from dbtui.model.findings import FindingLevel, SessionFinding
from dbtui.model.sessions import Session, SessionsSnapshot
from dbtui.routines.sessions import collect_sessions

_COLUMNS = (
    Column("ID", right=True),
    Column("USER", least=6, drop=4),
    Column("DATABASE", least=6, drop=6),
    Column("APPLICATION", least=6, drop=5),
    Column("CLIENT", least=9, drop=8),
    Column("STATE", least=8),
    Column("WAIT", least=6, drop=7),
    Column("TX", right=True),
    Column("QUERY", right=True, drop=3),
    Column("BLOCKED BY", least=5, drop=1),
    Column("BLOCKS", right=True, drop=2),
    Column("SQL", least=12),
)
_TREE_COLUMNS = (
    Column("SESSION", least=8),
    Column("BLOCKS", right=True),
    Column("USER", least=6, drop=2),
    Column("APPLICATION", least=6, drop=3),
    Column("CLIENT", least=9, drop=5),
    Column("STATE", least=8),
    Column("WAIT", least=6, drop=4),
    Column("TX", right=True),
    Column("SQL", least=12, drop=1),
)
_GROUP_COLUMNS = (
    Column("GROUP", least=8),
    Column("SESSIONS", right=True),
    Column("ACTIVE", right=True),
    Column("IDLE IN TX", right=True),
    Column("BLOCKED", right=True),
    Column("OLDEST TX", right=True),
)
_DEEPEST = 20


def show_sessions(
    *, target: str | None, wanted: str, everybody: bool, by: str | None, tree: bool, as_json: bool
) -> int:
    """Print the sessions of a target; `everybody`: also what is in the background."""
    if tree and (by or wanted not in (SessionFilter.CLIENTS, SessionFilter.ALL)):
        raise UsageError("--tree shows all who block and wait", "leave out --filter and --group")
    invocation = Invocation.begin(as_json=as_json)
    profile = invocation.target(target)
    request: JobRequest[SessionsSnapshot] = JobRequest(
        routine="sessions", target=profile.name, start=lambda c: collect_sessions(c, profile), changes=False
    )
    snapshot = invocation.result_of(request, profile)
    if snapshot.unsupported:
        raise UsageError(f"{profile.name}: {snapshot.unsupported}", "name a PostgreSQL or MySQL target")
    kind = SessionFilter(wanted.replace("-", " "))
    chosen = _sorted(filter_sessions(snapshot, kind, everybody=everybody))
    left_out = len(filter_sessions(snapshot, kind, everybody=True)) - len(chosen)
    nodes = blocking_tree(snapshot.sessions)
    groups = group_sessions(chosen, by) if by else None
    if as_json:
        _print_json(snapshot, chosen, nodes, groups, tree=tree, left_out=left_out)
        return exit_codes.DONE
    for gap in snapshot.gaps:
        invocation.printer.warn(gap)
    lines = _lines(chosen, nodes, groups, tree=tree)
    if lines:
        write_data("\n".join(lines))
    else:
        invocation.printer.say(_nobody(kind, tree=tree, sees_all=not snapshot.is_partial))
    if left_out and not tree:
        invocation.printer.say(f"{left_out} left out: dbtui's own and workers of the server; --all shows them")
    return exit_codes.DONE


def _nobody(kind: SessionFilter, *, tree: bool, sees_all: bool) -> str:
    """Say that there is no row; a login that sees little cannot know that there is nobody."""
    if tree:
        return "nobody waits for anybody" if sees_all else "nobody is seen to wait for anybody"
    if kind is SessionFilter.CLIENTS:
        return "nobody is connected" if sees_all else "nobody is seen"
    wanted = "" if kind is SessionFilter.ALL else f"{kind.value.replace(' ', '-')} "
    return f"no {wanted}sessions" if sees_all else f"no {wanted}sessions are seen"


def _sorted(sessions: Iterable[Session]) -> list[Session]:
    """The longest transactions first, then dbtui's own, the server's own workers last."""

    def rank(session: Session) -> tuple[bool, bool, float, bool]:
        age = session.transaction_seconds or 0.0
        return (not session.is_client, session.is_own, -age, not session.is_active)

    return sorted(sessions, key=rank)


def _print_json(
    snapshot: SessionsSnapshot,
    chosen: Sequence[Session],
    nodes: Sequence[BlockingNode],
    groups: Sequence[GroupRow] | None,
    *,
    tree: bool,
    left_out: int,
) -> None:
    victims = count_victims(nodes)
    fields: dict[str, Any] = {
        "target": snapshot.profile,
        "taken_at": snapshot.taken_at,
        "user": snapshot.user,
        "sessions": chosen,
        "left_out": left_out,
        "gaps": snapshot.gaps,
        "is_partial": snapshot.is_partial,
        "findings": [finding for each in chosen for finding in _assess(each, victims)],
    }
    if tree:
        fields["tree"] = [_node_fields(node, root) for root in nodes for node in walk_tree([root])]
    if groups is not None:
        fields["groups"] = groups
    print_document(**fields)


def _node_fields(node: BlockingNode, root: BlockingNode) -> dict[str, Any]:
    return {
        "session_id": node.session.session_id,
        "root_session_id": root.session.session_id,
        "depth": node.depth,
        "victims": node.victims,
        "blocked_by": node.session.blocked_by,
        "session": node.session,
    }


def _lines(
    chosen: Sequence[Session],
    nodes: Sequence[BlockingNode],
    groups: Sequence[GroupRow] | None,
    *,
    tree: bool,
) -> list[str]:
    if tree:
        columns: Sequence[Column] = _TREE_COLUMNS
        rows = [_tree_cells(node) for node in walk_tree(nodes)]
    elif groups is not None:
        columns, rows = _GROUP_COLUMNS, [_group_cells(row) for row in groups]
    else:
        victims = count_victims(nodes)
        columns, rows = _COLUMNS, [_cells(each, victims.get(each.session_id, 0)) for each in chosen]
    return format_table(columns, rows, terminal_width()) if rows else []


def _assess(session: Session, victims: Mapping[int, int]) -> tuple[SessionFinding, ...]:
    return assess_session(session, victims.get(session.session_id, 0))


def _state(session: Session, victims: int) -> str:
    """Its state with a sign: in trouble, worth a look, works, rests."""
    levels = {finding.level for finding in assess_session(session, victims)}
    sign = "✖" if FindingLevel.TROUBLE in levels else "▲" if levels else "●" if session.is_active else "○"
    return f"{sign} {session.state}"


def _cells(session: Session, victims: int) -> tuple[str, ...]:
    return (
        str(session.session_id),
        session.user,
        session.database,
        session.application,
        session.client,
        _state(session, victims),
        session.wait,
        show_age(session.transaction_seconds),
        show_age(session.query_seconds),
        ", ".join(map(str, session.blocked_by)),
        str(victims or ""),
        " ".join(session.sql.split()),
    )


def _tree_cells(node: BlockingNode) -> tuple[str, ...]:
    session, depth = node.session, min(node.depth, _DEEPEST)
    return (
        f"{'  ' * (depth - 1)}└ {session.session_id}" if depth else str(session.session_id),
        str(node.victims or ""),
        session.user,
        session.application,
        session.client,
        _state(session, node.victims),
        session.wait,
        show_age(session.transaction_seconds),
        " ".join(session.sql.split()),
    )


def _group_cells(row: GroupRow) -> tuple[str, ...]:
    numbers = (row.count, row.active, row.idle_in_transaction, row.blocked)
    return (row.name or "–", *(str(number or "") for number in numbers), show_age(row.oldest_seconds))
