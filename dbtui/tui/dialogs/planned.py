"""The base of dialogs that show a plan made by a job: it is made anew whenever a field changes, the last one counts."""

import time
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual.binding import BindingType
from textual.timer import Timer
from textual.widgets import Input

from dbtui.errors import DbtuiError
from dbtui.jobs import JobRequest, JobRunner
from dbtui.tui.actions import bindings_of
from dbtui.tui.cells import Line, Span, Tone, dim, line
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.dialogs.plan_lines import refusal
from dbtui.tui.widgets.drawn import TextPanel
from dbtui.tui.widgets.inputs import Choice, PushButton
from dbtui.tui.workers import outcome_of, run_in_background

PlanT = TypeVar("PlanT")
AnswerT = TypeVar("AnswerT")
_SETTLE_SECONDS = 0.25


def error_lines(error: BaseException | None) -> list[Line]:
    """Return an error as lines: the sentence, then what to do."""
    if isinstance(error, DbtuiError):
        hint = [line("  ", dim(error.hint))] if error.hint else []
        return [refusal(error.message), *hint]
    return [refusal(f"unexpected: {type(error).__name__}: {error}")]


class PlannedDialog(Dialog[AnswerT], Generic[AnswerT, PlanT]):
    """Shows a plan in its `TextPanel`. A subclass says how to make, show and accept one."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("plan")
    scopes: ClassVar[tuple[str, ...]] = ("dialog", "plan")
    asking: ClassVar[str] = "asking the server …"

    def __init__(self, title: str, runner: JobRunner, **arguments: Any) -> None:
        super().__init__(title, **arguments)
        self.runner = runner
        self.plan: PlanT | None = None
        self.has_no_plan = False  # none can be made: the panel says why
        self._settling: Timer | None = None
        self._planned_for: tuple[str, ...] = ()  # what the fields said then

    def plan_panel(self) -> TextPanel:
        """Return the panel, for the subclass to place; the arrow keys stay with the fields."""
        panel = TextPanel(classes="plan")
        panel.can_focus = False
        return panel

    def plan_request(self) -> JobRequest[PlanT] | str:
        """Return what makes the plan, or a sentence that says what is missing for one."""
        raise TypeError(f"{type(self).__name__} makes no plan")

    def plan_lines(self, plan: PlanT) -> Sequence[Line]:
        """Return a plan's lines."""
        raise TypeError(f"{type(self).__name__} shows no plan")

    async def plan_arrived(self, plan: PlanT | None) -> None:
        """A plan is there, or None while there is none: decide what can be pressed."""
        self.accept_button.disabled = plan is None

    @property
    def accept_button(self) -> PushButton:
        """The button that does what the plan says."""
        return self.query_one("#accept", PushButton)

    def on_mount(self) -> None:
        """Make the first plan."""
        self._make_plan()

    def replan(self) -> None:
        """Make another plan, once the fields have settled; none when they say what they said."""
        if self._settling is None and not self.has_no_plan and self._said() == self._planned_for:
            return
        self.plan, self.has_no_plan = None, False
        self.accept_button.disabled = True
        self.tell("")
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(_SETTLE_SECONDS, self._make_plan)

    def _said(self) -> tuple[str, ...]:
        fields = [
            each for each in self.query("*") if isinstance(each, Input | Choice) and not each.has_class("name-input")
        ]
        return tuple(field.value for field in fields)

    def _make_plan(self) -> None:
        self._settling, self._planned_for = None, self._said()
        run_in_background(self, "plan", self._plan, group="plan")

    async def _plan(self) -> None:
        self.plan, self.has_no_plan = None, False
        await self.plan_arrived(None)
        panel = self.query_one(".plan", TextPanel)
        request = self.plan_request()
        if isinstance(request, str):
            self._give_up([line(dim(request))])
            return
        panel.show_text([line(dim(self.asking))], keep=True)
        began = time.monotonic()
        outcome = await outcome_of(self.runner, request)
        if outcome.result is None:
            self._give_up(error_lines(outcome.error))
            return
        self.plan = outcome.result
        seconds = time.monotonic() - began
        slow = [line(Span(f"Planning took {seconds:.0f} s.", Tone.DIM))] if seconds > 3 else []
        panel.show_text([*self.plan_lines(outcome.result), *slow])
        await self.plan_arrived(outcome.result)

    def _give_up(self, why: Sequence[Line]) -> None:
        self.has_no_plan = True
        self.query_one(".plan", TextPanel).show_text(why)
        self.tell("")

    def action_page_down(self) -> None:
        """Scroll the text."""
        for panel in self.query(TextPanel):
            panel.action_page_down()

    def action_page_up(self) -> None:
        """Scroll the text back."""
        for panel in self.query(TextPanel):
            panel.action_page_up()
