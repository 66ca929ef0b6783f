"""Primaries and their replicas while the replicas pane is in view: each group is asked by a watch of its own."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from textual.widget import Widget

from dbtui.errors import DbtuiError
from dbtui.jobs import JobRunner
from dbtui.model.replicas import ReplicasSnapshot
from dbtui.tui import replica_requests as requests
from dbtui.tui.paces import step_pace
from dbtui.tui.panes.replica_groups import Group
from dbtui.tui.workers import outcome_of, run_in_background

LOOK_SECONDS = 2.0
_LEAST_RETRY_SECONDS = 10.0
#: Of many groups each is asked so much more rarely; the first, which is that of the open target, is not.
_APART_SECONDS = 0.25


class ReplicaFeed:
    """Watches for `node`, whose `changed` is called on the loop with every look, and when there is a problem."""

    def __init__(self, node: Widget, runner: JobRunner, changed: Callable[[], object]) -> None:
        self._node, self._runner, self._changed = node, runner, changed
        self.groups: tuple[Group, ...] = ()
        self.seconds, self.least_seconds = LOOK_SECONDS, 0.0
        self.is_paused = self.is_wanted = False
        self._watches: dict[str, object] = {}  # those that are listened to, by group

    @property
    def pace(self) -> float:
        """Seconds between two looks at the first group."""
        return max(self.seconds, self.least_seconds)

    def pace_of(self, group: Group) -> float:
        """Seconds between two looks at a group."""
        is_first = bool(self.groups) and self.groups[0] is group
        return self.pace if is_first else max(self.pace, len(self.groups) * _APART_SECONDS)

    @property
    def is_watching(self) -> bool:
        """Whether it asks."""
        return bool(self._watches)

    def show_groups(self, groups: Sequence[Group]) -> None:
        """Watch these from now on; what is known of a group that was watched before is kept."""
        before = {each.name: each for each in self.groups}
        self.groups = tuple(
            kept if (kept := before.get(each.name)) is not None and (kept.profile, kept.replicas)
            == (each.profile, each.replicas) else each
            for each in groups
        )  # fmt: skip
        for group in before.values():
            if group not in self.groups:
                self._stop(group.name)
        self.adjust()

    def adjust(self) -> None:
        """Begin or end, as it is wanted now."""
        if not self.is_wanted or self.is_paused:
            self.stop()
        else:
            self._begin()

    def _begin(self, *, is_once: bool = False) -> None:
        for group in self.groups:
            if group.name not in self._watches and not group.is_misconfigured:
                watch = self._watches[group.name] = object()
                run_in_background(self._node, "watch replicas", self._follow, group, watch, is_once,
                                  group=_worker(group.name))  # fmt: skip

    def look(self) -> None:
        """Look now; while it is paused, once."""
        self.stop()
        if self.is_wanted:
            self._begin(is_once=self.is_paused)

    def stop(self) -> None:
        """Ask nothing more; what is under way is not listened to."""
        for name in list(self._watches):
            self._stop(name)

    def _stop(self, name: str) -> None:
        if self._watches.pop(name, None) is not None:
            self._node.workers.cancel_group(self._node, _worker(name))

    async def _follow(self, group: Group, watch: object, is_once: bool) -> None:
        loop = asyncio.get_running_loop()

        def arrived(snapshot: ReplicasSnapshot) -> None:
            with suppress(RuntimeError):  # the loop is closed: the operator has left
                loop.call_soon_threadsafe(self.take, group, snapshot, watch)

        while True:
            request = requests.watch(group.profile, group.replicas, lambda: self.pace_of(group), arrived,
                                     is_once=is_once)  # fmt: skip
            outcome = await outcome_of(self._runner, request)
            if self._watches.get(group.name) is watch:
                group.problem = _sentence(outcome.error)
                self._changed()
            if is_once:
                if self._watches.get(group.name) is watch:
                    del self._watches[group.name]
                return
            await asyncio.sleep(max(_LEAST_RETRY_SECONDS, self.pace_of(group)))

    def take(self, group: Group, snapshot: ReplicasSnapshot, watch: object | None = None) -> None:
        """Show a look, unless another watch has begun since."""
        if self._watches.get(group.name) is watch and self._node.is_attached and group.take(snapshot):
            self._changed()

    def change_pace(self, step: int) -> float:
        """Look more or less often; return every how many seconds."""
        self.seconds = step_pace(self.seconds, step)
        return self.pace


def _worker(name: str) -> str:
    return f"replicas of {name}"


def _sentence(error: BaseException | None) -> str:
    if isinstance(error, DbtuiError):
        return f"{error.message}; {error.hint}" if error.hint else error.message
    return f"unexpected: {type(error).__name__}: {error}" if error is not None else ""
