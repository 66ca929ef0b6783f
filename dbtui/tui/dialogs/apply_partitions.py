"""The dialog before a plan of partitions is applied: what it does to what, steps and locks, then the question."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from dbtui.analysis.partition_words import describe_plan, describe_step, loses_rows, names_to_type
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.partitions import PartitionPlan, PartitionStep
from dbtui.model.text import format_untrusted
from dbtui.tui import partition_requests as requests
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.partition_requests import ReadPlan
from dbtui.tui.widgets.inputs import PushButton

_CHANGED = "the table has changed since this plan was read: leave this, and read the plan that is shown then"


def show_apply_plan(read: ReadPlan, profile: ConnectionProfile, is_changed: bool) -> list[Line]:
    """Return the lines of a plan: the consequence, what speaks against it, what to know, every step with its locks."""
    plan = read.plan
    tone = Tone.TROUBLE if loses_rows(plan) else Tone.WARNING
    lines = [line(Span(f"This {describe_plan(plan, profile)}.", tone))]
    lines += [refusal(_CHANGED)] if is_changed else []
    if plan.steps:
        lines += [warning(f"left alone: {text}") for text in plan.refusals]
    else:
        lines += [refusal(text) for text in plan.refusals] or [refusal("there is nothing to do any more")]
    lines += [warning(str(read.unended))] if read.unended is not None else []
    lines += [warning(text) for text in plan.warnings]
    if not plan.steps:
        return lines
    lines += [fact("" if place else "locks", text) for place, text in enumerate(_locks(plan.steps))]
    lines += [BLANK, *(line(dim(f"{number:>3} "), describe_step(step)) for number, step in enumerate(plan.steps, 1))]
    return [*lines, BLANK]


def _locks(steps: Sequence[PartitionStep]) -> Iterator[str]:
    """The locks of all steps, each named once: which step takes which is told where steps are read."""
    for name in ("parent", "child", "default", "others"):
        found = dict.fromkeys(lock for step in steps if (lock := getattr(step.locks, name)))
        if found:
            yield f"{name}: {', '.join(found)}"


def is_same(first: Sequence[PartitionStep], second: Sequence[PartitionStep]) -> bool:
    """Whether two plans do the same: what they estimate and why may differ."""
    return [*map(_essence, first)] == [*map(_essence, second)]


def _essence(step: PartitionStep) -> tuple[object, ...]:
    return (
        step.kind,
        step.table,
        step.partition,
        step.bound,
        step.identity,
        step.sql,
        step.danger,
        step.index,
        step.into,
    )


class ApplyPartitionsDialog(ConfirmedDialog[PartitionPlan, ReadPlan]):
    """Answers with the plan that is to be done: made anew now, and refused unless it does what was read.

    `changed`: the plan that is another one than was read.
    """

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes"), ("n", "no")]

    def __init__(
        self, runner: JobRunner, profile: ConnectionProfile, read: ReadPlan, words: Mapping[str, Any], journals: Path
    ) -> None:
        super().__init__(f"Apply the plan of {read.plan.table} at {profile.name}", runner,
                         production=profile.environment is Environment.PRODUCTION)  # fmt: skip
        self.profile, self.read, self.words, self.journals = profile, read, words, journals
        self.changed: ReadPlan | None = None

    def body(self) -> ComposeResult:
        """Yield the plan and the names to type."""
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        typed = bool(names_to_type(self.read.plan, self.profile))
        yield PushButton("Apply" if typed else "Apply (y)", id="accept", dangerous=True, disabled=True)

    def plan_request(self) -> JobRequest[ReadPlan]:
        """Look at the table once more."""
        return requests.plan(self.profile, self.read.plan.table, self.words, self.journals)

    def plan_lines(self, plan: ReadPlan) -> list[Line]:
        """Show it, and whether it is the one that was read."""
        is_changed = not is_same(self.read.plan.steps, plan.plan.steps)
        self.changed = plan if is_changed else None
        return show_apply_plan(plan, self.profile, is_changed)

    def allows(self, plan: ReadPlan) -> bool:
        """What was read, and something of it to do; what is refused beside that is left alone."""
        return bool(plan.plan.steps) and self.changed is None

    def names_of(self, plan: ReadPlan) -> list[tuple[str, str]]:
        """What has to be typed: the table where rows go, and in production; there the profile as well where rows go."""
        table = str(plan.plan.table)
        return [("table" if name == table else "profile", format_untrusted(name))
                for name in names_to_type(plan.plan, self.profile)]  # fmt: skip

    def answer_of(self, plan: ReadPlan) -> PartitionPlan:
        """The plan itself."""
        return plan.plan
