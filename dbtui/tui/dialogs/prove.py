"""The dialog before a proof: on a throwaway server, or in a scratch database of a server that is known."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from dbtui.errors import DbtuiError
from dbtui.jobs import JobRunner
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.proofs import ThrowawayPlan
from dbtui.tui import far_requests, requests
from dbtui.tui.cells import Line, dim, line, strong
from dbtui.tui.dialogs.dialog import Dialog, ask
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton
from dbtui.tui.workers import outcome_of

Place = ThrowawayPlan | ConnectionProfile
_THROWAWAY = ""


class ProveDialog(Dialog[Place]):
    """Where to restore a backup for its proof. `missing` says why no throwaway server can be had here."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes"), ("n", "close")]

    def __init__(
        self, entry: BackupEntry, plan: ThrowawayPlan | None, profiles: Sequence[ConnectionProfile], missing: str
    ) -> None:
        self._entry, self._plan, self._missing = entry, plan, missing
        self._profiles = {profile.name: profile for profile in profiles}
        self._first: Place | None = plan or next(iter(profiles), None)
        super().__init__("Verify by restoring?", production=_is_production(self._first))

    @property
    def place(self) -> Place | None:
        """The chosen one; None when there is none."""
        choices = self.query(Choice)
        if not choices:
            return self._first
        chosen = choices.first().value
        return self._plan if chosen == _THROWAWAY else self._profiles.get(chosen)

    def _options(self) -> list[tuple[str, str]]:
        own = [(_THROWAWAY, f"a throwaway {self._plan.server}")] if self._plan else []
        return own + [(name, name) for name in self._profiles]

    def body(self) -> ComposeResult:
        """Yield the choice, if there is one, and what will be done."""
        options = self._options()
        if len(options) > 1:
            yield Choice("on", options)
        yield Lines(*self._text(self._first), classes="dialog-text")

    def _text(self, place: Place | None) -> list[Line]:
        missing = [refusal(self._missing)] if self._missing else []
        if place is None:
            return missing
        if isinstance(place, ThrowawayPlan):
            account = f", account {place.account}" if place.account else ""
            what = "server" if place.programs else "file"
            return [
                line("Restores ", strong(self._entry.backup_id), f" into a {what} made for it, and removes it again."),
                line(dim("Rows, constraints, indexes, sequences, views are compared; no server of yours is touched.")),
                fact(what, place.server),
                fact("in", f"{place.parent}, private, no network{account}"),
                *(warning(remark) for remark in place.remarks),
            ]  # fmt: skip
        return [
            *missing,
            line("Restores ", strong(self._entry.backup_id), " into a scratch database on ", strong(place.name), ","),
            line("compares rows, constraints, indexes, sequences and views, and drops the scratch database."),
            fact("server", place.url),
        ]

    def buttons(self) -> ComposeResult:
        """Yield the two answers; where nothing can be done, only one."""
        yield PushButton("Cancel", id="cancel")
        if self._options():
            yield PushButton("Verify", id="yes")

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Say what that means; production is seen."""
        event.stop()
        self.set_class(_is_production(self.place), "-production")
        self.query_one(".dialog-text", Lines).show_lines(self._text(self.place))

    def push(self, button_id: str) -> None:
        """Answer with the place."""
        self.action_yes()

    def action_yes(self) -> None:
        """Answer with the place, if there is one."""
        if self.place is not None:
            self.answer(self.place)


def _is_production(place: Place | None) -> bool:
    return isinstance(place, ConnectionProfile) and place.environment is Environment.PRODUCTION


async def ask_where_to_prove(
    pane: Widget, runner: JobRunner, entry: BackupEntry, profiles: Sequence[ConnectionProfile]
) -> Place | None:
    """Find out what can be had here, then ask. `profiles`: where a scratch database could be made, the best first."""
    plan = far_requests.proof_plan(entry) if entry.remote else requests.proof_plan(entry)
    outcome = await outcome_of(runner, plan)
    missing = ""
    if outcome.error is not None:
        missing = outcome.error.message if isinstance(outcome.error, DbtuiError) else str(outcome.error)
    return await ask(pane, ProveDialog(entry, outcome.result, profiles, missing))
