"""The footer: what the keys do on the focused row. What is not allowed now is greyed; pressing it says why."""

from dbtui.tui.actions import Action, Situation, actions_in
from dbtui.tui.cells import Line, Span, Tone, dim, plain_text, width_of, wrap
from dbtui.tui.widgets.drawn import Lines


def show_footer(situation: Situation, width: int) -> Line:
    """Return the footer of a situation: as many keys as fit, the nearest first; the key of the help is always there."""
    actions = [
        action
        for action in actions_in(situation.scopes)
        if action.footer and action.fits(situation) and situation.key_of(action)
    ]
    actions.sort(key=lambda action: action.footer)
    room = width - 1
    kept: set[str] = set()
    for action in sorted(actions, key=lambda action: (action.action_id != "global.help", action.footer)):
        needed = width_of(_item(action, situation)) + (2 if kept else 0)
        if needed <= room:
            kept.add(action.action_id)
            room -= needed
    shown: list[Span] = [Span(" ")]
    for action in actions:
        if action.action_id in kept:
            shown += [*(Span("  "),) * (len(shown) > 1), *_item(action, situation)]
    return tuple(shown)


def _item(action: Action, situation: Situation) -> Line:
    key, label = situation.key_of(action), f" {action.label}"
    if action.reason(situation) is None:
        return (Span(key, Tone.KEY), Span(label))
    return (dim(key), dim(label))


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
        words: Line = (Span(" "), Span(sign, tone), Span(text)) if sign else (Span(f" {text}"),)
        self.show_lines(wrap(words, width)[:_MOST_LINES])

    @property
    def text(self) -> str:
        """What it says."""
        return " ".join(plain_text(drawn).strip() for drawn in self.lines)
