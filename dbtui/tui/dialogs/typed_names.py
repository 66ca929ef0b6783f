"""Typing names as a confirmation: the button works only when each name was typed as it is."""

from collections.abc import Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from dbtui.tui.cells import Span, Tone, line, width_of
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.focusing import focus_now
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.inputs import PushButton, TextInput

_NARROWEST_FIELD = 24


class NamesToType(Vertical):
    """One field for each name. `typed` says whether all are right."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._names: tuple[tuple[str, str], ...] | None = ()  # None: their fields are not all there yet

    async def ask_for(self, names: Sequence[tuple[str, str]]) -> None:
        """Ask for these names: what each is, and the name itself."""
        if tuple(names) == self._names:
            return
        self._names = None
        await self.remove_children()
        await self.mount_all([self._row(what, name) for what, name in names])
        self._names = tuple(names)

    def _row(self, what: str, name: str) -> Horizontal:
        words = line("type the ", what, " ", Span(name, Tone.STRONG))
        label = Lines(words, classes="name-label")
        label.styles.width = max(1, min(width_of(words), self.app.size.width - _NARROWEST_FIELD)) + 1
        return Horizontal(label, TextInput(classes="name-input"), classes="name-row")

    def begins(self, letter: str) -> bool:
        """Take a letter, if the name that is to be typed next begins with it."""
        if self._names is None:
            return False
        for field, (_, name) in zip(self.query(TextInput), self._names, strict=True):
            if not field.value:
                if name.startswith(letter):
                    focus_now(field)
                    field.insert_text_at_cursor(letter)
                return name.startswith(letter)
        return False

    @property
    def typed(self) -> bool:
        """Whether every name was typed as it is."""
        if self._names is None:
            return False
        return [field.value for field in self.query(TextInput)] == [name for _, name in self._names]


class TypeToConfirm(Dialog[bool]):
    """Says what will be lost, and asks for names."""

    def __init__(self, title: str, text: Sequence[tuple[Span, ...]], names: Sequence[tuple[str, str]], yes: str,
                 *, production: bool = False) -> None:  # fmt: skip
        super().__init__(title, production=production)
        self._text, self._names, self._yes = tuple(text), tuple(names), yes

    def body(self) -> ComposeResult:
        """Yield what will be lost, and the fields."""
        panel = TextPanel(classes="dialog-text")
        panel.can_focus = False
        yield panel
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton(self._yes, id="yes", dangerous=True, disabled=True)

    async def on_mount(self) -> None:
        """Fill it."""
        panel = self.query_one(TextPanel)
        panel.styles.height = len(self._text) + 1
        panel.show_text(self._text)
        await self.query_one(NamesToType).ask_for(self._names)

    def on_input_changed(self, _event: Input.Changed) -> None:
        """The button works when the names are right."""
        self.query_one("#yes").disabled = not self.query_one(NamesToType).typed

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Enter in a field goes to the next one, at last to the button."""
        self.go_on()

    def push(self, button_id: str) -> None:
        """Answer yes, if the names are right."""
        if self.query_one(NamesToType).typed:
            self.answer(True)
