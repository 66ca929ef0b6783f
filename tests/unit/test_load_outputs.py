"""The output of other load generators, as they print it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.load_outputs import parse_load_output
from dbtui.analysis.load_report import format_charts, format_markdown, stage_cells
from dbtui.errors import UsageError
from dbtui.model.loadtest import LoadKind, LoadResult, StageResult

NOW = datetime(2026, 3, 4, tzinfo=UTC)

WRK = """Running 30s test @ http://127.0.0.1:8080/index.html
  2 threads and 100 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   565.95us    1.06ms   1.20s    85.96%
    Req/Sec    62.45k     9.32k   74.61k    60.00%
  Latency Distribution
     50%   22.00us
     75%  632.00us
     90%    2.11ms
     99%    4.75ms
  624990 requests in 30.10s, 95.40MB read
  Socket errors: connect 3, read 4, write 5, timeout 6
  Non-2xx or 3xx responses: 24990
Requests/sec:  20763.79
Transfer/sec:      3.17MB
"""
PGBENCH = """pgbench (15.18 (Debian 15.18-0+deb12u1))
progress: 1.0 s, 27991.9 tps, lat 0.065 ms stddev 0.416, 0 failed
progress: 2.0 s, 28991.9 tps, lat 0.065 ms stddev 0.416, 0 failed
progress: 3.0 s, 12991.9 tps, lat 0.085 ms stddev 0.416, 2 failed
transaction type: <builtin: select only>
scaling factor: 1
query mode: simple
number of clients: 8
number of threads: 1
maximum number of tries: 1
duration: 3 s
number of transactions actually processed: 69975
number of failed transactions: 2 (0.003%)
latency average = 0.265 ms
latency stddev = 0.416 ms
initial connection time = 28.437 ms
tps = 23325.966745 (without initial connection time)
"""
OHA = {
    "summary": {"successRate": 0.9, "total": 2.0, "slowest": 0.5, "fastest": 0.001, "average": 0.02,
                "requestsPerSec": 52.5, "totalData": 1, "sizePerRequest": 1, "sizePerSec": 1.0},
    "responseTimeHistogram": {"0.001": 1},
    "latencyPercentiles": {"p10": 0.001, "p25": 0.002, "p50": 0.01, "p75": 0.02, "p90": 0.05, "p95": 0.06, "p99": 0.2,
                           "p99.9": 0.4, "p99.99": 0.5},
    "statusCodeDistribution": {"200": 90, "503": 10},
    "errorDistribution": {"Connection refused (os error 111)": 3, "aborted due to deadline": 2},
}  # fmt: skip
K6 = {
    "http_req_duration": {"avg": 20.0, "min": 1.0, "med": 15.0, "max": 500.0, "p(90)": 40.0, "p(95)": 60.0},
    "http_reqs": {"count": 1000, "rate": 50.0},
    "http_req_failed": {"passes": 10, "fails": 990, "value": 0.01},
    "vus_max": {"value": 20, "min": 20, "max": 20},
    "dropped_iterations": {"count": 7, "rate": 0.35},
}
ALL = (WRK, PGBENCH, json.dumps(OHA), json.dumps({"metrics": K6}))


def only_stage(text: str) -> tuple[LoadResult, StageResult]:
    result = parse_load_output(text, NOW)
    (stage,) = result.stages
    assert len(stage_cells(stage)) == 12
    assert format_markdown(result).startswith("# Load test of ")
    return result, stage


def test_wrk() -> None:
    result, stage = only_stage(WRK)
    assert (result.tool, result.shown_target) == ("wrk", "http://127.0.0.1:8080/index.html")
    assert (stage.completed, stage.good, stage.rate, stage.stage.concurrency) == (624990, 600000, 20763.79, 100)
    assert stage.goodput == pytest.approx(20763.79 * 600000 / 624990)
    assert stage.seconds == pytest.approx(30.1)
    assert stage.p50_seconds == pytest.approx(22e-6)
    assert stage.p90_seconds == pytest.approx(0.00211)
    assert stage.p95_seconds is None
    assert stage.p99_seconds == pytest.approx(0.00475)
    assert stage.max_seconds == pytest.approx(1.2)
    assert dict(stage.errors) == {"refused": 3, "reset": 9, "timeout": 6, "status 4xx or 5xx": 24990}


def test_pgbench() -> None:
    result, stage = only_stage(PGBENCH)
    assert (result.request.kind, stage.stage.concurrency, stage.completed) == (LoadKind.SQL, 8, 69975)
    assert stage.rate == pytest.approx(23325.966745)
    assert stage.mean_seconds == pytest.approx(0.000265)
    assert dict(stage.errors) == {"failed": 2}
    assert [second.completed for second in result.seconds] == [27992, 28992, 12992]
    assert any("answers/s" in line for line in format_charts(result))


def test_oha() -> None:
    _, stage = only_stage(json.dumps(OHA))
    assert (stage.completed, stage.good, stage.rate, stage.goodput) == (100, 90, 50.0, 45.0)
    assert dict(stage.errors) == {"status 503": 10, "refused": 3, "unfinished": 2}
    assert (stage.p50_seconds, stage.p999_seconds, stage.max_seconds) == (0.01, 0.4, 0.5)


@pytest.mark.parametrize("is_deep", [False, True], ids=["--summary-export", "handleSummary"])
def test_a_summary_of_k6(is_deep: bool) -> None:
    metrics = {name: {"type": "x", "values": values} for name, values in K6.items()} if is_deep else K6
    if is_deep:
        metrics["http_req_failed"] = {"values": {"rate": 0.01, "passes": 10, "fails": 990}}
    _, stage = only_stage(json.dumps({"metrics": metrics}, indent=2))
    assert (stage.completed, stage.good, stage.rate, stage.seconds, stage.dropped) == (1000, 990, 50.0, 20.0, 7)
    assert (stage.p50_seconds, stage.p95_seconds, stage.max_seconds) == (0.015, 0.06, 0.5)
    assert stage.p99_seconds is None


def test_points_of_k6() -> None:
    lines = [json.dumps({"type": "Metric", "data": {"type": "trend"}, "metric": "http_req_duration"})]
    for number in range(300):
        status = "503" if number % 10 == 0 else "200"
        tags = {"status": status, "url": "http://h/x", "method": "GET"}
        data = {
            "time": f"2026-03-04T10:00:0{number // 100}.{number % 100:02}5Z",
            "value": 10 + number % 100,
            "tags": tags,
        }
        lines.append(json.dumps({"type": "Point", "data": data, "metric": "http_req_duration"}))
        lines.append(json.dumps({"type": "Point", "data": {**data, "value": 1}, "metric": "http_reqs"}))
    result, stage = only_stage("\n".join(lines))
    assert (stage.completed, stage.good, dict(stage.errors)) == (300, 270, {"status 503": 30})
    assert result.shown_target == "http://h/x"
    assert stage.p95_seconds == pytest.approx(0.104, rel=0.01)
    assert [second.completed for second in result.seconds] == [100, 100, 100]


@pytest.mark.parametrize(
    "text",
    ["", "hello", "Running 1s test @ x\n1 requests in 1s, x\nRequests/sec: 1.2.3\n",
     "{}", '{"metrics": {}}', "{broken", '{"a": 1}\n{"b": 2}', "[1]",
     '{"x": 1}\n{"type":"Point","data":{"time":"yesterday","value":1},"metric":"http_req_duration"}'],
)  # fmt: skip
def test_what_is_none_of_these_is_said(text: str) -> None:
    with pytest.raises(UsageError):
        parse_load_output(text, NOW)


@settings(deadline=None)
@given(
    st.text(max_size=300),
    st.sampled_from([WRK, PGBENCH, json.dumps(OHA), json.dumps({"metrics": K6})]),
    st.integers(0, 400),
)
def test_damaged_output_is_read_or_refused(noise: str, text: str, cut: int) -> None:
    for damaged in (text[:cut] + noise, noise + text, text[:cut] + noise + text[cut:]):
        try:
            parse_load_output(damaged, NOW)
        except UsageError:
            continue
