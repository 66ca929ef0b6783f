"""The header line: where am I, on what, how fresh."""

from collections.abc import Mapping

from dbtui.model.connections import Environment, ServerInfo
from dbtui.tui.actions import Situation
from dbtui.tui.cells import Line, Span, Tone, dim, line, spread, strong, width_of
from dbtui.tui.widgets.drawn import Lines

_SHORT = {"PostgreSQL": "PG", "MariaDB": "MariaDB", "MySQL": "MySQL", "SQLite": "SQLite"}
_SIGNS = {Environment.PRODUCTION: Span(" PROD ", Tone.PRODUCTION), Environment.STAGING: Span(" STAGING ", Tone.STAGING)}


def version_text(info: ServerInfo) -> str:
    """Return `PG 15.18`, `MariaDB 10.11.14`."""
    return f"{_SHORT.get(info.flavour, info.flavour)} {info.version}"


def environment_sign(environment: Environment) -> Span | None:
    """Return the sign of an environment that deserves care."""
    return _SIGNS.get(environment)


def show_header(situation: Situation, width: int) -> Line:
    """Return the header line of a situation."""
    crumbs: list[Span] = [Span(" dbtui", Tone.ACCENT), Span("  ")]
    for number, crumb in enumerate(situation.crumbs):
        if number:
            crumbs.append(dim(" ▸ "))
        crumbs.append(strong(crumb))
    return spread(tuple(crumbs), _facts(situation, narrow=width < 100), width)


def _facts(situation: Situation, narrow: bool) -> Line:
    gap = Span(" " if narrow else "   ")
    facts: list[Span] = [gap]
    facts += [Span(situation.link, Tone.WARNING), gap] if situation.link else []
    facts += [Span(f" {situation.replay} ", Tone.STAGING), gap] if situation.replay else []
    status, opened = situation.status, situation.opened
    if opened is not None:
        if status is not None and status.info is not None:
            facts += [Span("● ", Tone.OK), Span(status.info.role), gap, Span(version_text(status.info)), gap]
        elif status is not None:
            facts += [Span("✖ ", Tone.TROUBLE), Span("unreachable"), gap]
        sign = environment_sign(opened.environment)
        facts += [sign, gap] if sign else []
        facts += [Span("read-only", Tone.WARNING), gap] if opened.read_only else []
    if situation.age:
        facts += [dim(situation.age), Span(" ")]
    return tuple(facts)


class Header(Lines):
    """The first line of the screen. Its background says production or staging."""

    def show(self, situation: Situation) -> None:
        """Show where the operator is."""
        environment = situation.opened.environment if situation.opened else None
        self.set_class(environment is Environment.PRODUCTION, "-production")
        self.set_class(environment is Environment.STAGING, "-staging")
        self.show_lines([show_header(situation, self.size.width)])


class PaneBar(Lines):
    """The second line: the panes and their digits."""

    def show(self, titles: Mapping[str, str], active: str, jobs_running: int) -> None:
        """Show the panes; `titles` are the titles of their ids in the order of their digits."""
        roomy = show_panes(titles, active, jobs_running, gap=2)
        fits = width_of(roomy) <= self.size.width
        self.show_lines([roomy if fits else show_panes(titles, active, jobs_running, gap=0)])


def show_panes(titles: Mapping[str, str], active: str, jobs_running: int, gap: int) -> Line:
    """Return the panes with so many cells between two; with none they share the blank at their edge."""
    parts: list[Span] = [Span(" ")] if gap else []
    was_here = False
    for digit, (pane, title) in enumerate(titles.items(), 1):
        here = pane == active
        edge = Span(" ", Tone.ACTIVE if here or (was_here and not gap) else Tone.PLAIN)
        parts += [edge, Span(f"{digit} ", Tone.ACTIVE if here else Tone.KEY)]
        parts.append(Span(title, Tone.ACTIVE if here else Tone.PLAIN))
        if pane == "jobs" and jobs_running:
            parts.append(Span(f" ● {jobs_running}", Tone.ACTIVE if here else Tone.ACCENT))
        parts += [Span(" ", edge.tone), Span(" " * (gap - 1))] if gap else []
        was_here = here
    return line(*parts, Span(" ", Tone.ACTIVE if was_here and not gap else Tone.PLAIN))
