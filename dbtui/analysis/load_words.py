"""What is typed of a load test as numbers, and how one ended in a line: the same at both doors."""

import re

from dbtui.analysis.load_report import format_latency, format_rate
from dbtui.analysis.loadtest import count_well_answered
from dbtui.errors import UsageError
from dbtui.model.jobs import JobState
from dbtui.model.loadtest import LoadPlan, LoadResult
from dbtui.model.text import format_duration

_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|min|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def parse_duration(name: str, text: str) -> float:
    """Return the seconds that `10s`, `250ms`, `2min` or `10` mean; `name`: what is typed. Raises UsageError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{name}: {text!r} is not a time", "write 10s, 250ms or 2min")
    return float(found[1]) * _UNITS[found[2] or ""]


def parse_numbers(name: str, text: str) -> list[float]:
    """Return the numbers of `5,10,20`. Raises UsageError."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{name}: {text!r} is not a list of numbers", "write 5,10,20,40") from None
    if not all(0 < number < 1e9 for number in numbers):
        raise UsageError(f"{name}: {text!r} holds a number that makes no stage", "write 5,10,20,40")
    return numbers


def judge_load(result: LoadResult) -> JobState:
    """Say how a test ended: cancelled, failed when every answer was an error or there was none, else well."""
    if result.ended_early.startswith("cancelled"):
        return JobState.CANCELLED
    return JobState.SUCCEEDED if any(count_well_answered(each) for each in result.stages) else JobState.FAILED


def summarise_load(result: LoadResult) -> str:
    """Return a result in one line, for history."""
    stages = [stage for stage in result.stages if not stage.stage.is_warm_up] or list(result.stages)
    if not stages:
        return "nothing was measured"
    best = max(stages, key=lambda stage: stage.rate)
    knee = f", knee at {result.knee}" if result.knee else ""
    return f"{format_rate(best.rate)}/s with {best.stage.name}, p95 {format_latency(best.p95_seconds)}{knee}"


def describe_amount(plan: LoadPlan) -> str:
    """Return how much a test asks for: `with 5 clients, 10 clients, 20 s`."""
    stages = [stage for stage in plan.request.stages if not stage.is_warm_up]
    return f"with {', '.join(stage.name for stage in stages)}, {format_duration(plan.request.seconds)}"
