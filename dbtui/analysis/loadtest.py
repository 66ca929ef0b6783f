"""What came of a load test: seconds of several generators made one, stages judged, the knee found."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from dbtui.analysis.latencies import largest, mean, merge, quantile
from dbtui.model.loadtest import LoadPlan, LoadRequest, LoadResult, LoadSecond, LoadStage, StageResult
from dbtui.model.pools import LoadPoint, PoolsSnapshot
from dbtui.model.text import format_count

#: Kinds of errors that no answer came with; all others are answers: a status, or a server's error code.
NO_ANSWER = frozenset({
    "timeout", "refused", "reset", "closed", "unreachable", "tls", "garbage", "headers too large", "body too large",
    "pool timeout", "lost", "unfinished", "no connection",
})  # fmt: skip
_KNEE_GAIN = 1.05
_KNEE_SLOWER = 2.0
BOUND_CPU = 0.9
BOUND_LATE_SECONDS = 0.1
_WORTH_SAYING_SECONDS = 0.05


class SecondsMerger:
    """Makes one of what several generators report of the same second. They share one clock and one grid."""

    def __init__(self, generators: int) -> None:
        self._reached = dict.fromkeys(range(generators), -1)
        self._waiting: dict[tuple[int, str, bool], list[tuple[int, LoadSecond]]] = {}

    def add(self, generator: int, second: LoadSecond) -> list[LoadSecond]:
        """Take a report; return the seconds that every generator has now passed, in order."""
        is_late = second.seconds == 0
        self._waiting.setdefault((second.second, second.stage, is_late), []).append((generator, second))
        if not is_late:
            self._reached[generator] = max(self._reached[generator], second.second)
        return self._take()

    def end(self, generator: int) -> list[LoadSecond]:
        """A generator has ended: nobody waits for it any more."""
        self._reached.pop(generator, None)
        return self._take()

    def _take(self) -> list[LoadSecond]:
        ready = [key for key in self._waiting if self._is_ready(key)]
        return [merge_seconds([second for _, second in self._waiting.pop(key)]) for key in ready]

    def _is_ready(self, key: tuple[int, str, bool]) -> bool:
        """Whether every generator that still runs has reported this, or something later."""
        reported = {generator for generator, _ in self._waiting[key]}
        return all(generator in reported or second > key[0] for generator, second in self._reached.items())


def merge_seconds(parts: Sequence[LoadSecond]) -> LoadSecond:
    """Return what several generators did in one second: counts added, the busiest and the latest of them told."""
    errors: Counter[str] = Counter()
    for part in parts:
        errors.update(dict(part.errors))
    return replace(
        parts[0],
        monotonic_seconds=max(part.monotonic_seconds for part in parts),
        seconds=max(part.seconds for part in parts),
        started=sum(part.started for part in parts),
        completed=sum(part.completed for part in parts),
        good=sum(part.good for part in parts),
        dropped=sum(part.dropped for part in parts),
        errors=tuple(sorted(errors.items())),
        in_flight=sum(part.in_flight for part in parts),
        received_bytes=sum(part.received_bytes for part in parts),
        latencies=merge(part.latencies for part in parts),
        generator_cpu=max(part.generator_cpu for part in parts),
        late_seconds=max(part.late_seconds for part in parts),
    )


def describe_second(second: LoadSecond) -> dict[str, Any]:
    """Return a second as the fields of a JSON line; latencies as quantiles."""
    return {
        "stage": second.stage,
        "second": second.second,
        "seconds": second.seconds,
        "started": second.started,
        "completed": second.completed,
        "good": second.good,
        "dropped": second.dropped,
        "errors": dict(second.errors),
        "in_flight": second.in_flight,
        "received_bytes": second.received_bytes,
        "rate": second.completed / second.seconds if second.seconds else 0.0,
        "p50_seconds": quantile(second.latencies, 0.5),
        "p95_seconds": quantile(second.latencies, 0.95),
        "p99_seconds": quantile(second.latencies, 0.99),
        "max_seconds": largest(second.latencies),
        "generator_cpu": second.generator_cpu,
        "late_seconds": second.late_seconds,
    }


def load_point(second: LoadSecond) -> LoadPoint:
    """Return a second for the charts beside the ladder."""
    return LoadPoint(
        monotonic_seconds=second.monotonic_seconds,
        stage=second.stage,
        rate=second.completed / second.seconds if second.seconds else 0.0,
        errors=sum(count for _, count in second.errors),
        p50_seconds=quantile(second.latencies, 0.5),
        p95_seconds=quantile(second.latencies, 0.95),
        p99_seconds=quantile(second.latencies, 0.99),
    )


def assess_load(
    plan: LoadPlan,
    seconds: Sequence[LoadSecond],
    began_at: datetime,
    ended_at: datetime,
    *,
    ended_early: str = "",
    remarks: Sequence[str] = (),
    ladder: Sequence[PoolsSnapshot] = (),
) -> LoadResult:
    """Judge a whole test from its seconds."""
    stages = assess_stages(plan.request, seconds)
    return LoadResult(
        request=plan.request,
        shown_target=plan.shown_target,
        began_at=began_at,
        ended_at=ended_at,
        stages=stages,
        seconds=tuple(seconds),
        knee=find_knee(stages),
        ended_early=ended_early,
        remarks=(*dict.fromkeys(remarks), *_remarks(stages, seconds)),
        ladder=tuple(ladder),
    )


def assess_stages(request: LoadRequest, seconds: Iterable[LoadSecond]) -> tuple[StageResult, ...]:
    """Sum up each stage that was reached."""
    by_stage: dict[str, list[LoadSecond]] = {}
    for second in seconds:
        by_stage.setdefault(second.stage, []).append(second)
    return tuple(assess_stage(stage, by_stage[stage.name]) for stage in request.stages if stage.name in by_stage)


def assess_stage(stage: LoadStage, seconds: Sequence[LoadSecond]) -> StageResult:
    """Sum up one stage. Rates are of its own time; latencies also of what it began and was answered later."""
    whole = merge_seconds(seconds)
    timed = [second for second in seconds if second.seconds]
    lasted = sum(second.seconds for second in timed)
    latencies = whole.latencies
    return StageResult(
        stage=stage,
        seconds=lasted,
        completed=whole.completed,
        good=whole.good,
        dropped=whole.dropped,
        errors=whole.errors,
        rate=sum(second.completed for second in timed) / lasted if lasted else 0.0,
        goodput=sum(second.good for second in timed) / lasted if lasted else 0.0,
        latencies=latencies,
        mean_seconds=mean(latencies),
        p50_seconds=quantile(latencies, 0.5),
        p90_seconds=quantile(latencies, 0.9),
        p95_seconds=quantile(latencies, 0.95),
        p99_seconds=quantile(latencies, 0.99),
        p999_seconds=quantile(latencies, 0.999),
        max_seconds=largest(latencies),
        generator_cpu=sum(second.generator_cpu * second.seconds for second in timed) / lasted if lasted else 0.0,
        is_generator_bound=_is_generator_bound(timed),
    )


def _is_generator_bound(seconds: Sequence[LoadSecond]) -> bool:
    """Whether the generator was at its end, or behind its own schedule, for at least half of the time."""
    bound = [s for s in seconds if s.generator_cpu >= BOUND_CPU or s.late_seconds >= BOUND_LATE_SECONDS]
    return bool(seconds) and 2 * sum(second.seconds for second in bound) >= sum(second.seconds for second in seconds)


def find_knee(stages: Sequence[StageResult]) -> str:
    """Return the first stage that gained less than a twentieth on the best before it while p95 became at least twice
    the best before it; empty: there is none. Answers that are errors are no throughput."""
    best_rate, best_p95 = 0.0, 0.0
    for result in (each for each in stages if not each.stage.is_warm_up):
        rate, p95 = _useful_rate(result), result.p95_seconds
        if best_rate and best_p95 and rate < best_rate * _KNEE_GAIN and (p95 is None or p95 >= best_p95 * _KNEE_SLOWER):
            return result.stage.name
        best_rate = max(best_rate, rate)
        best_p95 = min(best_p95 or float("inf"), p95 or float("inf")) if p95 else best_p95
    return ""


def count_well_answered(result: StageResult) -> int:
    """Return how many requests were answered, and not with an error."""
    return result.completed - sum(count for kind, count in result.errors if kind not in NO_ANSWER)


def _useful_rate(result: StageResult) -> float:
    return result.rate * count_well_answered(result) / result.completed if result.completed else 0.0


def _remarks(stages: Sequence[StageResult], seconds: Sequence[LoadSecond]) -> list[str]:
    remarks = []
    if bound := [each.stage.name for each in stages if each.is_generator_bound]:
        remarks.append(
            f"in {', '.join(bound)} the generator itself was the limit: these figures say what it can do, not what the "
            "target can; use more --processes, or another machine"
        )
    late = max((second.late_seconds for second in seconds), default=0.0)
    if late >= _WORTH_SAYING_SECONDS:
        remarks.append(
            f"the generator was kept from running for up to {late * 1000:.0f} ms: latencies of that size may be its own"
        )
    if dropped := sum(each.dropped for each in stages):
        remarks.append(
            f"{format_count(dropped)} requests were due and never started, because as many as allowed were under way"
        )
    unfinished = sum(dict(each.errors).get("unfinished", 0) for each in stages)
    if unfinished:
        remarks.append(f"{format_count(unfinished)} requests were still without an answer when the test ended")
    return remarks
