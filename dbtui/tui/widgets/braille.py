"""Charts of text: areas of braille dots, two moments and four heights a cell, or of plain signs for poor terminals.

Everything here is pure: points on a time axis go in, strings of one width come out.
"""

import math
from collections.abc import Iterable, Sequence

_BASE = 0x2800
#: The dots of one cell from the bottom up, of the left and of the right moment (Unicode, "Braille Patterns").
_LEFT = (0x40, 0x04, 0x02, 0x01)
_RIGHT = (0x80, 0x20, 0x10, 0x08)
_DOTS = len(_LEFT)
_PLAIN = " .:#"

Value = float | None


def bin_by_time(points: Iterable[tuple[float, float]], *, end: float, seconds: float, columns: int) -> list[Value]:
    """Return the highest value of each column of a time axis that ends at `end` and spans `seconds`; None: no point.

    Columns are fixed to the clock, not to `end`, so that a chart moves by whole columns and not by fractions of one.
    """
    if columns <= 0 or seconds <= 0:
        return []
    step = seconds / columns
    last = math.floor(end / step)
    found: list[Value] = [None] * columns
    for moment, value in points:
        column = columns - 1 - (last - math.floor(moment / step))
        if 0 <= column < columns and math.isfinite(value):
            seen = found[column]
            found[column] = value if seen is None else max(seen, value)
    return found


def fill_gaps(values: Sequence[Value], longest: int) -> list[Value]:
    """Return the values with holes of at most `longest` columns filled from the left: looks come a little unevenly."""
    filled: list[Value] = []
    hole = 0
    for value in values:
        hole = hole + 1 if value is None else 0
        filled.append(filled[-1] if value is None and 0 < hole <= longest and filled else value)
    return filled


def draw_area(values: Sequence[Value], height: int, top: float, *, braille: bool = True) -> list[str]:
    """Return `height` lines, the highest first, of an area under `values`; `top` is the value at the upper edge.

    Braille takes two values a cell, plain signs one. What is above `top` is cut; anything above nothing shows a dot.
    """
    if height <= 0:
        return []
    heights = [_dots(value, top, height) for value in values]
    if not braille:
        return ["".join(_PLAIN[_plain_step(dots, row)] for dots in heights) for row in range(height - 1, -1, -1)]
    if len(heights) % 2:
        heights.append(0)
    pairs = list(zip(heights[::2], heights[1::2], strict=True))
    return ["".join(_cell(left, right, row) for left, right in pairs) for row in range(height - 1, -1, -1)]


def draw_marks(marks: Iterable[tuple[float, str]], *, end: float, seconds: float, width: int) -> str:
    """Return one line with a `┊` and a label where each moment is on the axis; a later mark covers an earlier label."""
    if width <= 0 or seconds <= 0:
        return ""
    cells = [" "] * width
    step = seconds / width
    last = math.floor(end / step)
    for moment, label in sorted(marks):
        column = width - 1 - (last - math.floor(moment / step))
        if 0 <= column < width:
            cells[column:] = list(f"┊{label}".ljust(width))[: width - column]
    return "".join(cells)


def choose_top(values: Iterable[Value], least: float = 1.0) -> float:
    """Return a round number at or above every value: 1, 2 or 5 times a power of ten, so that scales seldom change."""
    highest = max((value for value in values if value is not None and math.isfinite(value)), default=0.0)
    if highest <= least:
        return least
    power: float = 10.0 ** math.floor(math.log10(highest))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= highest * (1 - 1e-9))


def _dots(value: Value, top: float, height: int) -> int:
    if value is None or value <= 0 or top <= 0:
        return 0
    return max(1, min(height * _DOTS, round(value / top * height * _DOTS)))


def _plain_step(dots: int, row: int) -> int:
    inside = max(0, min(_DOTS, dots - row * _DOTS))
    return math.ceil(inside * (len(_PLAIN) - 1) / _DOTS)


def _cell(left: int, right: int, row: int) -> str:
    bits = sum(dot for place, dot in enumerate(_LEFT) if left > row * _DOTS + place)
    bits |= sum(dot for place, dot in enumerate(_RIGHT) if right > row * _DOTS + place)
    return chr(_BASE + bits) if bits else " "
