"""What a repetition is, where it was met, what it costs and what cures it, in words: the same at both doors."""

import re
from collections.abc import Collection, Iterator

from dbtui.analysis.queries.savings import format_seconds
from dbtui.model.jobs import JobState
from dbtui.model.queries import CaptureResult, PatternKind, PatternLevel, QueryFindings, Repetition, SourceReport
from dbtui.model.text import format_count, format_duration

SIGNS = {PatternLevel.FINDING: "✖", PatternLevel.HINT: "▲", PatternLevel.INFO: "○"}
TITLES = {
    PatternKind.N_PLUS_ONE: "N+1",
    PatternKind.DUPLICATE: "same query again",
    PatternKind.WRITE_LOOP: "write loop",
    PatternKind.LOOKUP_LOOP: "look-up loop",
    PatternKind.BATCH: "batches",
    PatternKind.CURSOR: "cursor",
    PatternKind.POOLED_REQUESTS: "pooled requests",
}
#: The same where there is little room.
SHORT_TITLES = {
    PatternKind.N_PLUS_ONE: "N+1",
    PatternKind.DUPLICATE: "same",
    PatternKind.WRITE_LOOP: "writes",
    PatternKind.LOOKUP_LOOP: "loop",
    PatternKind.BATCH: "batches",
    PatternKind.CURSOR: "cursor",
    PatternKind.POOLED_REQUESTS: "pooled",
}
_LIST = re.compile(r"^(\s*select(?:\s+distinct)?)\s+(?!\*).{16,}?\s+(from)\b", re.IGNORECASE | re.DOTALL)
_SPACE = re.compile(r"\s+")
_LEAST_KEY = 8


def shorten_sql(sql: str) -> str:
    """Return a statement on one line, without its list of columns: `SELECT … FROM orders WHERE id = ?`."""
    return _SPACE.sub(" ", _LIST.sub(r"\1 … \2", sql)).strip()


def shorten_keys(keys: Collection[str]) -> dict[str, str]:
    """Return for each key as much of its beginning as tells it from the others, eight characters at least."""
    ordered = sorted(set(keys))
    shown = {}
    for place, key in enumerate(ordered):
        neighbours = [ordered[other] for other in (place - 1, place + 1) if 0 <= other < len(ordered)]
        shared = max((_count_shared(key, other) for other in neighbours), default=0)
        shown[key] = key[: max(_LEAST_KEY, shared + 1)]
    return shown


def _count_shared(one: str, other: str) -> int:
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def describe_children(repetition: Repetition) -> Iterator[str]:
    """Yield `48 × SELECT … FROM order_lines …` for each repeated shape."""
    for child in repetition.children:
        yield f"{format_count(child.repeats)} × {shorten_sql(child.shape.text)}"


def describe_parent(repetition: Repetition) -> str:
    """Return the statement whose rows are gone through, with how many they were; "" when there was none."""
    if repetition.parent is None:
        return ""
    rows = "" if repetition.parent_rows is None else f"   {_count(repetition.parent_rows, 'row')}"
    return shorten_sql(repetition.parent.text) + rows


def describe_place(repetition: Repetition) -> str:
    """Return where it was met: the code, the page, the application, the database; "" when only the session is known."""
    code = [part for part in (repetition.call_site, repetition.route) if part]
    owner = [part for part in (repetition.application, repetition.database) if part]
    return "   ".join(code + owner)


def describe_times(repetition: Repetition) -> str:
    """Return how often, how long, and what a cure saves."""
    parts = []
    if repetition.units > 1:
        units = format_count(repetition.units)
        parts.append(f"in {units} units of work, half of them {repetition.repeats_p50:g} and more")
    if repetition.total_seconds is not None:
        parts.append(f"{format_seconds(repetition.total_seconds)} in all")
    if repetition.saved_seconds is not None:
        parts.append(f"{format_seconds(repetition.saved_seconds)} would be saved")
    return ", ".join(parts)


def describe_evidence(repetition: Repetition) -> str:
    """Return where to look it up: the session and its statements."""
    scope = f", {repetition.scope}" if repetition.scope else ""
    return f"session {repetition.session}{scope}, statements {repetition.first_seq} to {repetition.last_seq}"


def summarise_findings(found: QueryFindings) -> str:
    """Return what was found, in a line."""
    findings = sum(each.level is PatternLevel.FINDING for each in found.findings)
    hints = len(found.findings) - findings
    parts = [_count(findings, "finding")] if findings or not hints else []
    parts += [_count(hints, "hint")] if hints else []
    others = f"; {_count(len(found.others), 'other repetition')}" if found.others else ""
    return (
        f"{', '.join(parts)} in {_count(found.statements, 'statement')} of {_count(found.sessions, 'session')}{others}"
    )


def describe_source(report: SourceReport) -> Iterator[str]:
    """Yield what is to know of what was read: what could not be, what was cut or lost."""
    if report.unreadable:
        lines = _count(report.unreadable, "line")
        yield f"{lines} of {report.source} could not be read; the first: {report.first_unreadable}"
    if report.truncated:
        yield f"{_count(report.truncated, 'statement')} were cut short by the server; their shapes are not guessed"
    if report.lost:
        yield f"{_count(report.lost, 'statement')} ran and were overwritten before they could be read"
    yield from report.warnings


def describe_capture(result: CaptureResult) -> str:
    """Return how a capture ended, for history."""
    restored = "settings as before" if result.is_restored else "settings left: " + "; ".join(result.left)
    return f"{summarise_findings(result.findings)}, {format_duration(result.seconds)}, {restored}"


def is_at_least(found: QueryFindings, level: str) -> bool:
    """Say whether there is a finding, or for `hint` one or the other."""
    return any(level == "hint" or each.level is PatternLevel.FINDING for each in found.findings)


def _count(number: int, what: str) -> str:
    return f"{format_count(number)} {what}" + ("" if number == 1 else "s")


def judge_capture(result: CaptureResult) -> JobState:
    """Say how a capture ended: partly, when settings are not as they were; cancelled, when it was and they are."""
    if not result.is_restored:
        return JobState.PARTIAL
    return JobState.CANCELLED if result.ended_by == "cancelled" else JobState.SUCCEEDED
