"""The sessions of the open target: a list, the blocking tree, or counts by group, and all about the one in focus."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from dbtui.analysis.sessions import (
    BlockingNode,
    GroupBy,
    GroupRow,
    SessionFilter,
    assess_changes,
    blocking_tree,
    count_victims,
    filter_sessions,
    group_sessions,
    root_blocker,
)
from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile
from dbtui.model.sessions import Session, SessionsSnapshot, SessionVerb
from dbtui.tui import session_requests as requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import BLANK, Line, Span, Tone, cut, dim, line, wrap
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.dialogs.end_sessions import EndSessionsDialog
from dbtui.tui.dialogs.planned import error_lines
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import Announced, JobWanted, SituationChanged, TargetOpened
from dbtui.tui.panes import session_rows as rows
from dbtui.tui.panes.connection_detail import show_connection
from dbtui.tui.panes.connection_rows import Row, show_problem
from dbtui.tui.panes.session_detail import nobody_waits, show_gaps, show_plan, show_session, show_tree
from dbtui.tui.panes.session_rows import SessionRow
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

LIST, TREE = "", "tree"
_MODES = {LIST: "#sessions", TREE: "#tree"}
_TITLES = {SessionFilter.CLIENTS: "sessions", SessionFilter.ALL: "all sessions"}
_SETTLE_SECONDS = 0.3


class SessionsView(Vertical):
    """Shows looks at one target. Everything in it is derived from `snapshot`, the filter and the mode."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("sessions")

    def __init__(self, runner: JobRunner) -> None:
        super().__init__(id="sessions-view")
        self._runner = runner
        self.row: Row | None = None
        self.snapshot: SessionsSnapshot | None = None
        self.blocking: tuple[BlockingNode, ...] = ()
        self.changes: rows.Changes = {}
        self.marks_changes = True  # not on a slow link: each mark is sent, and taken off again
        self.filter = SessionFilter.CLIENTS
        self.mode = LIST  # or TREE, or what sessions are grouped by
        self.group: tuple[GroupBy, str] | None = None  # only the sessions of this group are listed
        self.marked: frozenset[str] = frozenset()
        self._explained: tuple[str, list[Line]] = ("", [])

    def compose(self) -> ComposeResult:
        """The counts, three tables of which one is shown, and what is beside or below them."""
        yield Lines(BLANK, id="sessions-summary")
        with Vertical(classes="list"):
            sessions = Table(rows.SESSION_COLUMNS, _key, _search, tickable=True, live=True, id="sessions")
            sessions.sort_by(rows.OLDEST_TRANSACTION)
            yield sessions
            yield Table(rows.TREE_COLUMNS, _key, _search, tickable=True, id="tree")
            groups: Table[GroupRow] = Table(rows.GROUP_COLUMNS, lambda group: group.name, lambda group: group.name,
                                            live=True, id="groups")  # fmt: skip
            yield groups
        with Horizontal(classes="detail"):
            yield TextPanel(id="session-detail")
            yield TextPanel(id="blocking")

    def on_mount(self) -> None:
        """The tree beside is read in its own place."""
        self.query_one("#blocking", TextPanel).can_focus = False
        self._show_mode()

    @property
    def table(self) -> Table[Any]:
        """The table that is shown."""
        return self.query_one(_MODES.get(self.mode, "#groups"), Table)

    @property
    def profile(self) -> ConnectionProfile | None:
        """Whose sessions they are."""
        return self.row.profile if self.row else None

    @property
    def session_row(self) -> SessionRow | None:
        """The session under the cursor."""
        found = self.table.cursor_row
        return found if isinstance(found, SessionRow) else None

    @property
    def marked_sessions(self) -> list[Session]:
        """The sessions that are marked and still there."""
        if self.snapshot is None or not self.marked:
            return []
        return [each for each in self.snapshot.sessions if rows.session_key(each) in self.marked]

    # ------------------------------------------------------------ what is shown

    def open_target(self, row: Row) -> None:
        """Show the sessions of another target."""
        same = self.row is not None and self.row.profile.name == row.profile.name
        if not same:
            self.snapshot, self.blocking, self.marked, self.group = None, (), frozenset(), None
            self.changes = {}
            self.filter, self.mode = SessionFilter.CLIENTS, LIST
            for table in self.query(Table):
                table.show_filter("")
                table.show_rows(())
            self._show_mode()
        self.show_row(row)

    def show_row(self, row: Row) -> None:
        """Show the last look at the target; when it is down, its last sessions stay, dimmed."""
        self.row = row
        if row.is_down:
            self.changes = {}
        elif row.look is not None and row.look.sessions is not None and row.look.sessions is not self.snapshot:
            self._take(row.look.sessions)
        self.set_class(row.is_down, "-old")
        self.show_all()

    def _take(self, snapshot: SessionsSnapshot) -> None:
        """Keep a look, who blocks whom in it, and what differs from the one before."""
        blocking = blocking_tree(snapshot.sessions)
        then, now = count_victims(self.blocking), count_victims(blocking)
        waiting = {each: (then.get(each, 0), now.get(each, 0)) for each in then | now}
        self.changes = assess_changes(self.snapshot, snapshot, waiting) if self.marks_changes else {}
        self.snapshot, self.blocking = snapshot, blocking
        if self.marked:
            self.marked &= {rows.session_key(each) for each in snapshot.sessions}

    def show_all(self) -> None:
        """Draw everything anew; what did not change is not sent."""
        snapshot = self.snapshot
        if snapshot is None:
            self.table.show_rows((), self._nothing())
            self.query_one("#sessions-summary", Lines).show_lines([self._problem_line() or BLANK])
            return
        self._show_rows(snapshot)
        summary = (
            BLANK
            if snapshot.unsupported
            else rows.summary_line(snapshot, self.filter, len(self.marked_sessions), self._mode_text())
        )
        self.query_one("#sessions-summary", Lines).show_lines([self._problem_line() or summary])
        for table in (self.query_one("#sessions", Table), self.query_one("#tree", Table)):
            table.show_marks(self.marked)
        beside = self.query_one("#blocking", TextPanel)
        width = beside.text_width or self.app.size.width  # it has no place yet when another pane was shown before
        beside.show_text([cut(each, width) for each in show_tree(snapshot, self.blocking)], keep=True)

    def _show_rows(self, snapshot: SessionsSnapshot) -> None:
        chosen = self._chosen(snapshot)
        if self.mode == LIST:
            self.table.show_rows(rows.list_rows(chosen, count_victims(self.blocking), self.changes), self._nothing())
        elif self.mode == TREE:
            self.table.show_rows(
                rows.tree_rows(self.blocking, self.changes),
                [line(f" {nobody_waits(snapshot)} ", speak_keys("{sessions.tree} goes back.")), *self._gaps(snapshot)],
            )
        else:
            self.table.show_rows(group_sessions(chosen, self.mode), self._nothing())

    def _chosen(self, snapshot: SessionsSnapshot) -> Sequence[Session]:
        found = filter_sessions(snapshot, self.filter)
        if self.group is None or self.mode != LIST:
            return found
        by, name = self.group
        return [each for each in found if group_sessions((each,), by)[0].name == name]

    def _mode_text(self) -> str:
        if self.mode == TREE:
            return "blocking tree"
        if self.mode:
            return f"by {self.mode}"
        return ""

    def _problem_line(self) -> Line:
        if self.row is None or not self.row.is_down:
            return BLANK
        problem = show_problem(self.row, datetime.now(UTC), brief=True)
        return line(Span(" ✖ ", Tone.TROUBLE), Span(problem, Tone.TROUBLE))

    def _nothing(self) -> list[Line]:
        snapshot = self.snapshot
        if snapshot is None:
            down = self.row is not None and self.row.is_down
            tries = speak_keys(" Its sessions would be here. {global.refresh} tries now.")
            return [line(dim(tries if down else " Asking for its sessions …"))]
        if snapshot.unsupported:
            about = show_connection(self.row, datetime.now(UTC)) if self.row is not None else []
            return [line(f" {snapshot.unsupported}."), BLANK, *(line(" ", *each) for each in about), BLANK,
                    line(dim(speak_keys(" {global.backups} shows its backups, {global.back} goes back.")))]  # fmt: skip
        named = self.filter not in _TITLES
        nobody = f"No session is {self.filter.value}" if named else "Nobody is connected"
        if snapshot.is_partial:
            nobody = f"No session is seen to be {self.filter.value}" if named else "Nobody is seen"
        return [line(f" {nobody}. ", speak_keys("{sessions.filter_next} shows others.")), *self._gaps(snapshot)]

    def _gaps(self, snapshot: SessionsSnapshot) -> list[Line]:
        """The gaps where there are no rows: whole, with the GRANT."""
        return [line(" ", *part) for gap in show_gaps(snapshot) for part in wrap(gap, self.app.size.width - 4)]

    def _show_mode(self) -> None:
        for table in self.query(Table):
            table.display = table is self.table
        self.set_class(False, "-reading")

    def _enter_mode(self, mode: str) -> None:
        before = self.session_row
        self.mode = mode
        self._show_mode()
        self.show_all()
        if before is not None and mode in _MODES:
            self.table.move_to(before.key)
        focus_now(self.table)
        self.show_detail()
        self.post_message(SituationChanged())

    def show_detail(self) -> None:
        """Show all about the session under the cursor."""
        panel, row, snapshot = self.query_one("#session-detail", TextPanel), self.session_row, self.snapshot
        if row is None or snapshot is None:
            panel.show_text(show_gaps(snapshot) if snapshot else ())
            return
        lines = show_session(row, snapshot, self.blocking)
        key, plan = self._explained
        if key == row.key:
            lines = [*plan, BLANK, *lines]
        same = panel.name_shown == row.key
        panel.name_shown = row.key
        panel.show_text([*lines, *show_gaps(snapshot)], keep=same)

    def dim_rows(self, is_late: bool) -> None:
        """Dim what is shown while it is old: the target is down, or has not answered for some time."""
        self.set_class(is_late or (self.row is not None and self.row.is_down), "-old")

    def count_down(self) -> None:
        """A second has passed: the time until the next try reads differently."""
        if self.row is not None and self.row.is_down:
            self.query_one("#sessions-summary", Lines).show_lines([self._problem_line()])

    def situation(self, base: Situation) -> Situation:
        """Say which session is under the cursor."""
        row, profile, snapshot = self.session_row, self.profile, self.snapshot
        what = _TITLES.get(self.filter, self.filter.value)
        crumbs = (profile.name if profile else "", what, *((self.group[1] or "–",) if self.group else ()))
        return replace(
            base, scopes=("sessions", "live", "global"), crumbs=crumbs, profile=profile,
            session=row.session if row else None, ticked=len(self.marked_sessions), deep=True,
            no_sessions=(snapshot.unsupported if snapshot else "") or ("no session is known" if not snapshot else ""),
            copyable=(row.session.sql or str(row.session.session_id)) if row else "",
            age=f"seen {age_text(snapshot.taken_at, datetime.now(UTC))}"
            if snapshot and self.row and self.row.is_down else "",
        )  # fmt: skip

    # ------------------------------------------------------------ going about

    def back(self) -> bool:
        """From the detail to the list, from the tree, a group or a filter to the clients."""
        if self.has_class("-reading") or self.screen.focused is not self.table:
            self.set_class(False, "-reading")
            focus_now(self.table)
        elif self.mode != LIST:
            self._enter_mode(LIST)
        elif self.group is not None:
            by, self.group = self.group[0], None
            self._enter_mode(by.value)
        elif self.filter is not SessionFilter.CLIENTS:
            self.filter = SessionFilter.CLIENTS
            self.show_all()
        else:
            return False
        return True

    def act_detail(self) -> None:
        """Read all about a session; at eighty columns it takes the screen. Of a group, list its sessions."""
        row = self.table.cursor_row
        if isinstance(row, GroupRow):
            self.group = (GroupBy(self.mode), row.name)
            self._enter_mode(LIST)
        elif row is not None:
            self.show_detail()
            self.set_class(True, "-reading")
            focus_now(self.query_one("#session-detail", TextPanel))

    def act_filter_next(self) -> None:
        """Show other sessions."""
        self._choose_filter(1)

    def act_filter_previous(self) -> None:
        """Show other sessions."""
        self._choose_filter(-1)

    def _choose_filter(self, step: int) -> None:
        self.filter = rows.FILTERS[(rows.FILTERS.index(self.filter) + step) % len(rows.FILTERS)]
        if self.mode == TREE:
            self._enter_mode(LIST)
        else:
            self.show_all()

    def act_tree(self) -> None:
        """Show who blocks whom, or the list again."""
        self._enter_mode(LIST if self.mode == TREE else TREE)

    def act_group(self) -> None:
        """Count sessions by the next property, at last list them again."""
        modes = (LIST, *(each.value for each in GroupBy))
        self.group = None
        now = modes.index(self.mode) if self.mode in modes else 0
        self._enter_mode(modes[(now + 1) % len(modes)])

    def act_root(self) -> None:
        """Put the cursor on the session at the root of what this one waits for."""
        row = self.session_row
        root = root_blocker(self.blocking, row.session.session_id) if row else None
        if root is None:
            return
        key = rows.session_key(root.session)
        if not self.table.move_to(key):
            self.filter, self.group = SessionFilter.CLIENTS, None
            self.table.show_filter("")
            self.show_all()
            if not self.table.move_to(key):
                self._enter_mode(TREE)
                self.table.move_to(key)
        self.post_message(Announced(f"{root.session.session_id} is the root: {root.victims} wait for it"))

    def act_tick(self) -> None:
        """Mark a session and go on to the next one."""
        row = self.session_row
        if row is None:
            return
        self.marked ^= {row.key}
        self.show_all()
        self.table.action_down()
        self.post_message(SituationChanged())

    def act_untick(self) -> None:
        """Unmark every session."""
        self.marked = frozenset()
        self.show_all()
        self.post_message(SituationChanged())

    # ------------------------------------------------------------ orders

    def act_explain(self) -> None:
        """Show the plan of a session's statement, above all about it."""
        row, profile = self.session_row, self.profile
        if row is None or profile is None:
            return
        self.act_detail()
        run_in_background(self, "explain", self._explain, profile, row, group="explain")

    async def _explain(self, profile: ConnectionProfile, row: SessionRow) -> None:
        began = time.monotonic()
        waiting = asyncio.ensure_future(outcome_of(self._runner, requests.explain(profile, row.session)))
        try:
            while not (await asyncio.wait({waiting}, timeout=_SETTLE_SECONDS))[0]:
                seconds = time.monotonic() - began
                away = speak_keys("{global.back} goes back")
                self._tell_plan(row, [line(dim(f"Asking for the plan … {seconds:.0f} s, {away}"))])
        finally:
            waiting.cancel()
        outcome = waiting.result()
        found = error_lines(outcome.error) if outcome.result is None else show_plan(outcome.result, row.session)
        self._tell_plan(row, found)

    def _tell_plan(self, row: SessionRow, lines: list[Line]) -> None:
        self._explained = (row.key, lines)
        if self.session_row is not None and self.session_row.key == row.key:
            self.query_one("#session-detail", TextPanel).name_shown = ""
            self.show_detail()

    def act_backup(self) -> None:
        """Ask how to back the target up."""
        if self.profile is not None:
            self.post_message(TargetOpened(self.profile, backup=True))

    def act_cancel_query(self) -> None:
        """Ask, then cancel what the marked sessions, or the one under the cursor, run."""
        ask_in_background(self, "cancel dialog", self._end, SessionVerb.CANCEL)

    def act_terminate(self) -> None:
        """Ask, then terminate the marked sessions, or the one under the cursor."""
        ask_in_background(self, "terminate dialog", self._end, SessionVerb.TERMINATE)

    async def _end(self, verb: SessionVerb) -> None:
        row, profile, snapshot = self.session_row, self.profile, self.snapshot
        chosen = self.marked_sessions or ([row.session] if row else [])
        if not chosen or profile is None or snapshot is None:
            return
        plan = await ask(self, EndSessionsDialog(self._runner, profile, verb, chosen, snapshot))
        if plan is not None:
            self.marked = frozenset()
            self.show_all()
            self.post_message(JobWanted(requests.end_sessions(profile, plan)))


def _key(row: SessionRow) -> str:
    return row.key


def _search(row: SessionRow) -> str:
    session = row.session
    return " ".join((str(session.session_id), session.user, session.database, session.application, session.client,
                     session.state, session.wait, session.sql))  # fmt: skip
