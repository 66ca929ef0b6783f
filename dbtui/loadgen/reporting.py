"""What a generator counts, and how it says so each second."""

import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from dbtui.analysis.latencies import LatencyRecorder
from dbtui.loadgen.schedule import TimedStage
from dbtui.model.loadtest import GeneratorSaid, Latencies, LoadSecond

#: These took as long as they took, and nothing came: left out they would make a bad second look good.
_WAITED_FOR = frozenset({"timeout", "unfinished", "pool timeout"})


def say(said: GeneratorSaid) -> None:
    """Write one line. Whoever does not read any more has ended: so does this process, at once."""
    line = msgspec.json.encode(said) + b"\n"
    try:
        while line:
            line = line[os.write(sys.stdout.fileno(), line) :]
    except OSError:
        os._exit(1)


class Record:
    """Counts what happens. Answers count in the second they came; their latencies in the stage that asked."""

    def __init__(self, slo_seconds: float | None, speak: Callable[[GeneratorSaid], None] = say) -> None:
        self._speak = speak
        self._slo = slo_seconds if slo_seconds is not None else float("inf")
        self._errors: Counter[str] = Counter()
        self._timed: TimedStage | None = None
        self._names: dict[int, str] = {}
        self._late_latencies: dict[int, LatencyRecorder] = {}
        self._latencies = LatencyRecorder()
        self._began = time.monotonic()
        self._cpu = _cpu_seconds()
        self.stage_number = -1
        self.started = self.completed = self.good = self.dropped = self.received = 0
        self.late_seconds = 0.0

    def begin(self, timed: TimedStage) -> None:
        """A stage begins."""
        self._timed = timed
        self.stage_number = timed.number
        self._names[timed.number] = timed.stage.name
        self._began = timed.begins

    def answered(self, stage_number: int, intended: float, now: float, kind: str = "") -> None:
        """An answer came; `kind`: it is an error of this kind."""
        seconds = now - intended
        self.completed += 1
        if kind:
            self._errors[kind] += 1
        elif seconds <= self._slo:
            self.good += 1
        if stage_number == self.stage_number:
            self._latencies.record(seconds)
        else:
            self._late(stage_number).record(seconds)

    def failed(self, stage_number: int, intended: float, now: float, kind: str) -> None:
        """No answer came."""
        self._errors[kind] += 1
        if kind in _WAITED_FOR:
            (self._latencies if stage_number == self.stage_number else self._late(stage_number)).record(now - intended)

    def note_late(self, seconds: float) -> None:
        """The generator did something this much later than it was meant to."""
        self.late_seconds = max(self.late_seconds, seconds)

    def report(self, second: int, now: float, in_flight: int, *, is_over: bool = False) -> None:
        """Say what came since the last report. `is_over`: the stage had ended already, so this makes no rate."""
        if self._timed is None:
            return
        cpu, seconds = _cpu_seconds(), max(now - self._began, 1e-9)
        self._speak(GeneratorSaid(second=LoadSecond(
            stage=self._timed.stage.name,
            second=second,
            monotonic_seconds=now,
            seconds=0.0 if is_over else seconds,
            started=self.started,
            completed=self.completed,
            good=self.good,
            dropped=self.dropped,
            errors=tuple(sorted(self._errors.items())),
            in_flight=in_flight,
            received_bytes=self.received,
            latencies=self._latencies.take(),
            generator_cpu=(cpu - self._cpu) / seconds,
            late_seconds=self.late_seconds,
        )))  # fmt: skip
        for number, recorder in self._late_latencies.items():
            self._report_late(number, second, now, recorder.take())
        self._late_latencies.clear()
        self._errors.clear()
        self.started = self.completed = self.good = self.dropped = self.received = 0
        self.late_seconds, self._began, self._cpu = 0.0, now, cpu

    def _report_late(self, number: int, second: int, now: float, latencies: Latencies) -> None:
        late = LoadSecond(
            stage=self._names[number], second=second, monotonic_seconds=now, seconds=0.0, latencies=latencies
        )
        self._speak(GeneratorSaid(second=late))

    def _late(self, number: int) -> LatencyRecorder:
        return self._late_latencies.setdefault(number, LatencyRecorder())


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
