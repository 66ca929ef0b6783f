"""Works the terminal UI by keys without a terminal, and reads its screen."""

import asyncio
import html
import re
import time
from collections.abc import Callable
from typing import Any

from textual import events
from textual.pilot import Pilot

from dbtui.errors import DbtuiError
from dbtui.jobs import Job
from dbtui.model.jobs import JobState
from dbtui.tui.app import DbtuiApp
from dbtui.tui.widgets.inputs import PushButton

PATIENCE_SECONDS = 60.0
_FIELDS = 20
_CELL_WIDTH = 12.2  # of Textual's picture
# Each run of text in Textual's picture names the line it stands on.
_TEXT = re.compile(r'<text[^>]*? x="([\d.]+)"[^>]*?clip-path="url\(#[^")]*-line-(\d+)\)"[^>]*>(.*?)</text>', re.DOTALL)


def read_screen(app: DbtuiApp) -> list[str]:
    """The lines on the screen, without trailing blanks; empty ones are left out."""
    lines: dict[int, str] = {}
    for x, number, text in sorted(_TEXT.findall(app.export_screenshot()), key=lambda run: float(run[0])):
        place = int(number)
        before = lines.get(place, "").ljust(round(float(x) / _CELL_WIDTH))
        lines[place] = before + html.unescape(text).replace("\xa0", " ")
    return [lines[place].rstrip() for place in sorted(lines) if lines[place].strip()]


class Walker:
    """Presses keys in a running app and waits for what they should bring. `say` is told what was seen."""

    def __init__(self, app: DbtuiApp, pilot: Pilot[Any], say: Callable[[str], None]) -> None:
        self.app = app
        self.pilot = pilot
        self.say = say

    async def press(self, *keys: str) -> None:
        """Press keys, one after another."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def paste(self, text: str) -> None:
        """Put text into the field that has the focus, as a terminal does that pastes it."""
        focused = self.app.focused
        if focused is not None:
            focused.post_message(events.Paste(text))
        await self.pilot.pause()

    async def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds. Raises DbtuiError with the screen when it does not in a minute."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if self.app.crash or time.monotonic() > deadline:
                raise self.failure(f"waited in vain for {what}")
            await asyncio.sleep(0.02)
        await self.pilot.pause()

    async def wait_to_see(self, text: str) -> None:
        """Wait until `text` stands on the screen."""
        await self.wait_for(f"{text!r} on the screen", lambda: any(text in line for line in read_screen(self.app)))

    async def push(self, button_id: str = "accept") -> None:
        """Go to a dialog's button by tab, once it may be pushed, and push it."""
        await self.wait_for("a dialog", lambda: bool(self.app.dialogs))
        button = self.app.dialogs[-1].query_one(f"#{button_id}", PushButton)
        await self.wait_for(f"the button {button_id}", lambda: not button.disabled)
        for _ in range(_FIELDS):
            if self.app.focused is button:
                break
            await self.press("tab")
        await self.press("enter")
        await self.wait_for("the dialog to close", lambda: not self.app.dialogs)

    async def wait_for_job(self, count: int) -> Job[Any]:
        """Wait until `count` jobs have ended; returns the last one. Raises DbtuiError when it did not succeed."""
        jobs = self.app.runner.jobs
        await self.wait_for("the job to end", lambda: len(jobs) >= count and jobs[count - 1].state.is_final)
        job = jobs[count - 1]
        if job.state is not JobState.SUCCEEDED or job.outcome is None or job.outcome.result is None:
            error = job.outcome.error if job.outcome else None
            raise self.failure(f"{job.request.routine} of {job.request.target} ended as {job.state.value}: {error}")
        return job

    def show_screen(self, most: int = 8) -> None:
        """Say what stands on the screen, at most so many lines."""
        for line in read_screen(self.app)[:most]:
            self.say(f"    | {line}")

    def failure(self, reason: str) -> DbtuiError:
        """The error that ends the walk; what stands on the screen is said first."""
        self.show_screen(most=30)
        return DbtuiError(f"the walk through the demo failed: {reason}{self.app.crash and '; ' + self.app.crash}")
