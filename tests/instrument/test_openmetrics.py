"""OpenMetrics text, read by somebody else's parser."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from dbtui.instrument.openmetrics import format_metrics
from dbtui.model.pools import BUCKETS_SECONDS, AppPool, Timing

COUNTS = (*range(len(BUCKETS_SECONDS)), 7)
TIMING = Timing(sum(COUNTS), 12.5, COUNTS)
EMPTY = Timing(0, 0.0, (0,) * len(COUNTS))
STARTED = 1_795_392_160.97
POOL = AppPool(
    source="s", service="erp", pid=7, pool="erp", size=5, max_overflow=10, timeout_seconds=30.0, checked_in=2,
    checked_out=7, overflow=4, pending=3, oldest_pending_seconds=1.5, wait=TIMING, abandoned=EMPTY, hold=TIMING,
    create=TIMING, timeouts_total=9, invalidated_total=1, closed_total=11,
)  # fmt: skip


def samples_of(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        yield from family.samples


def values_of(text: str, **labels: str) -> dict[str, float]:
    return {each.name: each.value for each in samples_of(text) if labels.items() <= each.labels.items()}


def test_a_strict_parser_finds_every_value() -> None:
    text = format_metrics("erp-api", 7, STARTED, [POOL])
    assert text.endswith("\n# EOF\n")
    found = values_of(text, db_client_connection_pool_name="erp")
    expected = {
        "db_client_connection_idle_max": 5,
        "db_client_connection_max": 15,
        "db_client_connection_pending_requests": 3,
        "db_client_connection_timeouts_total": 9,
        "db_client_connection_wait_time_seconds_count": TIMING.count,
        "db_client_connection_wait_time_seconds_sum": 12.5,
        "db_client_connection_use_time_seconds_count": TIMING.count,
        "db_client_connection_create_time_seconds_count": TIMING.count,
        "dbtui_connection_oldest_pending_seconds": 1.5,
        "dbtui_connection_timeout_seconds": 30,
        "dbtui_connection_overflow": 4,
        "dbtui_connection_invalidated_total": 1,
        "dbtui_connection_closed_total": 11,
        "dbtui_connection_abandoned_time_seconds_count": 0,
    }
    assert {name: found[name] for name in expected} == expected
    assert values_of(text, state="idle") == {"db_client_connection_count": 2}
    assert values_of(text, state="used") == {"db_client_connection_count": 7}
    assert values_of(text, service_name="erp-api", process_pid="7") == {"target_info": 1}


def test_buckets_are_cumulative() -> None:
    text = format_metrics("erp-api", 7, STARTED, [POOL])
    buckets = [each for each in samples_of(text) if each.name == "db_client_connection_wait_time_seconds_bucket"]
    assert [float(each.labels["le"]) for each in buckets] == [*BUCKETS_SECONDS, float("inf")]
    assert [each.value for each in buckets] == [sum(COUNTS[: n + 1]) for n in range(len(COUNTS))]


def test_pools_are_told_apart_and_no_limit_is_no_number() -> None:
    endless = replace(POOL, pool="endless", size=0, max_overflow=-1, timeout_seconds=None)
    text = format_metrics("erp-api", 7, STARTED, [POOL, endless])
    found = values_of(text, db_client_connection_pool_name="endless")
    assert "db_client_connection_max" not in found
    assert "db_client_connection_idle_max" not in found
    assert found["db_client_connection_pending_requests"] == 3
    assert values_of(text, db_client_connection_pool_name="erp")["db_client_connection_max"] == 15


@pytest.mark.parametrize("name", ['a"b', "back\\slash", "new\nline", "naïve {x=1}", ""])
def test_names_are_quoted(name: str) -> None:
    text = format_metrics("erp-api", 7, STARTED, [replace(POOL, pool=name)])
    assert values_of(text, db_client_connection_pool_name=name)["db_client_connection_max"] == 15


def test_no_pools_are_no_error() -> None:
    assert values_of(format_metrics("erp-api", 7, STARTED, [])) == {
        "target_info": 1, "process_start_time_seconds": STARTED,
    }  # fmt: skip
