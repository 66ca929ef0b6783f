"""Statements as they were seen, their shapes, and what a detector finds in their order."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from dbtui.model.connections import EngineName


class StatementEvent(NamedTuple):
    """One statement that ran, from whatever source. A tuple because there are millions.

    `session` and `seq`: the server session (or the recorder's) and the order within it. `ts`: seconds since the epoch
    as the source gives them, None when it does not. `transaction`: a server's transaction id (PostgreSQL's vxid,
    "3/17"; "3/0" is outside of one). `scope`: the id of a request or trace where the source knows one. `rows`: returned
    or changed, None when the source does not say. `call_site`, `relationship`, `load`: from the application's recorder.
    """

    session: str
    seq: int
    sql: str
    ts: float | None = None
    duration_ms: float | None = None
    rows: int | None = None
    params: tuple[object, ...] | None = None
    transaction: str = ""
    scope: str = ""
    application: str = ""
    database: str = ""
    call_site: str = ""
    relationship: str = ""
    load: str = ""
    is_truncated: bool = False


class ShapeKind(StrEnum):
    """What kind of statement a shape is."""

    LOOKUP = "lookup"  # SELECT ... WHERE column = ?, or IN (one value)
    BATCH = "batch"  # the same with IN of two and more values
    AGGREGATE = "aggregate"  # COUNT, MAX ... of a look-up
    SET = "set"  # any other SELECT that reads a table
    RANGE = "range"
    LOCKING = "locking"  # SELECT ... FOR UPDATE
    WRITE = "write"
    CURSOR = "cursor"  # DECLARE, FETCH, CLOSE
    BEGIN = "begin"
    END = "end"  # COMMIT, ROLLBACK
    RESET = "reset"  # a pool gave the connection to somebody else: DISCARD ALL, RESET ALL
    UTILITY = "utility"  # SET, SHOW, catalogue queries, SELECT without FROM
    UNREADABLE = "unreadable"  # cut so short that its shape is not known


@dataclass(frozen=True, slots=True)
class Lookup:
    """One equality a shape looks rows up by. `is_value_first`: written `? = column`, as SQLAlchemy's lazy loads are."""

    table: str  # as written, without quotes; "" when the column is not qualified and several tables are read
    column: str
    is_value_first: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A statement without its values. `text`: IN lists of many are `IN (?+)`, of one `IN (?)`; comments are cut.

    `tables`: what it reads or writes, in order, as written without quotes. `is_hidden`: its values were never in the
    text (`$1`, `?`, `%s`, `:name`). `has_limit_one`: reads one row at most by LIMIT.
    """

    text: str
    kind: ShapeKind
    tables: tuple[str, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    is_hidden: bool = False
    has_limit_one: bool = False
    is_truncated: bool = False


class PatternKind(StrEnum):
    """What a repetition is. Only the first is a finding; the others are told apart from it, and shown on request."""

    N_PLUS_ONE = "n_plus_one"
    DUPLICATE = "duplicate_query"  # the same values again and again
    WRITE_LOOP = "write_loop"  # a look-up before each write: get-or-create, validation, a queue's worker
    LOOKUP_LOOP = "lookup_loop"  # no statement before it returned what it looks up
    BATCH = "batch"  # chunks of selectinload
    CURSOR = "cursor"  # FETCH after FETCH of one cursor
    POOLED_REQUESTS = "pooled_requests"  # one each transaction, nothing in common but the connection


class PatternLevel(StrEnum):
    """How sure and how often. A finding fails a build on `--fail-on finding`; a hint is worth a look."""

    FINDING = "finding"
    HINT = "hint"
    INFO = "info"


class CureKind(StrEnum):
    """How a pattern is cured."""

    SELECTIN = "selectinload"
    JOINED = "joinedload"
    CHAIN = "chain"
    UNDEFER = "undefer"
    KEEP_LOADED = "expire_on_commit"
    IN_LIST = "in_list"
    GROUPED = "grouped"
    PREFETCH = "prefetch"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """What to write instead. `is_guess`: the names come from tables and foreign keys, not from the application."""

    kind: CureKind
    snippet: str
    why: str
    guard: str = ""  # raiseload(...), so that it does not come back
    relationship: str = ""
    is_guess: bool = True
    index_sql: str = ""  # the index that the looked-up column lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One repeated shape of a pattern. `samples`: three statements as they were seen.

    `repeats`: in the unit of work with the most, `seconds`: in all of them. `executions`: in all units, 0 when not
    told; `batches`: how many statements would do instead. `relationship`, `load`: as the recorder named them.
    """

    shape: Shape
    repeats: int
    seconds: float | None
    samples: tuple[str, ...] = ()
    distinct_values: int | None = None  # None: the values are hidden
    executions: int = 0
    batches: int = 0
    relationship: str = ""
    load: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """One pattern, however often it was met: one row of the findings.

    `repeats`: of the child in one unit of work, the most of all units; `repeats_p50`: the median. `units`: units of
    work in which it was met. `total_seconds`: what the children took in all of them, None when nobody measured.
    `saved_seconds`: what the cure saves, with round trips. `first_seq`, `last_seq`, `session`, `scope`: of the unit
    with the most repeats. `parent`: the statement whose rows are gone through, None when there was none. `above`: when
    the parent is itself repeated, its parent, and so on, nearest first.
    """

    kind: PatternKind
    level: PatternLevel
    confidence: float
    children: tuple[Child, ...]
    parent: Shape | None = None
    parent_sql: str = ""
    parent_rows: int | None = None
    above: tuple[Shape, ...] = ()
    session: str = ""
    scope: str = ""
    first_seq: int = 0
    last_seq: int = 0
    repeats: int = 0
    repeats_p50: float = 0.0
    units: int = 1
    total_seconds: float | None = None
    saved_seconds: float | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    database: str = ""
    application: str = ""
    route: str = ""
    call_site: str = ""
    relationship: str = ""  # as the recorder named it
    load: str = ""
    above_relationships: tuple[str, ...] = ()  # what parent and `above` load, as the recorder named it
    reasons: tuple[str, ...] = ()
    cure: Cure | None = None
    timeline: tuple[float, ...] = ()  # when the child ran, seconds after the parent, at most 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What a reader saw of its source. `lost`: statements that ran and could not be read (a ring ran over, a gap).

    `skipped`: records that were read and are no statements: checkpoints, errors, the parse and bind steps.
    """

    source: str  # the file or the server as shown
    format: str  # "postgresql jsonlog", "mysql slow log", ...
    lines: int = 0
    statements: int = 0
    skipped: int = 0
    unreadable: int = 0
    first_unreadable: str = ""  # line number and text
    truncated: int = 0
    lost: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFindings:
    """What the statements of one source hold. `findings`: the most time saved first. `others`: told apart from them."""

    statements: int = 0
    sessions: int = 0
    units: int = 0
    findings: tuple[Repetition, ...] = ()
    others: tuple[Repetition, ...] = ()
    dropped_units: int = 0  # forgotten to keep memory bounded
    round_trip_seconds: float | None = None
    is_round_trip_measured: bool = False
    report: SourceReport | None = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of `table` reference `parent_columns` of `parent`. `is_required`: no column of it may be NULL.

    `is_unique`: a unique index covers the columns, so there is one child at most.
    """

    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    is_required: bool = False
    is_unique: bool = False


@dataclass(frozen=True, slots=True)
class QuerySchema:
    """What is known of the tables for naming cures: foreign keys, primary keys, and the first columns of indexes.

    `engine`: whose catalogue it was, for the words of an index; None when that is not known.
    """

    foreign_keys: tuple[ForeignKey, ...] = ()
    primary_keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    indexed: dict[str, frozenset[str]] = field(default_factory=dict)
    engine: EngineName | None = None


@dataclass(frozen=True, slots=True)
class MappedRelation:
    """One relationship() of a mapped class, or a deferred column (`target` is "" then). Names as Python writes them.

    `columns` of a deferred column is its own one. `is_loadable`: options of the loader apply to it, as they do not to
    dynamic and write-only ones.
    """

    owner: str
    name: str
    target: str
    owner_table: str
    target_table: str
    columns: tuple[str, ...]  # the columns a lazy load of it looks up
    is_collection: bool
    is_required: bool = False
    secondary: str = ""
    is_loadable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TopQuery:
    """One shape as the server sums it up (pg_stat_statements, a digest). Counters since `since` of the snapshot.

    Times in seconds, blocks in bytes. None: this server does not count it.
    """

    key: str  # queryid or digest, with user and database, so that two looks can be matched
    sql: str
    database: str = ""
    user: str = ""
    calls: int = 0
    total_seconds: float = 0.0
    rows: int | None = None
    min_seconds: float | None = None
    max_seconds: float | None = None
    read_bytes: int | None = None
    hit_bytes: int | None = None
    temp_bytes: int | None = None
    written_bytes: int | None = None
    wal_bytes: int | None = None
    rows_examined: int | None = None
    no_index_calls: int | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    is_truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TopQueriesSnapshot:
    """The server's sums. `since`: of the counters' last reset. `evicted`: shapes it forgot for want of room."""

    profile: str
    taken_at: datetime
    monotonic_seconds: float
    source: str  # "pg_stat_statements 1.10", "performance_schema digests"
    queries: tuple[TopQuery, ...] = ()
    since: datetime | None = None
    evicted: int | None = None
    gaps: tuple[str, ...] = ()
    schema: QuerySchema | None = None
    round_trip_seconds: float | None = None


class CaptureWay(StrEnum):
    """How statements are captured."""

    POSTGRESQL_LOG = "postgresql log"  # log_min_duration_statement or transaction sampling, read over the connection
    MYSQL_HISTORY = "performance_schema history"
    MYSQL_GENERAL = "general log table"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One setting that a capture changes. `before`: what ALTER SYSTEM (or SET GLOBAL) held, None: nothing."""

    name: str
    value: str
    before: str | None
    current: str  # what is in effect, as shown


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePlan:
    """What a capture would do, with its cost. `refusal`: why it may not, with what to do; "" when it may.

    `sample_rate`: of transactions, 1.0 is all. `statements_per_second`: as the server counts now, None when unknown.
    `bytes_per_second`: of log to expect. `server`: what the server says it is, so that no other one is taken for it.
    `format`: what the statements are read from ("jsonlog").
    """

    profile: str
    way: CaptureWay
    seconds: float
    most_bytes: int
    sample_rate: float
    changes: tuple[SettingChange, ...] = ()
    statements_per_second: float | None = None
    bytes_per_second: float | None = None
    free_bytes: int | None = None
    cost: str = ""
    warnings: tuple[str, ...] = ()
    refusal: str = ""
    server: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureResult:
    """How a capture ended. `is_restored`: every setting is what it was; `left`: the settings that are not, and how."""

    plan: CapturePlan
    seconds: float
    findings: QueryFindings
    is_restored: bool
    left: tuple[str, ...] = ()
    ended_by: str = ""  # "time", "size", "cancelled", "server restarted"


class LogFormat(StrEnum):
    """What a file of statements is written in. The values are what an operator types."""

    JSONLOG = "jsonlog"
    CSVLOG = "csvlog"
    STDERR = "stderr"
    SYSLOG = "syslog"
    SLOW = "slow"
    GENERAL = "general"
    TRACE = "trace"
