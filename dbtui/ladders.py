"""Watching the saturation ladder of one profile: application pools, PgBouncer, server and host, each at its own pace.

PgBouncer's console and the application pools have a daemon thread each, so that one that stalls costs the others
nothing; the server is asked by a `Watch`, over one connection. Once an interval everything that is known is published.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dbtui.adapters.app_pool.collecting import collect_app_pools
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.adapters.machine import collect_host
from dbtui.adapters.pgbouncer.console import Console
from dbtui.adapters.pgbouncer.snapshot import collect_pooler, forget_settings
from dbtui.analysis.connections import describe_backoff
from dbtui.errors import AuthenticationError, Cancelled, ConnectError, DbtuiError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.pools import AppPoolsSnapshot, PoolerClients, PoolerSnapshot, PoolsSnapshot, ServerPool
from dbtui.model.sessions import Session
from dbtui.model.text import mask_passwords
from dbtui.routines.consoles import LOGIN_REFUSED, failed_pooler, open_console
from dbtui.routines.context import RoutineContext
from dbtui.routines.pools import APP_POOLS_SECONDS, join_clients
from dbtui.watches import Look, Watch

CLIENTS_SECONDS = 15.0
MOST_CLIENTS = 500
_OPENING_SECONDS = 15.0
_LOOKING_SECONDS = 6.0
#: A refused login is not tried often: PgBouncer writes each into its log.
_LOGIN_SECONDS, _LONGEST_LOGIN_SECONDS = 30.0, 300.0
#: What sessions did may be told of a client for so long.
_SESSIONS_SECONDS = 30.0
_AGAIN_SECONDS = 2.0


class _Pace:
    """When the next look is due: the interval, pauses, and orders to look now or to end. From any thread."""

    def __init__(self, interval_seconds: float) -> None:
        self._changed = threading.Condition()
        self._interval_seconds = interval_seconds
        self._is_paused = False
        self._wakes = 0
        self.is_stopped = False

    def stop(self) -> None:
        with self._changed:
            self.is_stopped = True
            self._changed.notify_all()

    def wake(self) -> None:
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    def set_paused(self, paused: bool) -> None:
        with self._changed:
            if self._is_paused and not paused:
                self._wakes += 1
            self._is_paused = paused
            self._changed.notify_all()

    def set_interval(self, seconds: float) -> None:
        with self._changed:
            self._interval_seconds = seconds
            self._changed.notify_all()

    def wait(self, began: float, seconds: float | None = None) -> bool:
        """Wait until `seconds` (None: the interval) after `began` on the monotonic clock; False: it ended."""
        with self._changed:
            seen = self._wakes
            while not self.is_stopped and self._wakes == seen:
                left = began + (self._interval_seconds if seconds is None else seconds) - time.monotonic()
                if left <= 0 and not self._is_paused:
                    break
                self._changed.wait(None if self._is_paused else left)
            return not self.is_stopped


@dataclass(slots=True)
class _Known:
    """What each tier said last; guarded by the lock of the ladder."""

    app: AppPoolsSnapshot | None = None
    pooler: PoolerSnapshot | None = None
    server: ServerPool | None = None
    server_gap: str = ""
    server_problem: str = ""
    server_problem_code: str = ""
    sessions: tuple[Session, ...] | None = None
    sessions_at: float = 0.0


class LadderWatch:
    """Watches the ladder of one profile from `start()` until `stop()`. Methods may be called from any thread.

    `publish` gets a snapshot each interval, on a thread of the ladder's; it must not block for long or raise. `server`
    is a watch that exists already, whose looks are handed to `receive`; without one the ladder starts its own.
    """

    def __init__(
        self,
        profile: ConnectionProfile,
        context: RoutineContext,
        publish: Callable[[PoolsSnapshot], None],
        interval_seconds: float = 1.0,
        *,
        server: Watch | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.profile = profile
        self._context = context
        self._publish = publish
        self._chance = chance
        self._lock = threading.Lock()
        self._known = _Known()
        self._pace = _Pace(interval_seconds)
        self._console_cancellation = Cancellation()
        self._forgets = self._has_tried = False
        self._attempt = 0
        self._clients_to: Callable[[PoolerClients], None] | None = None
        self._clients_at = float("-inf")
        self._clients_seconds = CLIENTS_SECONDS  # from then until they are asked for again
        self._asks_again = False  # soon, once: the server's sessions were not known yet
        self._owns_server = server is None
        self._server = server or Watch(profile, context, self.receive, interval_seconds)
        self._threads = [self._thread("publish", self._publish_until_stopped)]
        if profile.pgbouncer_url:
            self._threads.append(self._thread("console", self._watch_pooler))
        if profile.app_pools:
            self._threads.append(self._thread("apps", self._watch_apps))

    def _thread(self, part: str, run: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=run, name=f"ladder {part} {self.profile.name}", daemon=True)

    # ------------------------------------------------------------ orders, from any thread

    def start(self) -> "LadderWatch":
        """Begin to look."""
        self._server.wants_pool = True
        if self._owns_server:
            self._server.start()
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """End, interrupting what is waited for; at most a snapshot under way is still published."""
        self._pace.stop()
        with self._lock:
            cancellation = self._console_cancellation
            self._clients_to = None
        cancellation.request("the watch ended")
        if self._owns_server:
            self._server.stop()
        else:
            self._server.wants_pool = False

    def wake(self) -> None:
        """Look at everything now, also between two tries, with PgBouncer's settings asked anew."""
        with self._lock:
            self._forgets = True
        self._pace.wake()
        if self._owns_server:
            self._server.wake()

    def pause(self) -> None:
        """Look no more until `resume()`; connections are kept."""
        self._pace.set_paused(True)
        if self._owns_server:
            self._server.pause()

    def resume(self) -> None:
        """Go on looking, beginning now."""
        self._pace.set_paused(False)
        if self._owns_server:
            self._server.resume()

    def set_interval(self, seconds: float) -> None:
        """Wait so many seconds between two looks."""
        self._pace.set_interval(seconds)
        if self._owns_server:
            self._server.set_interval(seconds)

    @property
    def wants_clients(self) -> Callable[[PoolerClients], None] | None:
        """Who gets the clients of PgBouncer, every fifteen seconds at most; None: they are not asked for."""
        return self._clients_to

    @wants_clients.setter
    def wants_clients(self, wanted: Callable[[PoolerClients], None] | None) -> None:
        with self._lock:
            is_new = wanted is not None and self._clients_to is None
            self._clients_to = wanted
            if is_new:
                self._clients_seconds, self._asks_again = _AGAIN_SECONDS, True
        if self._owns_server:
            self._server.wants_sessions = wanted is not None
        if is_new:
            self._pace.wake()

    def receive(self, look: Look) -> None:
        """Take a look of the server's watch. What a failed look does not know stays, and gets older."""
        with self._lock:
            if look.server_pool is not None:
                self._known.server = look.server_pool
            if look.sessions is not None:
                self._known.sessions, self._known.sessions_at = look.sessions.sessions, time.monotonic()
            self._known.server_gap = look.status.problem or look.pool_gap
            self._known.server_problem = look.status.problem
            implied = LOGIN_REFUSED if look.is_login_refused else ""
            self._known.server_problem_code = (look.problem_code or implied) if look.status.problem else ""

    @property
    def is_running(self) -> bool:
        """Whether a thread of its own lives: a while after `stop()` none does."""
        return any(thread.is_alive() for thread in self._threads)

    # ------------------------------------------------------------ what is published

    def _publish_until_stopped(self) -> None:
        began = time.monotonic()
        while self._pace.wait(began):
            began = time.monotonic()
            snapshot = self._compose()
            if not self._pace.is_stopped:
                self._publish(snapshot)

    def _compose(self) -> PoolsSnapshot:
        host = collect_host()
        with self._lock:
            known = replace(self._known)
        return PoolsSnapshot(
            profile=self.profile.name,
            taken_at=self._context.now(),
            monotonic_seconds=time.monotonic(),
            app=known.app,
            pooler=known.pooler,
            server=known.server,
            host=host,
            gaps=(known.server_gap,) if known.server_gap else (),
            server_problem=known.server_problem,
            server_problem_code=known.server_problem_code,
        )

    # ------------------------------------------------------------ the thread of the application pools

    def _watch_apps(self) -> None:
        while True:
            began = time.monotonic()
            found = collect_app_pools(self.profile.app_pools, APP_POOLS_SECONDS, self._context.now())
            with self._lock:
                self._known.app = found
            if not self._pace.wait(began):
                return

    # ------------------------------------------------------------ the thread of PgBouncer's console

    def _watch_pooler(self) -> None:
        while self._begin_console():
            try:
                self._look_until_lost()
            except Cancelled:
                self._fail(ConnectError("PgBouncer did not answer in time", "check the network and the pooler"))
            except DbtuiError as error:
                self._fail(error)
            except Exception as error:  # the boundary: a watch goes on, whatever a look met
                self._fail(DbtuiError(mask_passwords(f"unexpected {type(error).__name__}: {error}")))

    def _begin_console(self) -> bool:
        with self._lock:
            self._console_cancellation = Cancellation()
            return not self._pace.is_stopped

    def _look_until_lost(self) -> None:
        context = replace(self._context, cancellation=self._console_cancellation)
        with self._opened(context) as console:
            while True:
                began = time.monotonic()
                self._look(console)
                if not self._pace.wait(began):
                    return

    @contextmanager
    def _opened(self, context: RoutineContext) -> Iterator[Console]:
        is_anew, self._has_tried = self._has_tried, True
        with DEADLINES.limiting(_OPENING_SECONDS, context.cancellation):
            console = open_console(context, self.profile, is_anew=is_anew)
        try:
            yield console
        finally:
            console.close()

    def _look(self, console: Console) -> None:
        with self._lock:
            forgets, self._forgets = self._forgets, False
            publish = self._clients_to
        if forgets:
            forget_settings(console)
        with DEADLINES.limiting(_LOOKING_SECONDS, console.cancellation):
            found = collect_pooler(console, self._context.now())
            if publish is not None and time.monotonic() - self._clients_at >= self._clients_seconds:
                self._clients_at = time.monotonic()
                publish(self._collect_clients(console))
        self._attempt = 0
        with self._lock:
            self._known.pooler = found

    def _collect_clients(self, console: Console) -> PoolerClients:
        with self._lock:
            sessions, asked_at = self._known.sessions, self._known.sessions_at
            is_fresh = sessions is not None and time.monotonic() - asked_at < _SESSIONS_SECONDS
            self._clients_seconds = _AGAIN_SECONDS if self._asks_again and not is_fresh else CLIENTS_SECONDS
            self._asks_again = False
        return join_clients(console, self._context.now(), MOST_CLIENTS, sessions if is_fresh else None)

    def _fail(self, error: DbtuiError) -> None:
        """Say why there is no look at PgBouncer and wait for the next try."""
        if self._pace.is_stopped:
            return
        self._attempt += 1
        problem = failed_pooler(self.profile, self._context.now(), error)
        with self._lock:
            self._known.pooler = problem
        self._pace.wait(time.monotonic(), self._choose_backoff(error))

    def _choose_backoff(self, error: DbtuiError) -> float:
        if isinstance(error, AuthenticationError):
            return describe_backoff(
                self._attempt, self._chance, first_seconds=_LOGIN_SECONDS, longest_seconds=_LONGEST_LOGIN_SECONDS
            )
        return describe_backoff(self._attempt, self._chance)
