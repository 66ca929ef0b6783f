"""What an order to PgBouncer would do, and what speaks against it."""

from collections.abc import Iterator

from dbtui.analysis.pools.words import count_of
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.pools import PoolerDatabase, PoolerPlan, PoolerSnapshot, PoolerVerb
from dbtui.model.text import format_untrusted

_ADMIN = "pgbouncer"
#: Orders that stop or drop what clients are doing.
_STOPPING = (PoolerVerb.PAUSE, PoolerVerb.KILL)
_OF_ALL_ONLY = (PoolerVerb.RELOAD,)
_TELLS_PAUSE = (1, 19)


def plan_order(
    snapshot: PoolerSnapshot, profile: ConnectionProfile, verb: PoolerVerb, database: str, command: str, undo: str
) -> PoolerPlan:
    """Return what `command` does to whom. `undo` is the command that takes it back, empty where nothing does."""
    is_production = profile.environment is Environment.PRODUCTION
    return PoolerPlan(
        verb=verb,
        source=snapshot.source,
        database=database,
        command=command,
        consequence=_consequence(snapshot, verb, database),
        danger=2 if verb in _STOPPING else 1,
        undo=undo if verb in _STOPPING else "",
        confirm=profile.name if is_production and verb is not PoolerVerb.RESUME else "",
        warnings=tuple(_warnings(snapshot, verb, database)),
        refusals=tuple(_refusals(snapshot, profile, verb, database)),
    )


def _consequence(snapshot: PoolerSnapshot, verb: PoolerVerb, database: str) -> str:
    what = f"database {format_untrusted(database)}" if database else "every database"
    of = f"{what} of PgBouncer at {snapshot.source}"
    pools = [pool for pool in snapshot.pools if database in ("", pool.database)]
    clients = sum(pool.cl_active + pool.cl_waiting for pool in pools)
    servers = sum(pool.sv_active + pool.sv_idle + pool.sv_used + pool.sv_tested + pool.sv_login for pool in pools)
    busy = sum(pool.sv_active for pool in pools)
    if verb is PoolerVerb.PAUSE:
        return (
            f"lets no query begin on {of} until RESUME: {count_of(clients, 'client')} will wait; it takes effect when "
            f"what {count_of(busy, 'server connection')} {'does' if busy == 1 else 'do'} has ended"
        )
    if verb is PoolerVerb.KILL:
        dropped = f"{count_of(clients, 'client')} and {count_of(servers, 'server connection')}"
        return f"drops {dropped} of {of} at once and leaves it paused"
    if verb is PoolerVerb.RECONNECT:
        return f"replaces {count_of(servers, 'server connection')} of {of} as they become free; {busy} are in use"
    if verb is PoolerVerb.RELOAD:
        return f"has PgBouncer at {snapshot.source} read its configuration and user files again"
    return f"lets queries begin again on {of}: {count_of(sum(pool.cl_waiting for pool in pools), 'client')} waiting"


def _warnings(snapshot: PoolerSnapshot, verb: PoolerVerb, database: str) -> Iterator[str]:
    pools = [pool for pool in snapshot.pools if database in ("", pool.database)]
    if verb is PoolerVerb.PAUSE:
        limit = snapshot.settings.query_wait_timeout_seconds
        if limit:
            yield f"clients that wait longer than query_wait_timeout ({limit:g} s) are disconnected"
        if any(pool.pool_mode == "session" for pool in pools):
            yield "pools in session mode pause only when their clients have left"
        if not database and _version(snapshot) < _TELLS_PAUSE:
            yield f"PgBouncer {snapshot.version} does not tell afterwards that all of it is paused: remember RESUME"
    if verb is PoolerVerb.KILL:
        busy = sum(pool.sv_active for pool in pools)
        if busy:
            yield f"transactions under way on {busy} server connections are rolled back"
        yield "clients cannot use the database again before RESUME"
    if verb is PoolerVerb.RELOAD:
        yield "a mistake in the file is told in PgBouncer's log, not here"
    if verb is PoolerVerb.RESUME and database and _database(snapshot, database) is None:
        # PgBouncer takes a database of its "*" entry off the list when nobody uses it, and keeps it paused.
        yield f"database {format_untrusted(database)} is not listed: nobody uses it now, or its name is wrong"
    elif verb is PoolerVerb.RESUME and database and not _paused(snapshot, database):
        yield f"database {format_untrusted(database)} is not paused"


def _refusals(snapshot: PoolerSnapshot, profile: ConnectionProfile, verb: PoolerVerb, database: str) -> Iterator[str]:
    if profile.read_only:
        name = format_untrusted(profile.name)
        yield f"profile {name} is read-only; use another profile to {verb.value}"
    if snapshot.is_admin is False:
        yield (
            f"{verb.value.upper()} needs a login of admin_users and this one may only look: add it to admin_users in "
            "pgbouncer.ini, then RELOAD, or name another login in pgbouncer_url"
        )
    if database and verb in _OF_ALL_ONLY:
        yield f"{verb.value.upper()} is for all of PgBouncer: name no database"
    elif database == _ADMIN:
        yield "pgbouncer is the console itself"
    elif database and verb is not PoolerVerb.RESUME and _database(snapshot, database) is None:
        # With a "*" entry PgBouncer would make up a database of that name and pause it.
        yield f"PgBouncer at {snapshot.source} knows no database {format_untrusted(database)}, or has not served it yet"
    elif not database and verb is PoolerVerb.KILL:
        yield "KILL needs a database"
    if verb is PoolerVerb.PAUSE and database and _paused(snapshot, database):
        yield f"database {format_untrusted(database)} is paused already"


def _database(snapshot: PoolerSnapshot, name: str) -> PoolerDatabase | None:
    return next((each for each in snapshot.databases if each.name == name), None)


def _paused(snapshot: PoolerSnapshot, name: str) -> bool:
    database = _database(snapshot, name)
    return database is not None and database.is_paused


def _version(snapshot: PoolerSnapshot) -> tuple[int, ...]:
    parts = snapshot.version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else (0,)


def describe_outcome(verb: PoolerVerb, database: str, before: PoolerSnapshot, after: PoolerSnapshot) -> str:
    """Say, by a look afterwards, what an order came to."""
    names = [database] if database else [each.name for each in after.databases]
    pools = [pool for pool in after.pools if pool.database in names]
    paused = [name for name in names if _paused(after, name)]
    what = format_untrusted(database) if database else "PgBouncer"
    if database and _database(after, database) is None and verb is not PoolerVerb.RESUME:
        kept = "" if verb is PoolerVerb.RECONNECT else ", and stays paused until RESUME"
        return f"{what} is listed no more, for nobody uses it{kept}"
    if verb is PoolerVerb.RECONNECT:
        return f"{what}: {sum(pool.sv_active for pool in pools)} server connections are still in use and go when free"
    if verb is PoolerVerb.RELOAD:
        changed = [
            f"{name} {getattr(before.settings, name)} to {getattr(after.settings, name)}"
            for name in before.settings.__dataclass_fields__
            if getattr(before.settings, name) != getattr(after.settings, name)
        ]
        return f"changed: {', '.join(changed)}" if changed else "no limit changed"
    if verb is PoolerVerb.RESUME:
        still = f"still paused: {', '.join(map(format_untrusted, paused))}" if paused else "not paused"
        return f"{what} is {still}; {sum(pool.cl_waiting for pool in pools)} clients wait"
    if not database and _version(after) < _TELLS_PAUSE:
        return f"PgBouncer says it is paused; {sum(pool.sv_active for pool in pools)} server connections are in use"
    held = sum(pool.sv_active for pool in pools)
    state = "paused" if set(names) <= set(paused) else "NOT paused"
    return f"{what} is {state}; {held} server connections are in use, {sum(pool.cl_waiting for pool in pools)} wait"
