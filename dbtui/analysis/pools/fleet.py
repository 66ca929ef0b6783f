"""Before the test: what a fleet of application processes may ask for, against every limit on the way down.

Waits add up from the top: a request waits for its process's pool, then its connection for a server in PgBouncer, then
the statement runs. A connection that is parked in PgBouncer for longer than DB_POOL_TIMEOUT makes the requests behind
it time out in the application, so that query_wait_timeout belongs below it.
"""

from collections.abc import Iterator

from dbtui.analysis.pools.fleet_settings import recommend_application, recommend_pooler, size_servers
from dbtui.analysis.pools.words import count_of
from dbtui.model.ladders import (
    CascadeStep,
    FleetFacts,
    FleetFinding,
    FleetLevel,
    FleetPooler,
    FleetReport,
    Recommendation,
    RecommendedSetting,
)

_INI = "pgbouncer.ini, section [pgbouncer]; then RELOAD"
_ENVIRONMENT = "the application's environment"
_ORDER = (FleetLevel.TROUBLE, FleetLevel.REMARK, FleetLevel.OK)


def assess_fleet(facts: FleetFacts) -> FleetReport:
    """Return what a fleet may ask for against its limits, its timeouts added up, and the settings to give it."""
    asked = count_asked(facts)
    settings = recommend_pooler(facts)
    application = recommend_application(facts)
    findings = [*_find_overflow(facts), *_find_timeouts(facts)]
    if facts.pooler is not None:
        findings += _find_pooler(facts, facts.pooler, asked, {each.name: each for each in settings})
    findings += [*_find_slots(facts, asked), *_find_cores(facts)]
    return FleetReport(
        facts=facts,
        asked_connections=asked,
        findings=tuple(sorted(findings, key=lambda each: _ORDER.index(each.level))),
        cascade=list_cascade(facts),
        pooler_settings=settings,
        application_settings=application,
    )


def count_asked(facts: FleetFacts) -> int | None:
    """Return how many connections all processes together may open; None: no limit."""
    if facts.max_overflow < 0 or facts.pool_size == 0:
        return None
    return facts.processes * (facts.pool_size + facts.max_overflow)


def _each(facts: FleetFacts) -> str:
    return f"{count_of(facts.processes, 'process', 'processes')} x ({facts.pool_size} + {facts.max_overflow})"


def _finding(
    name: str,
    is_ok: bool,
    sentence: str,
    asked: float,
    limit: float,
    *,
    level: FleetLevel = FleetLevel.TROUBLE,
    recommendation: Recommendation | None = None,
) -> FleetFinding:
    return FleetFinding(
        name=name,
        level=FleetLevel.OK if is_ok else level,
        sentence=sentence,
        asked=asked,
        limit=limit,
        recommendation=None if is_ok else recommendation,
    )


# ---------------------------------------------------------------- connections


def _find_overflow(facts: FleetFacts) -> Iterator[FleetFinding]:
    per_process = facts.pool_size + facts.max_overflow
    if facts.max_overflow < 0 or facts.pool_size == 0:
        name = "DB_MAX_OVERFLOW" if facts.max_overflow < 0 else "DB_POOL_SIZE"
        value = facts.max_overflow if facts.max_overflow < 0 else facts.pool_size
        yield FleetFinding(
            name=name,
            level=FleetLevel.TROUBLE,
            sentence=f"{name}={value} is no limit: a slow server makes every process open connections without end",
            recommendation=Recommendation(
                sentence="set a limit", command="DB_POOL_SIZE=5 DB_MAX_OVERFLOW=10", where=_ENVIRONMENT
            ),
        )
    elif facts.threads is not None and per_process > facts.threads:
        yield FleetFinding(
            name="DB_POOL_SIZE",
            level=FleetLevel.REMARK,
            sentence=f"a process has {count_of(facts.threads, 'thread')} and a pool of {per_process}: "
            f"{per_process - facts.threads} connections can never be used",
            asked=per_process,
            limit=facts.threads,
        )


def _find_pooler(
    facts: FleetFacts, pooler: FleetPooler, asked: int | None, advised: dict[str, RecommendedSetting]
) -> Iterator[FleetFinding]:
    if asked is not None and pooler.max_client_conn > 0:
        yield _find_clients(facts, pooler, asked, advised)
    if asked is not None and pooler.pool_size > 0:
        yield _find_pool_size(facts, pooler, asked, advised)
    wanted = pooler.pools * (pooler.pool_size + pooler.reserve_pool_size)
    if pooler.max_db_connections > 0:
        is_ok = wanted <= pooler.max_db_connections
        yield _finding(
            "max_db_connections",
            is_ok,
            f"{count_of(pooler.pools, 'pool')} x ({pooler.pool_size} + {pooler.reserve_pool_size} in reserve) = "
            f"{wanted} servers, max_db_connections allows {pooler.max_db_connections}"
            + ("" if is_ok else ": pools take them from each other, unfairly"),
            wanted,
            pooler.max_db_connections,
            level=FleetLevel.REMARK,
        )
    if pooler.idle_transaction_timeout_seconds <= 0:
        yield FleetFinding(
            name="idle_transaction_timeout",
            level=FleetLevel.REMARK,
            sentence="idle_transaction_timeout is 0: a client that forgets its transaction keeps a server for ever",
            recommendation=Recommendation(
                sentence="cut them after a minute", command="idle_transaction_timeout = 60", where=_INI
            ),
        )


def _find_clients(
    facts: FleetFacts, pooler: FleetPooler, asked: int, advised: dict[str, RecommendedSetting]
) -> FleetFinding:
    total, most = asked + pooler.other_clients, pooler.max_client_conn
    each = facts.pool_size + facts.max_overflow
    fit = max(0, most - pooler.other_clients) // max(1, each)
    others = f" + {pooler.other_clients} others" if pooler.other_clients else ""
    sentence = f"{_each(facts)}{others} = {total} clients, max_client_conn allows {most}"
    if total > most:
        sentence += f": {count_of(fit, 'process', 'processes')} fit, the next is refused"
    value = advised["max_client_conn"].value
    recommendation = Recommendation(sentence="raise it", command=f"max_client_conn = {value}", where=_INI)
    return _finding("max_client_conn", total <= most, sentence, total, most, recommendation=recommendation)


def _find_pool_size(
    facts: FleetFacts, pooler: FleetPooler, asked: int, advised: dict[str, RecommendedSetting]
) -> FleetFinding:
    size = pooler.pool_size
    sentence = f"{_each(facts)} = {asked} connections share {size} servers of one database and user"
    recommendation = Recommendation(
        sentence="share them by transaction",
        command=f"pool_mode = transaction\ndefault_pool_size = {advised['default_pool_size'].value}",
        where=_INI,
    )
    if pooler.pool_mode != "transaction" and asked > size:
        sentence += f", and in {pooler.pool_mode} mode each keeps its server: the others wait until one disconnects"
        return _finding("default_pool_size", False, sentence, asked, size, recommendation=recommendation)
    demand = _demand(facts)
    if demand is not None and demand > 0.9 * size:
        sentence += f"; {demand:.1f} of them are busy at the rate that is expected"
        return _finding("default_pool_size", False, sentence, demand, size, recommendation=recommendation)
    is_ok = asked <= size
    if not is_ok:
        sentence += ": they queue when more than that are in a transaction at once"
    return _finding("default_pool_size", is_ok, sentence, asked, size, level=FleetLevel.REMARK)


def _demand(facts: FleetFacts) -> float | None:
    """Busy servers by Little's law: rate times the time that each transaction holds one."""
    if facts.transactions_per_second is None or facts.service_seconds is None:
        return None
    return facts.transactions_per_second * facts.service_seconds


def _find_slots(facts: FleetFacts, asked: int | None) -> Iterator[FleetFinding]:
    slots = facts.server_slots
    if slots is None:
        return
    pooler, others = facts.pooler, facts.server_used_by_others
    wanted = asked
    what = _each(facts)
    if pooler is not None:
        wanted = pooler.pools * (pooler.pool_size + pooler.reserve_pool_size) if pooler.pool_size else None
        what = f"PgBouncer's {count_of(pooler.pools, 'pool')} x ({pooler.pool_size} + {pooler.reserve_pool_size})"
        if pooler.max_db_connections and pooler.pools == 1:
            wanted = min(wanted or pooler.max_db_connections, pooler.max_db_connections)
    if wanted is None:
        sentence = f"nothing keeps the {facts.server_name}'s {slots} slots from being taken"
        yield FleetFinding(name="max_connections", level=FleetLevel.TROUBLE, sentence=sentence, limit=slots)
        return
    total = wanted + others
    is_ok = total <= slots
    plus = f" + {others} of others" if others else ""
    sentence = f"{what}{plus} = {total} connections, the {facts.server_name} has {slots} slots"
    if not is_ok:
        sentence += f": {total - slots} too many, they are refused"
    yield _finding("max_connections", is_ok, sentence, total, slots, recommendation=_advise_slots(facts))


def _advise_slots(facts: FleetFacts) -> Recommendation:
    size = size_servers(facts)
    if facts.pooler is not None:
        return Recommendation(sentence="make the pools smaller", command=f"default_pool_size = {size}", where=_INI)
    if facts.is_postgresql:
        return Recommendation(sentence="let the processes share connections: put PgBouncer between, as below")
    left = max(1, ((facts.server_slots or 1) - facts.server_used_by_others) // max(1, facts.processes))
    return Recommendation(
        sentence="make the applications' pools smaller",
        command=f"DB_POOL_SIZE={left} DB_MAX_OVERFLOW=0",
        where=_ENVIRONMENT,
    )


def _find_cores(facts: FleetFacts) -> Iterator[FleetFinding]:
    cores, pooler = facts.server_cores, facts.pooler
    if not cores or pooler is None or not pooler.pool_size:
        return
    total = pooler.pools * pooler.pool_size
    usual = 4 * cores
    if total > usual:
        yield FleetFinding(
            name="default_pool_size",
            level=FleetLevel.REMARK,
            sentence=f"{total} servers for {count_of(cores, 'core')}: beyond about {2 * cores + 1} that compute at "
            "once, each more makes all slower",
            asked=total,
            limit=usual,
        )


# ---------------------------------------------------------------- time


def list_cascade(facts: FleetFacts) -> tuple[CascadeStep, ...]:
    """Return the longest waits on a request's way down, added up."""
    waits: list[tuple[str, str, float | None]] = [
        ("DB_POOL_TIMEOUT", "in the application, for a connection of its pool", facts.pool_timeout_seconds)
    ]
    if facts.pooler is not None:
        wait = facts.pooler.query_wait_timeout_seconds
        waits.append(("query_wait_timeout", "in PgBouncer, for a server", wait or None))
    waits.append(("statement_timeout", "in the server, for one statement", facts.statement_timeout_seconds or None))
    steps: list[CascadeStep] = []
    total: float | None = 0.0
    for name, where, seconds in waits:
        total = None if total is None or seconds is None else total + seconds
        steps.append(CascadeStep(name=name, where=where, seconds=seconds, total_seconds=total))
    return tuple(steps)


def _find_timeouts(facts: FleetFacts) -> Iterator[FleetFinding]:
    total = list_cascade(facts)[-1].total_seconds
    pooler, own = facts.pooler, facts.pool_timeout_seconds
    if pooler is not None:
        wait, below = pooler.query_wait_timeout_seconds, max(1, round(min(15.0, own / 2)))
        is_ok = 0 < wait < own
        shown = f"{wait:g} s" if wait else "0 (for ever)"
        sentence = f"query_wait_timeout {shown} and DB_POOL_TIMEOUT {own:g} s"
        if not is_ok:
            sentence += ": connections parked in PgBouncer outlast those who wait for them in the application"
        recommendation = Recommendation(
            sentence="let PgBouncer give up first", command=f"query_wait_timeout = {below}", where=_INI
        )
        yield _finding("query_wait_timeout", is_ok, sentence, wait, own, recommendation=recommendation)
    if not facts.statement_timeout_seconds:
        yield FleetFinding(
            name="statement_timeout",
            level=FleetLevel.REMARK,
            sentence="no statement_timeout: one statement can keep a server for as long as it likes",
        )
    limit = facts.request_timeout_seconds
    if limit is not None and total is not None:
        is_ok = total <= limit
        sentence = f"the waits add up to {total:g} s, a request may take {limit:g} s"
        if not is_ok:
            sentence += ": the client is gone while its work still waits and then runs"
        yield _finding("request timeout", is_ok, sentence, total, limit, level=FleetLevel.REMARK)
