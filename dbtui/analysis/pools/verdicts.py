"""Which tier is the narrow one.

Tiers above a narrow one fill up too, so that the question goes from the bottom up: what would explain the queue, if
it were taken away? A lock before the pool that it clogs, the pool of PgBouncer before the application's behind it.
"""

from collections.abc import Callable

from dbtui.analysis.pools import advice
from dbtui.analysis.pools.capacity import SLOTS
from dbtui.analysis.pools.scenes import WORKING, Scene, describe_app_culprits, describe_culprits
from dbtui.analysis.pools.tiers import client_level, name_with_article
from dbtui.analysis.pools.words import count_of, format_rate, format_share, format_used, format_wait
from dbtui.model.ladders import Level, PoolReading, PoolState, Verdict, VerdictKind
from dbtui.model.pools import ServerState, Tier
from dbtui.model.text import format_untrusted

_TELLS_PAUSE = (1, 19)
#: Answers of a console that refused the login: PgBouncer runs.
_LOGIN_REFUSED = ("28", "08P01", "42", "1044", "1045", "1698")
#: Answers of a server all of whose slots are taken (PostgreSQL's and MariaDB's manuals, error codes).
_NO_SLOT = ("53300", "1040", "1203")
#: A look at the server within so long before that at PgBouncer tells of the same moment.
_RECENT_SECONDS = 2.0


def assess_verdict(scene: Scene) -> Verdict:
    """Return what is the narrow one."""
    causes: tuple[Callable[[Scene], Verdict | None], ...] = (
        _unreachable, _paused, _clogged, _server_cpu, _server_slots, _pooler_clients, _pooler_cpu, _login_bound,
        _pooler_pool, _app_pool, _connecting, _filling,
    )  # fmt: skip
    for cause in causes:
        verdict = cause(scene)
        if verdict is not None:
            return verdict
    if not any(tier.pools for tier in scene.tiers.values()):
        sentence = "no tier tells anything" if scene.tiers else "no tier answers"
        return Verdict(kind=VerdictKind.NO_DATA, level=Level.OK, sentence=sentence)
    return Verdict(kind=VerdictKind.OK, level=Level.OK, sentence=f"nothing is saturated{_describe_unseen(scene)}")


def _describe_unseen(scene: Scene) -> str:
    """Which tiers of the profile could not be judged, so that nobody takes silence for health."""
    app, pooler, snapshot = scene.snapshot.app, scene.snapshot.pooler, scene.snapshot
    unseen = []
    if app is not None and not app.pools:
        unseen.append("no application's pool answers")
    if pooler is not None and pooler.problem:
        unseen.append("PgBouncer's console refuses the login")
    if snapshot.server is None and snapshot.server_problem:
        unseen.append("the server refuses the login")
    return f" as far as is seen: {', '.join(unseen)}" if unseen else ""


def _level(scene: Scene, level: Level) -> Level:
    return Level.EMERGENCY if scene.is_emergency else level


def _queue_words(scene: Scene) -> str:
    """Who waits, the hidden queue told apart: `7 wait in PgBouncer and 25 more in the application`."""
    pooler = scene.tiers.get(Tier.POOLER)
    words = []
    if pooler is not None and pooler.waiting:
        words.append(f"{pooler.waiting} wait in PgBouncer")
    if scene.hidden:
        more = "more " if words else ""
        words.append(f"{scene.hidden} {more}{'wait ' if not words else ''}in the application, unseen by PgBouncer")
        if pooler is None:
            words[-1] = f"{scene.hidden} wait in the application"
    text = " and ".join(words)
    errors = sum(tier.errors_per_second or 0.0 for tier in scene.tiers.values())
    if errors:
        text += f"{'; ' if text else ''}{format_rate(errors)} are turned away"
    elif scene.is_emergency:
        text += f"{'; ' if text else ''}some were turned away in the last seconds"
    return text


def _sentence(scene: Scene, cause: str) -> str:
    queue = _queue_words(scene)
    return f"{cause}: {queue}" if queue else cause


# ---------------------------------------------------------------- it is not the size of anything


def _unreachable(scene: Scene) -> Verdict | None:
    return _lost_pooler(scene) or _lost_server(scene) or _pool_without_server(scene)


def _lost_pooler(scene: Scene) -> Verdict | None:
    pooler = scene.snapshot.pooler
    if pooler is None:
        return None
    if pooler.problem and not pooler.problem_code.startswith(_LOGIN_REFUSED):
        level, sentence = Level.CRITICAL, f"PgBouncer does not answer: {format_untrusted(pooler.problem)}"
    elif not pooler.problem and scene.pooler is None:
        silence = format_wait(scene.snapshot.monotonic_seconds - pooler.monotonic_seconds)
        level = Level.CRITICAL if scene.pools_out else Level.HIGH
        sentence = f"PgBouncer has said nothing for {silence}: it hangs, it was stopped, or the network is cut"
    else:
        return None
    return Verdict(
        kind=VerdictKind.UNREACHABLE, level=_level(scene, level), tier=Tier.POOLER, sentence=_sentence(scene, sentence)
    )


def _lost_server(scene: Scene) -> Verdict | None:
    """A server that refuses dbtui for want of slots runs, and one that refuses its login too."""
    problem, code = scene.snapshot.server_problem, scene.snapshot.server_problem_code
    server = scene.snapshot.server
    if problem and not code.startswith((*_LOGIN_REFUSED, *_NO_SLOT)):
        level, sentence = Level.CRITICAL, f"the server does not answer: {format_untrusted(problem)}"
    elif not problem and server is not None and scene.server is None:
        silence = format_wait(scene.snapshot.monotonic_seconds - server.monotonic_seconds)
        level = Level.CRITICAL if scene.queue else Level.HIGH
        sentence = f"the server has said nothing for {silence}: it hangs, it was stopped, or the network is cut"
    else:
        return None
    return Verdict(
        kind=VerdictKind.UNREACHABLE, level=_level(scene, level), tier=Tier.SERVER, sentence=_sentence(scene, sentence)
    )


def _pool_without_server(scene: Scene) -> Verdict | None:
    """PgBouncer answers, and has no connection to its server."""
    lost = scene.pools_in(PoolState.UNREACHABLE, Tier.POOLER)
    if not lost:
        return None
    if _is_paused_unseen(scene):
        cause = f"PgBouncer has no connection for {lost[0].label} and opens none, though the server answers: it seems"
        version = format_untrusted(scene.pooler.version) if scene.pooler else ""
        return Verdict(
            kind=VerdictKind.PAUSED,
            level=_level(scene, Level.HIGH),
            tier=Tier.POOLER,
            pool=lost[0].pool,
            sentence=_sentence(scene, f"{cause} paused as a whole, which PgBouncer {version} does not tell"),
            recommendation=advice.advise_paused_unseen(),
        )
    return Verdict(
        kind=VerdictKind.UNREACHABLE,
        level=_level(scene, Level.CRITICAL),
        tier=Tier.SERVER,
        pool=lost[0].pool,
        sentence=_sentence(scene, f"PgBouncer gets no connection to the server for {lost[0].label}"),
        recommendation=advice.advise_unreachable_server(),
    )


def _is_paused_unseen(scene: Scene) -> bool:
    """Whether it looks like a PAUSE of everything, which PgBouncer tells from 1.19 on only (SHOW STATE)."""
    pooler, server = scene.pooler, scene.server
    if pooler is None or server is None or server.used >= server.slots:
        return False
    if server.monotonic_seconds + _RECENT_SECONDS < pooler.monotonic_seconds:  # it may be lost by now
        return False
    numbers = [int(part) for part in pooler.version.split(".")[:2] if part.isascii() and part.isdigit()]
    return len(numbers) == 2 and tuple(numbers) < _TELLS_PAUSE and not any(pool.sv_login for pool in pooler.pools)


def _paused(scene: Scene) -> Verdict | None:
    paused = sorted(scene.pools_in(PoolState.PAUSED, Tier.POOLER), key=lambda pool: -pool.waiting)
    if not paused or (not paused[0].waiting and scene.narrow(Tier.POOLER)):
        return None
    pool = paused[0]
    waiting = sum(each.waiting for each in paused)
    return Verdict(
        kind=VerdictKind.PAUSED,
        level=_level(scene, Level.HIGH if waiting else Level.WARN),
        tier=Tier.POOLER,
        pool=pool.pool,
        sentence=_sentence(scene, f"{pool.label} is paused, its queue is meant"),
        recommendation=advice.advise_paused(pool),
    )


def _clogged(scene: Scene) -> Verdict | None:
    """Locks and idle transactions fill a pool of any size."""
    server = scene.server
    narrow = scene.narrow(Tier.POOLER, Level.HIGH) or scene.narrow(Tier.APP, Level.HIGH)
    narrow = narrow or scene.narrow(Tier.SERVER, Level.HIGH)
    if server is None or not narrow:
        return None
    users = frozenset(pool.user for pool in narrow if pool.user)
    locked = scene.holders((ServerState.LOCK,), users)
    idle = scene.holders((ServerState.IDLE_IN_TRANSACTION,), users)
    blocked, idling = sum(each.count for each in locked), sum(each.count for each in idle)
    held = max(1, min(sum(pool.used for pool in narrow), server.used or 1))
    oldest = max((each.oldest_seconds for each in (*locked, *idle)), default=0.0)
    oldest -= scene.pooler_silence  # while PgBouncer hangs, its servers idle in transactions through no fault of theirs
    if blocked + idling < scene.thresholds.clogged_fraction * held or oldest < scene.thresholds.clogged_seconds:
        return None
    level, pool = _level(scene, max((each.level for each in narrow), key=lambda each: each.rank)), narrow[0]
    if blocked > idling:
        cause = f"{blocked} of the {held} connections of {pool.label} wait for locks"
        culprits = describe_culprits(scene.holders((ServerState.IDLE_IN_TRANSACTION,))) or describe_culprits(locked)
        kind, recommendation = VerdictKind.LOCKS, advice.advise_locks(scene)
    else:
        culprits = describe_culprits(idle)
        who = culprits[0].application or "an unnamed application"
        cause = f"{idling} of the {held} connections of {pool.label} idle in transactions, most of {who}"
        kind, recommendation = VerdictKind.IDLE_IN_TRANSACTION, advice.advise_idle_in_transaction(scene, idle)
    return Verdict(
        kind=kind,
        level=level,
        tier=Tier.SERVER,
        pool=pool.pool,
        sentence=_sentence(scene, cause),
        recommendation=recommendation,
        culprits=culprits,
    )


# ---------------------------------------------------------------- server


def _server_cpu(scene: Scene) -> Verdict | None:
    server = scene.server
    if server is None or not server.cores:
        return None
    is_queue = bool(scene.narrow(Tier.POOLER) or scene.narrow(Tier.APP))
    is_busy = scene.host_cpu is not None and server.is_local and scene.host_cpu >= scene.thresholds.host_cpu
    if scene.on_cpu < server.cores or not (is_queue or is_busy):
        return None
    return Verdict(
        kind=VerdictKind.SERVER_CPU,
        level=_level(scene, Level.CRITICAL if is_queue else Level.HIGH),
        tier=Tier.SERVER,
        sentence=_sentence(
            scene, f"the server's CPU is the limit, {scene.on_cpu:.0f} sessions on {count_of(server.cores, 'core')}"
        ),
        recommendation=advice.advise_cpu(scene),
        culprits=describe_culprits(scene.holders((ServerState.ON_CPU,))),
    )


def _server_slots(scene: Scene) -> Verdict | None:
    server = scene.server
    if scene.snapshot.server_problem_code.startswith(_NO_SLOT):
        return Verdict(
            kind=VerdictKind.SERVER_SLOTS,
            level=Level.EMERGENCY,
            tier=Tier.SERVER,
            sentence=_sentence(
                scene, f"no slot is left, not even for dbtui: {format_untrusted(scene.snapshot.server_problem)}"
            ),
            recommendation=advice.advise_slots(scene),
        )
    if server is None:
        return None
    full = scene.narrow(Tier.SERVER)
    bound = [pool for pool in scene.narrow(Tier.POOLER) if pool.bound_by == SLOTS]
    if not full and not bound:
        return None
    return Verdict(
        kind=VerdictKind.SERVER_SLOTS,
        level=_level(scene, Level.CRITICAL),
        tier=Tier.SERVER,
        pool=full[0].pool if full else bound[0].pool,
        sentence=_sentence(scene, f"the server has no slot left, {server.used}/{server.slots} taken"),
        recommendation=advice.advise_slots(scene),
        culprits=describe_culprits(scene.holders((ServerState.IDLE, ServerState.IDLE_IN_TRANSACTION))),
    )


# ---------------------------------------------------------------- PgBouncer


def _pooler_clients(scene: Scene) -> Verdict | None:
    pooler = scene.pooler
    if pooler is None or pooler.problem or client_level(pooler, scene.thresholds) is not Level.CRITICAL:
        return None
    most = pooler.settings.max_client_conn  # those who are just refused are counted too
    used = f"{min(pooler.used_clients, most)}/{most}"
    return Verdict(
        kind=VerdictKind.POOLER_CLIENTS,
        level=_level(scene, Level.CRITICAL),
        tier=Tier.POOLER,
        sentence=_sentence(scene, f"PgBouncer has {used} clients of max_client_conn and refuses the next"),
        recommendation=advice.advise_clients(scene),
    )


def _pooler_cpu(scene: Scene) -> Verdict | None:
    cpu = scene.pooler_cpu
    if cpu is None or cpu < scene.thresholds.pooler_cpu:
        return None
    return Verdict(
        kind=VerdictKind.POOLER_CPU,
        level=_level(scene, Level.CRITICAL),
        tier=Tier.POOLER,
        sentence=_sentence(scene, f"PgBouncer's one thread uses {format_share(cpu)} of a core"),
        recommendation=advice.advise_pooler_cpu(),
    )


def _login_bound(scene: Scene) -> Verdict | None:
    bound = scene.pools_in(PoolState.LOGIN_BOUND, Tier.POOLER)
    if not bound:
        return None
    pool = bound[0]
    return Verdict(
        kind=VerdictKind.LOGIN_BOUND,
        level=_level(scene, Level.HIGH),
        tier=Tier.POOLER,
        pool=pool.pool,
        sentence=_sentence(scene, f"{pool.label} waits for logins to the server, one at a time"),
        recommendation=advice.advise_login(pool),
    )


def _pooler_pool(scene: Scene) -> Verdict | None:
    narrow = scene.narrow(Tier.POOLER)
    if not narrow:
        return None
    pool = narrow[0]
    others = f" (and {count_of(len(narrow) - 1, 'more pool')})" if len(narrow) > 1 else ""
    used = format_used(pool.used, pool.effective_capacity)
    cause = f"PgBouncer pool {pool.label}{others} is the narrow one, {used} servers"
    if not pool.waiting and pool.effective_capacity is not None and pool.used < pool.effective_capacity:
        cause = f"PgBouncer pool {pool.label}{others} was full a moment ago, now {used} servers"
    holders = scene.holders(WORKING, frozenset((pool.user,)))
    return Verdict(
        kind=VerdictKind.POOLER_POOL,
        level=_level(scene, pool.level),
        tier=Tier.POOLER,
        pool=pool.pool,
        sentence=_sentence(scene, cause),
        recommendation=advice.advise_pooler_pool(scene, pool),
        culprits=describe_culprits(holders, "at work"),
    )


# ---------------------------------------------------------------- applications, and what is not yet full


def _app_pool(scene: Scene) -> Verdict | None:
    narrow = scene.narrow(Tier.APP)
    if not narrow:
        return None
    pool, total = narrow[0], len(scene.pools(Tier.APP))
    which = pool.pool if total == 1 else f"{pool.pool} ({len(narrow)} of {count_of(total, 'pool')} full)"
    below = scene.tiers.get(Tier.POOLER) or scene.tiers.get(Tier.SERVER)
    room = f", {name_with_article(below)} has room" if below is not None else ""
    used = format_used(pool.used, pool.capacity)
    cause = f"the application's pool {which} is the narrow one, {used} out{room}"
    if not pool.waiting and pool.capacity is not None and pool.used < pool.capacity:
        cause = f"the application's pool {which} was full a moment ago, now {used} out"
    return Verdict(
        kind=VerdictKind.APP_POOL,
        level=_level(scene, pool.level),
        tier=Tier.APP,
        pool=pool.pool,
        sentence=_sentence(scene, cause),
        recommendation=advice.advise_app_pool(scene, pool),
        culprits=describe_app_culprits(narrow),
    )


def _connecting(scene: Scene) -> Verdict | None:
    waiting = [
        pool
        for pool in scene.pools_in(PoolState.CONNECTING, Tier.POOLER, Tier.APP)
        if pool.oldest_wait_seconds > scene.thresholds.oldest_wait_seconds
    ]
    if not waiting:
        return None
    pool = waiting[0]
    return Verdict(
        kind=VerdictKind.CONNECTING,
        level=_level(scene, Level.WARN),
        tier=pool.tier,
        pool=pool.pool,
        sentence=_sentence(
            scene, f"{pool.label} is connecting, the first waits for {format_wait(pool.oldest_wait_seconds)}"
        ),
    )


def _describe_early_queue(pool: PoolReading) -> str:
    return f"{pool.waiting} wait, not for long so far" if pool.waiting else "nobody waits yet"


def _filling(scene: Scene) -> Verdict | None:
    """Nobody waits yet: the fullest pool, the lowest tier first where they are alike."""
    kinds = {
        Tier.SERVER: VerdictKind.SERVER_SLOTS,
        Tier.POOLER: VerdictKind.POOLER_POOL,
        Tier.APP: VerdictKind.APP_POOL,
    }
    pools = [pool for tier in kinds for pool in scene.pools(tier) if pool.level is not Level.OK]
    if pools:
        pool = max(pools, key=lambda each: each.level.rank)
        share = "" if pool.utilisation is None else f" {format_share(pool.utilisation)} full"
        used = format_used(pool.used, pool.effective_capacity)
        return Verdict(
            kind=kinds[pool.tier],
            level=pool.level,
            tier=pool.tier,
            pool=pool.pool,
            sentence=f"{pool.label} is{share}, {used}; {_describe_early_queue(pool)}",
        )
    pooler = scene.pooler
    if pooler is not None and client_level(pooler, scene.thresholds) is not Level.OK:
        used = f"{pooler.used_clients}/{pooler.settings.max_client_conn}"
        return Verdict(
            kind=VerdictKind.POOLER_CLIENTS,
            level=Level.HIGH,
            tier=Tier.POOLER,
            sentence=f"PgBouncer has {used} clients; beyond max_client_conn they are refused",
            recommendation=advice.advise_clients(scene),
        )
    return None
