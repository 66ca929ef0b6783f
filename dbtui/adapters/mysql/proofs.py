"""The proof half of the MySQL adapter."""

from collections.abc import Mapping

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.mysql import flaws, throwaway
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.throwaway.proving import Throwaway
from dbtui.model.backups import BackupContents, RestoreFacts, StoredBackup
from dbtui.model.events import Routine
from dbtui.model.proofs import Soundness, ThrowawayPlan

_FULL_CODES = ("28", "1021", "1114")
#: Disk full, errors of reading and writing, out of memory, the table is full, shutting down, gone (error numbers).
_PLACE_CODES = ("3", "28", "1021", "1026", "1037", "1038", "1041", "1053", "1114", "2006", "2013")
#: An engine, a plugin or a library of functions that the installed server does not have.
_MISSING_CODES = ("1286", "1524", "1126")


class MysqlProofs:
    """Proves backups of MySQL and MariaDB; see adapters.throwaway.adapter.ProofAdapter."""

    def plan_throwaway(
        self, backup: StoredBackup, contents: BackupContents, environ: Mapping[str, str]
    ) -> ThrowawayPlan:
        """Find programs and room for a MariaDB."""
        return throwaway.plan_throwaway(backup, contents, environ)

    def prepare_throwaway(self, plan: ThrowawayPlan) -> Throwaway:
        """Return a server that is not yet made."""
        return throwaway.ThrowawayMariadb(plan)

    def welcome(self, target: Target, facts: RestoreFacts) -> tuple[str, ...]:
        """Make the accounts that views, triggers and the like run as."""
        server = narrow(target, MysqlTarget)
        throwaway.make_accounts(server, facts.missing_roles, facts.destination.database)
        return ()

    def collect_soundness(self, target: Target, database: str) -> Routine[Soundness]:
        """Look at tables, views and foreign keys."""
        return flaws.collect_soundness(narrow(target, MysqlTarget), database)

    def is_about_the_place(self, code: str) -> bool:
        """Disk, memory, the server's end."""
        return code in _PLACE_CODES

    def is_disk_full(self, code: str) -> bool:
        """No room on the disk."""
        return code in _FULL_CODES

    def is_missing_here(self, code: str) -> bool:
        """A plugin that is not installed."""
        return code in _MISSING_CODES


PROOFS = MysqlProofs()
