"""One look at a PgBouncer through its console. It has one thread, so every question costs its clients a moment.

Pools and counters at each look; lists, databases and users every five seconds; settings each minute, or after RELOAD.
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
AnswerT = TypeVar("AnswerT")


def collect_pooler(console: Console, now: datetime) -> PoolerSnapshot:
    """Ask for pools and counters, and for the rest when its time has come. Raises ServerError, ConnectError."""
    pool_rows, stats_rows = console.rows("SHOW POOLS"), console.rows("SHOW STATS")
    monotonic_seconds = time.monotonic()
    pools = parse_pools(pool_rows)
    config = collect_config(console)
    lists = _keep(console, "SHOW LISTS", LISTS_SECONDS, parse_lists)
    is_all_paused, state_gap = _ask_state(console)
    databases = _keep(console, "SHOW DATABASES", LISTS_SECONDS, list)
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
        used_clients=_count_clients(pools) + read_number(lists, "login_clients"),
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
