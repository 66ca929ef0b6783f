"""The base of dialogs whose plan is done only when the names that it wants have been typed."""

from typing import Generic

from textual.widgets import Input

from dbtui.tui.dialogs.planned import AnswerT, PlannedDialog, PlanT
from dbtui.tui.dialogs.typed_names import NamesToType


class ConfirmedDialog(PlannedDialog[AnswerT, PlanT], Generic[AnswerT, PlanT]):
    """Its `NamesToType` asks for what `names_of` says; the button works when it was typed and the plan is allowed."""

    def allows(self, plan: PlanT) -> bool:
        """Whether nothing in the plan speaks against it."""
        raise TypeError(f"{type(self).__name__} judges no plan")

    def names_of(self, plan: PlanT) -> list[tuple[str, str]]:
        """Return what has to be typed for an allowed plan: labels and names."""
        raise TypeError(f"{type(self).__name__} asks for no names")

    def answer_of(self, plan: PlanT) -> AnswerT | None:
        """Return the answer that does the plan; None: it cannot be done."""
        raise TypeError(f"{type(self).__name__} answers nothing")

    async def plan_arrived(self, plan: PlanT | None) -> None:
        """Ask for the names that this plan wants typed."""
        names = self.names_of(plan) if plan is not None and self.allows(plan) else []
        await self.query_one(NamesToType).ask_for(names)
        self._judge()

    def _judge(self) -> None:
        plan = self.plan
        is_ready = plan is not None and self.allows(plan) and self.query_one(NamesToType).typed
        self.accept_button.disabled = not is_ready
        self.accept_button.refresh()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Judge a name that was typed; another field makes another plan."""
        event.stop()
        if event.input.has_class("name-input"):
            self._judge()
        else:
            self.replan()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on."""
        event.stop()
        self.go_on()

    def push(self, button_id: str) -> None:
        """Do it, if it may be done."""
        self._judge()
        if self.plan is not None and not self.accept_button.disabled:
            answer = self.answer_of(self.plan)
            if answer is not None:
                self.answer(answer)
