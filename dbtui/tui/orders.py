"""What the frame does when a part of it sends a message: run jobs, open targets, say sentences."""

from pathlib import Path
from typing import Any

from dbtui.jobs import Job, JobRequest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import LoadTicked
from dbtui.tui.cells import Tone
from dbtui.tui.global_actions import GlobalActions
from dbtui.tui.messages import (
    Announced,
    CancelWanted,
    CopyWanted,
    JobChanged,
    JobEnded,
    JobWanted,
    LadderChanged,
    LadderWanted,
    SituationChanged,
    StatusCollected,
    TargetOpened,
)
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.workers import follow, run_in_background


class Orders(GlobalActions):
    """The frame, its keys, and what its parts ask of it."""

    def on_mount(self) -> None:
        """A capture that was interrupted may have left something on: say so at the start."""
        if any((Path(self.runner.history.state_dir) / "captures").glob("*.jsonl")):
            run_in_background(self, "look for captures", self._tell_of_captures, self.opened)

    async def _tell_of_captures(self, opened: ConnectionProfile | None) -> None:
        from dbtui.tui.stale_captures import find_stale

        names, problems = await find_stale(self.runner, self.profiles if opened is None else (opened,))
        if names:
            here = "{global.queries}" if opened is not None else "{global.queries} on it"
            go = speak_keys(f"{here}, then {{queries.repair}} puts it back")
            self.say(f"a capture of {', '.join(names)} has left settings changed: {go}", Tone.WARNING)
        if problems:
            self.say(f"whether a capture has left settings changed is not known: {'; '.join(problems)}", Tone.TROUBLE)

    def start_job(self, request: JobRequest[Any]) -> None:
        """Run a job and follow it."""
        job = self.runner.submit(request)
        run_in_background(self, f"job {job.job_id}", self._follow, job)
        self.post_message(JobChanged(job))

    async def _follow(self, job: Job[Any]) -> None:
        async for batch in follow(job):
            for second in [update.second for update in batch if isinstance(update, LoadTicked)]:
                for pane in self.panes if self.stands else ():
                    pane.load_ticked(job, second)
            if job.outcome is None:
                self.post_message(JobChanged(job))
        if job.outcome is not None:
            self.post_message(JobEnded(job, job.outcome))

    def on_job_wanted(self, message: JobWanted) -> None:
        """Run it."""
        self.start_job(message.request)

    def on_ladder_wanted(self, message: LadderWanted) -> None:
        """Its server is looked at by the watch that the connections have of it."""
        self.connections_pane.share(message.feed)

    def on_ladder_changed(self, _message: LadderChanged) -> None:
        """Look more or less often."""
        self.connections_pane.share(None)

    def on_cancel_wanted(self, message: CancelWanted) -> None:
        """Ask first."""
        self.ask_to_cancel(message.job)

    def on_job_changed(self, _message: JobChanged) -> None:
        """Show how far jobs are."""
        if not self.stands:
            return
        for pane in self.panes:
            pane.job_changed()
        self.show_frame()

    def on_job_ended(self, message: JobEnded) -> None:
        """Say how it ended, and let the panes know."""
        from dbtui.tui.announcing import announcement

        text, tone = announcement(message.job, message.outcome)
        self.say(text, tone)
        for pane in self.panes:
            pane.job_ended(message.job, message.outcome)
        self.show_frame()

    async def on_target_opened(self, message: TargetOpened) -> None:
        """Make it the target of everything."""
        if self.opened != message.profile:
            self.opened = message.profile
            for pane in self.panes:
                if pane is not self.connections_pane:
                    pane.open_target(message.profile)
        if message.pane == "connections":
            self.connections_pane.open_target(message.profile)
        await self.show_pane(message.pane)
        if message.backup:
            await self.action_perform("backups.backup")

    def on_status_collected(self, message: StatusCollected) -> None:
        """Keep it for the header."""
        before = self.statuses.get(message.status.profile)
        self.statuses[message.status.profile] = message.status
        if before is None or (self.opened is not None and self.opened.name == message.status.profile):
            self.show_frame()

    def on_announced(self, message: Announced) -> None:
        """Say it."""
        self.say(message.text, message.tone)

    def on_copy_wanted(self, message: CopyWanted) -> None:
        """Send it to the terminal."""
        run_in_background(self, "copy", self._send, message.text, group="copy")

    def on_situation_changed(self, _message: SituationChanged) -> None:
        """Draw the frame anew."""
        self.show_frame()

    def on_descendant_focus(self) -> None:
        """The keys may be others now."""
        self.show_frame()

    def on_resize(self) -> None:
        """Header and footer are made for a width."""
        self.call_after_refresh(self.show_frame)
