"""What it costs an application that its statements are recorded: the caller's CPU time, beside that of a bare engine.

A loop of lazy loads, the kind that is deepest in SQLAlchemy and has the most to be read from, and a loop of short
queries without the ORM. Each statement is run once on an engine that is recorded to a file and once, right before or
after it, on one that nobody listens to, so that a busy machine is as busy for both. What it costs more is the median of
the differences; beside it stands the difference of the quickest tenths. Other programs can only add to either, so the
smaller one is held against the promise.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import sqlalchemy
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from dbtui.demo.servers import PostgreSQL
from dbtui.instrument import record_statements
from dbtui.instrument.recorder import Recorder
from tests import orm_models
from tests.orm_models import Post

PROMISED_MICROSECONDS = 30.0
_ROWS = 100

Step = Callable[[], object]
Loop = Callable[[Engine], AbstractContextManager[list[Step]]]


@contextmanager
def lazy_loads(engine: Engine) -> Iterator[list[Step]]:
    """Loads of the comments of posts, one post after the other."""

    def make_step(post: Post) -> Step:
        return lambda: post.comments

    with Session(engine) as session:
        yield [make_step(post) for post in session.scalars(select(Post).limit(_ROWS))]


@contextmanager
def short_queries(engine: Engine) -> Iterator[list[Step]]:
    """Queries for one row, without the ORM."""
    statement = text("SELECT title FROM post WHERE id = :id")
    with engine.connect() as connection:

        def make_step(number: int) -> Step:
            return lambda: connection.execute(statement, {"id": number}).first()

        yield [make_step(number) for number in range(_ROWS)]


def compare(name: str, loop: Loop, bare: Engine, ours: Engine, repeat: int) -> float:
    """Print what a statement costs on both; returns what a recorded one costs its caller more, in microseconds."""
    taken: tuple[list[int], list[int]] = ([], [])
    for turn in range(repeat + 1):
        with loop(bare) as plain, loop(ours) as recorded:
            for number, steps in enumerate(zip(plain, recorded, strict=True)):
                order = (0, 1) if number % 2 else (1, 0)
                for at in order:
                    began = time.thread_time_ns()
                    steps[at]()
                    if turn:  # the first round fills SQLAlchemy's caches
                        taken[at].append(time.thread_time_ns() - began)
    one, other = (statistics.median(each) / 1000 for each in taken)
    more = statistics.median(b - a for a, b in zip(*taken, strict=True)) / 1000
    quick = [statistics.quantiles(each, n=10)[0] / 1000 for each in taken]
    figures = (one, other, more, (one + more) / one, quick[1] - quick[0])
    print(f"{name:44}", *(f"{figure:9.2f}" for figure in figures), flush=True)
    return min(more, quick[1] - quick[0])


def measure_writer(recorder: Recorder, ours: Engine) -> float:
    """Return microseconds of CPU that the writer's thread takes for one lazy load."""
    assert recorder.flush()
    with lazy_loads(ours) as steps:
        process, thread = time.process_time(), time.thread_time()
        for step in steps:
            step()
        assert recorder.flush()
        return (time.process_time() - process - time.thread_time() + thread) / len(steps) * 1e6


def compare_all(repeat: int) -> list[float]:
    """Print a table for SQLite in memory and for a private PostgreSQL; returns what each loop costs more."""
    header = "microseconds of CPU for one statement"
    columns = ("bare", "recorded", "more", "ratio", "quickest")
    print(f"{header:44}", *(f"{column:>9}" for column in columns))
    costs = []
    with tempfile.TemporaryDirectory(prefix="dbtui-bench-") as directory, PostgreSQL() as server:
        for place, url in (("SQLite", "sqlite://"), ("PostgreSQL", server.url("postgres"))):
            address = sqlalchemy.make_url(url.replace("postgresql://", "postgresql+psycopg2://"))
            bare = _make_engine(address)
            _fill(bare)
            ours = _make_engine(address, bare)
            with record_statements(ours, Path(directory, f"{place}.jsonl")) as recorder:
                costs.append(compare(f"a lazy load, {place}", lazy_loads, bare, ours, repeat))
                costs.append(compare(f"a query without the ORM, {place}", short_queries, bare, ours, repeat))
                print(f"{'the thread that writes':44} {'':9} {measure_writer(recorder, ours):9.2f}")
                print(f"{'statements that did not fit the queue':44} {'':9} {recorder.dropped:9}")
            for engine in (bare, ours):
                engine.dispose()
    return costs


def _make_engine(address: sqlalchemy.URL, twin: Engine | None = None) -> Engine:
    """Return an engine; two on SQLite share the one connection that has the database."""
    if address.get_backend_name() != "sqlite":
        return sqlalchemy.create_engine(address)
    if twin is None:
        return sqlalchemy.create_engine(address, poolclass=StaticPool)
    with twin.connect() as connection:
        raw = connection.connection.dbapi_connection
    return sqlalchemy.create_engine(address, poolclass=StaticPool, creator=lambda: raw)


def _fill(engine: Engine) -> None:
    orm_models.Base.metadata.create_all(engine)
    with Session(engine) as session:
        orm_models.fill(session, _ROWS)
