"""The queries pane in a pseudo-terminal, by the real program."""

from collections.abc import Callable

from tests.tui.fix_pty import Terminal

Start = Callable[..., Terminal]


def test_a_capture_in_a_terminal(start_ui: Start) -> None:
    """A suspicion, two keys, the finding and its cure: as an operator sees it."""
    ui = start_ui("queries", columns=80, rows=24)
    ui.wait_to_see("erp-test")
    ui.press("gj5")
    ui.wait_to_see("suspect   post then 12", 60)
    ui.press("c")
    ui.wait_to_see("log_transaction_sample_rate = 0.1")
    ui.wait_until_idle(0.3)
    ui.press("y")
    ui.wait_to_see("N+1 0.")
    ui.wait_to_see("settings as before")
    ui.press("\r")
    ui.wait_to_see("cure        select(Post).options(selectinload(Post.comments))")
