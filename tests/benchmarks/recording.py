"""What it costs an application that its statements are recorded: the caller's CPU time, beside that of a bare engine.

A loop of lazy loads, the kind that is deepest in SQLAlchemy and has the most to be read from, and a loop of short
queries without the ORM. Short rounds alternate between an engine that is recorded to a file and one that nobody listens
to; the quickest tenth of them is compared, for which other programs left the processor alone, and the median is shown.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from dbtui.demo.servers import PostgreSQL
from dbtui.instrument import record_statements
from tests import orm_models
from tests.orm_models import Post

PROMISED_MICROSECONDS = 30.0
_ROWS = 100

Loop = Callable[[Engine], int]


def load_lazily(engine: Engine) -> int:
    """Go through posts and their comments; returns how many statements that were."""
    with Session(engine) as session:
        posts = session.scalars(select(Post).limit(_ROWS)).all()
        for post in posts:
            _ = post.comments
    return len(posts) + 1


def query_shortly(engine: Engine) -> int:
    """Ask for one row, again and again, without the ORM."""
    statement = text("SELECT title FROM post WHERE id = :id")
    with engine.connect() as connection:
        for number in range(_ROWS):
            connection.execute(statement, {"id": number}).first()
    return _ROWS


def measure(loop: Loop, engine: Engine) -> tuple[float, float]:
    """Return microseconds of CPU for one statement: of the thread that runs it, and of the process."""
    thread, process = time.thread_time(), time.process_time()
    count = loop(engine)
    return (time.thread_time() - thread) / count * 1e6, (time.process_time() - process) / count * 1e6


def compare(name: str, loop: Loop, bare: Engine, ours: Engine, repeat: int) -> float:
    """Print both in turns; returns what a recorded statement costs its caller more, in microseconds."""
    rounds: dict[Engine, list[tuple[float, float]]] = {bare: [], ours: []}
    for engine in rounds:
        loop(engine)
    for turn in range(repeat):
        for engine in (bare, ours) if turn % 2 else (ours, bare):
            rounds[engine].append(measure(loop, engine))
    callers, processes = ([[each[at] for each in taken] for taken in rounds.values()] for at in (0, 1))
    plain, recorded = map(quickest_tenth, callers)
    whole = quickest_tenth(processes[1]) - quickest_tenth(processes[0])
    median = statistics.median(callers[1]) - statistics.median(callers[0])
    figures = (plain, recorded, recorded - plain, recorded / plain, median, whole)
    print(f"{name:44}", *(f"{figure:9.2f}" for figure in figures), flush=True)
    return recorded - plain


def quickest_tenth(taken: list[float]) -> float:
    """Return the time that a tenth of the rounds stayed below."""
    return statistics.quantiles(taken, n=10)[0]


def compare_all(repeat: int) -> list[float]:
    """Print a table for SQLite in memory and for a private PostgreSQL; returns what each loop costs more."""
    header = "microseconds of CPU for one statement"
    columns = ("bare", "recorded", "more", "ratio", "median", "+ writer")
    print(f"{header:44}", *(f"{column:>9}" for column in columns))
    costs = []
    with tempfile.TemporaryDirectory(prefix="dbtui-bench-") as directory, PostgreSQL() as server:
        for place, url in (("SQLite", "sqlite://"), ("PostgreSQL", server.url("postgres"))):
            address = sqlalchemy.make_url(url.replace("postgresql://", "postgresql+psycopg2://"))
            bare = _make_engine(address)
            _fill(bare)
            ours = _make_engine(address, bare)
            with record_statements(ours, Path(directory, f"{place}.jsonl")) as recorder:
                costs.append(compare(f"a lazy load, {place}", load_lazily, bare, ours, repeat))
                costs.append(compare(f"a query without the ORM, {place}", query_shortly, bare, ours, repeat))
                print(f"{'statements that did not fit the queue':44} {recorder.dropped:9}")
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
