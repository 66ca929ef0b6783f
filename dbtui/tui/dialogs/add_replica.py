"""The dialog that adds a replica: where it goes and what it is called; the plan below says what would be done."""

import socket
from typing import ClassVar
from urllib.parse import urlsplit

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

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

_FIELDS = (
    ("directory", "directory", "of its data on this machine: not there yet, or empty"),
    ("port", "port", "that it listens on"),
    ("slot", "slot", "empty: named after the directory"),
    ("name", "name", "empty: named after the directory; what the primary calls it"),
)
_FAST, _SPREAD = "fast", "spread"
_HIGHEST_PORT, _MOST_TRIED = 65_535, 50
_USUAL_PORT = 5432


def next_port(profile: ConnectionProfile) -> str:
    """Return the next port after that of a profile's server that is free on this machine: a proposal."""
    try:
        first = urlsplit(profile.url).port or _USUAL_PORT
    except ValueError:  # several hosts, each with its port
        first = _USUAL_PORT
    ports = range(min(first + 1, _HIGHEST_PORT), min(first + _MOST_TRIED, _HIGHEST_PORT) + 1)
    return str(next((port for port in ports if _is_free(port)), ports[0]))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class AddReplicaDialog(ReplicaPlanDialog):
    """Answers with the plan that is to be done."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, runner: JobRunner, profile: ConnectionProfile, replicas: tuple[ConnectionProfile, ...]) -> None:
        super().__init__(f"Add a replica of {profile.name}", runner,
                         production=profile.environment is Environment.PRODUCTION)  # fmt: skip
        self.profile, self.replicas = profile, replicas

    def body(self) -> ComposeResult:
        """Yield the fields, the plan and the names to type."""
        for name, label, placeholder in _FIELDS:
            with Horizontal(classes="field"):
                yield Lines(line(dim(label)), classes="field-label")
                value = next_port(self.profile) if name == "port" else ""
                yield TextInput(value, placeholder=placeholder, id=name)
        yield Choice("checkpoint", [(_FAST, "at once"), (_SPREAD, "spread over time, which may take minutes")],
                     _FAST, id="checkpoint")  # fmt: skip
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Add", id="accept", disabled=True)

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
        wish = ReplicaWish(
            data_directory=directory,
            port=int(port),
            slot=self._text("slot"),
            name=self._text("name"),
            is_fast_checkpoint=self.query_one("#checkpoint", Choice).value == _FAST,
        )
        return requests.plan(self.profile, ReplicaAction.ADD, wish, self._text("name"), self.replicas)
