"""What looking at something found: how much it matters, and in words."""

from dataclasses import dataclass
from enum import StrEnum


class FindingLevel(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    REMARK = "remark"
    TROUBLE = "trouble"


class TargetConcern(StrEnum):
    """What there may be to say of a target that answers."""

    BLOCKED = "blocked"  # sessions wait for locks
    OLD_TRANSACTION = "old_transaction"
    FULL = "full"  # few sessions are left for ordinary logins
    LAGGING = "lagging"  # a replica is behind
    DAMAGED = "damaged"  # a database file
    LOW_CACHE_HIT = "low_cache_hit"


@dataclass(frozen=True, slots=True)
class TargetFinding:
    """One thing that there is to say of a target: `3 blocked`, `oldest transaction 12 min`."""

    kind: TargetConcern
    level: FindingLevel
    words: str


class SessionConcern(StrEnum):
    """What there may be to say of a session."""

    BLOCKED = "blocked"
    BLOCKS = "blocks"  # others wait for it
    IDLE_IN_TRANSACTION = "idle_in_transaction"
    OLD_TRANSACTION = "old_transaction"


@dataclass(frozen=True, slots=True)
class SessionFinding:
    """One thing that there is to say of a session: `blocked by 4711`, `blocks 3`."""

    session_id: int
    kind: SessionConcern
    level: FindingLevel
    words: str
