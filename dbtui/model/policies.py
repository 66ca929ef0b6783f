"""What partitioned tables should be like, and which backups stay, as a profile or an operator says it."""

from dataclasses import dataclass
from enum import StrEnum

from dbtui.model.tables import TableName


class IntervalUnit(StrEnum):
    """What bounds are steps of."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"  # from Monday on, ISO 8601
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    NUMBER = "number"  # of a key of whole numbers


@dataclass(frozen=True, slots=True)
class Interval:
    """So many units. Months and years are of the calendar in the policy's time zone; hours are steps of UTC."""

    count: int
    unit: IntervalUnit

    def __str__(self) -> str:
        if self.unit is IntervalUnit.NUMBER:
            return str(self.count)
        return f"{self.count} {self.unit.value}{'s' if self.count != 1 else ''}"


class KeyCodec(StrEnum):
    """How a key that is no time holds one."""

    NONE = "none"
    EPOCH_SECONDS = "epoch s"
    EPOCH_MILLISECONDS = "epoch ms"
    EPOCH_MICROSECONDS = "epoch us"
    EPOCH_NANOSECONDS = "epoch ns"
    UUID7 = "uuid7"


class ArchiveMode(StrEnum):
    """What becomes of rows before their partition is dropped."""

    NONE = "none"  # dropped; an order that names how many rows are lost
    DUMP = "dump"  # by the backup routine, verified


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionPolicy:
    """What a partitioned table should be like. `interval` None: of lists and hashes.

    `retention`: partitions whose upper bound is at or before now less this are due; None keeps all. For keys of whole
    numbers it is a distance from the newest value. `grace_seconds` lie between detaching and dropping.
    `values`: of a list that should have a partition each.
    """

    table: TableName
    interval: Interval | None = None
    time_zone: str = "UTC"
    premake: int = 4
    retention: Interval | None = None
    grace_seconds: float = 0.0
    archive: ArchiveMode = ArchiveMode.DUMP
    archive_dir: str = ""
    codec: KeyCodec = KeyCodec.NONE
    values: tuple[str, ...] = ()
    modulus: int | None = None
    ensure_indexes: bool = True
    origin: str = ""  # "config.toml, line 12", "command line", "from what is there"


class CountedProof(StrEnum):
    """What a backup must be to take one of the places that a policy keeps."""

    COMPLETE = "complete"  # its manifest and its files are there, with the sizes that it says
    CHECKSUMS = "checksums"  # and it was verified
    RESTORED = "restored"  # and it was restored and compared


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How many backups stay: the last ones, and the newest of each of so many days, weeks, months and years.

    Only periods that have a backup are counted. Days begin in `time_zone`, weeks on Monday (ISO 8601).
    """

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    time_zone: str = "UTC"
    counts: CountedProof = CountedProof.COMPLETE

    @property
    def is_empty(self) -> bool:
        """Whether it would keep nothing, which no policy may say."""
        return not (self.last or self.daily or self.weekly or self.monthly or self.yearly)
