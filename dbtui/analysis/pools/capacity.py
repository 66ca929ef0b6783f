"""How many server connections a pool of PgBouncer can really have now, and which limit makes it so.

PgBouncer's manual, settings `default_pool_size`, `reserve_pool_size`, `max_db_connections`, `max_user_connections`:
0 is no limit. Idle connections of other pools are closed to make room under max_db_connections and
max_user_connections, so that only connections in use count against them; slots of the server are taken by all.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dbtui.analysis.pools.rates import CONSOLE_DATABASE, count_servers
from dbtui.model.pools import PoolerDatabase, PoolerPool, PoolerSettings, PoolerSnapshot, PoolerUser, ServerPool

POOL_SIZE, RESERVE = "pool_size", "pool_size and reserve_pool_size"
MAX_DB, MAX_USER, SLOTS = "max_db_connections", "max_user_connections", "max_connections of the server"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What is configured, what can be had now, and the limit that decides. None: no limit."""

    configured: int | None
    effective: int | None
    bound_by: str = ""


def list_pools(pooler: PoolerSnapshot) -> tuple[PoolerPool, ...]:
    """Return the pools of a PgBouncer without its console's."""
    return tuple(pool for pool in pooler.pools if pool.database != CONSOLE_DATABASE)


def assess_capacities(pooler: PoolerSnapshot, server: ServerPool | None) -> dict[tuple[str, str], Capacity]:
    """Return the capacity of every pool, by database and user. `server` None: its slots are not known."""
    pools = list_pools(pooler)
    databases = {database.name: database for database in pooler.databases}
    users = {user.name: user for user in pooler.users}
    by_database, by_user = _sum_used(pools)
    free = _count_free_slots(pooler, pools, server)
    capacities = {}
    for pool in pools:
        database, user = databases.get(pool.database), users.get(pool.user)
        size = _pool_size(database, user, pooler.settings)
        limits = {POOL_SIZE: size or None}
        reserve = _reserve(pool, database, pooler.settings, size)
        if reserve:
            limits = {RESERVE: size + reserve}
        used = count_used(pool)
        limits[MAX_DB] = _left(_database_limit(database, pooler.settings), by_database[pool.database] - used)
        limits[MAX_USER] = _left(_user_limit(user, pooler.settings), by_user[pool.user] - used)
        limits[SLOTS] = None if free is None else count_servers(pool) + free
        capacities[pool.database, pool.user] = _narrowest(size or None, limits)
    return capacities


def _narrowest(configured: int | None, limits: Mapping[str, int | None]) -> Capacity:
    known = [(limit, name) for name, limit in limits.items() if limit is not None]
    if not known:
        return Capacity(configured, None)
    effective = min(limit for limit, _ in known)
    return Capacity(configured, effective, next(name for limit, name in known if limit == effective))


def _pool_size(database: PoolerDatabase | None, user: PoolerUser | None, settings: PoolerSettings) -> int:
    if user is not None and user.pool_size:
        return max(0, user.pool_size)
    return max(0, settings.default_pool_size if database is None else database.pool_size)


def _reserve(pool: PoolerPool, database: PoolerDatabase | None, settings: PoolerSettings, size: int) -> int:
    """What the reserve adds: once its timeout has passed for the first in the queue, or while it is in use."""
    reserve = settings.reserve_pool_size if database is None else database.reserve_pool_size
    timeout = settings.reserve_pool_timeout_seconds
    if reserve <= 0 or not size or timeout <= 0:
        return 0
    is_open = (pool.cl_waiting > 0 and pool.maxwait_seconds >= timeout) or count_servers(pool) > size
    return reserve if is_open else 0


def _database_limit(database: PoolerDatabase | None, settings: PoolerSettings) -> int:
    return settings.max_db_connections if database is None else database.max_connections


def _user_limit(user: PoolerUser | None, settings: PoolerSettings) -> int:
    own = None if user is None else user.max_connections
    return settings.max_user_connections if own is None else own


def _left(limit: int, others: int) -> int | None:
    return None if limit <= 0 else max(0, limit - others)


def count_used(pool: PoolerPool) -> int:
    """Return the servers of a pool that are not closed to make room for another pool."""
    return max(0, pool.sv_active + pool.sv_tested + pool.sv_login + pool.sv_cancel)


def _sum_used(pools: tuple[PoolerPool, ...]) -> tuple[dict[str, int], dict[str, int]]:
    by_database: dict[str, int] = {}
    by_user: dict[str, int] = {}
    for pool in pools:
        used = count_used(pool)
        by_database[pool.database] = by_database.get(pool.database, 0) + used
        by_user[pool.user] = by_user.get(pool.user, 0) + used
    return by_database, by_user


def _count_free_slots(pooler: PoolerSnapshot, pools: tuple[PoolerPool, ...], server: ServerPool | None) -> int | None:
    """The server's free slots; None when PgBouncer leads to several servers, and which is which is not known."""
    if server is None or server.slots <= 0:
        return None
    names = {pool.database for pool in pools}
    hosts = {(each.host, each.port) for each in pooler.databases if each.name in names}
    return max(0, server.slots - server.used) if len(hosts) <= 1 else None


def sum_capacities(
    pooler: PoolerSnapshot, capacities: Mapping[tuple[str, str], Capacity], server: ServerPool | None
) -> int | None:
    """Return how many server connections all pools together can have now; None: no limit."""
    pools = list_pools(pooler)
    databases = {database.name: database for database in pooler.databases}
    by_database: dict[str, int] = {}
    for pool in pools:
        effective = capacities[pool.database, pool.user].effective
        if effective is None:
            return None
        by_database[pool.database] = by_database.get(pool.database, 0) + effective
    total = 0
    for name, effective in by_database.items():
        limit = _database_limit(databases.get(name), pooler.settings)
        total += min(effective, limit) if limit > 0 else effective
    free = _count_free_slots(pooler, pools, server)
    return total if free is None else min(total, sum(count_servers(pool) for pool in pools) + free)
