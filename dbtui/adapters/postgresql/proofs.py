"""The proof half of the PostgreSQL adapter."""

from collections.abc import Mapping

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.postgresql import flaws, throwaway
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.throwaway.proving import Throwaway
from dbtui.model.backups import BackupContents, RestoreFacts, StoredBackup
from dbtui.model.events import Routine
from dbtui.model.proofs import Soundness, ThrowawayPlan

_FULL_CODES = ("53100",)
#: Insufficient resources, operator intervention, system errors (PostgreSQL's manual, "Error Codes").
_PLACE_CLASSES = ("53", "57P", "58030", "08")
#: undefined_file: a library that the installed server does not have.
_MISSING_CODES = ("58P01",)


class PostgresqlProofs:
    """Proves backups of PostgreSQL; see adapters.throwaway.adapter.ProofAdapter."""

    def plan_throwaway(
        self, backup: StoredBackup, contents: BackupContents, environ: Mapping[str, str]
    ) -> ThrowawayPlan:
        """Find programs and room for a cluster of the backup's own version, else the next newer one."""
        return throwaway.plan_throwaway(backup, contents, environ)

    def prepare_throwaway(self, plan: ThrowawayPlan) -> Throwaway:
        """Return a cluster that is not yet made."""
        return throwaway.ThrowawayPostgresql(plan)

    def welcome(self, target: Target, facts: RestoreFacts) -> tuple[str, ...]:
        """Make the roles that the backup names."""
        return throwaway.make_roles(narrow(target, PostgresqlTarget), facts.missing_roles)

    def collect_soundness(self, target: Target, database: str) -> Routine[Soundness]:
        """Look at constraints, indexes, materialised views and sequences."""
        return flaws.collect_soundness(narrow(target, PostgresqlTarget), database)

    def is_about_the_place(self, code: str) -> bool:
        """Disk, memory, the server's end."""
        return code.startswith(_PLACE_CLASSES)

    def is_disk_full(self, code: str) -> bool:
        """No room on the disk."""
        return code in _FULL_CODES

    def is_missing_here(self, code: str) -> bool:
        """A library that is not installed."""
        return code in _MISSING_CODES


PROOFS = PostgresqlProofs()
