"""The small dialog before a pin: what it does, and why the backup is to stay, which may be left empty."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from dbtui.model.backups import BackupEntry
from dbtui.tui.cells import dim, line, strong
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.focusing import focus_now
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import PushButton, TextInput


class PinDialog(Dialog[str]):
    """Answers with the reason."""

    def __init__(self, entry: BackupEntry) -> None:
        super().__init__("Pin this backup?")
        self._entry = entry

    def body(self) -> ComposeResult:
        """Yield the consequence, and the field."""
        yield Lines(
            line("Neither retention nor deletion removes ", strong(self._entry.backup_id)),
            line("until its pin is taken away. Others see the reason."),
            classes="dialog-text",
        )
        with Horizontal(classes="field"):
            yield Lines(line(dim("reason")), classes="field-label")
            yield TextInput(placeholder="may be left empty: before the migration", id="reason")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Pin", id="pin")

    def focus_first(self) -> None:
        """The field: a pin destroys nothing, and is taken away by the same key."""
        focus_now(self.query_one("#reason"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter pins."""
        event.stop()
        self.push("pin")

    def push(self, button_id: str) -> None:
        """Answer with what was typed."""
        self.answer(self.query_one("#reason", TextInput).value.strip())
