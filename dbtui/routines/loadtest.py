"""Load tests: planned after a look at the target, run by generators, judged from what these report."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dbtui.adapters.addresses import check_listening, look_up
from dbtui.adapters.loadtool import Generators, collect_login, public_request, running_generators
from dbtui.analysis.latencies import quantile
from dbtui.analysis.load_stages import plan_http_load, plan_sql_load, refuse_sql_load
from dbtui.analysis.load_urls import parse_http_url, pooled_url
from dbtui.analysis.loadtest import SecondsMerger, assess_load
from dbtui.errors import Cancelled, RefusedError, ToolError, UsageError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import CommandRan, LoadTicked, Progressed, Routine, StepFinished, StepStarted, Warned
from dbtui.model.loadtest import (
    GeneratorPlan,
    GeneratorSecrets,
    HttpTarget,
    LoadKind,
    LoadPlan,
    LoadRequest,
    LoadResult,
    LoadSecond,
    ReachedServer,
)
from dbtui.model.text import format_count
from dbtui.routines.context import RoutineContext

_PROBE_SECONDS = 5.0


def plan_load(
    c: RoutineContext, request: LoadRequest, profile: ConnectionProfile | None = None
) -> Routine[LoadPlan]:  # fmt: skip
    """Look where a test would go. `profile`: of SQL, whose server is connected to.

    Raises UsageError, ConnectError, AuthenticationError.
    """
    yield from ()
    if request.kind is LoadKind.HTTP:
        url = parse_http_url(request.target)
        return plan_http_load(request, url.shown, url.host, look_up(url.host, url.port))
    reached = _reach(c, request, _profile_of(profile))
    return plan_sql_load(
        request, _profile_of(profile), reached.host, reached.address, is_through_pooler=reached.is_pooled
    )


def apply_load(
    c: RoutineContext, plan: LoadPlan, profile: ConnectionProfile | None = None
) -> Routine[LoadResult]:  # fmt: skip
    """Run a planned test; each second is told as LoadTicked.

    A stop that is requested ends the generators at once; what came until then is the result, if anything did.
    Raises RefusedError, ConnectError, ToolError, Cancelled.
    """
    if plan.refusals:
        raise RefusedError(f"the load test is refused: {'; '.join(plan.refusals)}", "nothing was sent")
    target, secrets = _aim(c, plan, profile)
    for warning in plan.warnings:
        yield Warned(warning)
    yield CommandRan(f"{plan.request.processes} × python -m dbtui.loadgen → {plan.shown_target}")
    began_at, run = c.now(), _Run(plan)
    try:
        with running_generators(target, secrets, c.cancellation, c.environ) as generators:
            yield from run.follow(generators)
    except (Cancelled, ToolError):
        if not run.has_result:
            c.cancellation.check()
        if not c.cancellation.requested:
            raise
        run.ended_early = f"cancelled ({c.cancellation.reason})"
    return run.result(began_at, c.now())


def _aim(
    c: RoutineContext, plan: LoadPlan, profile: ConnectionProfile | None
) -> tuple[GeneratorPlan, GeneratorSecrets]:  # fmt: skip
    request = plan.request
    if request.kind is LoadKind.SQL:
        reached = _reach(c, request, _profile_of(profile))
        password = reached.password.reveal() if reached.password is not None else None
        aimed = GeneratorPlan(request=public_request(request), begins=0.0, sql=reached.login)
        return aimed, GeneratorSecrets(password=password)
    url = parse_http_url(request.target)
    address = look_up(url.host, url.port)
    checked = plan_http_load(request, url.shown, url.host, address)
    if checked.confirm and not plan.confirm:
        raise RefusedError(f"{url.host} is now {address}, which is not a private address", "plan the test anew")
    check_listening(address, url.port, plan.shown_target, min(_PROBE_SECONDS, request.timeout_seconds))
    target = HttpTarget(address=address, port=url.port, host=url.host, is_tls=url.is_tls, resource=url.resource)
    login = [("Authorization", url.authorization)] if url.authorization else []
    given = {name.lower() for name, _ in request.headers}
    headers = (*(pair for pair in login if "authorization" not in given), *request.headers)
    aimed = GeneratorPlan(request=replace(public_request(request), target=plan.shown_target), begins=0.0, http=target)
    return aimed, GeneratorSecrets(headers=headers, body=request.body)


def _profile_of(profile: ConnectionProfile | None) -> ConnectionProfile:
    if profile is None:
        raise UsageError("a load test of SQL needs a profile")
    return profile


def _reach(c: RoutineContext, request: LoadRequest, profile: ConnectionProfile) -> ReachedServer:
    refuse_sql_load(request, profile)
    if request.is_pooled:
        profile = replace(profile, url=pooled_url(profile))
    with c.open_target(profile) as target:
        return collect_login(target)


@dataclass
class _Run:
    """A test that runs."""

    plan: LoadPlan
    ended_early: str = ""

    def __post_init__(self) -> None:
        self._seconds: list[LoadSecond] = []
        self._remarks: list[str] = []
        self._stage = ""
        self._stage_began = 0.0
        self._merger = SecondsMerger(self.plan.request.processes)

    @property
    def has_result(self) -> bool:
        """Whether there is anything to judge."""
        return bool(self._seconds)

    def follow(self, generators: Generators) -> Routine[None]:
        """Tell what the generators say, as one."""
        for number, said in generators.follow():
            if said.remark:
                self._remarks.append(said.remark)
            if said.second is not None:
                yield from self._tell(generators, self._merger.add(number, said.second))
            if said.is_end:
                yield from self._tell(generators, self._merger.end(number))
        if self._stage:
            yield StepFinished(self._stage, time.monotonic() - self._stage_began)
        lasted = sum(second.seconds for second in self._seconds)
        if self.plan.request.most is not None and lasted < self.plan.request.seconds - 1e-3:
            self.ended_early = f"as many requests as allowed were sent ({format_count(self.plan.request.most)})"

    def _tell(self, generators: Generators, seconds: Sequence[LoadSecond]) -> Iterator[
        StepStarted | StepFinished | Progressed | LoadTicked
    ]:  # fmt: skip
        for second in seconds:
            self._seconds.append(second)
            if not second.seconds:  # what came late: it makes no second of its own
                continue
            if second.stage != self._stage:
                if self._stage:
                    yield StepFinished(self._stage, time.monotonic() - self._stage_began)
                self._stage, self._stage_began = second.stage, time.monotonic() - second.seconds
                yield StepStarted(second.stage, self.plan.shown_target)
            yield LoadTicked(second)
            done = min(self.plan.request.seconds, second.monotonic_seconds - generators.begins)
            yield Progressed(round(done), round(self.plan.request.seconds), "seconds", _brief(second))

    def result(self, began_at: datetime, ended_at: datetime) -> LoadResult:
        """Judge it."""
        return assess_load(
            self.plan, self._seconds, began_at, ended_at, ended_early=self.ended_early, remarks=self._remarks
        )


def _brief(second: LoadSecond) -> str:
    errors = sum(count for _, count in second.errors)
    p95 = quantile(second.latencies, 0.95)
    parts = [f"{format_count(round(second.completed / (second.seconds or 1)))}/s"]
    if p95 is not None:
        parts.append(f"p95 {p95 * 1000:.3g} ms")
    if errors:
        parts.append(f"{format_count(errors)} errors")
    return "  ".join(parts)
