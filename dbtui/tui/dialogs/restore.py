"""The restore dialog: where to, a new database or in place of one; then the plan; then names to type if it replaces."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.backups import BackupEntry, RestoreOptions, RestorePlan, TableName
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.tui import requests
from dbtui.tui.cells import Line, dim, line
from dbtui.tui.dialogs.plan_lines import show_restore_plan
from dbtui.tui.dialogs.planned import PlannedDialog
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput

_NEW, _REPLACE = "new", "replace"


@dataclass(frozen=True, slots=True)
class ChosenRestore:
    """What the operator agreed to."""

    profile: ConnectionProfile
    plan: RestorePlan


class RestoreDialog(PlannedDialog[ChosenRestore, RestorePlan]):
    """Answers with the plan that is to be done, and where. The focus rests on Cancel."""

    def __init__(
        self,
        runner: JobRunner,
        entry: BackupEntry,
        profiles: Sequence[ConnectionProfile],
        opened: ConnectionProfile | None,
        ticked: Sequence[TableName] = (),
    ) -> None:
        what = f"{len(ticked)} table{'s' if len(ticked) > 1 else ''} of " if ticked else ""
        super().__init__(f"Restore {what}{entry.backup_id}", runner)
        self.entry, self.ticked = entry, tuple(ticked)
        self.profiles = {profile.name: profile for profile in profiles if profile.engine is entry.engine}
        self._first = opened.name if opened is not None and opened.name in self.profiles else ""

    def body(self) -> ComposeResult:
        """Yield the fields, the plan, and the names to type."""
        yield Choice("to", [(name, name) for name in self.profiles], self._first, id="target")
        yield Choice("into", [(_NEW, "a new database"), (_REPLACE, "in place of an existing one")], id="mode")
        with Horizontal(classes="field"):
            yield Lines(line(dim("database")), classes="field-label")
            yield TextInput(placeholder="chosen by the plan", id="database")
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Restore", id="accept", dangerous=True, disabled=True)

    @property
    def profile(self) -> ConnectionProfile | None:
        """Where to."""
        return self.profiles.get(self.query_one("#target", Choice).value)

    def plan_request(self) -> JobRequest[RestorePlan] | str:
        """Ask the server."""
        profile = self.profile
        if profile is None:
            return f"no {self.entry.engine} connection is known: add a profile to restore into"
        self.set_class(profile.environment is Environment.PRODUCTION, "-production")
        options = RestoreOptions(
            into=self.query_one("#database", TextInput).value.strip(),
            replace=self.query_one("#mode", Choice).value == _REPLACE,
            tables=tuple(str(name) for name in self.ticked),
        )
        return requests.restore_plan(self.entry, profile, options)

    def plan_lines(self, plan: RestorePlan) -> list[Line]:
        """Show it."""
        return show_restore_plan(plan)

    async def plan_arrived(self, plan: RestorePlan | None) -> None:
        """Ask for the names that this plan wants typed."""
        names: list[tuple[str, str]] = []
        if plan is not None and plan.confirm_name and not plan.refusals:
            names.append(("database", plan.confirm_name))
            if plan.environment == Environment.PRODUCTION:
                names.append(("profile", plan.profile))
        await self.query_one(NamesToType).ask_for(names)
        self._judge()

    def _judge(self) -> None:
        plan = self.plan
        self.accept_button.disabled = plan is None or bool(plan.refusals) or not self.query_one(NamesToType).typed

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self.replan()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Plan anew for another database; judge what was typed as a confirmation."""
        event.stop()
        if event.input.id == "database":
            self.replan()
        else:
            self._judge()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on."""
        event.stop()
        self.go_on()

    def push(self, button_id: str) -> None:
        """Do it, if everything was typed."""
        profile, plan = self.profile, self.plan
        self._judge()
        if profile is not None and plan is not None and not self.accept_button.disabled:
            self.answer(ChosenRestore(profile, plan))
