"""What dialogs ask with: a line of text, a choice among a few words, a button. None of them blinks."""

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Input

from dbtui.tui.cells import Line, Span, Tone, dim, line, width_of
from dbtui.tui.widgets.drawn import draw_strip
from dbtui.tui.widgets.toned import Toned


class TextInput(Input):
    """A line of text without a blinking cursor."""

    def __init__(self, value: str = "", *, placeholder: str = "", password: bool = False, **arguments: Any) -> None:
        super().__init__(value, placeholder=placeholder, password=password, compact=True, select_on_focus=False,
                         **arguments)  # fmt: skip
        self.cursor_blink = False


class Choice(Toned, can_focus=True):
    """One of a few words, all of them shown: left and right (or space) choose."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "choose(-1)", show=False),
        Binding("right,l,space", "choose(1)", show=False),
    ]

    class Changed(Message):
        """Another word was chosen."""

        def __init__(self, choice: "Choice") -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> "Choice":
            """The choice."""
            return self.choice

    def __init__(self, label: str, options: Sequence[tuple[str, str]], chosen: str = "", **arguments: Any) -> None:
        """`options` are values and the words that stand for them; `label` is cut or filled to its column."""
        super().__init__(**arguments)
        self.label = label
        self.options = tuple(options)
        values = [value for value, _ in options]
        self.place = values.index(chosen) if chosen in values else 0

    @property
    def value(self) -> str:
        """The chosen value."""
        return self.options[self.place][0] if self.options else ""

    def offer(self, options: Sequence[tuple[str, str]], chosen: str = "") -> None:
        """Offer other words; the chosen value stays if it is among them."""
        chosen = chosen or self.value
        values = [value for value, _ in options]
        self.options, self.place = tuple(options), values.index(chosen) if chosen in values else 0
        self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row."""
        return 1

    def render_line(self, y: int) -> Strip:
        """Draw the words, the chosen one marked; they scroll sideways when they do not fit."""
        width = self.size.width
        focused = self.has_focus
        label = line(Span(f"{self.label:<13}", Tone.ACCENT if focused else Tone.DIM))
        words: list[Line] = []
        for place, (_, word) in enumerate(self.options):
            if place == self.place:
                words.append((Span(f" {word} ", Tone.ACTIVE if focused else Tone.STRONG), Span(" ")))
            else:
                words.append((dim(f" {word} "), Span(" ")))
        first = 0
        while first < self.place and sum(width_of(word) for word in words[first : self.place + 1]) > width - 16:
            first += 1
        more = line(dim("… ")) if first else ()
        return draw_strip(self, (*label, *more, *(span for word in words[first:] for span in word)), width,
                          self.rich_style)  # fmt: skip

    def action_choose(self, step: int) -> None:
        """Choose the next or previous word."""
        if len(self.options) > 1:
            self.place = (self.place + step) % len(self.options)
            self.refresh()
            self.post_message(self.Changed(self))

    def on_focus(self) -> None:
        """Show it."""
        self.refresh()

    def on_blur(self) -> None:
        """Show it."""
        self.refresh()


class PushButton(Toned, can_focus=True):
    """A word to press. `dangerous` ones look like it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "push", show=False),
        Binding("left,h", "app.focus_previous", show=False),
        Binding("right,l", "app.focus_next", show=False),
    ]

    class Pushed(Message):
        """It was pressed."""

        def __init__(self, button: "PushButton") -> None:
            super().__init__()
            self.button = button

        @property
        def control(self) -> "PushButton":
            """The button."""
            return self.button

    def __init__(self, label: str, *, dangerous: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.label = label
        self.set_class(dangerous, "-dangerous")

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Its word and the brackets around it."""
        return len(self.label) + 4

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row."""
        return 1

    def render_line(self, y: int) -> Strip:
        """Draw it; the brackets show the focus where there is no colour."""
        left, right = ("[ ", " ]") if self.has_focus else ("  ", "  ")
        tone = Tone.DIM if self.disabled else Tone.PLAIN
        return draw_strip(self, line(Span(left), Span(self.label, tone), Span(right)), self.size.width, self.rich_style)

    def action_push(self) -> None:
        """Press it."""
        if not self.disabled:
            self.post_message(self.Pushed(self))

    def on_click(self, event: events.Click) -> None:
        """Press it."""
        event.stop()
        self.action_push()
