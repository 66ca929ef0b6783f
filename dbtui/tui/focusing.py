"""The focus moves at once. Keys that come in a burst, as over a link that stalls, must not reach what had it before."""

from textual.widget import Widget


def focus_now(widget: Widget) -> None:
    """Give a widget the focus before the next key is looked at; `Widget.focus` does it some time later."""
    widget.screen.set_focus(widget, scroll_visible=False)


def is_shown(widget: Widget) -> bool:
    """Whether a widget and everything around it is displayed."""
    return all(node.display for node in widget.ancestors_with_self if isinstance(node, Widget))
