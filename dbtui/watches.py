"""Watching targets: one thread and one kept connection each, so that a server which never answers costs nobody else.

A watch looks at its target again and again, the interval counted from the end of the last look. A look that fails
closes the connection; the next try comes after a growing pause. What the server refuses without the connection being
lost (a missing privilege) is a gap: asked once, and again when the connection is new or the operator wakes the watch.
"""

import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from dbtui.adapters.adapter import Adapter, Target
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.analysis.connections import describe_backoff
from dbtui.errors import AuthenticationError, Cancelled, ConnectError, DbtuiError, ServerError
from dbtui.model.connections import ConnectionProfile, EngineName, TargetStatus
from dbtui.model.sessions import SessionsSnapshot
from dbtui.model.text import mask_passwords
from dbtui.routines.context import RoutineContext
from dbtui.routines.sessions import unsupported_sessions

if TYPE_CHECKING:  # what only a watched ladder needs
    from dbtui.model.pools import ServerPool

AnswerT = TypeVar("AnswerT")

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 5
#: A server that has not answered for so long is taken for lost, whatever its network says.
_OPENING_SECONDS = 30.0
_LOOKING_SECONDS = 12.0
#: A refused login is not tried often: that locks accounts.
_LOGIN_SECONDS, _LONGEST_LOGIN_SECONDS = 30.0, 300.0
#: After these the connection is of no use any more: SQLSTATE classes (manual, appendix A) and MySQL's error numbers.
_SQLSTATE_LENGTH = 5
_LOST_CLASSES = ("08", "57P0", "53300")
_LOST_NUMBERS = frozenset(("2002", "2003", "2006", "2013", "1053", "1927", "1040", "4031"))
#: What another look may well answer: timeouts, deadlocks, a conflict with recovery on a replica.
_PASSING = ("57014", "55P03", "40", "25006", "1205", "1213", "1317", "1969", "3024", "1028")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a target, or the reason why there was none: then `status.problem` says it.

    `attempt` counts the failures in a row, 0 after a good look; `next_try_at` is when the next one comes.
    `last_seen_at` is when a look was last good; who shows looks keeps that one's data. `sessions` and
    `server_pool` None: not asked for.
    `is_login_refused`: another password, and then `wake()`, may help.
    """

    profile: str
    status: TargetStatus
    sessions: SessionsSnapshot | None = None
    server_pool: "ServerPool | None" = None
    pool_gap: str = ""  # why there is no `server_pool` although it was asked for
    problem_code: str = ""
    attempt: int = 0
    next_try_at: datetime | None = None
    last_seen_at: datetime | None = None
    is_login_refused: bool = False


class Watch:
    """Watches one target from `start()` until `stop()`. Every method may be called from any thread and returns at once.

    `publish` is called on the watch's own thread with every look; it must not block for long or raise.
    """

    def __init__(
        self,
        profile: ConnectionProfile,
        context: RoutineContext,
        publish: Callable[[Look], None],
        interval_seconds: float = 1.0,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.profile = profile
        self._polled = polled_profile(profile)
        self._context = context
        self._publish = publish
        self._chance = chance
        self._interval_seconds = interval_seconds
        self._wants_sessions = self._wants_pool = False
        self._changed = threading.Condition()
        self._is_stopped = self._is_paused = self._is_woken = self._asks_anew = False
        self._cancellation = Cancellation()
        self._has_tried = False
        self._attempt = 0
        self._last_seen_at: datetime | None = None
        self._refused: dict[str, str] = {}  # by question: what the server said
        self._thread = threading.Thread(target=self._run, name=f"watch {profile.name}", daemon=True)

    # ------------------------------------------------------------ orders, from any thread

    def start(self) -> "Watch":
        """Begin to look."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the watch, interrupting what it waits for; at most a look under way is still published."""
        with self._changed:
            self._is_stopped = True
            cancellation = self._cancellation
            self._changed.notify_all()
        cancellation.request("the watch ended")

    def wake(self) -> None:
        """Look now, also while paused or between two tries, and ask again what the server refused."""
        with self._changed:
            self._is_woken = self._asks_anew = True
            self._changed.notify_all()

    def pause(self) -> None:
        """Look no more until `resume()`; the connection is kept."""
        with self._changed:
            self._is_paused = True

    def resume(self) -> None:
        """Go on looking, beginning now."""
        with self._changed:
            self._is_woken = self._is_woken or self._is_paused
            self._is_paused = False
            self._changed.notify_all()

    def set_interval(self, seconds: float) -> None:
        """Wait so many seconds between two looks, from the present pause on."""
        with self._changed:
            self._interval_seconds = seconds
            self._changed.notify_all()

    @property
    def wants_sessions(self) -> bool:
        """Whether a look asks for the sessions too."""
        return self._wants_sessions

    @wants_sessions.setter
    def wants_sessions(self, wanted: bool) -> None:
        with self._changed:
            self._is_woken = self._is_woken or (wanted and not self._wants_sessions)
            self._wants_sessions = wanted
            self._changed.notify_all()

    @property
    def wants_pool(self) -> bool:
        """Whether a look asks for the server's slots and who holds them, too."""
        return self._wants_pool

    @wants_pool.setter
    def wants_pool(self, wanted: bool) -> None:
        with self._changed:
            self._is_woken = self._is_woken or (wanted and not self._wants_pool)
            self._wants_pool = wanted
            self._changed.notify_all()

    @property
    def is_paused(self) -> bool:
        """Whether it waits for `resume()`."""
        return self._is_paused

    @property
    def is_running(self) -> bool:
        """Whether its thread lives: a while after `stop()` it does not."""
        return self._thread.is_alive()

    # ------------------------------------------------------------ the watch's own thread

    def _run(self) -> None:
        while self._begin_connection():
            try:
                self._look_until_lost()
            except Cancelled:
                self._fail(ConnectError("the server did not answer in time", "check the network and the server"))
            except DbtuiError as error:
                self._fail(error)
            except Exception as error:  # the boundary: a watch goes on, whatever a look met
                self._fail(DbtuiError(mask_passwords(f"unexpected {type(error).__name__}: {error}")))

    def _begin_connection(self) -> bool:
        with self._changed:
            self._cancellation = Cancellation()
            self._refused.clear()
            return not self._is_stopped

    def _look_until_lost(self) -> None:
        context = replace(self._context, cancellation=self._cancellation)
        if self._has_tried and self._keeps_connection:
            context.forget_password(self.profile)  # what a command prints may have expired
        self._has_tried = True
        adapter = context.adapter(self.profile.engine)
        with ExitStack() as stack:
            with DEADLINES.limiting(_OPENING_SECONDS, self._cancellation):
                target = stack.enter_context(context.open_target(self._polled))
            self._look(adapter, target)
            while self._keeps_connection and self._pause(self._interval):
                self._look(adapter, target)
        if not self._keeps_connection:
            self._pause(self._interval)

    @property
    def _keeps_connection(self) -> bool:
        """A file is opened anew for each look: another may have taken its place."""
        return self.profile.engine is not EngineName.SQLITE

    def _interval(self) -> float:
        return self._interval_seconds

    def _pause(self, seconds: Callable[[], float]) -> bool:
        """Wait until the next look is due or asked for; False: the watch ended."""
        began = time.monotonic()
        with self._changed:
            while not (self._is_stopped or self._is_woken):
                left = began + seconds() - time.monotonic()
                if left <= 0 and not self._is_paused:
                    break
                self._changed.wait(None if self._is_paused else left)
            self._is_woken = False
            return not self._is_stopped

    def _look(self, adapter: Adapter, target: Target) -> None:
        with self._changed:
            if self._asks_anew:
                self._refused.clear()
            self._asks_anew = False
            wants_sessions, wants_pool = self._wants_sessions, self._wants_pool
        with DEADLINES.limiting(_LOOKING_SECONDS, self._cancellation):
            status = self._collect_status(adapter, target)
            sessions = self._collect_sessions(adapter, target) if wants_sessions else None
            pool = self._collect_pool(adapter, target) if wants_pool else None
        self._attempt, self._last_seen_at = 0, self._context.now()
        self._show(
            Look(
                profile=self.profile.name,
                status=status,
                sessions=sessions,
                server_pool=None if isinstance(pool, str) else pool,
                pool_gap=pool if isinstance(pool, str) else "",
                last_seen_at=self._last_seen_at,
            )
        )

    def _collect_status(self, adapter: Adapter, target: Target) -> TargetStatus:
        answer = self._ask("status", lambda: adapter.collect_status(target))
        if isinstance(answer, str):
            return TargetStatus(
                profile=self.profile.name, taken_at=self._context.now(), info=target.info, gaps=(answer,)
            )  # fmt: skip
        if not answer.reachable:
            raise ConnectError(answer.problem, code=answer.problem_code)
        return answer

    def _collect_sessions(self, adapter: Adapter, target: Target) -> SessionsSnapshot:
        asked = adapter.sessions
        if asked is None:
            return unsupported_sessions(self.profile, self._context.now())
        answer = self._ask("sessions", lambda: asked.collect_sessions(target))
        if isinstance(answer, str):
            return SessionsSnapshot(profile=self.profile.name, taken_at=self._context.now(), gaps=(answer,))
        return answer

    def _collect_pool(self, adapter: Adapter, target: Target) -> "ServerPool | str | None":
        asked = adapter.pools
        return None if asked is None else self._ask("the server's slots", lambda: asked.collect_server_pool(target))

    def _ask(self, question: str, ask: Callable[[], AnswerT]) -> AnswerT | str:
        """Return the answer, or why there is none while the connection is sound; what is refused is asked once."""
        if question in self._refused:
            return self._refused[question]
        try:
            return ask()
        except ServerError as error:
            if is_lost(error.code):
                raise
            reason = f"the server refused the question for {question}: {error}"
            if not error.code.startswith(_PASSING):
                self._refused[question] = reason
            return reason

    def _fail(self, error: DbtuiError) -> None:
        """Publish why there was no look and wait for the next try."""
        if self._is_stopped:
            return
        self._attempt += 1
        seconds = self._choose_backoff(error)
        now, code = self._context.now(), error.code if isinstance(error, (ConnectError, ServerError)) else ""
        status = TargetStatus(profile=self.profile.name, taken_at=now, problem=str(error), problem_code=code)
        self._show(
            Look(
                profile=self.profile.name,
                status=status,
                problem_code=code,
                attempt=self._attempt,
                next_try_at=now + timedelta(seconds=seconds),
                last_seen_at=self._last_seen_at,
                is_login_refused=isinstance(error, AuthenticationError),
            )
        )
        self._pause(lambda: seconds)

    def _choose_backoff(self, error: DbtuiError) -> float:
        if isinstance(error, AuthenticationError):
            return describe_backoff(
                self._attempt, self._chance, first_seconds=_LOGIN_SECONDS, longest_seconds=_LONGEST_LOGIN_SECONDS
            )
        return describe_backoff(self._attempt, self._chance)

    def _show(self, look: Look) -> None:
        if not self._is_stopped:
            self._publish(look)


def polled_profile(profile: ConnectionProfile) -> ConnectionProfile:
    """Return a profile as a watch connects: it never writes, and gives up soon."""
    return replace(
        profile, read_only=True, connect_seconds=CONNECT_SECONDS, statement_seconds=STATEMENT_SECONDS
    )  # fmt: skip


def is_lost(code: str) -> bool:
    """Whether an SQLSTATE or MySQL error number says that the connection is of no use any more."""
    return code in _LOST_NUMBERS or (len(code) == _SQLSTATE_LENGTH and code.startswith(_LOST_CLASSES))
