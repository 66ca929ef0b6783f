"""Replication as each server sees it, what is made of it, and plans that add, promote or remove.

Positions in the log are numbers of bytes (PostgreSQL's LSN, MySQL's offset within one binary log file); ages and lags
are seconds. None: this server does not say. Danger: 1 reversible, 2 touches sessions, 3 touches data.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dbtui.model.connections import EngineName


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStream:
    """One replica as the server sees it that sends to it. `sent` ... `replayed`: positions the replica has told.

    `state`: "streaming", "catchup", "startup", or as MySQL spells it. `is_backup`: it is a base backup or somebody who
    keeps the log, no replica. `is_logical`: a subscriber with tables of its own. `identity`: MySQL's server_id.
    `write_seconds` ... `replay_seconds`: as measured last by the server; stale once the replica has caught up.
    """

    name: str  # application_name, or host and port
    client: str = ""
    session_id: int | None = None
    state: str = ""
    sync_state: str = ""
    sent: int | None = None
    written: int | None = None
    flushed: int | None = None
    replayed: int | None = None
    write_seconds: float | None = None
    flush_seconds: float | None = None
    replay_seconds: float | None = None
    reply_age_seconds: float | None = None
    slot: str = ""
    started_at: datetime | None = None
    is_backup: bool = False
    is_logical: bool = False
    identity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationSlot:
    """What a server keeps for one reader. `retained_bytes`: of the log for it; `safe_bytes`: until it is given up.

    `status`: "reserved", "extended", "unreserved", "lost". `invalidation`: why it was given up, "" when it was not.
    `is_synced`: it is the copy of a slot of the primary, which nobody reads here.
    """

    name: str
    kind: str = "physical"
    plugin: str = ""
    database: str = ""
    is_active: bool = False
    is_temporary: bool = False
    session_id: int | None = None
    retained_bytes: int | None = None
    safe_bytes: int | None = None
    status: str = ""
    invalidation: str = ""
    inactive_since: datetime | None = None
    is_synced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseBackupProgress:
    """A base backup that runs. `phase` as the server spells it. `total_bytes`: as estimated; None: not asked for."""

    session_id: int
    phase: str
    streamed_bytes: int = 0
    total_bytes: int | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """How a replica gets the log. `status`: "streaming", "stopped" (no receiver runs), or as the server spells it.

    `silence_seconds`: since the last message. `received`: what is on its disk. `source`: host:port of whom it asks.
    `source_identity`: MySQL's server_id of it. `source_end`: where its log ended when it was heard last.
    `error`: what the server said last went wrong. `channel`: MySQL's channel or MariaDB's connection name.
    `name`: what the replica calls itself to its source. `log_file`: that `received` is an offset in (MySQL).
    """

    status: str
    source: str = ""
    received: int | None = None
    received_timeline: int | None = None
    source_end: int | None = None
    silence_seconds: float | None = None
    silence_limit_seconds: float | None = None  # from then on the source is gone
    slot: str = ""
    name: str = ""
    source_identity: str = ""
    log_file: str = ""
    error: str = ""
    channel: str = ""


#: As pg_get_wal_replay_pause_state spells it.
NOT_PAUSED, PAUSE_REQUESTED = "not paused", "pause requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applier:
    """How a replica applies the log. `pause`: NOT_PAUSED, PAUSE_REQUESTED, "paused".

    `replay_age_seconds`: since the commit that was applied last was made: an age, no lag, when nothing is written.
    `lag_seconds`: MySQL's own figure (Seconds_Behind_Source). `conflicts`: statements cancelled for it, by kind.
    `is_stalled`: replay waits for queries on the replica; `stalled_by`: sessions that it may be waiting for.
    `state`: what it does now, as the server spells it. `log_file`: that `replayed` is an offset in (MySQL).
    """

    replayed: int | None = None
    pause: str = NOT_PAUSED
    replay_age_seconds: float | None = None
    lag_seconds: float | None = None
    delay_seconds: float = 0.0  # on purpose
    conflicts: tuple[tuple[str, int], ...] = ()
    is_stalled: bool = False
    stalled_by: tuple[str, ...] = ()
    stalled_by_ids: tuple[int, ...] = ()
    state: str = ""
    log_file: str = ""
    is_running: bool = True
    error: str = ""
    gtid: str = ""

    @property
    def is_held(self) -> bool:
        """Whether somebody has told it to pause, and it has, or is about to."""
        return self.pause != NOT_PAUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReplication:
    """One server's own view. `profile`: "" for a server that is only known from another's view.

    `system`: what says that two servers have the same data (PostgreSQL's system identifier); `identity`: MySQL's
    server_id. `position`: where its own log ends (a PostgreSQL replica's: what it has received). `log_files`: MySQL's
    binary logs with their bytes, oldest first. `problem`: why it could not be asked; then little else is known.
    `monotonic_seconds`: when it was asked, by our clock; its position is not older than that.
    `clock_skew_seconds`: its clock minus ours.
    `flush_delay_seconds`: a commit may be seen for so long before it is in the log (synchronous_commit = off).
    `log_free_bytes`: on the disk of its log, where we can see that.
    """

    profile: str
    engine: EngineName
    address: str = ""
    flavour: str = ""
    version: str = ""
    monotonic_seconds: float = 0.0
    is_replica: bool = False
    role_gap: str = ""  # why the login may not see whether it is one, and what would help
    system: str = ""
    identity: str = ""
    timeline: int | None = None
    position: int | None = None
    log_file: str = ""  # of MySQL's binary log
    log_files: tuple[tuple[str, int], ...] = ()
    gtid: str = ""
    streams: tuple[ReplicaStream, ...] = ()
    slots: tuple[ReplicationSlot, ...] = ()
    backups: tuple[BaseBackupProgress, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    applier: Applier | None = None
    clock_skew_seconds: float | None = None
    flush_delay_seconds: float = 0.0
    log_free_bytes: int | None = None
    gaps: tuple[str, ...] = ()
    problem: str = ""
    problem_code: str = ""

    @property
    def is_role_known(self) -> bool:
        """Whether the login may see if it is a replica."""
        return not self.role_gap


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicasSnapshot:
    """One look at a primary, which is `servers[0]`, and its configured replicas, each asked after it.

    `profile` may be a replica's as well. `unsupported`: the engine has no such thing.
    """

    profile: str
    taken_at: datetime
    monotonic_seconds: float
    servers: tuple[ServerReplication, ...] = ()
    gaps: tuple[str, ...] = ()
    unsupported: str = ""


# ---------------------------------------------------------------- judgements


class ReplicaState(StrEnum):
    """What a replica is doing, the worst that is true of it."""

    CURRENT = "current"  # it has everything
    LAGGING = "lagging"
    CATCHING_UP = "catching up"
    PAUSED = "replay paused"
    DELAYED = "delayed on purpose"
    CONFLICT = "stalled by a query on it"
    STOPPED = "applier stopped"
    RECEIVER_DEAD = "receives nothing"
    SLOT_LOST = "slot lost"
    DOWN = "unreachable"
    STRANGER = "not of this primary"
    OTHER_TIMELINE = "on another timeline"
    UNKNOWN = "lag not known"


class LagStage(StrEnum):
    """Where the log is. Each has a cure of its own: the sender, the network, the disk, the replay."""

    SEND = "send"
    NETWORK = "network"
    FLUSH = "flush"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class StageLag:
    """How far behind one stage is. `seconds` is 0 when `behind_bytes` is; None: not known."""

    stage: LagStage
    behind_bytes: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaVerdict:
    """What is made of one replica. `parent`: the name of whom it receives from, "" when that is not known; `depth`: how
    many servers there are between it and the primary. `behind_bytes`: behind the primary, `stages` behind the parent.

    `safe_after_seconds`: what was committed longer ago than this can be read here; None: nothing is promised.
    `catch_up_seconds`: until it has everything at the present rate; None: not foreseeable. `sentence`: what is so, and
    what to do. `is_safe`: reads that may be a little old can go here now. `key`: the same in the next look, and unique.
    """

    name: str
    state: ReplicaState
    level: str  # "ok", "warning", "trouble"
    key: str = ""
    profile: str = ""
    parent: str = ""
    stages: tuple[StageLag, ...] = ()
    behind_bytes: int | None = None
    lag_seconds: float | None = None
    safe_after_seconds: float | None = None
    safe_position: int | None = None
    catch_up_seconds: float | None = None
    sync_state: str = ""
    depth: int = 0
    replay_bytes_per_second: float | None = None
    is_safe: bool = False
    sentence: str = ""
    command: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotVerdict:
    """What is made of a slot. `full_seconds`: until what it retains is given up, or the disk is full."""

    server: str
    slot: ReplicationSlot
    level: str
    retained_bytes_per_second: float | None = None
    full_seconds: float | None = None
    sentence: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupVerdict:
    """What is made of a base backup that runs. `left_seconds`: at the present rate."""

    server: str
    backup: BaseBackupProgress
    bytes_per_second: float | None = None
    left_seconds: float | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicasAssessment:
    """What is made of one look: replicas in the order of the tree, slots, base backups, and one sentence.

    `primary`: the name of the tree's root. `log_bytes_per_second`: how fast its log grows.
    """

    primary: str = ""
    log_bytes_per_second: float | None = None
    replicas: tuple[ReplicaVerdict, ...] = ()
    slots: tuple[SlotVerdict, ...] = ()
    backups: tuple[BackupVerdict, ...] = ()
    gaps: tuple[str, ...] = ()
    level: str = "ok"
    sentence: str = ""


# ---------------------------------------------------------------- plans


class ReplicaAction(StrEnum):
    """What is done to replication."""

    ADD = "add"
    PROMOTE = "promote"
    DROP_SLOT = "drop slot"
    PAUSE = "pause replay"
    RESUME = "resume replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaWish:
    """What is asked for when a replica is added. `slot` "": named after the directory. `name`: its application_name."""

    data_directory: str
    port: int
    slot: str = ""
    name: str = ""
    most_bytes_per_second: int | None = None
    is_fast_checkpoint: bool = True
    is_started: bool = True
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaPlan:
    """What would be done. `steps`: exact commands and SQL, without secrets. `names`: what has to be typed."""

    action: ReplicaAction
    profile: str
    subject: str
    wish: ReplicaWish | None = None
    steps: tuple[str, ...] = ()
    needed_bytes: int | None = None
    free_bytes: int | None = None
    danger: int = 1
    names: tuple[str, ...] = ()
    consequence: str = ""
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaResult:
    """How it ended. `pid`: of the server that was started. `behind_bytes`: when it was seen streaming."""

    plan: ReplicaPlan
    seconds: float
    pid: int | None = None
    behind_bytes: int | None = None
    copied_bytes: int = 0
    left: tuple[str, ...] = ()
