"""The dialogs before a backup is sent to a remote or fetched from one: where, how much, what is there already."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from dbtui.errors import UsageError
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.backups import BackupEntry
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.shipping import PullPlan, PushPlan, ShippingPlan
from dbtui.model.text import format_bytes
from dbtui.tui import place_requests as requests
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.focusing import focus_now
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput

ShippingT = TypeVar("ShippingT", bound=ShippingPlan)
_OTHER = "another"
_MOST_FILES = 12


def show_shipping_plan(plan: ShippingPlan) -> list[Line]:
    """Return the lines of a plan: the consequence, what speaks against it, both ends, bytes, what is there already."""
    is_push = isinstance(plan, PushPlan)
    there, here = f"{plan.address}/{plan.data_name}", f"{plan.directory.rstrip('/')}/{plan.data_name}"
    lines = [*_consequence(plan, is_push=is_push)]
    lines += [refusal(text) for text in plan.refusals]
    lines += [warning(text) for text in plan.warnings]
    lines += [
        fact("from", here if is_push else there),
        fact("to", there if is_push else here),
        fact("size", f"{format_bytes(plan.size_bytes)} in {_files(len(plan.files))}"),
    ]
    if plan.missing and plan.missing_bytes < plan.size_bytes:
        lines.append(fact("missing", format_bytes(plan.missing_bytes), dim("  the rest is there from an earlier push")))
    if isinstance(plan, PullPlan) and plan.free_bytes is not None:
        lines.append(fact("space", f"{format_bytes(plan.free_bytes)} free"))
    lines += [BLANK, line(strong("Steps"))] if plan.steps else []
    for number, step in enumerate(plan.steps, 1):
        lines.append(line(dim(f"{number:>2} "), step.text, dim(f"  {step.why}" if step.why else "")))
    if len(plan.files) > 1:
        lines += [BLANK, line(strong("Files")), *_show_files(plan)]
    return [*lines, BLANK]


def _consequence(plan: ShippingPlan, *, is_push: bool) -> Iterator[Line]:
    if plan.is_done:
        where = str(plan.address) if is_push else plan.directory
        yield line(Span("● ", Tone.OK), f"A whole copy is in {where} already: nothing to do.")
    elif not plan.refusals:
        verb = "Sends a copy of" if is_push else "Fetches"
        yield line(f"{verb} ", strong(plan.backup_id), ". Nothing that exists is touched.")


def _show_files(plan: ShippingPlan) -> Iterator[Line]:
    for file in plan.files[:_MOST_FILES]:
        sign = Span("● ", Tone.OK) if file.is_there else dim("○ ")
        yield line(sign, f"{format_bytes(file.size_bytes):>8}  {file.name}", dim("  there" if file.is_there else ""))
    if len(plan.files) > _MOST_FILES:
        yield line(dim(f"and {len(plan.files) - _MOST_FILES} more"))


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


class ShippingDialog(ConfirmedDialog[ShippingT, ShippingT]):
    """Answers with the plan that is to be done. The focus rests on Cancel; y does it."""

    BINDINGS: ClassVar[list[BindingType]] = [("y", "yes"), ("n", "no")]
    scopes: ClassVar[tuple[str, ...]] = ("dialog", "plan")
    asking: ClassVar[str] = "asking the remote …"

    def plan_lines(self, plan: ShippingT) -> list[Line]:
        """Show it."""
        return show_shipping_plan(plan)

    def allows(self, plan: ShippingT) -> bool:
        """Something is left to do, and nothing speaks against it."""
        return not plan.refusals and not plan.is_done

    def names_of(self, plan: ShippingT) -> list[tuple[str, str]]:
        """Nothing is typed: nothing that exists is touched."""
        return []

    def answer_of(self, plan: ShippingT) -> ShippingT:
        """The plan itself."""
        return plan


class PushDialog(ShippingDialog[PushPlan]):
    """Where a copy goes: to one of the remotes that are known, or to an address that is typed."""

    def __init__(self, runner: JobRunner, entry: BackupEntry, remotes: Sequence[str]) -> None:
        super().__init__(f"Push {entry.backup_id}", runner)
        self.entry, self.remotes = entry, tuple(remotes)

    def body(self) -> ComposeResult:
        """Yield where to, and the plan."""
        if self.remotes:
            options = [(address, address) for address in self.remotes]
            yield Choice("to", [*options, (_OTHER, _OTHER)], id="remote")
        with Horizontal(classes="field", id="address-row"):
            yield Lines(line(dim("address")), classes="field-label")
            yield TextInput(placeholder="s3://bucket/path, sftp://host/path, file:///mnt/share …", id="address")
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Push (y)", id="accept", disabled=True)

    def on_mount(self) -> None:
        """The field is there where it is needed."""
        self._show_field()
        super().on_mount()

    @property
    def _chosen(self) -> str:
        return self.query_one("#remote", Choice).value if self.remotes else _OTHER

    def _show_field(self) -> None:
        self.query_one("#address-row").display = self._chosen == _OTHER

    def focus_first(self) -> None:
        """Cancel; where an address has to be typed, its field."""
        if self.remotes:
            super().focus_first()
        else:
            focus_now(self.query_one("#address"))

    def plan_request(self) -> JobRequest[PushPlan] | str:
        """Ask the remote."""
        typed = self._chosen if self._chosen != _OTHER else self.query_one("#address", TextInput).value.strip()
        if not typed:
            return 'Type where to; remote = "s3://bucket/path" in the configuration names it for good.'
        try:
            return requests.push_plan(self.entry, parse_remote_address(typed))
        except UsageError as error:
            return str(error)

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self._show_field()
        self.replan()


class PullDialog(ShippingDialog[PullPlan]):
    """From where a backup is fetched, into which directory, and whether there is room."""

    def __init__(self, runner: JobRunner, entry: BackupEntry, directory: Path, why: str = "") -> None:
        super().__init__(f"Pull {entry.backup_id}", runner)
        self.entry, self.directory, self._why = entry, directory, why

    def body(self) -> ComposeResult:
        """Yield why it is asked, and the plan."""
        if self._why:
            yield Lines(line(dim(self._why)), classes="dialog-text")
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Pull (y)", id="accept", disabled=True)

    def plan_request(self) -> JobRequest[PullPlan]:
        """Ask the remote, and look at the directory."""
        return requests.pull_plan(self.entry, self.directory)
