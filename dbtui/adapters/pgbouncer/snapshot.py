"""One look at a PgBouncer through its console. It has one thread, so every question costs its clients a moment.

Pools and counters at each look; lists, databases and users every five seconds; settings each minute, when what is
known of databases shows that they were changed, and every five seconds while clients are near their limit. Whether
something is paused is asked at once when clients wait and no server works, and at each look until it is over.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from dbtui.adapters.pgbouncer.columns import (
    missing_columns,
    parse_config,
    parse_databases,
    parse_lists,
    parse_pools,
    parse_settings,
    parse_totals,
    parse_users,
    read_number,
)
from dbtui.adapters.pgbouncer.console import Console, Row
from dbtui.adapters.pgbouncer.machine import collect_cpu_seconds
from dbtui.adapters.pgbouncer.versions import STATE_SINCE, known_holes, parse_version
from dbtui.model.pools import PoolerPool, PoolerSnapshot

LISTS_SECONDS = 5.0
CONFIG_SECONDS = 60.0
_POOL_COLUMNS = ("database", "user", "cl_active", "cl_waiting", "sv_active", "sv_idle", "maxwait", "maxwait_us")
_STATS_COLUMNS = ("database", "total_xact_count", "total_xact_time", "total_wait_time")
#: Columns of SHOW DATABASES that are settings.
_LIMITS = ("name", "pool_size", "min_pool_size", "reserve_pool", "reserve_pool_size", "pool_mode", "max_connections")
#: From such a part of max_client_conn on, clients are near it.
_NEAR = 0.8
AnswerT = TypeVar("AnswerT")


def collect_pooler(console: Console, now: datetime) -> PoolerSnapshot:
    """Ask for pools and counters, and for the rest when its time has come. Raises ServerError, ConnectError."""
    pool_rows, stats_rows = console.rows("SHOW POOLS"), console.rows("SHOW STATS")
    monotonic_seconds = time.monotonic()
    pools = parse_pools(pool_rows)
    lists = _keep(console, "SHOW LISTS", LISTS_SECONDS, parse_lists)
    used_clients = _count_clients(pools) + read_number(lists, "login_clients")
    if _may_be_paused(console, pools):
        _forget(console, "SHOW DATABASES", "SHOW STATE")
    is_all_paused, state_gap = _ask_state(console)
    databases = _collect_databases(console)
    config = _collect_config_for(console, used_clients)
    gaps = (
        missing_columns("SHOW POOLS", pool_rows, *_POOL_COLUMNS),
        missing_columns("SHOW STATS", stats_rows, *_STATS_COLUMNS),
        state_gap,
    )
    return PoolerSnapshot(
        source=console.source,
        taken_at=now,
        monotonic_seconds=monotonic_seconds,
        version=console.version,
        pools=pools,
        totals=parse_totals(stats_rows),
        databases=parse_databases(databases, is_all_paused=is_all_paused),
        users=_keep(console, "SHOW USERS", LISTS_SECONDS, parse_users),
        settings=_keep_parsed(console, config),
        used_clients=used_clients,
        login_clients=read_number(lists, "login_clients"),
        used_servers=read_number(lists, "used_servers"),
        is_admin=is_admin(console, config),
        cpu_seconds_total=collect_cpu_seconds(console.process_id),
        gaps=tuple(gap for gap in gaps if gap),
        warnings=tuple(known_holes(console.version, config)),
    )


def collect_config(console: Console) -> dict[str, str]:
    """Return the settings, at most a minute old."""
    return _keep(console, "SHOW CONFIG", CONFIG_SECONDS, parse_config)


def _collect_config_for(console: Console, used_clients: int) -> dict[str, str]:
    """The settings; near max_client_conn not older than lists, so that a limit that was raised is seen."""
    most = read_number(collect_config(console), "max_client_conn")
    seconds = LISTS_SECONDS if most and used_clients >= _NEAR * most else CONFIG_SECONDS
    return _keep(console, "SHOW CONFIG", seconds, parse_config)


def _collect_databases(console: Console) -> list[Row]:
    """The databases. Limits other than a moment ago mean that PgBouncer read its file again."""
    _, before = console.kept.get("SHOW DATABASES", (0.0, None))
    known = console.kept.setdefault("limits", (0.0, None))[1]
    databases = _keep(console, "SHOW DATABASES", LISTS_SECONDS, list)
    if databases is not before:
        limits = sorted(tuple(str(row.get(name)) for name in _LIMITS) for row in databases)
        console.kept["limits"] = 0.0, limits
        if known is not None and known != limits:
            _forget(console, "SHOW CONFIG", "SHOW USERS")
    return databases


def forget_settings(console: Console) -> None:
    """Have everything asked anew at the next look: an order may have changed it."""
    console.kept.clear()


def is_admin(console: Console, config: dict[str, str]) -> bool | None:
    """Whether this login may give orders; None: this version does not tell who may."""
    if console.is_same_account():
        return True
    if "admin_users" not in config:
        return None
    return console.user in [name.strip() for name in config["admin_users"].split(",")]


def _forget(console: Console, *commands: str) -> None:
    """Have these asked at this look."""
    for command in commands:
        console.kept.pop(command, None)


def _may_be_paused(console: Console, pools: tuple[PoolerPool, ...]) -> bool:
    """Whether a pause may have begun or ended since it was asked for: clients wait and no server works for them, or
    the last answer told of one.
    """
    if any(pool.cl_waiting and not pool.sv_active for pool in pools):
        return True
    _, databases = console.kept.get("SHOW DATABASES", (0.0, ()))
    _, state = console.kept.get("SHOW STATE", (0.0, {}))
    return state.get("active") == "no" or any(read_number(row, "paused") for row in databases)


def _keep(console: Console, command: str, seconds: float, parse: Callable[[list[Row]], AnswerT]) -> AnswerT:
    """Ask, unless the last answer is younger than `seconds`."""
    asked, answer = console.kept.get(command, (float("-inf"), None))
    if time.monotonic() - asked >= seconds:
        asked, answer = time.monotonic(), parse(console.rows(command))
        console.kept[command] = asked, answer
    kept: AnswerT = answer
    return kept


def _keep_parsed(console: Console, config: dict[str, str]) -> Any:
    """The settings as values, made once for each time that they were asked for."""
    of, settings = console.kept.get("settings", (0.0, None))
    asked, _ = console.kept["SHOW CONFIG"]
    if settings is None or of != asked:
        settings = parse_settings(config)
        console.kept["settings"] = asked, settings
    return settings


def _ask_state(console: Console) -> tuple[bool, str]:
    """Whether all of PgBouncer is paused or suspended, and what is not known of it."""
    if parse_version(console.version) < STATE_SINCE:
        return False, "a PAUSE of the whole PgBouncer does not show before version 1.19"
    state = _keep(console, "SHOW STATE", LISTS_SECONDS, parse_lists)
    return state.get("active") == "no", ""


def _count_clients(pools: tuple[PoolerPool, ...]) -> int:
    """Clients that have a pool; console sessions have one of their own, which is not among these.

    SHOW LISTS counts them too, but console sessions with them.
    """
    return sum(pool.cl_active + pool.cl_waiting + pool.cl_cancel for pool in pools)
