"""What each kind of repository fulfils. To add one, copy a module here and register it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from dbtui.model.events import Routine
from dbtui.model.repositories import (
    Repository,
    RepositoryBackup,
    RepositoryCheckup,
    RepositoryDetail,
    RepositoryReport,
    RepositoryRestoreOptions,
    Tablespace,
)


class RepositoryAdapter(Protocol):
    """Asks one repository by its own program. Nothing here changes a server, and only `restore` writes files."""

    repository: Repository

    def collect_report(self, now: datetime) -> RepositoryReport:
        """Ask for backups, WAL and health. Raises ToolError (missing, failed, not understood), Cancelled."""
        ...

    def collect_backups(self, now: datetime) -> RepositoryReport:
        """Ask for backups alone, with as few questions as that takes. Raises as `collect_report` does."""
        ...

    def collect_detail(self, backup: RepositoryBackup) -> RepositoryDetail:
        """Ask about one backup alone. Raises ToolError, Cancelled."""
        ...

    def collect_segments(self, backup: RepositoryBackup) -> tuple[str, ...]:
        """Return the names of the WAL segments that lie there from the backup's first one on. Raises ToolError."""
        ...

    def verify(self, backup: RepositoryBackup) -> Routine[RepositoryCheckup]:
        """Have the tool verify a backup. Raises ToolError when that could not be tried, Cancelled."""
        ...

    def restore_command(
        self,
        backup: RepositoryBackup,
        options: RepositoryRestoreOptions,
        tablespaces: Sequence[tuple[Tablespace, str]] = (),
        *,
        is_trial: bool = False,
    ) -> tuple[str, ...]:
        """Return the argv that restores a backup. `is_trial`: only as far as the backup itself is consistent."""
        ...

    def restore(self, backup: RepositoryBackup, directory: str, command: Sequence[str]) -> Routine[tuple[str, ...]]:
        """Run a restore's command; return what the tool warned of. Raises ToolError with its words, Cancelled."""
        ...
