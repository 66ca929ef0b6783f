"""`ReplicaSet`: a primary and its replicas, made once for a process, and which replica serves the next read."""

import itertools
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from time import monotonic
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from dbtui.errors import UsageError
from dbtui.instrument.engines import create_async_engine, create_engine, parse_url
from dbtui.instrument.routing_servers import choose_log
from dbtui.instrument.routing_settings import read_limits, read_urls
from dbtui.instrument.routing_statements import StatementRules
from dbtui.instrument.routing_states import PrimaryTrack, Replica, ReplicaState, describe
from dbtui.instrument.routing_watch import Watcher

#: What may be named as a server.
Server = Engine | AsyncEngine | str | URL

_LOG = logging.getLogger("dbtui.instrument")
_SETS: weakref.WeakSet["ReplicaSet"] = weakref.WeakSet()

#: How soon a connection to a replica is given up: reads do not wait for a host that is gone.
_LIBPQ_PATIENCE = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_PATIENCE: dict[str, dict[str, Any]] = {
    "psycopg2": _LIBPQ_PATIENCE,
    "psycopg": _LIBPQ_PATIENCE,
    "asyncpg": {"timeout": 3},
    "pymysql": {"connect_timeout": 3},
    "aiomysql": {"connect_timeout": 3},
}


class ReplicaSet:
    """A primary and the replicas that reads may go to. Made once for a process; `ReadWriteSession` is given it.

    Daemon threads, one for each server, look at the servers from the first read on. A forked child has threads and
    connections of its own.
    """

    def __init__(
        self,
        primary: Server,
        replicas: Iterable[Server] = (),
        *,
        service: str = "",
        harmless_functions: Iterable[str] = (),
        lag_seconds: float | None = None,
        lag_bytes: int | None = None,
        wait_seconds: float | None = None,
        look_seconds: float | None = None,
        serve_without_primary: bool = False,
    ) -> None:
        """`primary`, `replicas`: engines, all of them with asyncio drivers or none; or URLs, for which
        `dbtui.instrument.create_engine` makes pools that are named after `service`.

        A replica that is more than `lag_seconds` (10) or `lag_bytes` (16 MiB) behind is not read from. A read that has
        to see a commit waits `wait_seconds` (0.25) for its replica at most, then the primary serves it. The environment
        has other values as DB_REPLICA_LAG_SECONDS, DB_REPLICA_LAG_BYTES and DB_REPLICA_WAIT_SECONDS.
        `look_seconds` (1) lie between two looks at a server. `harmless_functions` are the application's own, as `name`
        or `schema.name`, that change nothing and may run on a replica. `serve_without_primary`: while the primary is
        not seen, replicas go on being read from, however old that is.

        Raises UsageError for engines that do not belong together, and for a wrong URL or setting.
        """
        #: The primary's engine; with asyncio drivers the one inside the AsyncEngine.
        self.primary = _engine_of(primary, service, is_replica=False)
        engines = [_engine_of(each, service, is_replica=True) for each in replicas]
        self._check(engines)
        self.limits = read_limits(
            os.environ,
            {
                "lag_seconds": lag_seconds,
                "lag_bytes": lag_bytes,
                "wait_seconds": wait_seconds,
                "look_seconds": look_seconds,
            },
            serve_without_primary=serve_without_primary,
        )
        self.log = choose_log(self.primary.dialect.name)
        self.rules = StatementRules([harmless_functions] if isinstance(harmless_functions, str) else harmless_functions)
        self._track = PrimaryTrack(self.log, self.limits)
        self.replicas = tuple(Replica(_name_of(each), each, self._track, self.limits) for each in engines)
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self._watchers: tuple[Watcher, ...] = ()
        self._is_closed = False
        _SETS.add(self)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """Make one of DATABASE_URL and DB_REPLICA_URLS, which has URLs separated by spaces; without any, every read
        goes to the primary. Raises UsageError."""
        primary, replicas = read_urls(os.environ if environ is None else environ)
        return cls(primary, replicas, **options)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The primary's engine and the replicas'."""
        return (self.primary, *(each.engine for each in self.replicas))

    def states(self) -> tuple[ReplicaState, ...]:
        """Each replica as it was seen last, and why it is not read from."""
        return tuple(each.state() for each in self.replicas)

    def wait_for_looks(self, seconds: float = 5.0) -> bool:
        """Wait until every server was looked at, as a program may at its start; False when that takes longer."""
        self.start()
        deadline = monotonic() + seconds
        while not all(each.was_looked_at for each in self.replicas):
            if monotonic() >= deadline:
                return False
            time.sleep(0.005)
        return True

    def choose(self, tried: Iterable[Replica] = ()) -> Replica | None:
        """The open replica whose pool is least in use; None: the primary serves."""
        if not self._watchers:
            self.start()
        if self._is_closed:  # a look that was under way may have opened one since
            return None
        now = monotonic()
        opened = [each for each in self.replicas if each.good_until >= now and each not in tried]
        if len(opened) < 2:
            return opened[0] if opened else None
        first = next(self._turns) % len(opened)
        return min(opened[first:] + opened[:first], key=Replica.load)

    def start(self) -> None:
        """Begin to look at the servers; the first read does it otherwise."""
        with self._lock:
            if self._watchers or self._is_closed or not self.replicas:
                return
            self._watchers = (
                self._watch_primary(),
                *(self._watch_replica(each) for each in self.replicas),
            )

    def close(self) -> None:
        """Stop looking; every read goes to the primary. The engines stay as they are. May be called twice."""
        with self._lock:
            self._is_closed = True
            watchers, self._watchers = self._watchers, ()
        for watcher in watchers:
            watcher.stop()
        for watcher in watchers:
            watcher.join()
        for replica in self.replicas:
            replica.reset()

    def restart_in_child(self) -> None:
        """Go on in a process that was just forked, with connections and threads of its own, at its first read."""
        self._lock = threading.Lock()
        watchers, self._watchers = self._watchers, ()
        for watcher in watchers:
            watcher.abandon()
        self._track.reset()
        for replica in self.replicas:
            replica.reset()
        for engine in self.engines:
            engine.dispose(close=False)

    def _watch_primary(self) -> Watcher:
        wake, failed = threading.Event(), False

        def look(raw: Any) -> None:
            nonlocal failed
            began, before = monotonic(), self._track.look
            seen = self.log.look_at_primary(raw)
            self._track.add(seen, began)
            if failed:
                _LOG.info("the primary of the replicas is seen again")
            failed = False
            if before is None or (before.fault, before.timeline) != (seen.fault, seen.timeline):
                for replica in self.replicas:
                    replica.wake.set()

        def fail(error: Exception) -> None:
            nonlocal failed
            if not failed:
                _LOG.warning("the primary of the replicas cannot be looked at: %s", describe(error))
            failed = True

        return Watcher(
            "primary", self.primary, wake, look=look, fail=fail, pause_seconds=lambda: self.limits.look_seconds
        )

    def _watch_replica(self, replica: Replica) -> Watcher:
        def look(raw: Any) -> None:
            began = monotonic()
            replica.note_look(self.log.look_at_replica(raw), began)

        return Watcher(
            replica.name,
            replica.engine,
            replica.wake,
            look=look,
            fail=replica.note_failed_look,
            pause_seconds=lambda: replica.pause_seconds,
        )

    def _check(self, replicas: list[Engine]) -> None:
        for engine in replicas:
            if engine is self.primary:
                raise UsageError(
                    "the primary's engine is among the replicas", "leave it out: it serves when they cannot"
                )
            if engine.dialect.name != self.primary.dialect.name:
                wrong = f"a replica of {engine.dialect.name} cannot follow a primary of {self.primary.dialect.name}"
                raise UsageError(wrong, "give engines of one kind of server")
            if engine.dialect.is_async != self.primary.dialect.is_async:
                raise UsageError("engines with and without asyncio are mixed", "give engines of one kind")
        if len(set(replicas)) < len(replicas):
            raise UsageError("an engine is twice among the replicas", "give each once")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()


def _engine_of(server: Server, service: str, *, is_replica: bool) -> Engine:
    if isinstance(server, AsyncEngine):
        return server.sync_engine
    if isinstance(server, Engine):
        return server
    url = parse_url(server)
    dialect = url.get_dialect()
    patience = _PATIENCE.get(dialect.driver, {}) if is_replica else {}
    options = {"connect_args": {key: value for key, value in patience.items() if key not in url.query}}
    if dialect.is_async:
        return create_async_engine(server, service=service, **options).sync_engine
    return create_engine(server, service=service, **options)


def _name_of(engine: Engine) -> str:
    url = engine.url
    host = url.host or url.query.get("host") or url.query.get("unix_socket") or "local"
    return f"{host if isinstance(host, str) else ','.join(host)}:{url.port or url.query.get('port', '')}/{url.database}"


def _restart_in_child() -> None:
    for each in list(_SETS):
        each.restart_in_child()


os.register_at_fork(after_in_child=_restart_in_child)
