"""Aligned text tables that fit the terminal; whole and unclipped when they go into a file or pipe."""

import re
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from dbtui.model.text import format_duration, format_untrusted

GAP = "  "
_WIDE = re.compile("[^\x00-\x7f]")


@dataclass(frozen=True, slots=True)
class Column:
    """A column. It may be cut down to `least` cells; when even that is too wide, the highest `drop` goes first."""

    title: str
    right: bool = False
    least: int = 0  # 0: never cut
    drop: int = 0  # 0: never dropped


def terminal_width() -> int | None:
    """Return the width of the terminal that stdout is; None when it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def show_age(seconds: float | None) -> str:
    """Return an age as a cell; empty: not known."""
    return "" if seconds is None else format_duration(seconds)


def count_cells(text: str) -> int:
    """Return how many terminal cells a printable text takes."""
    return len(text) if text.isascii() else _count_wide(text)


def _count_wide(text: str) -> int:
    return len(text) + sum(map(_cells_beyond_one, _WIDE.findall(text)))


@lru_cache(maxsize=4096)
def _cells_beyond_one(character: str) -> int:
    if unicodedata.combining(character):
        return -1
    return 1 if unicodedata.east_asian_width(character) in "WF" else 0


def cut_to_cells(text: str, cells: int) -> str:
    """Cut the end of a text so that it takes at most `cells` terminal cells, marking the cut with `…`."""
    if count_cells(text) <= cells:
        return text
    kept = ""
    for character in text:
        if count_cells(kept + character) > cells - 1:
            break
        kept += character
    return kept + "…"


def format_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Return the lines of a table with a header; every cell is treated as foreign text. `width` None: no limit.

    Long tables say the same thing often, so each different text of a column is made ready and measured once.
    """
    texts = [[row[index] for row in rows] for index in range(len(columns))]
    cells = [{text: format_untrusted(text) for text in set(column)} for column in texts]
    widths = [
        max(map(count_cells, (column.title, *known.values()))) for column, known in zip(columns, cells, strict=True)
    ]
    shown = list(range(len(columns)))
    if width is not None:
        shown = _drop_columns(columns, widths, width)
        _shrink_columns(columns, widths, shown, width)
    parts = []
    for index in shown:
        right = columns[index].right
        fitting = {text: _fit(cell, widths[index], right) for text, cell in cells[index].items()}
        title = _fit(columns[index].title, widths[index], right)
        parts.append([title, *map(fitting.__getitem__, texts[index])])
    return [GAP.join(line).rstrip() for line in zip(*parts, strict=True)]


def _drop_columns(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    shown = list(range(len(columns)))
    while _total([min(widths[i], columns[i].least or widths[i]) for i in shown]) > width:
        droppable = [index for index in shown if columns[index].drop]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda index: columns[index].drop))
    return shown


def _shrink_columns(columns: Sequence[Column], widths: list[int], shown: Sequence[int], width: int) -> None:
    while (excess := _total([widths[i] for i in shown]) - width) > 0:
        soft = [index for index in shown if columns[index].least and widths[index] > columns[index].least]
        if not soft:
            return
        widest = max(soft, key=widths.__getitem__)
        runner_up = max((widths[index] for index in soft if index != widest), default=0)
        step = max(1, min(excess, widths[widest] - max(columns[widest].least, runner_up)))
        widths[widest] -= step


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * max(0, len(widths) - 1)


def _fit(text: str, width: int, right: bool) -> str:
    if (cells := count_cells(text)) > width:
        text = cut_to_cells(text, width)
        cells = count_cells(text)
    padding = " " * (width - cells)
    return padding + text if right else text + padding
