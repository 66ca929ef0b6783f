"""Stages planned, seconds merged, stages judged, and the knee."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.latencies import record_all
from dbtui.analysis.load_report import describe_result, format_latency, format_markdown
from dbtui.analysis.load_stages import is_private, plan_http_load, plan_sql_load, plan_stages
from dbtui.analysis.load_urls import parse_http_url, pooled_url
from dbtui.analysis.loadtest import SecondsMerger, assess_load, assess_stage, find_knee, merge_seconds
from dbtui.errors import UsageError
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.model.loadtest import LoadKind, LoadRequest, LoadSecond, LoadStage, StageResult

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def result(name: str, rate: float, p95: float | None, **changes: object) -> StageResult:
    stage = LoadStage(name=name, seconds=10, concurrency=1)
    made = StageResult(stage=stage, seconds=10, completed=round(rate * 10), rate=rate, p95_seconds=p95)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stages", "knee"),
    [
        ([("5", 100, 0.01), ("10", 200, 0.01), ("20", 205, 0.03), ("40", 206, 0.06)], "20"),
        ([("5", 100, 0.01), ("10", 103, 0.015), ("20", 104, 0.03)], "20"),
        ([("5", 100, 0.01), ("10", 200, 0.05), ("20", 400, 0.1)], ""),
        ([("5", 100, 0.01), ("10", 100, 0.011)], ""),
        ([("5", 100, 0.01), ("10", 60, 0.5)], "10"),
        ([("5", 100, 0.01), ("10", 0, None)], "10"),
        ([("5", 0, None), ("10", 100, 0.01)], ""),
        ([], ""),
    ],
)
def test_the_knee(stages: list[tuple[str, float, float | None]], knee: str) -> None:
    assert find_knee([result(*each) for each in stages]) == knee


def test_errors_that_come_fast_are_no_throughput() -> None:
    failing = result("10", 5000, 0.05, errors=(("status 503", 49_500),))
    assert find_knee([result("5", 100, 0.01), failing]) == "10"


def test_a_warm_up_is_not_judged() -> None:
    warm = result("warm-up", 900, 0.001)
    warm = replace(warm, stage=replace(warm.stage, is_warm_up=True))
    assert find_knee([warm, result("5", 100, 0.01), result("10", 200, 0.01)]) == ""


def second(number: int, completed: int = 1, **changes: object) -> LoadSecond:
    made = LoadSecond(stage="a", second=number, monotonic_seconds=float(number), completed=completed,
                      latencies=record_all([0.01] * completed))  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_second_is_told_when_every_generator_has_passed_it() -> None:
    merger = SecondsMerger(2)
    assert merger.add(0, second(0, 3, errors=(("reset", 1),))) == []
    assert merger.add(0, second(1, 5)) == []
    (told,) = merger.add(1, second(0, 4, errors=(("reset", 2), ("closed", 1)), generator_cpu=0.5))
    assert (told.completed, told.errors, told.generator_cpu) == (7, (("closed", 1), ("reset", 3)), 0.5)
    assert told.latencies.count == 7
    (rest,) = merger.end(1)
    assert rest.completed == 5
    assert merger.end(0) == []


def test_who_ends_first_is_waited_with() -> None:
    merger = SecondsMerger(2)
    assert merger.add(0, second(0, 3)) == []
    assert merger.end(0) == []
    (told,) = merger.add(1, second(0, 4))
    assert told.completed == 7


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=40))
def test_nothing_is_lost_by_merging(reports: list[tuple[int, int]]) -> None:
    merger, numbers, told = SecondsMerger(3), [0, 0, 0], []
    for generator, completed in reports:
        told += merger.add(generator, second(numbers[generator], completed))
        numbers[generator] += 1
    for generator in range(3):
        told += merger.end(generator)
    assert sum(each.completed for each in told) == sum(completed for _, completed in reports)
    assert len({each.second for each in told}) == len(told)


def test_what_came_late_counts_for_latencies_and_not_for_rates() -> None:
    late = second(1, 2, seconds=0.0)
    judged = assess_stage(LoadStage(name="a", seconds=2, concurrency=1), [second(0, 10), second(1, 20), late])
    assert (judged.rate, judged.completed, judged.latencies.count, judged.seconds) == (15.0, 32, 32, 2.0)


def test_the_generator_says_when_it_is_the_limit() -> None:
    request = LoadRequest(kind=LoadKind.HTTP, target="x", stages=(LoadStage(name="a", seconds=3, concurrency=1),))
    plan = plan_http_load(request, "x", "h", "127.0.0.1")
    calm = [second(0, generator_cpu=0.5), second(1, generator_cpu=0.95), second(2)]
    assert not assess_load(plan, calm, NOW, NOW).stages[0].is_generator_bound
    busy = [second(0, generator_cpu=0.97), second(1, generator_cpu=0.95), second(2)]
    judged = assess_load(plan, busy, NOW, NOW)
    assert judged.stages[0].is_generator_bound
    assert "the generator itself was the limit" in judged.remarks[0]
    late = [second(0, late_seconds=0.3), second(1, late_seconds=0.2), second(2)]
    judged = assess_load(plan, late, NOW, NOW)
    assert judged.stages[0].is_generator_bound
    assert "up to 300 ms" in judged.remarks[1]


def test_merging_nothing_but_one_changes_nothing() -> None:
    assert merge_seconds([second(3, 4)]) == second(3, 4)


# --- stages and targets ------------------------------------------------------------------------------------------


def test_stages_of_both_models() -> None:
    closed = plan_stages(LoadKind.HTTP, duration_seconds=5, warm_up_seconds=2, concurrencies=[5, 5, 10])
    assert [stage.name for stage in closed] == ["warm-up", "5 clients", "5 clients (2)", "10 clients"]
    assert [stage.is_warm_up for stage in closed] == [True, False, False, False]
    opened = plan_stages(LoadKind.SQL, duration_seconds=5, rates=[10, 20.5])
    assert [(stage.name, stage.rate, stage.concurrency) for stage in opened] == [("10/s", 10, 20), ("20.5/s", 20.5, 20)]


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("10.1.2.3", True), ("172.16.0.1", True),
        ("172.32.0.1", False), ("192.168.1.1", True), ("192.169.1.1", False), ("fd00::1", True),
        ("fe80::1%eth0", False), ("8.8.8.8", False), ("169.254.169.254", False), ("0.0.0.0", False),
        ("100.64.0.1", False),
        ("::ffff:10.0.0.1", True), ("::ffff:8.8.8.8", False), ("2001:db8::1", False), ("/run/postgresql", True),
    ],
)  # fmt: skip
def test_what_is_a_network_of_ones_own(address: str, private: bool) -> None:
    assert is_private(address) is private


def profile(**changes: object) -> ConnectionProfile:
    made = ConnectionProfile(
        name="erp", engine=EngineName.POSTGRESQL, url="postgresql://erp@db1:5432/erp?sslmode=require"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_production_wants_its_name_and_a_public_server_its_host() -> None:
    request = LoadRequest(kind=LoadKind.SQL, target="erp", stages=())
    inside = plan_sql_load(request, profile(), "db1", "10.0.0.1", is_through_pooler=False)
    assert (inside.confirm, inside.warnings) == ("", ())
    outside = plan_sql_load(request, profile(), "db1", "8.8.8.8", is_through_pooler=False)
    assert outside.confirm == "db1"
    production = profile(environment=Environment.PRODUCTION)
    assert plan_sql_load(request, production, "db1", "8.8.8.8", is_through_pooler=False).confirm == "erp"


def test_own_statements_of_a_read_only_profile_do_not_go_through_a_pooler() -> None:
    own = LoadRequest(kind=LoadKind.SQL, target="erp", stages=(), statements=("DELETE FROM t",), is_pooled=True)
    refused = plan_sql_load(own, profile(read_only=True), "db1", "10.0.0.1", is_through_pooler=True)
    assert "read-only" in refused.refusals[0]
    built_in = replace(own, statements=())
    assert not plan_sql_load(built_in, profile(read_only=True), "db1", "10.0.0.1", is_through_pooler=True).refusals


def test_the_way_through_the_pooler_keeps_login_and_database() -> None:
    pooler = profile(pgbouncer_url="postgresql://stats@pool:6432/pgbouncer")
    assert pooled_url(pooler) == "postgresql://erp@pool:6432/erp"


@pytest.mark.parametrize(
    ("url", "shown", "resource"),
    [
        ("http://h", "http://h/", "/"),
        ("https://h:443/a?b=1#c", "https://h/a?b=1", "/a?b=1"),
        ("http://me:pw@h:81/x?api_key=1&y=2", "http://h:81/x?api_key=***&y=2", "/x?api_key=1&y=2"),
        ("http://[::1]:80/ä", "http://[::1]/%C3%A4", "/%C3%A4"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/", "/"),
    ],
)
def test_urls(url: str, shown: str, resource: str) -> None:
    parsed = parse_http_url(url)
    assert (parsed.shown, parsed.resource) == (shown, resource)


@pytest.mark.parametrize("url", ["", "h:80", "file:///etc/passwd", "http://", "http://h/a b", "http://h/\r\nX: y"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        parse_http_url(url)


# --- reports -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0000841, "84.1 µs"), (0.00421, "4.21 ms"), (0.0999, "99.9 ms"), (0.99949, "999 ms"),
     (0.9996, "1.00 s"), (1.3, "1.30 s"), (123.4, "123 s")],
)  # fmt: skip
def test_latencies_are_shown_in_three_digits(seconds: float | None, text: str) -> None:
    assert format_latency(seconds) == text


def test_a_report_escapes_foreign_text_and_hides_headers() -> None:
    stages = tuple(LoadStage(name=name, seconds=1, concurrency=1) for name in ("a", "b"))
    request = LoadRequest(
        kind=LoadKind.HTTP, target="x", stages=stages, headers=(("Authorization", "hush"),), body="hush"
    )
    plan = plan_http_load(request, "http://h/|<b>\x1b[31m", "h", "127.0.0.1")
    seconds = [second(0), second(1), second(2, stage="b", errors=(("<script>|", 3),))]
    judged = assess_load(plan, seconds, NOW, NOW)
    report = format_markdown(judged)
    assert "hush" not in report + str(describe_result(judged))
    assert "\x1b" not in report
    assert "<script>" not in report
    assert "\\<script\\>\\|" in report
    assert report.count("\n| ") == 4
