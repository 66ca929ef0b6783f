"""What `dbtui bench http|sql` do: plan, ask, run, tell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dbtui.analysis.load_report import conclusions, describe_request, describe_result
from dbtui.analysis.load_stages import plan_stages, refuse_sql_load
from dbtui.analysis.load_urls import parse_header, parse_http_url, parse_method
from dbtui.analysis.load_words import describe_amount, judge_load, parse_duration, parse_numbers, summarise_load
from dbtui.cli import exit_codes
from dbtui.cli.bench_reading import check_reports, show_result, write_reports
from dbtui.cli.confirm import confirm
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.errors import RefusedError, UsageError
from dbtui.jobs import JobRequest
from dbtui.model.jobs import JobState
from dbtui.model.loadtest import LoadKind, LoadPlan, LoadRequest, LoadResult, LoadStage, SqlPath
from dbtui.model.text import format_untrusted
from dbtui.routines.loadtest import apply_load, plan_load

_MOST_FILE_BYTES = 16 << 20


def bench_http(
    *,
    url: str,
    method: str,
    headers: Sequence[str],
    body: str | None,
    most_body: int,
    ca_file: str | None,
    insecure: bool,
    **typed: Any,
) -> int:
    """Load a web server and print what it does."""
    lines = [line for text in headers for line in (_file_text(text[1:]).splitlines() if text[:1] == "@" else [text])]
    parsed = parse_http_url(url)
    if ca_file is not None and not Path(ca_file).is_file():
        raise UsageError(f"--ca-file {ca_file} is no file")
    request = LoadRequest(
        kind=LoadKind.HTTP,
        target=url,
        method=parse_method(method),
        headers=tuple(parse_header(line) for line in lines if line.strip()),
        body=_file_text(body[1:]) if body and body[0] == "@" else body or "",
        most_body_bytes=most_body,
        ca_file=str(Path(ca_file).absolute()) if ca_file else "",
        is_verified=not insecure,
        **_common(LoadKind.HTTP, typed),
    )
    return _bench(request, None, shown=parsed.shown, **_rest(typed))


def bench_sql(
    *, target: str | None, statements: Sequence[str], files: Sequence[str], path: str, is_pooled: bool, **typed: Any
) -> int:
    """Load a database server and print what it does."""
    texts = [*statements, *map(_file_text, files)]
    if any(not text.strip() or "\0" in text for text in texts):
        raise UsageError("one of the statements is empty or holds a NUL", "give SQL, or leave it out for SELECT 1")
    common = _common(LoadKind.SQL, typed)
    return _bench(
        lambda profile: LoadRequest(
            kind=LoadKind.SQL,
            target=profile.name,
            statements=tuple(texts),
            path=SqlPath(path),
            is_pooled=is_pooled,
            **common,
        ),
        target,
        shown="",
        **_rest(typed),
    )


def _file_text(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            content = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}", "check the path") from error
    if len(content) > _MOST_FILE_BYTES:
        raise UsageError(f"{name} is larger than 16 MiB", "a request that large is none for a load test")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8", "save it as UTF-8") from error


def _rest(typed: dict[str, Any]) -> dict[str, Any]:
    return {name: typed[name] for name in ("reports", "confirmed", "dry_run", "as_json", "quiet")}


def _common(kind: LoadKind, typed: dict[str, Any]) -> dict[str, Any]:
    counts = _numbers("--stages", typed["stages"])
    if any(count != int(count) for count in counts):
        raise UsageError("--stages counts requests at a time, in whole numbers", "or is it --rate-stages?")
    stages = plan_stages(
        kind,
        duration_seconds=parse_duration("--duration", typed["duration"]),
        warm_up_seconds=parse_duration("--warm-up", typed["warm_up"]),
        concurrency=typed["concurrency"],
        rate=typed["rate"],
        concurrencies=[int(count) for count in counts],
        rates=_numbers("--rate-stages", typed["rate_stages"]),
    )
    timeout = parse_duration("--timeout", typed["timeout"])
    if not 0 < timeout <= 3600:
        raise UsageError(f"--timeout: {typed['timeout']!r} is no limit", "use more than 0, at most an hour")
    return {
        "stages": stages,
        "slo_seconds": parse_duration("--slo", typed["slo"]) if typed["slo"] is not None else None,
        "most": typed["most"],
        "timeout_seconds": timeout,
        "processes": typed["processes"],
    }


def _numbers(option: str, text: str | None) -> list[float]:
    return parse_numbers(option, text) if text is not None else []


def _bench(
    asked: Any,
    target: str | None,
    *,
    shown: str,
    reports: Sequence[str],
    confirmed: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    paths = check_reports(reports)
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    profile = None
    if isinstance(asked, LoadRequest):
        request = asked
    else:
        profile = invocation.target(target)
        request = asked(profile)
        refuse_sql_load(request, profile)
    name = f"bench {request.kind}"
    shown = shown or (profile.name if profile is not None else "")
    plan: LoadPlan = invocation.result_of(
        JobRequest(routine="plan a load test", target=shown, start=lambda c: plan_load(c, request, profile),
                   changes=False),
        profile,
    )  # fmt: skip
    lines = show_load_plan(plan)
    if dry_run:
        described = {**describe_request(request), "confirm": plan.confirm, "warnings": plan.warnings}
        return show_plan(invocation, lines, plan.refusals, plan=described, target=plan.shown_target)
    if plan.refusals:
        raise RefusedError(f"{name} refused: {'; '.join(plan.refusals)}", "nothing was sent")
    if plan.confirm:
        confirm(f"loads {plan.shown_target} {describe_amount(plan)}", lines, [plan.confirm], confirmed)
    work: JobRequest[LoadResult] = JobRequest(
        routine=name,
        target=shown,
        subject=describe_amount(plan),
        start=lambda c: apply_load(c, plan, profile),
        summary=summarise_load,
        judge=judge_load,
    )
    outcome = invocation.run(work, profile)
    if outcome.result is not None:
        write_reports(outcome.result, paths)
    return finish(invocation, outcome, _fields, _data, _words, failed=_code_of(outcome.state))


def _code_of(state: JobState) -> int:
    return exit_codes.INTERRUPTED if state is JobState.CANCELLED else exit_codes.FAILED


def show_load_plan(plan: LoadPlan) -> list[str]:
    """Return the lines of a plan: what is asked of whom, for how long, and what speaks against it."""
    request = plan.request
    lines = [f"this loads {plan.shown_target}"]
    if request.kind is LoadKind.HTTP:
        lines.append(f"  request   {request.method}, redirects are not followed")
    else:
        statements = [" ".join(each.split()) for each in request.statements or ("SELECT 1",)]
        lines += [f"  statement {format_untrusted(each, 200)}" for each in statements]
        way = "a pooled engine (DB_POOL_*)" if request.path is SqlPath.POOL else "a connection for each client"
        lines.append(f"  path      {way}{', through PgBouncer' if request.is_pooled else ''}")
    lines += [f"  stage     {_describe_stage(stage)}" for stage in request.stages]
    lines.append(f"  limits    {request.seconds:g} s in all" + (f", {request.most} requests" if request.most else "")
                 + f", {request.timeout_seconds:g} s for a request, generators: {request.processes}")  # fmt: skip
    lines += [f"  warning   {each}" for each in plan.warnings]
    lines += [f"  refused   {each}" for each in plan.refusals]
    return [format_untrusted(line) for line in lines]


def _describe_stage(stage: LoadStage) -> str:
    if stage.rate:
        return f"{stage.name}: {stage.seconds:g} s, open, at most {stage.concurrency} under way"
    return f"{stage.name}: {stage.seconds:g} s"


def _fields(result: LoadResult) -> dict[str, Any]:
    return describe_result(result, with_seconds=False)


def _data(result: LoadResult) -> str:
    return show_result(result)


def _words(result: LoadResult) -> str:
    return "\n".join(conclusions(result))
