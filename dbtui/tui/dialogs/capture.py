"""The dialog before statements are captured: what it has the server do, what that costs, then the question."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from dbtui.analysis.capture_words import describe_consequence, describe_plan, parse_size
from dbtui.analysis.load_words import parse_duration
from dbtui.errors import DbtuiError
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.captures import CaptureWish
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.queries import CapturePlan
from dbtui.model.text import format_untrusted
from dbtui.tui import query_requests as requests
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.panes.query_rows import Row
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput

_RATES = (
    ("", "what costs little"),
    ("0.1", "10 % of transactions"),
    ("0.01", "1 %"),
    ("1", "every statement"),
)
_FIELDS = (
    ("seconds", "for", "30s", "30s, 2min; an hour at most"),
    ("most", "at most", "64 MB", "64 MB: it ends earlier when so much was logged"),
    ("free", "room there", "", "empty: found out; else what is free where the server logs, such as 2 GB"),
)


def show_capture_plan(plan: CapturePlan, profile: ConnectionProfile) -> list[Line]:
    """Return the lines of a plan: the consequence, what speaks against it, what is changed, what it costs."""
    lines = [line(Span(f"This {describe_consequence(plan, profile)}.", Tone.WARNING))]
    told = list(describe_plan(plan))
    lines += [refusal(text) for label, text in told if label == "refused"]
    if plan.refusal:
        return lines
    lines += [fact(label, text) for label, text in told if label not in ("refused", "warning")]
    lines += [fact("undo", dim(speak_keys("a guard puts it back, also if dbtui is killed; {global.cancel} ends it")))]
    return lines + [warning(text) for label, text in told if label == "warning"]


class CaptureDialog(ConfirmedDialog[CapturePlan, CapturePlan]):
    """Answers with the plan that is to be done. In production the profile's name is typed, else y is enough."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes"), ("n", "no")]
    asking: ClassVar[str] = "asking the server, and counting for a second what runs there …"

    def __init__(self, runner: JobRunner, profile: ConnectionProfile, row: Row | None = None) -> None:
        """`row`: what is to be made sure of, for the title."""
        about = f", to make sure of: {row.pattern}" if row is not None and row.suspect is not None else ""
        super().__init__(f"Capture what runs at {profile.name}{about}", runner,
                         production=profile.environment is Environment.PRODUCTION)  # fmt: skip
        self.profile = profile

    def body(self) -> ComposeResult:
        """Yield the fields, the plan, and the name to type."""
        yield Choice("capture", _RATES, id="rate")
        for name, label, value, placeholder in _FIELDS:
            with Horizontal(classes="field"):
                yield Lines(line(dim(label)), classes="field-label")
                yield TextInput(value, placeholder=placeholder, id=name)
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Capture" if self._is_typed else "Capture (y)", id="accept", disabled=True)

    @property
    def _is_typed(self) -> bool:
        return self.profile.environment is Environment.PRODUCTION

    @property
    def wish(self) -> CaptureWish:
        """What the fields say. Raises UsageError."""
        texts = {name: self.query_one(f"#{name}", TextInput).value.strip() for name, *_ in _FIELDS}
        rate = self.query_one("#rate", Choice).value
        return CaptureWish(
            seconds=parse_duration("for", texts["seconds"]),
            most_bytes=parse_size("at most", texts["most"]),
            sample_rate=float(rate) if rate else None,
            free_bytes=parse_size("room there", texts["free"]) if texts["free"] else None,
        )

    def plan_request(self) -> JobRequest[CapturePlan] | str:
        """Look at what it needs and costs."""
        try:
            return requests.capture_plan(self.profile, self.wish)
        except DbtuiError as error:
            return f"{error.message}: {error.hint}" if error.hint else error.message

    def plan_lines(self, plan: CapturePlan) -> list[Line]:
        """Show it."""
        return [*show_capture_plan(plan, self.profile), BLANK]

    def allows(self, plan: CapturePlan) -> bool:
        """Nothing is refused."""
        return not plan.refusal

    def names_of(self, plan: CapturePlan) -> list[tuple[str, str]]:
        """The profile's name, in production."""
        return [("profile", format_untrusted(self.profile.name))] if self._is_typed else []

    def answer_of(self, plan: CapturePlan) -> CapturePlan:
        """The plan itself."""
        return plan

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self.replan()
