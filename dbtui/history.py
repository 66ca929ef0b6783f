"""What ran, who ran it and how it ended: an SQLite file under the XDG state directory."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from dbtui.model.jobs import HistoryEntry, JobOutcome


class History:
    """The record of runs that changed something. `state_dir` also holds the locks."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    def record(
        self,
        routine: str,
        target: str,
        subject: str,
        began_at: datetime,
        outcome: JobOutcome[Any],
        detail: str,
        commands: Sequence[str],
    ) -> None:
        """Write one run down."""

    def entries(self, limit: int = 500) -> tuple[HistoryEntry, ...]:
        """Return the newest entries first."""
        return ()
