"""The pool that keeps count: exact under threads, the same behaviour as the plain one."""

import asyncio
import gc
import logging
import random
import threading
from bisect import bisect_left
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from dbtui.instrument import create_async_engine, create_engine
from dbtui.instrument.histogram import Histogram, Tally
from dbtui.instrument.metered_pool import MeteredAsyncQueuePool, MeteredQueuePool, metered_class
from dbtui.model.pools import BUCKETS_SECONDS, AppPool
from tests.instrument.reading import run_threads, wait_until

TEMPLATE = AppPool(source="s", service="erp", pid=1, pool="p")


def pool_of(engine: Engine) -> MeteredQueuePool:
    assert isinstance(engine.pool, MeteredQueuePool)
    return engine.pool


def state_of(engine: Engine) -> AppPool:
    state = pool_of(engine).meter.read(TEMPLATE)
    assert state is not None
    return state


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db"


# --- histograms ----------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=1e6), max_size=2000))
def test_every_duration_is_in_the_bucket_whose_bound_it_does_not_exceed(durations: list[float]) -> None:
    histogram = Histogram()
    for seconds in durations:
        histogram.add(seconds)
    timing = histogram.read()
    assert timing.count == sum(timing.counts) == len(durations)
    assert timing.seconds == pytest.approx(sum(durations))
    for index in range(len(BUCKETS_SECONDS)):
        within = sum(seconds <= BUCKETS_SECONDS[index] for seconds in durations)
        assert sum(timing.counts[: index + 1]) == within


def test_forty_threads_add_up_exactly_while_somebody_reads() -> None:
    histogram, tally, each = Histogram(), Tally(), 5000
    stop = threading.Event()
    seen: list[int] = []

    def read_on() -> None:
        while not stop.is_set():
            seen.append(histogram.read().count)

    def add_many(number: int) -> None:
        for _ in range(each):
            histogram.add(0.5 + number)
            tally.add_one()

    reader = threading.Thread(target=read_on)
    reader.start()
    run_threads(40, add_many)
    stop.set()
    reader.join()
    timing = histogram.read()
    assert timing.count == tally.total == 40 * each
    assert timing.seconds == pytest.approx(sum(0.5 + number for number in range(40)) * each)
    assert timing.counts[bisect_left(BUCKETS_SECONDS, 0.5)] == each
    assert seen == sorted(seen)


def test_a_finalizer_in_the_middle_of_a_reading_does_not_lock_it_up() -> None:
    histogram = Histogram()

    class Cyclic:
        def __del__(self) -> None:
            for _ in range(1000):
                histogram.add(1.0)

    for _ in range(200):
        one = Cyclic()
        one.self = one  # type: ignore[attr-defined]
        del one
        histogram.read()
    gc.collect()
    assert histogram.read().count == 200_000


# --- counting ------------------------------------------------------------------------------------------------


def test_forty_threads_on_a_small_pool_are_counted_exactly(url: str) -> None:
    engine = create_engine(url, pool_size=3, max_overflow=4, pool_pre_ping=False)
    each = 200

    def work(_: int) -> None:
        for _ in range(each):
            with engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")

    run_threads(40, work)
    state = state_of(engine)
    assert state.wait.count == state.hold.count == 40 * each
    assert state.abandoned.count == state.timeouts_total == state.pending == state.checked_out == 0
    assert state.checked_in == 3
    assert state.create.count == state.closed_total + state.checked_in
    engine.dispose()
    assert state_of(engine).closed_total == state.create.count


def test_waiting_is_what_the_queue_has_waiting(url: str) -> None:
    engine = create_engine(url, pool_size=2, max_overflow=1, pool_timeout=30)
    held = [engine.connect() for _ in range(3)]
    began = perf_counter()
    threads = [threading.Thread(target=lambda: engine.connect().close()) for _ in range(12)]
    for thread in threads:
        thread.start()
    waiters = pool_of(engine)._pool.not_empty._waiters  # type: ignore[attr-defined]
    wait_until(lambda: len(waiters) == 12)
    state = state_of(engine)
    assert (state.pending, state.checked_out, state.checked_in, state.overflow) == (12, 3, 0, 1)
    assert 0 < state.oldest_pending_seconds <= perf_counter() - began
    for connection in held:
        connection.close()
    for thread in threads:
        thread.join()
    state = state_of(engine)
    assert (state.pending, state.oldest_pending_seconds, state.checked_out) == (0, 0.0, 0)
    assert state.wait.count == 15
    engine.dispose()


def test_making_and_testing_a_connection_is_use_of_the_pool_and_not_waiting_for_it(url: str) -> None:
    engine = create_engine(url, pool_size=1, max_overflow=0)
    gate = threading.Event()
    entered = threading.Semaphore(0)

    def stall(*_: object) -> None:
        entered.release()
        assert gate.wait(20)

    def use_twice() -> None:
        for _ in range(2):
            engine.connect().close()

    event.listen(engine, "do_connect", stall)
    thread = threading.Thread(target=use_twice)
    thread.start()
    assert entered.acquire(timeout=20)
    other = threading.Thread(target=lambda: engine.connect().close())
    other.start()
    wait_until(lambda: state_of(engine).pending == 1)
    began = perf_counter()
    wait_until(lambda: perf_counter() - began > 0.1)
    state = state_of(engine)
    assert (state.pending, state.connecting, state.checked_out) == (1, 1, 1)
    assert state.oldest_connecting_seconds >= state.oldest_pending_seconds > 0.1
    gate.set()
    thread.join()
    other.join()
    state = state_of(engine)
    assert (state.wait.count, state.hold.count, state.connecting, state.pending) == (3, 3, 0, 0)
    assert state.hold.seconds > 0.1
    assert sum(state.wait.counts[: bisect_left(BUCKETS_SECONDS, 0.05)]) == 2  # the first did not wait for the pool
    engine.dispose()


def test_a_ping_that_waits_in_the_pooler_is_use_of_the_pool(url: str) -> None:
    engine = create_engine(url, pool_size=1, max_overflow=0)
    engine.connect().close()
    seen: list[AppPool] = []
    noted = engine.dialect.do_ping

    def look_then_ping(connection: object) -> bool:
        answer = noted(connection)  # type: ignore[arg-type]
        seen.append(state_of(engine))
        return answer

    engine.dialect.do_ping = look_then_ping  # type: ignore[method-assign, assignment]
    engine.connect().close()
    assert [(each.pending, each.connecting, each.checked_out) for each in seen] == [(0, 1, 1)]
    assert state_of(engine).connecting == 0
    engine.dispose()


def test_who_gives_up_is_counted_apart(url: str) -> None:
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    with engine.connect():
        for _ in range(3):
            with pytest.raises(PoolTimeout):
                engine.connect()
    state = state_of(engine)
    assert (state.timeouts_total, state.abandoned.count, state.wait.count, state.pending) == (3, 3, 1, 0)
    assert 0.15 <= state.abandoned.seconds < 5
    engine.dispose()


def test_a_server_that_is_not_there_is_no_timeout(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/none/a.db")
    with pytest.raises(DBAPIError):
        engine.connect()
    state = state_of(engine)
    assert (state.abandoned.count, state.timeouts_total, state.create.count, state.checked_out) == (1, 0, 0, 0)


def test_holding_ends_when_a_connection_comes_back_in_any_way(url: str) -> None:
    engine = create_engine(url, pool_size=2, max_overflow=0)
    engine.connect().close()
    invalid = engine.connect()
    invalid.invalidate()
    invalid.close()
    raw = engine.raw_connection()
    raw.detach()
    raw.close()
    lost = engine.raw_connection()
    del lost
    gc.collect()
    state = state_of(engine)
    assert state.wait.count == state.hold.count == 4
    assert (state.checked_out, state.invalidated_total, state.closed_total) == (0, 1, 2)
    engine.dispose()


def test_the_counts_outlast_the_pool(url: str) -> None:
    engine = create_engine(url, pool_size=2)
    before = engine.pool
    outside = engine.connect()
    engine.connect().close()
    engine.dispose()
    assert engine.pool is not before
    engine.connect().close()
    outside.close()
    engine.dispose()
    engine.connect().close()
    state = state_of(engine)
    assert state.wait.count == state.hold.count == 4
    assert (state.size, state.checked_in, state.checked_out) == (2, 1, 0)
    engine.dispose()
    before.dispose()


def test_a_pool_without_limit_says_so(url: str) -> None:
    engine = create_engine(url, pool_size=0, max_overflow=5)
    with engine.connect():
        state = state_of(engine)
    assert (state.size, state.max_overflow, state.capacity, state.checked_out) == (0, -1, None, 1)
    engine.dispose()


def test_a_pool_that_is_gone_tells_nothing(url: str) -> None:
    engine = create_engine(url)
    meter = pool_of(engine).meter
    del engine
    gc.collect()
    assert meter.read(TEMPLATE) is None


# --- behaviour -----------------------------------------------------------------------------------------------


class FakeConnection:
    """Enough of a driver's connection for a pool."""

    def close(self) -> None:
        pass

    def rollback(self) -> None:
        pass


@pytest.mark.parametrize("needs_record", [False, True])
def test_a_creator_is_called_as_sqlalchemy_calls_it(needs_record: bool) -> None:
    seen: list[object] = []

    def plain(*, option: int = 3) -> FakeConnection:
        seen.append(option)
        return FakeConnection()

    def with_record(record: object) -> FakeConnection:
        seen.append(record)
        return FakeConnection()

    pool = MeteredQueuePool(with_record if needs_record else plain)
    pool.connect().close()
    assert len(seen) == 1
    assert (seen[0] != 3) is needs_record
    assert MeteredQueuePool(FakeConnection).connect().is_valid


def test_listeners_of_the_application_are_heard_and_may_refuse(url: str) -> None:
    engine = create_engine(url)
    calls: list[str] = []

    @event.listens_for(engine, "checkout")
    def refuse_once(_connection: object, _record: object, _proxy: object) -> None:
        calls.append("checkout")
        if len(calls) == 1:
            raise DisconnectionError("not this one")

    engine.connect().close()
    state = state_of(engine)
    assert calls == ["checkout", "checkout"]
    assert (state.wait.count, state.hold.count, state.invalidated_total, state.create.count) == (1, 1, 1, 2)
    engine.dispose()


def test_it_logs_where_the_plain_pool_does(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "sqlalchemy.pool"):
        engine = create_engine(url)
        engine.connect().close()
        engine.dispose()
    assert {each.name for each in caplog.records} == {"sqlalchemy.pool.impl.QueuePool"}


def test_there_is_one_class_for_each() -> None:
    assert metered_class(QueuePool) is MeteredQueuePool
    assert metered_class(MeteredAsyncQueuePool) is MeteredAsyncQueuePool
    own = type("Own", (QueuePool,), {})
    assert metered_class(own) is metered_class(own)
    assert metered_class(own).__name__ == "MeteredOwn"


async def test_asyncio_waits_are_counted_and_cancelling_them_too(url: str) -> None:
    engine = create_async_engine(
        url.replace("sqlite", "sqlite+aiosqlite"), pool_size=2, max_overflow=0, pool_timeout=20
    )
    meter = pool_of(engine.sync_engine).meter

    async def use() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            await asyncio.sleep(random.random() / 100)

    held = [await engine.connect().start() for _ in range(2)]
    tasks = [asyncio.create_task(use()) for _ in range(10)]
    while len(meter.pending) < 10:
        await asyncio.sleep(0.001)
    state = state_of(engine.sync_engine)
    assert (state.pending, state.checked_out) == (10, 2)
    for task in tasks[:3]:
        task.cancel()
    for connection in held:
        await connection.close()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(each, asyncio.CancelledError) for each in done) == 3
    state = state_of(engine.sync_engine)
    assert (state.wait.count, state.hold.count, state.abandoned.count, state.timeouts_total) == (9, 9, 3, 0)
    assert (state.pending, state.checked_out, state.checked_in) == (0, 0, 2)
    await engine.dispose()


async def test_an_asyncio_pool_that_is_full_times_out(url: str) -> None:
    engine = create_async_engine(
        url.replace("sqlite", "sqlite+aiosqlite"), pool_size=1, max_overflow=0, pool_timeout=0.05
    )
    async with engine.connect():
        with pytest.raises(PoolTimeout):
            await engine.connect().start()
    state = state_of(engine.sync_engine)
    assert (state.timeouts_total, state.abandoned.count, state.pending) == (1, 1, 0)
    await engine.dispose()


def test_littles_law_holds_through_a_real_pooler(pgbouncer_database: str) -> None:
    """L = λW over a window: connections in use, and who waits for one, by counts and by looking often."""
    engine = create_engine(pgbouncer_database, pool_size=3, max_overflow=2, pool_timeout=20)
    stop = threading.Event()
    used: list[int] = []
    waiting: list[int] = []

    def work(_: int) -> None:
        while not stop.is_set():
            with engine.connect() as connection:
                connection.execute(text("SELECT pg_sleep(0.01)"))

    def look() -> None:
        while not stop.wait(0.005):
            state = state_of(engine)
            used.append(state.checked_out)
            waiting.append(state.pending)

    looker = threading.Thread(target=look)
    ender = threading.Timer(3.0, stop.set)
    began = perf_counter()
    looker.start()
    ender.start()
    run_threads(15, work)
    elapsed = perf_counter() - began
    looker.join()
    state = state_of(engine)
    engine.dispose()
    assert state.wait.count == state.hold.count > 100
    assert state.hold.seconds / elapsed == pytest.approx(sum(used) / len(used), rel=0.15)
    assert state.wait.seconds / elapsed == pytest.approx(sum(waiting) / len(waiting), rel=0.15)
    assert 8 <= state.wait.seconds / elapsed <= 12
