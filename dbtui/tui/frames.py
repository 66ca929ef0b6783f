"""What the terminal shows, remembered, so that only cells that differ are sent to it.

Textual repaints a widget when its focus or its size changes, and the whole screen when the layout does, though most
cells stay as they were. Over SSH that is most of the traffic; here it is left out before it is written.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import Compositor, CompositorUpdate
from textual.geometry import Region, Size
from textual.screen import Screen
from textual.strip import Strip

from dbtui.tui.sgr import Pen


class NotedLines(CompositorUpdate):
    """Lines that may differ, not drawn yet; None: any."""

    def __init__(self, lines: frozenset[int] | None) -> None:
        self.lines = lines

    def render_segments(self, console: Console) -> str:
        """Return nothing: `Frames` draws."""
        return ""


class NotingCompositor(Compositor):
    """Notes what is to be drawn. Textual's own draws it at once, and `Frames` would draw it a second time."""

    draws_at_once = False  # for a picture of the screen

    def render_full_update(self, simplify: bool = False) -> Any:
        """Note every line."""
        if self.draws_at_once:
            return super().render_full_update(simplify)
        self._dirty_regions.clear()
        return NotedLines(None)

    def render_partial_update(self) -> Any:
        """Note the lines of the regions that were refreshed."""
        regions, rows = list(self._dirty_regions), self.size.height
        self._dirty_regions.clear()
        lines = frozenset(y for region in regions for y in region.line_range if 0 <= y < rows)
        return NotedLines(lines) if lines else None


class NotingScreen(Screen[None]):
    """The screen that everything is drawn on."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._compositor = NotingCompositor()


class ChangedCells(CompositorUpdate):
    """Pieces of lines and where they go."""

    def __init__(self, pieces: Sequence[tuple[int, int, Strip]], cost: int = 0) -> None:
        self.pieces = tuple(pieces)
        self.cost = cost  # about how many bytes they are

    def render_segments(self, console: Console) -> str:
        """Return the pieces as terminal sequences."""
        pen = Pen(console._color_system)
        return "".join(f"\x1b[{y + 1};{x + 1}H{pen.write(strip)}" for x, y, strip in self.pieces) + pen.end()


def _plain(left: Segment, right: Segment) -> bool:
    return left.style == right.style and left.text.isascii() and right.text.isascii()


def _common_cells(old: Sequence[Segment], new: Sequence[Segment]) -> int:
    """Return how many cells at the beginning of two lines are alike."""
    cells = 0
    for left, right in zip(old, new, strict=False):
        if left == right:
            cells += right.cell_length
            continue
        if _plain(left, right):
            pairs = zip(left.text, right.text, strict=False)
            cells += next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(left.text), len(right.text)))
        break
    return cells


def _reversed(segments: Iterable[Segment]) -> list[Segment]:
    return [
        Segment(segment.text[::-1] if segment.text.isascii() else segment.text, segment.style)
        for segment in reversed(list(segments))
    ]


def changed_piece(old: Strip, new: Strip) -> tuple[int, Strip] | None:
    """Return the one piece of `new` that holds every difference to `old`, and its place; None when they are alike."""
    before, after = list(old.simplify()), list(new.simplify())
    if before == after:
        return None
    if old.cell_length != new.cell_length:
        return 0, new
    first = _common_cells(before, after)
    last = new.cell_length - _common_cells(_reversed(before), _reversed(after))
    return (first, new.simplify().crop(first, last)) if first < last else (0, new)


def changed_pieces(old: Strip, new: Strip) -> list[tuple[int, Strip]]:
    """Return the pieces of `new` that differ from `old`, and their places; cells between them stay as they are."""
    whole = changed_piece(old, new)
    if whole is None:
        return []
    before, after = _cells(old), _cells(new)
    if before is None or after is None or len(before) != len(after):
        return [whole]
    differ = [place for place, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    runs: list[list[int]] = []
    for place in differ:
        if runs and place - runs[-1][1] <= _WORTH_A_MOVE:
            runs[-1][1] = place + 1
        else:
            runs.append([place, place + 1])
    simple = new.simplify()
    return [(first, simple.crop(first, last)) for first, last in runs]


def _cells(strip: Strip) -> list[tuple[str, Style | None]] | None:
    """Return each cell of a line, None when a character is not just one cell wide."""
    cells: list[tuple[str, Style | None]] = []
    for text, style, _ in strip:
        if not text.isascii() and any(character not in _NARROW and cell_len(character) != 1 for character in text):
            return None
        cells.extend((character, style) for character in text)
    return cells


#: What moving the cursor and changing the style cost, in bytes.
_MOVE_BYTES, _STYLE_BYTES = 8, 22
#: So many cells that stay as they are cost more than moving over them.
_WORTH_A_MOVE = 8
#: So many lines are drawn at once when not all that differ may be sent.
_LINES_AT_ONCE = 8
#: What nearly all of what is drawn consists of, and no cell of it is wide.
_NARROW = frozenset("·…–—●○▲✖■▸│─╭╮╰╯├└┌┐┘▁▏▇█░▌↑↓←→⏎")


class Frames:
    """What the terminal shows, as far as it was sent, and which lines may differ from that by now."""

    def __init__(self) -> None:
        self._sent: list[Strip | None] = []
        self._size = Size(0, 0)
        self._differ: set[int] = set()
        self._next = 0

    def forget(self) -> None:
        """The terminal may show anything: the next frame is sent whole."""
        self._sent = []

    @property
    def is_behind(self) -> bool:
        """Whether something that was drawn has not been sent."""
        return bool(self._differ)

    def note(self, screen: Screen[Any], lines: Iterable[int] | None = None) -> None:
        """These lines may differ now from what was sent; None: any."""
        size = screen._compositor.size
        if size != self._size or len(self._sent) != size.height:
            self._size, self._sent, lines = size, [None] * size.height, None
        self._differ.update(range(size.height) if lines is None else lines)
        self._differ.intersection_update(range(size.height))

    def changes(self, screen: Screen[Any], most_bytes: int | None = None) -> ChangedCells:
        """Return what differs now from what was sent, about `most_bytes` of it; the rest still counts as differing.

        Lines take turns: on a slow link those at the bottom wait no longer than those at the top.
        """
        wanted = sorted(self._differ, key=lambda y: (y < self._next, y))
        if not wanted:
            return ChangedCells(())
        pieces: list[tuple[int, int, Strip]] = []
        cost, at_once = 0, len(wanted) if most_bytes is None else _LINES_AT_ONCE
        while wanted and (most_bytes is None or cost < most_bytes):
            lines, wanted = wanted[:at_once], wanted[at_once:]
            for y, new in self._render(screen, lines):
                if most_bytes is not None and cost >= most_bytes:
                    break
                self._differ.discard(y)
                self._next = y + 1
                old, self._sent[y] = self._sent[y], new
                for x, piece in [(0, new)] if old is None else changed_pieces(old, new):
                    pieces.append((x, y, piece))
                    cost += _MOVE_BYTES + sum(_STYLE_BYTES + len(segment.text) for segment in piece)
        return ChangedCells(pieces, cost)

    def _render(self, screen: Screen[Any], lines: Sequence[int]) -> Iterator[tuple[int, Strip]]:
        """Yield these lines as they are now."""
        first, last = min(lines), max(lines)
        around = Region(0, first, self._size.width, last - first + 1)
        chops = screen._compositor._render_chops(around, lines.__contains__)
        for y in lines:
            yield y, Strip.join(chops[y].values())
