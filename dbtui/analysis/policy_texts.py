"""A policy as it is written: in a profile, or with the options of a command. One word, one meaning in both.

interval = "1 month"         retention = "12 months"   premake = 4   archive = true, false or "/a/directory"
time_zone = "Europe/Paris"   grace = "1 week"   codec = "epoch ms"   values = ["a"]   modulus = 8   indexes = true
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from dbtui.analysis.partitions.policies import parse_interval, parse_retention
from dbtui.errors import UsageError
from dbtui.model.policies import ArchiveMode, Interval, IntervalUnit, KeyCodec, PartitionPolicy

_SECONDS = {IntervalUnit.HOUR: 3600, IntervalUnit.DAY: 86400, IntervalUnit.WEEK: 7 * 86400}
_MOST_PREMADE = 10_000


def with_words(policy: PartitionPolicy, words: Mapping[str, Any]) -> PartitionPolicy:
    """Return a policy with what `words` say of it. Raises UsageError; to know of which word, give one at a time."""
    for word, value in words.items():
        policy = replace(policy, **dict(_READERS[word](value)))
    return policy


Fields = Iterator[tuple[str, Any]]


def _read_interval(value: str | int) -> Fields:
    yield "interval", parse_interval(str(value))


def _read_retention(value: str | int) -> Fields:
    yield "retention", parse_retention(str(value))


def _read_premake(value: int) -> Fields:
    if not 0 <= value <= _MOST_PREMADE:
        raise UsageError(f"{value} partitions cannot be made in advance", f"use 0 to {_MOST_PREMADE}")
    yield "premake", value


def _read_archive(value: bool | str) -> Fields:
    yield "archive", ArchiveMode.DUMP if value else ArchiveMode.NONE
    yield "archive_dir", value if isinstance(value, str) else ""


def _read_time_zone(value: str) -> Fields:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError):
        raise UsageError(f"{value!r} is no time zone", 'write one of the IANA names, such as "Europe/Paris"') from None
    yield "time_zone", value


def _read_grace(value: str) -> Fields:
    yield "grace_seconds", grace_seconds(parse_retention(value))


def grace_seconds(grace: Interval | None) -> float:
    """Return how long a grace is; None: none. Raises UsageError for units that differ in length."""
    if grace is None:
        return 0.0
    if grace.unit not in _SECONDS:
        raise UsageError(f"a grace of {grace} has no fixed length", "use hours, days or weeks")
    return float(grace.count * _SECONDS[grace.unit])


def _read_codec(value: str) -> Fields:
    try:
        yield "codec", KeyCodec(value)
    except ValueError:
        known = ", ".join(each.value for each in KeyCodec)
        raise UsageError(f"{value!r} is no way to hold a time", f"use {known}") from None


def _read_values(value: list[str] | tuple[str, ...]) -> Fields:
    yield "values", tuple(value)


def _read_modulus(value: int) -> Fields:
    if value < 1:
        raise UsageError(f"a modulus of {value} divides nothing", "use 1 or more")
    yield "modulus", value


def _read_indexes(value: bool) -> Fields:
    yield "ensure_indexes", value


_READERS: dict[str, Callable[[Any], Fields]] = {
    "interval": _read_interval,
    "retention": _read_retention,
    "premake": _read_premake,
    "archive": _read_archive,
    "time_zone": _read_time_zone,
    "grace": _read_grace,
    "codec": _read_codec,
    "values": _read_values,
    "modulus": _read_modulus,
    "indexes": _read_indexes,
}
