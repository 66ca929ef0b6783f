"""The ladder judged: how full each tier is, which is the narrow one, what will be hit when, and what to change.

Everything here is made by `dbtui.analysis.pools` out of `PoolsSnapshot`s. Fractions are 0 to 1 until they are shown;
`words` and `sentence` are ready to show, and contain server text that was made safe.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dbtui.model.pools import Tier


class Level(StrEnum):
    """How bad it is. Compare by `rank`."""

    OK = "ok"
    WARN = "warn"
    HIGH = "high"
    CRITICAL = "critical"
    EMERGENCY = "emergency"  # somebody was turned away: a timeout or a refusal

    @property
    def rank(self) -> int:
        """Return 0 for ok up to 4 for emergency."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}


class PoolState(StrEnum):
    """What a pool does. Only `SATURATED` and `CLOGGED` say that it is too narrow for what is asked of it."""

    OK = "ok"
    SATURATED = "saturated"
    CLOGGED = "clogged"  # full of connections that idle in transactions or wait for locks: a larger one clogs too
    CONNECTING = "connecting"  # somebody waits, there is room: connections are being made
    LOGIN_BOUND = "login bound"  # PgBouncer logs in to the server one at a time
    UNREACHABLE = "unreachable"  # PgBouncer gets no connection to the server
    PAUSED = "paused"  # by an operator: the queue is meant
    DISABLED = "disabled"
    NO_DATA = "no data"


class VerdictKind(StrEnum):
    """What limits, in one word."""

    OK = "ok"
    APP_POOL = "app_pool"
    POOLER_POOL = "pooler_pool"
    POOLER_CLIENTS = "pooler_clients"  # max_client_conn
    POOLER_CPU = "pooler_cpu"
    SERVER_SLOTS = "server_slots"
    SERVER_CPU = "server_cpu"
    LOCKS = "locks"
    IDLE_IN_TRANSACTION = "idle_in_transaction"
    LOGIN_BOUND = "login_bound"
    CONNECTING = "connecting"
    PAUSED = "paused"
    UNREACHABLE = "unreachable"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRates:
    """What one pool did a second between two looks, out of our own differences of its counters. None: not to be said.

    `seconds` is the window. `busy` is how many connections worked on average, without the time spent in the queue;
    `queue` how many waited on average; both are None while the counters they come from stand still or were set back.
    """

    tier: Tier
    pool: str
    seconds: float = 0.0
    transactions: float | None = None  # or checkouts, for an application's pool
    queries: float | None = None
    busy: float | None = None
    queue: float | None = None
    wait_mean_seconds: float | None = None  # of those that got a connection
    hold_mean_seconds: float | None = None  # for which a connection was held, or a transaction took
    connects: float | None = None
    errors: float | None = None  # timeouts, refusals
    received_bytes: float | None = None
    sent_bytes: float | None = None
    was_reset: bool = False  # its owner started anew: nothing can be compared
    has_clock_jumped: bool = False  # the time between the two looks is not known
    is_frozen: bool = False  # clients wait and no wait was counted: nobody is served (PgBouncer counts at the end)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReading:
    """One pool of a tier: of an application's process, of a database and user in PgBouncer.

    `capacity` is what is configured, `effective_capacity` what it can really have now (reserve, max_db_connections,
    max_user_connections, slots of the server), `bound_by` the setting that makes it so. None: no limit.
    """

    tier: Tier
    pool: str  # unique in its tier: `erp-api 4711 default`, `erp/app`
    label: str
    used: int = 0
    capacity: int | None = None
    effective_capacity: int | None = None
    bound_by: str = ""
    waiting: int = 0
    oldest_wait_seconds: float = 0.0
    utilisation: float | None = None
    errors_per_second: float | None = None
    level: Level = Level.OK
    state: PoolState = PoolState.OK
    words: str = ""
    database: str = ""
    user: str = ""
    service: str = ""
    pid: int = 0
    rates: PoolRates | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierReading:
    """One tier of the ladder, all its pools together. `level` is that of its worst pool.

    `capacity` and `effective_capacity` None: not known, or one of its pools has no limit. Of the host, `used` and the
    capacities are cores, `utilisation` the busy part of them. `is_stale`: its last look is older than it should be.
    """

    tier: Tier
    label: str
    used: float = 0
    capacity: int | None = None
    effective_capacity: int | None = None
    waiting: int = 0
    oldest_wait_seconds: float = 0.0
    utilisation: float | None = None
    errors_per_second: float | None = None
    level: Level = Level.OK
    words: str = ""
    pools: tuple[PoolReading, ...] = ()  # the worst first
    taken_at: datetime | None = None
    age_seconds: float = 0.0
    is_stale: bool = False
    problem: str = ""  # why there is no reading
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """One thing to do, never done by itself. `command` can be pasted; `where` says into what."""

    sentence: str
    command: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """Who holds what others wait for."""

    application: str
    client: str
    user: str
    count: int
    oldest_seconds: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is the narrow one. `tier` and `pool` None and empty: no one pool (all is well, or nothing is known)."""

    kind: VerdictKind
    level: Level
    sentence: str
    tier: Tier | None = None
    pool: str = ""
    recommendation: Recommendation | None = None
    culprits: tuple[Culprit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Countdown:
    """When something certain happens if the one who waits goes on waiting. No model: a limit minus an age."""

    tier: Tier
    pool: str
    name: str  # the limit: `DB_POOL_TIMEOUT`, `query_wait_timeout`, `reserve_pool_timeout`
    seconds: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """When a pool will be as good as full if it goes on filling as it did. A guess, and shown as one."""

    tier: Tier
    pool: str
    seconds: float  # until `reaches`
    reaches: float  # connections: nine tenths of the effective capacity
    per_second: float  # connections a second
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Two ways to know one number (Little's law). `holds` False: the counters disagree, and are not to be trusted."""

    tier: Tier
    pool: str
    name: str
    counted: float
    derived: float
    holds: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderAssessment:
    """The ladder at one moment. `tiers` from the application down; a tier that the profile lacks is not among them.

    `hidden_queue` is how many wait in applications, where PgBouncer and the server do not see them; `queue` is these
    and PgBouncer's, each counted once. `rates` are of applications' pools and of whole PgBouncer databases.
    """

    taken_at: datetime
    monotonic_seconds: float
    tiers: tuple[TierReading, ...] = ()
    verdict: Verdict
    countdowns: tuple[Countdown, ...] = ()  # the soonest first
    projections: tuple[Projection, ...] = ()
    checks: tuple[Check, ...] = ()
    rates: tuple[PoolRates, ...] = ()
    hidden_queue: int = 0
    queue: int = 0

    def tier(self, tier: Tier) -> TierReading | None:
        """Return the reading of a tier, None: the profile has none."""
        return next((reading for reading in self.tiers if reading.tier is tier), None)

    @property
    def disagreements(self) -> tuple[Check, ...]:
        """Checks that do not hold: the badge "counters disagree"."""
        return tuple(check for check in self.checks if not check.holds)


@dataclass(frozen=True, slots=True)
class TierPoint:
    """A tier at one moment of a chart."""

    tier: Tier
    used: float
    capacity: int | None  # effective
    waiting: int
    utilisation: float | None
    level: Level


@dataclass(frozen=True, slots=True)
class LadderPoint:
    """The ladder at one moment of a chart; a tier that was not seen then is missing."""

    monotonic_seconds: float
    tiers: tuple[TierPoint, ...]
    queue: int = 0


NO_VERDICT = Verdict(kind=VerdictKind.NO_DATA, level=Level.OK, sentence="nothing has been seen yet")


# --- before the test: the fleet -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPooler:
    """The limits of the PgBouncer between, as far as they concern one database and user. 0: no limit."""

    max_client_conn: int = 100
    pool_size: int = 20
    min_pool_size: int = 0
    reserve_pool_size: int = 0
    reserve_pool_timeout_seconds: float = 5.0
    max_db_connections: int = 0
    max_user_connections: int = 0
    query_wait_timeout_seconds: float = 120.0
    idle_transaction_timeout_seconds: float = 0.0
    query_timeout_seconds: float = 0.0
    pool_mode: str = "session"
    pools: int = 1  # pairs of database and user that may reach the same server
    other_clients: int = 0  # connected to it now, not of this fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFacts:
    """What a fleet of application processes may ask for and what there is. None: not known, judged without.

    `transactions_per_second` and `service_seconds` (how long a transaction holds a server connection) are measured or
    expected, and size the pool. `host`, `port`, `database` are what PgBouncer connects to.
    """

    processes: int
    pool_size: int = 5  # DB_POOL_SIZE
    max_overflow: int = 10  # DB_MAX_OVERFLOW; -1: no limit
    pool_timeout_seconds: float = 30.0  # DB_POOL_TIMEOUT
    threads: int | None = None  # that one process may have asking at once
    request_timeout_seconds: float | None = None
    statement_timeout_seconds: float | None = None  # None or 0: none
    pooler: FleetPooler | None = None
    server_slots: int | None = None
    server_used_by_others: int = 0
    server_cores: int | None = None
    transactions_per_second: float | None = None
    service_seconds: float | None = None
    server_name: str = "server"
    host: str = ""
    port: int = 5432
    database: str = ""
    is_postgresql: bool = True


class FleetLevel(StrEnum):
    """How much a finding of the pre-flight matters."""

    OK = "ok"
    REMARK = "remark"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFinding:
    """One comparison of what may be asked for with a limit. `name`: of the limit."""

    name: str
    level: FleetLevel
    sentence: str
    asked: float | None = None
    limit: float | None = None
    recommendation: Recommendation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeStep:
    """One wait on a request's way down: how long at most (None: for ever), and the sum from the top on."""

    name: str
    where: str
    seconds: float | None
    total_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendedSetting:
    """A setting with the number to give it, what it is now, and why."""

    name: str
    value: str
    why: str
    now: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReport:
    """The pre-flight: findings (worst first), the cascade of timeouts, and settings for both sides."""

    facts: FleetFacts
    asked_connections: int | None  # processes x (size + overflow); None: no limit
    findings: tuple[FleetFinding, ...] = ()
    cascade: tuple[CascadeStep, ...] = ()
    pooler_settings: tuple[RecommendedSetting, ...] = ()
    application_settings: tuple[RecommendedSetting, ...] = ()

    @property
    def level(self) -> FleetLevel:
        """Return the worst level of the findings."""
        order = (FleetLevel.OK, FleetLevel.REMARK, FleetLevel.TROUBLE)
        return max((finding.level for finding in self.findings), key=order.index, default=FleetLevel.OK)
