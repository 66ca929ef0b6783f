"""Lags and places in words."""

import math

from dbtui.model.text import format_bytes, format_duration


def format_lag(seconds: float) -> str:
    """Return a lag: `0 s`, `0.3 s`, `41 s`, `2 min 5 s`."""
    if seconds < 0.05:
        return "0 s"
    return f"{seconds:.1f} s" if seconds < 9.95 else format_duration(seconds)


def format_promise(seconds: float) -> str:
    """Return how old a read must at least be, rounded up: `0.1 s`, `42 s`."""
    return format_lag(math.ceil(seconds * 10 + 1e-6) / 10 if seconds < 9.9 else math.ceil(seconds))


def format_behind(behind_bytes: int | None, seconds: float | None) -> str:
    """Return how far behind: `22 MB, 41 s`."""
    parts = [] if behind_bytes is None else [format_bytes(behind_bytes)]
    return ", ".join([*parts, *([] if seconds is None else [format_lag(seconds)])])


def format_left(seconds: float) -> str:
    """Return the time until something happens: `in 40 s`, `in 3 h 20 min`."""
    return f"in {format_duration(seconds)}"


def count_of(count: int, one: str, many: str = "") -> str:
    """Return `1 replica`, `2 replicas`."""
    return f"{count} {one if count == 1 else many or one + 's'}"
