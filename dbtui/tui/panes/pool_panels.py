"""What the pools pane is made of: the surface of ladder and pools, and the charts."""

import os
from collections.abc import Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import Vertical

from dbtui.tui.actions import bindings_of
from dbtui.tui.panes import pool_charts as charts
from dbtui.tui.widgets.drawn import Lines


class LadderView(Vertical):
    """The ladder, the charts and the pools."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("pools")


class ChartPanel(Lines):
    """The charts, drawn for whatever room there is."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._has_braille = charts.braille_fits(os.environ)
        self._shown: tuple[Sequence[charts.Chart], charts.Axis, Sequence[tuple[float, str]]] | None = None

    def show_charts(
        self, drawn: Sequence[charts.Chart], axis: charts.Axis, marks: Sequence[tuple[float, str]]
    ) -> None:  # fmt: skip
        """Show these."""
        self._shown = (drawn, axis, marks)
        self._draw()

    def on_resize(self) -> None:
        """Draw them for another size."""
        self._draw()

    def _draw(self) -> None:
        if self._shown is not None:
            drawn, axis, marks = self._shown
            self.show_lines(charts.draw_charts(drawn, axis, marks, self.size.width, self.size.height,
                                               braille=self._has_braille))  # fmt: skip
