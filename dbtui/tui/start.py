"""`dbtui` from its command to its screen: it takes the terminal, asks the first servers, and then imports the UI."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from dbtui.config import Passwords, state_dir
from dbtui.history import History
from dbtui.identities import Identities
from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile
from dbtui.routines.context import RoutineContext
from dbtui.tui import terminal
from dbtui.tui.early import EarlyWatches
from dbtui.tui.feel import decide_feel
from dbtui.tui.typed_passwords import TypedPasswords

if TYPE_CHECKING:
    from dbtui.config import Settings
    from dbtui.model.pools import PoolsSnapshot
    from dbtui.model.remotes import RemoteAddress, RemoteSettings


def make_runner(environ: Mapping[str, str], settings: "Settings | None" = None) -> JobRunner:
    """Return a runner whose history and locks are in the state directory.

    `settings` say how remotes are reached, what opens encrypted backups, and who is told how jobs end.
    """
    passwords = Passwords(environ)
    found = TypedPasswords(passwords.find)
    context = RoutineContext(
        password_of=found,
        forget_password=passwords.forget,
        environ=environ,
        remote_settings=_remote_settings(passwords, settings),
        identity_of=_identities(environ, passwords, settings).find,
    )
    runner = JobRunner(context, History(state_dir(environ)))
    if settings is not None and (settings.hooks or any(profile.hooks for profile in settings.profiles)):
        from dbtui.job_hooks import HookTeller  # most have none

        runner.tell_hooks = HookTeller(settings, context, runner.history, lambda: (*passwords.known, *found.known))
    return runner


def _remote_settings(passwords: Passwords, settings: "Settings | None") -> "Callable[[RemoteAddress], RemoteSettings]":
    def settings_of(address: "RemoteAddress") -> "RemoteSettings":
        from dbtui.remote_settings import RemoteAccess  # the first screen asks no remote

        return RemoteAccess(settings.remotes if settings else (), passwords).settings_of(address)

    return settings_of


def _identities(environ: Mapping[str, str], passwords: Passwords, settings: "Settings | None") -> Identities:
    if settings is None:
        return Identities(environ, passwords)
    return Identities(
        environ, passwords, settings.profiles, (settings.identity, settings.identity_command)
    )  # fmt: skip


def check_keys(settings: "Settings") -> None:
    """Raise ConfigError when `[keys]` keeps the terminal UI from starting."""
    from dbtui.tui.keymap import make_keymap

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
    feel = decide_feel(settings.ui, os.environ, rich)
    runner, watch, early = make_runner(os.environ, settings), terminal.Watch(), EarlyWatches()
    if runner.tells_hooks:
        watch.patience_seconds = terminal.HOOK_SECONDS
    with terminal.own_terminal(runner.history.state_dir, lambda: watch.is_in_haste):
        try:
            early.begin((*([opened] if opened else []), *settings.profiles), runner.context)
            from dbtui.tui.app import DbtuiApp, show
            from dbtui.tui.keymap import make_keymap

            app = DbtuiApp(runner, settings, opened, feel, make_keymap(settings.keys), replay, early)
            show(app, watch, feel.mouse)
        finally:
            early.stop()
    from dbtui.tui.leaving import left_behind

    for sentence in ([app.crash] if app.crash else []) + left_behind(runner):
        sys.stderr.write(f"{sentence}\n")
    return app.return_code or 0
