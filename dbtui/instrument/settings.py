"""DB_POOL_SIZE, DB_MAX_OVERFLOW and DB_POOL_TIMEOUT: read, checked, and named when they are wrong."""

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from dbtui.errors import UsageError
from dbtui.model.text import format_untrusted

SIZE = "DB_POOL_SIZE"
MAX_OVERFLOW = "DB_MAX_OVERFLOW"
TIMEOUT = "DB_POOL_TIMEOUT"

_MOST_CONNECTIONS = 100_000
_MOST_SECONDS = 86_400
_MOST_BYTES = 2**62
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def read_pool_options(environ: Mapping[str, str], given: Collection[str] = ()) -> dict[str, Any]:
    """Return SQLAlchemy's options pool_size (5), max_overflow (10) and pool_timeout (30 s) as the environment has them.

    A variable that is unset or empty has its default. An option in `given` was chosen otherwise: it is not returned,
    and its variable is not looked at. Raises UsageError naming the variable, what is wrong and what is accepted.
    """
    options: dict[str, Any] = {}
    if "pool_size" not in given:
        options["pool_size"] = _read_whole(environ, SIZE, 5, least=0, meaning="0 is no limit")
    if "max_overflow" not in given:
        options["max_overflow"] = _read_whole(environ, MAX_OVERFLOW, 10, least=-1, meaning="-1 is no limit")
    if "pool_timeout" not in given:
        options["pool_timeout"] = _read_seconds(environ, TIMEOUT, 30.0)
    return options


def _read_whole(
    environ: Mapping[str, str], name: str, default: int, *, least: int, meaning: str, most: int = _MOST_CONNECTIONS
) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    accepted = f"set it to a whole number from {least} to {most} ({meaning}), such as {default}"
    if not _WHOLE.fullmatch(text) or len(text) > 20:
        raise UsageError(f"{name} is {_quote(text)}, which is not a whole number", accepted)
    if not least <= int(text) <= most:
        raise UsageError(f"{name} is {_quote(text)}, which is out of range", accepted)
    return int(text)


def _read_seconds(environ: Mapping[str, str], name: str, default: float, least: float = 0.0) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    meaning = "" if least else " (do not wait)"
    accepted = f"set it to seconds from {least:g}{meaning} to {_MOST_SECONDS}, such as {default:g}"
    if not _DECIMAL.fullmatch(text):
        raise UsageError(f"{name} is {_quote(text)}, which is not a number of seconds", accepted)
    seconds = float(text)
    if not math.isfinite(seconds) or not least <= seconds <= _MOST_SECONDS:
        raise UsageError(f"{name} is {_quote(text)}, which is out of range", accepted)
    return seconds


def read_seconds(environ: Mapping[str, str], name: str, default: float, *, least: float = 0.0) -> float:
    """Return the seconds that the environment has under `name`, `least` or more.

    Raises UsageError as `read_pool_options` does.
    """
    return _read_seconds(environ, name, default, least)


def read_bytes(environ: Mapping[str, str], name: str, default: int) -> int:
    """Return the bytes that the environment has under `name`. Raises UsageError as `read_pool_options` does."""
    return _read_whole(environ, name, default, least=0, most=_MOST_BYTES, meaning="bytes")


def _quote(text: str) -> str:
    return repr(format_untrusted(text, 40))
