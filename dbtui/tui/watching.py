"""The watches of the terminal UI: one for each profile, begun one after another; what they see is taken in batches."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from dbtui.model.connections import ConnectionProfile
from dbtui.routines.context import RoutineContext
from dbtui.watches import Look, Watch

if TYPE_CHECKING:  # what only the pools pane needs
    from dbtui.tui.ladder_feed import LadderFeed

#: Between two targets that are looked at for the first time, so that a hundred of them leave room for keys.
_APART_SECONDS = 0.02


class Watching(Protocol):
    """What the UI needs of a watch; every method returns at once."""

    wants_sessions: bool

    def start(self) -> object:
        """Begin to look."""
        ...

    def stop(self) -> None:
        """End."""
        ...

    def wake(self) -> None:
        """Look now."""
        ...

    def pause(self) -> None:
        """Look no more until `resume()`."""
        ...

    def resume(self) -> None:
        """Go on, beginning now."""
        ...

    def set_interval(self, seconds: float) -> None:
        """Wait so long between two looks."""
        ...


class Early(Protocol):
    """Watches that run already, by profile: see `dbtui.tui.early`."""

    def hand_over(self, receive: Callable[[Look], None]) -> dict[str, Watching]:
        """Give them away; `receive` is called on any thread with what they see, and have seen."""
        ...


def make_watch(
    profile: ConnectionProfile, context: RoutineContext, publish: Callable[[Look], None], seconds: float
) -> Watching:
    """Return a watch that has not begun."""
    return Watch(profile, context, publish, seconds)


class Watches:
    """The watches of these profiles. `arrived` is called on the loop when looks wait that `take()` returns.

    Those of `early` run already, and are taken over.
    """

    def __init__(self, arrived: Callable[[], object], early: "Early | None" = None) -> None:
        self._arrived = arrived
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._looks: dict[str, Look] = {}
        self._begun: set[str] = set()
        self._watches: dict[str, Watching] = {}
        self._ended = False
        self._feed: LadderFeed | None = None
        self._early = early.hand_over(self._publish) if early is not None else {}

    def add(self, profile: ConnectionProfile, context: RoutineContext, seconds: float) -> None:
        """Watch a profile from now on, or soon: targets are begun one after another."""
        if profile.name in self._watches:
            return
        if profile.name in self._early:
            self._begun.add(profile.name)
            self._watches[profile.name] = self._early.pop(profile.name)
            return
        watch = self._watches[profile.name] = make_watch(profile, context, self._publish, seconds)
        self._loop.call_later((len(self._watches) - 1) * _APART_SECONDS, self._begin, profile.name, watch)

    def _begin(self, name: str, watch: Watching) -> None:
        if not self._ended and name not in self._begun:
            self._begun.add(name)
            watch.start()

    def _publish(self, look: Look) -> None:
        """Keep a look until it is taken; a newer one of the same target replaces it. On the watch's own thread."""
        feed = self._feed
        if feed is not None and feed.profile.name == look.profile:
            feed.receive(look)
        with self._lock:
            waiting = bool(self._looks)
            earlier = self._looks.get(look.profile)
            self._looks[look.profile] = look if earlier is None or earlier.sessions is None else _newest(earlier, look)
        if not waiting:
            with suppress(RuntimeError):  # the loop is closed: the operator has left
                self._loop.call_soon_threadsafe(self._arrived)

    def take(self) -> list[Look]:
        """Return what was seen since the last time."""
        with self._lock:
            taken, self._looks = self._looks, {}
        return list(taken.values())

    def __getitem__(self, name: str) -> Watching:
        return self._watches[name]

    def share(self, feed: "LadderFeed") -> None:
        """Hand what is seen of a ladder's server to it as well, until it has ended; the ladder begins now."""
        self._feed = feed
        feed.begin(self._watches.get(feed.profile.name))

    def set_pace(self, seconds: float, live: str = "", live_seconds: float = 1.0) -> None:
        """Look every so many seconds; at the target called `live` at another pace, and at its sessions too.

        A target whose ladder is watched is looked at as often as that is.
        """
        feed = self._feed if self._feed is not None and not self._feed.has_ended else None
        for name, watch in self._watches.items():
            pace, wanted = (live_seconds, True) if name == live else (seconds, False)
            if feed is not None and feed.profile.name == name:
                pace, wanted = min(pace, feed.seconds), wanted or feed.wants_sessions
            watch.set_interval(pace)
            if watch.wants_sessions != wanted:
                watch.wants_sessions = wanted

    def set_paused(self, paused: bool) -> None:
        """Ask nothing more, or go on."""
        for watch in self._watches.values():
            if paused:
                watch.pause()
            else:
                watch.resume()

    def wake(self) -> None:
        """Look at every target now."""
        for name, watch in self._watches.items():
            self._begin(name, watch)
            watch.wake()

    def stop(self) -> None:
        """End them all."""
        self._ended = True
        for name in self._begun:
            self._watches[name].stop()


def _newest(earlier: Look, look: Look) -> Look:
    return look if look.sessions is not None or look.attempt else earlier
