"""A laboratory for pools: PgBouncer before a real server, clients that behave as told, the ladder judged meanwhile."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from typing import Self

import psycopg2
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.pgbouncer.console import Console
from dbtui.adapters.pgbouncer.snapshot import collect_pooler
from dbtui.analysis.pools import Track, advance
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.instrument import create_engine
from dbtui.instrument.metered_pool import MeteredQueuePool
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.ladders import LadderAssessment, TierReading
from dbtui.model.pools import (
    AppPool,
    AppPoolsSnapshot,
    PoolerPool,
    PoolsSnapshot,
    ServerHolder,
    ServerPool,
    ServerState,
    Tier,
)
from tests.fix_servers import unique_name, wait_until

SESSIONS = """
SELECT application_name, coalesce(host(client_addr), ''), usename, state,
       wait_event_type, count(*), max(extract(epoch FROM clock_timestamp() - state_change))
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1, 2, 3, 4, 5"""


@dataclass
class Seen:
    """What a stretch of looks saw."""

    assessments: list[LadderAssessment] = field(default_factory=list)
    snapshots: list[PoolsSnapshot] = field(default_factory=list)

    @property
    def last(self) -> LadderAssessment:
        """The last judgement."""
        return self.assessments[-1]

    def tier(self, tier: Tier) -> TierReading:
        """A tier in the last judgement."""
        reading = self.last.tier(tier)
        assert reading is not None
        return reading

    def mean(self, value: Callable[[LadderAssessment], float]) -> float:
        """The mean of something over the judgements."""
        return fmean(value(each) for each in self.assessments)

    def mean_waiting(self, tier: Tier) -> float:
        """How many waited in a tier on average."""
        return fmean(next(each.waiting for each in one.tiers if each.tier is tier) for one in self.assessments)


class Crowd:
    """Threads that use an engine until they are told to stop. What they are refused is counted by kind."""

    def __init__(self, engine: Engine, threads: int, work: Callable[[Engine], None]) -> None:
        self.refusals: dict[str, int] = {}
        self._engine, self._work = engine, work
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._work(self._engine)
            except PoolTimeout:
                self._count("pool timeout")
            except DBAPIError as error:
                self._count(str(error.orig))
                self._ended.wait(0.1)

    def _count(self, kind: str) -> None:
        self.refusals[kind] = self.refusals.get(kind, 0) + 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads)


def sleep_in_server(seconds: float) -> Callable[[Engine], None]:
    """A transaction that takes so long."""
    statement = text(f"SELECT pg_sleep({seconds})")

    def work(engine: Engine) -> None:
        with engine.connect() as connection:
            connection.execute(statement)
            connection.commit()

    return work


class PoolLab:
    """A PgBouncer of its own before a shared server, a console that is held, engines, and one track."""

    def __init__(self, server: PostgreSQL, settings: dict[str, str]) -> None:
        self._scopes = ExitStack()
        self.server = server
        pooler = PgBouncer(server, name=unique_name("bouncer"), settings=settings)
        self.pooler = self._scopes.enter_context(pooler)
        self.database = unique_name("lab")
        server.execute(f'CREATE DATABASE "{self.database}" TEMPLATE template0')
        self._scopes.callback(server.execute, f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')
        self._engines: list[Engine] = []
        self._templates: list[AppPool] = []
        self.console = self._open_console()
        self._sessions = psycopg2.connect(server.url(self.database))
        self._sessions.autocommit = True
        self._scopes.callback(self._sessions.close)
        self.track = Track()

    def _open_console(self) -> Console:
        url = f"postgresql://{PgBouncer.admin_user}@127.0.0.1:{self.pooler.port}/pgbouncer"
        profile = ConnectionProfile(name="lab", engine=EngineName.POSTGRESQL, url=url)
        console = Console(profile, Secret(self.pooler.password), Cancellation(), {})
        self._scopes.callback(console.close)
        return console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for engine in self._engines:
            engine.dispose()
        self._scopes.close()

    def engine(self, service: str = "lab", *, size: int = 5, overflow: int = 10, timeout: float = 30.0) -> Engine:
        """An instrumented engine through PgBouncer. Without pre-ping, which waits for a server of its own."""
        engine = create_engine(
            self.pooler.url(self.database),
            service=service,
            pool_size=size,
            max_overflow=overflow,
            pool_timeout=timeout,
            pool_pre_ping=False,
        )
        engine.connect().close()  # SQLAlchemy asks a server what it is once, and everybody waits for that
        self._engines.append(engine)
        self._templates.append(AppPool(source=service, service=service, pid=os.getpid(), pool="default"))
        return engine

    def order(self, command: str) -> None:
        """Give PgBouncer an order, on a connection of its own."""
        connection = psycopg2.connect(self.pooler.console_url(PgBouncer.admin_user))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(command)
        connection.close()

    def restart_pooler(self) -> None:
        """End PgBouncer and start it again on the same port; the console is another one."""
        self.console.close()
        self.pooler.stop()
        self.pooler.launch()
        self.pooler.wait_until_ready()
        self.console = self._open_console()

    def pool(self) -> PoolerPool:
        """The pool of the laboratory's database, now."""
        pools = collect_pooler(self.console, datetime.now(UTC)).pools
        return next((each for each in pools if each.database == self.database), PoolerPool(database="", user=""))

    # ------------------------------------------------------------ looking

    def look(self) -> PoolsSnapshot:
        """One look at every tier."""
        now = datetime.now(UTC)
        pooler = collect_pooler(self.console, now)
        return PoolsSnapshot(
            profile="lab",
            taken_at=now,
            monotonic_seconds=time.monotonic(),
            app=self._look_at_app(now),
            pooler=pooler,
            server=self._look_at_server(now),
        )

    def watch(self, seconds: float, every: float = 0.5) -> Seen:
        """Look again and again, judging each time."""
        seen, pause = Seen(), threading.Event()
        end = time.monotonic() + seconds
        due = time.monotonic()
        while due < end:
            snapshot = self.look()
            self.track, assessment = advance(self.track, snapshot)
            seen.snapshots.append(snapshot)
            seen.assessments.append(assessment)
            due += every
            pause.wait(max(0.0, due - time.monotonic()))
        return seen

    def wait_for_waiting(self, count: int) -> None:
        """Wait until so many clients wait in PgBouncer."""
        wait_until(lambda: self.pool().cl_waiting >= count)

    def _look_at_app(self, now: datetime) -> AppPoolsSnapshot:
        pools = []
        for engine, template in zip(self._engines, self._templates, strict=True):
            assert isinstance(engine.pool, MeteredQueuePool)
            pool = engine.pool.meter.read(template)
            assert pool is not None
            pools.append(pool)
        return AppPoolsSnapshot(taken_at=now, monotonic_seconds=time.monotonic(), pools=tuple(pools))

    def _look_at_server(self, now: datetime) -> ServerPool:
        with self._sessions.cursor() as cursor:
            cursor.execute(SESSIONS)
            rows = cursor.fetchall()
        holders = tuple(
            ServerHolder(
                application=row[0], client=row[1], user=row[2], state=_state(row[3], row[4]), count=row[5],
                oldest_seconds=float(row[6] or 0.0),
            )
            for row in rows
        )  # fmt: skip
        used = 1 + sum(holder.count for holder in holders)
        return ServerPool(
            taken_at=now, monotonic_seconds=time.monotonic(), slots=97, used=used, holders=holders, is_local=True
        )


def _state(state: str, wait: str | None) -> ServerState:
    if state == "active":
        waits = {None: ServerState.ON_CPU, "Lock": ServerState.LOCK, "IO": ServerState.IO}
        return waits.get(wait, ServerState.OTHER_WAIT)
    return ServerState.IDLE_IN_TRANSACTION if state.startswith("idle in transaction") else ServerState.IDLE


@contextmanager
def open_lab(server: PostgreSQL, **settings: str) -> Iterator[PoolLab]:
    """A laboratory whose PgBouncer has 8 servers for a pool, unless told otherwise."""
    with PoolLab(server, {"default_pool_size": "8", "max_client_conn": "500", **settings}) as lab:
        yield lab
