"""QueuePool that keeps count: who waits, for how long, how long connections are held, and how many come and go.

By subclassing and public methods alone. An acquisition waits until the pool grants it a place. The place is in use from
then on, also while its connection is made or tested, which takes a while behind a busy pooler: that is no waiting for
the pool. The counts live in a `Meter`, which outlasts the pool: `Engine.dispose()` makes a new pool of the same class
with the same creator, and the creator carries the meter along.
"""

import inspect
import os
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from dbtui.instrument.histogram import Histogram, Tally
from dbtui.model.pools import AppPool

#: Where a record remembers since when its connection is out.
_HELD_SINCE = "dbtui.held_since"
#: How often a dictionary that others change is copied again.
_COPY_ATTEMPTS = 20


class Meter:
    """What one pool did since it was made, or since this process was forked."""

    def __init__(self) -> None:
        self.pool: Callable[[], MeteredQueuePool | None] = _no_pool
        self.reset()
        with _METERS_LOCK:
            _METERS.add(self)

    def reset(self) -> None:
        """Begin again from nothing: in a forked child, where neither waiting threads nor counts are its own."""
        self.pending: dict[_Turn, float] = {}  # who waits for a place, and since when
        self.connecting: dict[_Turn, float] = {}  # who has one, and whose connection is being made or tested
        self.wait = Histogram()
        self.abandoned = Histogram()
        self.hold = Histogram()
        self.create = Histogram()
        self.timeouts = Tally()
        self.invalidated = Tally()
        self.closed = Tally()

    def listen(self, pool: QueuePool) -> None:
        """Hear of the events of a pool; the pool that replaces it hands them on."""
        event.listen(pool, "checkin", self._end_hold)
        event.listen(pool, "detach", self._end_hold)
        event.listen(pool, "invalidate", self._count_invalidated)
        event.listen(pool, "soft_invalidate", self._count_invalidated)
        event.listen(pool, "close", self._count_closed)
        event.listen(pool, "close_detached", self._count_closed)

    def _end_hold(self, _connection: object, record: ConnectionPoolEntry) -> None:
        memory = record.record_info
        since = memory.pop(_HELD_SINCE, None) if memory else None
        if since is not None:
            self.hold.add(perf_counter() - since)

    def _count_invalidated(self, *_: object) -> None:
        self.invalidated.add_one()

    def _count_closed(self, *_: object) -> None:
        self.closed.add_one()

    def read(self, template: AppPool) -> AppPool | None:
        """Return the pool's state and counts, the rest as in `template`; None when the pool is gone."""
        pool = self.pool()
        if pool is None:
            return None
        now = perf_counter()
        waiting, connecting = _begins(self.pending), _begins(self.connecting)
        checked_in = pool.checkedin()
        return AppPool(
            source=template.source,
            service=template.service,
            pid=template.pid,
            pool=template.pool,
            url=template.url,
            started_at=template.started_at,
            monotonic_seconds=template.monotonic_seconds,
            size=pool.size(),
            max_overflow=pool.max_overflow,
            timeout_seconds=pool.timeout(),
            checked_in=checked_in,
            checked_out=max(0, pool.checkedout()),
            overflow=max(0, pool.overflow()),
            pending=len(waiting),
            oldest_pending_seconds=max(0.0, now - min(waiting, default=now)),
            connecting=len(connecting),
            oldest_connecting_seconds=max(0.0, now - min(connecting, default=now)),
            wait=self.wait.read(),
            abandoned=self.abandoned.read(),
            hold=self.hold.read(),
            create=self.create.read(),
            timeouts_total=self.timeouts.total,
            invalidated_total=self.invalidated.total,
            closed_total=self.closed.total,
        )


class _Turn:
    """One acquisition: of which meter, and when it got its place in the pool, 0 as long as it has none."""

    __slots__ = ("meter", "placed_at")

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.placed_at = 0.0


#: The acquisition that is under way here. A context is a thread's own, and a task's.
_TURN: ContextVar[_Turn | None] = ContextVar("dbtui.turn", default=None)


def _note_place() -> None:
    """Called before a connection is made or tested: whoever wants it has waited for the pool until now."""
    turn = _TURN.get()
    if turn is not None and not turn.placed_at:
        turn.placed_at = perf_counter()
        turn.meter.connecting[turn] = turn.placed_at
        turn.meter.pending.pop(turn, None)


def _begins(turns: dict[_Turn, float]) -> list[float]:
    for _ in range(_COPY_ATTEMPTS):
        try:
            return list(turns.values())
        except RuntimeError:  # it changed on the way
            continue
    return [perf_counter()] * len(turns)


class MeteredQueuePool(QueuePool):
    """A QueuePool with a meter. It behaves as the plain one does."""

    _sqla_logger_namespace = "sqlalchemy.pool.impl.QueuePool"  # who listens to the plain pool's log hears this one

    def __init__(
        self,
        creator: Callable[..., Any],
        pool_size: int = 5,
        max_overflow: int = 10,
        timeout: float = 30.0,
        **options: Any,
    ) -> None:
        timed = creator if isinstance(creator, _TimedCreator) else _TimedCreator(creator, Meter())
        super().__init__(timed, pool_size=pool_size, max_overflow=max_overflow, timeout=timeout, **options)
        dialect = options.get("dialect")
        if dialect is not None and not isinstance(dialect.do_ping, _NotedPing):
            dialect.do_ping = _NotedPing(dialect.do_ping)
        self.max_overflow = -1 if pool_size == 0 else max_overflow
        self.meter = timed.meter
        if timed is not creator:
            self.meter.listen(self)
        self.checkedin()  # asyncio's queue is made when first looked at, which must not be two threads at once
        self.meter.pool = weakref.ref(self)

    def connect(self) -> PoolProxiedConnection:
        """Return a connection, as QueuePool does, and count how long that took."""
        meter = self.meter
        turn = _Turn(meter)
        token = _TURN.set(turn)
        meter.pending[turn] = began = perf_counter()
        try:
            connection = super().connect()
        except BaseException as error:
            meter.abandoned.add((turn.placed_at or perf_counter()) - began)
            if isinstance(error, PoolTimeout):
                meter.timeouts.add_one()
            raise
        finally:
            _TURN.reset(token)
            meter.pending.pop(turn, None)
            meter.connecting.pop(turn, None)
        placed_at = turn.placed_at or perf_counter()
        meter.wait.add(placed_at - began)
        memory = connection.record_info
        if memory is not None:
            memory[_HELD_SINCE] = placed_at
        return connection


class MeteredAsyncQueuePool(MeteredQueuePool, AsyncAdaptedQueuePool):
    """The same for asyncio engines."""


_CLASSES: dict[type[QueuePool], type[MeteredQueuePool]] = {
    QueuePool: MeteredQueuePool,
    AsyncAdaptedQueuePool: MeteredAsyncQueuePool,
}


def metered_class(plain: type[QueuePool]) -> type[MeteredQueuePool]:
    """Return the class that does what `plain`, a QueuePool or a child of it, does, and keeps count."""
    if issubclass(plain, MeteredQueuePool):
        return plain
    if plain not in _CLASSES:
        _CLASSES[plain] = type(f"Metered{plain.__name__}", (MeteredQueuePool, plain), {})
    return _CLASSES[plain]


class _TimedCreator:
    """Calls what makes connections, as SQLAlchemy would have, and counts how long it took."""

    def __init__(self, creator: Callable[..., Any], meter: Meter) -> None:
        self.meter = meter
        self._creator = creator
        self._takes_record = _takes_record(creator)

    def __call__(self, rec: ConnectionPoolEntry) -> Any:
        _note_place()
        began = perf_counter()
        connection = self._creator(rec) if self._takes_record else self._creator()
        self.meter.create.add(perf_counter() - began)
        return connection


class _NotedPing:
    """Tests a connection as its dialect does, and notes that whoever wants it has its place in the pool."""

    def __init__(self, ping: Callable[[Any], bool]) -> None:
        self._ping = ping

    def __call__(self, connection: Any) -> bool:
        _note_place()
        return self._ping(connection)


def _takes_record(creator: Callable[..., Any]) -> bool:
    """Whether a creator wants the pool's record: the rule of SQLAlchemy's Pool, which also takes those without."""
    try:
        parameters = inspect.signature(creator).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    needed = [each for each in positional if each.default is each.empty]
    is_sqlalchemys = [(each.name, each.default) for each in positional] == [("connection_record", None)]
    return len(needed) == 1 or is_sqlalchemys


def _no_pool() -> None:
    return None


def _reset_meters() -> None:
    """In a forked child: nothing was counted here yet, and a lock may have been held by a thread that is not here."""
    global _METERS_LOCK
    _METERS_LOCK = threading.Lock()
    for meter in list(_METERS):
        meter.reset()


_METERS: weakref.WeakSet[Meter] = weakref.WeakSet()
_METERS_LOCK = threading.Lock()
os.register_at_fork(after_in_child=_reset_meters)
