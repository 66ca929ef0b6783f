"""The dialog that adds a replica: where it goes and what it is called; the plan below says what would be done."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from dbtui.analysis.capture_words import parse_size
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.replicas import ReplicaAction, ReplicaPlan, ReplicaWish
from dbtui.tui import replica_requests as requests
from dbtui.tui.cells import dim, line
from dbtui.tui.dialogs.replica_order import ReplicaPlanDialog
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.focusing import focus_now
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput
from dbtui.tui.workers import outcome_of, run_in_background

_LOCAL = "127.0.0.1"
#: The fields, line by line: what each is called, its label, what it holds at first, and what it says while it is empty.
_LINES = (
    (("directory", "directory", "", "of its data on this machine: not there yet, or empty"),),
    (("port", "port", "", "looking for a free one …"), ("host", "listens on", _LOCAL, "an address; *: all")),
    (("slot", "slot", "", "empty: by the directory"), ("name", "name", "", "empty: by the directory")),
    (("rate", "at most", "", "as fast as it goes; or so much a second: 20M"),),
)
_FAST, _SPREAD = "fast", "spread"
_START, _LEAVE = "start", "leave"
_HIGHEST_PORT = 65_535


class AddReplicaDialog(ReplicaPlanDialog):
    """Answers with the plan that is to be done."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, runner: JobRunner, profile: ConnectionProfile, replicas: tuple[ConnectionProfile, ...]) -> None:
        super().__init__(f"Add a replica of {profile.name}", runner,
                         production=profile.environment is Environment.PRODUCTION)  # fmt: skip
        self.profile, self.replicas = profile, replicas

    def body(self) -> ComposeResult:
        """Yield the fields, the plan and the names to type."""
        for fields in _LINES:
            with Horizontal(classes="field"):
                for name, label, value, placeholder in fields:
                    yield Lines(line(dim(label)), classes="field-label")
                    yield TextInput(value, placeholder=placeholder, id=name)
        yield Choice("checkpoint", [(_FAST, "at once"), (_SPREAD, "spread over time, which may take minutes")],
                     _FAST, id="checkpoint")  # fmt: skip
        yield Choice("afterwards", [(_START, "start it, wait until it streams"), (_LEAVE, "start nothing")], _START,
                     id="afterwards")  # fmt: skip
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Add", id="accept", disabled=True)

    def on_mount(self) -> None:
        """Ask this machine for a port, unless one is typed meanwhile."""
        super().on_mount()
        run_in_background(self, "find a port", self._find_port)

    async def _find_port(self) -> None:
        found = await outcome_of(self.runner, requests.free_port(self.profile))
        field = self.query_one("#port", TextInput)
        field.placeholder = "that it listens on"
        if not field.value and found.result is not None:
            field.value = str(found.result)

    def focus_first(self) -> None:
        """The first field: nothing here can destroy anything."""
        focus_now(self.fields[0])

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", TextInput).value.strip()

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self.replan()

    def plan_request(self) -> JobRequest[ReplicaPlan] | str:
        """Ask the server and this machine."""
        directory, port = self._text("directory"), self._text("port")
        if not directory:
            return "Type the directory that the replica's data goes into."
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
            return f"port: a number from 1 to {_HIGHEST_PORT}, not {port!r}"
        try:
            rate = parse_size("at most", self._text("rate")) if self._text("rate") else None
        except UsageError as error:
            return str(error)
        wish = ReplicaWish(
            data_directory=directory,
            port=int(port),
            slot=self._text("slot"),
            name=self._text("name"),
            host=self._text("host") or _LOCAL,
            most_bytes_per_second=rate,
            is_fast_checkpoint=self.query_one("#checkpoint", Choice).value == _FAST,
            is_started=self.query_one("#afterwards", Choice).value == _START,
        )
        return requests.plan(self.profile, ReplicaAction.ADD, wish, self._text("name"), self.replicas)
