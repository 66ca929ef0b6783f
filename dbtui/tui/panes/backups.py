"""Pane 2: the history of backups; inside one, its tables; inside a table, its definition and first rows."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from dbtui.analysis.backups import assess_shrinking
from dbtui.jobs import Job, JobRunner
from dbtui.model.backups import BackupContents, BackupEntry, BackupTable, EntryKind, TableName
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobOutcome
from dbtui.model.proofs import Proof
from dbtui.model.retention import Pin
from dbtui.tui import requests, retention_requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import BLANK, dim, line
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import SituationChanged
from dbtui.tui.panes import backup_list as listing
from dbtui.tui.panes.backup_diff import DiffView
from dbtui.tui.panes.backup_inside import ContentsView
from dbtui.tui.panes.backup_orders import BackupOrders
from dbtui.tui.widgets.drawn import TextPanel
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

if TYPE_CHECKING:
    from dbtui.config import Settings

_SETTLE_SECONDS = 0.15


class HistoryView(Horizontal):
    """The list of backups and the detail beside it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("history")


class BackupsPane(BackupOrders):
    """The backups of one directory: that of the open target, else the one of the settings."""

    TITLE: ClassVar[str] = "Backups"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("backups")

    def __init__(self, runner: JobRunner, profiles: Sequence[ConnectionProfile], settings: "Settings") -> None:
        super().__init__(runner, profiles, settings)
        self._taken_at: datetime | None = None
        self._shrunk: dict[str, float] = {}
        self._tables: dict[str, tuple[BackupTable, ...]] = {}  # of the backups that the cursor was on
        self._proofs: dict[str, tuple[Proof, ...]] = {}
        self._pins: dict[str, Pin] = {}

    def compose(self) -> ComposeResult:
        """The levels; one of them is shown."""
        with HistoryView(id="history-view", classes="split"):
            columns = listing.history_columns(listing.utc_now, self._shrunk_by)
            yield Table(columns, lambda entry: entry.backup_id, listing.entry_search, id="history", classes="list")
            yield TextPanel(id="entry-detail", classes="detail")
        yield ContentsView(self._runner, self._shrunk_by)
        yield DiffView(self._runner)

    def _shrunk_by(self, backup_id: str) -> float | None:
        return self._shrunk.get(backup_id)

    # ------------------------------------------------------------ parts

    @property
    def inside(self) -> ContentsView:
        """The backup that is looked into."""
        return self.query_one(ContentsView)

    @property
    def entry(self) -> BackupEntry | None:
        """The backup that is looked into."""
        return self.inside.entry

    @property
    def contents(self) -> BackupContents | None:
        """What it holds, once that was read."""
        return self.inside.contents

    @property
    def selected(self) -> BackupEntry | None:
        """The backup that actions are about."""
        return self.entry or self.history.cursor_row

    @property
    def ticked_tables(self) -> tuple[TableName, ...]:
        """The tables that are ticked in the open backup."""
        return tuple(sorted(self.inside.ticked))

    def owner_of(self, scope: str) -> object:
        """The tree has keys of its own."""
        return self.inside if scope == "contents" else super().owner_of(scope)

    def on_mount(self) -> None:
        """Begin with the list."""
        self.show_level()
        self.load()

    def focus_content(self) -> None:
        """The list that is shown."""
        focus_now(self.diff.table if self.diff.is_open else self.inside.table if self.entry else self.history)

    def show_level(self) -> None:
        """Show the list, a backup, or what was compared."""
        self.diff.display = self.diff.is_open
        self.query_one("#history-view").display = self.entry is None and not self.diff.is_open
        self.inside.display = self.entry is not None
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
            self.inside.entry = fresh[0] if fresh else self.entry

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another backup, or forget the table that was read."""
        if table is self.history:
            self._show_entry(self.history.cursor_row)
        elif table is self.diff.table:
            self.diff.row_changed()
        elif not self.has_class("-reading"):
            self.inside.show_overview()

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

    # ------------------------------------------------------------ going in and out

    def act_open(self) -> None:
        """Look inside the backup under the cursor."""
        entry = self.history.cursor_row
        if entry is None:
            return
        self.inside.open(entry)
        self.show_level()
        focus_now(self.inside.table)
        self.post_message(SituationChanged())

    def act_detail(self) -> None:
        """Show all about the backup under the cursor; at eighty columns it takes the screen."""
        self.set_class(True, "-reading")
        focus_now(self.query_one("#entry-detail", TextPanel))

    def sort(self, backwards: bool) -> None:
        """Inside a backup, tables are sorted within their schema."""
        if self.focused_table is self.inside.table:
            self.inside.sort(backwards)
        else:
            super().sort(backwards)

    def back(self) -> bool:
        """From a table to the backup, from the backup to the list."""
        if self.has_class("-reading"):
            self.set_class(False, "-reading")
            self.focus_content()
            self.inside.stop_reading()
        elif self.entry is not None or self.diff.is_open:
            self._leave()
        elif self.screen.focused is not self.history:
            focus_now(self.history)
        else:
            return False
        return True

    def _leave(self) -> None:
        self.inside.close()
        self.diff.close()
        self.show_level()
        focus_now(self.history)

    def situation(self, base: Situation) -> Situation:
        """Say which backup and table are under the cursor."""
        entry = self.selected
        here = replace(
            base,
            scopes=("history", "backups", "global"),
            crumbs=(self.opened.name if self.opened else str(self.directory), "backups"),
            entry=entry,
            ticked=int(self.marked is not None),
            deep=base.filtered or self.has_class("-reading"),
            copyable=(entry.data_path or entry.backup_id) if entry else "",
            age=age_text(self._taken_at, datetime.now(UTC)) if self._taken_at else "",
        )
        if self.diff.is_open:
            return self.diff.situation(here, is_reading=self.has_class("-reading"))
        return self.inside.situation(here) if self.entry is not None else here

    def job_ended(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        """Backups may have come, gone or been proven: read the directory again."""
        deleted = job.request.subject if job.request.routine == "backup delete" and outcome.error is None else ""
        if self.entry is not None and self.entry.backup_id == deleted:
            self._leave()
        if job.request.routine in ("backup verify", "backup pin", "backup unpin"):
            self._pins.pop(job.request.subject, None)
            self._tables.pop(job.request.subject, None)  # what is known of it is read anew
        self._load_history()
