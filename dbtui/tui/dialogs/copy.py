"""Where a text shall go: the terminal's clipboard, a file, or a plain screen to select it by hand."""

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from dbtui.model.text import format_bytes
from dbtui.tui.aside import EXPORTS
from dbtui.tui.cells import BLANK, dim, line
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import PushButton

_SHOWN_LINES = 3


class CopyTo(Dialog[str]):
    """Answers `clipboard`, `file` or `plain`."""

    BINDINGS: ClassVar[list[BindingType]] = [("c", "go('clipboard')"), ("f", "go('file')"), ("p", "go('plain')")]

    def __init__(self, text: str, state_dir: Path) -> None:
        super().__init__("Copy to where?")
        self._text, self._directory = text, state_dir / EXPORTS

    def body(self) -> ComposeResult:
        """Yield the beginning of the text, and what the three ways are."""
        lines = self._text.splitlines()
        size = format_bytes(len(self._text.encode("utf-8", "replace")))
        yield Lines(
            *(line("  ", text) for text in lines[:_SHOWN_LINES]),
            line(dim(f"  {size}, {len(lines)} lines" if len(lines) > 1 else f"  {size}")),
            BLANK,
            line("c  ", dim("send it to the terminal, which may put it into its clipboard (OSC 52)")),
            line("f  ", dim(f"write it to a file in {self._directory}")),
            line("p  ", dim("show it on a plain screen, to be selected by hand")),
            classes="dialog-text",
        )

    def buttons(self) -> ComposeResult:
        """Yield the answers."""
        yield PushButton("Close", id="cancel")
        yield PushButton("Clipboard", id="clipboard")
        yield PushButton("File", id="file")
        yield PushButton("Plain screen", id="plain")

    def push(self, button_id: str) -> None:
        """Answer."""
        self.answer(button_id)

    def action_go(self, way: str) -> None:
        """Answer."""
        self.answer(way)
