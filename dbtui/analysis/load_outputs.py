"""What other load generators print, read into the same result: wrk, oha --json, k6 (summary or JSON lines), pgbench."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from dbtui.analysis.latencies import record_all
from dbtui.analysis.loadtest import assess_stages, find_knee
from dbtui.errors import UsageError
from dbtui.model.loadtest import LoadKind, LoadRequest, LoadResult, LoadSecond, LoadStage, StageResult
from dbtui.model.text import format_untrusted

_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_KNOWN = "give what wrk --latency, oha --json, k6 --summary-export, k6 --out json or pgbench printed"
_LIMITED = "figures are {tool}'s own: it keeps no histogram, so its percentiles cannot be merged with others"
Figures = dict[str, Any]


def parse_load_output(text: str, read_at: datetime) -> LoadResult:
    """Return what a tool measured. `read_at` stands for times that the output does not hold. Raises UsageError."""
    try:
        return _parse(text, read_at)
    except (ValueError, TypeError, OverflowError):
        raise UsageError("this output holds figures that are none", _KNOWN) from None


def _parse(text: str, read_at: datetime) -> LoadResult:
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith("{"):
        return _parse_json(stripped, read_at)
    if "Running " in text and "Requests/sec" in text:
        return _parse_wrk(text, read_at)
    if "transaction type:" in text and "tps =" in text:
        return _parse_pgbench(text, read_at)
    raise UsageError("this is not the output of a load generator that dbtui knows", _KNOWN)


def _parse_json(text: str, read_at: datetime) -> LoadResult:
    first, _, rest = text.partition("\n")
    try:
        if rest.strip() and _is_object(first):
            return _parse_k6_points(text.splitlines())
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(f"this is not JSON: {format_untrusted(str(error), 100)}", _KNOWN) from None
    if isinstance(document, dict) and "latencyPercentiles" in document:
        return _parse_oha(document, read_at)
    if isinstance(document, dict) and isinstance(document.get("metrics"), dict):
        return _parse_k6_summary(document, read_at)
    raise UsageError("this JSON is not of a load generator that dbtui knows", _KNOWN)


def _is_object(line: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except msgspec.DecodeError:
        return False


def _result(
    tool: str, target: str, figures: Figures, read_at: datetime, *, kind: LoadKind = LoadKind.HTTP
) -> LoadResult:  # fmt: skip
    """Return the result of one stage that a tool has summed up itself."""
    seconds, concurrency = float(figures["seconds"]), max(1, int(figures.pop("concurrency", 1)))
    rate = figures.pop("offered_rate", None)
    stage = LoadStage(name=tool, seconds=seconds, concurrency=concurrency, rate=rate)
    request = LoadRequest(kind=kind, target=target, stages=(stage,))
    shown = format_untrusted(target, 300)
    return LoadResult(
        request=request,
        shown_target=shown,
        began_at=read_at,
        ended_at=read_at,
        stages=(StageResult(stage=stage, **figures),),
        remarks=(_LIMITED.format(tool=tool),),
        tool=tool,
    )


# --- wrk ---------------------------------------------------------------------------------------------------------


def _parse_wrk(text: str, read_at: datetime) -> LoadResult:
    target = _find(r"Running .* test @ (\S+)", text) or "?"
    seconds = _seconds(_find(r"requests in ([\d.]+\w+),", text) or _find(r"Running ([\d.]+\w+) test", text))
    completed = int(_find(r"(\d+) requests in", text) or 0)
    shares = {share: _seconds(value) for share, value in re.findall(r"^\s+([\d.]+)%\s+([\d.]+\w+)\s*$", text, re.M)}
    errors: Counter[str] = Counter()
    for kind, count in re.findall(r"(connect|read|write|timeout) (\d+)", _find(r"(Socket errors:.*)", text) or ""):
        errors[{"connect": "refused", "read": "reset", "write": "reset"}.get(kind, kind)] += int(count)
    errors["status 4xx or 5xx"] = int(_find(r"Non-2xx or 3xx responses: (\d+)", text) or 0)
    latency = re.search(r"^\s+Latency\s+([\d.]+\w+)\s+\S+\s+([\d.]+\w+)", text, re.M)
    rate = float(_find(r"Requests/sec:\s+([\d.]+)", text) or 0)
    bad = errors["status 4xx or 5xx"]
    return _result("wrk", target, {
        "seconds": seconds or 0.0,
        "concurrency": int(_find(r"(\d+) connections", text) or 1),
        "completed": completed,
        "good": completed - bad,
        "errors": _listed(errors),
        "rate": rate,
        "goodput": rate * (completed - bad) / completed if completed else 0.0,
        "mean_seconds": _seconds(latency[1]) if latency else None,
        "max_seconds": _seconds(latency[2]) if latency else None,
        "p50_seconds": _quantile(shares, 50),
        "p90_seconds": _quantile(shares, 90),
        "p95_seconds": _quantile(shares, 95),
        "p99_seconds": _quantile(shares, 99),
        "p999_seconds": _quantile(shares, 99.9),
    }, read_at)  # fmt: skip


def _quantile(shares: Mapping[str, float | None], wanted: float) -> float | None:
    return next((value for share, value in shares.items() if abs(float(share) - wanted) < 1e-6), None)


# --- oha ---------------------------------------------------------------------------------------------------------


def _parse_oha(document: Mapping[str, Any], read_at: datetime) -> LoadResult:
    summary, shares = _table(document, "summary"), _table(document, "latencyPercentiles")
    statuses = {str(code): int(count) for code, count in _table(document, "statusCodeDistribution").items()}
    errors: Counter[str] = Counter()
    for code, count in statuses.items():
        if code >= "400":
            errors[f"status {code}"] += count
    for words, count in _table(document, "errorDistribution").items():
        errors[_oha_kind(words)] += int(count)
    completed = sum(statuses.values())
    bad = sum(count for code, count in statuses.items() if code >= "400")
    seconds = _number(summary, "total") or 0.0
    return _result("oha", "?", {
        "seconds": seconds,
        "completed": completed,
        "good": completed - bad,
        "errors": _listed(errors),
        "rate": completed / seconds if seconds else 0.0,
        "goodput": (completed - bad) / seconds if seconds else 0.0,
        "mean_seconds": _number(summary, "average"),
        "max_seconds": _number(summary, "slowest"),
        "p50_seconds": _number(shares, "p50"),
        "p90_seconds": _number(shares, "p90"),
        "p95_seconds": _number(shares, "p95"),
        "p99_seconds": _number(shares, "p99"),
        "p999_seconds": _number(shares, "p99.9"),
    }, read_at)  # fmt: skip


def _oha_kind(words: str) -> str:
    lower = words.lower()
    kinds = (("timeout", "timeout"), ("timed out", "timeout"), ("refused", "refused"), ("reset", "reset"),
             ("closed", "closed"), ("deadline", "unfinished"))  # fmt: skip
    return next((kind for word, kind in kinds if word in lower), format_untrusted(words, 40))


# --- k6 ----------------------------------------------------------------------------------------------------------


def _parse_k6_summary(document: Mapping[str, Any], read_at: datetime) -> LoadResult:
    metrics = document["metrics"]
    times, requests, failed = (_k6_values(metrics, name) for name in
                               ("http_req_duration", "http_reqs", "http_req_failed"))  # fmt: skip
    if not times or not requests:
        raise UsageError("this summary of k6 holds no http_req_duration and http_reqs", "load something by HTTP")
    completed, rate = int(_number(requests, "count") or 0), _number(requests, "rate") or 0.0
    bad = round(completed * (_number(failed, "rate") or _number(failed, "value") or 0.0))
    milliseconds = {name: _number(times, name) for name in ("avg", "max", "med", "p(90)", "p(95)", "p(99)", "p(99.9)")}
    found = {name: value / 1000 if value is not None else None for name, value in milliseconds.items()}
    return _result("k6", "?", {
        "seconds": completed / rate if rate else 0.0,
        "concurrency": int(_number(_k6_values(metrics, "vus_max"), "max", "value") or 1),
        "completed": completed,
        "good": completed - bad,
        "errors": (("failed", bad),) if bad else (),
        "dropped": int(_number(_k6_values(metrics, "dropped_iterations"), "count") or 0),
        "rate": rate,
        "goodput": rate * (completed - bad) / completed if completed else 0.0,
        "mean_seconds": found["avg"],
        "max_seconds": found["max"],
        "p50_seconds": found["med"],
        "p90_seconds": found["p(90)"],
        "p95_seconds": found["p(95)"],
        "p99_seconds": found["p(99)"],
        "p999_seconds": found["p(99.9)"],
    }, read_at)  # fmt: skip


def _k6_values(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A metric's figures: --summary-export has them in it, handleSummary a level deeper."""
    found = metrics.get(name)
    if not isinstance(found, dict):
        return {}
    values = found.get("values")
    return values if isinstance(values, dict) else found


def _parse_k6_points(lines: Iterable[str]) -> LoadResult:
    """Read k6's JSON lines: every request is there, so histogram and seconds can be had."""
    points = list(_k6_points(lines))
    if not points:
        raise UsageError("these JSON lines hold no http_req_duration of k6", _KNOWN)
    began, ended = min(at for at, *_ in points), max(at for at, *_ in points)
    by_second: dict[int, list[tuple[float, str]]] = {}
    for at, taken, kind, _url in points:
        by_second.setdefault(int((at - began).total_seconds()), []).append((taken, kind))
    stage = LoadStage(name="k6", seconds=max(1.0, (ended - began).total_seconds()), concurrency=1)
    target = Counter(url for *_, url in points).most_common(1)[0][0]
    request = LoadRequest(kind=LoadKind.HTTP, target=target, stages=(stage,))
    seconds = tuple(_k6_second(number, by_second[number], began) for number in sorted(by_second))
    stages = assess_stages(request, seconds)
    return LoadResult(
        request=request, shown_target=format_untrusted(target, 300), began_at=began, ended_at=ended, stages=stages,
        seconds=seconds, knee=find_knee(stages), tool="k6",
    )  # fmt: skip


def _k6_points(lines: Iterable[str]) -> Iterator[tuple[datetime, float, str, str]]:
    for number, line in enumerate(lines, 1):
        if '"http_req_duration"' not in line or '"Point"' not in line:
            continue
        try:
            data = msgspec.json.decode(line)["data"]
            at = datetime.fromisoformat(data["time"])
            tags = data.get("tags") or {}
            status = str(tags.get("status", ""))
            kind = f"status {status}" if status >= "400" else "no connection" if status == "0" else ""
            yield at, float(data["value"]) / 1000, kind, str(tags.get("url", "?"))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            raise UsageError(f"line {number} is not a point as k6 writes it", _KNOWN) from None


def _k6_second(number: int, points: Iterable[tuple[float, str]], began: datetime) -> LoadSecond:
    found = list(points)
    errors = Counter(kind for _, kind in found if kind)
    return LoadSecond(
        stage="k6",
        second=number,
        monotonic_seconds=began.timestamp() + number,
        started=len(found),
        completed=len(found) - errors.get("no connection", 0),
        good=len(found) - errors.total(),
        errors=_listed(errors),
        latencies=record_all(seconds for seconds, kind in found if kind != "no connection"),
    )


# --- pgbench -----------------------------------------------------------------------------------------------------


def _parse_pgbench(text: str, read_at: datetime) -> LoadResult:
    completed = int(_find(r"actually processed: (\d+)", text) or 0)
    rate = float(_find(r"tps = ([\d.]+) \((?:without initial|excluding)", text) or _find(r"tps = ([\d.]+)", text) or 0)
    seconds = float(_find(r"duration: (\d+) s", text) or (completed / rate if rate else 0))
    failed = int(_find(r"number of failed transactions: (\d+)", text) or 0)
    mean = _find(r"latency average = ([\d.]+) ms", text)
    kind = _find(r"transaction type: (.+)", text) or "pgbench"
    result = _result("pgbench", kind.strip(), {
        "seconds": seconds,
        "concurrency": int(_find(r"number of clients: (\d+)", text) or 1),
        "completed": completed,
        "good": completed,
        "errors": (("failed", failed),) if failed else (),
        "rate": rate,
        "goodput": rate,
        "mean_seconds": float(mean) / 1000 if mean else None,
    }, read_at, kind=LoadKind.SQL)  # fmt: skip
    return replace(result, seconds=tuple(_pgbench_seconds(text)))


def _pgbench_seconds(text: str) -> Iterator[LoadSecond]:
    """Read the lines of -P: they tell how many, and of latencies only the mean."""
    before = 0.0
    for at_text, rate in re.findall(r"^progress: ([\d.]+) s, ([\d.]+) tps", text, re.M):
        at = float(at_text)
        if at > before:
            count = round(float(rate) * (at - before))
            yield LoadSecond(
                stage="pgbench", second=int(before), monotonic_seconds=at, seconds=at - before, started=count,
                completed=count, good=count,
            )  # fmt: skip
            before = at


# --- words and numbers -------------------------------------------------------------------------------------------


def _find(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None


def _seconds(text: str | None) -> float | None:
    found = re.fullmatch(r"([\d.]+)(us|µs|ms|s|m|h)", text or "")
    return float(found[1]) * _UNITS[found[2]] if found else None


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _number(table: Mapping[str, Any], *names: str) -> float | None:
    found = next((table[name] for name in names if name in table), None)
    return float(found) if isinstance(found, int | float) else None


def _listed(errors: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((kind, count) for kind, count in errors.items() if count))
