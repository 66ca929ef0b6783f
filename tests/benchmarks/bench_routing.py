"""What it costs to route reads: beside a plain Session on the same replica, in turns, on real servers.

A transaction of one read and one of twenty, as wall time and as the caller's own CPU time; a write with its commit,
which asks for its position; and a read right after a commit, which waits until its replica has it. Exits with 1 when a
statement costs more, or such a read takes longer, than promised.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from dbtui.demo.servers import PostgreSQL
from dbtui.instrument import ReadWriteSession, ReplicaSet

PROMISED_MICROSECONDS = 20.0
PROMISED_MILLISECONDS = 10.0
MANY = 20


class Base(DeclarativeBase):
    """The tables of this benchmark."""


class Item(Base):
    """One row."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


Maker = Callable[[], Session]
Clock = Callable[[], float]


def seconds_each(make: Maker, reads: int, clock: Clock) -> float:
    """The seconds that a transaction of so many reads takes."""
    began = clock()
    with make() as session:
        for number in range(reads):
            session.scalars(select(Item).where(Item.id == number)).one()
    return clock() - began


def compare(
    name: str, plain: Callable[[], float], ours: Callable[[], float], rounds: int, statements: int = 1
) -> float:
    """Do both in turns and print their medians; returns what ours costs more, in microseconds a statement."""
    pairs = [(plain(), ours()) for _ in range(max(9, rounds))]
    bare, routed = (float(statistics.median(each)) * 1e6 / statements for each in zip(*pairs, strict=True))
    print(f"{name:46} {bare:9.1f} {routed:9.1f} {routed - bare:9.1f} {routed / bare:7.2f}", flush=True)
    return routed - bare


def compare_reads(bare: Maker, ours: Maker, rounds: int) -> float:
    """Reads on one replica; returns what a statement costs more in CPU time, the transaction's own cost apart."""
    more: dict[int, float] = {}
    for reads in (1, MANY):
        for name, clock in (("wall", time.perf_counter), ("CPU", time.thread_time)):
            measure = partial(seconds_each, reads=reads, clock=clock)
            words = f"a read, {reads} in a transaction, {name} time"
            more[reads] = compare(words, partial(measure, bare), partial(measure, ours), rounds // reads, reads)
    each = (more[MANY] * MANY - more[1]) / (MANY - 1)
    print(f"{'so that a statement costs':46} {'':9} {'':9} {each:9.1f}")
    print(f"{'and the rest of a transaction':46} {'':9} {'':9} {more[1] - each:9.1f}")
    return each


def compare_writes(bare: Maker, ours: Maker, rounds: int) -> None:
    """A change and its commit on the primary."""

    def write(make: Maker) -> float:
        began = time.perf_counter()
        with make() as session:
            session.add(Item(name="new"))
            session.commit()
        return time.perf_counter() - began

    compare("an insert and its commit, wall time", partial(write, bare), partial(write, ours), rounds)


def reads_after_writes(ours: Maker, rounds: int) -> list[float]:
    """The sorted seconds that reads took which followed a commit; fails when one did not see it."""
    taken = []
    for number in range(rounds):
        with ours() as session:
            item = Item(name=f"{number}")
            session.add(item)
            session.flush()
            key = item.id
            session.commit()
            began = time.perf_counter()
            found = session.scalars(select(Item.name).where(Item.id == key)).one()
            taken.append(time.perf_counter() - began)
            assert found == f"{number}"
    return sorted(taken)


@contextmanager
def world() -> Iterator[tuple[Engine, Engine]]:
    """The engines of a primary, whose commits are on disk when they return, and of its replica."""
    with PostgreSQL(config=["synchronous_commit = on"]) as server:
        replica = server.add_replica()
        url = "postgresql+psycopg2" + server.url("postgres").removeprefix("postgresql")
        primary, reading = create_engine(url), create_engine(url.replace(f":{server.port}/", f":{replica.port}/"))
        Base.metadata.create_all(primary)
        with Session(primary) as session:
            session.add_all(Item(id=number, name=str(number)) for number in range(MANY))
            session.connection().exec_driver_sql("ALTER SEQUENCE items_id_seq RESTART 1000")
            session.commit()
        yield primary, reading
        primary.dispose()
        reading.dispose()


def main() -> int:
    """Run everything; returns the exit code."""
    parser = argparse.ArgumentParser(prog="routing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4000)
    asked = parser.parse_args()
    with world() as (primary, reading), ReplicaSet(primary, [reading], wait_seconds=5.0) as replicas:

        def ours() -> Session:
            return ReadWriteSession(replicas=replicas)

        replicas.wait_for_looks()
        assert reads_after_writes(ours, 1)  # the replica has everything now
        print(f"{'microseconds':46} {'plain':>9} {'routed':>9} {'more':>9} {'ratio':>7}")
        cost = compare_reads(partial(Session, reading), ours, asked.rounds)
        compare_writes(partial(Session, primary), ours, asked.rounds // 4)
        plain = sorted(seconds_each(partial(Session, reading), 1, time.perf_counter) for _ in range(asked.rounds // 4))
        taken = reads_after_writes(ours, asked.rounds // 4)
    for name, each in (("a read", plain), ("a read right after a commit, which it sees", taken)):
        at = [each[int(len(each) * part)] * 1e3 for part in (0.5, 0.95, 0.99)]
        print(f"{name:46} p50 {at[0]:.2f} ms, p95 {at[1]:.2f} ms, p99 {at[2]:.2f} ms")
    cheap = cost <= PROMISED_MICROSECONDS
    prompt = taken[int(len(taken) * 0.95)] * 1e3 <= PROMISED_MILLISECONDS
    print(f"promised {PROMISED_MICROSECONDS:g} microseconds of CPU time a statement: {'kept' if cheap else 'broken'}")
    print(f"promised p95 of {PROMISED_MILLISECONDS:g} ms right after a commit: {'kept' if prompt else 'broken'}")
    return 0 if cheap and prompt else 1


if __name__ == "__main__":
    sys.exit(main())
