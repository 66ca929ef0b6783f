"""Pane 2: the history of backups; inside one, its tables; inside a table, its definition and first rows."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from dbtui.analysis.backups import assess_shrinking
from dbtui.analysis.backups.places import label_remotes, merge_places
from dbtui.jobs import Job, JobRunner
from dbtui.model.backups import BackupContents, BackupEntry, BackupTable, EntryKind, TableName
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobOutcome
from dbtui.model.proofs import Proof
from dbtui.model.retention import Pin
from dbtui.tui import far_requests, requests, retention_requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import BLANK, Line, dim, line
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import SituationChanged
from dbtui.tui.panes import backup_list as listing
from dbtui.tui.panes.backup_diff import DiffView
from dbtui.tui.panes.backup_inside import ContentsView
from dbtui.tui.panes.backup_orders import BackupOrders
from dbtui.tui.panes.backup_physical import show_physical
from dbtui.tui.panes.backup_place_lines import place_lines, show_places
from dbtui.tui.panes.backup_rows import HistoryRow, history_columns, merge_rows, row_key, row_search
from dbtui.tui.places_feed import LOOK_SECONDS, PlacesFeed
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.rows import Column
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background

if TYPE_CHECKING:
    from dbtui.config import Settings

_SETTLE_SECONDS = 0.15
_TALL = 30


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
        self._here: tuple[BackupEntry, ...] = ()
        self._entries: tuple[BackupEntry, ...] = ()  # here and in remotes
        self._labels: dict[str, str] = {}  # what remotes are called in the list
        self._keepers: frozenset[str] = frozenset()  # the tools that keep repositories
        self._has_encrypted = self._has_pinned = self._is_shown = self._reads_places = False
        self.places = PlacesFeed(self, runner, self._places_changed)
        self._shrunk: dict[str, float] = {}
        self._tables: dict[str, tuple[BackupTable, ...]] = {}  # of the backups that the cursor was on
        self._proofs: dict[str, tuple[Proof, ...]] = {}
        self._pins: dict[str, Pin] = {}
        self._problem = ""  # why the directory could not be read

    def compose(self) -> ComposeResult:
        """The levels; one of them is shown."""
        with HistoryView(id="history-view", classes="split"):
            with Vertical(classes="list"):
                yield Lines(id="places")
                yield Table(self._columns(), row_key, lambda row: row_search(row, self._labels), id="history")
            yield TextPanel(id="entry-detail", classes="detail")
        yield ContentsView(self._runner, self._shrunk_by, self.opens_with)
        yield DiffView(self._runner)

    def _shrunk_by(self, backup_id: str) -> float | None:
        return self._shrunk.get(backup_id)

    def _columns(self) -> list[Column[HistoryRow]]:
        return history_columns(lambda: datetime.now(UTC), self._shrunk_by, self._labels,
                               has_encrypted=self._has_encrypted, has_pinned=self._has_pinned,
                               keepers=self._keepers)  # fmt: skip

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
        return self.entry or self.cursor_entry

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

    def shown(self, in_view: bool) -> None:
        """Other places are asked only while somebody looks here."""
        self._is_shown = in_view
        if in_view:
            self._look_at_places(LOOK_SECONDS)

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
            self._here = ()
            self.history.show_rows(())
        self._load_history()
        self._look_at_places(LOOK_SECONDS)

    # ------------------------------------------------------------ the list

    def load(self) -> None:
        """Read the directory, ask the other places; compare anew what is compared."""
        self.diff.compare_again()
        self._load_history()
        self._look_at_places()

    def _load_history(self) -> None:
        if not self.history.view.rows:
            self.history.show_rows((), [line(dim(f" Reading {self.directory} …"))])
        run_in_background(self, "list backups", self._load, group="history")

    async def _load(self) -> None:
        outcome = await outcome_of(self._runner, requests.entries(self.directory))
        self._problem = "" if outcome.result is not None else str(outcome.error)
        self.show_entries(outcome.result or ())

    def show_entries(self, entries: Sequence[BackupEntry]) -> None:
        """Show these backups of the directory, and those that are known of remotes and repositories."""
        self._taken_at = datetime.now(UTC)
        self._here = tuple(entries)
        self._show_history()

    def _show_history(self) -> None:
        seen = self.places.seen
        self._entries = merge_places(self._here, [remote.entries for remote in seen.remotes])
        self._shrunk = assess_shrinking(self._entries)
        opened = self.opened.name if self.opened else ""
        physical = [backup for report in seen.reports for backup in report.backups]
        self._choose_columns(frozenset(backup.repository.partition(":")[0] for backup in physical))
        rows = merge_rows(self._entries, physical)
        self.keep_mark_among(self._entries)
        if self._taken_at is not None or rows:
            self.history.show_rows(rows, listing.history_empty(str(self.directory), opened, self._problem))
        if self.entry is not None:
            key = row_key(self.entry)
            self.inside.entry = next((entry for entry in self._entries if row_key(entry) == key), self.entry)
        self._show_places()

    def _choose_columns(self, keepers: frozenset[str]) -> None:
        """A column says where backups lie, and a wider one which are encrypted, where that tells something."""
        labels = label_remotes(self.places.remotes)
        has_encrypted = any(entry.encryption for entry in self._entries)
        has_pinned = any(entry.is_pinned for entry in self._entries)
        wanted = (labels, has_encrypted, has_pinned, keepers)
        if wanted != (self._labels, self._has_encrypted, self._has_pinned, self._keepers):
            self._labels, self._has_encrypted, self._has_pinned, self._keepers = wanted
            self.history.show_columns(self._columns())

    # ------------------------------------------------------------ other places

    def _look_at_places(self, oldest: float = 0.0) -> None:
        """Ask remotes, repositories and schedules that were not asked within so many seconds."""
        repositories = [self.opened.repository] if self.opened else [each.repository for each in self._profiles]
        self.places.watch(self.remotes, [*dict.fromkeys(each for each in repositories if each)], self._profiles)
        if self._is_shown:
            self.places.look(oldest)
        self._show_places()

    def _places_changed(self) -> None:
        if self.is_attached:
            self._show_history()
            self.post_message(SituationChanged())

    def _show_places(self) -> None:
        """Draw the lines above the list; a list without remotes and schedules has none."""
        most = 3 if self.app.size.height < _TALL else 6
        opened = self.opened.name if self.opened else ""
        lines = place_lines(self.places.seen, opened, datetime.now(UTC), most)
        panel = self.query_one("#places", Lines)
        panel.display = bool(lines)
        panel.show_lines(lines)
        if self._reads_places:
            self._show_all_places()

    def act_places(self) -> None:
        """Show all that is known of remotes, repositories and schedules; again shows the backup."""
        if self._reads_places and self.has_class("-reading"):
            self.back()
            return
        self._reads_places = True
        self._show_all_places()
        self.set_class(True, "-reading")
        focus_now(self.query_one("#entry-detail", TextPanel))

    def _show_all_places(self) -> None:
        opened = self.opened.name if self.opened else ""
        lines = show_places(self.places.seen, opened, datetime.now(UTC), self.places.is_asking)
        self.query_one("#entry-detail", TextPanel).show_text(lines, keep=True)

    # ------------------------------------------------------------ the detail

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another backup, or forget the table that was read."""
        if table is self.history:
            self._show_row(self.history.cursor_row)
        elif table is self.diff.table:
            self.diff.row_changed()
        elif not self.has_class("-reading"):
            self.inside.show_overview()

    def _show_row(self, row: HistoryRow | None) -> None:
        panel = self.query_one("#entry-detail", TextPanel)
        if self._reads_places:
            self._show_all_places()
        elif isinstance(row, BackupEntry):
            panel.show_text(self._entry_lines(row, panel.text_width))
        else:
            reports = {report.name: report for report in self.places.seen.reports}
            panel.show_text(show_physical(row, reports.get(row.repository), datetime.now(UTC)) if row else ())

    def _entry_lines(self, entry: BackupEntry, width: int) -> list[Line]:
        key, now = row_key(entry), datetime.now(UTC)
        lines = listing.show_entry(entry, now, self._shrunk_by(entry.backup_id), self._pins.get(key),
                                   self.opens_with(entry))  # fmt: skip
        tables = self._tables.get(key)
        if tables is not None:
            return [*lines, *listing.show_proofs(self._proofs.get(key, ()), now), BLANK,
                    *listing.show_tables(tables, width)]  # fmt: skip
        if entry.kind is EntryKind.COMPLETE:
            run_in_background(self, "read manifest", self._read_manifest, entry, group="manifest")
            lines += [BLANK] * (1 + listing.count_table_lines(entry.tables or 0))  # else a scroll bar comes and goes
        return lines

    async def _read_manifest(self, entry: BackupEntry) -> None:
        await asyncio.sleep(_SETTLE_SECONDS)  # not for every row that the cursor passes
        key = row_key(entry)
        manifest = far_requests.manifest(entry) if entry.remote else requests.manifest(entry)
        outcome = await outcome_of(self._runner, manifest)
        if not entry.remote:
            proofs = await outcome_of(self._runner, requests.proofs(entry))
            self._proofs[key] = proofs.result or ()
        if entry.is_pinned:
            pin = await outcome_of(self._runner, retention_requests.pin_of(entry))
            self._pins |= {key: pin.result} if pin.result is not None else {}
        self._tables[key] = outcome.result.tables if outcome.result else ()
        if self.history.cursor_key == key:
            self._show_row(entry)

    def tick(self) -> None:
        """Ages; and now and then another look at other places."""
        super().tick()
        self.row_changed(self.history)
        self._look_at_places(LOOK_SECONDS)

    # ------------------------------------------------------------ going in and out

    def act_open(self) -> None:
        """Look inside the backup under the cursor."""
        entry = self.cursor_entry
        if entry is None:
            return
        self.inside.open(entry)
        self.show_level()
        focus_now(self.inside.table)
        self.post_message(SituationChanged())

    def act_detail(self) -> None:
        """Show all about the backup under the cursor; at eighty columns it takes the screen."""
        self._reads_places = False
        self._show_row(self.history.cursor_row)
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
            self._reads_places = False
            self.focus_content()
            self.inside.stop_reading()
            self._show_row(self.history.cursor_row)
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
        entry, physical = self.selected, self.physical if self.entry is None else None
        copyable = (entry.data_path or entry.backup_id) if entry else physical.reference if physical else ""
        if self.entry is None and self.has_class("-reading"):
            copyable = self.query_one("#entry-detail", TextPanel).text
        here = replace(
            base,
            scopes=("history", "backups", "global"),
            crumbs=(self.opened.name if self.opened else str(self.directory), "backups"),
            entry=entry,
            physical=physical,
            ticked=int(self.marked is not None),
            deep=base.filtered or self.has_class("-reading"),
            copyable=copyable,
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
            for known in (self._pins, self._tables):  # what is known of it is read anew
                for key in [key for key in known if key.rpartition("/")[2] == job.request.subject]:
                    known.pop(key)
        self._load_history()
        if job.request.routine.startswith("backup ") and outcome.error is None:
            self._look_at_places()
