"""Load tests: what is asked for, what a generator reports each second, and what came of it.

Latencies are in seconds and counted from the moment a request was meant to start (in an open model), so that a slow
answer is not hidden by the requests that it kept from being sent.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dbtui.model.connections import EngineName, Secret
from dbtui.model.pools import PoolsSnapshot


class LoadKind(StrEnum):
    """What is asked."""

    HTTP = "http"
    SQL = "sql"


class SqlPath(StrEnum):
    """How a load test of SQL reaches the server."""

    DRIVER = "driver"  # one connection for each client, as pgbench does
    POOL = "pool"  # clients share pooled engines configured by DB_POOL_SIZE, DB_MAX_OVERFLOW, DB_POOL_TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStage:
    """A part of a test. `concurrency` requests at a time (closed), or `rate` a second (open, at most `concurrency`)."""

    name: str
    seconds: float
    concurrency: int
    rate: float | None = None
    is_warm_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """A whole test. `target` is a URL (HTTP) or a profile's name (SQL). Always bounded: by its stages and `most`.

    `slo_seconds`: an answer within it counts for goodput. `statements` are run in turn, each a transaction of its own
    unless `script` says otherwise.
    """

    kind: LoadKind
    target: str
    stages: tuple[LoadStage, ...]
    slo_seconds: float | None = None
    most: int | None = None  # requests in all
    timeout_seconds: float = 30.0
    processes: int = 1
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    statements: tuple[str, ...] = ()
    path: SqlPath = SqlPath.DRIVER
    is_pooled: bool = False  # through the profile's PgBouncer
    most_body_bytes: int = 16 << 20  # of one answer; a longer one is an error
    ca_file: str = ""  # whose certificates are trusted for https; empty: the system's
    is_verified: bool = True  # whether the certificate of an https server is checked

    @property
    def seconds(self) -> float:
        """How long it lasts at most, warm-up included."""
        return sum(stage.seconds for stage in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """A test as it will be run: what is asked of whom, what speaks against it, and what has to be typed first."""

    request: LoadRequest
    shown_target: str  # without secrets
    is_private: bool  # loopback or a private address
    confirm: str = ""  # what has to be typed; empty: nothing
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Latencies:
    """A histogram of latencies: `(bucket, count)` pairs, sorted. See `dbtui.analysis.latencies` for the buckets."""

    pairs: tuple[tuple[int, int], ...] = ()

    @property
    def count(self) -> int:
        """How many latencies it holds."""
        return sum(count for _, count in self.pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSecond:
    """What the generator reports of one second of a stage."""

    stage: str
    second: int  # since the test began
    monotonic_seconds: float
    seconds: float = 1.0  # how long it really was; 0: what ended after its stage had, which counts for no rate
    started: int = 0
    completed: int = 0
    good: int = 0  # without error and within the SLO
    dropped: int = 0  # of an open model: never started, since as many as allowed were under way
    errors: tuple[tuple[str, int], ...] = ()  # kind, count
    in_flight: int = 0
    received_bytes: int = 0
    latencies: Latencies = Latencies()
    generator_cpu: float = 0.0  # share of one core, of the busiest generator process
    late_seconds: float = 0.0  # how far behind its own schedule the generator was at worst


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What came of one stage."""

    stage: LoadStage
    seconds: float
    completed: int = 0
    good: int = 0
    dropped: int = 0
    errors: tuple[tuple[str, int], ...] = ()
    rate: float = 0.0  # completed a second
    goodput: float = 0.0  # good a second
    latencies: Latencies = Latencies()
    mean_seconds: float | None = None
    p50_seconds: float | None = None
    p90_seconds: float | None = None
    p95_seconds: float | None = None
    p99_seconds: float | None = None
    p999_seconds: float | None = None
    max_seconds: float | None = None
    generator_cpu: float = 0.0
    is_generator_bound: bool = False  # the figures are the generator's, not the target's


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """A test's outcome. `knee` is the first stage that gained less than a twentieth while p95 doubled."""

    request: LoadRequest
    shown_target: str
    began_at: datetime
    ended_at: datetime
    stages: tuple[StageResult, ...] = ()
    seconds: tuple[LoadSecond, ...] = ()
    knee: str = ""
    ended_early: str = ""  # why it ended before its time
    remarks: tuple[str, ...] = field(default=())
    tool: str = "dbtui"  # or whose output was read: wrk, oha, k6, pgbench
    ladder: tuple[PoolsSnapshot, ...] = ()  # what the pools did meanwhile, when they were watched


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTarget:
    """Where an HTTP load goes: an address that was looked up once, and what the server is called there."""

    address: str
    port: int
    host: str  # for the Host header and the certificate
    is_tls: bool = False
    resource: str = "/"  # path and query

    @property
    def authority(self) -> str:
        """The Host header: the port is named unless it goes without saying."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.is_tls else 80) else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlLogin:
    """How a generator logs in to a database server, without the password. `parameters` are the driver's own."""

    engine: EngineName
    parameters: tuple[tuple[str, str], ...] = ()  # libpq's; of MySQL one "options", as JSON
    is_read_only: bool = False  # every session is opened so that the server refuses to write


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedServer:
    """A database server that let us in, so that a generator may be told how. `address`: a path for a unix socket."""

    login: SqlLogin
    password: Secret | None
    host: str
    address: str
    is_pooled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorPlan:
    """What one generator process is told. Its stages are its share of the whole test.

    `request` holds no values of headers and no body: they are secrets. `begins` is a moment of CLOCK_MONOTONIC, the
    same for all; `number` of `count` shifts an open model's starts, so that processes take turns.
    """

    request: LoadRequest
    begins: float
    number: int = 0
    count: int = 1
    http: HttpTarget | None = None
    sql: SqlLogin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSecrets:
    """What a generator reads from a descriptor."""

    password: str | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSaid:
    """One line of a generator: a second of a stage, a remark, why it cannot go on, or that it has ended."""

    second: LoadSecond | None = None
    remark: str = ""
    failure: str = ""
    is_usage: bool = False  # the failure is something that was set wrong
    is_end: bool = False
