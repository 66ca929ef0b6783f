"""The footer: what the keys do on the focused row. What is not allowed now is greyed; pressing it says why."""

from dbtui.tui.actions import Situation, actions_in, key_name
from dbtui.tui.cells import Line, Span, Tone, dim, plain_text, width_of, wrap
from dbtui.tui.widgets.drawn import Lines


def show_footer(situation: Situation, width: int) -> Line:
    """Return the footer of a situation: as many keys as fit, the nearest first."""
    shown: list[Span] = [Span(" ")]
    actions = [action for action in actions_in(situation.scopes) if action.footer]
    for action in sorted(actions, key=lambda action: action.footer):
        allowed = action.reason(situation) is None
        key = key_name(action.keys[0])
        item = (Span(key, Tone.KEY), Span(f" {action.label}  ")) if allowed else (dim(key), dim(f" {action.label}  "))
        if width_of((*shown, *item)) - 1 <= width:
            shown.extend(item)
    return tuple(shown)


_MOST_LINES = 3


class Footer(Lines):
    """The last line of the screen."""

    def show(self, situation: Situation) -> None:
        """Show the keys of this situation."""
        self.show_lines([show_footer(situation, self.size.width)])


class MessageLine(Lines):
    """Says how the last thing ended, or why it was not allowed: one line, up to three for a long sentence."""

    _SIGNS = {Tone.OK: "● ", Tone.WARNING: "▲ ", Tone.TROUBLE: "✖ "}  # noqa: RUF012

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Say a sentence; an empty one clears the line."""
        sign = self._SIGNS.get(tone, "")
        width = max(20, self.app.size.width - 1)
        self.show_lines(wrap((Span(" "), Span(sign, tone), Span(text)), width, 1 + len(sign))[:_MOST_LINES])

    @property
    def text(self) -> str:
        """What it says."""
        return " ".join(plain_text(drawn).strip() for drawn in self.lines)
