"""Application pools: all are asked at once, none is waited for longer than agreed, none is believed blindly."""

import json
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.adapters.app_pool.collecting import collect_app_pools
from dbtui.adapters.app_pool.metrics import parse_metrics
from dbtui.adapters.app_pool.parsing import UnreadableError, parse_document
from dbtui.instrument import create_engine, publish_pool
from dbtui.model.pools import AppPool, AppPoolsSnapshot
from tests.adapters.publishers import document, line, publishing, publishing_http

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LIMIT_SECONDS = 0.5


def collect(*places: str) -> AppPoolsSnapshot:
    return collect_app_pools(places, LIMIT_SECONDS, NOW)


# ---------------------------------------------------------------- what is said is understood


def test_a_publisher_is_read(short_directory: Path) -> None:
    with publishing(short_directory / "erp.4711.sock", line(document())) as path:
        found = collect(f"unix://{short_directory}/*.sock")
    assert found.gaps == ()
    (pool,) = found.pools
    assert (pool.source, pool.service, pool.pid, pool.pool) == (str(path), "erp-api", 4711, "erp")
    assert (pool.size, pool.max_overflow, pool.capacity, pool.timeout_seconds) == (5, 10, 15, 30.0)
    assert (pool.checked_out, pool.pending, pool.oldest_pending_seconds, pool.timeouts_total) == (4, 2, 0.25, 1)
    assert (pool.wait.count, pool.wait.seconds, pool.wait.counts[-2:]) == (3, 0.5, (2, 1))
    assert pool.started_at is not None
    assert abs(pool.monotonic_seconds - time.monotonic()) < 5


@pytest.mark.parametrize("is_http", [False, True])
def test_our_own_publisher_is_read(short_directory: Path, is_http: bool) -> None:
    engine = create_engine(f"sqlite:///{short_directory}/pool.db")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    publisher = publish_pool(engine, service="erp-api", directory=short_directory, http_port=port if is_http else None)
    try:
        with engine.connect(), engine.connect():
            place = f"http://127.0.0.1:{port}/metrics" if is_http else f"unix://{publisher.path}"
            found = collect(place)
        assert found.gaps == ()
        (pool,) = found.pools
        assert (pool.service, pool.checked_out, pool.pending) == ("erp-api", 2, 0)
        assert (pool.size, pool.capacity, pool.timeout_seconds) == (5, 15, 30.0)
        assert pool.wait.count == 2
        assert sum(pool.wait.counts) == 2
        assert pool.create.count == 2
    finally:
        publisher.close()
        engine.dispose()


def test_text_of_other_programs_is_read() -> None:
    text = b"""# HELP something else
go_goroutines 7
process_start_time_seconds 1795000000
target_info{service_name="shop \\"x\\"",process_pid="12"} 1
db_client_connection_count{pool_name="main",state="used"} 3
db_client_connection_count{pool_name="main",state="idle"} 2 1795000001
db_client_connection_max{pool_name="main"} 12
db_client_connection_idle_max{pool_name="main"} 10
db_client_connection_pending_requests{pool_name="main"} NaN
db_client_connection_wait_time_seconds_bucket{pool_name="main",le="0.1"} 4
db_client_connection_wait_time_seconds_bucket{pool_name="main",le="+Inf"} 5
db_client_connection_wait_time_seconds_sum{pool_name="main"} 0.75
db_client_connection_wait_time_seconds_count{pool_name="main"} 5
"""
    (pool,) = parse_metrics(text, "http://x/metrics", 1.0)
    assert (pool.service, pool.pid, pool.pool) == ('shop "x"', 12, "main")
    assert (pool.checked_out, pool.checked_in, pool.capacity, pool.pending) == (3, 2, 12, 0)
    assert (pool.wait.count, pool.wait.seconds, pool.wait.counts, pool.wait.bounds) == (5, 0.75, (4, 1), (0.1,))


# ---------------------------------------------------------------- nobody is waited for


def test_many_are_asked_at_once_and_the_silent_are_given_up_together(short_directory: Path) -> None:
    places = [f"unix://{short_directory}/*.sock"]
    with (
        publishing(short_directory / "good.1.sock", line(document())),
        publishing(short_directory / "mute.2.sock", None),
        publishing(short_directory / "mute.3.sock", None),
        publishing(short_directory / "half.4.sock", b'{"version": 1'),
        publishing_http(None) as mute,
    ):
        began = time.monotonic()
        found = collect(*places, mute)
        took = time.monotonic() - began
    assert took < 2 * LIMIT_SECONDS  # one after another they would take three times as long
    assert [pool.service for pool in found.pools] == ["erp-api"]
    assert len([gap for gap in found.gaps if "did not answer within 0.5 seconds" in gap]) == 3
    assert any("half.4.sock" in gap for gap in found.gaps)


def test_a_full_backlog_is_not_waited_for(short_directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(short_directory / "full.1.sock"))
        listening.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(str(short_directory / "full.1.sock"))
        began = time.monotonic()
        found = collect(f"unix://{short_directory}/*.sock")
        assert time.monotonic() - began < LIMIT_SECONDS + 0.15
        assert len(found.gaps) == 1
        for each in waiting:
            each.close()


def test_the_socket_of_a_dead_process(short_directory: Path) -> None:
    code = f"""
import os, socket
s = socket.socket(socket.AF_UNIX); s.bind({str(short_directory / "dead.1.sock")!r}); s.listen(); os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    found = collect(f"unix://{short_directory}/*.sock")
    assert found.pools == ()
    assert "its process has ended" in found.gaps[0]
    assert (short_directory / "dead.1.sock").exists()  # to look is not to remove


def test_many_dead_processes_are_one_sentence(short_directory: Path) -> None:
    for number in range(40):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(short_directory / f"dead.{number:02}.sock"))
    (gap,) = collect(f"unix://{short_directory}/*.sock").gaps
    assert gap.startswith(f"40 sockets from {short_directory}/dead.00.sock to {short_directory}/dead.39.sock: their")


def test_no_socket_a_file_and_a_closed_port(short_directory: Path) -> None:
    (short_directory / "file.sock").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = collect(
        f"unix://{short_directory}/none*.sock",
        f"unix://{short_directory}/none.sock",
        f"unix://{short_directory}/file.sock",
        f"http://127.0.0.1:{port}/metrics",
        "http://no-such-host.invalid:9/metrics",
    )
    assert found.pools == ()
    said = " ".join(found.gaps)
    assert said.count("no process publishes its pools there") == 2
    assert "nothing listens there" in said
    assert "not known here" in said
    assert len(found.gaps) == 5


# ---------------------------------------------------------------- nobody is believed


LIES: list[dict[str, Any]] = [
    {"size": -1}, {"checked_out": -3}, {"checked_out": 10**9}, {"pending": 1.5}, {"pending": "two"}, {"pending": True},
    {"pending": None}, {"timeouts": 2**70}, {"oldest_pending": -1.0}, {"oldest_pending": 1e14}, {"max_overflow": -2},
    {"pool": 7},
    {"wait": {"count": 1, "seconds": 0.1, "counts": [1, 2]}}, {"wait": {"count": -1}}, {"hold": []},
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_what_cannot_be_true_is_a_gap(short_directory: Path, lie: dict[str, Any]) -> None:
    with publishing(short_directory / "lies.1.sock", line(document(**lie))):
        found = collect(f"unix://{short_directory}/*.sock")
    assert found.pools == ()
    (gap,) = found.gaps
    assert gap.startswith(str(short_directory))
    assert gap.isprintable()


@pytest.mark.parametrize("answer", [
    b"\n", b"hello\n", b"[]\n", b'{"version": 2}\n', b'{"version": 1, "error": "no \\u001b[2J"}\n', b"\xff\xfe\n", b"",
    b'{"version": 1, "pools": ' + b"[" * 100_000 + b"\n", b'{"version": 1, "started_at": 1e400}\n',
    line({**document(), "pools": document()["pools"] * 300}), line({**document(), "bounds": [2.0, 1.0]}),
    line(document()).replace(b"0.25", b"NaN"), line(document()).replace(b"0.25", b"Infinity"), b"x" * 1_100_000,
])  # fmt: skip
def test_what_is_no_answer_is_a_gap(short_directory: Path, answer: bytes) -> None:
    with publishing(short_directory / "odd.1.sock", answer):
        found = collect(f"unix://{short_directory}/*.sock")
    assert found.pools == ()
    (gap,) = found.gaps
    assert gap.isprintable()
    assert len(gap) < 600


def test_hostile_text_is_cleaned(short_directory: Path) -> None:
    told = document(pool="[red]\x1b]0;x\x07" + "y" * 500, url="postgresql://u:hunter2@h/\u202edb")
    told["service"] = "a\nb"
    with publishing(short_directory / "text.1.sock", line(told)):
        (pool,) = collect(f"unix://{short_directory}/*.sock").pools
    assert all(text.isprintable() for text in (pool.pool, pool.url, pool.service))
    assert len(pool.pool) <= 120
    assert "hunter2" not in pool.url


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 404 Not \x1b[2J\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nnothing of pools\n", b"SSH-2.0-x\r\n", b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
    b'HTTP/1.1 200 OK\r\n\r\ndb_client_connection_max{pool_name="x"} 5\n',
])  # fmt: skip
def test_an_endpoint_that_is_none_is_a_gap(answer: bytes) -> None:
    with publishing_http(answer) as place:
        found = collect(place)
    assert found.pools == ()
    (gap,) = found.gaps
    assert gap.isprintable()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(document()["pools"][0])), json_values, max_size=3))
def test_whatever_a_pool_says_is_values_or_a_refusal(changes: dict[str, Any]) -> None:
    check(json.dumps(document(**changes)).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_values_or_a_refusal(answer: bytes) -> None:
    check(answer)


def check(answer: bytes) -> None:
    for parse in (parse_document, parse_metrics):
        pools: tuple[AppPool, ...] = ()
        try:
            pools = parse(answer, "s", 1.0)
        except UnreadableError as error:
            assert error.message.isprintable()
        for pool in pools:
            assert min(pool.size, pool.checked_out, pool.pending, pool.overflow, pool.timeouts_total) >= 0
            assert 0 <= pool.oldest_pending_seconds < 1e16
            assert pool.pool.isprintable()
