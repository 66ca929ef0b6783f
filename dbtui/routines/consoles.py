"""The console of a profile's PgBouncer: whose login it takes, and what is said when it cannot be reached."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from dbtui.adapters.pgbouncer.console import Console
from dbtui.adapters.pgbouncer.console import open_console as connect_console
from dbtui.errors import AuthenticationError, ConnectError, DbtuiError, ServerError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.pools import PoolerSnapshot
from dbtui.model.text import format_untrusted
from dbtui.model.urls import parse_database_url
from dbtui.routines.context import RoutineContext

_CONNECT_SECONDS = 3
#: invalid_authorization_specification (PostgreSQL's manual, error codes): drivers give no SQLSTATE while they connect.
LOGIN_REFUSED = "28000"


def console_profile(profile: ConnectionProfile) -> ConnectionProfile:
    """Return how a profile's PgBouncer is logged in to: as the profile is, at its own URL. Raises UsageError."""
    if not profile.pgbouncer_url:
        name = format_untrusted(profile.name)
        hint = 'add pgbouncer_url = "postgresql://stats@host:6432/pgbouncer" to the profile'
        raise UsageError(f"profile {name} names no PgBouncer", hint)
    return replace(
        profile,
        engine=EngineName.POSTGRESQL,
        url=profile.pgbouncer_url,
        database="",
        password=profile.pgbouncer_password,
        connect_seconds=_CONNECT_SECONDS,
    )


def console_source(profile: ConnectionProfile) -> str:
    """Return where the console of a profile's PgBouncer is, without a login, for when it cannot be reached."""
    url = parse_database_url(profile.pgbouncer_url)
    return format_untrusted(url.hosts or dict(url.query).get("host", "") or "the local socket")


def open_console(c: RoutineContext, profile: ConnectionProfile, *, is_anew: bool = False) -> Console:
    """Log in to the console of a profile's PgBouncer; who calls closes it. Raises ConnectError, AuthenticationError.

    The profile's password_env or password_command is the console's too. Where the console has another login than the
    profile, .pgpass is asked first. `is_anew`: the password is looked up again, for it may have expired.
    """
    wanted = console_profile(profile)
    if is_anew:
        c.forget_password(wanted)
    with c.cancellation.governing():
        password = c.password_of(wanted)
    is_own = wanted.password is not None or _login(wanted.url) == _login(profile.url)
    return connect_console(wanted, password, c.cancellation, c.environ, is_last_resort=not is_own)


def _login(url: str) -> str:
    return parse_database_url(url).user


@contextmanager
def opened_console(c: RoutineContext, profile: ConnectionProfile) -> Iterator[Console]:
    """Log in to the console and close it when the block ends."""
    console = open_console(c, profile)
    try:
        yield console
    finally:
        console.close()


def failed_pooler(profile: ConnectionProfile, now: datetime, error: DbtuiError) -> PoolerSnapshot:
    """Return the snapshot of a PgBouncer that could not be looked at, with the reason."""
    return PoolerSnapshot(
        source=console_source(profile),
        taken_at=now,
        monotonic_seconds=time.monotonic(),
        problem=str(error),
        problem_code=code_of(error),
    )


def code_of(error: DbtuiError) -> str:
    """Return the SQLSTATE or number of an error; a refused login has one even where the driver gives none."""
    code = error.code if isinstance(error, (ConnectError, ServerError)) else ""
    return code or (LOGIN_REFUSED if isinstance(error, AuthenticationError) else "")
