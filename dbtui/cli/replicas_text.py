"""Replicas as text within a width: the primary, the tree with lag by stage, slots, base backups, sentences."""

import textwrap
from collections.abc import Iterator, Sequence

from dbtui.analysis.replicas.branches import format_branches
from dbtui.analysis.replicas.words import format_lag, format_promise
from dbtui.cli.tables import Column, format_table
from dbtui.model.replicas import (
    LagStage,
    ReplicasAssessment,
    ReplicasSnapshot,
    ReplicaVerdict,
    SlotVerdict,
    StageLag,
)
from dbtui.model.text import format_bytes, format_duration, format_untrusted

_SIGNS = {"ok": "●", "warning": "▲", "trouble": "✖"}
_UNKNOWN = "?"
_COLUMNS = (
    Column("REPLICA", least=14),
    Column("STATE", least=10),
    Column("SEND", right=True, drop=1),
    Column("NETWORK", right=True, drop=1),
    Column("FLUSH", right=True, drop=1),
    Column("APPLY", right=True, drop=1),
    Column("BEHIND", right=True),
    Column("LAG", right=True),
    Column("SAFE AFTER", right=True),
    Column("SYNC", drop=2),
)
_SLOT_COLUMNS = (
    Column("SLOT", least=10),
    Column("OF", least=6, drop=2),
    Column("KIND", drop=1),
    Column("READ"),
    Column("KEEPS", right=True),
    Column("GROWS", right=True, drop=3),
    Column("SAFE FOR", right=True, drop=4),
    Column("STATUS"),
    Column("FULL IN", right=True),
)


def format_assessment(snapshot: ReplicasSnapshot, assessment: ReplicasAssessment, width: int | None) -> list[str]:
    """Return a look at replication; the last line is the verdict on all of it."""
    lines = [_primary(snapshot, assessment)]
    if assessment.replicas:
        lines += format_table(_COLUMNS, list(_rows(assessment.replicas)), width)
        lines += ["", *_sentences(assessment.replicas, width)]
    if assessment.slots:
        lines += ["", *format_table(_SLOT_COLUMNS, [_slot_cells(each) for each in assessment.slots], width)]
        lines += _slot_sentences(assessment.slots, width)
    for backup in assessment.backups:
        text = f"● base backup from {backup.server} (session {backup.backup.session_id}): {backup.sentence}"
        lines += ["", *_wrap(text, width)]
    lines += ["", *(part for gap in assessment.gaps for part in _wrap(f"▲ {gap}", width))] if assessment.gaps else []
    return [*lines, "", *_wrap(f"{_SIGNS[assessment.level]} {assessment.sentence}", width)]


def _primary(snapshot: ReplicasSnapshot, assessment: ReplicasAssessment) -> str:
    server = next((each for each in snapshot.servers if each.profile == assessment.primary), None)
    if server is None:
        return "○ the primary is not among the profiles that were asked"
    name = format_untrusted(server.profile)
    if server.problem:
        return f"✖ {name}  primary  {format_untrusted(server.problem)}"
    parts = [f"● {name}", "primary", f"{server.flavour} {server.version}", server.address]
    parts += [f"timeline {server.timeline}"] if server.timeline is not None else []
    rate = assessment.log_bytes_per_second
    parts += [f"writes {format_bytes(rate)}/s of log"] if rate is not None else []
    return format_untrusted("  ".join(parts))


def _rows(replicas: Sequence[ReplicaVerdict]) -> Iterator[tuple[str, ...]]:
    for replica, branch in zip(replicas, format_branches([each.depth for each in replicas]), strict=True):
        stages = {each.stage: each for each in replica.stages}
        safe = replica.safe_after_seconds
        yield (
            f"{branch}{_SIGNS[replica.level]} {replica.name}",
            replica.state.value,
            *(_stage(stages.get(stage)) for stage in LagStage),
            _UNKNOWN if replica.behind_bytes is None else format_bytes(replica.behind_bytes),
            _UNKNOWN if replica.lag_seconds is None else format_lag(replica.lag_seconds),
            "never" if safe is None else format_promise(safe),
            replica.sync_state or "",
        )


def _stage(lag: StageLag | None) -> str:
    if lag is None or lag.behind_bytes is None:
        return _UNKNOWN
    if lag.behind_bytes == 0:
        return "0"
    seconds = "" if lag.seconds is None else f" {format_lag(lag.seconds)}"
    return f"{format_bytes(lag.behind_bytes)}{seconds}"


def _sentences(replicas: Sequence[ReplicaVerdict], width: int | None) -> Iterator[str]:
    for replica in replicas:
        yield from _wrap(f"{_SIGNS[replica.level]} {replica.name}: {replica.sentence}", width)
        if replica.command:
            yield f"  › {format_untrusted(replica.command)}"
        for remark in replica.remarks:
            yield from _wrap(f"  {remark}", width)


def _slot_cells(verdict: SlotVerdict) -> tuple[str, ...]:
    slot = verdict.slot
    rate = verdict.retained_bytes_per_second
    return (
        f"{_SIGNS[verdict.level]} {slot.name}",
        verdict.server,
        f"{slot.kind} {slot.plugin}".strip(),
        "yes" if slot.is_active else "no",
        "nothing" if not slot.retained_bytes else format_bytes(slot.retained_bytes),
        "" if not rate else f"{format_bytes(rate)}/s",
        "" if slot.safe_bytes is None else format_bytes(slot.safe_bytes),
        slot.status,
        "" if verdict.full_seconds is None else format_duration(verdict.full_seconds),
    )


def _slot_sentences(slots: Sequence[SlotVerdict], width: int | None) -> Iterator[str]:
    for verdict in slots:
        if verdict.level != "ok":
            yield from _wrap(f"{_SIGNS[verdict.level]} {verdict.slot.name}: {verdict.sentence}", width)
            if verdict.command:
                yield f"  › {format_untrusted(verdict.command)}"


def _wrap(text: str, width: int | None) -> list[str]:
    clean = format_untrusted(text)
    if width is None:
        return [clean]
    return textwrap.wrap(clean, max(20, width), subsequent_indent="    ", break_on_hyphens=False) or [clean]
