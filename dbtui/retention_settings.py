"""What the configuration file says of how many backups stay, and how old the newest may be.

`keep = { last = 3, daily = 7 }`, `max_backup_age = "26 h"`.
"""

import re
from typing import TYPE_CHECKING, Any

import msgspec

from dbtui.errors import ConfigError
from dbtui.model.policies import CountedProof, RetentionPolicy

if TYPE_CHECKING:
    from dbtui.policy_settings import Source

_AGE = re.compile(r"([0-9]{1,5}) ?(min|h|d|w)", re.ASCII)
_AGE_SECONDS = {"min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_NUMBERS = ("last", "daily", "weekly", "monthly", "yearly")


class KeepTable(msgspec.Struct, forbid_unknown_fields=True):
    """What `keep` may hold."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    time_zone: str = "UTC"
    counts: str = CountedProof.COMPLETE.value


def parse_keep(source: "Source", where: tuple[str, ...], typed: KeepTable) -> RetentionPolicy:
    """Return the policy. Raises ConfigError."""
    words: dict[str, Any] = {name: getattr(typed, name) for name in _NUMBERS}
    for name, number in words.items():
        if number < 0:
            raise _error(source, where, f"{name} is {number}", "use a whole number, 0 for none")
    try:
        counts = CountedProof(typed.counts)
    except ValueError:
        known = ", ".join(each.value for each in CountedProof)
        raise _error(source, where, f"counts is {typed.counts!r}", f"use {known}") from None
    policy = RetentionPolicy(**words, time_zone=typed.time_zone, counts=counts)
    if policy.is_empty:
        raise _error(source, where, "it would keep no backup at all", "say keep = { daily = 7, weekly = 4 }")
    return policy


def parse_age(source: "Source", where: tuple[str, ...], text: str) -> float:
    """Return how many seconds old the newest backup may be; 0 for "none": as old as it likes. Raises ConfigError."""
    if text.strip() == "none":
        return 0.0
    found = _AGE.fullmatch(text.strip())
    if found is None or not int(found[1]):
        hint = 'write "26 h", "2 d" or "none"'
        raise source.error(where, "max_backup_age", f"max_backup_age: {text!r} is no age", hint)
    return int(found[1]) * _AGE_SECONDS[found[2]]


def _error(source: "Source", where: tuple[str, ...], message: str, hint: str) -> ConfigError:
    return source.error(where[:-1], where[-1], f"keep: {message}", hint)
