"""A slow line to a terminal: bytes leave the program's pseudo-terminal at a rate, whatever else this machine does."""

import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.tui.fix_pty import ASK, Terminal

#: How often the line takes something, and for how long it may make up for a thread that was not woken, in seconds.
_SLOT_SECONDS, _LATE_SECONDS = 0.01, 0.5


class SlowLine(threading.Thread):
    """Takes what a program writes at so many bytes a second, and notes when each piece has arrived.

    It shows the pieces on the screen of `ui` when it is asked to: what emulating a terminal costs here delays nothing.
    """

    def __init__(self, ui: Terminal, bytes_per_second: float) -> None:
        super().__init__(name="slow line", daemon=True)
        self.ui, self.rate = ui, bytes_per_second
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._ended = threading.Event()
        self._tail = b""

    def __enter__(self) -> "SlowLine":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Carry bytes until the end."""
        free_at = time.monotonic()  # when all that was taken has gone over the line
        while not self._ended.wait(_SLOT_SECONDS):
            free_at = self._take(max(free_at, time.monotonic() - _LATE_SECONDS))

    def _take(self, free_at: float) -> float:
        """Take what the line has had room for by now; return until when that keeps it busy."""
        while (now := time.monotonic()) > free_at:
            if not select.select([self.ui.process.fd], [], [], 0)[0]:
                return now
            try:
                data = os.read(self.ui.process.fd, max(1, int(self.rate * _SLOT_SECONDS)))
            except OSError:
                self._ended.set()  # the program has closed it
                return now
            free_at += len(data) / self.rate
            self._pieces.append((min(free_at, now), data))
            self._answer(data)
        return free_at

    def _answer(self, data: bytes) -> None:
        if self.ui.answers:
            seen = self._tail + data
            for _ in range(seen.count(ASK)):
                self.ui.process.write(b"\x1b[1;1R")
            self._tail = seen[-len(ASK) + 1 :] if not seen.endswith(ASK) else b""

    def show(self, seconds: float, before: Callable[[float], object] = lambda _moment: None) -> None:
        """Show what arrives for so long; `before` is called with the moment at which the screen is about to change."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            while self._pieces and self._pieces[0][0] < ends:
                moment, data = self._pieces.popleft()
                before(moment)
                self.ui.show(data)
            time.sleep(_SLOT_SECONDS)

    def show_until(self, condition: Callable[[], object], seconds: float = 30.0) -> float:
        """Show what arrives until something is so, and return how many seconds that took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < seconds, self.ui.text
            self.show(0.05)
        return time.monotonic() - began


class Staleness:
    """How far the oldest row of the screen is behind the looks at the server."""

    def __init__(self, ui: Terminal, log: Path) -> None:
        self.ui, self.log = ui, log
        self.samples: list[float] = []

    def looks(self) -> dict[int, float]:
        """When each look was made."""
        lines = self.log.read_text().splitlines(keepends=True) if self.log.exists() else []
        whole = [line.split() for line in lines if line.endswith("\n")]
        return {int(number): float(moment) for number, moment in whole}

    def shown(self) -> list[int]:
        """The looks that rows of the screen come from."""
        return [int(number) for number in re.findall(r"look (\d{5})", self.ui.text)]

    def take(self, moment: float) -> None:
        """Note how old it was at a moment: since when there had been something newer than the oldest row."""
        shown = self.shown()
        newer = self.looks().get(min(shown) + 1) if shown else None
        self.samples.append(max(0.0, moment - newer) if newer else 0.0)

    @property
    def worst(self) -> float:
        """The worst of all moments."""
        return max(self.samples, default=0.0)


def open_sessions(line: SlowLine) -> None:
    """Open the sessions of the first target as soon as it is seen, and wait for the first rows."""
    ui = line.ui
    line.show_until(lambda: "erp-test" in ui.text)
    ui.press("\r")
    line.show_until(lambda: "look 0" in ui.text)


def is_ended(ui: Terminal) -> bool:
    """Whether the program has ended."""
    return not psutil.pid_exists(ui.process.pid) or ui._is_zombie()
