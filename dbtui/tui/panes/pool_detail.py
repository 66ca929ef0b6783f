"""All about one pool, one client of PgBouncer, the whole ladder's small print, and a load test's result, as lines."""

from collections.abc import Iterator, Sequence

from dbtui.model.ladders import Check, LadderAssessment, PoolReading
from dbtui.model.loadtest import LoadResult, StageResult
from dbtui.model.pools import AppPool, PoolerClient, PoolerPool, PoolsSnapshot, Tier
from dbtui.tui.ages import brief_age, format_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, plain_text, strong
from dbtui.tui.dialogs.plan_lines import fact, warning
from dbtui.tui.panes.pool_rows import format_number, format_seconds, pool_sign, used_text

_MOST_SQL_LINES = 200
_WIDE_RESULT = 120

SETUP_LINES: tuple[Line, ...] = (
    line(strong(" No pools are configured for this connection.")),
    line(" What PgBouncer and the applications say of theirs would be here. Write into"),
    line(" the configuration file, below this connection's [profiles.…]:"),
    BLANK,
    line("   ", Span('pgbouncer_url = "postgresql://stats@db1:6432/pgbouncer"', Tone.ACCENT)),
    line("   ", Span('app_pools = ["unix:///run/user/1000/dbtui/*.sock"]', Tone.ACCENT)),
    BLANK,
    line(" The login is one of PgBouncer's ", strong("stats_users"), "; for PAUSE, KILL: ", strong("admin_users"), "."),
    line(" An application tells of its pool by one line of ", strong("dbtui.instrument"), ":"),
    line("   ", Span('publish_pool(engine, service="erp-api")', Tone.ACCENT)),
)


def show_pool(pool: PoolReading, snapshot: PoolsSnapshot | None, assessment: LadderAssessment) -> list[Line]:
    """Return the lines about a pool."""
    bound = dim(f"  bound by {pool.bound_by}") if pool.bound_by else Span("")
    lines = [
        line(pool_sign(pool), " ", strong(pool.label), dim(f"  {pool.words}")),
        fact("connections", used_text(pool.used, pool.capacity, pool.effective_capacity), " in use", bound),
        fact("waiting", *_waiting(pool)),
        *_rates(pool),
    ]
    if snapshot is not None:
        lines += _raw(pool, snapshot)
    lines += [_check(check) for check in assessment.checks if check.pool in (pool.pool, pool.database)]
    lines += [fact("certain", each.sentence) for each in assessment.countdowns if each.pool == pool.pool]
    lines += [fact("a guess", each.sentence) for each in assessment.projections if each.pool == pool.pool]
    return lines


def _check(check: Check) -> Line:
    sign = Span("● ", Tone.OK) if check.holds else Span("▲ ", Tone.WARNING)
    return fact("check", sign, check.sentence)


def _waiting(pool: PoolReading) -> Iterator[Span]:
    if not pool.waiting:
        yield dim("nobody")
        return
    yield Span(str(pool.waiting), Tone.WARNING)
    yield Span(f", the oldest for {format_seconds(pool.oldest_wait_seconds)}")


def _rates(pool: PoolReading) -> Iterator[Line]:
    rates = pool.rates
    if rates is None or rates.was_reset or rates.has_clock_jumped:
        why = "" if rates is None else "  it began anew" if rates.was_reset else "  a clock jumped"
        yield fact("rates", dim(f"not known yet{why}"))
        return
    what = "checkouts" if pool.tier is Tier.APP else "transactions"
    yield fact("rates", f"{format_number(rates.transactions)} {what}/s", dim(f"  over {rates.seconds:.0f} s"))
    if rates.busy is not None:
        yield fact("busy", f"{rates.busy:.1f} on average", dim("  without the time spent waiting"))
    if rates.is_frozen:
        yield fact(
            "", Span("▲ ", Tone.WARNING), "clients wait and none is served: PgBouncer's own wait time stands still"
        )
    for name, seconds in (("mean wait", rates.wait_mean_seconds), ("mean hold", rates.hold_mean_seconds)):
        if seconds is not None:
            yield fact(name, format_seconds(seconds))
    if rates.connects:
        yield fact("connects", f"{format_number(rates.connects)}/s", dim("  new connections"))
    if rates.errors:
        yield fact("lost", Span(f"{format_number(rates.errors)}/s", Tone.TROUBLE), dim("  timeouts and refusals"))


def _raw(pool: PoolReading, snapshot: PoolsSnapshot) -> Iterator[Line]:
    """Yield what its owner said, in its own words."""
    if pool.tier is Tier.POOLER and snapshot.pooler is not None:
        for each in snapshot.pooler.pools:
            if (each.database, each.user) == (pool.database, pool.user):
                yield BLANK
                yield from _pooler_pool(each)
    if pool.tier is Tier.APP and snapshot.app is not None:
        for app in snapshot.app.pools:
            if (app.service, app.pid) == (pool.service, pool.pid) and pool.pool.endswith(app.pool):
                yield BLANK
                yield from _app_pool(app)


def _pooler_pool(pool: PoolerPool) -> Iterator[Line]:
    yield line(strong("SHOW POOLS"), dim(f"  {pool.pool_mode} pooling"))
    yield fact("clients", f"cl_active {pool.cl_active}  cl_waiting {pool.cl_waiting}",
               dim("  cl_active: linked to a server, or idle"))  # fmt: skip
    yield fact("servers", f"sv_active {pool.sv_active}  sv_idle {pool.sv_idle}  sv_used {pool.sv_used}"
               f"  sv_tested {pool.sv_tested}  sv_login {pool.sv_login}",
               dim("  sv_used: idle for long, not in use"))  # fmt: skip
    yield fact("maxwait", format_seconds(pool.maxwait_seconds))


def _app_pool(pool: AppPool) -> Iterator[Line]:
    yield line(strong("In the application"), dim(f"  {pool.service} process {pool.pid}  {pool.source}"))
    limit = "no limit" if pool.capacity is None else f"{pool.size} + {pool.max_overflow} overflow"
    yield fact("size", limit, dim("  DB_POOL_SIZE, DB_MAX_OVERFLOW"))
    yield fact("now", f"{pool.checked_out} out  {pool.checked_in} in  overflow {max(0, pool.overflow)}")
    if pool.timeout_seconds is not None:
        yield fact("timeout", f"{pool.timeout_seconds:g} s", dim("  DB_POOL_TIMEOUT"))
    yield fact("since start", f"{format_number(pool.wait.count)} checkouts  {pool.timeouts_total} timeouts"
               f"  {pool.invalidated_total} invalidated  {pool.closed_total} closed")  # fmt: skip
    if pool.url:
        yield fact("connects to", pool.url)
    if pool.started_at is not None:
        yield fact("started", format_time(pool.started_at))


def show_small_print(snapshot: PoolsSnapshot | None, assessment: LadderAssessment | None) -> list[Line]:
    """Return gaps and warnings of the ladder: what could not be seen, and why."""
    lines = [warning(gap) for reading in (assessment.tiers if assessment else ()) for gap in reading.gaps]
    if snapshot is not None:
        lines += [warning(gap) for gap in snapshot.gaps]
        if snapshot.pooler is not None:
            lines += [warning(each) for each in snapshot.pooler.warnings]
    return list(dict.fromkeys(lines))


def show_client(client: PoolerClient) -> list[Line]:
    """Return the lines about a client of PgBouncer and what it does in the server."""
    tls, waits = {None: "", True: "  TLS", False: "  no TLS"}[client.is_tls], format_seconds(client.wait_seconds)
    lines = [
        line(strong(client.application or "an unnamed application"), f"  {client.client}", dim(tls)),
        fact("pool", f"{client.database}/{client.user}"),
        fact("state", client.state, dim(f"  waits for {waits}" if client.wait_seconds else "")),
    ]
    if client.connected_seconds is not None:
        lines.append(fact("connected", f"{brief_age(client.connected_seconds)} ago"))
    if client.server_pid is None:
        return [*lines, fact("server", dim("none: it has no server connection now"))]
    lines.append(fact("server", strong(str(client.server_pid)), f"  {client.server_state}", dim(f"  {client.wait}")))
    lines.append(fact("ages", f"transaction {format_seconds(client.transaction_seconds) or '–'}",
                      f", statement {format_seconds(client.query_seconds) or '–'}"))  # fmt: skip
    rows = client.sql.expandtabs(4).splitlines()[:_MOST_SQL_LINES]
    return [*lines, BLANK, line(strong("Statement")), *(line(row) for row in rows)] if rows else lines


# ------------------------------------------------------------ load tests


def show_result(result: LoadResult, width: int) -> list[Line]:
    """Return a load test's result: what was asked, a line a stage, the knee, remarks."""
    request = result.request
    slo = f", within {format_seconds(request.slo_seconds)} is good" if request.slo_seconds else ""
    lines = [
        line(strong("Load test"), f"  {result.shown_target}", dim(f"  {format_time(result.began_at)}{slo}")),
        *([warning(f"it ended early: {result.ended_early}")] if result.ended_early else []),
        BLANK,
        _stage_header(width),
        *(_stage_line(each, result.knee, width) for each in result.stages),
        BLANK,
        _knee_line(result),
        *(warning(remark) for remark in result.remarks),
    ]
    errors = _errors(result.stages)
    return [*lines, fact("errors", Span(errors, Tone.TROUBLE))] if errors else lines


def _stage_header(width: int) -> Line:
    rest = (
        f"{'p50':>9}{'p95':>9}{'p99':>9}{'p99.9':>9}{'worst':>9}" if width >= 100 else f"{'p50':>9}{'p95':>9}{'p99':>9}"
    )
    return line(dim(f" {'STAGE':<16}{'AT ONCE':>8}{'/S':>8}{'GOOD/S':>8}{rest}{'ERRORS':>8}"))


def _stage_line(stage: StageResult, knee: str, width: int) -> Line:
    times = (stage.p50_seconds, stage.p95_seconds, stage.p99_seconds, stage.p999_seconds, stage.max_seconds)
    shown = "".join(f"{format_seconds(each) or '–':>9}" for each in (times if width >= 100 else times[:3]))
    errors = sum(count for _, count in stage.errors)
    is_knee = stage.stage.name == knee and bool(knee)
    name = f"{'▲' if is_knee else ' '}{stage.stage.name:<16.16}"
    numbers = f"{stage.stage.concurrency:>8}{format_number(stage.rate):>8}{format_number(stage.goodput):>8}"
    tone = Tone.WARNING if is_knee else Tone.DIM if stage.stage.is_warm_up else Tone.PLAIN
    lost = Span(f"{errors or '':>8}", Tone.TROUBLE)
    bound = Span("  generator at its limit", Tone.WARNING) if stage.is_generator_bound else Span("")
    return line(Span(name, tone), Span(numbers + shown, tone), lost, bound)


def _knee_line(result: LoadResult) -> Line:
    if result.knee:
        return line(Span("▲ ", Tone.WARNING), strong(f"the knee is at {result.knee}"),
                    ": from there on it was slower, and hardly more got through")  # fmt: skip
    return line(dim("No knee was seen: throughput went on growing, or there was only one stage."))


def _errors(stages: Sequence[StageResult]) -> str:
    found: dict[str, int] = {}
    for stage in stages:
        for kind, count in stage.errors:
            found[kind] = found.get(kind, 0) + count
    return ", ".join(f"{count} {kind}" for kind, count in sorted(found.items(), key=lambda pair: -pair[1]))


def result_text(result: LoadResult) -> str:
    """Return a load test's result as plain lines, to be pasted."""
    return "\n".join(plain_text(each).rstrip() for each in show_result(result, _WIDE_RESULT))
