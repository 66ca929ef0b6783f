"""The pools pane on a recording: what was seen is played again, held, stepped through, faster or slower."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.timer import Timer

from dbtui.analysis.pools import Thresholds, Track
from dbtui.jobs import JobRunner
from dbtui.model.pools import PoolsSnapshot
from dbtui.model.text import format_duration
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.cells import Line, Tone, line
from dbtui.tui.panes.pool_panels import LadderView
from dbtui.tui.panes.pools import PoolsPane

_SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 60.0)
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.05, 10.0
#: Looks before the one that is gone back to are judged anew: those of five minutes make its charts.
_BEFORE_SECONDS = 320.0


class ReplayView(LadderView):
    """The ladder of a recording."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("replay")


class ReplayPane(PoolsPane):
    """Plays snapshots in the rhythm in which they were taken."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, runner: JobRunner, looks: Sequence[PoolsSnapshot], thresholds: Thresholds | None = None) -> None:
        super().__init__(runner, thresholds=thresholds)
        self.looks = tuple(looks)
        self.place = -1  # of the look that is shown
        self.speed = 1.0
        self._timer: Timer | None = None

    VIEW: ClassVar[type[LadderView]] = ReplayView

    def on_mount(self) -> None:
        """Begin."""
        super().on_mount()
        self._is_shown = True
        self._advance()

    def start(self) -> None:
        """Nothing is asked of anybody."""

    def load(self) -> None:
        """Play it from the beginning."""
        self.act_start()

    # ------------------------------------------------------------ playing

    def _advance(self) -> None:
        if self.place + 1 < len(self.looks):
            self.place += 1
            self.show_snapshots([self.looks[self.place]])
        if self.place + 1 >= len(self.looks):
            self.is_paused = True
            self.announce(f"the recording has ended after {self._length}")
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self.is_paused or self.place + 1 >= len(self.looks):
            return
        gap = self.looks[self.place + 1].monotonic_seconds - self.looks[self.place].monotonic_seconds
        seconds = max(_SHORTEST_SECONDS, min(_LONGEST_SECONDS, gap / self.speed))
        self._timer = self.set_timer(seconds, self._advance)

    def go_to(self, place: int) -> None:
        """Show one look; what was remembered is made anew from those before it."""
        self.place = max(0, min(place, len(self.looks) - 1))
        until = self.looks[self.place].monotonic_seconds
        before = [each for each in self.looks[: self.place + 1] if each.monotonic_seconds >= until - _BEFORE_SECONDS]
        self.track, self.snapshot, self.assessment = Track(thresholds=self.thresholds), None, None
        self.load_points = []
        self.show_snapshots(before)
        self._schedule()

    @property
    def _length(self) -> str:
        return format_duration(self.looks[-1].monotonic_seconds - self.looks[0].monotonic_seconds)

    # ------------------------------------------------------------ where the operator is

    def situation(self, base: Situation) -> Situation:
        """Say that it is a recording, and where in it."""
        found = super().situation(base)
        name = self.looks[0].profile if self.looks else ""
        return replace(found, scopes=("replay", "global"), crumbs=(name, "pools", *found.crumbs[2:]), age=self._age(),
                       replay="REPLAY")  # fmt: skip

    def _age(self) -> str:
        if self.snapshot is None:
            return ""
        at = self.snapshot.monotonic_seconds - self.looks[0].monotonic_seconds
        speed = "held" if self.is_paused else f"×{self.speed:g}"
        when = f"{self.snapshot.taken_at.astimezone():%Y-%m-%d %H:%M:%S}"
        return f"{when}  {format_duration(at)} of {self._length}  {speed}"

    def _nothing(self) -> list[Line]:
        return [line(" No pool is in this look.")]

    # ------------------------------------------------------------ keys

    def act_toggle(self) -> None:
        """Hold it, or go on; at its end, from the beginning."""
        if self.is_paused and self.place + 1 >= len(self.looks):
            self.act_start()
            return
        self.is_paused = not self.is_paused
        self._schedule()

    def act_forward(self) -> None:
        """Show the next look."""
        self.is_paused = True
        if self.place + 1 < len(self.looks):
            self.place += 1
            self.show_snapshots([self.looks[self.place]])
        self._schedule()

    def act_backward(self) -> None:
        """Show the look before."""
        self.is_paused = True
        self.go_to(self.place - 1)

    def act_faster(self) -> None:
        """Play it faster."""
        self._change_speed(1)

    def act_slower(self) -> None:
        """Play it slower."""
        self._change_speed(-1)

    def _change_speed(self, step: int) -> None:
        self.speed = _SPEEDS[max(0, min(_SPEEDS.index(self.speed) + step, len(_SPEEDS) - 1))]
        self.announce(f"{self.speed:g} times as fast as it was", Tone.PLAIN)
        self._schedule()

    def act_start(self) -> None:
        """Play it from the beginning."""
        self.is_paused = False
        self.go_to(0)
