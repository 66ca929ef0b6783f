"""The numbers to give PgBouncer and the application, each with its reason; and a fragment of pgbouncer.ini of them."""

from math import ceil, floor

from dbtui.analysis.pools.words import count_of
from dbtui.model.ladders import FleetFacts, FleetReport, RecommendedSetting
from dbtui.model.text import format_untrusted

_TARGET = 0.75
_DEFAULT_POOL_SIZE = 20
_MOST_QUERY_WAIT_SECONDS = 15.0


def size_servers(facts: FleetFacts) -> int:
    """Return how many servers one pool should have."""
    return _size_with_reason(facts)[0]


def _size_with_reason(facts: FleetFacts) -> tuple[int, str]:
    pools = 1 if facts.pooler is None else max(1, facts.pooler.pools)
    rate, seconds = facts.transactions_per_second, facts.service_seconds
    if rate is not None and seconds is not None and rate * seconds > 0:
        size = max(1, ceil(rate * seconds / _TARGET - 1e-9))
        why = f"{rate:g} transactions a second x {seconds * 1000:g} ms = {rate * seconds:.1f} busy, at 75 % of the pool"
    elif facts.server_cores:
        size = 2 * facts.server_cores + 1
        why = f"2 x {count_of(facts.server_cores, 'core')} + 1, a start: measure, and take the rate times the time"
    else:
        size, why = _DEFAULT_POOL_SIZE, "PgBouncer's default: measure, and take the rate times the time"
    asked = _asked(facts)
    if asked is not None and size > asked:
        size, why = max(1, asked), f"more than the {asked} that the processes can ask for is of no use"
    room = _room(facts)
    if room is not None and (size + _reserve(size)) * pools > room:
        size = max(1, floor(room / pools / (1 + 0.2)))
        why = f"what the {facts.server_name}'s slots leave for {count_of(pools, 'pool')} and a reserve"
    return size, why


def _asked(facts: FleetFacts) -> int | None:
    if facts.max_overflow < 0 or facts.pool_size == 0:
        return None
    return facts.processes * (facts.pool_size + facts.max_overflow)


def _room(facts: FleetFacts) -> int | None:
    return None if facts.server_slots is None else max(1, facts.server_slots - facts.server_used_by_others)


def _reserve(size: int) -> int:
    return size // 5


def recommend_pooler(facts: FleetFacts) -> tuple[RecommendedSetting, ...]:
    """Return the settings for a PgBouncer in front of the server; nothing for a server that it cannot serve."""
    if not facts.is_postgresql and facts.pooler is None:
        return ()
    size, why = _size_with_reason(facts)
    now = facts.pooler
    asked = _asked(facts)
    others = 0 if now is None else now.other_clients
    clients = ceil(((asked or facts.processes * 15) + others) * 1.2) + 5
    wait = max(1, round(min(_MOST_QUERY_WAIT_SECONDS, facts.pool_timeout_seconds / 2)))
    pools = 1 if now is None else max(1, now.pools)
    reserve = _reserve(size)
    limit = pools * (size + reserve)
    total = "all that the processes can ask for" if asked is not None else "15 for each process"
    rows = (
        ("pool_mode", "transaction", "a server is shared after each transaction, not kept for a whole connection"),
        ("default_pool_size", size, why),
        ("min_pool_size", max(1, size // 2) if size > 1 else 1, "PgBouncer logs in one at a time: half are kept ready"),
        ("reserve_pool_size", reserve, "a fifth more, for when somebody has waited for reserve_pool_timeout"),
        ("reserve_pool_timeout", min(3, max(1, wait - 1)), "seconds; below query_wait_timeout, or it never helps"),
        ("max_db_connections", limit, f"{count_of(pools, 'pool')} with the reserve, so that the server keeps slots"),
        ("max_client_conn", clients, f"{total}, a fifth more, and a few for people; needs as many open files"),
        ("query_wait_timeout", wait, f"seconds; below DB_POOL_TIMEOUT {facts.pool_timeout_seconds:g}"),
        ("idle_transaction_timeout", 60, "seconds; a client that forgets its transaction keeps a server"),
    )
    current = _current(facts)
    return tuple(
        RecommendedSetting(name=name, value=str(value), why=reason, now=current.get(name, ""))
        for name, value, reason in rows
    )


def _current(facts: FleetFacts) -> dict[str, str]:
    now = facts.pooler
    if now is None:
        return {}
    return {
        "pool_mode": format_untrusted(now.pool_mode),
        "default_pool_size": str(now.pool_size),
        "min_pool_size": str(now.min_pool_size),
        "reserve_pool_size": str(now.reserve_pool_size),
        "reserve_pool_timeout": f"{now.reserve_pool_timeout_seconds:g}",
        "max_db_connections": str(now.max_db_connections),
        "max_client_conn": str(now.max_client_conn),
        "query_wait_timeout": f"{now.query_wait_timeout_seconds:g}",
        "idle_transaction_timeout": f"{now.idle_transaction_timeout_seconds:g}",
    }


def recommend_application(facts: FleetFacts) -> tuple[RecommendedSetting, ...]:
    """Return DB_POOL_* for the application's processes."""
    size, overflow = facts.pool_size or 5, max(0, facts.max_overflow) if facts.pool_size else 10
    if facts.max_overflow < 0:
        overflow = 10
    why = "as it is"
    if facts.threads is not None and facts.threads < size + overflow:
        size, overflow, why = max(1, facts.threads), 0, "one for each thread of a process"
    room = _room(facts)
    is_direct = facts.pooler is None and not facts.is_postgresql
    if is_direct and room is not None and facts.processes * (size + overflow) > room:
        size, overflow = max(1, room // max(1, facts.processes)), 0
        why = f"the {facts.server_name}'s slots shared by {count_of(facts.processes, 'process', 'processes')}"
    return (
        RecommendedSetting(name="DB_POOL_SIZE", value=str(size), why=why, now=str(facts.pool_size)),
        RecommendedSetting(name="DB_MAX_OVERFLOW", value=str(overflow), why=why, now=str(facts.max_overflow)),
        RecommendedSetting(
            name="DB_POOL_TIMEOUT",
            value=f"{facts.pool_timeout_seconds:g}",
            why="above query_wait_timeout" if facts.is_postgresql else "as it is",
            now=f"{facts.pool_timeout_seconds:g}",
        ),
    )


def format_pgbouncer_ini(report: FleetReport) -> str:
    """Return a fragment of pgbouncer.ini, for transaction pooling, each number with its reason above it."""
    facts = report.facts
    lines = ["[databases]"]
    if facts.host and facts.database:
        lines += _format_database(facts)
    else:
        lines.append("; erp = host=db1 port=5432 dbname=erp")
    lines += ["", "[pgbouncer]"]
    for setting in report.pooler_settings:
        was = f"; now {setting.now}" if setting.now and setting.now != setting.value else ""
        lines += [f"; {setting.why}{was}", f"{setting.name} = {setting.value}"]
    lines += [
        "; drivers send these when they connect; PgBouncer refuses what it does not know",
        "ignore_startup_parameters = extra_float_digits",
        "",
        "; With transaction pooling SET, LISTEN, advisory locks and WITH HOLD cursors of a session reach other clients",
        "; or are lost. Prepared statements need max_prepared_statements (from 1.21).",
    ]
    application = " ".join(f"{each.name}={each.value}" for each in report.application_settings)
    return "\n".join([*lines, f"; In the environment of the application: {application}", ""])


def _format_database(facts: FleetFacts) -> list[str]:
    """The line of the database. PgBouncer reads few characters in a name here; another database comes by any name."""
    host, name = _quote_value(facts.host), facts.database
    if name.isascii() and all(each.isalnum() or each in "_.-" for each in name):
        return [f"{name} = host={host} port={facts.port} dbname={name}"]
    return [f"; {format_untrusted(name)}, and every other database", f"* = host={host} port={facts.port}"]


def _quote_value(value: str) -> str:
    clean = format_untrusted(value)
    if clean and all(each.isalnum() or each in "-_./" for each in clean):
        return clean
    return "'" + clean.replace("'", "''") + "'"
