"""Making, listing, looking into, verifying, restoring and deleting backups."""

from dbtui.routines.backups.catalogue import collect_entries
from dbtui.routines.backups.contents import collect_contents, collect_sample, show_definition
from dbtui.routines.backups.create import apply_create, create_backup, plan_create
from dbtui.routines.backups.delete import delete_backup
from dbtui.routines.backups.diff import compare_backup
from dbtui.routines.backups.evidence import read_proofs
from dbtui.routines.backups.find import find_backup
from dbtui.routines.backups.proof import plan_proof
from dbtui.routines.backups.restore import apply_restore, plan_restore
from dbtui.routines.backups.stored import backup_lock, create_lock, database_of, restore_lock
from dbtui.routines.backups.verify import verify_backup

__all__ = [
    "apply_create",
    "apply_restore",
    "backup_lock",
    "collect_contents",
    "collect_entries",
    "collect_sample",
    "compare_backup",
    "create_backup",
    "create_lock",
    "database_of",
    "delete_backup",
    "find_backup",
    "plan_create",
    "plan_proof",
    "plan_restore",
    "read_proofs",
    "restore_lock",
    "show_definition",
    "verify_backup",
]
