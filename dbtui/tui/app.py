"""The terminal UI from its beginning to its end: its frame takes keys and orders, and an error in it is a sentence."""

import gc

from dbtui.tui import crash, leaving, terminal
from dbtui.tui.orders import Orders

#: When the first screen stands and shows what servers said.
_SETTLED_SECONDS = 1.0


class DbtuiApp(Orders):
    """The terminal UI. `Frame` is what it looks like, `GlobalActions` its keys, `Orders` what its parts ask of it."""

    crash = ""

    def on_mount(self) -> None:
        """Look for garbage from soon on, if a start has put that off."""
        if not gc.isenabled():
            self.set_timer(_SETTLED_SECONDS, settle)

    def _handle_exception(self, error: Exception) -> None:
        """An error in dbtui itself: a sentence on the way out, the traceback (without values) in the log."""
        self.crash = self.crash or crash.record(error, terminal.LOG_NAME)
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()


def settle() -> None:
    """What a start has made is kept, and never looked through again; from now on garbage is looked for."""
    gc.freeze()
    gc.set_threshold(30_000, 10, 100)
    gc.enable()


def show(app: DbtuiApp, watch: terminal.Watch, mouse: bool) -> None:
    """Run the UI on a terminal that is ours until the operator leaves."""
    with watch.watching(lambda code: leaving.leave(app, code)):
        app.run(mouse=mouse)
        leaving.cancel_all(app.runner, wait_seconds=0.0 if app.is_leaving else watch.patience_seconds)
