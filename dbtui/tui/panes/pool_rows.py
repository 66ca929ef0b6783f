"""The ladder as lines and its pools as rows: gauges, the verdict with what to do, columns. Pure."""

from collections.abc import Iterator, Sequence

from dbtui.model.ladders import (
    LadderAssessment,
    Level,
    PoolReading,
    PoolState,
    Recommendation,
    TierReading,
    Verdict,
    VerdictKind,
)
from dbtui.model.pools import PoolerClient, Tier
from dbtui.tui.ages import brief_age
from dbtui.tui.cells import BLANK, Line, Span, Tone, bar, cut, dim, fit, line, strong, wrap
from dbtui.tui.widgets.rows import Column

_LABEL = 10
_NARROW_BAR, _WIDE_BAR = 20, 26
_WIDE, _BROAD = 120, 84
#: Lines of the verdict under the ladder on a narrow screen.
VERDICT_LINES = 8
_SIGNS = {
    Level.OK: ("●", Tone.OK),
    Level.WARN: ("▲", Tone.WARNING),
    Level.HIGH: ("▲", Tone.WARNING),
    Level.CRITICAL: ("✖", Tone.TROUBLE),
    Level.EMERGENCY: ("✖", Tone.TROUBLE),
}
_LEVEL_WORDS = {
    Level.OK: "",
    Level.WARN: "filling",
    Level.HIGH: "nearly full",
    Level.CRITICAL: "full",
    Level.EMERGENCY: "turns away",
}
_STOPPED = (PoolState.PAUSED, PoolState.DISABLED)


# ------------------------------------------------------------ numbers


def format_seconds(seconds: float | None) -> str:
    """Return a short time in a few cells: `0.4 ms`, `41 ms`, `3.1 s`, `4 min`; empty if not known."""
    if seconds is None:
        return ""
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else brief_age(seconds)


def format_number(number: float | None) -> str:
    """Return a number in a few cells: `0.4`, `17`, `1 234`, `12 k`; empty if not known."""
    if number is None:
        return ""
    if number < 9.95:
        return f"{number:.1f}"
    if number < 9999.5:
        return f"{number:,.0f}".replace(",", " ")
    return f"{number / 1000:.0f} k" if number < 999_500 else f"{number / 1_000_000:.1f} M"


def used_text(used: float, capacity: int | None, effective: int | None) -> str:
    """Return `20/20`; `8/10 of 25` when not all that is configured can be had; `7` without a limit."""
    if effective is None:
        return f"{used:.0f}"
    more = f" of {capacity}" if capacity is not None and capacity > effective else ""
    return f"{used:.0f}/{effective}{more}"


# ------------------------------------------------------------ the ladder


def level_sign(level: Level) -> Span:
    """Return the sign of a level in its colour."""
    sign, tone = _SIGNS[level]
    return Span(sign, tone)


def tier_line(reading: TierReading, width: int) -> Line:
    """Return one tier: sign, name, gauge, used of what it can have, what there is to say."""
    cells = _WIDE_BAR if width > _BROAD else _NARROW_BAR
    label = f" {reading.label:<{_LABEL}}"
    age = f"{brief_age(reading.age_seconds)} old, " if reading.is_stale else ""
    if reading.problem:
        seen = f", last seen {brief_age(reading.age_seconds)} ago" if reading.is_stale else ""
        return cut(line(" ", Span("✖", Tone.TROUBLE), label, Span(f"{reading.problem}{seen}", Tone.TROUBLE)), width)
    tone = Tone.DIM if reading.is_stale else _SIGNS[reading.level][1]
    share = reading.utilisation or 0.0
    used = f"{reading.used:.1f}" if reading.tier is Tier.HOST else f"{reading.used:.0f}"
    of = "" if reading.effective_capacity is None else f"/{reading.effective_capacity}"
    level = "busy" if reading.tier is Tier.HOST and reading.level is Level.HIGH else _LEVEL_WORDS[reading.level]
    words = ", ".join(part for part in (level, reading.words) if part)
    if reading.is_stale:
        texts: Line = (dim(label), *bar(share, cells, Tone.DIM), dim(f" {used + of:>7}  {age}{words}"))
        return cut(line(" ", dim("○"), *texts), width)
    said = Span(words, tone if reading.level is not Level.OK else Tone.DIM)
    return cut(line(" ", level_sign(reading.level), label, *bar(share, cells, tone), f" {used + of:>7}  ", said), width)


def verdict_lines(assessment: LadderAssessment, width: int, copy_key: str = "y") -> list[Line]:
    """Return what limits, what to do and where to type it, what is certain, what is a guess, what is hidden."""
    verdict = assessment.verdict
    sign = dim("○") if verdict.kind is VerdictKind.NO_DATA else level_sign(verdict.level)
    first = line(" ", Span(f"{sign.text} ", sign.tone), strong(verdict.sentence))
    lines = [*(wrap(first, width - 1)[:3])]
    if verdict.recommendation is not None:
        lines += _recommend(verdict.recommendation, width, copy_key)
    lines += [cut(each, width) for each in _remarks(assessment)]
    return lines


def _recommend(recommendation: Recommendation, width: int, copy_key: str) -> Iterator[Line]:
    yield from wrap(line("   ", recommendation.sentence), width - 1)[:2]
    if recommendation.command:
        command = " ".join(recommendation.command.split())
        yield cut(line("   ", dim("› "), Span(command, Tone.ACCENT), dim(f"   {copy_key} copies it")), width)
        if recommendation.where:
            yield from wrap(line("     ", dim(f"into {recommendation.where}")), width - 1)[:2]
    elif recommendation.where:
        yield cut(line("   ", dim(recommendation.where)), width)


def _remarks(assessment: LadderAssessment) -> Iterator[Line]:
    soonest = {countdown.name: countdown for countdown in reversed(assessment.countdowns)}
    for countdown in sorted(soonest.values(), key=lambda each: each.seconds)[:2]:
        yield line("   ", dim("certain  "), countdown.sentence)
    for projection in assessment.projections[:1]:
        yield line("   ", dim("a guess  "), projection.sentence)
    for check in assessment.disagreements[:1]:
        yield line("   ", Span("▲ counters disagree", Tone.WARNING), dim(f"  {check.sentence}"))
    count = assessment.hidden_queue
    if count and f" {count} " not in assessment.verdict.sentence:
        yield line("   ", dim("hidden   "), f"{count} of the {assessment.queue} who wait do so in applications,",
                   " where PgBouncer and the server do not see them")  # fmt: skip
    for culprit in assessment.verdict.culprits[:2]:
        yield line("   ", dim("who      "), culprit.sentence)


def brief_lines(assessment: LadderAssessment, width: int, gauges: bool) -> list[Line]:
    """Return the gauges alone, or the verdict's sentence alone: where something else needs the room."""
    if gauges:
        return [tier_line(each, width) for each in assessment.tiers]
    return [cut(verdict_lines(assessment, width * 3)[0], width)]


def ladder_lines(assessment: LadderAssessment, width: int, copy_key: str = "y", least: int = 0) -> list[Line]:
    """Return gauges and verdict, side by side where there is room. `least`: so many lines at least."""
    if width < _WIDE:
        tiers = [tier_line(each, width) for each in assessment.tiers]
        said = verdict_lines(assessment, width, copy_key)[:VERDICT_LINES]
        return [*tiers, *said, *([BLANK] * (VERDICT_LINES - len(said)))]
    left = width * 11 // 20
    tiers = [tier_line(each, left - 1) for each in assessment.tiers]
    said = verdict_lines(assessment, width - left, copy_key)[: max(least, len(tiers))]
    height = max(len(tiers), len(said), least)
    padded = [*tiers, *([BLANK] * (height - len(tiers)))]
    beside = [*said, *([BLANK] * (height - len(said)))]
    return [(*fit(first, left), *second) for first, second in zip(padded, beside, strict=True)]


def advice_text(verdict: Verdict) -> str:
    """Return the command of a verdict's recommendation, or nothing."""
    return verdict.recommendation.command if verdict.recommendation is not None else ""


# ------------------------------------------------------------ pools


def pool_key(pool: PoolReading) -> str:
    """Return what tells a pool from all others of the ladder."""
    return f"{pool.tier.value} {pool.pool}"


def pool_sign(pool: PoolReading) -> Span:
    """Return the sign of a pool: what it does comes before how full it is."""
    if pool.state in _STOPPED:
        return Span("▲", Tone.WARNING)
    if pool.state is PoolState.UNREACHABLE:
        return Span("✖", Tone.TROUBLE)
    if pool.state in (PoolState.OK, PoolState.NO_DATA) and pool.level is Level.OK and not pool.used:
        return dim("○")
    if pool.state is PoolState.LOGIN_BOUND and pool.level is Level.OK:
        return Span("▲", Tone.WARNING)
    return level_sign(pool.level)


def _name(pool: PoolReading) -> Line:
    return line(pool_sign(pool), " ", strong(pool.label))


def _waiting(pool: PoolReading) -> Span:
    return Span(str(pool.waiting), Tone.TROUBLE if pool.level.rank >= Level.CRITICAL.rank else Tone.WARNING) \
        if pool.waiting else dim("0")  # fmt: skip


def _busy(pool: PoolReading) -> Line:
    if pool.utilisation is None:
        return line(dim("–"))
    tone = _SIGNS[pool.level][1] if pool.level is not Level.OK else Tone.ACCENT
    return (*bar(pool.utilisation, 5, tone), Span(f" {pool.utilisation * 100:3.0f} %"))


def _state(pool: PoolReading) -> Span:
    if pool.state is PoolState.OK:
        word = _LEVEL_WORDS[pool.level]
        return Span(word, _SIGNS[pool.level][1]) if word else dim("ok")
    tone = Tone.TROUBLE if pool.state in (PoolState.SATURATED, PoolState.UNREACHABLE, PoolState.CLOGGED) \
        else Tone.WARNING  # fmt: skip
    return Span(pool.state.value, tone)


def _rate(pool: PoolReading) -> float | None:
    return pool.rates.transactions if pool.rates is not None else None


def _wait_mean(pool: PoolReading) -> float | None:
    return pool.rates.wait_mean_seconds if pool.rates is not None else None


def _hold_mean(pool: PoolReading) -> float | None:
    return pool.rates.hold_mean_seconds if pool.rates is not None else None


def _errors(pool: PoolReading) -> Span:
    errors = pool.errors_per_second
    return Span(format_number(errors), Tone.TROUBLE) if errors else dim("")


POOL_COLUMNS: list[Column[PoolReading]] = [
    Column("POOL", _name, 20, grow=3, widest=46, order=lambda pool: pool.label),
    Column("TIER", lambda pool: dim("app" if pool.tier is Tier.APP else "PgBouncer"), 9, spare=2,
           order=lambda pool: pool.tier.value),
    Column("USED", lambda pool: Span(used_text(pool.used, None, pool.effective_capacity)), 7, right=True,
           descending=True, order=lambda pool: pool.used),
    Column("BUSY", _busy, 11, descending=True, order=lambda pool: pool.utilisation),
    Column("WAIT", _waiting, 5, right=True, descending=True, order=lambda pool: pool.waiting),
    Column("OLDEST", lambda pool: Span(format_seconds(pool.oldest_wait_seconds or None)), 7, right=True,
           descending=True, order=lambda pool: pool.oldest_wait_seconds),
    Column("TX/S", lambda pool: Span(format_number(_rate(pool))), 6, right=True, descending=True, order=_rate),
    Column("~WAIT", lambda pool: dim(format_seconds(_wait_mean(pool))), 7, right=True, spare=3, descending=True,
           order=_wait_mean),
    Column("~HELD", lambda pool: dim(format_seconds(_hold_mean(pool))), 7, right=True, spare=4, descending=True,
           order=_hold_mean),
    Column("LOST/S", _errors, 6, right=True, spare=5, descending=True, order=lambda pool: pool.errors_per_second),
    Column("BOUND BY", lambda pool: dim(pool.bound_by), 10, spare=6, grow=1, widest=24,
           order=lambda pool: pool.bound_by or None),
    Column("STATE", _state, 9, grow=1, widest=20, order=lambda pool: pool.state.value),
]  # fmt: skip


def pool_search(pool: PoolReading) -> str:
    """Return all that a filter looks at."""
    return f"{pool.label} {pool.pool} {pool.tier.value} {pool.state.value} {pool.words} {pool.service} {pool.user}"


def pool_text(pool: PoolReading) -> str:
    """Return a pool as a line to be pasted: its cells apart by tabs."""
    cells = (
        pool.tier.value,
        pool.pool,
        used_text(pool.used, pool.capacity, pool.effective_capacity),
        f"{pool.waiting} waiting",
        format_seconds(pool.oldest_wait_seconds or None),
        pool.state.value,
        pool.words,
    )
    return "\t".join(cells)  # fmt: skip


def all_pools(assessment: LadderAssessment, only: Tier | None) -> list[PoolReading]:
    """Return the pools of applications and of PgBouncer, the worst first."""
    tiers = [only] if only is not None else [Tier.POOLER, Tier.APP]
    found = [pool for tier in tiers if (reading := assessment.tier(tier)) is not None for pool in reading.pools]
    return sorted(found, key=lambda pool: (-pool.level.rank, -pool.waiting))


# ------------------------------------------------------------ clients


def client_key(client: PoolerClient) -> str:
    """Return what tells a client from another."""
    return f"{client.client_id or client.client} {client.client}"


def _client_state(client: PoolerClient) -> Line:
    if client.state == "waiting":
        return line(Span("▲ ", Tone.WARNING), Span("waiting", Tone.WARNING))
    if client.server_pid is not None:
        return line(Span("● ", Tone.OK), client.state)
    # PgBouncer calls a client active also while it has no server and asks for none.
    return line(dim("○ "), dim("idle" if client.state == "active" else client.state))


def _server(client: PoolerClient) -> Line:
    if client.server_pid is None:
        return line(dim("–"))
    return line(dim("→ "), strong(str(client.server_pid)))


def _server_state(client: PoolerClient) -> Span:
    stuck = client.server_state.startswith("idle in")
    return Span(client.server_state.replace("transaction", "tx"), Tone.WARNING if stuck else Tone.PLAIN)


CLIENT_COLUMNS: list[Column[PoolerClient]] = [
    Column("APPLICATION", lambda each: strong(each.application or "–"), 12, grow=1, widest=24,
           order=lambda each: each.application),
    Column("CLIENT", lambda each: dim(each.client), 12, spare=2, grow=1, widest=22, order=lambda each: each.client),
    Column("POOL", lambda each: Span(f"{each.database}/{each.user}"), 10, spare=1, grow=1, widest=24,
           order=lambda each: f"{each.database}/{each.user}"),
    Column("STATE", _client_state, 10, order=lambda each: each.state),
    Column("WAITS", lambda each: Span(format_seconds(each.wait_seconds or None)), 7, right=True, descending=True,
           order=lambda each: each.wait_seconds),
    Column("SERVER", _server, 9, order=lambda each: each.server_pid),
    Column("DOES", _server_state, 10, grow=1, widest=20, order=lambda each: each.server_state or None),
    Column("XACT", lambda each: Span(format_seconds(each.transaction_seconds)), 7, right=True, descending=True,
           order=lambda each: each.transaction_seconds),
    Column("WAIT EVENT", lambda each: Span(each.wait), 10, spare=3, grow=1, widest=24,
           order=lambda each: each.wait or None),
    Column("QUERY", lambda each: Span(" ".join(each.sql[:2000].split())), 10, grow=6,
           order=lambda each: each.sql or None),
]  # fmt: skip


def client_search(client: PoolerClient) -> str:
    """Return all that a filter looks at."""
    return " ".join((client.application, client.client, client.database, client.user, client.state,
                     str(client.server_pid or ""), client.server_state, client.wait, client.sql))  # fmt: skip


def filter_clients(clients: Sequence[PoolerClient], pools: Sequence[PoolReading]) -> list[PoolerClient]:
    """Return the clients of these pools of PgBouncer, without any all: who waits first, then who has a server."""
    wanted = {(pool.database, pool.user) for pool in pools if pool.tier is Tier.POOLER}
    found = [each for each in clients if not wanted or (each.database, each.user) in wanted]
    return sorted(found, key=lambda each: (each.state != "waiting", each.server_pid is None, -each.wait_seconds))
