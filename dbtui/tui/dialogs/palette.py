"""The palette: actions and connections by name. What is not allowed now is grey and says why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from dbtui.tui.actions import Action, Situation, actions_in, bindings_of, speak
from dbtui.tui.cells import Line, Span, Tone, dim, line
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.focusing import focus_now
from dbtui.tui.fuzzy import score
from dbtui.tui.widgets.inputs import TextInput
from dbtui.tui.widgets.rows import Column
from dbtui.tui.widgets.table import Table


@dataclass(frozen=True, slots=True)
class Hit:
    """Something the palette offers: an action, or a connection to open."""

    key: str  # "action backups.backup", "connection erp"
    label: str
    remark: str
    shortcut: str = ""
    allowed: bool = True


def offers(situation: Situation) -> list[Hit]:
    """Return everything that can be chosen, the nearest first: actions of the pane, connections, all other actions."""
    scopes = [scope for scope in situation.scopes if scope != "global"]
    near = [_offer(action, situation) for action in actions_in(scopes) if action.palette]
    profiles = [
        Hit(f"connection {profile.name}", f"open {profile.name}", f"{profile.engine} · {profile.environment}")
        for profile in situation.profiles
    ]
    return [*near, *profiles, *(_offer(action, situation) for action in actions_in(["global"]) if action.palette)]


def _offer(action: Action, situation: Situation) -> Hit:
    reason = action.reason(situation)
    told = reason or speak(action.help, situation.keymap)
    return Hit(f"action {action.action_id}", action.label, told, situation.key_of(action),
               allowed=reason is None)  # fmt: skip


def find(hits: Sequence[Hit], query: str) -> list[Hit]:
    """Return the hits that answer `query`, the best first."""
    scored = [(score(query, f"{hit.label} {hit.remark if hit.allowed else ''}"), hit) for hit in hits]
    found = [(points, hit) for points, hit in scored if points is not None]
    return [hit for _, hit in sorted(found, key=lambda pair: -pair[0])]


def _label(hit: Hit) -> Line:
    return line(Span(hit.label, Tone.PLAIN if hit.allowed else Tone.DIM))


class Palette(Dialog[str]):
    """Answers with the key of what was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("palette")
    scopes: ClassVar[tuple[str, ...]] = ("palette",)

    def __init__(self, situation: Situation) -> None:
        super().__init__("Actions and connections")
        self._offers = offers(situation)

    def body(self) -> ComposeResult:
        """Yield the line to type into and what it finds."""
        yield TextInput(placeholder="type to find", id="query")
        columns: list[Column[Hit]] = [
            Column("NAME", _label, 16, grow=1, widest=30),
            Column("KEY", lambda hit: Span(hit.shortcut, Tone.KEY), 6),
            Column("", lambda hit: dim(hit.remark), 10, grow=3),
        ]
        table: Table[Hit] = Table(columns, lambda hit: hit.key, lambda hit: hit.label, id="hits")
        table.can_focus = False
        table.cursor_shown = True
        yield table

    def buttons(self) -> ComposeResult:
        """None: enter chooses, esc leaves."""
        yield from ()

    @property
    def _table(self) -> Table[Hit]:
        return self.query_one("#hits", Table)

    def on_mount(self) -> None:
        """Offer everything."""
        self._table.show_rows(self._offers)

    def focus_first(self) -> None:
        """The line to type into."""
        focus_now(self.query_one("#query"))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Find."""
        event.stop()
        self._table.cursor = 0
        self._table.show_rows(find(self._offers, event.value), [line(" Nothing is called that.")])
        self._table.action_first()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Choose."""
        event.stop()
        self.action_choose()

    def action_choose(self) -> None:
        """Answer with what is under the cursor."""
        row = self._table.cursor_row
        if row is not None:
            self.answer(row.key)

    def action_next(self) -> None:
        """Go to the next hit; the letters go on going to the line."""
        self._table.action_down()

    def action_previous(self) -> None:
        """Go to the previous hit."""
        self._table.action_up()

    def action_page_down(self) -> None:
        """Go a page down."""
        self._table.action_page_down()

    def action_page_up(self) -> None:
        """Go a page up."""
        self._table.action_page_up()
