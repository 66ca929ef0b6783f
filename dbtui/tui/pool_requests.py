"""What the pools pane asks the runner to do: orders to PgBouncer, load tests, and where their reports go."""

import os
from datetime import UTC
from pathlib import Path

import msgspec

from dbtui.analysis.load_report import describe_result, format_markdown
from dbtui.analysis.load_words import describe_amount, judge_load, summarise_load
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.loadtest import LoadPlan, LoadRequest, LoadResult
from dbtui.model.pools import PoolerPlan, PoolerResult, PoolerVerb
from dbtui.routines.loadtest import apply_load, plan_load
from dbtui.routines.pools import apply_pooler_order, plan_pooler_order


def order_plan(profile: ConnectionProfile, verb: PoolerVerb, database: str) -> JobRequest[PoolerPlan]:
    """Plan an order to PgBouncer."""
    return JobRequest(routine="plan an order to PgBouncer", target=profile.name, changes=False,
                      start=lambda context: plan_pooler_order(context, profile, verb, database))  # fmt: skip


def order(profile: ConnectionProfile, plan: PoolerPlan) -> JobRequest[PoolerResult]:
    """Give an order to PgBouncer."""
    return JobRequest(
        routine=f"pools {plan.verb.value}",
        target=profile.name,
        subject=plan.command,
        start=lambda context: apply_pooler_order(context, profile, plan),
        summary=lambda result: result.detail or f"{plan.command} done",
    )


def load_plan(profile: ConnectionProfile, request: LoadRequest) -> JobRequest[LoadPlan]:
    """Plan a load test."""
    return JobRequest(routine="plan a load test", target=profile.name, changes=False,
                      start=lambda context: plan_load(context, request, profile))  # fmt: skip


def load(profile: ConnectionProfile, plan: LoadPlan) -> JobRequest[LoadResult]:
    """Run a load test."""
    return JobRequest(
        routine=f"bench {plan.request.kind}",
        target=profile.name,
        subject=f"{plan.shown_target} {describe_amount(plan)}",
        start=lambda context: apply_load(context, plan, profile),
        summary=summarise_load,
        judge=judge_load,
    )


def write_report(result: LoadResult, directory: Path) -> Path:
    """Write a load test's report as Markdown and as JSON into new private files; return the first. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    stem = f"load-{result.began_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    document = msgspec.json.encode({"version": 1, **describe_result(result)})
    _write_private(directory / f"{stem}.json", document + b"\n")
    path = directory / f"{stem}.md"
    _write_private(path, format_markdown(result).encode())
    return path


def _write_private(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
