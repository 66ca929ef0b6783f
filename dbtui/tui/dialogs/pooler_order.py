"""The dialog before an order to PgBouncer: what it does to whom, the command, how to undo it; then the question."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.pools import PoolerPlan, PoolerVerb
from dbtui.tui import pool_requests as requests
from dbtui.tui.cells import Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.widgets.inputs import Choice, PushButton

_EVERY = "every database"
_MOST_CHOICES = 30
#: RELOAD is for all of PgBouncer.
_WHOLE = (PoolerVerb.RELOAD,)


def show_order_plan(plan: PoolerPlan) -> list[Line]:
    """Return the lines of a plan: the consequence, what speaks against it, the command, how to undo it."""
    lines = [
        line(Span(f"This {plan.consequence}.", Tone.WARNING)),
        *(refusal(text) for text in plan.refusals),
        *(warning(text) for text in plan.warnings),
        fact("command", strong(plan.command), dim(f"  to PgBouncer at {plan.source}")),
    ]
    return [*lines, fact("undo", plan.undo)] if plan.undo else lines


class PoolerOrderDialog(ConfirmedDialog[PoolerPlan, PoolerPlan]):
    """Answers with the plan that is to be done. The focus rests on Cancel; what cuts clients off wants a name typed."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes"), ("n", "no")]

    def __init__(
        self, runner: JobRunner, profile: ConnectionProfile, verb: PoolerVerb, databases: Sequence[str], chosen: str
    ) -> None:
        is_production = profile.environment is Environment.PRODUCTION
        super().__init__(f"{verb.value.upper()} PgBouncer of {profile.name}", runner, production=is_production)
        self.profile, self.verb = profile, verb
        self._databases, self._chosen = tuple(databases)[:_MOST_CHOICES], chosen

    def body(self) -> ComposeResult:
        """Yield the database, the plan and the names to type."""
        options = [("", _EVERY)] if self.verb is not PoolerVerb.KILL else []
        options += [(name, name) for name in self._databases]
        choice = Choice("database", options, self._chosen, id="database")
        choice.display = self.verb not in _WHOLE
        yield choice
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        typed = self.verb is PoolerVerb.KILL or self.profile.environment is Environment.PRODUCTION
        label = self.verb.value.upper() + ("" if typed else " (y)")
        yield PushButton(label, id="accept", dangerous=True, disabled=True)

    @property
    def database(self) -> str:
        """The chosen database; empty: all."""
        return "" if self.verb in _WHOLE else self.query_one("#database", Choice).value

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self.replan()

    def plan_request(self) -> JobRequest[PoolerPlan] | str:
        """Ask PgBouncer."""
        if self.verb is PoolerVerb.KILL and not self.database:
            return "PgBouncer knows no database that could be killed."
        return requests.order_plan(self.profile, self.verb, self.database)

    def plan_lines(self, plan: PoolerPlan) -> list[Line]:
        """Show it."""
        return show_order_plan(plan)

    def names_of(self, plan: PoolerPlan) -> list[tuple[str, str]]:
        """What has to be typed: the database that is cut off, and the name of a production profile."""
        names = []
        if plan.verb is PoolerVerb.KILL:
            names.append(("database", plan.database))
        if plan.confirm:
            names.append(("profile", plan.confirm))
        return names

    def allows(self, plan: PoolerPlan) -> bool:
        """Nothing is refused."""
        return not plan.refusals

    def answer_of(self, plan: PoolerPlan) -> PoolerPlan:
        """The plan itself."""
        return plan
