"""What a look at the ladder tells of a fleet, where nobody has typed it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dbtui.model.ladders import FleetFacts, FleetPooler, LadderAssessment
from dbtui.model.pools import PoolerDatabase, PoolerSnapshot, PoolsSnapshot, Tier


def gather_facts(
    snapshot: PoolsSnapshot,
    assessment: LadderAssessment,
    typed: Mapping[str, Any],
    *,
    host: str = "",
    port: int = 5432,
    database: str = "",
    is_postgresql: bool = True,
) -> FleetFacts:
    """Return the facts of the fleet that uses `database`. `typed`: fields that are known better, or None.

    Without applications that tell of their pools, one process with the defaults of DB_POOL_SIZE and DB_MAX_OVERFLOW is
    taken for the fleet.
    """
    facts = FleetFacts(processes=1, host=host, port=port, database=database, is_postgresql=is_postgresql,
                       server_name="server" if is_postgresql else "MariaDB")  # fmt: skip
    facts = _from_applications(facts, snapshot)
    if snapshot.pooler is not None and not snapshot.pooler.problem:
        facts = _from_pooler(facts, snapshot.pooler, database)
    if snapshot.server is not None:
        ours = sum(pool.used for tier in assessment.tiers if tier.tier is Tier.POOLER for pool in tier.pools)
        facts = replace(
            facts,
            server_slots=snapshot.server.slots,
            server_used_by_others=max(0, snapshot.server.used - ours),
            server_cores=snapshot.server.cores,
        )
    known = {name: value for name, value in typed.items() if value is not None}
    return replace(_from_rates(facts, assessment), **known)


def _from_applications(facts: FleetFacts, snapshot: PoolsSnapshot) -> FleetFacts:
    pools = snapshot.app.pools if snapshot.app is not None else ()
    if not pools:
        return facts
    widest = max(pools, key=lambda pool: pool.size + max(0, pool.max_overflow))
    timeouts = [pool.timeout_seconds for pool in pools if pool.timeout_seconds is not None]
    return replace(
        facts,
        processes=len({(pool.service, pool.pid) for pool in pools}),
        pool_size=widest.size,
        max_overflow=widest.max_overflow,
        pool_timeout_seconds=max(timeouts, default=facts.pool_timeout_seconds),
    )


def _from_pooler(facts: FleetFacts, pooler: PoolerSnapshot, database: str) -> FleetFacts:
    settings = pooler.settings
    known = next((each for each in pooler.databases if each.name == database), PoolerDatabase(name=database))
    clients = sum(pool.cl_active + pool.cl_waiting for pool in pooler.pools if pool.database == database)
    size = known.pool_size or settings.default_pool_size
    return replace(
        facts,
        host=known.host or facts.host,
        port=known.port or facts.port,
        pooler=FleetPooler(
            max_client_conn=settings.max_client_conn,
            pool_size=size,
            min_pool_size=known.min_pool_size or settings.min_pool_size,
            reserve_pool_size=known.reserve_pool_size or settings.reserve_pool_size,
            reserve_pool_timeout_seconds=settings.reserve_pool_timeout_seconds,
            max_db_connections=known.max_connections or settings.max_db_connections,
            max_user_connections=settings.max_user_connections,
            query_wait_timeout_seconds=settings.query_wait_timeout_seconds,
            idle_transaction_timeout_seconds=settings.idle_transaction_timeout_seconds,
            query_timeout_seconds=settings.query_timeout_seconds,
            pool_mode=known.pool_mode or settings.pool_mode,
            pools=max(1, len({(pool.database, pool.user) for pool in pooler.pools if pool.database != "pgbouncer"})),
            other_clients=max(0, pooler.used_clients - clients),
        ),
    )


def _from_rates(facts: FleetFacts, assessment: LadderAssessment) -> FleetFacts:
    """Take rate and time of transactions from PgBouncer, as far as it served any while it was looked at."""
    for rates in assessment.rates:
        if rates.tier is Tier.POOLER and rates.pool == facts.database and rates.transactions and rates.busy is not None:
            return replace(
                facts,
                transactions_per_second=rates.transactions,
                service_seconds=rates.busy / rates.transactions,
            )
    return facts
