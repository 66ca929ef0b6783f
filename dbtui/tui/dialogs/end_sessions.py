"""The dialog before a statement is cancelled or a session terminated: who and what, the orders, then the question."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from dbtui.analysis.sessions import blocking_tree, count_victims
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.sessions import Session, SessionsPlan, SessionsSnapshot, SessionVerb
from dbtui.tui import session_requests as requests
from dbtui.tui.ages import brief_age
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.panes.session_rows import session_key, sql_text
from dbtui.tui.widgets.inputs import PushButton

_MOST_SQL = 600


def show_end_plan(plan: SessionsPlan, victims: dict[int, int], strangers: Sequence[Session]) -> list[Line]:
    """Return the lines of a plan: the consequence, what speaks against it, every session, the orders.

    `strangers` are sessions that have the number of a chosen one and are others.
    """
    lines = [_consequence(plan), *(refusal(text) for text in plan.refusals)]
    lines += [refusal(f"{each.session_id} is another session now ({each.user} {each.application})")
              for each in strangers]  # fmt: skip
    lines += [warning(text) for text in plan.warnings]
    for session in plan.sessions:
        lines += [BLANK, *_who(session, victims.get(session.session_id, 0))]
    if plan.commands:
        lines += [BLANK, line(strong("Orders"))]
        lines += [line("  ", dim(row)) for command in plan.commands for row in command.splitlines()]
    return lines


def _consequence(plan: SessionsPlan) -> Line:
    count = len(plan.sessions)
    if not count:
        return line(Span("Nothing would be ended.", Tone.WARNING))
    if plan.verb is SessionVerb.CANCEL:
        text = "Ends the statement of this session; the session goes on." if count == 1 else (
            f"Ends the statements of {count} sessions; the sessions go on.")  # fmt: skip
        return line(Span(text, Tone.WARNING))
    text = "Ends this session; its transaction is rolled back." if count == 1 else (
        f"Ends {count} sessions; their transactions are rolled back.")  # fmt: skip
    return line(Span(text, Tone.WARNING))


def _who(session: Session, victims: int) -> Iterator[Line]:
    blocks = Span(f"  blocks {victims}", Tone.WARNING) if victims else Span("")
    yield fact("session", strong(str(session.session_id)), f"  {session.user}", blocks)
    where = "".join(f"  {word} {name}" for word, name in (("from", session.client), ("in", session.database)) if name)
    yield fact("application", session.application or "–", dim(where))
    ages = [("transaction", session.transaction_seconds), ("statement", session.query_seconds)]
    told = ", ".join(f"{what} {brief_age(age)}" for what, age in ages if age is not None)
    yield fact("state", session.state or "–", dim(f"  {told}" if told else ""))
    yield fact("statement", sql_text(session)[:_MOST_SQL] or "–")


class EndSessionsDialog(ConfirmedDialog[SessionsPlan, SessionsPlan]):
    """Answers with the plan that is to be done. The focus rests on Cancel; several sessions want their count typed."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes"), ("n", "no")]

    def __init__(
        self,
        runner: JobRunner,
        profile: ConnectionProfile,
        verb: SessionVerb,
        chosen: Sequence[Session],
        snapshot: SessionsSnapshot,
    ) -> None:
        what = "Cancel the statement of" if verb is SessionVerb.CANCEL else "Terminate"
        whom = f"session {chosen[0].session_id}" if len(chosen) == 1 else f"{len(chosen)} sessions"
        super().__init__(f"{what} {whom} on {profile.name}", runner,
                         production=profile.environment is Environment.PRODUCTION)  # fmt: skip
        self.profile, self.verb, self.chosen = profile, verb, tuple(chosen)
        self._victims = count_victims(blocking_tree(snapshot.sessions))

    def body(self) -> ComposeResult:
        """Yield the plan and the count to type."""
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Leave it", id="cancel")
        yes = "Cancel the statement" if self.verb is SessionVerb.CANCEL else "Terminate"
        yes += " (y)" if len(self.chosen) == 1 else ""
        yield PushButton(yes, id="accept", dangerous=True, disabled=True)

    def plan_request(self) -> JobRequest[SessionsPlan]:
        """Ask the server who they are now."""
        return requests.end_plan(self.profile, self.verb, tuple(each.session_id for each in self.chosen))

    def strangers(self, plan: SessionsPlan) -> list[Session]:
        """Return the sessions of a plan that are not those that were chosen, though they have their numbers."""
        known = {session_key(each) for each in self.chosen}
        return [each for each in plan.sessions if session_key(each) not in known]

    def plan_lines(self, plan: SessionsPlan) -> list[Line]:
        """Show it."""
        return show_end_plan(plan, self._victims, self.strangers(plan))

    def names_of(self, plan: SessionsPlan) -> list[tuple[str, str]]:
        """Several sessions want their count typed."""
        return [("number of sessions", str(len(plan.sessions)))] if len(plan.sessions) > 1 else []

    def allows(self, plan: SessionsPlan) -> bool:
        """Only those that were chosen, and nothing refused."""
        return bool(plan.sessions) and not plan.refusals and not self.strangers(plan)

    def answer_of(self, plan: SessionsPlan) -> SessionsPlan:
        """The plan itself."""
        return plan
