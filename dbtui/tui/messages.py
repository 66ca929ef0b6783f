"""What the parts of the terminal UI tell each other. Values inside are frozen or belong to the runner."""

from typing import TYPE_CHECKING, Any

from textual.message import Message

from dbtui.jobs import Job, JobRequest
from dbtui.model.connections import ConnectionProfile, TargetStatus
from dbtui.model.jobs import JobOutcome
from dbtui.tui.cells import Tone

if TYPE_CHECKING:  # what only the pools pane needs
    from dbtui.tui.ladder_feed import LadderFeed


class Announced(Message):
    """A sentence for the message line."""

    def __init__(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        super().__init__()
        self.text = text
        self.tone = tone


class CopyWanted(Message):
    """A text for the terminal's clipboard."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class SituationChanged(Message):
    """Something that header or footer show may be different now."""


class TargetOpened(Message):
    """The operator opened a connection, to be seen in `pane`; `backup` asks for the backup dialog at once."""

    def __init__(self, profile: ConnectionProfile, backup: bool = False, pane: str = "backups") -> None:
        super().__init__()
        self.profile = profile
        self.pane = pane
        self.backup = backup


class StatusCollected(Message):
    """A target was looked at."""

    def __init__(self, status: TargetStatus) -> None:
        super().__init__()
        self.status = status


class JobWanted(Message):
    """Somebody wants a job that changes something; it is shown in the strip and the jobs pane."""

    def __init__(self, request: JobRequest[Any]) -> None:
        super().__init__()
        self.request = request


class CancelWanted(Message):
    """Somebody wants a job cancelled; it is asked whether that is meant."""

    def __init__(self, job: Job[Any]) -> None:
        super().__init__()
        self.job = job


class LadderWanted(Message):
    """Somebody watches a target's ladder: `feed` gets what is seen of its server. It begins when it is met."""

    def __init__(self, feed: "LadderFeed") -> None:
        super().__init__()
        self.feed = feed


class LadderChanged(Message):
    """A ladder wants its server looked at more or less often, its sessions too, or, having ended, no more."""


class JobChanged(Message):
    """A job has news. Progress messages may replace one another."""

    def __init__(self, job: Job[Any]) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        """Newer progress of the same job makes the older needless."""
        return isinstance(message, JobChanged) and message.job is self.job


class JobEnded(Message):
    """A job has ended. Never replaced."""

    def __init__(self, job: Job[Any], outcome: JobOutcome[Any]) -> None:
        super().__init__()
        self.job = job
        self.outcome = outcome
