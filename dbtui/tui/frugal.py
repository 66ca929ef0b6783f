"""An app that sends the terminal only what differs from what it shows, and no faster than the terminal takes it.

While the link is busy nothing is queued: it is noted which lines may differ, and when there is room again the screen of
that moment is compared with what was sent. What was drawn in between is never sent at all.
"""

import asyncio
import time
from typing import Any

from textual import events
from textual._compositor import CompositorUpdate
from textual.driver import Driver
from textual.screen import Screen

from dbtui.tui.frames import ChangedCells, Frames, NotedLines, NotingCompositor, NotingScreen
from dbtui.tui.key_order import OrderedKeysApp
from dbtui.tui.link import Link
from dbtui.tui.output import LinkDriver


class FrugalApp(OrderedKeysApp, inherit_bindings=False):
    """Drawing goes through `frames`, as fast as `link` allows. `is_aside`: something else uses the terminal."""

    def __init__(self, base_seconds: float = 1.0, **arguments: Any) -> None:
        self.link = Link(base_seconds)
        super().__init__(**arguments)
        self.frames = Frames()
        self.is_aside = False
        self._cursor_sent = (-1, -1)
        self._due = False
        self._pace = self.link.interval_seconds

    def get_driver_class(self) -> type[Driver]:
        """Return the driver that measures."""
        return LinkDriver

    def get_default_screen(self) -> NotingScreen:
        """Return the screen that notes what is to be drawn."""
        return NotingScreen(id="_default")

    async def on_event(self, event: events.Event) -> None:
        """Let the link know of keys."""
        if isinstance(event, events.Key):
            self.link.key_came(time.monotonic())
        await super().on_event(event)

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate) and not self._batch_count:
            self.frames.note(screen, renderable.lines if isinstance(renderable, NotedLines) else None)
            renderable = self._changes(screen)
        super()._display(screen, renderable)
        if isinstance(renderable, ChangedCells) and isinstance(self._driver, LinkDriver):
            if self.link.is_worth_asking(renderable.cost, time.monotonic()):
                self._driver.ask()
            if self.link.interval_seconds != self._pace:
                self._pace = self.link.interval_seconds
                self.call_later(self.pace_changed, self._pace)

    def _changes(self, screen: Screen[Any]) -> ChangedCells | None:
        """Return what may be sent now of all that differs; what is left is looked at again soon."""
        now = time.monotonic()
        if self.is_aside or (self._due and not self.link.is_echo(now)):
            return None
        wait = self.link.wait_seconds(now)
        if wait:
            if not self._due:
                self._look_again(wait)
            return None
        changes = self.frames.changes(screen, self.link.piece_bytes)
        if self.frames.is_behind:
            self._look_again(0.0)
        cursor = (self.cursor_position.x, self.cursor_position.y)
        before, self._cursor_sent = self._cursor_sent, cursor
        return changes if changes.pieces or cursor != before else None

    def pace_changed(self, seconds: float) -> None:
        """Live data is worth another interval now."""

    def _look_again(self, wait: float) -> None:
        """Look again soon; the rest of what answers a key still answers it."""
        self._due = True
        if self.link.is_echo(now := time.monotonic()):
            self.link.key_came(now + wait)
        asyncio.get_running_loop().call_later(wait, self._display_rest)

    def _display_rest(self) -> None:
        self._due = False
        if self.is_running and self.screen_stack and self.frames.is_behind:
            self._display(self.screen, NotedLines(frozenset()))

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        """Return an SVG of the screen."""
        compositor = self.screen._compositor
        if isinstance(compositor, NotingCompositor):
            compositor.draws_at_once = True
        try:
            return super().export_screenshot(title=title, simplify=simplify)
        finally:
            if isinstance(compositor, NotingCompositor):
                compositor.draws_at_once = False

    def redraw(self) -> None:
        """Send everything again: something else may have written to the terminal."""
        self.frames.forget()
        self.refresh(layout=True)
