"""The dialogs of backups that a repository keeps: into which directory one is restored, and how it is verified."""

import os
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from dbtui.analysis.repository_restores import parse_target_time
from dbtui.analysis.repository_words import describe_checks, describe_end, describe_restoring
from dbtui.errors import DbtuiError, UsageError
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.repositories import (
    Repository,
    RepositoryBackup,
    RepositoryKind,
    RepositoryRestoreOptions,
    RepositoryTrialPlan,
    RestoreFromRepositoryPlan,
)
from dbtui.model.text import format_bytes, format_untrusted
from dbtui.tui import repository_requests as requests
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.focusing import focus_now
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput

_EMPTY, _REPLACE, _DELTA = "empty", "replace", "delta"


def show_cluster_plan(plan: RestoreFromRepositoryPlan) -> list[Line]:
    """Return the lines of a plan: the consequence, what speaks against it, exact commands, what to do afterwards."""
    tone = Tone.TROUBLE if plan.options.is_delta else Tone.WARNING if plan.kept_as else Tone.PLAIN
    needed = f"about {format_bytes(plan.needed_bytes)}" if plan.needed_bytes is not None else "not known"
    free = f", {format_bytes(plan.free_bytes)} free" if plan.free_bytes is not None else ""
    target = plan.options.target_time
    lines = [
        line(Span(f"This {describe_restoring(plan)}.", tone)),
        *(refusal(text) for text in plan.refusals),
        *(warning(text) for text in plan.warnings),
        fact("backup", f"{plan.backup.label}, {plan.backup.kind.value}, PostgreSQL {plan.backup.server_version}, ",
             describe_end(plan.backup)),
        fact("until", target.isoformat(sep=" ") if target else "the end of the WAL in the repository"),
        fact("files of", plan.account or "an account that is not known"),
        fact("space", f"{needed}{free}"),
    ]  # fmt: skip
    lines += [fact("tablespace", f"{space.name} in {place}") for space, place in plan.tablespaces]
    lines += [BLANK, line(strong("Steps"))] if plan.steps else []
    for number, (text, command) in enumerate(plan.steps, 1):
        lines.append(line(dim(f"{number:>2} "), text))
        lines += [line("   ", dim(each)) for each in command.splitlines()]
    lines += [BLANK, line(strong("Afterwards"))] if plan.afterwards else []
    lines += [line(dim(f"{number:>2} "), text) for number, text in enumerate(plan.afterwards, 1)]
    return [*lines, BLANK]


class RestoreClusterDialog(ConfirmedDialog[RestoreFromRepositoryPlan, RestoreFromRepositoryPlan]):
    """Answers with the plan that is to be done. The directory's name is typed, and that of a production profile."""

    asking: ClassVar[str] = "asking the repository and looking at the directory …"

    def __init__(
        self, runner: JobRunner, repository: Repository, backup: RepositoryBackup, profile: ConnectionProfile | None
    ) -> None:
        is_production = profile is not None and profile.environment is Environment.PRODUCTION
        super().__init__(f"Restore {backup.reference}, a whole cluster", runner, production=is_production)
        self.repository, self.backup = repository, backup
        self._profile = profile if is_production else None

    def body(self) -> ComposeResult:
        """Yield where to, what becomes of what is there, until when, the plan, and the names to type."""
        with Horizontal(classes="field"):
            yield Lines(line(dim("directory")), classes="field-label")
            yield TextInput(placeholder="the data directory to fill: new, or empty", id="directory")
        modes = [(_EMPTY, "it is new or empty"), (_REPLACE, "set aside what is there")]
        if self.repository.kind is RepositoryKind.PGBACKREST:
            modes.append((_DELTA, "write over it (delta)"))
        yield Choice("mode", modes, id="mode")
        with Horizontal(classes="field"):
            yield Lines(line(dim("as of")), classes="field-label")
            yield TextInput(placeholder="the end of the WAL; or 2026-11-23T09:24:00Z", id="target-time")
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Restore", id="accept", dangerous=True, disabled=True)

    def focus_first(self) -> None:
        """The directory: nothing is done before its name was typed once more."""
        focus_now(self.query_one("#directory"))

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", TextInput).value.strip()

    def plan_request(self) -> JobRequest[RestoreFromRepositoryPlan] | str:
        """Ask the repository, and look at the directory."""
        directory, moment = self._text("directory"), self._text("target-time")
        if not directory:
            return "Type the data directory that is filled on this machine."
        mode = self.query_one("#mode", Choice).value
        try:
            options = RepositoryRestoreOptions(
                directory=os.path.abspath(Path(directory).expanduser()),  # noqa: PTH100 - links are not followed
                target_time=parse_target_time(moment) if moment else None,
                replaces=mode == _REPLACE,
                is_delta=mode == _DELTA,
            )
        except UsageError as error:
            return f"{error.message.removeprefix('--target-time: ')}; {error.hint}"
        except RuntimeError:
            return f"directory: whose home {directory!r} means is not known"
        return requests.restore_plan(self.runner.history, self.repository, self.backup, options)

    def plan_lines(self, plan: RestoreFromRepositoryPlan) -> list[Line]:
        """Show it."""
        return show_cluster_plan(plan)

    def allows(self, plan: RestoreFromRepositoryPlan) -> bool:
        """Nothing is refused."""
        return not plan.refusals

    def names_of(self, plan: RestoreFromRepositoryPlan) -> list[tuple[str, str]]:
        """The directory, and the profile whose cluster it is when that is production."""
        profile = [("profile", format_untrusted(self._profile.name))] if self._profile is not None else []
        return [("directory", format_untrusted(plan.confirm_name)), *profile]

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self.replan()

    def answer_of(self, plan: RestoreFromRepositoryPlan) -> RestoreFromRepositoryPlan:
        """The plan itself."""
        return plan


class TryClusterDialog(Dialog[bool]):
    """Says what a verification by a restore does, or why it cannot be had here."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes"), ("n", "close")]

    def __init__(
        self, backup: RepositoryBackup, trial: RepositoryTrialPlan | None, problem: BaseException | None
    ) -> None:
        super().__init__("Verify by restoring?")
        self._backup, self._trial, self._problem = backup, trial, problem

    def body(self) -> ComposeResult:
        """Yield what is done, or why not."""
        yield Lines(*self._text(), classes="dialog-text")

    def _text(self) -> list[Line]:
        if self._trial is None:
            said = self._problem.message if isinstance(self._problem, DbtuiError) else str(self._problem)
            hint = self._problem.hint if isinstance(self._problem, DbtuiError) else ""
            return [refusal(said), *([line("  ", dim(hint))] if hint else [])]
        account = f", account {self._trial.account}" if self._trial.account else ""
        steps = enumerate(describe_checks(self._backup, self._trial), 1)
        return [
            line("Restores ", strong(self._backup.reference), " into a server made for it, and removes that again."),
            *(line(dim(f"{number} "), text) for number, text in steps),
            fact("in", f"{self._trial.parent}{account}"),
        ]

    def buttons(self) -> ComposeResult:
        """Yield the two answers; where nothing can be done, only one."""
        yield PushButton("Cancel", id="cancel")
        if self._trial is not None:
            yield PushButton("Verify", id="yes")

    def push(self, button_id: str) -> None:
        """Answer yes."""
        self.action_yes()

    def action_yes(self) -> None:
        """Answer yes, if it can be done."""
        if self._trial is not None:
            self.answer(True)
