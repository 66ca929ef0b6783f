"""What works in every pane. Methods are named after the actions of the scope `global`."""

import os
from typing import TYPE_CHECKING, Any, cast

from dbtui.jobs import Job
from dbtui.tui.actions import action_of
from dbtui.tui.cells import Tone, dim, line
from dbtui.tui.clipboard import clipboard_sequence
from dbtui.tui.dialogs.dialog import Confirm, ask, ask_in_background
from dbtui.tui.dialogs.help import Help
from dbtui.tui.dialogs.palette import Palette
from dbtui.tui.filtering import FilterLine
from dbtui.tui.messages import TargetOpened
from dbtui.tui.widgets.jobs_strip import job_title
from dbtui.tui.workers import request_cancel

if TYPE_CHECKING:
    from dbtui.tui.app import DbtuiApp


class GlobalActions:
    """Mixed into the app."""

    @property
    def _app(self) -> "DbtuiApp":
        return cast("DbtuiApp", self)

    def act_connections(self) -> None:
        """Go to the connections."""
        self._app.show_pane("connections")

    def act_backups(self) -> None:
        """Go to the backups."""
        self._app.show_pane("backups")

    def act_jobs(self) -> None:
        """Go to the jobs."""
        self._app.show_pane("jobs")

    def _step(self, step: int) -> None:
        names = [pane.id or "" for pane in self._app.panes]
        self._app.show_pane(names[(names.index(self._app.active) + step) % len(names)])

    def act_previous(self) -> None:
        """Go to the pane on the left."""
        self._step(-1)

    def act_next(self) -> None:
        """Go to the pane on the right."""
        self._step(1)

    def act_refresh(self) -> None:
        """Ask again."""
        self._app.pane.load()
        self._app.say("asking again")

    def act_redraw(self) -> None:
        """Draw the screen anew."""
        self._app.redraw()

    def act_filter(self) -> None:
        """Open the filter line for the list in focus."""
        table = self._app.pane.focused_table
        if table is not None:
            self._app.screen.query_one(FilterLine).open_for(table)

    def act_sort(self) -> None:
        """Sort by the next column."""
        self._app.pane.sort(backwards=False)

    def act_reverse(self) -> None:
        """Turn the order around."""
        self._app.pane.sort(backwards=True)

    def act_back(self) -> None:
        """Clear the filter, else go one level back, else to the connections."""
        app = self._app
        table = app.pane.focused_table
        if table is not None and table.view.filter:
            table.show_filter("")
        elif not app.pane.back() and app.active != "connections":
            app.show_pane("connections")

    def act_copy(self) -> None:
        """Send what is under the cursor to the terminal."""
        app = self._app
        text = app.situation.copyable
        try:
            sequence = clipboard_sequence(text, os.environ)
        except ValueError as error:
            app.say(f"not copied: {error}", Tone.WARNING)
            return
        if app._driver is not None:
            app._driver.write(sequence)
        first = text.splitlines()[0] if text else ""
        app.say(f"sent to the terminal's clipboard: {first}{' …' if first != text else ''}")

    def act_help(self) -> None:
        """Show every key that works here."""
        app = self._app
        ask_in_background(app.pane, "help", ask, app.pane, Help(app.situation))

    def act_palette(self) -> None:
        """Find an action or a connection by name."""
        app = self._app
        ask_in_background(app.pane, "palette", self._choose)

    async def _choose(self) -> None:
        app = self._app
        key = await ask(app.pane, Palette(app.situation))
        if key is None:
            return
        kind, _, name = key.partition(" ")
        if kind == "connection":
            app.post_message(TargetOpened(next(profile for profile in app.profiles if profile.name == name)))
        else:
            app.call_later(app.action_perform, action_of(name).action_id)

    def act_cancel(self) -> None:
        """Ask, then cancel the oldest running job."""
        running = self._app.runner.running
        if running:
            self.ask_to_cancel(running[0])

    def ask_to_cancel(self, job: Job[Any]) -> None:
        """Ask, then cancel a job."""
        ask_in_background(self._app.pane, "cancel dialog", self._cancel, job)

    async def _cancel(self, job: Job[Any]) -> None:
        text = [line(job_title(job)), line(dim("What it has done so far is undone; nothing that existed is touched."))]
        if await ask(self._app.pane, Confirm("Cancel this job?", text, "Cancel the job", "Let it run")):
            request_cancel(job)

    def act_quit(self) -> None:
        """Leave; ask when a job is running."""
        app = self._app
        if not app.runner.running:
            app.exit(0)
            return
        ask_in_background(app.pane, "quit dialog", self._quit)

    async def _quit(self) -> None:
        app = self._app
        text = [line(job_title(job)) for job in app.runner.running[:5]]
        text.append(line(dim("Leaving cancels what runs here and undoes what it has done so far.")))
        if await ask(app.pane, Confirm("Leave while a job runs?", text, "Cancel it and leave", "Stay")):
            app.exit(0)
