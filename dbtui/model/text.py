"""Server, file and system text made safe to show."""

import re
import unicodedata
from collections.abc import Iterable

#: Characters that turn the direction of text around; a name must not be able to reorder the screen.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_URL_LOGIN = re.compile(r"(://[^\s:/@'\"]*:)[^\s'\"]*@")
_PASSWORD_SETTING = re.compile(r"(?i)\b((?:password|passwd|pwd)=)[^\s&'\"]+")


def format_untrusted(text: str, limit: int = 0) -> str:
    """Return `text` with control and direction characters shown as `·` and unpaired surrogates as `?`.

    `limit` (characters, 0: none) cuts the end and marks the cut with `…`.
    """
    if limit and len(text) > limit:
        text = text[: max(0, limit - 1)] + "…"
    if text.isprintable():  # no control, direction or surrogate character is
        return text
    return "".join(_format_character(character) for character in text)


def mask_passwords(text: str, known: Iterable[str] = ()) -> str:
    """Return `text` with the passwords of URLs, `password=` settings and every secret in `known` as `***`."""
    for secret in sorted((secret for secret in known if secret), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _URL_LOGIN.sub(r"\1***@", text)
    return _PASSWORD_SETTING.sub(r"\1***", text)


def _format_character(character: str) -> str:
    if character in _BIDI:
        return "·"
    category = unicodedata.category(character)
    if category == "Cs":
        return "?"
    return "·" if category in ("Cc", "Cf", "Zl", "Zp") else character


def format_bytes(size_bytes: float) -> str:
    """Return a size with the decimal unit that fits it: `143 MB`, `1.7 GB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or abs(size) >= 10 else f"{size:.1f} {unit}"


def format_count(count: int) -> str:
    """Return a row count that fits a column: `812`, `120.4 k`, `5.7 M`."""
    if abs(count) < 1000:
        return str(count)
    for divisor, unit in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        if abs(count) < divisor * 1000 or unit == "G":
            break
    return f"{count / divisor:.1f} {unit}"


def format_duration(seconds: float) -> str:
    """Return a duration in at most two units: `4 s`, `12 min`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" if whole >= 600 or whole % 60 == 0 else f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h" if whole % 3600 < 60 else f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d" if whole % 86400 < 3600 else f"{whole // 86400} d {whole % 86400 // 3600} h"
