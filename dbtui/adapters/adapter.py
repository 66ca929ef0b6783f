"""What an engine's folder fulfils. To add an engine, copy a folder's file names and these two protocols.

Everything returns values of `dbtui.model`; rows and dictionaries never leave the folder. Whatever takes long is a
routine (a generator of events) and stops when its Target's cancellation is requested.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from dbtui.adapters.cancellation import Cancellation

if TYPE_CHECKING:  # an engine is asked about its state without knowing what a backup is
    from dbtui.model.backup_differences import LiveContents
    from dbtui.model.backups import (
        BackupContents,
        BackupTable,
        DestinationFacts,
        DumpFacts,
        DumpOptions,
        DumpRequest,
        DumpResult,
        LoadRequest,
        RestoreFacts,
        StoredBackup,
        TableName,
        TableSample,
    )
    from dbtui.model.captures import CaptureJournal, CaptureWish
    from dbtui.model.connections import ConnectionProfile, EngineName, Secret, ServerInfo, TargetStatus
    from dbtui.model.doctor import Capabilities, CredentialFile, InstalledTool
    from dbtui.model.events import Routine
    from dbtui.model.partitions import (
        LockPatience,
        Partition,
        PartitionedTable,
        PartitionStep,
        StepResult,
    )
    from dbtui.model.pools import ServerPool
    from dbtui.model.queries import CapturePlan, QuerySchema, SourceReport, StatementEvent, TopQueriesSnapshot, TopQuery
    from dbtui.model.replica_facts import AdditionFacts
    from dbtui.model.replicas import ReplicaAction, ReplicaPlan, ReplicaResult, ReplicaWish, ServerReplication
    from dbtui.model.shapes import DatabaseShape
    from dbtui.model.top_queries import PlanNode
from dbtui.model.sessions import Session, SessionHit, SessionsSnapshot, SessionVerb

TargetT = TypeVar("TargetT")


class Target(Protocol):
    """An open connection to one server, owned by one thread."""

    @property
    def profile(self) -> ConnectionProfile:
        """The profile it was opened from."""
        ...

    @property
    def info(self) -> ServerInfo:
        """What the server said of itself when the connection was opened."""
        ...

    @property
    def cancellation(self) -> Cancellation:
        """The run's wish to stop; statements on this target are interrupted by it."""
        ...

    def close(self) -> None:
        """Close every connection and remove every temporary file. Never raises."""
        ...


def narrow(target: Target, kind: type[TargetT]) -> TargetT:
    """Return the target as its engine's own kind; one of another engine is a mistake of the program."""
    if not isinstance(target, kind):
        raise TypeError(f"{type(target).__name__} is no {kind.__name__}")
    return target


class BackupAdapter(Protocol):
    """Dumps, reads and loads backups of one engine."""

    def collect_dump_facts(self, target: Target, options: DumpOptions) -> DumpFacts:
        """Ask server and machine what planning a dump needs. Raises ToolError when no fitting tool is installed."""
        ...

    def dump(self, target: Target, request: DumpRequest) -> Routine[DumpResult]:
        """Write the dump at `request.partial_path`, fsynced, hashed; leave no child process behind, however it ends."""
        ...

    def collect_contents(self, backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
        """Read what a backup holds, without a server. Raises DamagedBackupError."""
        ...

    def show_definition(self, backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
        """Return the SQL that creates a table (with its indexes and constraints), read from the backup."""
        ...

    def collect_sample(
        self, backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation
    ) -> TableSample:
        """Return a table's first rows, read from the backup."""
        ...

    def read_shape(self, backup: StoredBackup, cancellation: Cancellation) -> DatabaseShape | None:
        """Read what a backup's tables look like where that takes no unpacking; None where it would."""
        ...

    def collect_shape(self, target: Target) -> DatabaseShape:
        """Ask the catalogue what tables and sequences look like; no table is read. Raises ServerError, ConnectError."""
        ...

    def collect_live_contents(self, target: Target) -> LiveContents:
        """Ask the catalogue for tables, sizes, estimated rows and shape; no table is read or locked."""
        ...

    def check_archive(self, backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
        """Look for damage and hostile contents that checksums cannot show: trailer, structure, statements.

        Returns what is wrong, a sentence each; nothing of the backup is run.
        """
        ...

    def collect_destination(self, target: Target, database: str) -> DestinationFacts:
        """Look at the database a restore would fill, which may not exist."""
        ...

    def collect_restore_facts(
        self, target: Target, backup: StoredBackup, contents: BackupContents, database: str
    ) -> RestoreFacts:
        """Ask server and machine what planning a restore into `database` needs."""
        ...

    def create_database(self, target: Target, database: str, like: str, contents: BackupContents) -> None:
        """Create an empty database. If `like` names an existing one, its owner, encoding and settings are taken."""
        ...

    def load(self, target: Target, request: LoadRequest) -> Routine[None]:
        """Load a backup into an empty database. Raises ServerError naming file, line and object."""
        ...

    def count_rows(
        self, target: Target, database: str, tables: Sequence[TableName]
    ) -> Routine[tuple[BackupTable, ...]]:
        """Count the rows of each table that exists, exactly."""
        ...

    def swap_database(self, target: Target, live: str, fresh: str, kept: str) -> Routine[None]:
        """Make `fresh` the database called `live` and keep the old one as `kept`, atomically where the engine can."""
        ...

    def drop_database(self, target: Target, database: str) -> None:
        """Drop a database that this run created. No error if it is not there."""
        ...

    def new_name(self, target: Target, database: str, suffix: str) -> str:
        """Return a name for a new database: `database` and a suffix like `_restored`, within the server's limit."""
        ...


class SessionAdapter(Protocol):
    """Sessions of one engine."""

    def collect_sessions(self, target: Target) -> SessionsSnapshot:
        """Ask for every session, with who blocks whom. What the login may not see is a gap with its GRANT."""
        ...

    def show_orders(self, target: Target, verb: SessionVerb, sessions: Sequence[Session]) -> tuple[str, ...]:
        """Return the statements that `end_session` would run, for the plan."""
        ...

    def end_session(self, target: Target, verb: SessionVerb, session: Session, taken_at: datetime) -> SessionHit:
        """Cancel or terminate exactly this session: the same statement checks that it still is that one."""
        ...

    def explain(self, target: Target, session: Session) -> str:
        """Return the plan of the session's statement without running it. Raises ServerError, RefusedError."""
        ...


class PoolAdapter(Protocol):
    """The slots of a server and who holds them."""

    def collect_server_pool(self, target: Target) -> ServerPool:
        """Ask for slots, sessions by what they do, peak and refusals. Raises ServerError, ConnectError."""
        ...

    def collect_backends(self, target: Target, process_ids: Collection[int]) -> Mapping[int, Session]:
        """Ask what these sessions of the server do; those that have ended meanwhile are not in the answer."""
        ...


class PartitionExecutor(Protocol):
    """Runs the steps of one partitioned table's plan, alone: it holds the table's advisory lock."""

    def run(self, step: PartitionStep) -> Routine[StepResult]:
        """Run a described step, waiting for locks as patience allows; blockers are named in events meanwhile.

        Looks first whether partition and bound still are what was planned. An archive is not run here. What the
        server refuses is FAILED with its words. Raises ConnectError, Cancelled.
        """
        ...

    def mark_archived(self, step: PartitionStep, archive: str) -> None:
        """Write the id of the backup that holds it onto a detached table. Raises ServerError, RefusedError."""
        ...


class PartitionAdapter(Protocol):
    """Partitioned tables of one engine."""

    def collect_partitioned_tables(self, target: Target) -> tuple[PartitionedTable, ...]:
        """Ask the catalogue for every partitioned table of the database; no table is read. Raises ServerError."""
        ...

    def collect_partitioned_table(self, target: Target, table: TableName) -> PartitionedTable:
        """Ask for one, with indexes, detached partitions, foreign keys and the rows of its default partition.

        An empty schema means where the login finds it. Raises UsageError: it is not there, or not partitioned.
        """
        ...

    def collect_exact_sizes(
        self, target: Target, table: TableName, partitions: Sequence[Partition]
    ) -> Mapping[TableName, int]:
        """Measure some partitions, in bytes with their indexes; one that is locked exclusively is left out."""
        ...

    def count_conflicts(self, target: Target, table: PartitionedTable, step: PartitionStep) -> int:
        """Count the rows that lie where the step's partition will be: in the default, or MySQL's last partition."""
        ...

    def collect_prunes(self, target: Target, table: PartitionedTable) -> bool | None:
        """Whether a question about the last hour leaves partitions out, by its plan alone. None: cannot be told."""
        ...

    def describe_step(self, table: PartitionedTable, step: PartitionStep) -> PartitionStep:
        """Return the step with its SQL and the locks it takes on this version. Pure. Raises UsageError."""
        ...

    def open_executor(
        self, target: Target, table: PartitionedTable, patience: LockPatience
    ) -> AbstractContextManager[PartitionExecutor]:
        """Take the table's advisory lock for a block. Raises LockedError (held elsewhere), RefusedError (a pooler in
        the path, a replica, not the owner, read-only, managed by another program), ConnectError.
        """
        ...


class StatementTail(Protocol):
    """Reads the statements that a server writes down, while it does. Its connection is no run's to interrupt."""

    def read(self) -> tuple[list[StatementEvent], int]:
        """Return what has come since the last time, and how many statements were lost.

        Raises ConnectError, ServerError. Own statements are left out. Ask every `every_seconds`.
        """
        ...

    @property
    def every_seconds(self) -> float:
        """How long to wait between two reads at most, so that nothing is lost."""
        ...

    @property
    def read_bytes(self) -> int:
        """How much it has read."""
        ...

    def finish(self) -> list[StatementEvent]:
        """Return what is left when the server writes no more; what is only half there is read as far as it goes."""
        ...

    def report(self) -> SourceReport:
        """Return what it saw."""
        ...


class CaptureSwitch(Protocol):
    """Switches a server's capture on and off, alone: it holds the server's capture lock."""

    def check(self) -> None:
        """See that the server is still as it was planned on. Raises RefusedError, ServerError, ConnectError."""
        ...

    def apply(self) -> None:
        """Change the settings and wait until they are in effect. Raises RefusedError, ServerError, ConnectError."""
        ...

    def measure_growth(self) -> int:
        """Return how many bytes the server has written down since the switch was opened."""
        ...

    def revert(self) -> tuple[str, ...]:
        """Put back what is still ours, and return the settings that are not: somebody else changed them meanwhile.

        Raises ServerError, ConnectError, RefusedError (it is another server).
        """
        ...


class QueryAdapter(Protocol):
    """The statements of one engine: their sums, and how to have them written down for a while."""

    def collect_top_queries(self, target: Target) -> TopQueriesSnapshot:
        """Ask for the server's sums of statements, without dbtui's own. What it does not sum up, or may not be seen, is
        a gap that says what to do. Raises ServerError, ConnectError.
        """
        ...

    def collect_query_schema(self, target: Target) -> QuerySchema:
        """Ask the catalogue for foreign keys, primary keys and the first columns of indexes; no table is read."""
        ...

    def explain_query(self, target: Target, query: TopQuery) -> str:
        """Return the plan of a statement that was summed up, as the server words it, without running it.

        Raises ServerError, ConnectError, and RefusedError: it has no plan, or its text is not known whole.
        """
        ...

    def collect_plan(self, target: Target, query: TopQuery) -> PlanNode:
        """Return the same plan as a tree. Raises as `explain_query` does."""
        ...

    def measure_round_trip(self, target: Target) -> float:
        """Return how long the shortest statement takes from here, in seconds: the median of some."""
        ...

    def plan_capture(self, target: Target, wish: CaptureWish) -> CapturePlan:
        """Look for about a second at what capturing needs and costs; changes nothing. A refusal is in the plan."""
        ...

    def open_switch(
        self, target: Target, journal: CaptureJournal, former: Collection[int] = ()
    ) -> AbstractContextManager[CaptureSwitch]:
        """Take the server's capture lock for a block. `former`: own sessions whose connection was lost; one that still
        holds the lock is terminated. Raises LockedError (another capture runs there), ConnectError, ServerError.
        """
        ...

    def open_tail(self, target: Target, plan: CapturePlan) -> AbstractContextManager[StatementTail]:
        """Begin to read what the server writes down from now on; open it before the switch is applied."""
        ...

    def own_sessions(self, target: Target) -> Collection[int]:
        """Return the server's numbers of this target's own sessions."""
        ...


class Unfinished(Protocol):
    """What a run has made and removes again unless it ends well. May be read from any thread.

    `is_ours`: it exists, and is the run's to remove. `is_being_undone`: that is being done now.
    """

    is_ours: bool
    is_being_undone: bool

    @property
    def undoing(self) -> str:
        """What is done about it: "dropping shop__new_… on db1:5432"."""
        ...

    @property
    def left(self) -> str:
        """What it is, and what somebody has to do about it, if this process ends before it is removed."""
        ...


class ReplicaAddition(Unfinished, Protocol):
    """One run that adds a replica. While `is_ours`, what it has made is removed unless it ends well."""

    def run(self) -> Routine[ReplicaResult]:
        """Add the replica. Raises ServerError, ToolError, StorageError, RefusedError, Cancelled: nothing is left then,
        or the error says what.
        """
        ...


class ReplicaAdapter(Protocol):
    """Replication of one engine, as one server sees it. Who changes something looks first whether it still is so."""

    def collect_replication(self, target: Target) -> ServerReplication:
        """Ask a server for its own view: who receives from it, from whom it receives, how far it is.

        What the login may not see is a gap with its GRANT. Raises ServerError, ConnectError.
        """
        ...

    def show_orders(self, target: Target, action: ReplicaAction, slot: str = "") -> tuple[str, ...]:
        """Return the statements that pausing, resuming, promoting or dropping `slot` runs, for the plan."""
        ...

    def pause_replay(self, target: Target) -> None:
        """Have a replica go on receiving and apply nothing. Raises RefusedError with the GRANT, ServerError."""
        ...

    def resume_replay(self, target: Target) -> None:
        """Have it apply again. Raises as `pause_replay` does."""
        ...

    def drop_slot(self, target: Target, slot: str) -> None:
        """Drop what keeps the log for a reader. Raises UsageError (none of that name), RefusedError (in use)."""
        ...

    def promote(self, target: Target, patience_seconds: float) -> Routine[None]:
        """Make a replica a primary; wait until it takes writes. Raises RefusedError, ServerError, Cancelled."""
        ...

    def collect_addition(self, target: Target, wish: ReplicaWish) -> AdditionFacts:
        """Ask the server, and look at this machine, for what planning a new replica needs. Makes nothing."""
        ...

    def prepare_addition(self, target: Target, plan: ReplicaPlan) -> ReplicaAddition:
        """Return a run that adds what was planned; nothing is made before it runs. Raises UsageError."""
        ...


class Adapter(Protocol):
    """One engine."""

    @property
    def engine(self) -> EngineName:
        """Which one."""
        ...

    @property
    def backups(self) -> BackupAdapter:
        """Its backups."""
        ...

    @property
    def sessions(self) -> SessionAdapter | None:
        """Its sessions; None when the engine has no such thing."""
        ...

    @property
    def pools(self) -> PoolAdapter | None:
        """Its slots; None when the engine has no such thing."""
        ...

    @property
    def partitions(self) -> PartitionAdapter | None:
        """Its partitioned tables; None when the engine has no such thing."""
        ...

    @property
    def queries(self) -> QueryAdapter | None:
        """Its statements; None when the engine keeps no record of them."""
        ...

    @property
    def replicas(self) -> ReplicaAdapter | None:
        """Its replication; None when the engine has no such thing."""
        ...

    def open_target(
        self,
        profile: ConnectionProfile,
        password: Secret | None,
        cancellation: Cancellation,
        environ: Mapping[str, str],
    ) -> Target:
        """Connect. Raises ConnectError, AuthenticationError, UsageError (malformed URL)."""
        ...

    def collect_status(self, target: Target) -> TargetStatus:
        """Look at the target for the connections pane."""
        ...

    def collect_capabilities(self, target: Target) -> Capabilities:
        """Ask what this login may do, and how it reaches the server. Raises ConnectError, ServerError."""
        ...

    def collect_tools(self, environ: Mapping[str, str]) -> tuple[InstalledTool, ...]:
        """Find the engine's own programs on this machine."""
        ...

    def collect_credential_files(
        self, profile: ConnectionProfile | None, environ: Mapping[str, str]
    ) -> tuple[CredentialFile, ...]:
        """Look at the files that logins are read from. Raises UsageError, ConfigError."""
        ...
