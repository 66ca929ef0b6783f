"""The footer: what the keys do on the focused row. What is not allowed now is greyed; pressing it says why."""

from dbtui.tui.actions import Situation, actions_in, key_name
from dbtui.tui.cells import Line, Span, Tone, dim, width_of
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


class Footer(Lines):
    """The last line of the screen."""

    def show(self, situation: Situation) -> None:
        """Show the keys of this situation."""
        self.show_lines([show_footer(situation, self.size.width)])


class MessageLine(Lines):
    """One line that says how the last thing ended, or why it was not allowed."""

    _SIGNS = {Tone.OK: "● ", Tone.WARNING: "▲ ", Tone.TROUBLE: "✖ "}  # noqa: RUF012

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Say a sentence; an empty one clears the line."""
        sign = self._SIGNS.get(tone, "")
        self.show_lines([(Span(" "), Span(sign, tone), Span(text))])

    @property
    def text(self) -> str:
        """What it says."""
        return "".join(span.text for span in self.lines[0][1:]) if self.lines else ""
