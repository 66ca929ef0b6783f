"""The saturation ladder: application pools, PgBouncer, server and host, as each tells of itself at one moment.

Counters (`*_total`, `Timing`) only grow until their owner restarts; rates are differences of two snapshots, made in
`dbtui.analysis`. `monotonic_seconds` is the collector's own clock at the moment of the answer: two snapshots are
compared by it, never by wall clocks. None: not known, or this version does not tell.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dbtui.model.connections import EngineName


class Tier(StrEnum):
    """Where a request may wait, from the application down."""

    APP = "app"
    POOLER = "pooler"
    SERVER = "server"
    HOST = "host"


#: Upper bounds in seconds of the buckets of every `Timing` of our publisher; what is longer is counted last.
BUCKETS_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timing:
    """A histogram since its owner started: how many, how long in all, and how many per bucket (not cumulative).

    `counts` has one number more than `bounds`: what is longer than the last bound.
    """

    count: int = 0
    seconds: float = 0.0
    counts: tuple[int, ...] = ()
    bounds: tuple[float, ...] = BUCKETS_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPool:
    """One connection pool inside one process of an application.

    `max_overflow` -1 and `size` 0 mean unlimited, as in SQLAlchemy. `wait` is the time for a place in the pool of
    acquisitions that got a connection, `abandoned` of those that did not; `hold` is from getting the place, so with
    connecting and testing, to checkin; `create` is the time to connect.
    """

    source: str  # the socket's path or the endpoint's URL
    service: str
    pid: int
    pool: str  # the pool's name within the process
    url: str = ""  # where it connects to, without login or password
    started_at: datetime | None = None
    monotonic_seconds: float = 0.0
    size: int = 0
    max_overflow: int = 0
    timeout_seconds: float | None = None
    checked_in: int = 0
    checked_out: int = 0
    overflow: int = 0  # connections beyond `size` that exist now
    pending: int = 0  # who waits for a place in the pool
    oldest_pending_seconds: float = 0.0
    connecting: int = 0  # of `checked_out`: whose connection is still being made or tested
    oldest_connecting_seconds: float = 0.0
    wait: Timing = Timing()
    abandoned: Timing = Timing()
    hold: Timing = Timing()
    create: Timing = Timing()
    timeouts_total: int = 0
    invalidated_total: int = 0
    closed_total: int = 0

    @property
    def capacity(self) -> int | None:
        """How many connections it may hold out at once; None: no limit."""
        return None if self.size == 0 or self.max_overflow < 0 else self.size + self.max_overflow


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPoolsSnapshot:
    """Every application pool that answered. A source that did not is a gap, a sentence each."""

    taken_at: datetime
    monotonic_seconds: float
    pools: tuple[AppPool, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerPool:
    """A line of SHOW POOLS, in PgBouncer's words. `maxwait_seconds` is maxwait and maxwait_us together.

    `sv_used`: idle for longer than server_check_delay, not "in use". `cl_active`: linked to a server or idle.
    """

    database: str
    user: str
    cl_active: int = 0
    cl_waiting: int = 0
    sv_active: int = 0
    sv_idle: int = 0
    sv_used: int = 0
    sv_tested: int = 0
    sv_login: int = 0
    cl_cancel: int = 0  # active and waiting cancel requests
    sv_cancel: int = 0
    maxwait_seconds: float = 0.0
    pool_mode: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerTotals:
    """A line of SHOW STATS: what a database's clients did since PgBouncer started. Times in seconds.

    `xact_seconds` and `query_seconds` include what was spent waiting for a server; `wait_seconds` grows only when a
    server is assigned, so that it stands still while nobody gets one.
    """

    database: str
    xact_total: int = 0
    query_total: int = 0
    xact_seconds: float = 0.0
    query_seconds: float = 0.0
    wait_seconds: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0
    assignment_total: int | None = None  # from 1.23


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerDatabase:
    """A line of SHOW DATABASES. Limits of 0 are no limits; None: this version does not tell."""

    name: str
    host: str = ""
    port: int = 0
    database: str = ""
    force_user: str = ""
    pool_size: int = 0
    min_pool_size: int = 0
    reserve_pool_size: int = 0
    max_connections: int = 0
    current_connections: int = 0
    max_client_connections: int | None = None
    current_client_connections: int | None = None
    pool_mode: str = ""
    is_paused: bool = False
    is_disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerUser:
    """A line of SHOW USERS; what a version does not tell is None."""

    name: str
    pool_mode: str = ""
    pool_size: int | None = None
    max_connections: int | None = None
    current_connections: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerSettings:
    """What SHOW CONFIG says that matters here; times in seconds, 0: no limit."""

    max_client_conn: int = 100
    default_pool_size: int = 20
    min_pool_size: int = 0
    reserve_pool_size: int = 0
    reserve_pool_timeout_seconds: float = 5.0
    max_db_connections: int = 0
    max_user_connections: int = 0
    pool_mode: str = "session"
    query_wait_timeout_seconds: float = 120.0
    idle_transaction_timeout_seconds: float = 0.0
    query_timeout_seconds: float = 0.0
    server_login_retry_seconds: float = 15.0
    server_idle_timeout_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerSnapshot:
    """One look at a PgBouncer process through its console. `problem`: why there is none.

    `used_clients` counts without console sessions. `cpu_seconds_total` is of the process, where it runs on this host.
    """

    source: str  # host:port or socket, without login
    taken_at: datetime
    monotonic_seconds: float
    version: str = ""
    pools: tuple[PoolerPool, ...] = ()
    totals: tuple[PoolerTotals, ...] = ()
    databases: tuple[PoolerDatabase, ...] = ()
    users: tuple[PoolerUser, ...] = ()
    settings: PoolerSettings = PoolerSettings()
    used_clients: int = 0
    login_clients: int = 0
    used_servers: int = 0
    is_admin: bool | None = None  # whether PAUSE and its like are ours to give
    cpu_seconds_total: float | None = None
    gaps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # such as a version with a known hole
    problem: str = ""
    problem_code: str = ""


class ServerState(StrEnum):
    """What a session of the server does, as far as saturation goes. A session is counted once."""

    ON_CPU = "on cpu"  # active and waiting for nothing
    LOCK = "lock"
    IO = "io"
    OTHER_WAIT = "other wait"  # active, and waits for something else
    IDLE_IN_TRANSACTION = "idle in transaction"
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHolder:
    """How many sessions of one application and client are in one state, and for how long the oldest has been."""

    application: str
    client: str
    user: str
    state: ServerState
    count: int
    oldest_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPool:
    """The slots of a server and who holds them. `slots` are those an ordinary login can have; background workers and
    dbtui's own sessions are not among `holders`, but `used` counts every slot that is taken.

    `refused_total` counts connections refused for want of slots (MariaDB); `most_used` is the peak since its start.
    `engine` and `flavour` ("PostgreSQL", "MariaDB", "MySQL") say which words and commands it understands.
    """

    taken_at: datetime
    monotonic_seconds: float
    slots: int
    used: int
    engine: EngineName | None = None
    flavour: str = ""
    holders: tuple[ServerHolder, ...] = ()
    most_used: int | None = None
    refused_total: int | None = None
    started_at: datetime | None = None
    is_local: bool = False  # it runs on this host
    cores: int | None = None  # of the machine it runs on, where that is this one
    gaps: tuple[str, ...] = ()

    def count(self, *states: ServerState) -> int:
        """How many sessions are in one of these states."""
        return sum(holder.count for holder in self.holders if holder.state in states)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLoad:
    """This machine, for tiers that run on it. `busy_seconds_total` is CPU time of all cores that was not idle."""

    taken_at: datetime
    monotonic_seconds: float
    cores: int
    load_1m: float
    busy_seconds_total: float | None = None
    memory_available_bytes: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolsSnapshot:
    """The whole ladder at one moment. None: the profile has no such tier, or it has not answered yet.

    Each tier keeps its own `taken_at`: a tier that stalls is shown with its age and judged without.
    """

    profile: str
    taken_at: datetime
    monotonic_seconds: float
    app: AppPoolsSnapshot | None = None
    pooler: PoolerSnapshot | None = None
    server: ServerPool | None = None
    host: HostLoad | None = None
    load: "LoadPoint | None" = None  # what a load test of ours does at this moment
    gaps: tuple[str, ...] = ()
    server_problem: str = ""  # why the last try to look at the server failed; `server` is of an earlier one
    server_problem_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPoint:
    """One second of a load test, for the charts beside the ladder. Latencies in seconds, from the intended start."""

    monotonic_seconds: float
    stage: str
    rate: float  # completed a second
    errors: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    p99_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerClient:
    """A client of PgBouncer and, while it is linked, its server and what that does: application to server to query."""

    database: str
    user: str
    application: str
    client: str
    state: str
    wait_seconds: float = 0.0
    request_seconds: float | None = None
    connected_seconds: float | None = None
    is_tls: bool | None = None
    client_id: str = ""  # what KILL_CLIENT takes from 1.24 on; else the pointer that links it to a server
    server_pid: int | None = None  # the server process, `pid` in pg_stat_activity
    server_state: str = ""  # what the server says of it: active, idle in transaction
    wait: str = ""  # wait event
    transaction_seconds: float | None = None
    query_seconds: float | None = None
    sql: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerClients:
    """The clients of a PgBouncer at one moment, those who wait longest first."""

    source: str
    taken_at: datetime
    clients: tuple[PoolerClient, ...] = field(default=())
    omitted: int = 0  # there were more than were asked for
    gaps: tuple[str, ...] = ()


class PoolerVerb(StrEnum):
    """What an operator may order PgBouncer to do."""

    PAUSE = "pause"  # no query begins; waits until those under way end
    RESUME = "resume"
    RELOAD = "reload"  # read the configuration file again
    RECONNECT = "reconnect"  # server connections are replaced as they become free
    KILL = "kill"  # drop every client and server connection of a database at once


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerPlan:
    """An order to PgBouncer: exactly what is sent, what it does to whom, what speaks against it.

    `database` empty: all of them. `danger`: 1 reversible, 2 touches sessions. `confirm` is what has to be typed for a
    production profile.
    """

    verb: PoolerVerb
    source: str
    database: str
    command: str
    consequence: str
    danger: int = 1
    undo: str = ""  # the command that undoes it
    confirm: str = ""  # what has to be typed; empty: y is enough
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerResult:
    """What an order to PgBouncer did, by its own word and by a look afterwards."""

    verb: PoolerVerb
    database: str
    seconds: float
    detail: str = ""
