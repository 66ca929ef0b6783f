"""Pane 1: every profile, watched all the time; inside one, its sessions."""

from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message

from dbtui.jobs import Job, JobRunner
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobOutcome
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.dialogs.password import PasswordDialog
from dbtui.tui.early import EarlyWatches
from dbtui.tui.focusing import focus_now, is_shown
from dbtui.tui.messages import SituationChanged, StatusCollected, TargetOpened
from dbtui.tui.paces import step_pace
from dbtui.tui.panes.connection_detail import EMPTY, show_connection, show_profile
from dbtui.tui.panes.connection_rows import Row, connection_columns, connection_search, row_after
from dbtui.tui.panes.pane import Pane
from dbtui.tui.panes.sessions import SessionsView
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.typed_passwords import TypedPasswords
from dbtui.tui.watching import Watches
from dbtui.tui.widgets.drawn import TextPanel
from dbtui.tui.widgets.table import Table
from dbtui.watches import Look

if TYPE_CHECKING:  # what only the pools pane needs
    from dbtui.tui.ladder_feed import LadderFeed

#: How often a list of profiles is asked, at least: each of a hundred takes its share.
LIST_SECONDS, SHARE_SECONDS = 5.0, 0.1
HIDDEN_SECONDS = 30.0
LIVE_SECONDS = 1.0
_DRAW_SECONDS = 0.4
#: On a slow link the list is drawn more seldom, though never so seldom that it is old.
_LIST_DRAW_SECONDS = 1.0
#: An answer that is so much later than the pace has it is missed.
_LATE_SECONDS = 3.0


class ListView(Vertical):
    """The list of profiles and all about the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("connections")


class ConnectionsPane(Pane):
    """The list of profiles; inside one of them its sessions. Looks come from one watch for each profile."""

    TITLE: ClassVar[str] = "Connections"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("live")

    class LooksArrived(Message):
        """Looks wait to be taken."""

    def __init__(
        self,
        runner: JobRunner,
        profiles: tuple[ConnectionProfile, ...],
        passwords: TypedPasswords,
        live_seconds: float = LIVE_SECONDS,
        early: EarlyWatches | None = None,
    ) -> None:
        super().__init__(id="connections")
        self._runner, self._passwords, self._early = runner, passwords, early
        self.rows: dict[str, Row] = {profile.name: Row(profile) for profile in profiles}
        self.viewing = ""  # the profile whose sessions are shown
        self.is_paused = False
        self.live_seconds = self._usual_seconds = live_seconds
        self.list_seconds = max(LIST_SECONDS, SHARE_SECONDS * len(profiles))
        self.least_seconds = 0.0  # what a slow link allows
        self._is_shown = False
        self._watches: Watches | None = None
        self._drawn_at = 0.0
        self._is_waiting = self._is_late = False
        self._paced_at = _utc_now()  # looks are due since then at the present pace

    def compose(self) -> ComposeResult:
        """Both levels; one of them is shown."""
        with ListView(id="list-view", classes="split"):
            table: Table[Row] = Table(connection_columns(_utc_now), lambda row: row.profile.name, connection_search,
                                      live=True, id="profiles", classes="list")  # fmt: skip
            yield table
            with Horizontal(classes="detail"):
                yield TextPanel(id="profile-detail")
                yield TextPanel(id="profile-more")
        yield SessionsView(self._runner)

    @property
    def table(self) -> Table[Row]:
        """The list."""
        return self.query_one("#profiles", Table)

    @property
    def sessions(self) -> SessionsView:
        """The sessions of a target."""
        return self.query_one(SessionsView)

    # ------------------------------------------------------------ watching

    def on_mount(self) -> None:
        """Show the profiles, and watch each."""
        self._show_level()
        self.table.show_rows(list(self.rows.values()), EMPTY)
        self._watches = Watches(lambda: self.post_message(self.LooksArrived()), self._early)
        for row in self.rows.values():
            self._watches.add(row.profile, self._runner.context, self.list_seconds)
        self._set_pace()
        self.set_interval(1.0, self._count_down)

    def on_unmount(self) -> None:
        """Nobody looks any more."""
        if self._watches is not None:
            self._watches.stop()

    def _set_pace(self) -> None:
        if self._watches is None:
            return
        seconds = self.list_seconds if self._is_shown else HIDDEN_SECONDS
        live = self.viewing if self._is_shown else ""
        self._paced_at = _utc_now()
        self._watches.set_pace(max(seconds, self.least_seconds), live, max(self.live_seconds, self.least_seconds))

    def set_pace(self, seconds: float) -> None:
        """Look, and draw, no more often than this when the terminal's link takes no more."""
        self.least_seconds = seconds if seconds > self._usual_seconds else 0.0
        self.sessions.marks_changes = not self.least_seconds
        self._set_pace()

    def share(self, feed: "LadderFeed | None") -> None:
        """Hand what is seen of a target's server to its ladder, from now on; or look at it at another pace."""
        if self._watches is not None:
            if feed is not None:
                self._watches.share(feed)
            self._set_pace()

    def shown(self, in_view: bool) -> None:
        """Out of sight, targets are looked at now and then only."""
        if in_view != self._is_shown:
            self._is_shown = in_view
            self._set_pace()
            if in_view and self._watches is not None:
                self._take()

    def on_connections_pane_looks_arrived(self, message: LooksArrived) -> None:
        """Draw what was seen, at most a few times a second."""
        message.stop()
        hold = _DRAW_SECONDS if self.viewing else max(_DRAW_SECONDS, min(_LIST_DRAW_SECONDS, self.least_seconds / 2))
        left = self._drawn_at + hold - monotonic()
        if left <= 0:
            self._take()
        elif not self._is_waiting:
            self._is_waiting = True
            self.set_timer(left, self._take)

    def _take(self) -> None:
        self._is_waiting = False
        looks = self._watches.take() if self._watches is not None else []
        if (looks and not self.viewing) or any(look.profile == self.viewing for look in looks):
            self._drawn_at = monotonic()
        if looks and self.is_attached:
            self.show_looks(looks)

    def show_looks(self, looks: list[Look]) -> None:
        """Show looks at targets; one older than what is shown is dropped."""
        for look in looks:
            row = self.rows.get(look.profile)
            if row is None:
                continue
            self.rows[look.profile] = fresh = row_after(row, look)
            if fresh is not row:
                self.post_message(StatusCollected(look.status))
                if look.profile == self.viewing:
                    self.sessions.show_row(fresh)
        if not self.viewing:
            self.table.show_rows(list(self.rows.values()), EMPTY)

    def _count_down(self) -> None:
        """A second has passed: what is down is tried again so much sooner, what is late is later."""
        if not self._is_shown:
            return
        late = self._late_seconds() > 0
        if late or late != self._is_late:
            self._is_late = late
            self.sessions.dim_rows(late)
            self.post_message(SituationChanged())
        if not any(row.is_down for row in self.rows.values()):
            return
        if self.viewing:
            self.sessions.count_down()
        else:
            self.table.repaint_changed()

    # ------------------------------------------------------------ levels

    def _show_level(self) -> None:
        self.query_one("#profile-more", TextPanel).can_focus = False
        self.query_one("#list-view").display = not self.viewing
        self.sessions.display = bool(self.viewing)

    def open_target(self, profile: ConnectionProfile) -> None:
        """Show the sessions of a target."""
        self.viewing = profile.name
        self.set_class(False, "-reading")
        self.sessions.open_target(self.rows.get(profile.name, Row(profile)))
        self._show_level()
        self._set_pace()
        self.focus_content()

    def close_target(self) -> None:
        """Show the list again."""
        if not self.viewing:
            return
        self.viewing = ""
        self.table.show_rows(list(self.rows.values()), EMPTY)
        self._show_level()
        self._set_pace()
        self.focus_content()
        self.post_message(SituationChanged())

    def owner_of(self, scope: str) -> object:
        """The sessions have their own orders."""
        return self.sessions if scope == "sessions" else self

    def focus_content(self) -> None:
        """The list that is shown."""
        focus_now(self.sessions.table if self.viewing else self.table)

    def back(self) -> bool:
        """From the detail to the list, from the sessions to the profiles."""
        if self.viewing:
            if not self.sessions.back():
                self.close_target()
            return True
        if not self.has_class("-reading") and self.screen.focused is self.table:
            return False
        self.set_class(False, "-reading")
        focus_now(self.table)
        return True

    def load(self) -> None:
        """Look at every target now."""
        if self._watches is not None:
            self._watches.wake()

    def job_ended(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        """What ended a session shows at once."""
        request = job.request
        if self._watches is not None and request.routine.startswith("sessions ") and request.target in self.rows:
            self._watches[request.target].wake()

    def tick(self) -> None:
        """Ages."""
        super().tick()
        if not self.viewing:
            self.row_changed(self.table)

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another profile or session."""
        if self.viewing:
            self.sessions.show_detail()
        elif table is self.table:
            self._show_detail(self.table.cursor_row)

    def _show_detail(self, row: Row | None) -> None:
        panel, more = self.query_one("#profile-detail", TextPanel), self.query_one("#profile-more", TextPanel)
        same = row is not None and panel.name_shown == row.profile.name
        panel.name_shown = row.profile.name if row else ""
        said = show_connection(row, _utc_now()) if row is not None else []
        configured = show_profile(row) if row is not None else []
        panel.show_text(said if is_shown(more) else [*said, *configured], keep=same)
        more.show_text(configured, keep=same)

    def situation(self, base: Situation) -> Situation:
        """Say which profile or session is under the cursor."""
        if self.viewing:
            found = self.sessions.situation(base)
            return replace(found, age=found.age or self._pace_text(self.live_seconds))
        row = self.table.cursor_row
        seen = [row.seen.taken_at for row in self.rows.values() if row.seen is not None]
        return replace(
            base,
            scopes=("connections", "live", "global"),
            crumbs=("connections",),
            profile=row.profile if row else None,
            copyable=row.profile.url if row else "",
            deep=base.filtered or self.has_class("-reading"),
            age=self._pace_text(self.list_seconds) if seen or self.is_paused else "",
        )

    def _late_seconds(self) -> float:
        """For how long the target whose sessions are shown has owed an answer that should be there; 0: it does not."""
        row = self.rows.get(self.viewing)
        if self.is_paused or row is None or row.seen is None or row.is_down:
            return 0.0
        answered_at = (row.look.last_seen_at if row.look is not None else None) or row.seen.taken_at
        waited = (_utc_now() - max(answered_at, self._paced_at)).total_seconds()
        return waited if waited > max(self.live_seconds, self.least_seconds) + _LATE_SECONDS else 0.0

    def _pace_text(self, seconds: float) -> str:
        seen = [row.seen.taken_at for row in self.rows.values() if row.seen and self.viewing in ("", row.profile.name)]
        if self.is_paused:
            return f"paused, {age_text(max(seen), _utc_now())}" if seen else "paused"
        late = self._late_seconds()
        return f"no answer for {late:.0f} s" if late else f"every {max(seconds, self.least_seconds):g} s"

    # ------------------------------------------------------------ orders

    def act_open(self) -> None:
        """Open the target under the cursor."""
        row = self.table.cursor_row
        if row is not None:
            self.post_message(TargetOpened(row.profile, pane="connections"))

    def act_detail(self) -> None:
        """Show all about the target under the cursor; at eighty columns it takes the screen."""
        self.set_class(True, "-reading")
        focus_now(self.query_one("#profile-detail", TextPanel))

    def act_password(self) -> None:
        """Ask for the password of the target under the cursor, then look at it again."""
        row = self.table.cursor_row
        if row is not None:
            ask_in_background(self, "password dialog", self._type_password, row.profile)

    async def _type_password(self, profile: ConnectionProfile) -> None:
        password = await ask(self, PasswordDialog(profile))
        if password is not None and self._watches is not None:
            self._passwords.remember(profile, password)
            self._watches[profile.name].wake()

    def act_backup(self) -> None:
        """Open the target under the cursor and ask how to back it up."""
        row = self.table.cursor_row
        if row is not None:
            self.post_message(TargetOpened(row.profile, backup=True))

    def act_pause(self) -> None:
        """Ask nothing more, or go on."""
        self.is_paused = not self.is_paused
        self._paced_at = _utc_now()
        if self._watches is not None:
            self._watches.set_paused(self.is_paused)
        self.announce(
            speak_keys("paused: {live.pause} goes on, {global.refresh} asks once") if self.is_paused else "asking again"
        )

    def act_faster(self) -> None:
        """Ask more often."""
        self._change_pace(-1)

    def act_slower(self) -> None:
        """Ask less often."""
        self._change_pace(1)

    def _change_pace(self, step: int) -> None:
        now = self.live_seconds if self.viewing else self.list_seconds
        seconds = step_pace(now, step)
        if self.viewing:
            self.live_seconds = seconds
        else:
            self.list_seconds = max(seconds, SHARE_SECONDS * len(self.rows))
        self._set_pace()
        self.announce(f"asking every {(self.live_seconds if self.viewing else self.list_seconds):g} s")


def _utc_now() -> datetime:
    return datetime.now(UTC)
