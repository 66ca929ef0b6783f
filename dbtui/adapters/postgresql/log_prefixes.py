"""log_line_prefix as a pattern: what the server put before each line, taken apart again.

Source: PostgreSQL's manual, "What To Log", log_line_prefix. `%L` since 18, `%Q` since 14.
"""

import re
from dataclasses import dataclass

from dbtui.errors import UsageError

#: Names are cut at 63 bytes by the server.
_NAME = r"[^\n]{0,63}?"
_ZONE = r"[A-Za-z0-9+-]+"
_SECONDS = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_HOST = r"(?:\[local\]|[\w.:%-]*)"
#: What each escape may stand for.
ESCAPES = {
    "a": _NAME,
    "u": _NAME,
    "d": _NAME,
    "r": rf"{_HOST}(?:\(\d+\))?",
    "h": _HOST,
    "L": _HOST,
    "b": "[a-z ]*?",
    "p": r"\d+",
    "P": r"\d*",
    "t": rf"{_SECONDS} {_ZONE}",
    "m": rf"{_SECONDS}\.\d{{3}} {_ZONE}",
    "n": r"\d+\.\d{3}",
    "i": r"[^\n]{0,63}?",
    "e": "[0-9A-Z]{5}",
    "c": r"[0-9a-f]+\.[0-9a-f]+",
    "l": r"\d+",
    "s": rf"{_SECONDS} {_ZONE}",
    "v": r"(?:-?\d+/\d+)?",
    "x": r"\d+",
    "Q": r"-?\d+",
}
#: The escapes whose values are used. A client's address and port are a session where nothing better is.
WANTED = "tmncprdav"
_TOKEN = re.compile(r"%(-?\d*)(.)|([^%]+)|%")


@dataclass(frozen=True, slots=True)
class Prefix:
    """A log_line_prefix taken apart. `pattern` has one group for each name in `names`, in that order."""

    text: str
    pattern: str
    names: tuple[str, ...]

    @property
    def session(self) -> str:
        """The escape that tells sessions apart best; empty when none does."""
        return next((name for name in ("c", "p", "r") if name in self.names), "")


def parse_prefix(text: str, wanted: str = WANTED) -> Prefix:
    """Return the pattern of a log_line_prefix as it stands in postgresql.conf. `wanted`: the escapes to keep.

    Raises UsageError for an escape that PostgreSQL does not have.
    """
    parts: list[str] = []
    names: list[str] = []
    optional = 0
    for found in _TOKEN.finditer(text):
        padding, escape, literal = found.groups()
        if literal is not None:
            parts.append(re.escape(literal))
        elif escape == "%":
            parts.append("%")
        elif escape == "q":
            parts.append("(?:")
            optional += 1
        elif escape in ESCAPES:
            is_kept = escape in wanted and escape not in names
            piece = f"({ESCAPES[escape]})" if is_kept else f"(?:{ESCAPES[escape]})"
            if ESCAPES[escape] is _NAME:
                piece = rf"(?:\[unknown\]|{piece})"  # what the server writes for a name that it does not know
            parts.append(f" *{piece} *" if padding else piece)
            names += [escape] * is_kept
        else:
            raise UsageError(
                f"log_line_prefix {text!r} has {found[0]!r}, which PostgreSQL does not know",
                "give it as SHOW log_line_prefix shows it",
            )
    return Prefix(text, "".join(parts) + ")?" * optional, tuple(names))
