"""How far a step is, as one line of text: share, amounts, rate, time left. No terminal in here."""

from collections import deque
from dataclasses import dataclass, field

from dbtui.model.events import Progressed, StepStarted
from dbtui.model.text import format_bytes, format_count, format_duration, format_untrusted

_BAR_CELLS = 20
_WINDOW_SECONDS = 10.0
_SETTLED_SECONDS = 1.0


@dataclass(eq=False)
class ProgressMeter:
    """One step's progress. Times are monotonic seconds given by the caller."""

    step: str
    began: float
    detail: str = ""
    latest: Progressed | None = None
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    @classmethod
    def of_step(cls, event: StepStarted, now: float) -> "ProgressMeter":
        """Begin to measure a step."""
        return cls(event.step, now, event.detail)

    def note(self, progress: Progressed, now: float) -> None:
        """Take in how far the step is."""
        if self.latest is not None and (progress.unit != self.latest.unit or progress.done < self.latest.done):
            self._samples.clear()
        self.latest = progress
        self._samples.append((now, progress.done))
        while now - self._samples[0][0] > _WINDOW_SECONDS and len(self._samples) > 2:
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Units a second over the last ten seconds; None while that cannot be said."""
        if len(self._samples) < 2:
            return None
        (first, done_first), (last, done_last) = self._samples[0], self._samples[-1]
        return (done_last - done_first) / (last - first) if last - first >= _SETTLED_SECONDS else None

    @property
    def seconds_left(self) -> float | None:
        """How long the step will take at the present rate; None when the total or the rate is not known."""
        if self.latest is None or not self.latest.total or not self.rate:
            return None
        return max(0.0, (self.latest.total - self.latest.done) / self.rate)

    def format_line(self, now: float, *, bar: bool = True) -> str:
        """Return the line, such as `dump  ███████░░░  71 %  1.2 of 1.7 GB  88 MB/s  5 s left`."""
        parts = [format_untrusted(self.step, 30)]
        if self.latest is None:
            parts += [format_untrusted(self.detail, 60), format_duration(now - self.began)]
            return "  ".join(part for part in parts if part)
        if self.latest.total:
            share = min(1.0, self.latest.done / self.latest.total)
            filled = round(share * _BAR_CELLS)
            parts.append("█" * filled + "░" * (_BAR_CELLS - filled) if bar else "")
            parts.append(f"{share * 100:3.0f} %")
        parts += [format_amount(self.latest), self._format_rate(), self._format_left(now)]
        parts.append(format_untrusted(self.latest.detail, 60))
        return "  ".join(part for part in parts if part)

    def _format_rate(self) -> str:
        if self.rate is None or self.latest is None or self.latest.unit == "seconds":
            return ""
        if self.latest.unit == "bytes":
            return f"{format_bytes(self.rate)}/s"
        return f"{format_count(round(self.rate))} {self.latest.unit}/s"

    def _format_left(self, now: float) -> str:
        left = self.seconds_left
        return f"{format_duration(left)} left" if left is not None else format_duration(now - self.began)


def format_amount(progress: Progressed) -> str:
    """Return `1.2 of 1.7 GB`, or `812 tables` when there is no total."""
    done, total = progress.done, progress.total
    if progress.unit == "bytes":
        if not total:
            return format_bytes(done)
        done_text, total_text = format_bytes(min(done, total)), format_bytes(total)
        same_unit = done_text.rpartition(" ")[2] == total_text.rpartition(" ")[2]
        return f"{done_text.partition(' ')[0] if same_unit else done_text} of {total_text}"
    unit = format_untrusted(progress.unit, 20)
    return f"{format_count(done)} of {format_count(total)} {unit}" if total else f"{format_count(done)} {unit}"
