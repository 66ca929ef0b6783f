"""What a capture does to a server, what it costs, and what one has left behind, in words: the same at both doors."""

import re
from collections.abc import Iterator

from dbtui.errors import UsageError
from dbtui.model.captures import StaleCapture
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.queries import CapturePlan
from dbtui.model.text import format_bytes, format_duration, format_untrusted

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMG]?)B?")
#: A sample that has seen fewer statements than this may have missed whole pages.
_ENOUGH = 200
_FACTORS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}


def parse_size(name: str, text: str) -> int:
    """Return the bytes that `64 MB` or `2G` means; `name` is what asked for it. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{name}: {text!r} is no size", "write 64 MB or 1 GB")
    return int(float(found[1]) * _FACTORS[found[2]])


def describe_few(statements: int, sample_rate: float) -> str:
    """Return what to do when a sample has seen little; "" when it has seen enough."""
    if sample_rate >= 1 or statements >= _ENOUGH:
        return ""
    return f"{sample_rate:.0%} of the transactions were few here: capture every statement"


def describe_consequence(plan: CapturePlan, profile: ConnectionProfile) -> str:
    """Return the consequence of a plan as a verb phrase."""
    where = format_untrusted(profile.name) + (" (PRODUCTION)" if profile.environment is Environment.PRODUCTION else "")
    part = "every statement" if plan.sample_rate >= 1 else f"{plan.sample_rate:.1%} of the transactions"
    return f"has {where} write down {part} for {format_duration(plan.seconds)}, and puts its settings back"


def describe_plan(plan: CapturePlan) -> Iterator[tuple[str, str]]:
    """Yield what a plan says, each with its label: what is changed, what it costs, what speaks against it."""
    for each in plan.changes:
        if each.name:
            yield "change", format_untrusted(f"{each.name} = {each.value}   (now {each.current or 'empty'})")
    if plan.cost:
        yield "cost", format_untrusted(plan.cost)
    free = "" if plan.free_bytes is None else f", {format_bytes(plan.free_bytes)} are free"
    yield "limit", f"it ends earlier when {format_bytes(plan.most_bytes)} were written{free}"
    for warning in plan.warnings:
        yield "warning", format_untrusted(warning)
    if plan.refusal:
        yield "refused", format_untrusted(plan.refusal)


def describe_stale(stale: StaleCapture) -> str:
    """Return what a capture that nobody looks after has left on, in a line."""
    if stale.journal is None:
        return f"{stale.path}: {stale.problem}"
    state = "put back; " + "; ".join(stale.left) if stale.is_restored else "not put back"
    why = f" ({stale.last_words})" if stale.last_words else ""
    return f"{stale.journal.profile}: the capture of {stale.journal.began_at:%Y-%m-%d %H:%M} UTC, {state}{why}"
