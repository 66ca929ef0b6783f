"""The frame of the terminal UI: header, panes, message line, jobs strip, footer, and what all its orders need of it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile, Environment, TargetStatus
from dbtui.tui.actions import Keymap, Situation, action_of, bindings_of
from dbtui.tui.cells import Tone
from dbtui.tui.early import EarlyWatches
from dbtui.tui.feel import Feel
from dbtui.tui.filtering import FilterLine
from dbtui.tui.frames import NotingScreen
from dbtui.tui.frugal import FrugalApp
from dbtui.tui.keymap import textual_keymap
from dbtui.tui.panes.connections import ConnectionsPane
from dbtui.tui.panes.pane import Pane
from dbtui.tui.themes import THEMES
from dbtui.tui.typed_passwords import TypedPasswords
from dbtui.tui.widgets.footer import Footer, MessageLine
from dbtui.tui.widgets.header import Header, PaneBar
from dbtui.tui.widgets.jobs_strip import JobsStrip

if TYPE_CHECKING:
    from dbtui.config import Settings
    from dbtui.model.pools import PoolsSnapshot
    from dbtui.tui.panes.backups import BackupsPane

AGE_SECONDS = 15.0
#: The panes in the order of their digits, and what they are called.
PANES = {"connections": "Connections", "backups": "Backups", "pools": "Pools", "partitions": "Partitions",
         "queries": "Queries", "replicas": "Replicas", "jobs": "Jobs"}  # fmt: skip


class Frame(FrugalApp, inherit_bindings=False):
    """Everything the UI does goes through `runner`; `opened` is the target it begins with."""

    TITLE = "dbtui"
    CSS_PATH = "dbtui.tcss"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("global")
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-short"), (30, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        runner: JobRunner,
        settings: "Settings",
        opened: ConnectionProfile | None = None,
        feel: Feel | None = None,
        keymap: Keymap | None = None,
        replay: "Sequence[PoolsSnapshot]" = (),
        early: EarlyWatches | None = None,
    ) -> None:
        feel = feel or Feel()
        super().__init__(feel.interval_seconds, ansi_color=True if feel.few_colours else None)
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[feel.theme].name
        self.animation_level = "full" if feel.animation else "none"
        self.keymap = keymap or {}
        self.set_keymap(textual_keymap(self.keymap))
        self.runner, self.settings, self.opened = runner, settings, opened
        self._early, found = early, runner.context.password_of
        self.passwords = found if isinstance(found, TypedPasswords) else TypedPasswords(found)
        runner.context = replace(runner.context, password_of=self.passwords)
        known = settings.profiles
        self.profiles = known if opened is None or opened in known else (*known, opened)
        self.statuses: dict[str, TargetStatus] = {}
        self.replay = tuple(replay)  # looks of a recording, shown in place of what is watched
        self.active = "pools" if replay else "connections" if opened is None else "backups"
        self.is_leaving = False

    def refresh_css(self, animate: bool = True) -> None:
        """Style everything anew. Before there is a screen nothing is styled, and will be once with this theme."""
        if self.screen_stack:
            super().refresh_css(animate)
        else:
            self.stylesheet.set_variables(self.get_css_variables())

    def get_default_screen(self) -> NotingScreen:
        """Return the screen, with the classes of its size from the beginning: else all would be laid out twice."""
        width, height = self.size
        sizes = ((width, self.HORIZONTAL_BREAKPOINTS), (height, self.VERTICAL_BREAKPOINTS))
        fitting = [[name for least, name in points or () if size >= least] for size, points in sizes]
        return NotingScreen(id="_default", classes=" ".join(names[-1] for names in fitting if names))

    def compose(self) -> ComposeResult:
        """The frame and its panes."""
        yield Header((), id="header")
        yield PaneBar((), id="pane-bar")
        with Container(id="panes"):
            yield self._make_pane("connections")
            if self.active != "connections":
                yield self._make_pane(self.active)
        yield MessageLine((), id="message")
        yield FilterLine(id="filter")
        yield JobsStrip(id="strip")
        yield Footer((), id="footer")

    def on_mount(self) -> None:
        """Begin where there is something to see."""
        if self.opened is not None:
            self.backups_pane.open_target(self.opened)
        self._show_pane(self.active)
        if self.settings.warnings:
            self.say("; ".join(self.settings.warnings), Tone.WARNING)
        self.set_interval(AGE_SECONDS, self.tick)
        self.app_resume_signal.subscribe(self, lambda _app: self.redraw())

    def tick(self) -> None:
        """Time has passed: ages may read differently."""
        if not self.stands:
            return
        for pane in self.panes:
            pane.tick()
        self.link.consider(time.monotonic())
        self.show_frame()

    def pace_changed(self, seconds: float) -> None:
        """The link takes more now, or less: servers are asked so often, and the header says when it is slow."""
        if self.stands:
            for pane in self.panes:
                pane.set_pace(seconds)
            self.show_frame()

    # ------------------------------------------------------------ panes

    def _make_pane(self, name: str) -> Pane:
        """Make a pane. What only one of them needs is imported when it is first gone to: a start has no time for it."""
        if name == "connections":
            return ConnectionsPane(self.runner, self.profiles, self.passwords, self.link.base_seconds,
                                   self._early)  # fmt: skip
        if name == "backups":
            from dbtui.tui.panes.backups import BackupsPane

            return BackupsPane(self.runner, self.profiles, self.settings)
        if name == "pools" and self.replay:
            from dbtui.tui.panes.replay import ReplayPane

            return ReplayPane(self.runner, self.replay, self.settings.thresholds)
        if name == "pools":
            from dbtui.tui.panes.pools import PoolsPane

            return PoolsPane(self.runner, self.link.base_seconds, self.settings.thresholds)
        if name == "partitions":
            from dbtui.tui.panes.partitions import PartitionsPane

            return PartitionsPane(self.runner)
        if name == "queries":
            from dbtui.tui.panes.queries import QueriesPane

            return QueriesPane(self.runner)
        if name == "replicas":
            from dbtui.tui.panes.replicas import ReplicasPane

            return ReplicasPane(self.runner, self.profiles, self.statuses)
        from dbtui.tui.panes.jobs import JobsPane

        return JobsPane(self.runner)

    @property
    def panes(self) -> Sequence[Pane]:
        """The panes that were gone to."""
        return list(self.screen_stack[0].query_one("#panes").query_children(Pane))

    @property
    def pane(self) -> Pane:
        """The pane that is shown."""
        return next(pane for pane in self.panes if pane.id == self.active)

    @property
    def stands(self) -> bool:
        """Whether the frame is there; messages still come while the app is being taken apart."""
        return bool(self.screen_stack) and bool(self.screen_stack[0].query(Footer))

    @property
    def backups_pane(self) -> "BackupsPane":
        """The backups pane, once it was gone to."""
        from dbtui.tui.panes.backups import BackupsPane

        return self.screen_stack[0].query_one(BackupsPane)

    @property
    def connections_pane(self) -> ConnectionsPane:
        """The connections pane."""
        return self.screen_stack[0].query_one(ConnectionsPane)

    async def show_pane(self, name: str) -> None:
        """Show a pane and put the focus into it; make it first, if this is the first time."""
        if all(pane.id != name for pane in self.panes):
            pane = self._make_pane(name)
            pane.display = False
            await self.screen_stack[0].query_one("#panes").mount(pane)
            if self.opened is not None:
                pane.open_target(self.opened)
        self._show_pane(name)

    def _show_pane(self, name: str) -> None:
        self.active = name
        for pane in self.panes:
            pane.display = pane.id == name
            pane.shown(pane.id == name)
        self.pane.focus_content()
        self.show_frame()

    @property
    def situation(self) -> Situation:
        """Where the operator is."""
        opened = self.opened
        base = Situation(pane=self.active, profiles=self.profiles, opened=opened, scopes=("global",),
                         status=self.statuses.get(opened.name) if opened else None,
                         jobs_running=len(self.runner.running),
                         link=self.link.badge, keymap=self.keymap)  # fmt: skip
        dialogs = self.dialogs
        if dialogs:
            here = self.pane.situation(base)
            return replace(here, scopes=dialogs[-1].scopes, overlay=dialogs[-1].dialog_title)
        table = self.pane.focused_table
        words = table.view.filter if table else ""
        found = self.pane.situation(replace(base, listing=table is not None, filtered=bool(words)))
        scopes = (*found.scopes[:-1], "pane", "global")
        return replace(found, scopes=scopes, crumbs=(*found.crumbs, f"/{words}") if words else found.crumbs)

    def show_frame(self) -> None:
        """Draw what header, pane bar, strip and footer say now; what did not change is not sent."""
        if not self.stands:
            return
        situation, screen = self.situation, self.screen_stack[0]
        screen.query_one(Header).show(situation)
        screen.set_class(self.opened is not None and self.opened.environment is Environment.PRODUCTION, "-production")
        screen.query_one(PaneBar).show(PANES, self.active, situation.jobs_running)
        screen.query_one(JobsStrip).show(self.runner.running)
        screen.query_one(Footer).show(situation)

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Say a sentence in the message line."""
        if not self.stands:
            return
        self.screen_stack[0].query_one(MessageLine).say(text, tone)

    # ------------------------------------------------------------ orders

    async def action_perform(self, action_id: str) -> None:
        """Do an action, or say why it is not allowed now. Who leaves can do nothing but leave at once."""
        if self.is_leaving:
            if action_id == "global.quit":
                self.exit(0)
            return
        action, situation = action_of(action_id), self.situation
        if self.asking or action.scope not in situation.scopes:
            return  # a question is open, or a key came late: another pane is shown now
        reason = action.reason(situation)
        if reason is not None:
            self.say(f"{action.label}: {reason}", Tone.WARNING)
            return
        self.say("")
        owner = self if action.scope == "global" else self.pane.owner_of(action.scope)
        done = getattr(owner, f"act_{action.name}")()
        if done is not None:
            await done
        self.show_frame()
