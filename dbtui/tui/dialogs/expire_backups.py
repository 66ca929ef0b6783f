"""The dialog of retention: how many backups stay, what survives when for a year, which go now; then names to type."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Horizontal

from dbtui.analysis.backups import retention_words as words
from dbtui.analysis.backups.retention import Policies
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.policies import CountedProof, RetentionPolicy
from dbtui.model.retention import RetentionGroup, RetentionPlan
from dbtui.model.text import format_bytes, format_untrusted
from dbtui.tui import retention_requests as requests
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.focusing import focus_now
from dbtui.tui.retention_requests import ReadRetention
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput

_NUMBERS = ("last", "daily", "weekly", "monthly", "yearly")
_COUNTS = [
    (CountedProof.COMPLETE.value, "every whole backup"),
    (CountedProof.CHECKSUMS.value, "verified ones"),
    (CountedProof.RESTORED.value, "proven by a restore"),
]
_REAL = "real"
_OWN, _TYPED = "own", "typed"
#: What the fields say where no policy is configured: a place to begin, done only when it was confirmed.
SUGGESTED = RetentionPolicy(last=3, daily=7, weekly=4, monthly=12)


class ExpireBackupsDialog(ConfirmedDialog[RetentionPlan, ReadRetention]):
    """Answers with the plan that is to be done. `profile` limits it to one target's backups.

    `own` are the policies of the configuration, one for each profile: None when there are none, or one target is meant.
    """

    def __init__(
        self,
        runner: JobRunner,
        directory: Path,
        profile: ConnectionProfile | None,
        profiles: Sequence[ConnectionProfile],
        policy: RetentionPolicy | None,
        own: Policies | None = None,
    ) -> None:
        what = profile.name if profile is not None else "every database"
        production = profile is not None and profile.environment is Environment.PRODUCTION
        super().__init__(f"Which backups of {what} stay in {directory}", runner, production=production)
        self.directory, self.profile, self.profiles = directory, profile, tuple(profiles)
        self._before, self._own = policy or SUGGESTED, own

    def body(self) -> ComposeResult:
        """Yield the policy, what follows from it, and the names to type."""
        if self._own is not None:
            yield Choice("policy", [(_OWN, "that of each profile"), (_TYPED, "one for all:")], id="whose")
        with Horizontal(classes="field keep-row typed-policy"):
            for name in _NUMBERS:
                yield Lines(line(dim(name)), classes="keep-label")
                yield TextInput(str(getattr(self._before, name)), id=f"keep-{name}", classes="keep-number")
        yield Choice("places for", _COUNTS, self._before.counts.value, id="counts", classes="typed-policy")
        yield Choice("long silence", [("", "refuses: the clock may be wrong"), (_REAL, "was real")], id="silence")
        with Horizontal(classes="field typed-policy"):
            yield Lines(line(dim("days of")), classes="field-label")
            yield TextInput(self._before.time_zone, placeholder="UTC, Europe/Paris …", id="time-zone")
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Remove", id="accept", dangerous=True, disabled=True)

    def focus_first(self) -> None:
        """The first field: nothing is removed before a name was typed."""
        self._show_typed()
        focus_now(self.fields[0])

    @property
    def takes_own(self) -> bool:
        """Whether each backup is judged by the policy of its profile."""
        return self._own is not None and self._value("whose") == _OWN

    def _show_typed(self) -> None:
        """One policy is typed, or none: then there is more room for what follows."""
        for field in self.query(".typed-policy"):
            field.display = not self.takes_own

    @property
    def policy(self) -> RetentionPolicy:
        """What the fields say. Raises UsageError."""
        numbers = {name: _number(name, self.query_one(f"#keep-{name}", TextInput).value) for name in _NUMBERS}
        zone = self.query_one("#time-zone", TextInput).value.strip() or "UTC"
        policy = RetentionPolicy(**numbers, time_zone=zone, counts=CountedProof(self._value("counts")))
        if policy.is_empty:
            raise UsageError("that would keep no backup at all: give at least one number")
        return policy

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Choice).value

    def plan_request(self) -> JobRequest[ReadRetention] | str:
        """Look at the directory."""
        try:
            policy_of = self._own if self._own is not None and self.takes_own else self._typed(self.policy)
        except UsageError as error:
            return str(error)
        return requests.plan(self.directory, self.profile, policy_of, trusts_gaps=self._value("silence") == _REAL)

    def _typed(self, policy: RetentionPolicy) -> Policies:
        return lambda _backup: policy

    def plan_lines(self, plan: ReadRetention) -> list[Line]:
        """Show the consequence, the year ahead, and every backup."""
        return show_retention(plan, self.query_one(".plan", TextPanel).text_width)

    def on_resize(self) -> None:
        """Draw the strip anew, as wide as there is room."""
        if self.plan is not None:
            self.query_one(".plan", TextPanel).show_text(self.plan_lines(self.plan))

    def allows(self, plan: ReadRetention) -> bool:
        """There is something to remove, and nothing speaks against it."""
        return not plan.plan.is_refused and bool(plan.plan.removed or plan.plan.leftovers)

    def names_of(self, plan: ReadRetention) -> list[tuple[str, str]]:
        """Every database that loses backups, and production profiles."""
        profiles = requests.profiles_of(self.profiles, self.profile)
        return [(what, format_untrusted(name)) for what, name in words.names_to_type(plan.plan, profiles)]

    def answer_of(self, plan: ReadRetention) -> RetentionPlan:
        """The plan itself."""
        return plan.plan

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self._show_typed()
        self.replan()


def _number(name: str, text: str) -> int:
    text = text.strip() or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise UsageError(f"{name}: expected a whole number, such as 7")
    return int(text)


def show_retention(read: ReadRetention, width: int) -> list[Line]:
    """Return the lines of a plan and the year that follows from it; `width` in cells."""
    plan = read.plan
    tone = Tone.WARNING if plan.removed else Tone.OK
    lines = [line(Span(f"This {words.describe_plan(plan)}.", tone))]
    lines += [refusal(text) for text in plan.refusals]
    lines += [warning(text) for text in plan.warnings]
    for year in read.years:
        drawn = words.format_survival(year, width)
        lines += [BLANK, line(strong(drawn[0])), *(line(dim(text)) for text in drawn[1:3])]
        lines += [line(text) for text in drawn[3:-1]] + [line(dim(drawn[-1]))]
    for group in plan.groups:
        policy = words.describe_policy(group.policy) if group.policy else "none: everything stays"
        lines += [BLANK, line(strong(words.describe_scope(group.scope)), dim(f"  policy {policy}")), *_verdicts(group)]
    if plan.left_alone:
        lines += [BLANK, line(strong("Left alone, and counted for nothing"))]
        lines += [fact(each.kind.value, each.backup_id, dim(f"  {each.problem}")) for each in plan.left_alone]
    return lines


def _verdicts(group: RetentionGroup) -> Iterator[Line]:
    for verdict in group.verdicts:
        backup = verdict.backup
        word = Span("● keep   ", Tone.OK) if verdict.keeps else Span("✖ remove ", Tone.TROUBLE)
        yield line(word, backup.backup_id, dim(f"  {format_bytes(backup.size_bytes)}  {'; '.join(verdict.reasons)}"))
