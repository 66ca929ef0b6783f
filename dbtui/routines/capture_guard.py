"""The guard of a capture, in a process of its own: it alone changes the server's settings, and puts them back.

It does so when it is told to, when the time is over, when the log has grown too much, and when whoever started it ends
without a word. While the server cannot be reached it tries again, for hours; after that the journal is what is left.
"""

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from dbtui.adapters.adapter import CaptureSwitch
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.adapters.guarding import GuardLogin, GuardSaid
from dbtui.errors import AuthenticationError, Cancelled, ConnectError, DbtuiError, UsageError
from dbtui.model.captures import CaptureJournal
from dbtui.routines.capture_journal import JournalFile
from dbtui.routines.context import RoutineContext

AnswerT = TypeVar("AnswerT")

APPLY, END, TOLD = "apply", "end", "told"
#: How much longer than the capture itself the guard waits before it ends it without being told to.
GRACE_SECONDS = 10.0
_LOOK_SECONDS = 0.5
_OPENING_SECONDS = 30.0
_ASKING_SECONDS = 20.0
#: Looking at how much was logged may take a while; it is not done all the time.
_PATIENCE = 10
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 10.0
#: A refused login is not tried often: that locks accounts.
_LOGIN_SECONDS = 60.0
GIVES_UP_SECONDS = 12 * 3600.0


@dataclass
class Orders:
    """What the process that started us says, line by line. `is_closed`: it has ended."""

    descriptor: int
    is_closed: bool = False
    _held: bytes = b""
    _lines: list[bytes] = field(default_factory=list)

    def wait(self, seconds: float) -> bytes | None:
        """Return the next line within `seconds`; None: there is none, or there will be none any more."""
        ends_at = time.monotonic() + seconds
        while not self._lines and not self.is_closed:
            left = ends_at - time.monotonic()
            if left <= 0 or not select.select([self.descriptor], [], [], left)[0]:
                return None
            self._take()
        return self._lines.pop(0) if self._lines else None

    def _take(self) -> None:

        data = os.read(self.descriptor, 65536)
        if not data:
            self.is_closed = True
        *lines, self._held = (self._held + data).split(b"\n")
        self._lines += lines


def read_login(orders: Orders) -> GuardLogin:
    """Read the login, which is the first line. Raises UsageError."""
    line = orders.wait(_OPENING_SECONDS)
    if line is None:
        raise UsageError("the guard of a capture was told no login", "it is started by dbtui queries capture")
    return msgspec.json.decode(line, type=GuardLogin)


class Guard:
    """Guards one capture until its server is as it was. `say` tells whoever started us, and whether it was heard."""

    def __init__(
        self,
        c: RoutineContext,
        login: GuardLogin,
        path: Path,
        orders: Orders,
        say: Callable[[GuardSaid], bool],
        *,
        gives_up_seconds: float = GIVES_UP_SECONDS,
    ) -> None:
        self._c = c
        self._profile = login.connection_profile
        self._file = JournalFile(path)
        stale = self._file.read()
        if stale.journal is None:
            raise UsageError(f"the journal {path} cannot be read: {stale.problem}")
        self._journal: CaptureJournal = stale.journal
        self._orders = orders
        self._say = say
        self._gives_up_seconds = gives_up_seconds
        self._former: set[int] = set()
        self._began = _now()
        self._is_told_to_end = False

    def stop(self) -> None:
        """Put everything back now; may be called by a signal handler."""
        self._is_told_to_end = True

    def run(self) -> int:
        """Guard until the end; return 0 when the server is as it was."""
        is_applying = False
        left: tuple[str, ...] | None
        try:
            with self._opened() as (switch, cancellation):
                self._ask(cancellation, switch.check)
                self._say(GuardSaid(event="ready"))
                if not self._is_ordered_to_apply():
                    return self._leave_unchanged()
                self._file.note("applying")
                is_applying = True
                left = self._guard(switch, cancellation)
        except Exception as error:  # the boundary: whatever went wrong, the server is put back
            if not is_applying:
                return self._refuse(error)
            self._say(say_error("failed", error))
            self._file.note("reverting", problem=describe(error))
            left = self._revert_until_done()
        return 1 if left is None else self._end(left)

    # ------------------------------------------------------------------------------------------------- before

    def _is_ordered_to_apply(self) -> bool:
        line = None
        while line is None and not self._orders.is_closed and not self._is_told_to_end and not self._is_overdue():
            line = self._orders.wait(_LOOK_SECONDS)
        return line == APPLY.encode()

    def _refuse(self, error: Exception) -> int:
        """Nothing was changed: say why not, and leave nothing behind."""
        self._say(say_error("refused", error))
        self._file.remove()
        return 1

    def _leave_unchanged(self) -> int:
        self._file.remove()
        self._say(GuardSaid(event="ended"))
        return 0

    # ------------------------------------------------------------------------------------------------- meanwhile

    def _guard(self, switch: CaptureSwitch, cancellation: Cancellation) -> tuple[str, ...]:
        """Change the server, and put it back over the same connection, if that holds so long."""
        self._ask(cancellation, switch.apply)
        self._began = _now()
        self._say(GuardSaid(event="applied"))
        why = self._watch(switch, cancellation)
        self._say(GuardSaid(event="ending", message=why))
        self._file.note("reverting", why=why)
        return self._ask(cancellation, switch.revert)

    def _watch(self, switch: CaptureSwitch, cancellation: Cancellation) -> str:
        """Return why it is over."""
        next_look = _now()
        while not self._is_told_to_end:
            line = self._orders.wait(_LOOK_SECONDS)
            if line == END.encode():
                return "told to"
            if self._orders.is_closed:
                return "dbtui has ended"
            if self._is_overdue():
                return "time"
            if _now() >= next_look:
                began = _now()
                if self._ask(cancellation, switch.measure_growth) > self._journal.most_bytes:
                    return "size"
                next_look = _now() + max(_LOOK_SECONDS, _PATIENCE * (_now() - began))
        return "told to by a signal"

    def _is_overdue(self) -> bool:
        """By either clock: one of them may be set anew."""
        return _now() - self._began > self._journal.seconds + GRACE_SECONDS or self._c.now() > self._journal.deadline_at

    # ------------------------------------------------------------------------------------------------- afterwards

    def _revert_until_done(self) -> tuple[str, ...] | None:
        """Try again and again, each time over a new connection; None: given up after hours."""
        began, pause, problem = _now(), _FIRST_PAUSE_SECONDS, ""
        while _now() - began < self._gives_up_seconds:
            try:
                with self._opened() as (switch, cancellation):
                    return self._ask(cancellation, switch.revert)
            except Exception as error:  # the boundary: it is tried again, whatever went wrong
                if describe(error) != problem:
                    problem = describe(error)
                    self._file.note("waiting", problem=problem)
                    self._say(say_error("waiting", error))
                if isinstance(error, AuthenticationError):
                    self._c.forget_password(self._profile)
                    time.sleep(_LOGIN_SECONDS)
                time.sleep(pause)
                pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.5)
        self._file.note("given up", problem=problem)
        return None

    def _end(self, left: tuple[str, ...]) -> int:
        """Nothing of ours is on any more. What somebody else has changed is told, or kept to be told."""
        if not left:
            self._file.remove()
            self._say(GuardSaid(event="ended"))
            return 0
        self._file.note_left(left)
        if self._say(GuardSaid(event="ended", left=left)) and self._is_acknowledged():
            self._file.remove()
        return 0

    def _is_acknowledged(self) -> bool:
        line: bytes | None = b""
        while line is not None and line != TOLD.encode():
            line = self._orders.wait(_ASKING_SECONDS)
        return line is not None

    # ------------------------------------------------------------------------------------------------- the server

    @contextmanager
    def _opened(self) -> Iterator[tuple[CaptureSwitch, Cancellation]]:
        """Connect anew, with limits of time that end whatever waits for a server that does not answer."""
        cancellation = Cancellation()
        c = replace(self._c, cancellation=cancellation)
        queries = c.adapter(self._profile.engine).queries
        if queries is None:
            raise UsageError(f"{self._profile.engine.value} has no captures")
        with ExitStack() as stack:
            with DEADLINES.limiting(_OPENING_SECONDS, cancellation):
                target = stack.enter_context(c.open_target(self._profile))
                former = frozenset(self._former)
                switch = stack.enter_context(queries.open_switch(target, self._journal, former))
                self._former |= set(queries.own_sessions(target))
            yield switch, cancellation

    def _ask(self, cancellation: Cancellation, question: Callable[[], AnswerT]) -> AnswerT:
        with DEADLINES.limiting(_ASKING_SECONDS, cancellation):
            try:
                return question()
            except Cancelled:
                raise ConnectError("the server did not answer in time", "check the network and the server") from None


def describe(error: Exception) -> str:
    """Return an error as a sentence; one that nobody foresaw with its kind."""
    return str(error) if isinstance(error, DbtuiError) else f"unexpected {type(error).__name__}: {error}"


def say_error(event: str, error: Exception) -> GuardSaid:
    """Return what is said of an error."""
    if not isinstance(error, DbtuiError):
        return GuardSaid(event=event, message=describe(error))
    code = str(getattr(error, "code", ""))
    return GuardSaid(event=event, kind=type(error).__name__, message=error.message, hint=error.hint, code=code)


def _now() -> float:
    """Seconds of a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
