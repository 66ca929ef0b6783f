"""Keys one after another: a key is looked at only when the one before it has done its work.

Textual hands a burst of keys to whatever has the focus when they arrive. Over a link that stalls, `/erp` would then
open the filter and lose its letters, and keys meant for a dialog would reach the list behind it. Here they wait: until
the key before has been used up, until a dialog that it asked for is there, and until one that it answered is gone.
"""

from collections import deque
from typing import Any

from textual import events
from textual.app import App

from dbtui.tui.dialogs.dialog import Dialog

#: A key that neither was used nor came back is given up after this long.
PATIENCE_SECONDS = 0.5


class OrderedKeysApp(App[int], inherit_bindings=False):
    """An app that takes keys in order. `asking` counts the dialogs that are open or about to be."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.asking = 0
        self._under_way: events.Key | None = None
        self._waiting: deque[events.Key] = deque()

    @property
    def dialogs(self) -> list[Dialog[Any]]:
        """The dialogs that are open, the last one on top."""
        return list(self.screen_stack[0].query(Dialog)) if self.screen_stack else []

    @property
    def holds_keys(self) -> bool:
        """Whether a dialog was asked for that takes no key: it has not got the focus yet, or was answered already."""
        return self.asking > 0 and self._open_dialog is None

    @property
    def _open_dialog(self) -> Dialog[Any] | None:
        """The dialog that keys are for."""
        return next((each for each in reversed(self.dialogs) if each.is_ready and not each.answered.done()), None)

    def _focus_dialog(self) -> None:
        """The field that had the focus may have been hidden or disabled: keys stay with the dialog all the same."""
        dialog, focused = self._open_dialog, self.screen.focused
        if dialog is not None and (focused is None or dialog not in focused.ancestors):
            dialog.focus_first()

    async def on_event(self, event: events.Event) -> None:
        """Let a key from the terminal pass, or wait."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._under_way is not None or self._waiting or self.holds_keys:
            self._waiting.append(event)
            self.next_key()
        else:
            await self._pass(event)

    async def _pass(self, event: events.Key) -> None:
        self._focus_dialog()
        self._under_way = event
        target = self.focused or self.screen
        await super().on_event(event)
        target.call_later(self._look_whether_used, event)
        self.set_timer(PATIENCE_SECONDS, lambda: self._settle(event))

    def _look_whether_used(self, event: events.Key) -> None:
        """The focused widget has seen it: if it kept it, that was all; else it is on its way up to the app."""
        if event._stop_propagation:
            self._settle(event)

    async def _on_key(self, event: events.Key) -> None:
        """It came up to the app, which now looks for a binding; after that it is done."""
        self.call_later(self._settle, event)

    def _settle(self, event: events.Key) -> None:
        if self._under_way is event:
            self._under_way = None
            self.next_key()

    def next_key(self) -> None:
        """Let the next waiting key pass, if none is under way."""
        if self._waiting and self._under_way is None and not self.holds_keys:
            self.call_later(self._pass_next)

    async def _pass_next(self) -> None:
        if self._waiting and self._under_way is None and not self.holds_keys:
            await self._pass(self._waiting.popleft())
