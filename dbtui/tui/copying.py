"""What is under the cursor, taken out of the UI. What that needs is imported when somebody copies."""

from dbtui.jobs import JobRequest
from dbtui.tui.actions import action_of
from dbtui.tui.cells import Tone
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.frame import Frame
from dbtui.tui.output import LinkDriver
from dbtui.tui.workers import outcome_of, run_in_background


class Copying(Frame):
    """The frame, and how text leaves it."""

    def act_copy(self) -> None:
        """Send what is under the cursor to the terminal."""
        run_in_background(self, "copy", self._send, self.situation.copyable, group="copy")

    def act_copy_to(self) -> None:
        """Ask where it shall go."""
        ask_in_background(self.pane, "copy dialog", self._ask_where, self.situation.copyable)

    async def _ask_where(self, text: str) -> None:
        from dbtui.tui.dialogs.copy import CopyTo

        way = await ask(self.pane, CopyTo(text, self.runner.history.state_dir))
        if way == "clipboard":
            await self._send(text)
        elif way == "file":
            self._export(text)
        elif way == "plain":
            await self._show_plainly(text)

    async def _send(self, text: str) -> None:
        from dbtui.analysis.copying import assess_copying
        from dbtui.model.doctor import TerminalFacts
        from dbtui.routines.doctor import look_at_terminal
        from dbtui.tui.clipboard import clipboard_sequence

        look = JobRequest(routine="terminal", target="", start=look_at_terminal, changes=False)
        facts = (await outcome_of(self.runner, look)).result
        try:
            sequence = clipboard_sequence(text, assess_copying(facts or TerminalFacts()))
        except ValueError as error:
            other = self.situation.key_of(action_of("global.copy_to"))
            self.say(f"not copied: {error}; {other} writes it to a file, or shows it plainly", Tone.WARNING)
            return
        if self._driver is not None:
            self._driver.write(sequence)
        first = text.splitlines()[0] if text else ""
        self.say(f"sent to terminal: {first}{' …' if first != text else ''}")

    def _export(self, text: str) -> None:
        from dbtui.tui.aside import write_export

        try:
            path = write_export(text, self.runner.history.state_dir)
        except OSError as error:
            self.say(f"not written: {error.filename or ''}: {error.strerror or error}", Tone.TROUBLE)
            return
        self.say(f"written to {path}", Tone.OK)

    async def _show_plainly(self, text: str) -> None:
        """Step aside for a plain screen. Work goes on; what it would show is drawn afterwards."""
        from dbtui.tui.aside import show_plainly

        driver = self._driver
        if not isinstance(driver, LinkDriver):
            return
        self.is_aside = True
        try:
            with self.suspend():
                await show_plainly(text, driver.descriptor)
        finally:
            self.is_aside = False
        self.redraw()
