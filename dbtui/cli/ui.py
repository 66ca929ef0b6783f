"""`dbtui [TARGET]`: opens the terminal UI."""

import gc
import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbtui.config import Settings
    from dbtui.model.connections import EngineName


def open_ui(target: str | None = None, rich: bool | None = None, replay: str | None = None) -> int:
    """Check that there is a terminal, find the target, and hand over; returns the exit code.

    `rich`: what --rich or --frugal said; `replay`: the recording to play. Raises UsageError, ConfigError.
    """
    gc.disable()  # what a start makes is kept: the UI looks for garbage when it stands
    if replay is not None:
        return _play(replay, rich)
    from dbtui.config import DATABASE_URL, load_settings, resolve_target
    from dbtui.errors import UsageError

    settings = load_settings(os.environ)
    try:
        wanted = target is not None or bool(os.environ.get(DATABASE_URL))
        opened = resolve_target(settings, target, os.environ) if wanted else None
    except UsageError as error:
        raise _with_command_hint(error, target or "") from None
    check_terminal()
    import_first({profile.engine for profile in (*settings.profiles, *([opened] if opened else []))})
    from dbtui.tui.start import run_ui

    return run_ui(settings, opened, rich)


def check_keys(settings: "Settings") -> None:
    """Raise ConfigError when `[keys]` keeps the terminal UI from starting; only the UI knows its actions."""
    if settings.keys:
        from dbtui.tui.start import check_keys as check

        check(settings)


def _play(name: str, rich: bool | None) -> int:
    """Play a recording. Of the configuration only what the UI looks like counts: no target is looked at."""
    from dataclasses import replace
    from pathlib import Path

    from dbtui.config import load_settings
    from dbtui.errors import UsageError
    from dbtui.recordings import read_recording

    looks = tuple(read_recording(Path(name)))
    if not looks:
        raise UsageError(f"{name} holds no look at pools", "it ended before the first one was written")
    check_terminal()
    from dbtui.tui.start import run_ui

    settings = replace(load_settings(os.environ), profiles=(), warnings=())
    return run_ui(settings, None, rich, looks)


def import_first(engines: "Collection[EngineName]") -> None:
    """Import what would import Python's TLS without using it, while it is not there; afterwards it is again.

    asyncio and psycopg2 look for it, and do without when there is none: the UI speaks through asyncio with its
    terminal alone, and libpq has a library of its own. A second one costs six megabytes. No thread runs yet. MySQL's
    driver uses it.
    """
    from dbtui.model.connections import EngineName
    from dbtui.routines.context import RoutineContext

    name = "ssl"
    if name in sys.modules or EngineName.MYSQL in engines:
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import asyncio  # noqa: F401

        if EngineName.POSTGRESQL in engines:
            RoutineContext().adapter(EngineName.POSTGRESQL)
    finally:
        del sys.modules[name]


def _with_command_hint(error: Exception, word: str) -> Exception:
    """A first word that is neither command nor target was perhaps meant to be a command."""
    import difflib

    from dbtui.cli.main import COMMANDS
    from dbtui.errors import UsageError

    if isinstance(error, UsageError) and (near := difflib.get_close_matches(word, COMMANDS, 1)):
        return UsageError(f"there is no command or profile {word!r}", f"did you mean dbtui {near[0]}?")
    return error


def check_terminal() -> None:
    """Raise UsageError unless there is a terminal that can be drawn on."""
    from dbtui.errors import UsageError

    hint = "run it in a terminal, or use the commands; see dbtui --help"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the terminal UI needs a terminal for input and output", hint)
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise UsageError(f"the terminal UI cannot draw on TERM={os.environ.get('TERM', '')!r}", hint)
