"""A box over the panes that keeps the focus until it is answered; nothing behind it is redrawn."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from dbtui.tui.actions import bindings_of
from dbtui.tui.cells import BLANK, Line, Span, Tone, line
from dbtui.tui.focusing import focus_now, is_shown
from dbtui.tui.messages import SituationChanged
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput
from dbtui.tui.workers import run_in_background

AnswerT = TypeVar("AnswerT")


class Dialog(Vertical, Generic[AnswerT]):
    """A question. `answer` ends it; esc answers None, which changes nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("dialog"), Binding("enter", "leave_choice", show=False)]
    scopes: ClassVar[tuple[str, ...]] = ("dialog",)

    def __init__(self, title: str, *, production: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.dialog_title = title
        self.answered: asyncio.Future[AnswerT | None] = asyncio.get_running_loop().create_future()
        self.is_ready = False  # whether it has got the focus: from then on keys are for it
        self.set_class(production, "-production")

    def compose(self) -> ComposeResult:
        """Title, body, buttons."""
        yield Lines(line(Span(self.dialog_title, Tone.STRONG)), classes="dialog-title")
        yield from self.body()
        with Horizontal(classes="dialog-buttons"):
            yield Lines(BLANK, classes="dialog-notice")
            yield from self.buttons()

    def body(self) -> ComposeResult:
        """Yield what stands between title and buttons."""
        yield from ()

    def buttons(self) -> ComposeResult:
        """Yield the buttons; the first one changes nothing."""
        yield PushButton("Close", id="cancel")

    def tell(self, text: str) -> None:
        """Say beside the buttons why a key did nothing; "" takes that back."""
        told = line(Span("▲ ", Tone.WARNING), Span(text)) if text else BLANK
        self.query_one(".dialog-notice", Lines).show_lines([told])

    def answer(self, value: AnswerT | None) -> None:
        """End the dialog with this answer."""
        if not self.answered.done():
            self.answered.set_result(value)

    def on_push_button_pushed(self, event: PushButton.Pushed) -> None:
        """Answer with what the button means."""
        event.stop()
        if event.button.id == "cancel":
            self.answer(None)
        else:
            self.push(event.button.id or "")

    def push(self, button_id: str) -> None:
        """A button other than the first one was pressed."""

    # ------------------------------------------------------------ focus

    @property
    def fields(self) -> list[Widget]:
        """What can be focused now, in order."""
        return [node for node in self.query("*") if isinstance(node, Widget) and node.focusable and is_shown(node)]

    def focus_first(self) -> None:
        """Put the focus where it rests: on the button that changes nothing."""
        focus_now(self.query_one("#cancel"))

    def _step(self, step: int) -> None:
        fields = self.fields
        focused = self.screen.focused
        if fields:
            place = fields.index(focused) if focused in fields else -1
            focus_now(fields[(place + step) % len(fields)])

    def action_next(self) -> None:
        """Go to the next field."""
        self._step(1)

    def action_previous(self) -> None:
        """Go to the previous field."""
        self._step(-1)

    def go_on(self) -> None:
        """Enter was pressed in a field: go to the next one, from the last one to the button that does it, if it may."""
        self._step(1)
        works = [button for button in self.query(PushButton) if button.id != "cancel" and not button.disabled]
        if works and self.screen.focused is self.query_one("#cancel"):
            focus_now(works[0])

    def action_leave_choice(self) -> None:
        """Go on from a choice by enter, as from a line of text."""
        if isinstance(self.screen.focused, Choice):
            self.go_on()

    def on_key(self, event: events.Key) -> None:
        """What is typed while the focus rests on a button goes into the first empty field that wants a name typed."""
        typed = event.character if event.is_printable else None
        is_order = event.key in self._bindings.key_to_bindings  # y and n
        if not typed or typed.isspace() or is_order or not isinstance(self.screen.focused, PushButton):
            return
        field = next((each for each in self.query(".name-input").results(TextInput) if not each.value), None)
        if field is not None:
            event.stop()
            event.prevent_default()
            focus_now(field)
            field.insert_text_at_cursor(typed)

    def action_close(self) -> None:
        """Leave without doing anything."""
        self.answer(None)

    def on_click(self, event: events.Click) -> None:
        """Keep clicks from what is behind."""
        event.stop()


class Asks(Protocol):
    """An app that counts the questions it is about to ask, or asks, and keeps keys for them."""

    asking: int

    def next_key(self) -> None:
        """Let the next waiting key pass."""


async def ask(node: Widget, dialog: Dialog[AnswerT]) -> AnswerT | None:
    """Show a dialog over `node`'s screen and wait for its answer; the focus returns to where it was."""
    screen = node.screen
    before = screen.focused
    try:
        await screen.query_one("#panes").mount(dialog)
        dialog.focus_first()
        dialog.is_ready = True
        cast(Asks, node.app).next_key()
        node.post_message(SituationChanged())
        return await dialog.answered
    finally:
        if dialog.is_attached:
            await dialog.remove()
        if before is not None and before.is_attached:
            screen.set_focus(before, scroll_visible=False)
        node.post_message(SituationChanged())


def ask_in_background(
    node: Widget, name: str, work: Callable[..., Coroutine[Any, Any, object]], *arguments: Any
) -> None:
    """Run what asks something. From now on, and not only when the dialog is drawn, other keys are not looked at."""
    app = cast(Asks, node.app)
    is_counted = True

    def asked() -> None:
        nonlocal is_counted
        if is_counted:
            is_counted = False
            app.asking -= 1
            app.next_key()

    async def working() -> None:
        try:
            await work(*arguments)
        finally:
            asked()  # now: what the answer wants done is not kept waiting by the question

    run_in_background(node, name, working, afterwards=asked)
    app.asking += 1


class Confirm(Dialog[bool]):
    """A question of yes or no about something that can be undone: y and n answer it too."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes"), ("n", "close")]

    def __init__(self, title: str, text: Sequence[Line], yes: str, no: str, **arguments: Any) -> None:
        super().__init__(title, **arguments)
        self._text, self._yes, self._no = tuple(text), yes, no

    def body(self) -> ComposeResult:
        """Yield what it is about."""
        yield Lines(*self._text, classes="dialog-text")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton(self._no, id="cancel")
        yield PushButton(self._yes, id="yes")

    def push(self, button_id: str) -> None:
        """Answer yes."""
        self.answer(True)

    def action_yes(self) -> None:
        """Answer yes."""
        self.answer(True)
