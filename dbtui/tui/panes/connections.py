"""Pane 1: every profile, reachable or why not, what it runs and how full it is."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from dbtui.errors import DbtuiError
from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile, EngineName, Environment, TargetStatus
from dbtui.model.text import format_bytes
from dbtui.tui import requests
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.dialogs.password import PasswordDialog
from dbtui.tui.dialogs.plan_lines import fact, warning
from dbtui.tui.focusing import focus_now
from dbtui.tui.messages import StatusCollected, TargetOpened
from dbtui.tui.panes.pane import Pane
from dbtui.tui.typed_passwords import TypedPasswords
from dbtui.tui.widgets.drawn import TextPanel
from dbtui.tui.widgets.header import environment_sign, version_text
from dbtui.tui.widgets.rows import Column
from dbtui.tui.widgets.table import Table
from dbtui.tui.workers import outcome_of, run_in_background


@dataclass(frozen=True, slots=True)
class Row:
    """A profile and the last look at it; `asking` while another one is under way."""

    profile: ConnectionProfile
    status: TargetStatus | None = None
    asking: bool = False


def _sign(row: Row) -> Span:
    if row.status is None:
        return dim("○")
    return Span("●", Tone.OK) if row.status.reachable else Span("✖", Tone.TROUBLE)


def _server(row: Row) -> Line:
    if row.status is None:
        return line(dim("asking …" if row.asking else "not asked"))
    if row.status.info is None:
        return line(Span(row.status.problem or "unreachable", Tone.TROUBLE))
    return line(version_text(row.status.info))


def _sessions(row: Row) -> Span:
    status = row.status
    if status is None or status.sessions_used is None:
        return dim("–" if status and status.reachable else "")
    available = status.sessions_available
    tone = Tone.WARNING if available and status.sessions_used >= 0.8 * available else Tone.PLAIN
    return Span(f"{status.sessions_used}/{available}" if available else str(status.sessions_used), tone)


def _size(row: Row) -> Span:
    size = row.status.size_bytes if row.status else None
    return Span("" if size is None else format_bytes(size))


def _environment(row: Row) -> Span:
    return environment_sign(row.profile.environment) or dim("dev")


def _name(row: Row) -> Line:
    return line(strong(row.profile.name), dim("  read-only" if row.profile.read_only else ""))


COLUMNS: list[Column[Row]] = [
    Column("", _sign, 1),
    Column("NAME", _name, 14, grow=2, widest=32, order=lambda row: row.profile.name.lower()),
    Column("SERVER", _server, 18, grow=4, spills=True,
           order=lambda row: row.status.info.flavour if row.status and row.status.info else None),
    Column("ROLE", lambda row: Span(row.status.info.role if row.status and row.status.info else ""), 7, spare=1),
    Column("SESSIONS", _sessions, 8, right=True, descending=True,
           order=lambda row: row.status.sessions_used if row.status else None),
    Column("SIZE", _size, 7, right=True, descending=True,
           order=lambda row: row.status.size_bytes if row.status else None),
    Column("ENV", _environment, 9, order=lambda row: row.profile.environment.value),
]  # fmt: skip

EMPTY: tuple[Line, ...] = (
    line(" No connection is known yet. Here would be every profile and how it does."),
    BLANK,
    line(dim(" Set "), "DATABASE_URL", dim(", give a URL to "), "dbtui", dim(", or write into config.toml:")),
    BLANK,
    line("   [profiles.erp]"),
    line('   url = "postgresql://erp@db1:5432/erp"'),
    line('   environment = "production"'),
)


def _cure(profile: ConnectionProfile) -> str:
    return "R asks again" if profile.engine is EngineName.SQLITE else "R asks again · p types a password"


def show_status(row: Row, now: datetime) -> list[Line]:
    """Return all that is known of a connection."""
    profile, status = row.profile, row.status
    lines: list[Line] = [line(strong(profile.name)), BLANK]
    if status is not None and not status.reachable:
        lines += [line(Span("✖ ", Tone.TROUBLE), Span(status.problem or "unreachable", Tone.TROUBLE)),
                  line("  ", dim(_cure(profile))), BLANK]  # fmt: skip
    lines += [fact("url", profile.url), fact("from", profile.origin or "–"),
              fact("environment", environment_sign(profile.environment) or str(profile.environment)),
              fact("backups in", profile.backup_dir)]  # fmt: skip
    if profile.read_only:
        lines.append(fact("read-only", "nothing can be restored into it"))
    if status is not None and (info := status.info) is not None:
        lines += [BLANK, fact("server", f"{info.flavour} {info.version}", dim(f"  {info.role}")),
                  fact("database", info.database),
                  fact("login", info.user, dim("  superuser" if info.is_superuser else "")),
                  fact("tables", "–" if status.tables is None else str(status.tables))]  # fmt: skip
        if info.extensions:
            lines.append(fact("extensions", ", ".join(info.extensions)))
    if status is not None:
        lines += [fact("asked", age_text(status.taken_at, now), dim(f", took {status.seconds:.1f} s"))]
        lines += [warning(gap) for gap in status.gaps]
    lines += [warning(text) for text in profile.warnings]
    return lines


class ConnectionsPane(Pane):
    """The list of profiles; beside it, where there is room, all about the one under the cursor."""

    TITLE: ClassVar[str] = "Connections"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("connections")

    def __init__(self, runner: JobRunner, profiles: tuple[ConnectionProfile, ...], passwords: TypedPasswords) -> None:
        super().__init__(id="connections")
        self._runner, self._passwords = runner, passwords
        self.rows: dict[str, Row] = {profile.name: Row(profile) for profile in profiles}

    def compose(self) -> ComposeResult:
        """List and detail."""
        with Horizontal(classes="split"):
            table: Table[Row] = Table(COLUMNS, lambda row: row.profile.name, _search, id="profiles", classes="list")
            yield table
            yield TextPanel(id="profile-detail", classes="detail")

    @property
    def table(self) -> Table[Row]:
        """The list."""
        return self.query_one("#profiles", Table)

    def on_mount(self) -> None:
        """Show the profiles, and look at each."""
        self._show()
        self.load()

    def _show(self) -> None:
        self.table.show_rows(list(self.rows.values()), EMPTY)

    def focus_content(self) -> None:
        """The list."""
        focus_now(self.table)

    def load(self) -> None:
        """Look at every target; one that is still being looked at is not asked twice."""
        for name, row in self.rows.items():
            if not row.asking:
                self.rows[name] = replace(row, asking=True)
                run_in_background(self, f"look at {name}", self._ask, row.profile)
        self._show()

    async def _ask(self, profile: ConnectionProfile) -> None:
        outcome = await outcome_of(self._runner, requests.status(profile))
        status = outcome.result
        if status is None:
            problem = str(outcome.error) if isinstance(outcome.error, DbtuiError) else f"unexpected: {outcome.error!r}"
            status = TargetStatus(profile=profile.name, taken_at=datetime.now(UTC), problem=problem)
        self.show_status(status)

    def show_status(self, status: TargetStatus) -> None:
        """Show a look at a target; one older than what is shown is dropped."""
        row = self.rows.get(status.profile)
        if row is None or (row.status is not None and row.status.taken_at > status.taken_at):
            return
        self.rows[status.profile] = replace(row, status=status, asking=False)
        self._show()
        self.post_message(StatusCollected(status))

    def tick(self) -> None:
        """Ages."""
        super().tick()
        self.row_changed(self.table)

    def row_changed(self, table: Table[Any]) -> None:
        """Show all about another profile."""
        row = self.table.cursor_row
        lines = show_status(row, datetime.now(UTC)) if row is not None else []
        self.query_one("#profile-detail", TextPanel).show_text(lines)

    def situation(self, base: Situation) -> Situation:
        """Say which profile is under the cursor."""
        row = self.table.cursor_row
        taken = [row.status.taken_at for row in self.rows.values() if row.status is not None]
        return replace(
            base,
            scopes=("connections", "global"),
            crumbs=("connections",),
            profile=row.profile if row else None,
            copyable=row.profile.url if row else "",
            deep=base.filtered or self.has_class("-reading"),
            age=age_text(min(taken), datetime.now(UTC)) if taken else "",
        )

    def act_open(self) -> None:
        """Open the target under the cursor."""
        row = self.table.cursor_row
        if row is not None:
            self.post_message(TargetOpened(row.profile))

    def act_detail(self) -> None:
        """Show all about the target under the cursor; at eighty columns it takes the screen."""
        self.set_class(True, "-reading")
        focus_now(self.query_one("#profile-detail", TextPanel))

    def back(self) -> bool:
        """From the detail to the list."""
        if not self.has_class("-reading") and self.screen.focused is self.table:
            return False
        self.set_class(False, "-reading")
        focus_now(self.table)
        return True

    def act_password(self) -> None:
        """Ask for the password of the target under the cursor, then look at it again."""
        row = self.table.cursor_row
        if row is not None:
            ask_in_background(self, "password dialog", self._type_password, row.profile)

    async def _type_password(self, profile: ConnectionProfile) -> None:
        password = await ask(self, PasswordDialog(profile))
        if password is not None:
            self._passwords.remember(profile, password)
            self.load()

    def act_backup(self) -> None:
        """Open the target under the cursor and ask how to back it up."""
        row = self.table.cursor_row
        if row is not None:
            self.post_message(TargetOpened(row.profile, backup=True))


def _search(row: Row) -> str:
    profile, status = row.profile, row.status
    words = [profile.name, profile.url, profile.engine.value, profile.environment.value]
    if profile.environment is Environment.PRODUCTION:
        words.append("prod")
    if status is not None:
        words.append(status.problem or "reachable")
    return " ".join(words)
