"""The dialog before a load test: what is asked, how hard, for how long; the plan says whom it hits before it does."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from dbtui.analysis.load_stages import plan_stages
from dbtui.analysis.load_words import parse_duration, parse_numbers
from dbtui.errors import DbtuiError, UsageError
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.model.loadtest import LoadKind, LoadPlan, LoadRequest, LoadStage, SqlPath
from dbtui.model.text import format_duration
from dbtui.tui import pool_requests as requests
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.confirmed import ConfirmedDialog
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.dialogs.typed_names import NamesToType
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.drawn import Lines
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput

_HTTP, _DRIVER, _POOL, _POOLER = "http", "driver", "pool", "pooler"
_FIELDS = (
    ("url", "URL", "", "http://127.0.0.1:8000/orders"),
    ("statement", "statement", "", "SELECT 1"),
    ("stages", "at once", "5,10,20", "5,10,20: a stage each"),
    ("rate", "or rate", "", "requests a second, as 100 or 50,100,200; empty: as fast as answers come"),
    ("duration", "each stage", "15s", "10s, 2min"),
    ("slo", "good within", "", "200ms; empty: any answer is good"),
)


def show_load_plan(plan: LoadPlan) -> list[Line]:
    """Return the lines of a plan: whom it loads and how much, what speaks against it, the stages."""
    request = plan.request
    most = max(stage.concurrency for stage in request.stages)
    lines = [
        line(Span("Loads ", Tone.WARNING), strong(plan.shown_target), Span(
            f" for {format_duration(request.seconds)}, with up to {most} requests at a time.", Tone.WARNING)),
        *(refusal(text) for text in plan.refusals),
        *(warning(text) for text in plan.warnings),
        fact("asks", *_what(request)),
        fact("stages", ", ".join(_stage(stage) for stage in request.stages)),
    ]  # fmt: skip
    if request.slo_seconds:
        lines.append(fact("good", f"answers within {request.slo_seconds * 1000:g} ms"))
    return [*lines, fact("", dim(speak_keys("{global.cancel} ends it at once; nothing else is sent anywhere")))]


def _what(request: LoadRequest) -> tuple[str, ...]:
    if request.kind is LoadKind.HTTP:
        return (f"{request.method}, redirects are not followed",)
    way = "one pooled engine with DB_POOL_*" if request.path is SqlPath.POOL else "a connection for each"
    where = ", through PgBouncer" if request.is_pooled else ", straight to the server"
    return (" ".join((request.statements or ("SELECT 1",))[0].split()), f"  {way}{where}")


def _stage(stage: LoadStage) -> str:
    return f"{stage.name} {format_duration(stage.seconds)}"


class LoadTestDialog(ConfirmedDialog[LoadPlan, LoadPlan]):
    """Answers with the plan that is to be done. The focus rests on Cancel."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, runner: JobRunner, profile: ConnectionProfile, before: Mapping[str, str]) -> None:
        """`before`: what the fields said the last time, by their names."""
        super().__init__(f"Load test on {profile.name}", runner,
                         production=profile.environment is Environment.PRODUCTION)  # fmt: skip
        self.profile = profile
        self.typed = self._before = before

    def body(self) -> ComposeResult:
        """Yield the fields, the plan and the names to type."""
        ways = [(_HTTP, "HTTP")]
        if self.profile.engine is not EngineName.SQLITE:
            ways += [(_DRIVER, "SQL"), (_POOL, "SQL pooled engine")]
        if self.profile.pgbouncer_url and self.profile.engine is EngineName.POSTGRESQL:
            ways.append((_POOLER, "SQL via PgBouncer"))
        yield Choice("ask", ways, self._before.get("way", ways[-1][0]), id="way")
        for name, label, value, placeholder in _FIELDS:
            with Horizontal(classes="field", id=f"{name}-field"):
                yield Lines(line(dim(label)), classes="field-label")
                yield TextInput(self._before.get(name, value), placeholder=placeholder, id=name)
        yield self.plan_panel()
        yield NamesToType(classes="names")

    def buttons(self) -> ComposeResult:
        """Yield the two answers."""
        yield PushButton("Cancel", id="cancel")
        yield PushButton("Start", id="accept", dangerous=True, disabled=True)

    def on_mount(self) -> None:
        """Hide what this way does not have, and plan."""
        self._show_fields()
        super().on_mount()

    def _show_fields(self) -> None:
        is_http = self._way == _HTTP
        self.query_one("#url-field").display = is_http
        self.query_one("#statement-field").display = not is_http

    @property
    def _way(self) -> str:
        return self.query_one("#way", Choice).value

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", TextInput).value.strip()

    # ------------------------------------------------------------ what the fields say

    def answer(self, value: LoadPlan | None) -> None:
        """Remember what was typed, and end."""
        self.typed = {"way": self._way, **{name: self._text(name) for name, *_ in _FIELDS}}
        super().answer(value)

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Plan anew."""
        event.stop()
        self._show_fields()
        self.replan()

    def _stages(self, kind: LoadKind) -> tuple[LoadStage, ...]:
        rates, counts = self._text("rate"), self._text("stages")
        numbers = [] if rates or not counts else parse_numbers("at once", counts)
        if any(number != int(number) for number in numbers):
            raise UsageError("at once: requests are counted in whole numbers", "write 5,10,20,40")
        return plan_stages(
            kind,
            duration_seconds=parse_duration("each stage", self._text("duration")),
            concurrencies=[int(number) for number in numbers],
            rates=parse_numbers("rate", rates) if rates else [],
        )

    @property
    def load_request(self) -> LoadRequest:
        """What the fields say. Raises UsageError."""
        way, slo = self._way, self._text("slo")
        slo_seconds = parse_duration("good within", slo) if slo else None
        if way == _HTTP:
            return LoadRequest(kind=LoadKind.HTTP, target=self._text("url"), stages=self._stages(LoadKind.HTTP),
                               slo_seconds=slo_seconds)  # fmt: skip
        statement = self._text("statement")
        return LoadRequest(
            kind=LoadKind.SQL,
            target=self.profile.name,
            stages=self._stages(LoadKind.SQL),
            slo_seconds=slo_seconds,
            statements=(statement,) if statement else (),
            path=SqlPath.POOL if way == _POOL else SqlPath.DRIVER,
            is_pooled=way == _POOLER,
        )

    # ------------------------------------------------------------ the plan

    def plan_request(self) -> JobRequest[LoadPlan] | str:
        """Look where it would go."""
        if self._way == _HTTP and not self._text("url"):
            return "Type the URL that is to be asked for: only this one is."
        try:
            return requests.load_plan(self.profile, self.load_request)
        except DbtuiError as error:
            return f"{error.message}: {error.hint}" if error.hint else error.message

    def plan_lines(self, plan: LoadPlan) -> list[Line]:
        """Show it."""
        return [*show_load_plan(plan), BLANK]

    def allows(self, plan: LoadPlan) -> bool:
        """Nothing is refused."""
        return not plan.refusals

    def names_of(self, plan: LoadPlan) -> list[tuple[str, str]]:
        """What is not private, or is production, wants a name typed."""
        return [("name", plan.confirm)] if plan.confirm else []

    def answer_of(self, plan: LoadPlan) -> LoadPlan:
        """The plan itself."""
        return plan
