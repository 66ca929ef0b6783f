"""The two kinds of surface: lines that fit, and lines that scroll. Only lines that changed are sent to the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dbtui.tui.actions import bindings_of
from dbtui.tui.cells import BLANK, Line, Tone, fit, plain_text, segments, wrap
from dbtui.tui.widgets.toned import Toned, Tones


class Drawn(ScrollView, Toned):
    """A surface of many lines: how it looks is worked out once for all of them, and anew when its style changes."""

    _looks: tuple[Style, Mapping[Tone, Style]] | None = None

    def notify_style_update(self) -> None:
        """Work it out anew."""
        self._looks = None
        super().notify_style_update()

    @property
    def looks(self) -> tuple[Style, Mapping[Tone, Style]]:
        """Its own style, and that of each tone on it."""
        if self._looks is None:
            self._looks = (self.rich_style, Tones(self))
        return self._looks


def draw_strip(widget: Toned, drawn: Line, width: int, base: Style) -> Strip:
    """Return one line of `widget` as the compositor wants it."""
    return Strip(segments(fit(drawn, width), base, Tones(widget)), width)


class Lines(Toned):
    """A few lines that are cut at the edge. `show_lines` repaints only those that differ."""

    def __init__(self, *drawn: Line, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.lines: tuple[Line, ...] = drawn

    def show_lines(self, drawn: Sequence[Line]) -> None:
        """Show these lines."""
        before, self.lines = self.lines, tuple(drawn)
        if len(before) != len(self.lines) and self.styles.height is not None and self.styles.height.is_auto:
            self.refresh(layout=True)
            return
        for y in range(max(len(before), len(self.lines))):
            if before[y : y + 1] != self.lines[y : y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as there is room."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row a line."""
        return len(self.lines)

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        drawn = self.lines[y] if y < len(self.lines) else BLANK
        return draw_strip(self, drawn, self.size.width, self.rich_style)


class TextPanel(Drawn, can_focus=True):
    """Lines that scroll. With `wraps` long lines are broken at blanks, else they scroll sideways."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("text")
    wraps: Reactive[bool] = Reactive(True, init=False)

    def __init__(self, *, wraps: bool = True, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.set_reactive(TextPanel.wraps, wraps)
        self.name_shown = ""  # whatever tells its owner what it shows
        self._source: tuple[Line, ...] = ()
        self._lines: tuple[Line, ...] = ()

    @property
    def text(self) -> str:
        """What it holds, as plain text."""
        return "\n".join(plain_text(drawn) for drawn in self._source)

    @property
    def text_width(self) -> int:
        """How wide its lines may be; a cell stays free beside the scroll bar."""
        return max(0, self.scrollable_content_region.width - 1)

    def show_text(self, drawn: Sequence[Line], *, wraps: bool = True, keep: bool = False) -> None:
        """Show these lines, from the top unless `keep`."""
        if tuple(drawn) == self._source and wraps == self.wraps:
            return
        self._source = tuple(drawn)
        self.set_reactive(TextPanel.wraps, wraps)
        self.styles.overflow_x = "hidden" if wraps else "auto"
        if not keep:
            self.scroll_to(0, 0, animate=False, immediate=True)
        self._lay_out()

    def on_resize(self) -> None:
        """Break the lines anew."""
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.text_width
        if self.wraps and width > 0:
            lines: list[Line] = []
            for drawn in self._source:
                lines.extend(wrap(drawn, width))
        else:
            lines = list(self._source)
        before, self._lines = self._lines, tuple(lines)
        widest = width if self.wraps else max((len(plain_text(drawn)) for drawn in lines), default=0)
        self.virtual_size = Size(widest, len(lines))
        if len(before) != len(self._lines):
            self.refresh()
            return
        for y, drawn in enumerate(self._lines):
            if before[y] != drawn:
                self.refresh_line(y)

    def render_line(self, y: int) -> Strip:
        """Draw one line of what is in view."""
        left, top = self.scroll_offset
        drawn = self._lines[top + y] if top + y < len(self._lines) else BLANK
        width = self.size.width
        base, tones = self.looks
        if not left:
            return Strip(segments(fit(drawn, width), base, tones), width)
        return Strip(segments(drawn, base, tones)).crop_extend(left, left + width, base)

    def action_down(self) -> None:
        """Scroll a line down."""
        self.scroll_relative(y=1, animate=False)

    def action_up(self) -> None:
        """Scroll a line up."""
        self.scroll_relative(y=-1, animate=False)

    def action_first(self) -> None:
        """Scroll to the top."""
        self.scroll_to(y=0, animate=False)

    def action_last(self) -> None:
        """Scroll to the bottom."""
        self.scroll_to(y=self.virtual_size.height, animate=False)

    def action_page_down(self) -> None:
        """Scroll a page down."""
        self.scroll_relative(y=max(1, self.size.height - 1), animate=False)

    def action_page_up(self) -> None:
        """Scroll a page up."""
        self.scroll_relative(y=-max(1, self.size.height - 1), animate=False)

    def action_left(self) -> None:
        """Scroll to the left."""
        self.scroll_relative(x=-8, animate=False)

    def action_right(self) -> None:
        """Scroll to the right."""
        self.scroll_relative(x=8, animate=False)
