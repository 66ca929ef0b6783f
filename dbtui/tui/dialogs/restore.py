"""The restore dialog: where to, a new database or in place of one; then the plan; then names to type if it replaces."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Horizontal

from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.backups import BackupEntry, RestoreOptions, RestorePlan, TableName
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.tui import far_requests, requests
from dbtui.tui.cells import Line, dim, line
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.plan_lines import show_restore_plan
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput

_NEW, _REPLACE = "new", "replace"


@dataclass(frozen=True, slots=True)
class ChosenRestore:
    """What the operator agreed to."""

    profile: ConnectionProfile
    plan: RestorePlan


class RestoreDialog(ConfirmedDialog[ChosenRestore, RestorePlan]):
    """Answers with the plan that is to be done, and where. The focus rests on Cancel.

    `fetched_into` is where a backup that lies in a remote alone is put while it is restored.
    """

    def __init__(
        self,
        runner: JobRunner,
        entry: BackupEntry,
        profiles: Sequence[ConnectionProfile],
        opened: ConnectionProfile | None,
        ticked: Sequence[TableName] = (),
        fetched_into: Path | None = None,
    ) -> None:
        what = f"{len(ticked)} table{'s' if len(ticked) > 1 else ''} of " if ticked else ""
        super().__init__(f"Restore {what}{entry.backup_id}", runner)
        self.entry, self.ticked, self._fetched_into = entry, tuple(ticked), fetched_into
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
        if self.entry.remote and self._fetched_into is not None:
            return far_requests.restore_plan(self.entry, profile, options, self._fetched_into)
        return requests.restore_plan(self.entry, profile, options)

    def plan_lines(self, plan: RestorePlan) -> list[Line]:
        """Show it."""
        return show_restore_plan(plan)

    def allows(self, plan: RestorePlan) -> bool:
        """Nothing is refused."""
        return not plan.refusals

    def names_of(self, plan: RestorePlan) -> list[tuple[str, str]]:
        """What is lost, and the name of a production profile."""
        if not plan.confirm_name:
            return []
        profile = [("profile", plan.profile)] if plan.environment == Environment.PRODUCTION else []
        return [("database", plan.confirm_name), *profile]

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self.replan()

    def answer_of(self, plan: RestorePlan) -> ChosenRestore | None:
        """The plan, and where to."""
        profile = self.profile
        return ChosenRestore(profile, plan) if profile is not None else None
