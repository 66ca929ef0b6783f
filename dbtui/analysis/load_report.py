"""A load test's result as a JSON document, as lines for people, and as Markdown with charts drawn in text."""

from collections.abc import Sequence
from typing import Any

from dbtui.analysis.latencies import quantile
from dbtui.analysis.loadtest import describe_second
from dbtui.model.loadtest import LoadKind, LoadRequest, LoadResult, LoadSecond, StageResult
from dbtui.model.text import format_count, format_untrusted

_BARS = " ▁▂▃▄▅▆▇█"
_CHART_CELLS = 72
_BAR_CELLS = 40
HEADINGS = ("STAGE", "SECONDS", "RATE/S", "GOOD/S", "ERRORS", "MEAN", "P50", "P90", "P95", "P99", "P99.9", "MAX")


def format_latency(seconds: float | None) -> str:
    """Return a latency with three digits and the unit that fits: `84.1 µs`, `4.21 ms`, `1.30 s`. None: `-`."""
    if seconds is None:
        return "-"
    for factor, unit in ((1e6, "µs"), (1e3, "ms"), (1.0, "s")):
        value = seconds * factor
        if value < 999.5 or unit == "s":
            break
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {unit}"


def format_rate(rate: float) -> str:
    """Return a rate without more digits than matter."""
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}"


def stage_cells(result: StageResult) -> tuple[str, ...]:
    """Return a stage as the cells of a table with `HEADINGS`."""
    errors = sum(count for _, count in result.errors)
    latencies = (
        result.mean_seconds, result.p50_seconds, result.p90_seconds, result.p95_seconds, result.p99_seconds,
        result.p999_seconds, result.max_seconds,
    )  # fmt: skip
    return (
        format_untrusted(result.stage.name),
        f"{result.seconds:.1f}",
        format_rate(result.rate),
        format_rate(result.goodput),
        format_count(errors),
        *map(format_latency, latencies),
    )


def conclusions(result: LoadResult) -> list[str]:
    """Return what there is to say besides the figures, a sentence each."""
    said = []
    if result.knee:
        said.append(f"knee: {result.knee} (less than 5 % more throughput than before, while p95 at least doubled)")
    errors: dict[str, int] = {}
    for stage in result.stages:
        for kind, count in stage.errors:
            errors[kind] = errors.get(kind, 0) + count
    if errors:
        listed = ", ".join(f"{kind} × {count}" for kind, count in sorted(errors.items(), key=lambda each: -each[1]))
        said.append(f"errors: {listed}")
    if result.ended_early:
        said.append(f"ended before its time: {result.ended_early}")
    return [format_untrusted(line) for line in (*said, *result.remarks)]


def describe_request(request: LoadRequest) -> dict[str, Any]:
    """Return what was asked for, without what headers and body say."""
    return {
        "kind": request.kind,
        "stages": request.stages,
        "slo_seconds": request.slo_seconds,
        "most": request.most,
        "timeout_seconds": request.timeout_seconds,
        "processes": request.processes,
        "method": request.method if request.kind is LoadKind.HTTP else None,
        "headers": [name for name, _ in request.headers],
        "statements": request.statements,
        "path": request.path if request.kind is LoadKind.SQL else None,
        "is_pooled": request.is_pooled,
    }


def describe_result(result: LoadResult, *, with_seconds: bool = True) -> dict[str, Any]:
    """Return a result as the fields of a JSON document. The stages' histograms are whole: they can be merged."""
    described: dict[str, Any] = {
        "tool": result.tool,
        "target": result.shown_target,
        "request": describe_request(result.request),
        "began_at": result.began_at,
        "ended_at": result.ended_at,
        "knee": result.knee,
        "ended_early": result.ended_early,
        "remarks": result.remarks,
        "stages": [_describe_stage(stage) for stage in result.stages],
    }
    if with_seconds:
        described["seconds"] = [describe_second(second) for second in result.seconds if second.seconds]
    return described


def _describe_stage(result: StageResult) -> dict[str, Any]:
    fields = (
        "seconds", "completed", "good", "dropped", "rate", "goodput", "mean_seconds", "p50_seconds", "p90_seconds",
        "p95_seconds", "p99_seconds", "p999_seconds", "max_seconds", "generator_cpu", "is_generator_bound",
    )  # fmt: skip
    return {
        "stage": result.stage.name,
        "concurrency": result.stage.concurrency,
        "offered_rate": result.stage.rate,
        "is_warm_up": result.stage.is_warm_up,
        "errors": dict(result.errors),
        **{name: getattr(result, name) for name in fields},
        "latencies": result.latencies.pairs,
    }


def format_markdown(result: LoadResult) -> str:
    """Return a report to keep or to send."""
    request = result.request
    lines = [
        f"# Load test of {_escape(result.shown_target)}",
        "",
        f"- began {result.began_at:%Y-%m-%d %H:%M:%S} UTC, ended {result.ended_at:%Y-%m-%d %H:%M:%S} UTC",
        f"- measured by {result.tool}, {_model(request)}",
    ]
    if request.slo_seconds is not None:
        lines.append(f"- an answer is good without an error and within {format_latency(request.slo_seconds)}")
    lines += [f"- {_escape(line)}" for line in conclusions(result)]
    lines += ["", _row(HEADINGS), _row(["---", *["---:"] * (len(HEADINGS) - 1)])]
    lines += [_row([_escape(cell) for cell in stage_cells(stage)]) for stage in result.stages]
    charts = format_charts(result)
    if charts:
        lines += ["", "```text", *charts, "```"]
    lines += [
        "",
        "Latencies count from the moment a request was meant to start. They come from a histogram whose values are off "
        "by at most 0.4 %. They hold every answer, and what was given up after the time limit.",
    ] if result.tool == "dbtui" else []  # fmt: skip
    return "\n".join(lines) + "\n"


def _model(request: LoadRequest) -> str:
    if any(stage.rate for stage in request.stages):
        return "open model: requests start when they are due, whether or not earlier ones were answered"
    return "closed model: each client asks again when it has its answer"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    """Foreign text must not turn into a table's border, a link or a tag."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return format_untrusted(text)


def format_charts(result: LoadResult) -> list[str]:
    """Return charts in text: throughput and p95 by stage, and both over time with the stages' beginnings."""
    lines: list[str] = []
    stages = [stage for stage in result.stages if not stage.stage.is_warm_up]
    if len(stages) > 1:
        width = max(len(stage.stage.name) for stage in stages)
        most_rate = max(stage.rate for stage in stages) or 1.0
        most_p95 = max(stage.p95_seconds or 0.0 for stage in stages) or 1.0
        lines.append("answers a second, by stage")
        lines += [_bar(s.stage.name, width, s.rate / most_rate, format_rate(s.rate), s, result) for s in stages]
        lines += ["", "p95, by stage"]
        lines += [
            _bar(s.stage.name, width, (s.p95_seconds or 0) / most_p95, format_latency(s.p95_seconds), s, result)
            for s in stages
        ]
    seconds = [second for second in result.seconds if second.seconds]
    if len(seconds) > 2:
        lines += ["", *_timeline(seconds)] if lines else _timeline(seconds)
    return lines


def _bar(name: str, width: int, share: float, text: str, stage: StageResult, result: LoadResult) -> str:
    mark = "  ← knee" if stage.stage.name == result.knee else ""
    cells = round(share * _BAR_CELLS)
    return f"{format_untrusted(name):<{width}}  {'█' * cells}{'░' * (_BAR_CELLS - cells)}  {text}{mark}"


def _timeline(seconds: Sequence[LoadSecond]) -> list[str]:
    """Draw seconds as columns; where there are more than fit, a column shows the worst or the mean of several."""
    step = -(-len(seconds) // _CHART_CELLS)
    groups = [seconds[start : start + step] for start in range(0, len(seconds), step)]
    rates = [sum(s.completed for s in group) / (sum(s.seconds for s in group) or 1) for group in groups]
    p95s = [max(quantile(s.latencies, 0.95) or 0.0 for s in group) for group in groups]
    errors = [float(sum(count for s in group for _, count in s.errors)) for group in groups]
    marks = ""
    before = ""
    for group in groups:
        marks += "│" if group[0].stage != before else " "
        before = group[0].stage
    lines = [
        f"over time, a column is {step} s, │ begins a stage",
        f"           {marks}",
        f"answers/s  {_sparkline(rates)}  up to {format_rate(max(rates))}",
    ]
    if any(p95s):
        lines.append(f"p95        {_sparkline(p95s)}  up to {format_latency(max(p95s))}")
    if any(errors):
        lines.append(f"errors     {_sparkline(errors)}  up to {format_count(round(max(errors)))}")
    return lines


def _sparkline(values: Sequence[float]) -> str:
    most = max(values) or 1.0
    return "".join(_BARS[0 if value <= 0 else max(1, round(value / most * 8))] for value in values)
