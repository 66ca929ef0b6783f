"""The dialog before an order to a replica: what it does, the exact SQL, what speaks against it; then the question."""

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from dbtui.analysis.replicas.plan_words import describe_space
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.replicas import ReplicaAction, ReplicaPlan
from dbtui.model.text import format_untrusted
from dbtui.tui import replica_requests as requests
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.widgets.inputs import PushButton

_DATA = 3
_BUTTONS = {
    ReplicaAction.ADD: "Add",
    ReplicaAction.PROMOTE: "Promote",
    ReplicaAction.DROP_SLOT: "Drop",
    ReplicaAction.PAUSE: "Pause",
    ReplicaAction.RESUME: "Resume",
}
_TITLES = {
    ReplicaAction.PROMOTE: "Promote {subject}",
    ReplicaAction.DROP_SLOT: "Drop the slot {subject} of {profile}",
    ReplicaAction.PAUSE: "Pause the replay of {subject}",
    ReplicaAction.RESUME: "Resume the replay of {subject}",
}


def show_replica_plan(plan: ReplicaPlan) -> list[Line]:
    """Return the lines of a plan: the consequence, what speaks against it, space, every step."""
    tone = Tone.TROUBLE if plan.danger >= _DATA else Tone.WARNING if plan.danger > 1 else Tone.PLAIN
    lines = [line(Span(_sentence(plan.consequence), tone))] if plan.consequence else []
    lines += [refusal(text) for text in plan.refusals]
    lines += [warning(text) for text in plan.warnings]
    lines += _space(plan)
    if plan.steps:
        lines += [BLANK, line(strong("Steps"))]
    for number, step in enumerate(plan.steps, 1):
        first, *more = step.splitlines() or [""]
        lines.append(line(dim(f"{number:>2} "), first))
        lines += [line("   ", text) for text in more]
    return [*lines, BLANK]


def _sentence(text: str) -> str:
    text = text if text.endswith(".") else f"{text}."
    return text if text[:1].isupper() else f"This {text}"


def _space(plan: ReplicaPlan) -> Iterator[Line]:
    if plan.needed_bytes is None and plan.free_bytes is None:
        return
    tight = plan.needed_bytes is not None and plan.free_bytes is not None and plan.needed_bytes > plan.free_bytes
    yield fact("space", Span(describe_space(plan), Tone.TROUBLE if tight else Tone.PLAIN))


def names_to_type(plan: ReplicaPlan) -> list[tuple[str, str]]:
    """Return what has to be typed for a plan: the subject's name, and in production the profile's."""
    what = "slot" if plan.action is ReplicaAction.DROP_SLOT else "name"
    return [("profile" if name == plan.profile and name != plan.subject else what, format_untrusted(name))
            for name in plan.names]  # fmt: skip


class ReplicaPlanDialog(ConfirmedDialog[ReplicaPlan, ReplicaPlan]):
    """Answers with a plan of replicas that nothing speaks against."""

    def plan_lines(self, plan: ReplicaPlan) -> list[Line]:
        """Show it."""
        return show_replica_plan(plan)

    def allows(self, plan: ReplicaPlan) -> bool:
        """Nothing is refused."""
        return not plan.refusals

    def names_of(self, plan: ReplicaPlan) -> list[tuple[str, str]]:
        """What the plan wants typed."""
        return names_to_type(plan)

    def answer_of(self, plan: ReplicaPlan) -> ReplicaPlan:
        """The plan itself."""
        return plan


class ReplicaOrderDialog(ReplicaPlanDialog):
    """Answers with the plan that is to be done. The focus rests on Cancel; what cannot be undone wants names typed."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes"), ("n", "no")]

    def __init__(
        self,
        runner: JobRunner,
        profile: ConnectionProfile,
        action: ReplicaAction,
        subject: str,
        replicas: tuple[ConnectionProfile, ...],
    ) -> None:
        title = _TITLES[action].format(subject=subject, profile=profile.name)
        super().__init__(title, runner, production=profile.environment is Environment.PRODUCTION)
        self.profile, self.action, self.subject, self.replicas = profile, action, subject, replicas

    def body(self) -> ComposeResult:
        """Yield the plan and the names to type."""
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        is_typed = self.action in (ReplicaAction.PROMOTE, ReplicaAction.DROP_SLOT)
        label = _BUTTONS[self.action] if is_typed else f"{_BUTTONS[self.action]} (y)"
        yield PushButton(label, id="accept", dangerous=True, disabled=True)

    def plan_request(self) -> JobRequest[ReplicaPlan]:
        """Look at the server now."""
        return requests.plan(self.profile, self.action, None, self.subject, self.replicas)
