"""The saturation ladder as text within a width: gauges, verdict, pools."""

import textwrap
from collections.abc import Iterator, Sequence

from dbtui.cli.tables import Column, format_table
from dbtui.model.ladders import LadderAssessment, Level, PoolReading, TierReading
from dbtui.model.pools import PoolerClient, Tier
from dbtui.model.text import format_duration, format_untrusted

_SIGNS = {Level.OK: "●", Level.WARN: "▲", Level.HIGH: "▲", Level.CRITICAL: "✖", Level.EMERGENCY: "✖"}
_BAR = 20
_COLUMNS = (
    Column("POOL", least=14),
    Column("TIER", drop=3),
    Column("USED", right=True),
    Column("WAITING", right=True),
    Column("OLDEST", right=True),
    Column("TX/S", right=True, drop=1),
    Column("BOUND BY", least=8, drop=2),
    Column("STATE", least=8),
)
_CLIENT_COLUMNS = (
    Column("APPLICATION", least=8),
    Column("CLIENT", least=9, drop=3),
    Column("POOL", least=8, drop=2),
    Column("STATE"),
    Column("WAITS", right=True),
    Column("SERVER", right=True),
    Column("DOES", least=6),
    Column("TX", right=True, drop=1),
    Column("QUERY", least=12),
)


def format_ladder(assessment: LadderAssessment, width: int) -> list[str]:
    """Return a look at the ladder: tiers, what limits and what to do, pools."""
    lines = [_fit(_tier(tier), width) for tier in assessment.tiers]
    lines += [part for text in _verdict(assessment) for part in _wrap(text, width)]
    pools = [pool for tier in (Tier.POOLER, Tier.APP) if (reading := assessment.tier(tier)) for pool in reading.pools]
    if pools:
        lines += ["", *format_table(_COLUMNS, [_cells(pool) for pool in pools], width)]
    return lines


def _tier(tier: TierReading) -> str:
    if tier.problem:
        return f"✖ {tier.label:<10} {tier.problem}"
    full = round((tier.utilisation or 0.0) * _BAR)
    used = f"{tier.used:.1f}" if tier.tier is Tier.HOST else f"{tier.used:.0f}"
    used += "" if tier.effective_capacity is None else f"/{tier.effective_capacity}"
    sign = "○" if tier.is_stale else _SIGNS[tier.level]
    age = f"{format_duration(tier.age_seconds)} old, " if tier.is_stale else ""
    return f"{sign} {tier.label:<10} {'█' * full}{'░' * (_BAR - full)} {used:>7}  {age}{tier.words}"


def _verdict(assessment: LadderAssessment) -> Iterator[str]:
    verdict = assessment.verdict
    yield f"{_SIGNS[verdict.level]} {verdict.sentence}"
    if (advice := verdict.recommendation) is not None:
        yield f"  {advice.sentence}"
        if advice.command:
            yield from (f"  › {row}" for row in advice.command.splitlines())
        if advice.where:
            yield f"    into {advice.where}" if advice.command else f"  {advice.where}"
    yield from (f"  certain  {each.sentence}" for each in assessment.countdowns[:3])
    yield from (f"  a guess  {each.sentence}" for each in assessment.projections)
    if assessment.hidden_queue:
        yield f"  hidden   {assessment.hidden_queue} of the {assessment.queue} who wait do so in applications"
    yield from (f"  who      {each.sentence}" for each in verdict.culprits)
    yield from (f"  ▲ counters disagree: {each.sentence}" for each in assessment.disagreements)


def _wrap(text: str, width: int) -> list[str]:
    clean = format_untrusted(text)
    indent = len(clean) - len(clean.lstrip())
    return textwrap.wrap(clean, width, subsequent_indent=" " * (indent + 2), break_long_words=True,
                         break_on_hyphens=False, drop_whitespace=True, replace_whitespace=False,
                         initial_indent="") or [clean]  # fmt: skip


def _fit(text: str, width: int) -> str:
    clean = format_untrusted(text)
    return clean if len(clean) <= width else clean[: width - 1] + "…"


def _cells(pool: PoolReading) -> tuple[str, ...]:
    rate = pool.rates.transactions if pool.rates is not None else None
    used = str(pool.used) if pool.effective_capacity is None else f"{pool.used}/{pool.effective_capacity}"
    return (
        f"{_SIGNS[pool.level]} {pool.label}",
        "app" if pool.tier is Tier.APP else "PgBouncer",
        used,
        str(pool.waiting or ""),
        show_wait(pool.oldest_wait_seconds),
        "" if rate is None else f"{rate:.1f}" if rate < 10 else f"{rate:.0f}",
        pool.bound_by,
        pool.state.value,
    )


def show_wait(seconds: float | None) -> str:
    """Return a short time as a cell; empty: none, or not known."""
    if not seconds:
        return ""
    return (
        f"{seconds * 1000:.0f} ms"
        if seconds < 0.9995
        else f"{seconds:.1f} s"
        if seconds < 60
        else format_duration(seconds)
    )


def format_clients(clients: Sequence[PoolerClient], width: int | None) -> list[str]:
    """Return the clients of PgBouncer as a table."""
    rows = [
        (
            each.application or "–",
            each.client,
            f"{each.database}/{each.user}",
            each.state,
            show_wait(each.wait_seconds),
            "" if each.server_pid is None else str(each.server_pid),
            " ".join(part for part in (each.server_state, each.wait) if part),
            show_wait(each.transaction_seconds),
            " ".join(each.sql.split()),
        )
        for each in clients
    ]
    return format_table(_CLIENT_COLUMNS, rows, width)
