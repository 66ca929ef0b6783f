"""Capturing statements for a while: a journal, a guard that changes the server and puts it back, and what was seen."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from dbtui import errors
from dbtui.adapters.adapter import QueryAdapter, StatementTail
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.adapters.guarding import GuardLogin, GuardProcess, GuardSaid
from dbtui.analysis.queries import Detector
from dbtui.errors import Cancelled, ConnectError, DbtuiError, RefusedError, ServerError, ToolError, UsageError
from dbtui.model.captures import CaptureJournal, CaptureWish
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted, Warned
from dbtui.model.queries import CapturePlan, CaptureResult, QueryFindings, SourceReport, StatementEvent
from dbtui.model.text import format_untrusted
from dbtui.model.urls import redact_url
from dbtui.routines.capture_guard import APPLY, END, GRACE_SECONDS, TOLD
from dbtui.routines.capture_journal import JournalFile, list_stale_captures, locked_server
from dbtui.routines.capture_repairs import repair_captures, revert_capture
from dbtui.routines.context import RoutineContext

__all__ = ["capture_queries", "list_stale_captures", "plan_capture", "repair_captures"]

_READY_SECONDS = 45.0
_REVERTED_SECONDS = 25.0
_READ_SECONDS = 15.0
_LEAVING_SECONDS = 5.0
_SHOWN_EVERY_SECONDS = 1.0
_RESTARTING = ("57P01", "57P02", "57P03", "1053")
_LONGEST_SECONDS, _LEAST_BYTES = 3600.0, 1_000_000


class StatementJudge(Protocol):
    """Judges statements by their order: `analysis.queries.Detector`, or one that also keeps what it is fed."""

    def feed_all(self, events: Sequence[StatementEvent]) -> None:
        """Take the next statements."""
        ...

    def findings(self, final: bool = True, report: SourceReport | None = None) -> QueryFindings:
        """Return what was found so far."""
        ...


# ---------------------------------------------------------------- planning


def plan_capture(c: RoutineContext, profile: ConnectionProfile, wish: CaptureWish) -> Routine[CapturePlan]:
    """Look at what capturing needs and costs; changes nothing. A refusal is in the plan. Raises ConnectError,
    ServerError, UsageError.
    """
    _check(wish)
    yield StepStarted("plan capture", profile.name)
    began = time.monotonic()
    with c.open_target(profile) as target:
        plan = _queries_of(c, profile).plan_capture(target, wish)
    yield StepFinished("plan capture", time.monotonic() - began, plan.refusal)
    return plan


def _check(wish: CaptureWish) -> None:
    if not 0 < wish.seconds <= _LONGEST_SECONDS:
        raise UsageError(f"a capture of {wish.seconds:g} s is too short or too long", "take up to an hour")
    if wish.sample_rate is not None and not 0 < wish.sample_rate <= 1:
        raise UsageError(f"{wish.sample_rate:g} is no part of all transactions", "take more than 0, and 1 at most")
    if wish.most_bytes < _LEAST_BYTES:
        raise UsageError(f"{wish.most_bytes} bytes are too few for a capture", "take a megabyte or more")


def _queries_of(c: RoutineContext, profile: ConnectionProfile) -> QueryAdapter:
    queries = c.adapter(profile.engine).queries
    if queries is None:
        raise UsageError("SQLite keeps no record of statements", "use dbtui.instrument.record_statements")
    return queries


# ---------------------------------------------------------------- capturing


def capture_queries(
    c: RoutineContext,
    profile: ConnectionProfile,
    wish: CaptureWish,
    directory: Path,
    *,
    plan: CapturePlan | None = None,
    judge: StatementJudge | None = None,
    on_findings: Callable[[QueryFindings], None] | None = None,
) -> Routine[CaptureResult]:
    """Switch statement logging on, judge what runs, and put everything back, however this ends.

    `directory`: of the journals. `plan`: the one that was shown; it is refused when the server has changed since.
    `on_findings` is called every second. A requested stop ends the capture early, with what was found by then.
    Raises RefusedError, LockedError, ConnectError, ServerError, StorageError, ToolError.
    """
    plan = plan or (yield from plan_capture(c, profile, wish))
    if plan.refusal:
        raise RefusedError(f"capturing is refused: {plan.refusal}")
    with ExitStack() as stack:
        lock = stack.enter_context(locked_server(directory, plan.server))
        _refuse_stale(directory, plan)
        run = _Capture(c, profile, plan, directory, judge or Detector(), on_findings)
        stack.callback(run.close)
        yield from run.prepare(lock)
        return (yield from run.run())


def _refuse_stale(directory: Path, plan: CapturePlan) -> None:
    """Settings of an earlier capture would be taken for the server's own. Our own lock hides none of them."""
    for path in sorted(directory.glob("*.jsonl")):
        stale = JournalFile(path).read()
        journal = stale.journal
        if journal is not None and journal.server == plan.server and not stale.is_restored:
            when = f"{journal.began_at:%Y-%m-%d %H:%M} UTC"
            raise RefusedError(
                f"the capture of {when} on this server ended without putting everything back",
                f"dbtui queries repair {format_untrusted(journal.profile)} does so",
            )


@dataclass
class _Capture:
    """One capture. It is also what a run that is told to stop has not finished: see `Unfinished`."""

    c: RoutineContext
    profile: ConnectionProfile
    plan: CapturePlan
    directory: Path
    judge: StatementJudge
    on_findings: Callable[[QueryFindings], None] | None
    is_ours: bool = False
    is_being_undone: bool = False
    _file: JournalFile | None = None
    _guard: GuardProcess | None = None
    _journal: CaptureJournal | None = None
    _events: int = 0
    _lost: int = 0
    _waiting: str = ""

    @property
    def undoing(self) -> str:
        """What is done about it."""
        return f"putting the settings of {self.profile.name} back"

    @property
    def left(self) -> str:
        """What is left if this process ends now."""
        return f"the guard of the capture puts the settings of {self.profile.name} back"

    # ------------------------------------------------------------------------------------------------- before

    def prepare(self, lock: int) -> Routine[None]:
        """Write the journal and start the guard; the server is not changed yet."""
        c, plan = self.c, self.plan
        now = c.now()
        self._journal = CaptureJournal(
            capture_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
            profile=self.profile.name,
            engine=self.profile.engine,
            url=redact_url(self.profile.url),
            server=plan.server,
            way=plan.way,
            changes=plan.changes,
            began_at=now,
            seconds=plan.seconds,
            deadline_at=now + timedelta(seconds=plan.seconds + GRACE_SECONDS + _READY_SECONDS),
            most_bytes=plan.most_bytes,
            process=os.getpid(),
        )
        with c.cancellation.governing():
            password = c.password_of(self.profile)
        login = GuardLogin(
            profile=self.profile.name,
            engine=self.profile.engine,
            url=self.profile.url,
            database=self.profile.database,
            password=password.reveal() if password else None,
            password_command=self.profile.password_command,
        )
        self._file = JournalFile.create(self.directory, self._journal)
        c.unfinished.append(self)
        yield StepStarted("guard", self.profile.name)
        self._guard = GuardProcess(self._file.path, login, lock, c.environ)
        said = self._await("ready", _READY_SECONDS)
        yield StepFinished("guard", 0.0, f"process {self._guard.pid}")
        if said is not None:
            raise said

    def _await(self, event: str, seconds: float) -> DbtuiError | None:
        """Wait until the guard says so; return what it says instead."""
        guard = self._the_guard()
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at and not guard.is_gone:
            said = guard.hear(0.2)
            if said is not None and said.event == event:
                return None
            if said is not None and said.event in ("refused", "failed"):
                return _error_of(said)
            if event == "ready":
                self.c.cancellation.check()
        return ToolError("the guard of the capture did not answer", "nothing was captured; try again")

    def _the_guard(self) -> GuardProcess:
        if self._guard is None:
            raise ToolError("the capture has no guard")
        return self._guard

    # ------------------------------------------------------------------------------------------------- meanwhile

    def run(self) -> Routine[CaptureResult]:
        """Have the guard switch the capture on, read until it is over, and have it switched off."""
        with self._opened_tail() as tail:
            began = time.monotonic()
            self.is_ours = True
            self._the_guard().order(APPLY)
            if (problem := self._await("applied", _READY_SECONDS)) is not None:
                raise problem
            for change in self.plan.changes:
                if " " in change.name:  # no setting, but what is removed again at the end
                    continue
                was = "" if change.before is None else f" (was {change.before})"
                yield CommandRan(f"{change.name} = {change.value}{was}")
            yield StepStarted("capture", f"{self.plan.way.value} of {self.profile.name}")
            ended_by = yield from self._read(tail)
            seconds = time.monotonic() - began
            yield StepFinished("capture", seconds, ended_by)
            yield StepStarted("put back", self.profile.name)
            left, is_restored = self._put_back()
            for each in left:
                yield Warned(each)
            yield StepFinished("put back", time.monotonic() - began - seconds)
            report = self._finish(tail)
        findings = self.judge.findings(report=report)
        return CaptureResult(
            plan=self.plan,
            seconds=seconds,
            findings=findings,
            is_restored=is_restored,
            left=left,
            ended_by=ended_by,
        )

    @contextmanager
    def _opened_tail(self) -> Iterator["_LimitedTail"]:
        """A requested stop does not interrupt reading: what has run by then is still judged."""
        cancellation = Cancellation()
        c = replace(self.c, cancellation=cancellation)
        with ExitStack() as stack:
            with DEADLINES.limiting(_READY_SECONDS, cancellation):
                target = stack.enter_context(c.open_target(self.profile))
                tail = stack.enter_context(_queries_of(c, self.profile).open_tail(target, self.plan))
            yield _LimitedTail(tail, cancellation)

    def _read(self, tail: "_LimitedTail") -> Routine[str]:
        """Read and judge until it is over; return by what."""
        began = shown = time.monotonic()
        while True:
            try:
                events, lost = tail.read()
            except (ConnectError, ServerError) as error:
                yield Warned(f"reading ended early: {error}")
                return "server restarted" if error.code in _RESTARTING else "connection lost"
            self._take(events, lost)
            now = time.monotonic()
            if now - shown >= _SHOWN_EVERY_SECONDS:
                shown = now
                yield Progressed(int(now - began), int(self.plan.seconds), "seconds", f"{self._events} statements")
                if self.on_findings is not None:
                    self.on_findings(self.judge.findings())  # a pooled session may be one unit until the end
            if ended_by := self._look_for_end(now - began, tail):
                return ended_by
            self.c.cancellation.wait(min(tail.every_seconds, max(0.0, self.plan.seconds - (now - began))))

    def _look_for_end(self, seconds: float, tail: "_LimitedTail") -> str:
        if self.c.cancellation.requested:
            return "cancelled"
        if seconds >= self.plan.seconds:
            return "time"
        if tail.read_bytes >= self.plan.most_bytes:
            return "size"
        said = self._the_guard().hear(0.0)
        if said is not None and said.event == "ending":
            return said.message
        if said is not None and said.event == "failed":
            return "server restarted" if said.code in _RESTARTING else "connection lost"
        return "its guard has ended" if self._the_guard().is_gone else ""

    def _take(self, events: list[StatementEvent], lost: int) -> None:
        self._events += len(events)
        self._lost += lost
        self.judge.feed_all(events)

    def _finish(self, tail: "_LimitedTail") -> SourceReport:
        """Read what was written until it was switched off, if the connection holds."""
        try:
            events = tail.finish()
        except (ConnectError, ServerError):
            events = []
        self._take(events, 0)
        return tail.report()

    # ------------------------------------------------------------------------------------------------- afterwards

    def _put_back(self) -> tuple[tuple[str, ...], bool]:
        """Have the guard put everything back; return what is not as it was, and whether all that was ours is."""
        self.is_being_undone = True
        guard = self._the_guard()
        guard.order(END)
        ends_at = time.monotonic() + _REVERTED_SECONDS
        while time.monotonic() < ends_at and not guard.is_gone:
            said = guard.hear(0.5)
            if said is None:
                continue
            if said.event == "ended":
                guard.order(TOLD)
                self.is_ours = False
                return said.left, True
            if said.event in ("waiting", "failed"):
                self._waiting = said.message
        if guard.is_gone:
            return self._put_back_ourselves()
        why = f" ({self._waiting})" if self._waiting else ""
        hint = f"its guard, process {guard.pid}, tries on for hours; then: dbtui queries repair"
        return (f"the settings are not put back yet{why}: {hint} {self.profile.name}",), False

    def _put_back_ourselves(self) -> tuple[tuple[str, ...], bool]:
        """The guard was ended by somebody."""
        if self._file is None or self._journal is None or not self._file.path.exists():
            self.is_ours = False
            return (), True
        try:
            left = revert_capture(self.c, self.profile, self._journal)
        except DbtuiError as error:
            hint = f"dbtui queries repair {self.profile.name} does so"
            return (f"its guard has ended, and the settings are not put back: {error}; {hint}",), False
        self._file.remove()
        self.is_ours = False
        return left, True

    def close(self) -> None:
        """However the capture ended: nothing of it stays on that nobody looks after."""
        try:
            if self._guard is not None and not self.is_being_undone:
                self._put_back()
            elif self._guard is None and self._file is not None:
                self._file.remove()
        finally:
            if self._guard is not None:
                self._guard.leave(0.0 if self.is_ours else _LEAVING_SECONDS)
            self.is_ours = False


@dataclass
class _LimitedTail:
    """A tail whose every question has an end: a network that swallows packets would hold us for ever."""

    _tail: StatementTail
    _cancellation: Cancellation

    @property
    def every_seconds(self) -> float:
        return self._tail.every_seconds

    @property
    def read_bytes(self) -> int:
        return self._tail.read_bytes

    def read(self) -> tuple[list[StatementEvent], int]:
        with self._limited():
            return self._tail.read()

    def finish(self) -> list[StatementEvent]:
        with self._limited():
            return self._tail.finish()

    def report(self) -> SourceReport:
        return self._tail.report()

    @contextmanager
    def _limited(self) -> Iterator[None]:
        try:
            with DEADLINES.limiting(_READ_SECONDS, self._cancellation):
                yield
        except Cancelled:
            raise ConnectError("the server did not answer in time", "check the network and the server") from None


def _error_of(said: GuardSaid) -> DbtuiError:
    """Return the error that the guard has met, as the kind it was."""
    kind = getattr(errors, said.kind, ToolError)
    if isinstance(kind, type) and issubclass(kind, ConnectError | ServerError):
        return kind(said.message, said.hint, code=said.code)
    if isinstance(kind, type) and issubclass(kind, DbtuiError):
        return kind(said.message, said.hint)
    return ToolError(said.message, said.hint)
