"""The base of dialogs whose plan is done only when the names that it wants have been typed."""

from typing import Any, Generic

from textual.widgets import Input

from dbtui.tui.dialogs.planned import AnswerT, PlannedDialog, PlanT
from dbtui.tui.dialogs.typed_names import NamesToType

_EARLY = "no plan yet: read it, then press y"
_LATE = "y came before the plan: y again"
_NOTHING = "nothing to do: see above why"
_REFUSED = "refused: see ✖ above"
_TYPED = "y is not enough: type the name"


class ConfirmedDialog(PlannedDialog[AnswerT, PlanT], Generic[AnswerT, PlanT]):
    """Its `NamesToType` asks for what `names_of` says; the button works when it was typed and the plan is allowed."""

    def __init__(self, *words: Any, **arguments: Any) -> None:
        super().__init__(*words, **arguments)
        self._is_early = False  # y was pressed before there was a plan to read

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
        if plan is not None:
            self.tell(_LATE if self._is_early and not names and self.allows(plan) else "")
            self._is_early = False

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

    def action_yes(self) -> None:
        """Do it by one letter, where nothing has to be typed. A plan that was not shown is never done."""
        plan = self.plan
        if plan is None:
            self._is_early = not self.has_no_plan
            self.tell(_EARLY if self._is_early else _NOTHING)
        elif not self.allows(plan):
            self.tell(_REFUSED)
        elif self.names_of(plan):
            self.tell("" if self.query_one(NamesToType).begins("y") else _TYPED)
        else:
            self.push("accept")

    def action_no(self) -> None:
        """Leave, unless the name that is to be typed begins with that letter."""
        if not self.query_one(NamesToType).begins("n"):
            self.answer(None)

    def push(self, button_id: str) -> None:
        """Do it, if it may be done."""
        self._judge()
        if self.plan is not None and not self.accept_button.disabled:
            answer = self.answer_of(self.plan)
            if answer is not None:
                self.answer(answer)
