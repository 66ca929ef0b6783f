"""A laboratory for pools: PgBouncer before a real server, clients that behave as told, the ladder judged meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Self

import psycopg2
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dbtui.adapters.app_pool.collecting import collect_app_pools
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.machine import collect_host
from dbtui.adapters.pgbouncer.console import Console
from dbtui.adapters.pgbouncer.snapshot import collect_pooler
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.pools import collect_server_pool
from dbtui.analysis.pools import Track, advance
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.instrument import create_engine, publish_pool
from dbtui.instrument.publisher import Publisher
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.ladders import LadderAssessment, TierReading
from dbtui.model.pools import (
    PoolerPool,
    PoolsSnapshot,
    Tier,
)
from dbtui.routines.consoles import open_console
from dbtui.routines.context import RoutineContext
from tests.fix_servers import unique_name, wait_until


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
        self._publishers: list[Publisher] = []
        self._directory = self._scopes.enter_context(TemporaryDirectory(prefix="lab"))
        self.sockets = f"unix://{self._directory}/*.sock"
        self.console = self._open_console()
        self._target = self._open_target()
        self.track = Track()

    def _open_console(self) -> Console:
        console = open_console(RoutineContext(), self.profile())
        self._scopes.callback(console.close)
        return console

    def _open_target(self) -> PostgresqlTarget:
        target = PostgresqlTarget(self.profile(), Secret(self.server.password), Cancellation(), {})
        self._scopes.callback(target.close)
        return target

    def profile(self) -> ConnectionProfile:
        """What an operator would have configured."""
        user = self.server.superuser
        return ConnectionProfile(
            name="lab",
            engine=EngineName.POSTGRESQL,
            url=f"postgresql://{user}@127.0.0.1:{self.server.port}/{self.database}",
            pgbouncer_url=f"postgresql://{PgBouncer.admin_user}@127.0.0.1:{self.pooler.port}/pgbouncer",
            password=Secret(self.server.password),
            pgbouncer_password=Secret(self.pooler.password),
            app_pools=(self.sockets,),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for publisher in self._publishers:
            publisher.close()
        for engine in self._engines:
            engine.dispose()
        self._scopes.close()

    def engine(
        self, service: str = "lab", *, size: int = 5, overflow: int = 10, timeout: float = 30.0, pre_ping: bool = False
    ) -> Engine:
        """An instrumented engine through PgBouncer. A pre-ping waits for a server of its own."""
        engine = create_engine(
            self.pooler.url(self.database),
            service=service,
            pool_size=size,
            max_overflow=overflow,
            pool_timeout=timeout,
            pool_pre_ping=pre_ping,
        )
        engine.connect().close()  # SQLAlchemy asks a server what it is once, and everybody waits for that
        self._engines.append(engine)
        self._publishers.append(publish_pool(engine, service, directory=self._directory))
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
        app = collect_app_pools([self.sockets], 0.5, now)
        assert not app.gaps or not self._publishers
        return PoolsSnapshot(
            profile="lab",
            taken_at=now,
            monotonic_seconds=time.monotonic(),
            app=app if self._publishers else None,
            pooler=pooler,
            server=collect_server_pool(self._target),
            host=collect_host(),
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


@contextmanager
def open_lab(server: PostgreSQL, **settings: str) -> Iterator[PoolLab]:
    """A laboratory whose PgBouncer has 8 servers for a pool, unless told otherwise."""
    with PoolLab(server, {"default_pool_size": "8", "max_client_conn": "500", **settings}) as lab:
        yield lab
