"""Partitioned tables: their bounds, what is wrong with them, and plans that keep them right.

Bounds are half-open, `lower <= key < upper`, as servers mean them. Times of keys without a time zone are naive, others
are aware; "epoch" keys are whole numbers and become times only through a policy's codec.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from dbtui.model.connections import EngineName
from dbtui.model.policies import ArchiveMode as ArchiveMode
from dbtui.model.policies import Interval as Interval
from dbtui.model.policies import IntervalUnit as IntervalUnit
from dbtui.model.policies import KeyCodec as KeyCodec
from dbtui.model.policies import PartitionPolicy as PartitionPolicy
from dbtui.model.tables import TableName


class PartitionStrategy(StrEnum):
    """How rows find their partition."""

    RANGE = "range"
    LIST = "list"
    HASH = "hash"  # also MySQL's KEY


class KeyKind(StrEnum):
    """What a column of the key holds, as far as bounds are concerned."""

    DATE = "date"
    TIMESTAMP = "timestamp"  # without time zone
    TIMESTAMPTZ = "timestamptz"
    INTEGER = "integer"
    NUMERIC = "numeric"
    UUID = "uuid"
    TEXT = "text"
    OTHER = "other"  # expressions and types whose order we do not know: shown, never planned


class Limit(StrEnum):
    """An end that is none."""

    LOWEST = "MINVALUE"
    HIGHEST = "MAXVALUE"


BoundValue = date | datetime | int | Decimal | str | Limit | None  # None: NULL in a list


@dataclass(frozen=True, slots=True)
class RangeBound:
    """One value each for every column of the key."""

    lower: tuple[BoundValue, ...]
    upper: tuple[BoundValue, ...]


@dataclass(frozen=True, slots=True)
class ListBound:
    """The values of a partition; of several columns a tuple each, flattened to their text."""

    values: tuple[BoundValue, ...]


@dataclass(frozen=True, slots=True)
class HashBound:
    """The remainder that a partition takes."""

    modulus: int
    remainder: int


@dataclass(frozen=True, slots=True)
class DefaultBound:
    """Whatever no other partition takes (PostgreSQL's DEFAULT; MariaDB's list DEFAULT)."""


@dataclass(frozen=True, slots=True)
class UnreadBound:
    """A bound that was not understood: its partition is shown and never planned for."""


Bound = RangeBound | ListBound | HashBound | DefaultBound | UnreadBound


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionIndex:
    """An index of a partition or of its parent. `parent` is the parent's index that it is attached to, if any.

    One that is attached has its parent's definition, which is not repeated here.
    """

    name: str
    definition: str
    columns: tuple[str, ...] = ()
    is_unique: bool = False
    is_constraint: bool = False  # primary key or unique constraint
    is_valid: bool = True
    parent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition. `bytes_estimate` is by pages, `bytes_exact` only where it was asked for; rows are an estimate."""

    table: TableName
    bound: Bound
    bound_text: str  # as the server writes it
    identity: int = 0  # PostgreSQL's oid
    rows_estimate: int | None = None
    bytes_estimate: int | None = None
    bytes_exact: int | None = None
    is_detach_pending: bool = False
    is_foreign: bool = False
    indexes: tuple[PartitionIndex, ...] = ()
    strategy: PartitionStrategy | None = None  # of its own partitions
    partitions: tuple["Partition", ...] = ()

    @property
    def is_default(self) -> bool:
        """Whether it takes what no other does."""
        return isinstance(self.bound, DefaultBound)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachedPartition:
    """A table that was a partition and carries our marker: waits for the end of its grace, or to be attached again."""

    table: TableName
    parent: TableName
    bound_text: str
    detached_at: datetime | None
    archive: str = ""  # id of the backup that holds it
    identity: int = 0
    rows_estimate: int | None = None
    bound: Bound = UnreadBound()  # what `bound_text` says; unread: it is never dropped
    is_copy: bool = False  # its mark is another table's: it was restored from a backup, and is left alone


@dataclass(frozen=True, slots=True)
class PartitionGrant:
    """What a role may do with a partition, or one column of it; no grantee is everybody."""

    grantee: str
    privilege: str
    is_grantable: bool = False
    column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPolicy:
    """A policy of row security. `roles`: none is everybody; `using`, `check`: expressions of SQL, empty: none."""

    name: str
    command: str  # "ALL", "SELECT", "INSERT", "UPDATE", "DELETE"
    is_permissive: bool = True
    roles: tuple[str, ...] = ()
    using: str = ""
    check: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionTemplate:
    """What a new partition takes over from its newest sibling, or the parent, beyond what LIKE copies (PostgreSQL).

    `options` are storage parameters as the catalogue has them: "fillfactor=70", "toast.autovacuum_enabled=false".
    `columns` are those that rows are moved with: generated ones are not among them. Where `replica_identity` is
    "INDEX", `replica_index` is the parent's index whose part on a partition tells its rows apart.
    """

    owner: str = ""
    grants: tuple[PartitionGrant, ...] = ()
    revoked: tuple[str, ...] = ()  # whom every new table of this login is granted something; "" is everybody
    options: tuple[str, ...] = ()
    tablespace: str = ""
    replica_identity: str = ""  # "FULL", "NOTHING", "INDEX"; empty: the usual one
    replica_index: str = ""
    row_security: str = ""  # "ENABLE", "FORCE"; empty: whoever may read it reads every row
    policies: tuple[RowPolicy, ...] = ()
    is_unlogged: bool = False
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockPatience:
    """How long a step waits for a lock: so many tries, each as long as its rung, pauses between them growing.

    The highest rung is below what a bystander may be made to wait. There is no unlimited last try.
    """

    rungs_seconds: tuple[float, ...] = (0.1, 0.1, 0.15, 0.2, 0.25)
    tries: int = 30
    seconds: float = 600.0
    first_pause_seconds: float = 0.05
    longest_pause_seconds: float = 5.0
    old_seconds: float = 30.0  # a transaction as old as this will not end within a rung: it is not tried


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionedTable:
    """A partitioned table as its server describes it, without having read a row of it.

    `managed_by`: another program's ("pg_partman", "timescaledb"), then it is only shown. `taken_at` is the server's
    clock. `lock_slots`: how many locks the server's table of locks holds (PostgreSQL), None: it has no such limit.
    `session_time_zone`: in which naive bounds were probably meant.
    """

    table: TableName
    engine: EngineName
    taken_at: datetime
    server_version_number: int
    flavour: str = ""
    identity: int = 0
    strategy: PartitionStrategy
    key_columns: tuple[str, ...]
    key_kinds: tuple[KeyKind, ...]
    key_text: str = ""  # as the server writes it: "RANGE (created_at)"
    partitions: tuple[Partition, ...] = ()
    indexes: tuple[PartitionIndex, ...] = ()
    owner: str = ""
    is_owner: bool = True
    is_replica: bool = False
    is_pooled: bool = False
    managed_by: str = ""
    management: tuple[str, ...] = ()  # what that program has set, a sentence each
    is_made_on_demand: bool = False  # partitions are made as rows come: a stretch without one is no gap
    referenced_by: tuple[TableName, ...] = ()  # tables with foreign keys to it
    references: tuple[TableName, ...] = ()  # tables that its own foreign keys name
    unique_without_key: tuple[str, ...] = ()  # MySQL: unique keys that keep it from being partitioned as asked
    default_rows: int | None = None  # in the default partition, exactly, up to a limit
    detached: tuple[DetachedPartition, ...] = ()
    lock_slots: int | None = None
    session_time_zone: str = "UTC"
    template: PartitionTemplate = PartitionTemplate()
    newest_value: int | None = None  # keys of whole numbers: the highest that is in it, if it was asked for
    are_indexes_read: bool = False  # no index: there is none, and not that nobody asked
    key_most: int | None = None  # the highest number that its key can hold, if that is known
    names_taken: tuple[str, ...] = ()  # of other relations of its schema, as far as a new partition could be called so
    gaps: tuple[str, ...] = ()

    @property
    def default(self) -> Partition | None:
        """Its default partition."""
        return next((each for each in self.partitions if each.is_default), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionsSnapshot:
    """Every partitioned table of a database. `unsupported` says why an engine has none."""

    profile: str
    taken_at: datetime
    tables: tuple[PartitionedTable, ...] = ()
    unsupported: str = ""
    gaps: tuple[str, ...] = ()


# --- what is wrong with it -------------------------------------------------------------------------------------------


class PartitionTrouble(StrEnum):
    """What can be wrong with a partitioned table."""

    GAP = "gap"
    OVERLAP = "overlap"
    HEADROOM = "headroom"
    DEFAULT_ROWS = "rows in default"
    PAST_RETENTION = "past retention"
    DETACH_PENDING = "detach pending"
    MISSING_INDEX = "missing index"
    INVALID_INDEX = "invalid index"
    LOCK_TABLE = "lock table"
    CANNOT_PRUNE = "cannot prune"
    MISALIGNED = "misaligned"
    INCOMPLETE_HASH = "incomplete hash"
    MISSING_VALUE = "missing value"
    MANAGED = "managed elsewhere"
    NOT_OWNER = "not the owner"
    HAS_DEFAULT = "has a default"
    UNREADABLE = "unreadable bounds"


class PartitionLevel(StrEnum):
    """How much it matters."""

    REMARK = "remark"
    WARNING = "warning"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFinding:
    """One thing to know about a table. `partition` empty: it concerns the whole."""

    kind: PartitionTrouble
    level: PartitionLevel
    sentence: str
    partition: str = ""


@dataclass(frozen=True, slots=True)
class CoverageSpan:
    """A stretch of the key's axis: covered by a partition, or a gap. Ends are times for time keys, else numbers."""

    lower: datetime | int
    upper: datetime | int
    partition: str = ""  # empty: a gap


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionAssessment:
    """A table judged. `headroom_seconds`: until the last partition ends; None: not by time, or it never does."""

    table: TableName
    findings: tuple[PartitionFinding, ...] = ()  # the worst first
    coverage: tuple[CoverageSpan, ...] = ()
    headroom_seconds: float | None = None
    ends_at: datetime | None = None
    current: str = ""  # the partition that takes rows of now
    due: tuple[str, ...] = ()  # past retention
    policy: PartitionPolicy | None = None

    @property
    def level(self) -> PartitionLevel | None:
        """The worst level of the findings; None: nothing to say."""
        order = (PartitionLevel.REMARK, PartitionLevel.WARNING, PartitionLevel.TROUBLE)
        return max((each.level for each in self.findings), key=order.index, default=None)


# --- plans -----------------------------------------------------------------------------------------------------------


class StepKind(StrEnum):
    """What a step does."""

    REPAIR_DETACH = "repair detach"  # DETACH … FINALIZE
    CREATE = "create"  # LIKE + ATTACH, PARTITION OF at none; MySQL: REORGANIZE of an empty tail, or ADD
    DRAIN_DEFAULT = "drain default"  # create a partition with the rows that lie in default
    CREATE_INDEX = "create index"  # concurrently, on one partition
    ATTACH_INDEX = "attach index"
    DETACH = "detach"
    ARCHIVE = "archive"
    DROP = "drop"
    EXCHANGE = "exchange"  # MySQL: rows of a partition into a table of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLocks:
    """The lock that a step takes on each table, in the server's words; empty: none."""

    parent: str = ""
    child: str = ""
    default: str = ""
    others: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStep:
    """One step. `sql` and `locks` are filled by the engine for this server version; an archive has no SQL.

    `danger`: 0 nothing, 1 reversible, 3 loses rows unless they were archived.
    """

    kind: StepKind
    table: TableName  # the parent
    partition: TableName
    why: str
    bound: Bound | None = None
    danger: int = 1
    sql: tuple[str, ...] = ()
    locks: StepLocks = StepLocks()
    in_transaction: bool = True
    index: PartitionIndex | None = None
    rows_estimate: int | None = None
    bytes_estimate: int | None = None
    identity: int = 0  # of the partition that exists: checked again before it is touched
    bound_text: str = ""  # as it was when planned: checked again
    concurrently: bool = False
    into: TableName | None = None  # EXCHANGE: the table that takes the rows


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionPlan:
    """What brings a table to its policy, in order. No steps and no refusals: it is there already."""

    table: TableName
    policy: PartitionPolicy
    taken_at: datetime
    steps: tuple[PartitionStep, ...] = ()
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def is_converged(self) -> bool:
        """Whether nothing is left to do."""
        return not self.steps and not self.refusals

    @property
    def danger(self) -> int:
        """The highest danger of a step."""
        return max((step.danger for step in self.steps), default=0)


class StepOutcome(StrEnum):
    """How a step ended."""

    DONE = "done"
    SKIPPED = "skipped"  # it was done already, or what it was for has gone
    LOCKED = "locked"  # patience ended: somebody holds a lock
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What became of a step."""

    step: PartitionStep
    outcome: StepOutcome
    seconds: float = 0.0
    tries: int = 1
    detail: str = ""
    archive: str = ""  # id of the backup that was made


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionsResult:
    """What a plan did. `left`: steps of a new plan made afterwards, empty when it converged."""

    table: TableName
    results: tuple[StepResult, ...] = ()
    left: int = 0
