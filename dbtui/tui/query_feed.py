"""The sums of one target while the queries pane is in view: asked for one after another, late answers dropped."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from textual.widget import Widget

from dbtui.analysis.queries.live_sums import LiveLook, LiveSums
from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.tui import query_requests as requests
from dbtui.tui.paces import step_pace
from dbtui.tui.workers import outcome_of, run_in_background

LOOK_SECONDS = 3.0
PACES = (2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_GROUP = "sums"
_LEAST_RETRY_SECONDS = 10.0


class QueryFeed:
    """Watches for `node`, whose `changed` is called on the loop with every look, and when there is a problem."""

    def __init__(self, node: Widget, runner: JobRunner, changed: Callable[[], object]) -> None:
        self._node, self._runner, self._changed = node, runner, changed
        self.profile: ConnectionProfile | None = None
        self.look: LiveLook | None = None
        self.problem: BaseException | None = None
        self.seconds, self.least_seconds = LOOK_SECONDS, 0.0
        self.is_paused = self.is_wanted = False
        self._sums: dict[str, LiveSums] = {}
        self._watch: object | None = None  # the watch that is listened to
        self._asked_at: float | None = None

    @property
    def pace(self) -> float:
        """Seconds between two looks."""
        return max(self.seconds, self.least_seconds)

    @property
    def asked_seconds(self) -> float:
        """How long the first look has been waited for."""
        return time.monotonic() - self._asked_at if self._asked_at is not None and self.look is None else 0.0

    @property
    def is_watching(self) -> bool:
        """Whether it asks."""
        return self._watch is not None

    def open_target(self, profile: ConnectionProfile) -> None:
        """Watch another target from now on."""
        self.stop()
        self.profile, self.look, self.problem = profile, None, None
        self.adjust()

    def adjust(self) -> None:
        """Begin or end, as it is wanted now."""
        profile = self.profile
        wanted = self.is_wanted and not self.is_paused and profile is not None
        if not wanted or profile is None or profile.engine is EngineName.SQLITE:
            self.stop()
        elif self._watch is None:
            self._watch, self._asked_at = object(), time.monotonic()
            run_in_background(self._node, "watch sums", self._follow, profile, self._watch, group=_GROUP)

    def restart(self) -> None:
        """Look now, and from then on at the pace of now."""
        self.stop()
        self.adjust()

    def stop(self) -> None:
        """Ask nothing more; what is under way is not listened to."""
        self._watch, self._asked_at = None, None
        self._node.workers.cancel_group(self._node, _GROUP)

    async def _follow(self, profile: ConnectionProfile, watch: object) -> None:
        loop = asyncio.get_running_loop()
        sums = self._sums.setdefault(profile.name, LiveSums())

        def arrived(look: LiveLook) -> None:
            with suppress(RuntimeError):  # the loop is closed: the operator has left
                loop.call_soon_threadsafe(self.take, look, watch)

        while True:
            request = requests.watch(profile, sums, lambda: self.pace, arrived)
            outcome = await outcome_of(self._runner, request)
            if self._watch is watch:
                self.problem = outcome.error
                self._changed()
            await asyncio.sleep(max(_LEAST_RETRY_SECONDS, self.pace))

    def take(self, look: LiveLook, watch: object | None = None) -> None:
        """Show a look, unless another watch has begun since, or a newer one is shown."""
        if watch is not self._watch or not self._node.is_attached:
            return
        before = self.look
        if before is None or look.snapshot.monotonic_seconds >= before.snapshot.monotonic_seconds:
            self.look, self.problem = look, None
            self._changed()

    def change_pace(self, step: int) -> float:
        """Look more or less often; return every how many seconds."""
        self.seconds = step_pace(self.seconds, step, PACES)
        if self.is_watching:
            self.restart()
        return self.pace
