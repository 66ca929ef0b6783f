"""The keys that work here, made from the action table: what is nearest to the focus comes first."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from dbtui.tui.actions import Action, Situation, actions_in, bindings_of, key_name, speak
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.focusing import focus_now
from dbtui.tui.widgets.drawn import TextPanel
from dbtui.tui.widgets.inputs import PushButton

_TITLES = {
    "connections": "Connections",
    "sessions": "Sessions",
    "live": "What is asked again and again",
    "pools": "Pools",
    "clients": "Clients of PgBouncer",
    "partitioned": "Partitioned tables",
    "partitions": "Partitions of a table",
    "steps": "A plan",
    "replay": "A recording",
    "history": "List of backups",
    "diff": "Two backups side by side",
    "contents": "Inside a backup",
    "backups": "Backups",
    "jobs": "Jobs",
    "pane": "In a pane",
    "global": "Everywhere",
    "table": "Moving in a list",
    "text": "Moving in a text",
    "dialog": "In a dialog",
}


def _keys(action: Action, situation: Situation) -> str:
    return " ".join(key_name(key) for key in situation.keys_of(action)) or "(no key)"


def show_help(situation: Situation) -> list[Line]:
    """Return the help of a situation; what is not allowed now is grey and says why.

    Each line ends with the action's name, by which `[keys]` in the configuration gives it other keys.
    """
    lines: list[Line] = []
    for scope in (*dict.fromkeys((*situation.scopes, "global", "table", "text", "dialog")),):
        actions = actions_in([scope])
        if not actions:
            continue
        if lines:
            lines.append(BLANK)
        lines.append(line(Span(_TITLES.get(scope, scope), Tone.STRONG)))
        for action in actions:
            reason, name = action.reason(situation), dim(f"  {action.action_id}")
            keys = f"  {_keys(action, situation):<16} "
            if reason is None:
                lines.append(line(Span(keys, Tone.KEY), speak(action.help, situation.keymap), name))
            else:
                lines.append(line(dim(keys), dim(f"{speak(action.help, situation.keymap)} · not now: {reason}"), name))
    lines += [BLANK, *_SIGNS]
    return lines


_SIGNS: Sequence[Line] = (
    line(Span("Signs", Tone.STRONG)),
    line(Span("  ●                ", Tone.OK), "well, reachable, proven"),
    line(Span("  ○                ", Tone.DIM), "not known, not proven"),
    line(Span("  ▲                ", Tone.WARNING), "look at this"),
    line(Span("  ✖                ", Tone.TROUBLE), "broken, unreachable, refused"),
)


class Help(Dialog[None]):
    """All keys, scrollable."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("help")
    scopes: ClassVar[tuple[str, ...]] = ("help", "text")

    def __init__(self, situation: Situation) -> None:
        super().__init__("Keys")
        self._situation = situation

    def body(self) -> ComposeResult:
        """Yield the list."""
        yield TextPanel(classes="help-text")

    def buttons(self) -> ComposeResult:
        """Yield the way out."""
        yield PushButton("Close", id="cancel")

    def on_mount(self) -> None:
        """Fill it."""
        self.query_one(TextPanel).show_text(show_help(self._situation))

    def focus_first(self) -> None:
        """The list, so that it scrolls."""
        focus_now(self.query_one(TextPanel))
