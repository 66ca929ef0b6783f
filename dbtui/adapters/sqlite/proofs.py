"""The proof half of the SQLite adapter."""

from collections.abc import Mapping

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.sqlite import flaws, throwaway
from dbtui.adapters.sqlite.connect import SqliteTarget
from dbtui.adapters.throwaway.proving import Throwaway
from dbtui.model.backups import BackupContents, RestoreFacts, StoredBackup
from dbtui.model.events import Routine
from dbtui.model.proofs import Soundness, ThrowawayPlan

_FULL_CODES = ("SQLITE_FULL", "ENOSPC")
_PLACE_CODES = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_CANTOPEN", "ENOSPC")


class SqliteProofs:
    """Proves backups of SQLite; see adapters.throwaway.adapter.ProofAdapter."""

    def plan_throwaway(
        self,
        backup: StoredBackup,
        contents: BackupContents,  # noqa: ARG002 - any SQLite reads any file
        environ: Mapping[str, str],
    ) -> ThrowawayPlan:
        """Find room for a file."""
        return throwaway.plan_throwaway(backup, environ)

    def prepare_throwaway(self, plan: ThrowawayPlan) -> Throwaway:
        """Return a directory that is not yet made."""
        return throwaway.ThrowawayFile(plan)

    def welcome(self, target: Target, facts: RestoreFacts) -> tuple[str, ...]:  # noqa: ARG002
        """A file needs nothing."""
        return ()

    def collect_soundness(self, target: Target, database: str) -> Routine[Soundness]:
        """Look at the file's structure and foreign keys."""
        return flaws.collect_soundness(narrow(target, SqliteTarget), database)

    def is_about_the_place(self, code: str) -> bool:
        """Disk and memory."""
        return code.startswith(_PLACE_CODES)

    def is_disk_full(self, code: str) -> bool:
        """No room on the disk."""
        return code in _FULL_CODES

    def is_missing_here(self, code: str) -> bool:  # noqa: ARG002
        """Nothing can be missing."""
        return False


PROOFS = SqliteProofs()
