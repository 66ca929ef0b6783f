"""What it costs an application that its pool keeps count and that its statements are recorded.

A checkout and checkin beside those of a bare QueuePool: both pools make connections that do nothing, so that only the
pools are measured; rounds alternate. Then the same while twenty readers ask every second, with more threads than
connections, and through SQLAlchemy to a real server. Then statements, see `recording`. Exits with 1 when a checkout or
a statement costs more than promised.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import sqlalchemy
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from dbtui.demo.servers import PostgreSQL
from dbtui.instrument import publish_pool
from dbtui.instrument.metered_pool import MeteredQueuePool
from dbtui.instrument.publisher import Publisher
from tests.benchmarks import recording
from tests.instrument.reading import ask

PROMISED_MICROSECONDS = 15.0
READERS = 20


class Connection:
    """A connection that does nothing."""

    def close(self) -> None:
        """Nothing to close."""

    def rollback(self) -> None:
        """Nothing to undo."""


def microseconds_each(pool: QueuePool, rounds: int, threads: int) -> float:
    """How long a checkout and checkin take, in a loop on so many threads."""

    def loop() -> None:
        for _ in range(rounds // threads):
            pool.connect().close()

    running = [threading.Thread(target=loop) for _ in range(threads)]
    began = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return (time.perf_counter() - began) / rounds * 1e6


def compare(name: str, measure: Callable[[QueuePool], float], bare: QueuePool, ours: QueuePool, repeat: int) -> float:
    """Print both in turns; returns the median of what ours costs more, in microseconds."""
    pairs = [(measure(bare), measure(ours)) for _ in range(repeat)]
    plain, metered = (statistics.median(each) for each in zip(*pairs, strict=True))
    more = statistics.median(b - a for a, b in pairs)
    print(f"{name:44} {plain:9.2f} {metered:9.2f} {more:9.2f} {metered / plain:7.2f}", flush=True)
    return more


@contextmanager
def readers(path: Path) -> Iterator[None]:
    """Twenty readers, each of whom asks once a second."""
    stop = threading.Event()

    def read_on(first: float) -> None:
        stop.wait(first)
        while not stop.wait(1.0):
            ask(path)

    threads = [threading.Thread(target=read_on, args=(n / READERS,)) for n in range(READERS)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


def microseconds_of_answers(publisher: Publisher, rounds: int) -> float:
    """How long a reading of the pools takes in the application's interpreter."""
    began = time.perf_counter()
    for _ in range(rounds):
        publisher.collect(began)
    return (time.perf_counter() - began) / rounds * 1e6


def compare_on_a_server(rounds: int, repeat: int) -> float:
    """The same with a query of one row between checkout and checkin, through SQLAlchemy, on a private server."""

    def measure(engine: sqlalchemy.Engine) -> float:
        statement = text("SELECT 1")
        began = time.perf_counter()
        for _ in range(rounds):
            with engine.connect() as connection:
                connection.execute(statement)
        return (time.perf_counter() - began) / rounds * 1e6

    with PostgreSQL() as server:
        url = server.url().replace("postgresql://", "postgresql+psycopg2://")
        engines = {each: sqlalchemy.create_engine(url, poolclass=each) for each in (QueuePool, MeteredQueuePool)}
        pools = {engine.pool: engine for engine in engines.values()}
        bare, ours = pools
        more = compare(
            "a query of one row on PostgreSQL",
            lambda pool: measure(pools[pool]),
            bare,  # type: ignore[arg-type]
            ours,  # type: ignore[arg-type]
            repeat,
        )
        for engine in engines.values():
            engine.dispose()
    return more


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 when the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40_000)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--mb", help="for other benchmarks")
    asked = parser.parse_args(arguments)
    bare, ours = QueuePool(Connection), MeteredQueuePool(Connection)  # type: ignore[arg-type]
    print(f"{'microseconds for one checkout and checkin':44} {'bare':>9} {'metered':>9} {'more':>9} {'ratio':>7}")
    costs = []
    for threads in (1, 4, 40):
        name = f"{threads} thread{'s' if threads > 1 else ''} on 5 + 10 connections"
        measure = partial(microseconds_each, rounds=asked.rounds, threads=threads)
        costs.append(compare(name, measure, bare, ours, asked.repeat))
    with tempfile.TemporaryDirectory(prefix="dbtui-bench-") as directory:
        engine = sqlalchemy.create_engine("sqlite:////nowhere", pool=ours)
        with closing(publish_pool(engine, "bench", directory=directory)) as publisher:
            print(f"{'a reading for one who asks':44} {'':9} {microseconds_of_answers(publisher, 2000):9.2f}")
            with readers(publisher.path):
                name = f"1 thread, {READERS} readers a second"
                measure = partial(microseconds_each, rounds=asked.rounds, threads=1)
                costs.append(compare(name, measure, bare, ours, asked.repeat))
    compare_on_a_server(asked.rounds // 20, asked.repeat)
    kept = max(costs[0], costs[-1]) <= PROMISED_MICROSECONDS
    print(f"promised {PROMISED_MICROSECONDS:g} microseconds a checkout: {'kept' if kept else 'broken'}")
    recorded = max(recording.compare_all(asked.repeat * 10)) <= recording.PROMISED_MICROSECONDS
    promise = f"promised {recording.PROMISED_MICROSECONDS:g} microseconds of the caller's CPU time a statement"
    print(f"{promise}: {'kept' if recorded else 'broken'}")
    return 0 if kept and recorded else 1


if __name__ == "__main__":
    sys.exit(main())
