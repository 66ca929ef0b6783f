"""What the backups pane does to compare: one backup is marked, another or the live database is put beside it."""

from collections.abc import Sequence

from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.tui.live_sides import choose_live
from dbtui.tui.messages import SituationChanged
from dbtui.tui.panes.backup_diff import DiffView
from dbtui.tui.panes.backup_rows import HistoryRow, row_key
from dbtui.tui.panes.pane import Pane
from dbtui.tui.widgets.table import Table


class ComparingPane(Pane):
    """A pane with a list of backups, of which two can be put side by side."""

    def __init__(self, profiles: Sequence[ConnectionProfile]) -> None:
        super().__init__(id="backups")
        self._profiles = tuple(profiles)
        self.opened: ConnectionProfile | None = None
        self.marked: BackupEntry | None = None  # to be compared with another

    @property
    def history(self) -> Table[HistoryRow]:
        """The list of backups."""
        return self.query_one("#history", Table)

    @property
    def cursor_entry(self) -> BackupEntry | None:
        """The backup under the cursor, if it is one that dbtui made."""
        row = self.history.cursor_row
        return row if isinstance(row, BackupEntry) else None

    @property
    def diff(self) -> DiffView:
        """What two backups do not have in common."""
        return self.query_one(DiffView)

    def owner_of(self, scope: str) -> object:
        """What is compared has actions of its own."""
        return self.diff if scope == "diff" else self

    def show_level(self) -> None:
        """Show the level that the operator is on."""

    def act_mark(self) -> None:
        """Mark the backup under the cursor, or take its mark away."""
        entry = self.cursor_entry
        again = self.marked is not None and entry is not None and row_key(self.marked) == row_key(entry)
        self._mark(None if again else entry)
        self.post_message(SituationChanged())

    def forget_mark(self) -> None:
        """Nothing is to be compared any more: the list is of another directory."""
        self._mark(None)

    def keep_mark_among(self, entries: Sequence[BackupEntry]) -> None:
        """Forget the mark of a backup that is not there any more; what is known of it is as new as the list."""
        if self.marked is None:
            return
        marked = row_key(self.marked)
        self._mark(next((entry for entry in entries if row_key(entry) == marked), None))

    def _mark(self, entry: BackupEntry | None) -> None:
        self.marked = entry
        self.history.tickable = entry is not None
        self.history.show_marks([row_key(entry)] if entry else [])
        self.history.repaint_changed()

    def act_compare(self) -> None:
        """Compare the marked backup with the one under the cursor."""
        entry = self.cursor_entry
        if entry is None or self.marked is None:
            return
        if row_key(entry) == row_key(self.marked):
            self.announce("this is the marked backup: put the cursor on the other one")
            return
        self._compare(self.marked, entry)

    def act_compare_live(self) -> None:
        """Compare the backup under the cursor with its live database."""
        entry = self.cursor_entry
        other = choose_live(entry, self.opened, self._profiles) if entry is not None else None
        if entry is not None and other is not None:
            self._compare(entry, other)

    def _compare(self, entry: BackupEntry, other: BackupEntry | ConnectionProfile) -> None:
        self.diff.compare(entry, other)
        self.show_level()
        self.focus_content()
        self.post_message(SituationChanged())
