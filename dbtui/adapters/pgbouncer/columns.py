"""Rows of PgBouncer's SHOW commands as values, read by column name: versions add columns, rename and reorder them.

Sources: PgBouncer's manual, "Admin console", and admin.c and stats.c of the versions 1.18 to 1.25.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from dbtui.adapters.pgbouncer.console import ADMIN_DATABASE, Row
from dbtui.model.pools import PoolerDatabase, PoolerPool, PoolerSettings, PoolerTotals, PoolerUser
from dbtui.model.text import format_untrusted

_NAME_CHARACTERS = 200
_MICROSECONDS = 1_000_000
_CANCELS_OF_CLIENTS = ("cl_active_cancel_req", "cl_waiting_cancel_req", "cl_cancel_req")
_CANCELS_OF_SERVERS = ("sv_active_cancel", "sv_being_canceled")


def read_number(row: Row, *names: str) -> int:
    """Return the first of these columns that is there as a whole number; 0 when none is, or it holds none."""
    return read_known_number(row, *names) or 0


def read_known_number(row: Row, *names: str) -> int | None:
    """Return the first of these columns that is there as a whole number; None when none is, or it holds none."""
    value = next((row[name] for name in names if row.get(name) is not None), None)
    try:
        return None if value is None or value == "" else int(value)
    except (ValueError, OverflowError):
        return None


def read_text(row: Row, name: str) -> str:
    """Return a column as text that is safe to show; empty when it is not there or holds nothing."""
    value = row.get(name)
    return "" if value is None else format_untrusted(str(value), _NAME_CHARACTERS)


def read_name(row: Row, name: str) -> str:
    """Return a name as it is, for it may have to be given back to PgBouncer."""
    value = row.get(name)
    return "" if value is None else str(value)


def missing_columns(command: str, rows: Iterable[Row], *names: str) -> str:
    """Say which columns that dbtui counts on a version's answer does not have; empty when it has them all."""
    first = next(iter(rows), None)
    missing = [] if first is None else [name for name in names if name not in first]
    return f"{command} of this version has no column {', '.join(missing)}: what it says is not known" if missing else ""


def parse_pools(rows: Iterable[Row]) -> tuple[PoolerPool, ...]:
    """Read SHOW POOLS, without the pool of console sessions."""
    return tuple(
        PoolerPool(
            database=read_name(row, "database"),
            user=read_name(row, "user"),
            cl_active=read_number(row, "cl_active"),
            cl_waiting=read_number(row, "cl_waiting"),
            sv_active=read_number(row, "sv_active"),
            sv_idle=read_number(row, "sv_idle"),
            sv_used=read_number(row, "sv_used"),
            sv_tested=read_number(row, "sv_tested"),
            sv_login=read_number(row, "sv_login"),
            cl_cancel=sum(read_number(row, name) for name in _CANCELS_OF_CLIENTS),
            sv_cancel=sum(read_number(row, name) for name in _CANCELS_OF_SERVERS),
            maxwait_seconds=read_number(row, "maxwait") + read_number(row, "maxwait_us") / _MICROSECONDS,
            pool_mode=read_text(row, "pool_mode"),
        )
        for row in without_console(rows)
    )


def without_console(rows: Iterable[Row], name: str = "database") -> Iterator[Row]:
    """Yield the rows that are not about the console itself."""
    return (row for row in rows if row.get(name) != ADMIN_DATABASE)


def parse_totals(rows: Iterable[Row]) -> tuple[PoolerTotals, ...]:
    """Read SHOW STATS: totals alone, for its averages are over stats_period and mean something else in each version."""
    return tuple(
        PoolerTotals(
            database=read_name(row, "database"),
            xact_total=read_number(row, "total_xact_count"),
            query_total=read_number(row, "total_query_count"),
            xact_seconds=read_number(row, "total_xact_time") / _MICROSECONDS,
            query_seconds=read_number(row, "total_query_time") / _MICROSECONDS,
            wait_seconds=read_number(row, "total_wait_time") / _MICROSECONDS,
            received_bytes=read_number(row, "total_received"),
            sent_bytes=read_number(row, "total_sent"),
            assignment_total=read_known_number(row, "total_server_assignment_count"),
        )
        for row in without_console(rows)
    )


def parse_databases(rows: Iterable[Row], *, is_all_paused: bool = False) -> tuple[PoolerDatabase, ...]:
    """Read SHOW DATABASES. A PAUSE of the whole PgBouncer does not show there: `is_all_paused`."""
    return tuple(
        PoolerDatabase(
            name=read_name(row, "name"),
            host=read_text(row, "host"),
            port=read_number(row, "port"),
            database=read_name(row, "database"),
            force_user=read_name(row, "force_user"),
            pool_size=read_number(row, "pool_size"),
            min_pool_size=read_number(row, "min_pool_size"),
            reserve_pool_size=read_number(row, "reserve_pool_size", "reserve_pool"),
            max_connections=read_number(row, "max_connections"),
            current_connections=read_number(row, "current_connections"),
            max_client_connections=read_known_number(row, "max_client_connections"),
            current_client_connections=read_known_number(row, "current_client_connections"),
            pool_mode=read_text(row, "pool_mode"),
            is_paused=is_all_paused or bool(read_number(row, "paused")),
            is_disabled=bool(read_number(row, "disabled")),
        )
        for row in without_console(rows, "name")
    )


def parse_users(rows: Iterable[Row]) -> tuple[PoolerUser, ...]:
    """Read SHOW USERS."""
    return tuple(
        PoolerUser(
            name=read_name(row, "name"),
            pool_mode=read_text(row, "pool_mode"),
            pool_size=read_known_number(row, "pool_size"),
            max_connections=read_known_number(row, "max_user_connections"),
            current_connections=read_known_number(row, "current_connections"),
        )
        for row in rows
    )


def parse_settings(config: dict[str, str]) -> PoolerSettings:
    """Read what SHOW CONFIG says of limits; what it does not say is PgBouncer's own default."""
    known = PoolerSettings()

    def number(name: str, otherwise: float) -> float:
        try:
            return float(config[name])
        except (KeyError, ValueError):
            return otherwise

    return PoolerSettings(
        max_client_conn=int(number("max_client_conn", known.max_client_conn)),
        default_pool_size=int(number("default_pool_size", known.default_pool_size)),
        min_pool_size=int(number("min_pool_size", known.min_pool_size)),
        reserve_pool_size=int(number("reserve_pool_size", known.reserve_pool_size)),
        reserve_pool_timeout_seconds=number("reserve_pool_timeout", known.reserve_pool_timeout_seconds),
        max_db_connections=int(number("max_db_connections", known.max_db_connections)),
        max_user_connections=int(number("max_user_connections", known.max_user_connections)),
        pool_mode=format_untrusted(config.get("pool_mode", known.pool_mode), _NAME_CHARACTERS),
        query_wait_timeout_seconds=number("query_wait_timeout", known.query_wait_timeout_seconds),
        idle_transaction_timeout_seconds=number("idle_transaction_timeout", known.idle_transaction_timeout_seconds),
        query_timeout_seconds=number("query_timeout", known.query_timeout_seconds),
        server_login_retry_seconds=number("server_login_retry", known.server_login_retry_seconds),
        server_idle_timeout_seconds=number("server_idle_timeout", known.server_idle_timeout_seconds),
    )


def parse_config(rows: Iterable[Row]) -> dict[str, str]:
    """Read SHOW CONFIG as it is."""
    return {str(row.get("key")): "" if row.get("value") is None else str(row["value"]) for row in rows}


def parse_lists(rows: Iterable[Row]) -> dict[str, Any]:
    """Read SHOW LISTS and SHOW STATE, whose rows are pairs."""
    return {str(row.get("list", row.get("key"))): row.get("items", row.get("value")) for row in rows}
