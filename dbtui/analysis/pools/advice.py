"""One thing to do about the narrow place, with a command to paste and where. Nothing is ever applied by itself."""

from collections.abc import Sequence
from math import ceil

from dbtui.analysis.pools.capacity import MAX_DB, MAX_USER, RESERVE, SLOTS
from dbtui.analysis.pools.scenes import Scene
from dbtui.analysis.pools.tiers import name_with_article
from dbtui.analysis.pools.words import count_of, format_name, format_share, quote_name
from dbtui.model.ladders import PoolReading, Recommendation
from dbtui.model.pools import ServerHolder, ServerState, Tier

INI = "pgbouncer.ini, section [pgbouncer]; then RELOAD on PgBouncer's console"
CONSOLE = "PgBouncer's console (psql, database pgbouncer)"
ENVIRONMENT = "the application's environment; then restart its processes"
SHELL = "a shell"
_IDLE_TIMEOUT_SECONDS = 60
#: PgBouncer's idle servers hold so much of the slots: they are what is in the way.
_RESTED, _REST_SECONDS = 0.5, 10
#: The same where it is not known how many slots there are.
_FEW_SLOTS = 40
#: Overflow connections are made and closed again and again when more than so many are made a second.
_CHURN = 1.0


def size_for(worked: float, current: int, target: float, most: int | None = None) -> int:
    """Return how many connections would be `target` busy with what works now: at least one more, at most `most`."""
    wanted = max(current + 1, ceil(max(worked, current) / target - 1e-9))
    return wanted if most is None else min(wanted, most)


# ---------------------------------------------------------------- pools


def advise_pooler_pool(scene: Scene, pool: PoolReading) -> Recommendation:
    """Return what to change when a pool of PgBouncer is the narrow one."""
    current = pool.effective_capacity or pool.used
    if pool.bound_by in (MAX_DB, MAX_USER):
        size = size_for(current, current, scene.thresholds.target_utilisation)
        return _raise_limit(scene, pool, size - current)
    if pool.bound_by == SLOTS:
        return advise_slots(scene)
    base = pool.capacity or current
    free = _free_slots(scene)
    most = None if free is None else base + free
    size = size_for(scene.worked(pool), base, scene.thresholds.target_utilisation, most)
    if size <= base:
        return advise_slots(scene)
    name, command, where = _pool_size_setting(scene, pool, size)
    reason = f" ({_describe_room(scene, free)})" if _describe_room(scene, free) else ""
    bound = f"{pool.bound_by} is exhausted; " if pool.bound_by == RESERVE else ""
    sentence = f"{bound}raise {name} from {base} to {size}{reason}{_describe_demand(pool.used + scene.queue, size)}"
    return Recommendation(sentence=sentence, command=command, where=where)


def _describe_demand(demand: int, size: int) -> str:
    """Say that it is a first step: those who wait now would use more than what works now is increased by."""
    return f"; {demand} ask at once, so look again afterwards" if demand > size else ""


def _pool_size_setting(scene: Scene, pool: PoolReading, size: int) -> tuple[str, str, str]:
    """Where the size of this pool is set: for the user, for the database, or for all."""
    pooler = scene.pooler
    settings = None if pooler is None else pooler.settings
    user = next((each for each in pooler.users if each.name == pool.user), None) if pooler else None
    if user is not None and user.pool_size:
        line = f"at the end of the line of {format_name(pool.user)} in [users] of pgbouncer.ini; then RELOAD"
        return "pool_size", f"pool_size={size}", line
    if settings is not None and pool.capacity not in (None, settings.default_pool_size):
        line = f"at the end of the line of {format_name(pool.database)} in [databases] of pgbouncer.ini; then RELOAD"
        return "pool_size", f"pool_size={size}", line
    return "default_pool_size", f"default_pool_size = {size}", INI


def _raise_limit(scene: Scene, pool: PoolReading, more: int) -> Recommendation:
    is_user = pool.bound_by == MAX_USER
    name = "max_user_connections" if is_user else "max_db_connections"
    pooler = scene.pooler
    limit = 0
    if pooler is not None:
        database = next((each for each in pooler.databases if each.name == pool.database), None)
        user = next((each for each in pooler.users if each.name == pool.user), None)
        limit = pooler.settings.max_user_connections if is_user else pooler.settings.max_db_connections
        if is_user and user is not None and user.max_connections:
            limit = user.max_connections
        if not is_user and database is not None and database.max_connections:
            limit = database.max_connections
    free = _free_slots(scene)
    value = limit + (more if free is None else min(more, free))
    if value <= limit:
        return advise_slots(scene)
    return Recommendation(
        sentence=f"{name} {limit} keeps {pool.label} at {pool.effective_capacity}: raise it to {value}, "
        "or give less to the pools that share it",
        command=f"{name} = {value}",
        where=INI,
    )


def _free_slots(scene: Scene) -> int | None:
    server = scene.server
    return None if server is None or server.slots <= 0 else max(0, server.slots - server.used)


def _describe_room(scene: Scene, free: int | None) -> str:
    words = [] if free is None else [f"the server has {count_of(free, 'free slot')}"]
    if scene.server is not None and scene.server.cores:
        words.append(f"{scene.on_cpu:.0f} of {count_of(scene.server.cores, 'core')} in use")
    elif scene.host_cpu is not None and scene.server is not None and scene.server.is_local:
        words.append(f"{format_share(scene.host_cpu)} CPU")
    return ", ".join(words)


def advise_app_pool(scene: Scene, pool: PoolReading) -> Recommendation:
    """Return what to change when an application's own pool is the narrow one."""
    capacity = pool.capacity or pool.used
    size = size_for(scene.worked(pool), capacity, scene.thresholds.target_utilisation)
    connects = 0.0 if pool.rates is None else pool.rates.connects or 0.0
    churn = f"; {connects:.0f} connections a second are made and closed again" if connects >= _CHURN else ""
    command = f"DB_POOL_SIZE={size} DB_MAX_OVERFLOW=0"
    below = scene.tiers.get(Tier.POOLER) or scene.tiers.get(Tier.SERVER)
    if below is not None and _is_held_idle(scene, pool):
        return Recommendation(
            sentence=f"{pool.pool} holds {count_of(pool.used, 'connection')} and most do nothing: give them back "
            f"before slow work that needs no database; until then {size} would do{churn}",
            command=command,
            where=ENVIRONMENT,
        )
    name = "" if below is None else f" ({name_with_article(below)} has room)"
    return Recommendation(
        sentence=f"raise the pool of {pool.service or pool.pool} from {capacity} to {size} a process{name}{churn}"
        f"{_describe_demand(pool.used + pool.waiting, size)}",
        command=command,
        where=ENVIRONMENT,
    )


def _is_held_idle(scene: Scene, pool: PoolReading) -> bool:
    out = sum(each.used for each in scene.pools(Tier.APP))
    if Tier.POOLER in scene.tiers:
        return scene.tiers[Tier.POOLER].used < 0.3 * out
    server = scene.server
    if server is None:
        return False
    return server.used - server.count(ServerState.IDLE) < 0.3 * pool.used


# ---------------------------------------------------------------- clients, logins, orders


def advise_clients(scene: Scene) -> Recommendation:
    """Return what to change when PgBouncer refuses clients."""
    pooler = scene.pooler
    most = 100 if pooler is None else pooler.settings.max_client_conn
    app = scene.tiers.get(Tier.APP)
    known = 0 if app is None else app.capacity or 0  # what the applications that tell of their pools may ask for
    value = ceil(max(most, known) / scene.thresholds.target_utilisation)
    asked = f"the applications' pools may ask for {known}: " if known > most else ""
    return Recommendation(
        sentence=f"{asked}raise max_client_conn from {most} to {value} (and its limit of open files above that), "
        "or run fewer processes with smaller pools",
        command=f"max_client_conn = {value}",
        where=INI,
    )


def advise_pooler_cpu() -> Recommendation:
    """Return what to change when PgBouncer's one thread is busy."""
    return Recommendation(
        sentence="PgBouncer has one thread: run a second process on the same port; each has pools of its own, "
        "so halve default_pool_size",
        command="so_reuseport = 1",
        where="pgbouncer.ini, section [pgbouncer], of both processes; then restart them",
    )


def advise_login(pool: PoolReading) -> Recommendation:
    """Return what to change when logins to the server are the limit."""
    size = pool.effective_capacity or pool.used + 1
    return Recommendation(
        sentence=f"PgBouncer logs in once at a time for each pool: keep {size} connections open, and see whether "
        "logins at the server are slow",
        command=f"min_pool_size = {size}",
        where=INI,
    )


def advise_paused(pool: PoolReading) -> Recommendation:
    """Return how to end a pause."""
    return Recommendation(
        sentence=f"an operator paused {format_name(pool.database)}; end it when the work is done",
        command=f"RESUME {quote_name(pool.database)};",
        where=CONSOLE,
    )


def advise_paused_unseen() -> Recommendation:
    """Return how to end a pause of everything that does not show."""
    return Recommendation(
        sentence="end the pause when the work is done; was there none, PgBouncer's log says why its logins fail",
        command="RESUME;",
        where=CONSOLE,
    )


def advise_unreachable_server() -> Recommendation:
    """Return where to look when PgBouncer gets no connection to the server."""
    return Recommendation(
        sentence="see whether the server runs and lets PgBouncer in; its log has the reason",
        command="SHOW SERVERS;",
        where=CONSOLE,
    )


# ---------------------------------------------------------------- server


def advise_slots(scene: Scene) -> Recommendation:
    """Return what to change when the server has no slot left."""
    server = scene.snapshot.server
    rested = 0 if scene.pooler is None else sum(pool.sv_idle + pool.sv_used for pool in scene.pooler.pools)
    if rested >= (_FEW_SLOTS if server is None else server.slots * _RESTED):
        return _advise_resting(scene, rested)
    if server is None:  # it never let dbtui in
        return Recommendation(
            sentence="make the applications' pools smaller or let them share connections through a pooler; a login "
            "that may use the reserved slots (a superuser's) still gets in to end idle sessions"
        )
    slots, idle = server.slots, server.count(ServerState.IDLE)
    value = ceil(slots / scene.thresholds.target_utilisation)
    if scene.is_mysql:
        return Recommendation(
            sentence=f"{idle} of {slots} connections idle: make the applications' pools smaller; raising the limit "
            f"to {value} takes memory",
            command=f"SET GLOBAL max_connections = {value};",
            where="SQL on the server, and max_connections in its configuration file",
        )
    if scene.pooler is None:
        return Recommendation(
            sentence=f"{idle} of {slots} connections idle: let the applications share them through PgBouncer "
            "(see dbtui pools advise)",
            command=f"dbtui pools advise {scene.profile}",
            where=SHELL,
        )
    return Recommendation(
        sentence=f"the server's {slots} slots are the limit: close idle connections that do not come through "
        f"PgBouncer, or raise max_connections to {value} and restart the server",
        command=f"ALTER SYSTEM SET max_connections = {value};",
        where="SQL on the server as a superuser; then restart the server",
    )


def _advise_resting(scene: Scene, rested: int) -> Recommendation:
    pools = () if scene.pooler is None else scene.pooler.pools
    now = 0.0 if scene.pooler is None else scene.pooler.settings.server_idle_timeout_seconds
    return Recommendation(
        sentence=f"PgBouncer itself keeps {rested} idle servers in {count_of(len(pools), 'pool')}, which hold the "
        f"slots: close them after {_REST_SECONDS} s (now {now:g} s), and let fewer users connect, for each has a pool "
        "of its own",
        command=f"server_idle_timeout = {_REST_SECONDS}",
        where=INI,
    )


def advise_cpu(scene: Scene) -> Recommendation:
    """Return what to do when every core is busy: no pool helps."""
    command = (
        "SELECT id, time_ms, left(info, 100) FROM information_schema.processlist "
        "WHERE command <> 'Sleep' ORDER BY time_ms DESC LIMIT 20;"
        if scene.is_mysql
        else "SELECT pid, now() - query_start AS running, left(query, 100) FROM pg_stat_activity "
        "WHERE state = 'active' ORDER BY running DESC LIMIT 20;"
    )
    return Recommendation(
        sentence="do not raise any pool: more connections on the same cores make every one slower; "
        "find the statements that run, or send less",
        command=command,
        where="SQL on the server",
    )


def advise_locks(scene: Scene) -> Recommendation:
    """Return where to see who blocks."""
    return Recommendation(
        sentence="a larger pool fills with waiters too: end the transaction that blocks the others",
        command=f"dbtui sessions {scene.profile}",
        where=f"{SHELL}; or pane 1, the blocking tree",
    )


def advise_idle_in_transaction(scene: Scene, holders: Sequence[ServerHolder]) -> Recommendation:
    """Return how to end transactions that do nothing."""
    seconds = _IDLE_TIMEOUT_SECONDS
    sentence = (
        "let the application end its transactions before it does something else; until then cut those that idle for "
        f"{seconds} s"
    )
    if scene.pooler is not None:
        return Recommendation(sentence=sentence, command=f"idle_transaction_timeout = {seconds}", where=INI)
    if scene.flavour == "MySQL":  # it has no such timeout
        return Recommendation(
            sentence="let the application end its transactions before it does something else; until then terminate "
            "the sessions that idle in one",
            command=f"dbtui sessions {scene.profile}",
            where=SHELL,
        )
    if scene.is_mysql:
        command = f"SET GLOBAL idle_transaction_timeout = {seconds};"
    else:
        user = max(holders, key=lambda each: each.count).user if holders else ""
        role = quote_name(user, always=True) if user else "ALL"
        command = f"ALTER ROLE {role} SET idle_in_transaction_session_timeout = '{seconds}s';"
    return Recommendation(sentence=sentence, command=command, where="SQL on the server; new sessions have it")
