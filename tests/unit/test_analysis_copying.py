"""By which way a copy leaves, and what is said when it would be lost."""

import pytest

from dbtui.analysis.copying import assess_copying
from dbtui.model.doctor import CopyRoute, TerminalFacts


def _tmux(**settings: str) -> TerminalFacts:
    named = tuple((name.replace("_", "-"), value) for name, value in settings.items())
    return TerminalFacts(term="tmux-256color", is_tmux=True, tmux_settings=named)


@pytest.mark.parametrize(
    ("facts", "route"),
    [
        (TerminalFacts(term="xterm-256color"), CopyRoute.PLAIN),
        (TerminalFacts(term="linux"), CopyRoute.NONE),
        (TerminalFacts(term="screen", is_screen=True), CopyRoute.SCREEN),
        (TerminalFacts(term="xterm", is_screen=True), CopyRoute.SCREEN),
        (TerminalFacts(term="screen-256color"), CopyRoute.PLAIN_AND_SCREEN),
        (_tmux(set_clipboard="on", allow_passthrough="off"), CopyRoute.PLAIN),
        (_tmux(set_clipboard="external", allow_passthrough="on"), CopyRoute.TMUX),
        (_tmux(set_clipboard="off", allow_passthrough="all"), CopyRoute.TMUX),
        (_tmux(set_clipboard="external"), CopyRoute.TMUX),  # before 3.3 all that is wrapped passes
        (_tmux(set_clipboard="external", allow_passthrough="off"), CopyRoute.NONE),
        (_tmux(), CopyRoute.PLAIN),
    ],
)
def test_the_way(facts: TerminalFacts, route: CopyRoute) -> None:
    """What is around decides."""
    assert assess_copying(facts).route is route


def test_what_stops_it_is_named_with_the_cure() -> None:
    """Both settings, and the one command."""
    way = assess_copying(_tmux(set_clipboard="external", allow_passthrough="off"))
    assert way.sentence == "tmux drops it (set-clipboard external, allow-passthrough off)"
    assert way.remedy == "tmux set -s set-clipboard on"


def test_a_tmux_that_does_not_answer_is_doubted() -> None:
    """It may be lost: sent, and remarked upon."""
    assert "does not say" in assess_copying(_tmux()).sentence
