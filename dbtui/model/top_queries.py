"""What happened between two looks at a server's sums of statements, what is suspected from it, and plans."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dbtui.model.queries import Cure, ForeignKey, TopQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class TopQueryRate:
    """What one shape did in a window. `query`: its newest sums; everything else is of the window alone.

    `share`: its part of the time of all shapes in the window, 0 to 1. None: this server does not count it.
    `is_least`: its counters began anew within the window, so that it did at least this.
    """

    query: TopQuery
    calls: int
    total_seconds: float
    calls_per_second: float
    share: float
    mean_seconds: float | None = None  # None: nothing ended within the window
    rows: int | None = None
    rows_per_call: float | None = None
    read_bytes: int | None = None
    hit_bytes: int | None = None
    temp_bytes: int | None = None
    written_bytes: int | None = None
    wal_bytes: int | None = None
    rows_examined: int | None = None
    no_index_calls: int | None = None
    is_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TopQueriesWindow:
    """The difference of two looks. `began_at` None: since the counters began, and nobody knows when that was.

    `seconds`: how long it was, None when not known. `is_since_reset`: the counters began anew within it, or it is one
    look alone. `appeared`: shapes that were not seen before, `forgotten`: shapes that the server no longer has.
    `unmatched`: shapes that were there before the window and not in its first look: they are left out.
    """

    profile: str
    ended_at: datetime
    began_at: datetime | None = None
    seconds: float | None = None
    rates: tuple[TopQueryRate, ...] = ()
    calls: int = 0
    total_seconds: float = 0.0
    is_since_reset: bool = False
    appeared: int = 0
    forgotten: int = 0
    unmatched: int = 0
    warnings: tuple[str, ...] = ()


class TopQuerySort(StrEnum):
    """What the list of shapes is sorted by."""

    TIME = "time"
    CALLS = "calls"
    MEAN = "mean"
    ROWS = "rows"
    ROWS_PER_CALL = "rows per call"
    EXAMINED = "rows examined"
    READ = "read"
    HIT = "hit"
    TEMP = "temp"
    WRITTEN = "written"
    WAL = "wal"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySuspect:
    """Two shapes whose counts move together as those of an N+1 would. Never more than a suspicion: capture to confirm.

    `repeats`: calls of the child for one of the parent. `seconds_per_second`: what the children take, of each second.
    """

    child: TopQuery
    parent: TopQuery
    repeats: float
    parent_rows: float
    windows: int
    seconds_per_second: float
    is_value_first: bool = False
    foreign_key: ForeignKey | None = None
    other_parents: int = 0
    reasons: tuple[str, ...] = ()
    cure: Cure | None = None


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One step of a plan, whatever server made it. `rows`, `cost`: as the server expects them, for one run of the step.

    `title`: "Seq Scan on comment"; `details`: conditions, keys and the like, a line each.
    """

    title: str
    details: tuple[str, ...] = ()
    cost: float | None = None
    rows: float | None = None
    children: tuple["PlanNode", ...] = ()
