"""The dialog that asks for a log or a trace: a path that completes itself, and its format where that is not told."""

import os
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.suggester import Suggester
from textual.widgets import Input

from dbtui.jobs import JobRunner
from dbtui.model.queries import LogFormat
from dbtui.routines.queries import InspectWish
from dbtui.tui import query_requests as requests
from dbtui.tui.cells import Line, dim, line
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.focusing import focus_now
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput
from dbtui.tui.workers import outcome_of, run_in_background

_SHOWN = 6
_FORMATS = (("", "by its first lines"), *((each.value, each.value) for each in LogFormat))


class PathSuggester(Suggester):
    """Suggests what a path may become; the right arrow takes it."""

    def __init__(self, runner: JobRunner) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._runner = runner

    async def get_suggestion(self, value: str) -> str | None:
        """Return the first path that begins so."""
        found = (await outcome_of(self._runner, requests.paths(value))).result or ()
        return next((each for each in found if each != value), None)


class OpenLogDialog(Dialog[InspectWish]):
    """Answers with what is to be read."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, runner: JobRunner) -> None:
        super().__init__("Read a log or a trace")
        self.runner = runner

    def body(self) -> ComposeResult:
        """Yield the path, what it may become, and the format."""
        with Horizontal(classes="field"):
            yield Lines(line(dim("file")), classes="field-label")
            yield TextInput(placeholder="a PostgreSQL, MySQL or MariaDB log, or a recorded trace; .gz as well",
                            id="path", suggester=PathSuggester(self.runner))  # fmt: skip
        yield Lines(*self._lines(()), id="paths", classes="dialog-text")
        yield Choice("format", _FORMATS, id="format")
        with Horizontal(classes="field"):
            yield Lines(line(dim("prefix")), classes="field-label")
            yield TextInput(placeholder="log_line_prefix of a stderr log; empty: guessed", id="prefix")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Read", id="accept", disabled=True)

    def focus_first(self) -> None:
        """The path: nothing is changed by reading."""
        focus_now(self.query_one("#path"))

    @staticmethod
    def _lines(found: tuple[str, ...]) -> list[Line]:
        shown: list[Line] = [line("             ", dim(each)) for each in found[:_SHOWN]]
        if len(found) > _SHOWN:
            shown[-1] = line("             ", dim(f"and {len(found) - _SHOWN + 1} more"))
        hint = line("             ", dim("→ takes what is suggested, enter reads it"))
        return [hint, *shown, *[line("")] * (_SHOWN - len(shown))]

    async def _list(self, text: str) -> None:
        found = (await outcome_of(self.runner, requests.paths(text))).result or ()
        self.query_one("#paths", Lines).show_lines(self._lines(found if found != (text,) else ()))

    def on_input_changed(self, event: Input.Changed) -> None:
        """List what it may become."""
        event.stop()
        if event.input.id == "path":
            button = self.query_one("#accept", PushButton)
            button.disabled = not event.value.strip() or event.value.endswith("/")
            button.refresh()
            run_in_background(self, "list files", self._list, event.value, group="paths")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter reads it."""
        event.stop()
        self.push("accept")

    def push(self, button_id: str) -> None:
        """Answer, if there is a path."""
        path = self.query_one("#path", TextInput).value.strip()
        if path and not path.endswith("/"):
            prefix = self.query_one("#prefix", TextInput).value
            path = os.path.expanduser(path)  # noqa: PTH111 - what cannot be expanded stays as it is
            path = "./-" if path == "-" else path  # what is typed here is the keyboard, and no file
            self.answer(InspectWish(path=path, format_name=self.query_one("#format", Choice).value, prefix=prefix))
