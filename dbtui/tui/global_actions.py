"""What works in every pane. Methods are named after the actions of the scope `global`."""

from typing import Any

from dbtui.jobs import Job
from dbtui.tui import leaving
from dbtui.tui.actions import action_of
from dbtui.tui.cells import dim, line
from dbtui.tui.copying import Copying
from dbtui.tui.dialogs.dialog import Confirm, ask, ask_in_background
from dbtui.tui.filtering import FilterLine
from dbtui.tui.frame import PANES
from dbtui.tui.messages import TargetOpened
from dbtui.tui.widgets.jobs_strip import job_title
from dbtui.tui.workers import request_cancel, run_in_background


class GlobalActions(Copying):
    """The frame, and what its keys do."""

    async def act_connections(self) -> None:
        """Go to the connections; once more leaves the sessions of one."""
        if self.active == "connections":
            self.connections_pane.close_target()
        await self.show_pane("connections")

    async def act_backups(self) -> None:
        """Go to the backups."""
        await self.show_pane("backups")

    async def act_pools(self) -> None:
        """Go to the pools of the open connection; with none open, to those of the one under the cursor."""
        await self._show_of_target("pools")

    async def act_partitions(self) -> None:
        """Go to the partitioned tables of the open connection; with none open, of the one under the cursor."""
        await self._show_of_target("partitions")

    async def act_queries(self) -> None:
        """Go to the queries of the open connection; with none open, of the one under the cursor."""
        await self._show_of_target("queries")

    async def act_replicas(self) -> None:
        """Go to the replicas; with no connection open, to those of the one under the cursor."""
        await self._show_of_target("replicas")

    async def _show_of_target(self, pane: str) -> None:
        row = self.connections_pane.table.cursor_row if self.active == "connections" else None
        if self.opened is None and row is not None:
            self.post_message(TargetOpened(row.profile, pane=pane))
        else:
            await self.show_pane(pane)

    async def act_jobs(self) -> None:
        """Go to the jobs."""
        await self.show_pane("jobs")

    async def _step(self, step: int) -> None:
        names = list(PANES)
        await self.show_pane(names[(names.index(self.active) + step) % len(names)])

    async def act_previous(self) -> None:
        """Go to the pane on the left."""
        await self._step(-1)

    async def act_next(self) -> None:
        """Go to the pane on the right."""
        await self._step(1)

    def act_refresh(self) -> None:
        """Ask again."""
        self.pane.load()
        self.say("asking now")

    def act_redraw(self) -> None:
        """Draw the screen anew."""
        self.redraw()

    def act_filter(self) -> None:
        """Open the filter line for the list in focus."""
        table = self.pane.focused_table
        if table is not None:
            self.screen.query_one(FilterLine).open_for(table)

    def act_sort(self) -> None:
        """Sort by the next column."""
        self.pane.sort(backwards=False)

    def act_reverse(self) -> None:
        """Turn the order around."""
        self.pane.sort(backwards=True)

    async def act_back(self) -> None:
        """Clear the filter, else go one level back, else to the connections."""
        table = self.pane.focused_table
        if table is not None and table.view.filter:
            table.show_filter("")
        elif not self.pane.back() and self.active != "connections":
            await self.show_pane("connections")

    def act_help(self) -> None:
        """Show every key that works here."""
        from dbtui.tui.dialogs.help import Help

        ask_in_background(self.pane, "help", ask, self.pane, Help(self.situation))

    def act_palette(self) -> None:
        """Find an action or a connection by name."""
        ask_in_background(self.pane, "palette", self._choose)

    async def _choose(self) -> None:
        from dbtui.tui.dialogs.palette import Palette

        key = await ask(self.pane, Palette(self.situation))
        if key is None:
            return
        kind, _, name = key.partition(" ")
        if kind == "connection":
            chosen = next(profile for profile in self.profiles if profile.name == name)
            self.post_message(TargetOpened(chosen, pane="connections"))
        else:
            self.call_later(self.action_perform, action_of(name).action_id)

    def act_cancel(self) -> None:
        """Ask, then cancel the oldest running job."""
        running = self.runner.running
        if running:
            self.ask_to_cancel(running[0])

    def ask_to_cancel(self, job: Job[Any]) -> None:
        """Ask, then cancel a job."""
        ask_in_background(self.pane, "cancel dialog", self._cancel, job)

    async def _cancel(self, job: Job[Any]) -> None:
        text = [line(job_title(job)), line(dim(job.request.cancelling))]
        if await ask(self.pane, Confirm("Cancel this job?", text, "Cancel the job", "Let it run")):
            request_cancel(job)

    def act_quit(self) -> None:
        """Leave; ask when a job is running."""
        if not self.runner.running:
            self.exit(0)
            return
        ask_in_background(self.pane, "quit dialog", self._quit)

    async def _quit(self) -> None:
        text = [line(job_title(job)) for job in self.runner.running[:5]]
        text.append(line(dim("Leaving cancels what runs here and undoes what it has done so far.")))
        if await ask(self.pane, Confirm("Leave while a job runs?", text, "Cancel it and leave", "Stay")):
            self.is_leaving = True
            run_in_background(self, "leaving", self._leave)

    async def _leave(self) -> None:
        await leaving.end_jobs(self)
        self.exit(0)
