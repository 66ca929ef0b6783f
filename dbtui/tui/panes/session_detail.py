"""All about one session: who it is, what it does, for how long, who blocks it, whom it blocks, its whole statement."""

from collections.abc import Iterator, Mapping, Sequence

from dbtui.analysis.sessions import BlockingNode, root_blocker
from dbtui.model.sessions import Session, SessionsSnapshot
from dbtui.tui.ages import brief_age, format_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.plan_lines import fact, warning
from dbtui.tui.panes.session_rows import SessionRow, sign, sql_text, tree_rows
from dbtui.tui.spoken_keys import speak_keys

_MOST_VICTIMS = 12
_MOST_SQL_LINES = 400


def who(session: Session) -> str:
    """Return a session in a few words: number, user, application, where from."""
    return "  ".join(
        each for each in (str(session.session_id), session.user, session.application, session.client) if each
    )


def show_session(row: SessionRow, snapshot: SessionsSnapshot, tree: Sequence[BlockingNode]) -> list[Line]:
    """Return the lines about the session of `row`."""
    session = row.session
    by_id = {each.session_id: each for each in snapshot.sessions}
    kind = "  dbtui's own" if session.is_own else "" if session.is_client else "  worker of the server"
    since = f"  for {brief_age(session.state_seconds)}" if session.state_seconds is not None else ""
    path = {None: "", True: "  TLS", False: "  no TLS"}[session.is_tls]
    where = "".join(f"  {word} {name}" for word, name in (("from", session.client), ("in", session.database)) if name)
    lines = [
        line(sign(session, row.victims), strong(str(session.session_id)), f"  {session.user}", dim(kind)),
        fact("application", session.application or "–", dim(where), dim(path)),
        fact("state", session.state or "–", dim(since)),
        fact("waits for", Span(session.wait) if session.wait else dim("nothing")),
        fact("ages", *_ages(session)),
        *_blocking(session, by_id, tree),
        BLANK,
        *show_sql(session.sql, "Statement" if session.is_active else "Last statement"),
    ]
    if session.started_at is not None:
        lines += [BLANK, fact("connected", format_time(session.started_at))]
    return lines


def _ages(session: Session) -> Iterator[Span]:
    transaction, query = brief_age(session.transaction_seconds), brief_age(session.query_seconds)
    yield Span(f"transaction {transaction}" if transaction else "no transaction")
    if query:
        yield Span(f", statement {query}")


def _blocking(session: Session, by_id: Mapping[int, Session], tree: Sequence[BlockingNode]) -> Iterator[Line]:
    for number in session.blocked_by:
        other = by_id.get(number)
        yield fact("blocked by", Span(str(number), Tone.TROUBLE), f"  {_brief(other)}" if other else "  not visible")
    found = root_blocker(tree, session.session_id)
    root = found.session if found is not None else session
    if root.session_id not in (*session.blocked_by, session.session_id):
        yield fact(
            "root",
            Span(str(root.session_id), Tone.TROUBLE),
            f"  {_brief(root)}",
            dim(speak_keys("  {sessions.root} goes there")),
        )
    waiting = [each for each in by_id.values() if session.session_id in each.blocked_by]
    for place, other in enumerate(waiting[:_MOST_VICTIMS]):
        yield fact("" if place else "blocks", Span(str(other.session_id), Tone.WARNING), f"  {_brief(other)}")
    if len(waiting) > _MOST_VICTIMS:
        yield fact("", f"and {len(waiting) - _MOST_VICTIMS} more")


def _brief(session: Session) -> str:
    return f"{session.user}  {session.state}  {sql_text(session)[:60]}"


def show_sql(sql: str, title: str) -> list[Line]:
    """Return a statement as it was written."""
    if not sql:
        return [line(dim("Its statement is not known."))]
    rows = sql.expandtabs(4).splitlines()
    cut = [line(dim(f"and {len(rows) - _MOST_SQL_LINES} more lines"))] if len(rows) > _MOST_SQL_LINES else []
    return [line(strong(title)), *(line(row) for row in rows[:_MOST_SQL_LINES]), *cut]


def show_plan(plan: str, session: Session) -> list[Line]:
    """Return the plan of a session's statement."""
    return [line(strong("Plan"), dim(f"  of the statement of {session.session_id}, not run")),
            *(line(row) for row in plan.splitlines())]  # fmt: skip


def show_tree(snapshot: SessionsSnapshot, blocking: Sequence[BlockingNode]) -> list[Line]:
    """Return the blocking tree in brief, for beside the list."""
    rows = tree_rows(blocking)
    if not rows:
        return [line(strong("Blocking")), line(dim(nobody_waits(snapshot)))]
    lines = [line(strong("Blocking"), dim(speak_keys("  {sessions.tree} tree · {sessions.root} root")))]
    for row in rows:
        waits = brief_age(row.session.query_seconds if row.session.blocked_by else row.session.transaction_seconds)
        lines.append(line(dim(row.branch), sign(row.session, row.victims), strong(str(row.session.session_id)),
                          f" {row.session.user}  ",
                          Span(f"waits {waits}" if row.session.blocked_by else f"{row.session.state} {waits}"),
                          dim(f"  {sql_text(row.session)[:120]}")))  # fmt: skip
    return lines


def nobody_waits(snapshot: SessionsSnapshot) -> str:
    """Say that there is no blocking tree; a login that sees little cannot know."""
    return "Nobody is seen to wait for another session." if snapshot.is_partial else "Nobody waits for another session."


def show_gaps(snapshot: SessionsSnapshot) -> list[Line]:
    """Return what could not be seen, and why."""
    return [warning(gap) for gap in snapshot.gaps]
