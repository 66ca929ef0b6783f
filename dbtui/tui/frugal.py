"""An app that sends the terminal only what differs from what it shows."""

from typing import Any

from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.screen import Screen

from dbtui.tui.frames import Frames
from dbtui.tui.key_order import OrderedKeysApp


class FrugalApp(OrderedKeysApp, inherit_bindings=False):
    """Drawing goes through `frames`."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.frames = Frames()
        self._cursor_sent = (-1, -1)

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate) and not self._batch_count:
            lines = {span[0] for span in renderable.spans} if isinstance(renderable, ChopsUpdate) else None
            changes = self.frames.changes(screen, lines)
            cursor = (self.cursor_position.x, self.cursor_position.y)
            renderable = changes if changes.pieces or cursor != self._cursor_sent else None
            self._cursor_sent = cursor
        super()._display(screen, renderable)

    def redraw(self) -> None:
        """Send everything again: something else may have written to the terminal."""
        self.frames.forget()
        self.refresh(layout=True)
