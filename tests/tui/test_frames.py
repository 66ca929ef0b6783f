"""What is sent to the terminal, applied to what it showed, gives the new frame: with a real terminal emulator."""

import io
from typing import Any

import pyte
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from dbtui.tui.frames import ChangedCells, changed_piece, changed_pieces

WIDTH = 24
STYLES = [Style(), Style(color="red"), Style(bold=True, bgcolor="blue"), Style(reverse=True, underline=True),
          Style(bold=True, dim=True), Style(dim=True, color="#102030"), Style(strike=True)]  # fmt: skip
TEXTS = st.text(alphabet="ab █▇─●名前é", max_size=8)
LINES = st.lists(st.tuples(TEXTS, st.sampled_from(STYLES)), max_size=5)
CONSOLE = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")


def _strip(parts: list[tuple[str, Style]]) -> Strip:
    return Strip([Segment(text, style) for text, style in parts]).adjust_cell_length(WIDTH, Style())


def _cells(screen: pyte.Screen) -> list[Any]:
    return [
        (cell.data, cell.fg, cell.bg, cell.bold, cell.reverse, cell.underscore, cell.strikethrough)
        for cell in (screen.buffer[0][x] for x in range(WIDTH))
    ]


def _terminal() -> tuple[pyte.Screen, pyte.Stream]:
    screen = pyte.Screen(WIDTH + 2, 1)
    screen.reset_mode(pyte.modes.DECAWM)
    return screen, pyte.Stream(screen)


@given(LINES, LINES)
def test_a_piece_makes_the_new_line_of_the_old_one(
    before: list[tuple[str, Style]], after: list[tuple[str, Style]]
) -> None:
    """Whatever the lines hold: wide characters, several styles."""
    old, new = _strip(before), _strip(after)
    screen, stream = _terminal()
    stream.feed(ChangedCells([(0, 0, old)]).render_segments(CONSOLE))
    pieces = changed_pieces(old, new)
    stream.feed(ChangedCells([(x, 0, piece) for x, piece in pieces]).render_segments(CONSOLE))
    wanted, wanted_stream = _terminal()
    wanted_stream.feed(ChangedCells([(0, 0, new)]).render_segments(CONSOLE))
    assert _cells(screen) == _cells(wanted)


def test_equal_lines_send_nothing() -> None:
    """However their segments are cut."""
    style = Style(color="red")
    assert changed_piece(_strip([("ab", style), ("cd", style)]), _strip([("abcd", style)])) is None


def test_what_stays_between_two_changes_is_not_sent() -> None:
    """An age at the beginning, a number at the end."""
    old, new = _strip([("12 min  name  kept    7", Style())]), _strip([("13 min  name  kept    8", Style())])
    assert [(x, piece.text) for x, piece in changed_pieces(old, new)] == [(1, "3"), (22, "8")]


def test_a_colour_is_sent_once() -> None:
    """Not with each word, and not again when bold begins or ends."""
    red, bold = Style(color="red"), Style(color="red", bold=True)
    drawn = ChangedCells([(0, 0, _strip([("a ", red), ("b", red)])), (0, 1, _strip([("c", bold), ("d", red)]))])
    sent = drawn.render_segments(CONSOLE)
    assert sent.count("31") == 2
    assert "c\x1b[22md" in sent


def test_one_cell_sends_one_cell() -> None:
    """The rest of the line stays."""
    piece = changed_piece(_strip([("12 min", Style())]), _strip([("13 min", Style())]))
    assert piece is not None
    assert (piece[0], piece[1].text) == (1, "3")
