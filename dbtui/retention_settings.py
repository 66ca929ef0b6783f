"""What the configuration file says of how many backups stay: `keep = { last = 3, daily = 7 }`."""

from typing import Any

import msgspec

from dbtui.errors import ConfigError
from dbtui.model.policies import CountedProof, RetentionPolicy
from dbtui.policy_settings import Source

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


def parse_keep(source: Source, where: tuple[str, ...], typed: KeepTable) -> RetentionPolicy:
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


def _error(source: Source, where: tuple[str, ...], message: str, hint: str) -> ConfigError:
    return source.error(where[:-1], where[-1], f"keep: {message}", hint)
