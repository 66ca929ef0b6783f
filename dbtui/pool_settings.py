"""Pools in the configuration file: from when on one counts as filling, nearly full or too narrow; where they are read.

`[pools]` has fractions of what a pool can have, and seconds for which something must last.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from dbtui.errors import ConfigError
from dbtui.model.urls import redact_url

if TYPE_CHECKING:
    from dbtui.analysis.pools import Thresholds

TABLE = ("pools",)
_FRACTIONS = {
    "warn": ("warn_utilisation",),
    "high": ("high_utilisation",),
    "target": ("target_utilisation",),
    "cpu": ("host_cpu", "pooler_cpu"),
}
_SECONDS = {
    "warn_seconds": ("warn_seconds",),
    "high_seconds": ("high_seconds",),
    "critical_wait_seconds": ("oldest_wait_seconds",),
    "clear_seconds": ("clear_seconds",),
    "emergency_seconds": ("emergency_seconds",),
}
_LEAST, _MOST = 0.05, 1.0
_LONGEST_SECONDS = 3600.0


class PoolsTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What the section may hold; None: the default."""

    warn: float | None = None
    warn_seconds: float | None = None
    high: float | None = None
    high_seconds: float | None = None
    critical_wait_seconds: float | None = None
    clear_seconds: float | None = None
    emergency_seconds: float | None = None
    target: float | None = None
    cpu: float | None = None


class Source(Protocol):
    """The file, to say where in it something is wrong."""

    def error(self, table: tuple[str, ...], key: str, message: str, hint: str = "") -> ConfigError:
        """Return the error that names the line of a key."""
        ...


def parse_thresholds(source: Source, table: PoolsTable) -> "Thresholds":
    """Return by what the ladder is judged. Raises ConfigError."""
    from dbtui.analysis.pools import Thresholds  # judgements are loaded where somebody has chosen some

    given: dict[str, float] = msgspec.structs.asdict(table)
    values: dict[str, Any] = {}
    for key, value in given.items():
        if value is not None:
            _check(source, key, value)
            values |= dict.fromkeys(_FRACTIONS.get(key, ()) or _SECONDS[key], value)
    made = replace(Thresholds(), **values)
    if made.warn_utilisation > made.high_utilisation:
        said = f"warn is {made.warn_utilisation:g} and high is {made.high_utilisation:g}"
        raise source.error(TABLE, "warn" if table.warn is not None else "high", said, "let warn be the lower one")
    return made


def _check(source: Source, key: str, value: float) -> None:
    if key in _FRACTIONS and not _LEAST <= value <= _MOST:
        raise source.error(TABLE, key, f"{key} is {value:g}", f"use a fraction from {_LEAST:g} to 1: 0.85 is 85 %")
    if key in _SECONDS and not 0.0 <= value <= _LONGEST_SECONDS:
        raise source.error(TABLE, key, f"{key} is {value:g}", f"use 0 to {_LONGEST_SECONDS:g} seconds")


def check_places(source: Source, table: tuple[str, ...], places: Sequence[str]) -> tuple[str, ...]:
    """Return where application pools are read from: sockets by a glob, endpoints without login. Raises ConfigError."""
    for text in places:
        if not _is_place(text):
            raise source.error(
                table,
                "app_pools",
                f"app_pools: {redact_url(text)!r} is no place of application pools",
                "write unix:///run/user/1000/dbtui/*.sock, or http://127.0.0.1:9187/metrics without a login",
            )
    return tuple(places)


def _is_place(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/")) or (
            parts.scheme == "http" and bool(parts.hostname) and parts.username is None and parts.port != 0
        )
    except ValueError:  # the port or the brackets of an address
        return False
