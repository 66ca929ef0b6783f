"""Text on its way to the screen. Everything drawn is a Span, and a Span cannot hold a control character or markup.

Server, file and operator text all pass through here: a Span makes its text safe when it is made, and the widgets turn
spans straight into styled segments, so no markup parser ever sees them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.style import Style

from dbtui.model.text import format_untrusted

#: No terminal line is longer; what is beyond this many characters could not be seen anyway.
LONGEST_TEXT = 4000
_WIDEST_LABEL = 20
_FRESH = Style(underline=True)


class Tone(StrEnum):
    """What a piece of text means. Colour never says it alone: a word or a sign stands beside it."""

    PLAIN = "plain"
    STRONG = "strong"
    DIM = "dim"
    ACCENT = "accent"
    OK = "ok"
    WARNING = "warning"
    TROUBLE = "trouble"
    KEY = "key"
    ACTIVE = "active"
    PRODUCTION = "production"
    STAGING = "staging"


@lru_cache(maxsize=4096)
def _safe_text(text: str) -> str:
    return format_untrusted(text, LONGEST_TEXT)


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text with one tone, made safe when it is made. `is_fresh`: it says something else than a moment ago."""

    text: str
    tone: Tone = Tone.PLAIN
    is_fresh: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", _safe_text(self.text))

    @property
    def width(self) -> int:
        """Its width in cells."""
        return cell_len(self.text)


Line = tuple[Span, ...]
BLANK: Line = ()


def line(*parts: str | Span) -> Line:
    """Return a line of spans; a bare string is plain."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def dim(text: str) -> Span:
    """Return text that matters less."""
    return Span(text, Tone.DIM)


def strong(text: str) -> Span:
    """Return text that matters more."""
    return Span(text, Tone.STRONG)


def fresh(span: Span, is_so: bool = True) -> Span:
    """Return text that says something else than a moment ago, if it does."""
    return replace(span, is_fresh=True) if is_so else span


def plain_text(drawn: Line) -> str:
    """Return a line's text without tones."""
    return "".join(span.text for span in drawn)


def width_of(drawn: Line) -> int:
    """Return a line's width in cells."""
    return sum(span.width for span in drawn)


def cut_text(text: str, width: int) -> str:
    """Return `text` in at most `width` cells; what was cut is marked with `…`."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def cut(drawn: Line, width: int) -> Line:
    """Return a line in at most `width` cells; what was cut is marked with `…`."""
    most = 2 * width + 64  # more characters than could be seen: endless texts need not be measured
    if any(len(span.text) > most for span in drawn):
        drawn = tuple(replace(span, text=span.text[:most]) for span in drawn)
    if width_of(drawn) <= width:
        return drawn
    kept: list[Span] = []
    for span in drawn:
        if span.width >= width:
            kept.append(replace(span, text=cut_text(span.text, width) if span.width > width else span.text))
            if not kept[-1].text.endswith("…"):
                kept[-1] = replace(span, text=cut_text(kept[-1].text + " ", width))
            break
        kept.append(span)
        width -= span.width
    return tuple(kept)


def fit(drawn: Line, width: int, side: Literal["left", "right"] = "left") -> Line:
    """Return a line of exactly `width` cells, cut or filled with blanks."""
    drawn = cut(drawn, width)
    blanks = width - width_of(drawn)
    if blanks <= 0:
        return drawn
    return (*drawn, Span(" " * blanks)) if side == "left" else (Span(" " * blanks), *drawn)


def spread(left: Line, right: Line, width: int) -> Line:
    """Return a line with `left` at its beginning and `right` at its end; `left` gives way when both do not fit."""
    right = cut(right, width)
    room = width - width_of(right)
    return (*fit(left, room), *right) if room > 0 else right


def bar(fraction: float, width: int, tone: Tone = Tone.ACCENT, rest: str = "░") -> Line:
    """Return a bar of `width` cells filled to `fraction` (0 to 1)."""
    full = round(min(1.0, max(0.0, fraction)) * width)
    return line(Span("█" * full, tone), dim(rest * (width - full)))


def size_bar(fraction: float, width: int) -> Span:
    """Return a bar without a background; anything above nothing shows at least a sliver."""
    if fraction <= 0 or width <= 0:
        return Span("")
    full = round(min(1.0, fraction) * width)
    return Span("▇" * full or "▏", Tone.ACCENT)


def hanging_indent(drawn: Line) -> int:
    """Return where the following lines of a broken line begin: after its label, sign or number, else its own blanks."""
    used = 0
    for place, span in enumerate(drawn):
        text = span.text
        if text.strip():
            is_label = text.endswith(" ") and span.width <= _WIDEST_LABEL and place + 1 < len(drawn)
            return used + (span.width if is_label else len(text) - len(text.lstrip()))
        used += span.width
    return 0


def wrap(drawn: Line, width: int) -> list[Line]:
    """Return a line broken at blanks into lines of at most `width` cells; the following ones are indented."""
    indent = hanging_indent(drawn)
    if width <= indent + 4 or width_of(drawn) <= width:
        return [drawn]
    lines: list[Line] = []
    current: list[Span] = []
    used = 0
    for word in _words(drawn, width - indent):
        if current and used + cell_len(word.text.rstrip()) > width:
            lines.append(tuple(current))
            current, used = [Span(" " * indent)], indent
        current.append(word)
        used += word.width
    return [*lines, tuple(current)]


def _words(drawn: Line, longest: int) -> Iterator[Span]:
    """Yield words with the blanks that follow them; a word longer than `longest` cells comes in pieces."""
    for span in drawn:
        for word in re.findall(r"\S+\s*|\s+", span.text):
            pieces = chop_cells(word, longest) if cell_len(word.rstrip()) > longest else [word]
            for piece in pieces:
                yield replace(span, text=piece)


def segments(drawn: Line, base: Style, tones: Mapping[Tone, Style]) -> list[Segment]:
    """Return a line as styled segments: the tones laid over a base style, and what is fresh underlined."""
    return [
        Segment(span.text, base + tones[span.tone] + _FRESH if span.is_fresh else base + tones[span.tone])
        for span in drawn
        if span.text
    ]
