"""The terminal UI from its beginning to its end: its frame takes keys and orders, and an error in it is a sentence."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbtui.model.connections import ConnectionProfile
from dbtui.tui import crash, leaving, terminal
from dbtui.tui.feel import decide_feel
from dbtui.tui.keymap import make_keymap
from dbtui.tui.orders import Orders

if TYPE_CHECKING:
    from dbtui.config import Settings
    from dbtui.model.pools import PoolsSnapshot


class DbtuiApp(Orders):
    """The terminal UI. `Frame` is what it looks like, `GlobalActions` its keys, `Orders` what its parts ask of it."""

    crash = ""

    def _handle_exception(self, error: Exception) -> None:
        """An error in dbtui itself: a sentence on the way out, the traceback (without values) in the log."""
        self.crash = self.crash or crash.record(error, terminal.LOG_NAME)
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()


def check_keys(settings: "Settings") -> None:
    """Raise ConfigError when `[keys]` keeps the terminal UI from starting."""
    make_keymap(settings.keys)


def run_ui(
    settings: "Settings",
    opened: ConnectionProfile | None,
    rich: bool | None = None,
    replay: "Sequence[PoolsSnapshot]" = (),
) -> int:
    """Run the terminal UI until the operator leaves, and return the exit code.

    `rich`: mouse, animation and a short interval although this runs over SSH. `replay`: looks of a recording to play.
    Raises UsageError without a terminal, ConfigError when the settings give keys that cannot be.
    """
    terminal.check_terminal(os.environ)
    keymap, feel = make_keymap(settings.keys), decide_feel(settings.ui, os.environ, rich)
    runner = leaving.make_runner(os.environ)
    app = DbtuiApp(runner, settings, opened, feel, keymap, replay)
    watch = terminal.Watch(lambda code: leaving.leave(app, code))
    with terminal.own_terminal(runner.history.state_dir, lambda: watch.called), watch.watching():
        app.run(mouse=feel.mouse)
        leaving.cancel_all(runner, wait_seconds=0.0 if app.is_leaving else terminal.GRACE_SECONDS)
    for sentence in ([app.crash] if app.crash else []) + leaving.left_behind(runner):
        sys.stderr.write(f"{sentence}\n")
    return app.return_code or 0
