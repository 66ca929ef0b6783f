"""Styled text as few bytes: a colour is sent when it changes, not with each word."""

from collections.abc import Iterable
from functools import lru_cache

from rich.color import Color, ColorSystem
from rich.segment import Segment
from rich.style import Style

#: What a style is to a terminal: attributes, foreground and background, each as SGR codes.
_Look = tuple[str, str, str]
_PLAIN: _Look = ("", "39", "49")
_ATTRIBUTES = (
    ("bold", "1"),
    ("dim", "2"),
    ("italic", "3"),
    ("underline", "4"),
    ("blink", "5"),
    ("blink2", "6"),
    ("reverse", "7"),
    ("conceal", "8"),
    ("strike", "9"),
    ("underline2", "21"),
    ("frame", "51"),
    ("encircle", "52"),
    ("overline", "53"),
)
#: What ends an attribute; bold and dim end together.
_OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "7": "27"}


@lru_cache(maxsize=2048)
def _look(style: Style | None, system: ColorSystem | None) -> _Look:
    if style is None or system is None:
        return _PLAIN
    attributes = ";".join(code for name, code in _ATTRIBUTES if getattr(style, name))
    return attributes, _colour(style.color, system, True), _colour(style.bgcolor, system, False)


def _colour(colour: Color | None, system: ColorSystem, foreground: bool) -> str:
    if colour is None:
        return "39" if foreground else "49"
    return ";".join(colour.downgrade(system).get_ansi_codes(foreground))


@lru_cache(maxsize=256)
def _attribute_codes(before: str, wanted: str) -> tuple[str, ...]:
    had, wants = set(before.split(";")) - {""}, set(wanted.split(";")) - {""}
    gone = had - wants
    if not gone <= _OFF.keys():
        return ("0", wanted)
    off = {_OFF[code] for code in gone}
    kept = {code for code in wants & had if _OFF.get(code) in off}
    return (*sorted(off), *sorted((wants - had) | kept))


def _between(before: str, wanted: str) -> list[str]:
    """Return the codes that turn some attributes into others; the first is 0 when all is begun anew."""
    return [] if before == wanted else list(_attribute_codes(before, wanted))


class Pen:
    """Writes segments one after another and remembers how the last one looked."""

    def __init__(self, system: ColorSystem | None) -> None:
        self._system = system
        self._now: _Look = _PLAIN

    def write(self, segments: Iterable[Segment]) -> str:
        """Return the segments as text and what must be sent before each."""
        parts: list[str] = []
        for text, style, control in segments:
            if control:
                parts.append(text)
            elif text:
                parts.append(self._change_to(_look(style, self._system)) + text)
        return "".join(parts)

    def _change_to(self, wanted: _Look) -> str:
        before, self._now = self._now, wanted
        if wanted == before:
            return ""
        codes = _between(before[0], wanted[0])
        if codes[:1] == ["0"]:
            before = _PLAIN
        codes += [new for new, old in zip(wanted[1:], before[1:], strict=True) if new != old]
        return f"\x1b[{';'.join(code for code in codes if code)}m"

    def end(self) -> str:
        """Return what leaves the terminal plain."""
        return self._change_to(_PLAIN) and "\x1b[0m"
