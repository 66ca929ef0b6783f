"""The first level of the queries pane: what repeats, found or suspected, and the evidence for it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from textual.binding import BindingType

from dbtui.analysis.queries.normalising import Normaliser
from dbtui.model.connections import EngineName
from dbtui.model.top_queries import QuerySuspect
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.cells import Line
from dbtui.tui.messages import CopyWanted
from dbtui.tui.panes import query_list as listing
from dbtui.tui.panes import query_rows as rows
from dbtui.tui.panes.partition_view import PartitionView
from dbtui.tui.panes.query_card import show_card
from dbtui.tui.panes.query_list import Watched
from dbtui.tui.panes.query_rows import Row, Source
from dbtui.tui.widgets.table import Table


class FindingsView(PartitionView):
    """Shows what was found last, and what is suspected now. Who watches and captures is the pane."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("findings")

    def __init__(self) -> None:
        super().__init__(id="findings-view")
        self.watched = Watched()
        self.source: Source | None = None
        self.shows_others = False
        self._normaliser = Normaliser()
        self._engine: EngineName | None = None

    def make_table(self) -> Table[Row]:
        """The patterns."""
        return Table(rows.COLUMNS, lambda row: row.key, rows.search, live=True, id="findings", classes="list")

    @property
    def row(self) -> Row | None:
        """The pattern under the cursor."""
        found: Row | None = self.table.cursor_row
        return found

    @property
    def suspects(self) -> Sequence[QuerySuspect]:
        """What is suspected now; a file has nothing to do with that."""
        look = self.watched.look
        return look.suspects if look is not None and not (self.source is not None and self.source.is_file) else ()

    def show(self, watched: Watched, source: Source | None) -> None:
        """Show what is known now."""
        if watched.profile is not None and watched.profile.engine is not self._engine:
            self._engine, self._normaliser = watched.profile.engine, Normaliser(watched.profile.engine)
        self.watched, self.source = watched, source
        self.show_all()

    def show_all(self) -> None:
        """Draw it; a suspicion that turned out to be true keeps the cursor."""
        before = self.row
        found = rows.make_rows(self.source, self.suspects, self._normaliser.shape, shows_others=self.shows_others)
        self.table.show_rows(found, listing.show_nothing(self.watched, self.source))
        if before is not None and before.suspect is not None and before.key not in self.table.view.places:
            text = self._normaliser.shape(before.suspect.child.sql).text
            for row in found:
                if row.repetition is not None and row.repetition.children[0].shape.text == text:
                    self.table.move_to(row.key)
        self.show_headline()
        self.show_detail()

    def headline_lines(self) -> Sequence[Line]:
        """Where it comes from, and what is to be known of that."""
        suspected = sum(row.suspect is not None for row in self.table.view.rows)
        return listing.headline(self.watched, self.source, suspected, self.app.size.width)

    def detail_lines(self, row: Any, width: int) -> Sequence[Line]:
        """The evidence."""
        return show_card(row, self.source, width)

    def act_read(self) -> None:
        """Read the evidence."""
        self.read_detail()

    def act_others(self) -> None:
        """Show also what repeats and is no N+1, or not."""
        self.shows_others = not self.shows_others
        self.show_all()
        others = len(self.source.found.others) if self.source is not None else 0
        told = f"with {others} that are no N+1" if others else "nothing else repeats"
        self.announce(told if self.shows_others else "N+1 alone")

    def act_copy_sql(self) -> None:
        """Copy the statement that repeats."""
        if self.row is not None:
            self.post_message(CopyWanted(self.row.sql))

    def act_copy_all(self) -> None:
        """Copy the whole card."""
        if self.row is not None:
            self.post_message(CopyWanted(self.row.copy_all(self.source)))

    def situation(self, base: Situation) -> Situation:
        """Say which pattern is under the cursor."""
        row = self.row
        crumbs = (self.source.name,) if self.source is not None and self.source.is_file else ()
        return replace(
            base,
            scopes=("findings", "queries", "live", "global"),
            crumbs=(*base.crumbs, *crumbs),
            finding=row is not None,
            copyable=row.copy_cure() if row is not None else "",
            deep=base.deep or bool(crumbs),
        )
