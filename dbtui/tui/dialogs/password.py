"""Asks for a password, which is not shown and not kept anywhere but in memory."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from dbtui.model.connections import ConnectionProfile
from dbtui.tui.cells import dim, line
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.focusing import focus_now
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import PushButton, TextInput


class PasswordDialog(Dialog[str]):
    """Answers with what was typed."""

    def __init__(self, profile: ConnectionProfile) -> None:
        super().__init__(f"Password of {profile.name}")
        self._profile = profile

    def body(self) -> ComposeResult:
        """Yield where it is for, and the field."""
        yield Lines(line(self._profile.url), line(dim("It is kept in memory until dbtui ends.")), classes="dialog-text")
        with Horizontal(classes="field"):
            yield Lines(line(dim("password")), classes="field-label")
            yield TextInput(password=True, id="password")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Connect", id="connect")

    def focus_first(self) -> None:
        """The field."""
        focus_now(self.query_one("#password"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter connects."""
        event.stop()
        self.push("connect")

    def push(self, button_id: str) -> None:
        """Answer with what was typed."""
        self.answer(self.query_one("#password", TextInput).value)
