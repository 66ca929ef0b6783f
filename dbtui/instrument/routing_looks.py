"""What a look at a server tells: the primary's place in replication, and a replica's."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryLook:
    """The primary as it was seen. `fault`: why it is none, "" when it is."""

    position: Any
    timeline: int | None = None
    system: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLook:
    """A replica as it was seen. `age_seconds`: since the last commit it has applied was made, by two clocks."""

    is_replica: bool
    reached: Any
    is_paused: bool = False
    is_receiving: bool = True
    timeline: int | None = None
    system: str = ""
    age_seconds: float | None = None
    fault: str = ""
