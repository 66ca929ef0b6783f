"""Who is told when something has ended: `[hooks]` of the configuration file, and `[profiles.erp.hooks]`."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from dbtui.analysis.hooks import fits_command
from dbtui.errors import ConfigError
from dbtui.model.hooks import COMMANDS, HookSettings
from dbtui.policy_settings import Source

if TYPE_CHECKING:
    from dbtui.config import Settings

_NUMBER = re.compile(r"(\d{1,5}(?:\.\d{1,3})?) ?(ms|s|min)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, None: 1.0}
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 300.0
_ENDS = ("failure", "success")


class HooksTable(msgspec.Struct, forbid_unknown_fields=True):
    """What the section may hold; None: what the section above says."""

    on_failure: list[str] | None = None
    on_success: list[str] | None = None
    webhook_env: str | None = None
    webhook_command: list[str] | None = None
    webhook_on: list[str] | None = None
    timeout: str | float | None = None
    only: list[str] | None = None


def parse_hooks(
    source: Source, where: tuple[str, ...], typed: HooksTable, above: HookSettings | None = None
) -> HookSettings:  # fmt: skip
    """Return the settings: those of a profile begin with those of the whole file. Raises ConfigError."""
    changes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in msgspec.structs.asdict(typed).items()
        if value is not None and name != "timeout"
    }
    for name in ("on_failure", "on_success", "webhook_command"):
        if changes.get(name) and not changes[name][0]:
            raise source.error(where, name, f"{name} names no program", 'write it as ["/usr/local/bin/page-me"]')
    if typed.timeout is not None:
        changes["timeout_seconds"] = _parse_timeout(source, where, typed.timeout)
    if typed.webhook_env and typed.webhook_command:
        raise source.error(where, "webhook_command", "it has both webhook_env and webhook_command", "keep one")
    if typed.webhook_env and "://" in typed.webhook_env:
        raise source.error(where, "webhook_env", "webhook_env names a variable, not the URL itself",
                           'put the URL into a variable, and write webhook_env = "DBTUI_WEBHOOK"')  # fmt: skip
    if typed.webhook_env:
        changes["webhook_command"] = ()
    elif typed.webhook_command:
        changes["webhook_env"] = ""
    for end in typed.webhook_on or ():
        if end not in _ENDS:
            raise source.error(where, "webhook_on", f"webhook_on: {end!r} is no end", f"use {', '.join(_ENDS)}")
    for pattern in typed.only or ():
        if not fits_command(pattern):
            known = ", ".join(COMMANDS)
            raise source.error(where, "only", f"only: no command fits {pattern!r}", f"known are {known}")
    return replace(above or HookSettings(), **changes)


def secret_variables(settings: "Settings") -> frozenset[str]:
    """Return the names of the variables that the configuration says hold secrets."""
    hooks = (settings.hooks, *(each.hooks for each in settings.profiles))
    named = [*(each.password_env for each in settings.profiles), *(each.secret_env for each in settings.remotes),
             *(each.webhook_env for each in hooks if each is not None)]  # fmt: skip
    return frozenset(name for name in named if name)


def _parse_timeout(source: Source, where: tuple[str, ...], value: str | float) -> float:
    found = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    seconds = float(found[1]) * _UNITS[found[2]] if found else value if not isinstance(value, str) else -1.0
    if not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        raise _error(source, where, f"timeout is {value!r}")
    return seconds


def _error(source: Source, where: tuple[str, ...], message: str) -> ConfigError:
    return source.error(where, "timeout", message, f'use {_LEAST_SECONDS:g} to {_MOST_SECONDS:g} seconds: "20 s"')
