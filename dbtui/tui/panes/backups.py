"""Pane 2: the history of backups; inside one, its tables; inside a table, its definition and first rows."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from dbtui.analysis.backups import assess_shrinking
from dbtui.jobs import Job, JobRequest, JobRunner
from dbtui.model.backups import BackupContents, BackupEntry, BackupTable, EntryKind, TableName
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobOutcome
from dbtui.model.proofs import Proof
from dbtui.model.retention import Pin
from dbtui.tui import requests, retention_requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import BLANK, Line, dim, line, strong
from dbtui.tui.dialogs.backup import BackupDialog
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.dialogs.planned import error_lines
from dbtui.tui.dialogs.prove import ask_where_to_prove
from dbtui.tui.dialogs.restore import RestoreDialog
from dbtui.tui.dialogs.typed_names import TypeToConfirm
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import JobWanted, SituationChanged
from dbtui.tui.panes import backup_contents as inside
from dbtui.tui.panes import backup_list as listing
from dbtui.tui.panes import backup_retention as retention
from dbtui.tui.panes.backup_comparing import ComparingPane
from dbtui.tui.panes.backup_diff import DiffView
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

if TYPE_CHECKING:
    from dbtui.config import Settings

SAMPLE_ROWS = 50
_SETTLE_SECONDS = 0.15


class HistoryView(Horizontal):
    """The list of backups and the detail beside it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("history")


class ContentsView(Horizontal):
    """The tree of one backup and the definition or rows beside it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("contents")


class BackupsPane(ComparingPane):
    """The backups of one directory: that of the open target, else the one of the settings."""

    TITLE: ClassVar[str] = "Backups"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("backups")

    def __init__(self, runner: JobRunner, profiles: Sequence[ConnectionProfile], settings: "Settings") -> None:
        super().__init__(profiles)
        self._runner, self._settings = runner, settings
        self.directory = Path(settings.backup_dir)
        self.entry: BackupEntry | None = None  # the backup that is looked into
        self.contents: BackupContents | None = None
        self.ticked: frozenset[TableName] = frozenset()
        self._taken_at: datetime | None = None
        self._shrunk: dict[str, float] = {}
        self._tables: dict[str, tuple[BackupTable, ...]] = {}  # of the backups that the cursor was on
        self._proofs: dict[str, tuple[Proof, ...]] = {}
        self._pins: dict[str, Pin] = {}
        self._folded: frozenset[str] = frozenset()
        self._order = inside.ORDERS[0]

    def compose(self) -> ComposeResult:
        """Both levels; one of them is shown."""
        with HistoryView(id="history-view", classes="split"):
            columns = listing.history_columns(listing.utc_now, self._shrunk_by)
            yield Table(columns, lambda entry: entry.backup_id, listing.entry_search, id="history", classes="list")
            yield TextPanel(id="entry-detail", classes="detail")
        with ContentsView(id="contents-view", classes="split"):
            with Vertical(classes="list"):
                yield Lines(BLANK, id="contents-summary")
                yield Table(inside.COLUMNS, lambda leaf: leaf.key, lambda leaf: leaf.search, id="contents",
                            tickable=True)  # fmt: skip
            with Vertical(classes="detail"):
                yield Lines(BLANK, id="table-title")
                yield TextPanel(id="table-text")
        yield DiffView(self._runner)

    def _shrunk_by(self, backup_id: str) -> float | None:
        return self._shrunk.get(backup_id)

    # ------------------------------------------------------------ parts

    @property
    def contents_table(self) -> Table[inside.Leaf]:
        """The contents of one backup."""
        return self.query_one("#contents", Table)

    @property
    def selected(self) -> BackupEntry | None:
        """The backup that actions are about."""
        return self.entry or self.history.cursor_row

    def on_mount(self) -> None:
        """Begin with the list."""
        self.show_level()
        self.load()

    def focus_content(self) -> None:
        """The list that is shown."""
        focus_now(self.diff.table if self.diff.is_open else self.contents_table if self.entry else self.history)

    def show_level(self) -> None:
        """Show the list, a backup, or what was compared."""
        self.diff.display = self.diff.is_open
        self.query_one("#history-view").display = self.entry is None and not self.diff.is_open
        self.query_one("#contents-view").display = self.entry is not None
        self.set_class(False, "-reading")

    def open_target(self, profile: ConnectionProfile) -> None:
        """Show the backups of a target's directory."""
        self.opened = profile
        self.history.show_filter("")
        if self.entry is not None or self.diff.is_open:
            self._leave()
        if Path(profile.backup_dir) != self.directory:
            self.directory = Path(profile.backup_dir)
            self.forget_mark()
            self.history.show_rows(())
        self.load()

    # ------------------------------------------------------------ the list

    def load(self) -> None:
        """Read the directory; compare anew what is compared."""
        self.diff.compare_again()
        self._load_history()

    def _load_history(self) -> None:
        if not self.history.view.rows:
            self.history.show_rows((), [line(dim(f" Reading {self.directory} …"))])
        run_in_background(self, "list backups", self._load, group="history")

    async def _load(self) -> None:
        outcome = await outcome_of(self._runner, requests.entries(self.directory))
        opened = self.opened.name if self.opened else ""
        if outcome.result is None:
            problem = str(outcome.error)
            self.history.show_rows((), listing.history_empty(str(self.directory), opened, problem))
            return
        self.show_entries(outcome.result)

    def show_entries(self, entries: Sequence[BackupEntry]) -> None:
        """Show these backups."""
        self._taken_at = datetime.now(UTC)
        self._shrunk = assess_shrinking(entries)
        self.keep_mark_among(entries)
        opened = self.opened.name if self.opened else ""
        self.history.show_rows(entries, listing.history_empty(str(self.directory), opened, ""))
        if self.entry is not None:
            fresh = [entry for entry in entries if entry.backup_id == self.entry.backup_id]
            self.entry = fresh[0] if fresh else self.entry

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another backup, or forget the table that was read."""
        if table is self.history:
            self._show_entry(self.history.cursor_row)
        elif table is self.diff.table:
            self.diff.row_changed()
        elif self.entry is not None and not self.has_class("-reading"):
            self._show_overview()

    def _show_entry(self, entry: BackupEntry | None) -> None:
        panel = self.query_one("#entry-detail", TextPanel)
        if entry is None:
            panel.show_text(())
            return
        pin = self._pins.get(entry.backup_id)
        lines = listing.show_entry(entry, datetime.now(UTC), self._shrunk_by(entry.backup_id), pin)
        tables = self._tables.get(entry.backup_id)
        if tables is not None:
            proofs = listing.show_proofs(self._proofs.get(entry.backup_id, ()), datetime.now(UTC))
            lines += [*proofs, BLANK, *listing.show_tables(tables, panel.text_width)]
        elif entry.kind is EntryKind.COMPLETE:
            run_in_background(self, "read manifest", self._read_manifest, entry, group="manifest")
            lines += [BLANK] * (1 + listing.count_table_lines(entry.tables or 0))  # else a scroll bar comes and goes
        panel.show_text(lines)

    async def _read_manifest(self, entry: BackupEntry) -> None:
        await asyncio.sleep(_SETTLE_SECONDS)  # not for every row that the cursor passes
        proofs = await outcome_of(self._runner, requests.proofs(entry))
        outcome = await outcome_of(self._runner, requests.manifest(entry))
        if entry.is_pinned:
            pin = await outcome_of(self._runner, retention_requests.pin_of(entry))
            self._pins |= {entry.backup_id: pin.result} if pin.result is not None else {}
        self._proofs[entry.backup_id] = proofs.result or ()
        self._tables[entry.backup_id] = outcome.result.tables if outcome.result else ()
        if self.history.cursor_key == entry.backup_id:
            self._show_entry(entry)

    def tick(self) -> None:
        """Ages."""
        super().tick()
        self.row_changed(self.history)

    # ------------------------------------------------------------ inside a backup

    def act_open(self) -> None:
        """Look inside the backup under the cursor."""
        entry = self.history.cursor_row
        if entry is None:
            return
        self.entry, self.contents = entry, None
        self.ticked, self._folded = frozenset(), frozenset()
        self.show_level()
        self.query_one("#contents-summary", Lines).show_lines([line(" ", strong(entry.backup_id))])
        self.contents_table.show_filter("")
        self.contents_table.show_marks(())
        self.contents_table.show_rows((), [line(dim(" Reading the backup …"))])
        self._show_overview()
        focus_now(self.contents_table)
        run_in_background(self, "look into a backup", self._read, entry, group="contents")
        self.post_message(SituationChanged())

    async def _read(self, entry: BackupEntry) -> None:
        outcome = await self._reading(requests.contents(entry), self._say_reading)
        if self.entry is None or self.entry.backup_id != entry.backup_id:
            return
        if outcome.result is None:
            self.contents_table.show_rows((), [(*line(" "), *each) for each in error_lines(outcome.error)])
            return
        self.show_contents(outcome.result)

    def show_contents(self, contents: BackupContents) -> None:
        """Show what the open backup holds."""
        first = self.contents is None
        self.contents = contents
        self._show_tree()
        if first and len(self.contents_table.view.shown) > 1:
            self.contents_table.action_down()
        self._show_overview()

    def _show_tree(self) -> None:
        if self.contents is None or self.entry is None:
            return
        leaves = inside.tree_of(self.contents, self._folded, self._order)
        self.contents_table.show_rows(leaves, [line(" The backup holds no table.")])
        marks = [leaf.key for leaf in leaves if leaf.table is not None and leaf.table.table_name in self.ticked]
        self.contents_table.show_marks(marks)
        summary = inside.contents_summary(self.entry, self.contents, len(self.ticked))
        self.query_one("#contents-summary", Lines).show_lines([summary])

    def _show_overview(self) -> None:
        """The detail beside the tree while no table is read: the backup itself."""
        entry = self.entry
        if entry is None:
            return
        lines = listing.show_entry(entry, datetime.now(UTC), self._shrunk_by(entry.backup_id))
        if self.contents is not None:
            lines += [line()] + [line(dim("▲ "), text) for text in self.contents.warnings]
        self.query_one("#table-title", Lines).show_lines([line(dim("this backup"))])
        self.query_one("#table-text", TextPanel).show_text(lines)

    def act_definition(self) -> None:
        """Show the SQL of the table under the cursor; open or shut a branch."""
        self._read_table("definition")

    def act_sample(self) -> None:
        """Show the first rows of the table under the cursor."""
        self._read_table("first rows")

    def _read_table(self, what: str) -> None:
        entry, leaf = self.entry, self.contents_table.cursor_row
        if entry is None or leaf is None:
            return
        if leaf.table is None:
            self._fold(leaf)
            return
        self.set_class(True, "-reading")
        title = line(strong(str(leaf.table.table_name)), dim(f"  {what}"))
        self.query_one("#table-title", Lines).show_lines([title])
        panel = self.query_one("#table-text", TextPanel)
        panel.show_text([line(dim("Reading the backup …"))])
        focus_now(panel)
        reading = (
            partial(self._show_read, requests.definition(entry, leaf.table.table_name), inside.show_definition)
            if what == "definition"
            else partial(
                self._show_read, requests.sample(entry, leaf.table.table_name, SAMPLE_ROWS), inside.show_sample
            )
        )
        run_in_background(self, "read a table", reading, group="table")

    async def _show_read(self, request: JobRequest[Any], show: Any) -> None:
        panel = self.query_one("#table-text", TextPanel)
        outcome = await self._reading(request, lambda text: panel.show_text([line(dim(text))]))
        lines: Sequence[Line] = error_lines(outcome.error) if outcome.result is None else show(outcome.result)
        panel.show_text(lines, wraps=False)

    async def _reading(self, request: JobRequest[Any], say: Callable[[str], object]) -> JobOutcome[Any]:
        """Wait for something that is read from a backup; meanwhile say how long it has taken."""
        began = time.monotonic()
        stops = speak_keys("{global.back} stops")
        timer = self.set_interval(1.0, lambda: say(f"Reading the backup … {time.monotonic() - began:.0f} s, {stops}"))
        try:
            return await outcome_of(self._runner, request)
        finally:
            timer.stop()

    def _say_reading(self, text: str) -> None:
        self.contents_table.show_rows((), [line(dim(f" {text}"))])

    def act_tick(self) -> None:
        """Tick what is under the cursor, or all of its schema, and go on to the next line."""
        leaf = self.contents_table.cursor_row
        if leaf is None or self.contents is None:
            return
        tables = inside.tables_under(self.contents, leaf)
        self.ticked = self.ticked - tables if tables <= self.ticked else self.ticked | tables
        self._show_tree()
        if leaf.table is not None:
            self.contents_table.action_down()
        self.post_message(SituationChanged())

    def act_untick(self) -> None:
        """Untick every table."""
        self.ticked = frozenset()
        self._show_tree()
        self.post_message(SituationChanged())

    def _fold(self, leaf: inside.Leaf) -> None:
        if leaf.folded is not None:
            self._folded = inside.fold(leaf, self._folded)
            self._show_tree()

    def sort(self, backwards: bool) -> None:
        """Inside a backup, tables are sorted within their schema: by size, rows or name."""
        if self.focused_table is not self.contents_table:
            super().sort(backwards)
            return
        orders = inside.ORDERS
        self._order = orders[(orders.index(self._order) + (-1 if backwards else 1)) % len(orders)]
        self._show_tree()
        self.announce(f"tables sorted by {self._order}")

    def back(self) -> bool:
        """From a table to the backup, from the backup to the list."""
        if self.has_class("-reading"):
            self.workers.cancel_group(self, "table")
            self.set_class(False, "-reading")
            self.focus_content()
            self._show_overview()
        elif self.entry is not None or self.diff.is_open:
            self._leave()
        elif self.screen.focused is not self.history:
            focus_now(self.history)
        else:
            return False
        return True

    def _leave(self) -> None:
        self.workers.cancel_group(self, "contents")
        self.diff.close()
        self.entry = self.contents = None
        self.ticked = frozenset()
        self.show_level()
        focus_now(self.history)

    def situation(self, base: Situation) -> Situation:
        """Say which backup and table are under the cursor."""
        entry, leaf = self.selected, self.contents_table.cursor_row if self.entry else None
        crumbs = [self.opened.name if self.opened else str(self.directory), "backups"]
        if self.entry is not None:
            crumbs.append(self.entry.backup_id)
            crumbs += [str(leaf.table.table_name)] if leaf and leaf.table and self.has_class("-reading") else []
        if self.diff.is_open:
            return self.diff.situation(replace(base, crumbs=tuple(crumbs)), is_reading=self.has_class("-reading"))
        copyable = entry.data_path or entry.backup_id if entry else ""
        if self.has_class("-reading"):
            copyable = self.query_one("#table-text", TextPanel).text if self.entry else copyable
        elif leaf is not None:
            copyable = str(leaf.table.table_name) if leaf.table else leaf.label
        return replace(
            base,
            scopes=("contents" if self.entry else "history", "backups", "global"),
            crumbs=tuple(crumbs),
            entry=entry,
            table=leaf.table if leaf else None,
            foldable=leaf is not None and leaf.folded is not None,
            ticked=len(self.ticked) if self.entry else int(self.marked is not None),
            deep=base.filtered or self.entry is not None or self.has_class("-reading"),
            copyable=copyable,
            age=age_text(self._taken_at, datetime.now(UTC)) if self._taken_at else "",
        )

    # ------------------------------------------------------------ actions on a backup

    def act_detail(self) -> None:
        """Show all about the backup under the cursor; at eighty columns it takes the screen."""
        self.set_class(True, "-reading")
        focus_now(self.query_one("#entry-detail", TextPanel))

    def act_backup(self) -> None:
        """Ask how, then back up the open target."""
        if self.opened is not None:
            ask_in_background(self, "backup dialog", self._backup, self.opened)

    async def _backup(self, profile: ConnectionProfile) -> None:
        plan = await ask(self, BackupDialog(self._runner, profile))
        if plan is not None:
            self.post_message(JobWanted(requests.create(profile, plan)))

    def act_restore(self) -> None:
        """Ask where to, show the plan, then restore."""
        entry = self.selected
        if entry is not None:
            ask_in_background(self, "restore dialog", self._restore, entry, tuple(sorted(self.ticked)))

    async def _restore(self, entry: BackupEntry, ticked: tuple[TableName, ...]) -> None:
        writable = [profile for profile in self._profiles if not profile.read_only]
        chosen = await ask(self, RestoreDialog(self._runner, entry, writable, self.opened, ticked))
        if chosen is not None:
            self.post_message(JobWanted(requests.restore(chosen.profile, chosen.plan)))

    def act_verify(self) -> None:
        """Check the backup."""
        if self.selected is not None:
            self.post_message(JobWanted(requests.verify(self.selected, None)))

    def act_prove(self) -> None:
        """Ask where, then check the backup by restoring it."""
        if self.selected is not None:
            ask_in_background(self, "prove dialog", self._prove, self.selected)

    async def _prove(self, entry: BackupEntry) -> None:
        usable = [p for p in self._profiles if p.engine is entry.engine and not p.read_only]
        best = sorted(usable, key=lambda profile: (profile != self.opened, profile.name != entry.profile))
        place = await ask_where_to_prove(self, self._runner, entry, best)
        if place is not None:
            self.post_message(JobWanted(requests.verify(entry, place)))

    def act_delete(self) -> None:
        """Ask for the backup's name, then delete it."""
        if self.selected is not None:
            ask_in_background(self, "delete dialog", self._delete, self.selected)

    async def _delete(self, entry: BackupEntry) -> None:
        text = [
            line("Deletes ", strong(entry.backup_id), " and its manifest. There is no undo."),
            line(dim("file  "), entry.data_path or "already gone"),
        ]
        names = [("backup's name", entry.backup_id)]
        if await ask(self, TypeToConfirm("Delete a backup", text, names, "Delete")):
            self.post_message(JobWanted(requests.delete(entry)))

    def act_expire(self) -> None:
        """Ask by which policy, show what survives, remove the rest."""
        ask_in_background(self, "expire dialog", retention.expire, self, self._runner, self.directory, self.opened,
                          self._profiles, self._settings.keep)  # fmt: skip

    def act_pin(self) -> None:
        """Pin the backup, or take its pin away."""
        if self.selected is not None:
            ask_in_background(self, "pin", retention.change_pin, self, self.selected)

    def job_ended(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        """Backups may have come, gone or been proven: read the directory again."""
        deleted = job.request.subject if job.request.routine == "backup delete" and outcome.error is None else ""
        if self.entry is not None and self.entry.backup_id == deleted:
            self._leave()
        if job.request.routine in ("backup verify", "backup pin", "backup unpin"):
            self._pins.pop(job.request.subject, None)
            self._tables.pop(job.request.subject, None)  # what is known of it is read anew
        self._load_history()
