"""The backup dialog: format, packing and tables; the plan below them says what would be written, and why not."""

from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from dbtui.errors import DbtuiError
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, CreatePlan, DumpOptions
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.tui import requests
from dbtui.tui.cells import Line, dim, line
from dbtui.tui.dialogs.plan_lines import show_create_plan
from dbtui.tui.dialogs.planned import PlannedDialog
from dbtui.tui.focusing import focus_now
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput

_FORMATS = {
    EngineName.POSTGRESQL: (BackupFormat.PLAIN, BackupFormat.CUSTOM, BackupFormat.DIRECTORY),
    EngineName.MYSQL: (BackupFormat.PLAIN, BackupFormat.DIRECTORY),
    EngineName.SQLITE: (BackupFormat.COPY,),
}
_LEVELS = {"none": ("",), "gzip": ("", "1", "6", "9"), "zstd": ("", "1", "3", "9", "19")}


class BackupDialog(PlannedDialog[CreatePlan, CreatePlan]):
    """Answers with the plan that is to be done."""

    def __init__(self, runner: JobRunner, profile: ConnectionProfile) -> None:
        super().__init__(f"Back up {profile.name}", runner, production=profile.environment is Environment.PRODUCTION)
        self.profile = profile

    def body(self) -> ComposeResult:
        """Yield the fields and the plan."""
        profile = self.profile
        kind, _, level = profile.compress.partition(":")
        formats = _FORMATS[profile.engine]
        yield Choice("format", [(each.value, each.value) for each in formats], profile.format, id="format")
        yield Choice("compression", [(each.value, each.value) for each in CompressionKind], kind, id="compression")
        yield Choice("level", self._levels(kind), level, id="level")
        yield Choice("jobs", [(number, number) for number in ("1", "2", "4", "8")], "2", id="jobs")
        yield Choice("contents", [("all", "tables and rows"), ("schema", "definitions only")], id="schema")
        with Horizontal(classes="field"):
            yield Lines(line(dim("tables")), classes="field-label")
            yield TextInput(placeholder="all; or names such as public.orders audit_*", id="tables")
        with Horizontal(classes="field"):
            yield Lines(line(dim("encrypt to")), classes="field-label")
            yield TextInput(placeholder=self._usual_recipients(), id="encrypt-to")
        yield self.plan_panel()

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Back up", id="accept", disabled=True)

    def on_mount(self) -> None:
        """Hide what this engine does not have, and plan."""
        self._show_fields()
        super().on_mount()

    def focus_first(self) -> None:
        """The first field: nothing here can destroy anything."""
        focus_now(self.fields[0])

    def _usual_recipients(self) -> str:
        known = self.profile.encrypt_to
        usual = f"as the profile says, {len(known)} recipient{'' if len(known) == 1 else 's'}" if known else "nobody"
        return f"{usual}; or age1… recipients, or files of them; none: not encrypted"

    @staticmethod
    def _levels(kind: str) -> list[tuple[str, str]]:
        return [(level, level or "default") for level in _LEVELS.get(kind, ("",))]

    def _show_fields(self) -> None:
        self.query_one("#format").display = len(_FORMATS[self.profile.engine]) > 1
        self.query_one("#level").display = len(self.query_one("#level", Choice).options) > 1
        self.query_one("#jobs").display = self._value("format") == BackupFormat.DIRECTORY

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Choice).value

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        if event.choice.id == "compression":
            self.query_one("#level", Choice).offer(self._levels(self._value("compression")))
        self._show_fields()
        self.replan()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Plan anew."""
        event.stop()
        self.replan()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on."""
        event.stop()
        self.go_on()

    @property
    def options(self) -> DumpOptions:
        """What the fields say."""
        level = self._value("level")
        directory = self._value("format") == BackupFormat.DIRECTORY
        return DumpOptions(
            format=BackupFormat(self._value("format")),
            compression=Compression(CompressionKind(self._value("compression")), int(level) if level else None),
            jobs=int(self._value("jobs")) if directory else 1,
            tables=tuple(self.query_one("#tables", TextInput).value.replace(",", " ").split()),
            schema_only=self._value("schema") == "schema",
            encrypt_to=self._recipients(),
        )

    def _recipients(self) -> tuple[str, ...] | None:
        """Those that were typed, apart by commas or blanks, which an SSH key itself has; None: as the profile says."""
        typed = self.query_one("#encrypt-to", TextInput).value.strip()
        if "," in typed or typed.startswith("ssh-"):
            return tuple(each.strip() for each in typed.split(",") if each.strip())
        return tuple(typed.split()) or None

    def plan_request(self) -> JobRequest[CreatePlan] | str:
        """Ask the server."""
        try:
            return requests.create_plan(self.profile, Path(self.profile.backup_dir), self.options)
        except DbtuiError as error:
            return str(error)

    def plan_lines(self, plan: CreatePlan) -> list[Line]:
        """Show it."""
        return show_create_plan(plan)

    async def plan_arrived(self, plan: CreatePlan | None) -> None:
        """It can be done when nothing speaks against it."""
        self.accept_button.disabled = plan is None or bool(plan.refusals)

    def push(self, button_id: str) -> None:
        """Do it."""
        if self.plan is not None and not self.plan.refusals:
            self.answer(self.plan)
