"""Which stages a load test has, from what was typed; and what speaks against a test."""

import ipaddress
from collections.abc import Sequence
from dataclasses import replace

from dbtui.errors import UsageError
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.model.loadtest import LoadKind, LoadPlan, LoadRequest, LoadStage, SqlPath
from dbtui.model.text import format_untrusted

WARM_UP = "warm-up"
MOST_SECONDS = 86_400.0
MOST_STAGES = 50
MOST_RATE = 1_000_000.0
MOST_CONCURRENCY = {LoadKind.HTTP: 10_000, LoadKind.SQL: 1_000}
MOST_PROCESSES = 64
CONCURRENCY = {LoadKind.HTTP: 10, LoadKind.SQL: 10}
#: How many requests of an open model may be under way, when nobody says.
OPEN_CONCURRENCY = {LoadKind.HTTP: 256, LoadKind.SQL: 20}

#: RFC 1918, RFC 4193 and loopback; nothing else is taken for a network of one's own.
_PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


def plan_stages(
    kind: LoadKind,
    *,
    duration_seconds: float,
    warm_up_seconds: float = 0.0,
    concurrency: int | None = None,
    rate: float | None = None,
    concurrencies: Sequence[int] = (),
    rates: Sequence[float] = (),
) -> tuple[LoadStage, ...]:
    """Return the stages of a test, each `duration_seconds` long. Raises UsageError for what does not go together.

    `rate` or `rates` make the model open: then at most `concurrency` requests are under way.
    """
    if sum(bool(each) for each in (rate, concurrencies, rates)) > 1:
        raise UsageError("--rate, --stages and --rate-stages say the same thing differently", "use one of them")
    if concurrencies and concurrency:
        raise UsageError("--stages says the concurrency, and so does --concurrency", "use one of them")
    steps: Sequence[float] = rates or ([rate] if rate else [])
    if steps:
        most = concurrency or OPEN_CONCURRENCY[kind]
        stages = [
            LoadStage(name=f"{step:g}/s", seconds=duration_seconds, concurrency=most, rate=float(step))
            for step in steps
        ]
    else:
        counts = concurrencies or [concurrency or CONCURRENCY[kind]]
        stages = [
            LoadStage(name=f"{count} client{'s' if count != 1 else ''}", seconds=duration_seconds, concurrency=count)
            for count in counts
        ]
    stages = _distinct(stages)
    if warm_up_seconds:
        first = stages[0]
        warm = LoadStage(name=WARM_UP, seconds=warm_up_seconds, concurrency=first.concurrency, rate=first.rate,
                         is_warm_up=True)  # fmt: skip
        stages = [warm, *stages]
    _check_stages(kind, stages)
    return tuple(stages)


def _distinct(stages: Sequence[LoadStage]) -> list[LoadStage]:
    """Give stages that say the same names of their own: `20 clients`, `20 clients (2)`."""
    seen: dict[str, int] = {}
    named = []
    for stage in stages:
        seen[stage.name] = number = seen.get(stage.name, 0) + 1
        name = f"{stage.name} ({number})" if number > 1 else stage.name
        named.append(LoadStage(name=name, seconds=stage.seconds, concurrency=stage.concurrency, rate=stage.rate))
    return named


def _check_stages(kind: LoadKind, stages: Sequence[LoadStage]) -> None:
    if len(stages) > MOST_STAGES:
        raise UsageError(f"there are {len(stages)} stages", f"use at most {MOST_STAGES}")
    for stage in stages:
        if not 0 < stage.seconds <= MOST_SECONDS:
            raise UsageError(
                f"stage {stage.name} would last {stage.seconds:g} seconds", "use more than 0, at most a day"
            )
        if not 1 <= stage.concurrency <= MOST_CONCURRENCY[kind]:
            raise UsageError(
                f"stage {stage.name} would have {stage.concurrency} requests under way",
                f"use 1 to {MOST_CONCURRENCY[kind]}",
            )
        if stage.rate is not None and not 0 < stage.rate <= MOST_RATE:
            raise UsageError(f"stage {stage.name} has no rate that can be kept", f"use at most {MOST_RATE:.0f}/s")
    if sum(stage.seconds for stage in stages) > MOST_SECONDS:
        raise UsageError("the whole test would last longer than a day", "use fewer or shorter stages")


def is_private(address: str) -> bool:
    """Whether an address is loopback or of a private network; a path (a unix socket) is."""
    if address.startswith(("/", "@")):
        return True
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in network for network in _PRIVATE if network.version == (mapped or found).version)


def plan_http_load(request: LoadRequest, shown_target: str, host: str, address: str) -> LoadPlan:
    """Plan a test of a web server whose address is known."""
    request = _fit_processes(request)
    private = is_private(address)
    where = f"{host} ({address})" if host != address else host
    warnings = () if private else (f"{where} is neither loopback nor a private address: only load what is yours",)
    return LoadPlan(
        request=request,
        shown_target=shown_target,
        is_private=private,
        confirm="" if private else host,
        warnings=(*warnings, *_warnings(request)),
    )


def plan_sql_load(
    request: LoadRequest, profile: ConnectionProfile, host: str, address: str, *, is_through_pooler: bool
) -> LoadPlan:
    """Plan a test of a database server that was reached. `address`: where `host` is, a path for a unix socket."""
    request = _fit_processes(request)
    private = is_private(address)
    warnings = list(_warnings(request))
    if not private:
        warnings.insert(0, f"{host} ({address}) is neither loopback nor a private address: only load what is yours")
    confirm = "" if private else host
    if profile.environment is Environment.PRODUCTION:
        warnings.insert(0, f"{format_untrusted(profile.name)} is a PRODUCTION profile: what it serves will be slower")
        confirm = profile.name
    refusals = []
    if profile.read_only and is_through_pooler and request.statements:
        refusals.append(
            f"profile {format_untrusted(profile.name)} is read-only, which cannot be enforced for own statements "
            "through a pooler: leave --pooled out, or use the built-in statement"
        )
    return LoadPlan(
        request=request,
        shown_target=profile.name,
        is_private=private,
        confirm=confirm,
        warnings=tuple(warnings),
        refusals=tuple(refusals),
    )


def refuse_sql_load(request: LoadRequest, profile: ConnectionProfile) -> None:
    """Raise UsageError for a test that this engine cannot have, before anybody connects."""
    name = format_untrusted(profile.name)
    if profile.engine is EngineName.SQLITE:
        raise UsageError(
            f"{name} is an SQLite file, which has no server to be loaded", "name a PostgreSQL or MySQL target"
        )
    if request.is_pooled and not profile.pgbouncer_url:
        raise UsageError(f"{name} has no pgbouncer_url, which --pooled needs", "write one into the profile")
    if request.is_pooled and profile.engine is not EngineName.POSTGRESQL:
        raise UsageError(f"{name} is no PostgreSQL target, and PgBouncer pools nothing else", "leave --pooled out")


def _fit_processes(request: LoadRequest) -> LoadRequest:
    """Have no more generators than requests at a time, so that each has something to do."""
    fewest = min((stage.concurrency for stage in request.stages), default=1)
    return replace(request, processes=max(1, min(request.processes, fewest, request.most or fewest)))


def _warnings(request: LoadRequest) -> tuple[str, ...]:
    warnings = []
    if request.kind is LoadKind.HTTP and not request.is_verified:
        warnings.append("the server's certificate is not checked")
    if request.kind is LoadKind.HTTP and request.method not in ("GET", "HEAD", "OPTIONS"):
        warnings.append(f"each request is a {request.method}: it may change something, as often as it is sent")
    if request.path is SqlPath.POOL and request.processes > 1:
        warnings.append(f"each of the {request.processes} processes has a pool of its own")
    return tuple(warnings)
