"""Runs clients that share one event loop: stages, the closed and the open model, time limits, the end."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from dbtui.loadgen.reporting import Record
from dbtui.loadgen.schedule import Arrivals, TimedStage, report_moments, time_stages
from dbtui.loadgen.timer import Timer
from dbtui.model.loadtest import GeneratorPlan

_FINEST_SECONDS = 0.00025
_BEAT_SECONDS = 0.02
#: A client whose connection failed waits before it tries again; else it would do nothing but fail.
FAILED_SECONDS = 0.05
DRAIN_SECONDS = 5.0


class Client(Protocol):
    """Asks one thing at a time. `began` is when it started what is under way; None: nothing is."""

    began: float | None

    def prepare(self) -> None:
        """Connect, before the test begins."""
        ...

    def start(self, intended: float) -> None:
        """Ask. `intended`: when that was meant to happen, from which the latency counts."""
        ...

    def give_up(self, kind: str) -> None:
        """Stop waiting for the answer, and count an error of this kind."""
        ...

    def close(self) -> None:
        """Close its connection."""
        ...


class Load:
    """One generator's test. Clients tell it, by `done`, when they may be used again."""

    def __init__(
        self,
        plan: GeneratorPlan,
        record: Record,
        make_client: Callable[["Load"], Client],
        *,
        is_prepared: bool = False,
    ) -> None:
        """`is_prepared`: all clients connect before the test begins, so that no request has to wait for that."""
        self.plan = plan
        self._is_prepared = is_prepared
        self.record = record
        self.loop = asyncio.get_running_loop()
        self._make_client = make_client
        self._clients: list[Client] = []
        self._spare: list[Client] = []
        self._limit = 0
        self._left = plan.request.most if plan.request.most is not None else 1 << 62
        self._arrivals: Arrivals | None = None
        self._is_stopping = False
        self._changed = asyncio.Event()
        self._timer = Timer()
        self._expected_beat = 0.0

    async def run(self) -> None:
        """Run every stage, then wait a little for what is still under way."""
        self.loop.add_reader(self._timer.descriptor, self._tick)
        stages = time_stages(self.plan)
        for _ in range(max(timed.stage.concurrency for timed in stages) if self._is_prepared else 0):
            client = self._make_client(self)
            client.prepare()
            self._clients.append(client)
        self._spare = self._clients[::-1]
        await self._sleep_until(stages[0].begins)
        self._beat()
        for timed in stages:
            await self._run_stage(timed)
            if self._is_finished:
                break
        await self._drain(stages)
        for client in self._clients:
            client.close()

    async def _run_stage(self, timed: TimedStage) -> None:
        self.record.begin(timed)
        self._limit = timed.stage.concurrency
        self._arrivals = timed.arrivals(self.plan)
        if self._arrivals is None:
            self._timer.stop()
            self._start_spare()
        else:
            self._timer.set(self._arrivals.next, max(_FINEST_SECONDS, 1 / (timed.stage.rate or 1)))
        for moment, second in report_moments(timed, self.plan.begins):
            await self._sleep_until(moment, until_finished=True)
            if moment == timed.ends and self._arrivals is not None:
                self._tick()
                self.record.dropped += self._arrivals.skip_until(timed.ends)
            self.record.report(second, time.monotonic(), self.in_flight)
            if self._is_finished:
                return

    async def _drain(self, stages: Iterable[TimedStage]) -> None:
        self._is_stopping = True
        self._timer.stop()
        ends = time.monotonic() + min(DRAIN_SECONDS, self.plan.request.timeout_seconds)
        while self.in_flight and time.monotonic() < ends:
            self._changed.clear()
            await self._sleep_until(ends, until_changed=True)
        self.give_up_all("unfinished")
        last = report_moments(list(stages)[-1], self.plan.begins)[-1][1]
        self.record.report(last, time.monotonic(), 0, is_over=True)

    def give_up_all(self, kind: str) -> None:
        """Wait no longer for anything."""
        self._is_stopping = True
        for client in self._clients:
            if client.began is not None:
                client.give_up(kind)

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return sum(client.began is not None for client in self._clients)

    @property
    def _is_finished(self) -> bool:
        """Whether as many requests as allowed were started and all have ended."""
        return self._left <= 0 and self.in_flight == 0

    def done(self, client: Client) -> None:
        """A client is free: it goes on at once when something is to be done, else it waits."""
        arrivals = self._arrivals
        if self._is_stopping or self._left <= 0 or len(self._clients) - len(self._spare) > self._limit:
            self._spare.append(client)
            self._changed.set()
        elif arrivals is None:
            self._start(client, time.monotonic())
        elif arrivals.is_due(time.monotonic()):
            self._start(client, arrivals.take())
        else:
            self._spare.append(client)

    def done_after_failure(self, client: Client) -> None:
        """The same, of a client whose connection failed: after a pause."""
        self._changed.set()
        self.loop.call_later(FAILED_SECONDS, self.done, client)

    def _start(self, client: Client, intended: float) -> None:
        self._left -= 1
        self.record.started += 1
        client.start(intended)

    def _next_spare(self) -> Client | None:
        if len(self._clients) - len(self._spare) >= self._limit or self._left <= 0:
            return None
        if self._spare:
            return self._spare.pop()
        client = self._make_client(self)
        self._clients.append(client)
        return client

    def _start_spare(self) -> None:
        while (client := self._next_spare()) is not None:
            self._start(client, time.monotonic())

    def _tick(self) -> None:
        """The timer of the open model: start what is due."""
        self._timer.read()
        arrivals, now = self._arrivals, time.monotonic()
        if arrivals is None or self._is_stopping:
            return
        if arrivals.is_due(now) and len(self._clients) - len(self._spare) < self._limit:
            self.record.note_late(now - arrivals.next)
        self.record.dropped += arrivals.skip_until(now - self.plan.request.timeout_seconds)
        while arrivals.is_due(now) and (client := self._next_spare()) is not None:
            self._start(client, arrivals.take())

    def _beat(self) -> None:
        """Give up what takes too long, and notice when this process itself was kept from running."""
        now = time.monotonic()
        if self._expected_beat:
            self.record.note_late(now - self._expected_beat)
        oldest = now - self.plan.request.timeout_seconds
        for client in self._clients:
            if client.began is not None and client.began < oldest:
                client.give_up("timeout")
        pause = max(_BEAT_SECONDS, len(self._clients) * 1e-5)
        self._expected_beat = now + pause
        self.loop.call_later(pause, self._beat)

    async def _sleep_until(
        self, moment: float, *, until_finished: bool = False, until_changed: bool = False
    ) -> None:  # fmt: skip
        while (seconds := moment - time.monotonic()) > 0 and not (until_finished and self._is_finished):
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), seconds)
            except TimeoutError:
                return
            if until_changed:
                return
