"""Everything that a verdict is made of, in one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from statistics import fmean

from dbtui.analysis.pools.rates import rate_cores, rate_pooler_cpu
from dbtui.analysis.pools.thresholds import Thresholds
from dbtui.analysis.pools.tracks import PoolKey, Track
from dbtui.analysis.pools.words import count_of, format_name, format_wait
from dbtui.model.connections import EngineName
from dbtui.model.ladders import Culprit, Level, PoolReading, PoolState, TierReading
from dbtui.model.pools import PoolerSnapshot, PoolsSnapshot, ServerHolder, ServerPool, ServerState, Tier

_MOST_CULPRITS = 3
WORKING = (ServerState.ON_CPU, ServerState.IO, ServerState.OTHER_WAIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The ladder as it was read, and what it was read from. A tier whose look is too old is not among `tiers`."""

    snapshot: PoolsSnapshot
    tiers: Mapping[Tier, TierReading]
    track: Track
    thresholds: Thresholds

    @property
    def pooler(self) -> PoolerSnapshot | None:
        """PgBouncer, if it was seen lately."""
        return self.snapshot.pooler if Tier.POOLER in self.tiers else None

    @property
    def server(self) -> ServerPool | None:
        """The server, if it was seen lately."""
        return self.snapshot.server if Tier.SERVER in self.tiers else None

    @property
    def profile(self) -> str:
        """The target's name, as a shell takes it."""
        return quote(format_name(self.snapshot.profile))

    @property
    def is_mysql(self) -> bool:
        """Whether the server is MariaDB or MySQL."""
        server = self.snapshot.server
        return server is not None and server.engine is EngineName.MYSQL

    @property
    def flavour(self) -> str:
        """Which of the two: `MariaDB` or `MySQL`; or `PostgreSQL`; empty when the server was never seen."""
        return "" if self.snapshot.server is None else self.snapshot.server.flavour

    @property
    def hidden(self) -> int:
        """How many wait in applications."""
        return self.tiers[Tier.APP].waiting if Tier.APP in self.tiers else 0

    @property
    def queue(self) -> int:
        """How many wait in applications and in PgBouncer."""
        return self.hidden + (self.tiers[Tier.POOLER].waiting if Tier.POOLER in self.tiers else 0)

    @property
    def pooler_silence(self) -> float:
        """For how many seconds PgBouncer has said nothing when the server was looked at."""
        pooler, server = self.snapshot.pooler, self.snapshot.server
        if pooler is None or server is None:
            return 0.0
        return max(0.0, server.monotonic_seconds - pooler.monotonic_seconds)

    @property
    def pools_out(self) -> int:
        """How many connections applications hold or wait for."""
        app = self.tiers.get(Tier.APP)
        return 0 if app is None else round(app.used) + app.waiting

    @property
    def is_emergency(self) -> bool:
        """Whether somebody was turned away lately."""
        return any(tier.level is Level.EMERGENCY for tier in self.tiers.values())

    def pools(self, *tiers: Tier) -> tuple[PoolReading, ...]:
        """Return the pools of tiers, the worst of each first."""
        return tuple(pool for tier in tiers if tier in self.tiers for pool in self.tiers[tier].pools)

    def pools_in(self, state: PoolState, *tiers: Tier) -> tuple[PoolReading, ...]:
        """Return the pools of tiers that are in one state."""
        return tuple(pool for pool in self.pools(*tiers) if pool.state is state)

    def narrow(self, tier: Tier, level: Level = Level.CRITICAL) -> tuple[PoolReading, ...]:
        """Return the pools of a tier that are at least so bad and not kept so by something else."""
        usual = (PoolState.OK, PoolState.SATURATED)
        return tuple(pool for pool in self.pools(tier) if pool.level.rank >= level.rank and pool.state in usual)

    def worked(self, pool: PoolReading) -> float:
        """Return how many connections of a pool worked in the last looks."""
        key: PoolKey = pool.tier, pool.pool
        return self.track.pools[key].worked if key in self.track.pools else float(pool.used)

    @property
    def pooler_cpu(self) -> float | None:
        """The share of a core that PgBouncer used lately."""
        if Tier.POOLER not in self.tiers:
            return None
        return rate_pooler_cpu(self.track.pooler.over(self.thresholds.rates_seconds))

    @property
    def host_cpu(self) -> float | None:
        """The share of this machine's cores that were busy lately."""
        last = self.track.host.last
        busy = rate_cores(self.track.host.over(self.thresholds.rates_seconds))
        return None if last is None or busy is None or Tier.HOST not in self.tiers else busy / max(1, last.cores)

    @property
    def on_cpu(self) -> float:
        """How many sessions of the server ran on a CPU in the last looks, on average."""
        looks = self.track.server.over(self.thresholds.looks_seconds)
        return fmean(look.count(ServerState.ON_CPU) for look in looks) if looks else 0.0

    def holders(self, states: Sequence[ServerState], users: frozenset[str] = frozenset()) -> tuple[ServerHolder, ...]:
        """Return the server's sessions in some states; of some users only, if any session is theirs."""
        if self.server is None:
            return ()
        found = tuple(each for each in self.server.holders if each.state in states and each.count > 0)
        theirs = any(each.user in users for each in self.server.holders)
        return tuple(each for each in found if each.user in users) if theirs else found


def describe_culprits(holders: Sequence[ServerHolder], doing: str = "") -> tuple[Culprit, ...]:
    """Return the applications behind sessions, those with the most first; `doing` instead of the session's state."""
    order = sorted(holders, key=lambda each: (-each.count, -each.oldest_seconds))
    return tuple(_describe_culprit(each, doing or each.state.value) for each in order[:_MOST_CULPRITS])


def _describe_culprit(holder: ServerHolder, doing: str) -> Culprit:
    application, client = format_name(holder.application), format_name(holder.client)
    user = format_name(holder.user)
    who = (application or "an unnamed application") + (f" from {client}" if client else "")
    sentence = f"{who} as {user}: {holder.count} {doing}, the oldest for {format_wait(holder.oldest_seconds)}"
    return Culprit(
        application=application,
        client=client,
        user=user,
        count=holder.count,
        oldest_seconds=holder.oldest_seconds,
        sentence=sentence,
    )


def describe_app_culprits(pools: Sequence[PoolReading]) -> tuple[Culprit, ...]:
    """Return the processes whose pools are full."""
    return tuple(_describe_process(pool) for pool in pools[:_MOST_CULPRITS])


def _describe_process(pool: PoolReading) -> Culprit:
    hold = None if pool.rates is None else pool.rates.hold_mean_seconds
    held = f", each held for {format_wait(hold)}" if hold is not None else ""
    return Culprit(
        application=pool.service,
        client=str(pool.pid),
        user="",
        count=pool.used,
        oldest_seconds=pool.oldest_wait_seconds,
        sentence=f"{pool.pool}: {count_of(pool.used, 'connection')} out{held}",
    )
