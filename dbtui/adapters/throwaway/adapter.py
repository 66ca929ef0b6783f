"""What an engine's folder fulfils for proofs: a throwaway server, and a look at what was restored there."""

from collections.abc import Mapping
from typing import Protocol

from dbtui.adapters.adapter import Target
from dbtui.adapters.throwaway.proving import Throwaway
from dbtui.model.backups import BackupContents, RestoreFacts, StoredBackup
from dbtui.model.events import Routine
from dbtui.model.proofs import Soundness, ThrowawayPlan


class ProofAdapter(Protocol):
    """Proves backups of one engine."""

    def plan_throwaway(
        self, backup: StoredBackup, contents: BackupContents, environ: Mapping[str, str]
    ) -> ThrowawayPlan:
        """Find programs and room for a throwaway server that fits a backup. Makes nothing.

        Raises ToolError (what to install, and what can be done instead), RefusedError (no room).
        """
        ...

    def prepare_throwaway(self, plan: ThrowawayPlan) -> Throwaway:
        """Return what was planned; nothing is made before it starts."""
        ...

    def welcome(self, target: Target, facts: RestoreFacts) -> tuple[str, ...]:
        """Make on a throwaway server what the backup expects of any; return what stays missing, in sentences."""
        ...

    def collect_soundness(self, target: Target, database: str) -> Routine[Soundness]:
        """Look at a restored database beyond its row counts. Raises ServerError, ConnectError, Cancelled."""
        ...

    def is_about_the_place(self, code: str) -> bool:
        """Whether an error's code speaks of the server's own room, memory or end, and not of what was sent to it."""
        ...

    def is_disk_full(self, code: str) -> bool:
        """Whether it says that there is no room left on the server's disk."""
        ...

    def is_missing_here(self, code: str) -> bool:
        """Whether an error's code says that the server's programs lack something the backup needs."""
        ...
