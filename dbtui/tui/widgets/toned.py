"""Widgets that draw in tones: how a tone looks on one of them is worked out when it is first drawn there.

Textual works out every component class of every widget whenever a class of an ancestor changes. A screen has some
twenty surfaces with a dozen tones each, and most draw with three of them, or are not shown at all.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rich.style import Style
from textual.css.styles import RenderStyles
from textual.dom import DOMNode
from textual.widget import Widget

from dbtui.tui.cells import Tone


class _Parts(dict[str, RenderStyles]):
    """The style of each component class that was asked for."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self._widget = widget

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, name: str) -> RenderStyles:
        part = DOMNode(classes=name)
        part._attach(self._widget)
        self._widget.app.stylesheet.apply(part)
        self[name] = part.styles
        return part.styles


class Toned(Widget):
    """A widget whose component classes are whatever it asks the style sheet for."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._component_styles = _Parts(self)

    def _get_component_classes(self) -> frozenset[str]:  # type: ignore[override]
        """Textual asks each time its style sheet was applied: what was drawn with may look different now."""
        before = dict(self._component_styles)
        self._component_styles.clear()
        if any(self._component_styles[name] != styles for name, styles in before.items()):
            self.notify_style_update()
            self.refresh()
        return frozenset()


class Tones(dict[Tone, Style]):
    """How each tone looks on a widget, as its style sheet says; `known` come before that."""

    def __init__(self, widget: Toned, known: Mapping[Tone, Style] = MappingProxyType({})) -> None:
        super().__init__(known)
        self._widget = widget

    def __missing__(self, tone: Tone) -> Style:
        style = self[tone] = self._widget.get_component_rich_style(f"tone--{tone.value}", partial=True)
        return style
