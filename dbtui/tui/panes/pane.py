"""What every pane is: it owns its data, says where the operator is in it, and does its actions by `act_<name>`."""

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from dbtui.jobs import Job
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobOutcome
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.cells import Tone
from dbtui.tui.focusing import focus_now, is_shown
from dbtui.tui.messages import Announced, SituationChanged
from dbtui.tui.widgets.table import Table

if TYPE_CHECKING:  # only who tests with load needs to know more
    from dbtui.model.loadtest import LoadSecond


class Pane(Container):
    """One numbered pane. Its widget id is its name."""

    TITLE: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("pane")

    def situation(self, base: Situation) -> Situation:
        """Return `base` with what this pane knows."""
        return base

    def owner_of(self, scope: str) -> object:
        """Return what has the methods `act_<name>` of a scope."""
        return self

    def shown(self, in_view: bool) -> None:
        """The pane has come into view, or has gone from it."""

    def set_pace(self, seconds: float) -> None:
        """Ask servers no more often than this: the link to the terminal takes no more."""

    def focus_content(self) -> None:
        """Put the focus where work begins."""

    def load(self) -> None:
        """Ask again for what is shown."""

    def back(self) -> bool:
        """Go one level back. Returns False when there is none."""
        return False

    def open_target(self, profile: ConnectionProfile) -> None:
        """Another target was opened."""

    def load_ticked(self, job: Job[Any], second: "LoadSecond") -> None:
        """A second of a load test has passed."""

    def job_changed(self) -> None:
        """A job of any pane has begun or gone on."""

    def job_ended(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        """A job of any pane has ended."""

    def act_other(self) -> None:
        """Go from the list to the detail, or back."""
        sides = [node for node in self.query("*") if isinstance(node, Widget) and node.focusable and is_shown(node)]
        focused = self.screen.focused
        if sides:
            focus_now(sides[(sides.index(focused) + 1) % len(sides)] if focused in sides else sides[0])

    def tick(self) -> None:
        """A minute may have passed: ages may read differently."""
        for table in self.query(Table):
            table.repaint_changed()

    def sort(self, backwards: bool) -> None:
        """Sort the focused list by its next column, or turn its order around."""
        table = self.focused_table
        if table is None:
            return
        if backwards:
            table.sort_backwards()
            return
        label = table.sort_next()
        self.announce(f"sorted by {label.lower()}" if label else "in its own order")

    @property
    def focused_table(self) -> Table[Any] | None:
        """The list that has the focus."""
        focused = self.screen.focused
        return focused if isinstance(focused, Table) and self in focused.ancestors else None

    def announce(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Say a sentence in the message line."""
        self.post_message(Announced(text, tone))

    def on_table_moved(self, event: Table.Moved) -> None:
        """The keys of another row may be others."""
        event.stop()
        self.row_changed(event.table)
        self.post_message(SituationChanged())

    def row_changed(self, table: Table[Any]) -> None:
        """The cursor of one of its lists is on another row."""
