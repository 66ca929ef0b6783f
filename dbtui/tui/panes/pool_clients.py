"""The clients of PgBouncer: application, its server connection, and what that does in the server."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from dbtui.model.ladders import PoolReading
from dbtui.model.pools import PoolerClient, PoolerClients
from dbtui.tui.actions import Situation, bindings_of
from dbtui.tui.ages import age_text
from dbtui.tui.cells import Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.plan_lines import warning
from dbtui.tui.focusing import focus_now
from dbtui.tui.panes import pool_rows as rows
from dbtui.tui.panes.pool_detail import show_client
from dbtui.tui.widgets.drawn import Lines, TextPanel
from dbtui.tui.widgets.table import Table


class ClientsView(Vertical):
    """Shows one look at the clients of some pools, or of all."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of("clients")

    def __init__(self) -> None:
        super().__init__(id="clients-view")
        self.seen: PoolerClients | None = None
        self.pools: tuple[PoolReading, ...] = ()

    def compose(self) -> ComposeResult:
        """How many they are, the list, and all about one."""
        yield Lines(line(), id="clients-summary")
        table: Table[PoolerClient] = Table(rows.CLIENT_COLUMNS, rows.client_key, rows.client_search, live=True,
                                           id="clients")  # fmt: skip
        yield table
        yield TextPanel(id="client-detail")

    def on_mount(self) -> None:
        """The detail comes with enter."""
        self.query_one("#client-detail").display = False

    @property
    def table(self) -> Table[PoolerClient]:
        """The list."""
        return self.query_one("#clients", Table)

    def choose(self, pools: Sequence[PoolReading]) -> None:
        """Show the clients of these pools only; without any, all."""
        self.pools = tuple(pools)
        self.show(self.seen)

    def show(self, clients: PoolerClients | None) -> None:
        """Show a look at the clients."""
        self.seen = clients
        found = rows.filter_clients(clients.clients, self.pools) if clients is not None else []
        self.table.show_rows(found, self._nothing())
        self.query_one("#clients-summary", Lines).show_lines([self._summary(found)])
        self.show_detail()

    def _summary(self, found: Sequence[PoolerClient]) -> Line:
        if self.seen is None:
            return line(dim(" Asking PgBouncer for its clients …"))
        waiting = sum(each.state == "waiting" for each in found)
        served = sum(each.server_pid is not None for each in found)
        whose = ", ".join(pool.pool for pool in self.pools) or "every pool"
        parts = [Span(" clients of "), strong(whose), Span(f"   {len(found)} in all   {served} with a server   ")]
        parts.append(Span(f"{waiting} waiting", Tone.WARNING) if waiting else dim("nobody waits"))
        if self.seen.omitted:
            parts.append(dim(f"   {self.seen.omitted} more are not listed"))
        parts += [dim(f"   {age_text(self.seen.taken_at, datetime.now(UTC))}")]
        return line(*parts)

    def _nothing(self) -> list[Line]:
        if self.seen is None:
            return []
        return [line(" No client is connected to it now."), *(warning(gap) for gap in self.seen.gaps)]

    def show_detail(self) -> None:
        """Show all about the client under the cursor."""
        panel, client = self.query_one("#client-detail", TextPanel), self.table.cursor_row
        if panel.display:
            gaps = [warning(gap) for gap in self.seen.gaps] if self.seen is not None else []
            same = client is not None and panel.name_shown == rows.client_key(client)
            panel.name_shown = rows.client_key(client) if client is not None else ""
            panel.show_text([*show_client(client), *gaps] if client is not None else gaps, keep=same)

    def situation(self, base: Situation) -> Situation:
        """Say which client is under the cursor."""
        client = self.table.cursor_row
        text = "" if client is None else client.sql or f"{client.application} {client.client} {client.server_pid or ''}"
        return replace(base, scopes=("clients", "live", "global"), copyable=text.strip(), client=client)

    def back(self) -> bool:
        """From the detail to the list."""
        panel = self.query_one("#client-detail", TextPanel)
        if not panel.display:
            return False
        panel.display = False
        focus_now(self.table)
        return True

    def act_detail(self) -> None:
        """Show all about a client below the list, or the list alone."""
        if self.back():
            return
        self.query_one("#client-detail").display = True
        self.show_detail()
