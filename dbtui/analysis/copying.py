"""Judgement of copying: by which way OSC 52 reaches the terminal's clipboard from here, or what stops it."""

from dbtui.model.doctor import CopyRoute, CopyWay, TerminalFacts

_TO_TMUX = "tmux set -s set-clipboard on"
_TO_FILE = "export to a file"


def assess_copying(facts: TerminalFacts) -> CopyWay:
    """Judge how a text gets from here into the terminal's clipboard.

    tmux takes OSC 52 as it is with `set-clipboard on`, and wrapped with `allow-passthrough`, which exists since 3.3:
    before, all that was wrapped passed (tmux(1), and its list of changes). GNU screen takes it wrapped in short pieces.
    """
    if facts.is_tmux:
        return _assess_tmux(facts)
    if facts.term == "linux":
        return CopyWay(CopyRoute.NONE, "a Linux console has no clipboard", _TO_FILE)
    if facts.is_screen:
        said = "GNU screen is sent it in pieces, which it hands on; whether they arrive only the terminal knows"
        return CopyWay(CopyRoute.SCREEN, said, "use tmux, or export to a file")
    if facts.term.startswith("screen"):
        said = "sent as it is and in pieces, since TERM tells of a screen or tmux further out; neither can be asked"
        return CopyWay(CopyRoute.PLAIN_AND_SCREEN, said, f"there: {_TO_TMUX}")
    return CopyWay(CopyRoute.PLAIN)


def _assess_tmux(facts: TerminalFacts) -> CopyWay:
    settings = dict(facts.tmux_settings)
    clipboard, passthrough = settings.get("set-clipboard"), settings.get("allow-passthrough")
    if clipboard is None:
        return CopyWay(CopyRoute.PLAIN, "sent as it is, but tmux does not say whether it lets it through", _TO_TMUX)
    if clipboard == "on":
        return CopyWay(CopyRoute.PLAIN)
    if passthrough in (None, "on", "all"):
        return CopyWay(CopyRoute.TMUX)
    return CopyWay(
        CopyRoute.NONE, f"tmux drops it (set-clipboard {clipboard}, allow-passthrough {passthrough})", _TO_TMUX
    )
