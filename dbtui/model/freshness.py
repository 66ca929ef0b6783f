"""How old the newest good backup of a profile is, against how old it may be."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFreshness:
    """One profile's. `newest_at` and `age_seconds` are None when there is no good backup. `reason` is a sentence.

    `because` says where the limit comes from: "max_backup_age", or what `keep` asks for.
    """

    profile: str
    database: str
    limit_seconds: float
    because: str
    newest_id: str = ""
    newest_at: datetime | None = None
    age_seconds: float | None = None
    is_overdue: bool = False
    reason: str = ""
