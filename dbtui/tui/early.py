"""Servers that are asked before there is a screen: they answer while the terminal UI is still being imported."""

import threading
from collections.abc import Callable, Iterable

from dbtui.model.connections import ConnectionProfile
from dbtui.routines.context import RoutineContext
from dbtui.tui import watching
from dbtui.watches import Look

#: So many targets are asked early: more would take from the import what they bring.
MOST_TARGETS = 4
#: Between two looks until the screen, which says another number, takes over.
_SECONDS = 5.0


class EarlyWatches:
    """Watches that run already. What they see is kept until `hand_over`, and goes to the receiver from then on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: list[Look] = []
        self._receive: Callable[[Look], None] | None = None
        self._watches: dict[str, watching.Watching] = {}

    def begin(self, profiles: Iterable[ConnectionProfile], context: RoutineContext) -> None:
        """Begin to look at the first of these profiles."""
        chosen = {profile.name: profile for profile in profiles}
        for profile in list(chosen.values())[:MOST_TARGETS]:
            watch = self._watches[profile.name] = watching.make_watch(profile, context, self._publish, _SECONDS)
            watch.start()

    def _publish(self, look: Look) -> None:
        """Keep a look or hand it on. On a watch's own thread."""
        with self._lock:
            if self._receive is None:
                self._looks.append(look)
                return
        self._receive(look)

    def hand_over(self, receive: Callable[[Look], None]) -> dict[str, "watching.Watching"]:
        """Give away the watches, by profile, with what they have seen."""
        with self._lock:
            for look in self._looks:
                receive(look)
            self._looks, self._receive = [], receive
        given, self._watches = self._watches, {}
        return given

    def stop(self) -> None:
        """End those that nobody took over."""
        for watch in self._watches.values():
            watch.stop()
