"""What a backup and a later backup, or a backup and a live database, do not have in common."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dbtui.model.backups import BackupTable
from dbtui.model.connections import EngineName
from dbtui.model.shapes import DatabaseShape
from dbtui.model.tables import TableName

#: A table that lost more than this share of its rows is flagged, unless another threshold is named.
SHRINK_SHARE = 0.1
#: Fewer lost rows than this are not flagged, unless they were all.
SHRINK_ROWS = 10
#: For so many seconds at most the rows of a live database are counted, unless another limit is named.
COUNT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveContents:
    """What a live database says of itself without reading tables: rows are mostly estimates.

    `uncountable` are tables whose rows this login does not see, or not all of them, each with the reason. `hides` says,
    with its GRANT, why there may be more tables and columns than this login sees; empty: it sees all.
    """

    tables: tuple[BackupTable, ...]
    shape: DatabaseShape
    uncountable: tuple[tuple[TableName, str], ...] = ()
    hides: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffSide:
    """One of the two that are compared. `shape` is None when it is not known; `shape_gap` says why.

    `is_partial`: tables may have been left out on purpose. `sizes_are` tells sizes on the server from those of text in
    a dump, which are not comparable.
    """

    label: str
    is_live: bool
    engine: EngineName
    flavour: str
    server_version: str
    database: str
    taken_at: datetime | None
    tables: tuple[BackupTable, ...]
    shape: DatabaseShape | None = None
    shape_gap: str = ""
    is_partial: bool = False
    sizes_are: str = "server"  # "server" | "dump"
    remarks: tuple[str, ...] = ()


class Change(StrEnum):
    """What became of something between the two."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    UNKNOWN = "unknown"  # one side left it out on purpose, so nothing can be said


@dataclass(frozen=True, slots=True)
class PartDifference:
    """A column, index, constraint, sequence or definition that is not on both sides as it was. Empty: not there."""

    kind: str
    name: str
    change: Change
    before: str = ""
    after: str = ""


class FlagKind(StrEnum):
    """What looks wrong."""

    TABLE_GONE = "table_gone"
    ROWS_LOST = "rows_lost"
    SEQUENCE_BACK = "sequence_back"
    OTHER_DATABASE = "other_database"
    OTHER_ENGINE = "other_engine"
    OLDER_VERSION = "older_version"
    NO_TABLES = "no_tables"


@dataclass(frozen=True, slots=True)
class ShrinkFlag:
    """Something suspicious. `is_certain` is false where an estimate alone says so: that fails no check."""

    kind: FlagKind
    words: str
    table: TableName | None = None
    is_certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDelta:
    """One table on both sides; None where it is not there. `parts` is None when the shape of a side is not known.

    `rows_delta` and `bytes_delta` are later minus earlier, None when either is unknown or they are not comparable.
    `rows_are` is "exact" only when both counts are.
    """

    schema: str
    name: str
    change: Change
    before: BackupTable | None
    after: BackupTable | None
    parts: tuple[PartDifference, ...] | None = None
    rows_delta: int | None = None
    rows_are: str = "exact"
    bytes_delta: int | None = None
    flag: ShrinkFlag | None = None

    @property
    def table_name(self) -> TableName:
        """Its schema and name."""
        return TableName(self.schema, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupDifferences:
    """Everything that is not the same. `before` is the earlier side. `gaps` say what is not known."""

    before: DiffSide
    after: DiffSide
    tables: tuple[TableDelta, ...]
    sequences: tuple[PartDifference, ...]
    flags: tuple[ShrinkFlag, ...]
    gaps: tuple[str, ...]
    threshold: float
    is_reversed: bool = False  # what was named second is the earlier one

    @property
    def has_shrunk(self) -> bool:
        """Whether anything suspicious is certain."""
        return any(flag.is_certain for flag in self.flags)

    @property
    def has_changed(self) -> bool:
        """Whether anything differs for certain."""
        return bool(self.sequences) or self.has_shrunk or any(table.change in _DIFFERENT for table in self.tables)

    def count(self, change: Change) -> int:
        """Return how many tables became so."""
        return sum(table.change is change for table in self.tables)


_DIFFERENT = (Change.CHANGED, Change.ADDED, Change.REMOVED)
