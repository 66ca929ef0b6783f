"""What the replicas pane sends, in a real pseudo-terminal at 160x45 and 80x24."""

import time
from collections.abc import Callable

import pytest

from tests.tui.fix_pty import Terminal

Start = Callable[..., Terminal]


@pytest.mark.parametrize(("columns", "rows"), [(160, 45), (80, 24)])
def test_live_replicas(start_ui: Start, columns: int, rows: int) -> None:
    """Every look is another one, list, detail and charts: at most 1.5 kB a second."""
    ui = start_ui("replicas", columns=columns, rows=rows, COLORTERM="truecolor")
    ui.wait_to_see("PG 15.18", 60)
    ui.press("g6")
    ui.wait_to_see("lagging", 60)
    for keys in ("j", "c"):
        ui.press(keys)
        ui.read(2.0)
        before, began = len(ui.output), time.monotonic()
        while time.monotonic() - began < 5:
            ui.read(0.25)
        sent = (len(ui.output) - before) / (time.monotonic() - began)
        assert 0 < sent <= 1500, (keys, sent)
