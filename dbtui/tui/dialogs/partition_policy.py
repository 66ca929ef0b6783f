"""The dialog that asks what a partitioned table should be like; the plan that follows from it is shown, not done."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from dbtui.analysis.partition_words import count_steps, describe_policy
from dbtui.analysis.policy_texts import with_words
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.policies import ArchiveMode, Interval, IntervalUnit, PartitionPolicy
from dbtui.tui import partition_requests as requests
from dbtui.tui.cells import Line, Span, Tone, dim, line
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.planned import PlannedDialog
from dbtui.tui.focusing import focus_now
from dbtui.tui.partition_requests import ReadPlan
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput

_FIELDS = (
    ("interval", "every", "1 month, 1 day, 6 hours; a number for keys that are numbers"),
    ("premake", "ahead", "how many to have in advance"),
    ("retention", "keep", "12 months; empty: for ever"),
    ("grace", "drop after", "7 days between taking out and dropping; empty: at once"),
    ("time_zone", "time zone", "in which days and months begin, such as Europe/Paris"),
)
_DUMP, _NONE = "dump", "none"


@dataclass(frozen=True, slots=True)
class TypedPolicy:
    """What the operator wants, as words of a policy, and the plan that follows."""

    words: Mapping[str, Any]
    read: ReadPlan


def texts_of(policy: PartitionPolicy) -> dict[str, str]:
    """Return a policy as it would be typed."""
    return {
        "interval": str(policy.interval or ""),
        "premake": str(policy.premake),
        "retention": str(policy.retention or ""),
        "grace": _grace(policy.grace_seconds),
        "time_zone": policy.time_zone,
        "archive": _DUMP if policy.archive is ArchiveMode.DUMP else _NONE,
    }


def _grace(seconds: float) -> str:
    unit, size = (IntervalUnit.DAY, 86400) if not seconds % 86400 else (IntervalUnit.HOUR, 3600)
    return str(Interval(round(seconds / size), unit)) if seconds else ""


class PolicyDialog(PlannedDialog[TypedPolicy, ReadPlan]):
    """Answers with the plan to be read. `words`: what was typed before; `policy`: what that came to."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(
        self,
        runner: JobRunner,
        profile: ConnectionProfile,
        policy: PartitionPolicy,
        words: Mapping[str, Any],
        journals: Path,
    ) -> None:
        super().__init__(f"What {policy.table} should be like", runner,
                         production=profile.environment is Environment.PRODUCTION)  # fmt: skip
        self.profile, self.policy, self.journals = profile, policy, journals
        self._before, self._words = texts_of(policy), dict(words)

    def body(self) -> ComposeResult:
        """Yield the fields and what follows from them."""
        for name, label, placeholder in _FIELDS:
            with Horizontal(classes="field"):
                yield Lines(line(dim(label)), classes="field-label")
                yield TextInput(self._before[name], placeholder=placeholder, id=name)
        options = [(_DUMP, "into a proven backup"), (_NONE, "no: dropped with its rows")]
        yield Choice("archive", options, self._before["archive"], id="archive")
        yield self.plan_panel()

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Show the plan", id="accept", disabled=True)

    def focus_first(self) -> None:
        """The first field: nothing is done by this dialog."""
        focus_now(self.query_one("#interval"))

    @property
    def words(self) -> dict[str, Any]:
        """What is wanted, as words of a policy. Raises UsageError."""
        words = dict(self._words)
        for name, _, _ in _FIELDS:
            text = self.query_one(f"#{name}", TextInput).value.strip()
            if text != self._before[name]:
                words[name] = _number(text) if name == "premake" else text
        archive = self.query_one("#archive", Choice).value
        if archive != self._before["archive"]:
            words["archive"] = archive == _DUMP
        for name, value in words.items():  # one at a time, to know which one is wrong
            try:
                with_words(self.policy, {name: value})
            except UsageError as error:
                label = next((label for field, label, _ in _FIELDS if field == name), name)
                raise UsageError(f"{label}: {error.message}", error.hint) from error
        return words

    def plan_request(self) -> JobRequest[ReadPlan] | str:
        """Plan by what was typed."""
        try:
            return requests.plan(self.profile, self.policy.table, self.words, self.journals)
        except UsageError as error:
            return f"{error.message}: {error.hint}" if error.hint else error.message

    def plan_lines(self, plan: ReadPlan) -> list[Line]:
        """Show what it comes to."""
        made = plan.plan
        counted = ", ".join(f"{count} {kind.value}" for kind, count in count_steps(made.steps))
        nothing = [] if made.refusals else [line(Span("● ", Tone.OK), "The table is like that: nothing to do.")]
        return [
            *([fact("steps", counted)] if counted else nothing),
            fact("policy", describe_policy(made.policy)),
            *(refusal(text) for text in made.refusals),
            *(warning(text) for text in made.warnings),
        ]

    def on_input_changed(self, event: Input.Changed) -> None:
        """Plan anew."""
        event.stop()
        self.replan()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on."""
        event.stop()
        self.go_on()

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self.replan()

    def push(self, button_id: str) -> None:
        """Answer with the plan that is shown."""
        if self.plan is not None and not self.accept_button.disabled:
            self.answer(TypedPolicy(self.words, self.plan))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise UsageError("ahead: expected a whole number", "such as 4")
    return int(text)
