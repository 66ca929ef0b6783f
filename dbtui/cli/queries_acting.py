"""What `dbtui queries capture` and `repair` do: plan, ask, log statements for a while, put everything back, tell."""

from pathlib import Path
from typing import Any

from dbtui.analysis.capture_words import describe_consequence, describe_plan, describe_stale, parse_size
from dbtui.analysis.query_words import describe_capture, judge_capture
from dbtui.cli import exit_codes
from dbtui.cli.confirm import confirm_yes
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.cli.queries_fields import findings_fields, format_findings
from dbtui.cli.queries_reading import code_of
from dbtui.cli.tables import terminal_width
from dbtui.errors import RefusedError, UsageError
from dbtui.jobs import JobRequest
from dbtui.model.captures import CaptureRepair, CaptureWish, StaleCapture
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobState
from dbtui.model.queries import CapturePlan, CaptureResult
from dbtui.model.text import format_untrusted
from dbtui.routines.captures import list_stale_captures, plan_capture, repair_captures
from dbtui.routines.queries import capture_statements

JOURNALS = "captures"
_WIDTH = 100


def capture(
    *,
    target: str,
    seconds: float,
    most: str,
    sample: float | None,
    free: str | None,
    models: str | None,
    save: str | None,
    shows_others: bool,
    fail_on: str | None,
    dry_run: bool,
    confirmed: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Capture statements for a while and print what is found in them."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    profile = invocation.target(target)
    wish = CaptureWish(
        seconds=seconds,
        most_bytes=parse_size("--most", most),
        sample_rate=sample,
        free_bytes=None if free is None else parse_size("--free", free),
    )
    plan = _make_plan(invocation, profile, wish)
    lines = _plan_lines(plan, profile)
    refusals = (plan.refusal,) if plan.refusal else ()
    if dry_run:
        return show_plan(invocation, lines, refusals, plan=plan, target=profile.name)
    if refusals:
        raise RefusedError(f"capture refused: {plan.refusal}", "nothing was changed")
    if save is not None and Path(save).exists():
        raise UsageError(f"{save} is there", "--save names a new file")
    confirm_yes(describe_consequence(plan, profile), lines, profile.name, confirmed)
    journals = invocation.history.state_dir / JOURNALS
    request: JobRequest[CaptureResult] = JobRequest(
        routine="capture queries",
        target=profile.name,
        start=lambda c: capture_statements(
            c, profile, plan, journals, models=models or "", save=Path(save) if save else None
        ),
        summary=describe_capture,
        judge=judge_capture,
        cancelling="puts the settings back",
    )
    outcome = invocation.run(request, profile)
    result = outcome.result
    if result is not None and not result.findings.statements:
        _tell_why_nothing(invocation, plan)
    code = finish(
        invocation,
        outcome,
        lambda done: _fields(profile, done, shows_others=shows_others),
        lambda done: "\n".join(format_findings(done.findings, terminal_width() or _WIDTH, shows_others=shows_others)),
        describe_capture,
    )
    if code == exit_codes.DONE and result is not None:
        return code_of(result.findings, fail_on)
    return code


def _tell_why_nothing(invocation: Invocation, plan: CapturePlan) -> None:
    """Nothing was captured: what the plan warned of may be why."""
    invocation.printer.warn("no statement was captured: none ran, or none that is logged")
    for warning in plan.warnings:
        invocation.printer.warn(warning)


def _make_plan(invocation: Invocation, profile: ConnectionProfile, wish: CaptureWish) -> CapturePlan:
    request: JobRequest[CapturePlan] = JobRequest(
        routine="plan a capture", target=profile.name, start=lambda c: plan_capture(c, profile, wish), changes=False
    )
    return invocation.result_of(request, profile)


def _plan_lines(plan: CapturePlan, profile: ConnectionProfile) -> list[str]:
    lines = [f"this {describe_consequence(plan, profile)}"]
    return lines + [f"  {label:<9} {text}" for label, text in describe_plan(plan)]


def _fields(profile: ConnectionProfile, done: CaptureResult, *, shows_others: bool) -> dict[str, Any]:
    return {
        "target": profile.name,
        "way": done.plan.way,
        "capture_seconds": done.seconds,
        "ended_by": done.ended_by,
        "is_restored": done.is_restored,
        "left": done.left,
        **findings_fields(done.findings, shows_others=shows_others),
    }


# ---------------------------------------------------------------- repair


def repair(*, target: str | None, dry_run: bool, as_json: bool, quiet: bool) -> int:
    """Put back what interrupted captures left on, of one target or of all profiles."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    journals = invocation.history.state_dir / JOURNALS
    stale = list_stale_captures(journals)
    profiles = _profiles_of(invocation, target, stale)
    lines = [describe_stale(each) for each in stale]
    if dry_run or not profiles:
        invocation.printer.result("\n".join(lines), outcome="succeeded", exit_code=exit_codes.DONE, stale=stale,
                                  dry_run=dry_run)  # fmt: skip
        if not stale:
            invocation.printer.say("no capture has left anything on")
        return exit_codes.DONE
    repairs: list[CaptureRepair] = []
    for profile in profiles:
        repairs += _repair_one(invocation, profile, journals)
    failed = [each for each in repairs if not each.is_restored]
    code = (
        exit_codes.DONE if not failed else exit_codes.FAILED if len(failed) == len(repairs) else exit_codes.PARTLY_DONE
    )
    outcome = {exit_codes.DONE: "succeeded", exit_codes.FAILED: "failed"}.get(code, "partial")
    text = "\n".join(format_untrusted(f"{each.profile}: {each.detail}") for each in repairs)
    invocation.printer.result(text, outcome=outcome, exit_code=code, repairs=repairs)
    return code


def _profiles_of(
    invocation: Invocation, target: str | None, stale: tuple[StaleCapture, ...]
) -> tuple[ConnectionProfile, ...]:
    if target is not None:
        return (invocation.target(target),)
    names = {each.journal.profile for each in stale if each.journal is not None}
    return tuple(profile for profile in invocation.settings.profiles if profile.name in names)


def _repair_one(invocation: Invocation, profile: ConnectionProfile, journals: Path) -> tuple[CaptureRepair, ...]:
    request: JobRequest[tuple[CaptureRepair, ...]] = JobRequest(
        routine="repair captures",
        target=profile.name,
        start=lambda c: repair_captures(c, profile, journals),
        summary=lambda done: "; ".join(each.detail for each in done) or "nothing was left",
        judge=lambda done: JobState.SUCCEEDED if all(each.is_restored for each in done) else JobState.FAILED,
    )
    return invocation.result_of(request, profile)
