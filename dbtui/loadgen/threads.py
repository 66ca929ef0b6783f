"""Clients with a thread each: drivers that block, and clients that share a pooled engine as an application's do."""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol

from dbtui.loadgen.protocol import end_soon
from dbtui.loadgen.reporting import Record, say
from dbtui.loadgen.running import DRAIN_SECONDS, FAILED_SECONDS
from dbtui.loadgen.schedule import Arrivals, TimedStage, report_moments, time_stages
from dbtui.loadgen.thread_clients import make_clients
from dbtui.model.loadtest import GeneratorPlan, GeneratorSaid, GeneratorSecrets

_BEAT_SECONDS = 0.02
_ENDING_SECONDS = 2.0


class ThreadClient(Protocol):
    """Runs one statement at a time, on its own thread."""

    def prepare(self) -> None:
        """Connect, before the test begins. A failure shows when the connection is needed."""
        ...

    def run(self) -> tuple[str, bool]:
        """Run the next statement; return the kind of error, empty for none, and whether the server answered."""
        ...

    def cancel(self) -> None:
        """From another thread: have the server stop. The statement then ends with an error."""
        ...

    def close(self) -> None:
        """Close its connection."""
        ...


class UnderWay:
    """What one client has under way."""

    __slots__ = ("began", "client", "given_up", "intended", "stage")

    def __init__(self, client: ThreadClient, stage: int, intended: float) -> None:
        self.client = client
        self.stage = stage
        self.intended = intended
        self.began = time.monotonic()
        self.given_up = ""


class ThreadedLoad:
    """One generator's test with a thread for each client."""

    def __init__(self, plan: GeneratorPlan, record: Record, make_client: Callable[[], ThreadClient]) -> None:
        self.plan = plan
        self.record = record
        self._make_client = make_client
        self._changed = threading.Condition()
        self._under_way: dict[int, UnderWay] = {}
        self._limit = 0
        self._left = plan.request.most if plan.request.most is not None else 1 << 62
        self._arrivals: Arrivals | None = None
        self._is_stopping = False

    def run(self) -> None:
        """Run every stage, then wait a little for what is still under way."""
        stages = time_stages(self.plan)
        for number in range(max(timed.stage.concurrency for timed in stages)):
            threading.Thread(target=self._serve, args=(number,), daemon=True).start()
        for timed in stages:
            self._run_stage(timed)
            if self._is_finished:
                break
        self.stop()
        self._wait_until(time.monotonic() + min(DRAIN_SECONDS, self.plan.request.timeout_seconds), until_idle=True)
        self.give_up_all("unfinished")
        self._wait_until(time.monotonic() + _ENDING_SECONDS, until_idle=True)
        last = report_moments(stages[-1], self.plan.begins)[-1][1]
        with self._changed:
            self.record.report(last, time.monotonic(), len(self._under_way), is_over=True)

    def stop(self) -> None:
        """Start nothing more."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def give_up_all(self, kind: str) -> None:
        """Wait no longer for anything, and have the server stop working on it."""
        for under_way in list(self._under_way.values()):
            self._give_up(under_way, kind)

    @property
    def _is_finished(self) -> bool:
        return self._left <= 0 and not self._under_way

    def _run_stage(self, timed: TimedStage) -> None:
        self._wait_until(timed.begins)
        with self._changed:
            self.record.begin(timed)
            self._limit = timed.stage.concurrency
            self._arrivals = timed.arrivals(self.plan)
            self._changed.notify_all()
        for moment, second in report_moments(timed, self.plan.begins):
            self._wait_until(moment)
            with self._changed:
                if moment == timed.ends and self._arrivals is not None:
                    self.record.dropped += self._arrivals.skip_until(timed.ends)
                self.record.report(second, time.monotonic(), len(self._under_way))
            if self._is_finished:
                return

    def _wait_until(self, moment: float, *, until_idle: bool = False) -> None:
        while (now := time.monotonic()) < moment and not (until_idle and not self._under_way):
            if self._is_finished and self._limit:
                return
            time.sleep(min(_BEAT_SECONDS, moment - now))
            self.record.note_late(time.monotonic() - now - min(_BEAT_SECONDS, moment - now))
            oldest = now - self.plan.request.timeout_seconds
            for under_way in list(self._under_way.values()):
                if under_way.began < oldest:
                    self._give_up(under_way, "timeout")

    def _give_up(self, under_way: UnderWay, kind: str) -> None:
        if not under_way.given_up:
            under_way.given_up = kind
            threading.Thread(target=under_way.client.cancel, daemon=True).start()

    def _serve(self, number: int) -> None:
        """The life of a client."""
        client = self._make_client()
        client.prepare()
        while (intended := self._take_turn(number)) is not None:
            with self._changed:
                under_way = self._under_way[number] = UnderWay(client, self.record.stage_number, intended)
            kind, is_answered = client.run()
            self._note(number, under_way, kind, is_answered)
            if kind and not is_answered:
                time.sleep(FAILED_SECONDS)
        client.close()

    def _note(self, number: int, under_way: UnderWay, kind: str, is_answered: bool) -> None:
        now = time.monotonic()
        with self._changed:
            del self._under_way[number]
            if under_way.given_up:
                self.record.failed(under_way.stage, under_way.intended, now, under_way.given_up)
            elif is_answered:
                self.record.answered(under_way.stage, under_way.intended, now, kind)
            else:
                self.record.failed(under_way.stage, under_way.intended, now, kind)

    def _take_turn(self, number: int) -> float | None:
        """Wait until this client may go on; return the intended start. None: there is nothing more to do."""
        with self._changed:
            while not self._is_stopping and (number >= self._limit or self._left <= 0 or self._is_between):
                self._changed.wait(_BEAT_SECONDS if self._is_between else None)
            if self._is_stopping:
                return None
            self._left -= 1
            self.record.started += 1
            if self._arrivals is None:
                return time.monotonic()
            self.record.dropped += self._arrivals.skip_until(time.monotonic() - self.plan.request.timeout_seconds)
            if self._is_between:
                self._left += 1
                self.record.started -= 1
                return self._take_turn(number)
            intended = self._arrivals.take()
        pause = intended - time.monotonic()
        if pause > 0:
            time.sleep(pause)
            self.record.note_late(time.monotonic() - intended)
        return intended

    @property
    def _is_between(self) -> bool:
        """Whether an open model has no start left in this stage."""
        return self._arrivals is not None and self._arrivals.next == float("inf")


def run_threads(plan: GeneratorPlan, secrets: GeneratorSecrets) -> None:
    """Load a database server. A signal that ends cancels the statements that run there first."""
    with make_clients(plan, secrets) as make_client:
        load = ThreadedLoad(plan, Record(plan.request.slo_seconds), make_client)

        def end(*_signal: object) -> None:
            end_soon()
            load.give_up_all("unfinished")
            raise SystemExit(1)

        signal.signal(signal.SIGTERM, end)
        threading.excepthook = _fail
        load.run()


def _fail(failed: threading.ExceptHookArgs) -> None:
    """A client that ended unexpectedly ends the test: what the others measure would be less than was asked for."""
    say(GeneratorSaid(failure=f"a client of the load generator failed: {failed.exc_type.__name__}: {failed.exc_value}"))
    os._exit(1)
