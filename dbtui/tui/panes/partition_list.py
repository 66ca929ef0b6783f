"""The partitioned tables of a target: a line each, and all about one. No widget in here."""

from collections.abc import Iterator, Sequence
from typing import Any

from dbtui.analysis.partition_trees import (
    SIGNS,
    count_partitions,
    group_findings,
    sum_bytes,
    sum_rows,
)
from dbtui.analysis.partition_words import describe_key, describe_policy
from dbtui.model.connections import ConnectionProfile
from dbtui.model.partitions import (
    HashBound,
    PartitionAssessment,
    PartitionedTable,
    PartitionFinding,
    PartitionLevel,
)
from dbtui.model.text import format_bytes, format_count, format_duration
from dbtui.tui.ages import format_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong, width_of
from dbtui.tui.dialogs.plan_lines import fact
from dbtui.tui.panes.partition_strip import Strip
from dbtui.tui.panes.partition_tree import TONES, show_marks
from dbtui.tui.partition_requests import JudgedTable
from dbtui.tui.spoken_keys import speak_keys, spoken_key
from dbtui.tui.widgets.rows import Column

_GAP = "   "
_MOST_TOLD = 30
_SOON_SECONDS = 14 * 86400
_LEVELS = (None, PartitionLevel.REMARK, PartitionLevel.WARNING, PartitionLevel.TROUBLE)
_NO_SIGN = Span("●", Tone.OK)


def table_key(judged: JudgedTable) -> str:
    """Return what tells tables apart."""
    return f"{judged.table.table.schema}\0{judged.table.table.name}"


def table_search(judged: JudgedTable) -> str:
    """Return what a filter looks into."""
    marks = " ".join(mark.text for mark in group_findings(judged.assessment.findings))
    return f"{judged.table.table} {describe_key(judged.table)} {judged.table.managed_by} {marks}"


def sign_of(assessment: PartitionAssessment) -> Span:
    """Return the sign of the worst that is to be known."""
    level = assessment.level
    return Span(SIGNS[level], TONES[level]) if level is not None else _NO_SIGN


def every_text(judged: JudgedTable) -> str:
    """Return what partitions are steps of: `1 month`, `modulus 8`, or nothing."""
    policy = judged.assessment.policy
    if policy is not None and policy.interval is not None:
        return str(policy.interval)
    moduli = [each.bound.modulus for each in judged.table.partitions if isinstance(each.bound, HashBound)]
    return f"modulus {max(moduli)}" if moduli else ""


def ends_text(assessment: PartitionAssessment) -> str:
    """Return in how long the last partition ends: `40 d`, `3 d 4 h`, `ended`; empty where it never does."""
    seconds = assessment.headroom_seconds
    if seconds is None or seconds <= 0:
        return "" if seconds is None else "ended"
    return format_duration(seconds) if seconds < _SOON_SECONDS else f"{int(seconds // 86400)} d"


def _ends_tone(judged: JudgedTable) -> Tone:
    found = [each.level for each in judged.assessment.findings if each.kind.value == "headroom"]
    return TONES[max(found, key=_LEVELS.index)] if found else Tone.PLAIN


def _marks(judged: JudgedTable) -> Line:
    told = group_findings(judged.assessment.findings)
    managed = [Span(f"kept by {judged.table.managed_by}", Tone.DIM), Span("  ")] if judged.table.managed_by else []
    return (*managed, *show_marks([mark for mark in told if mark.text != "managed elsewhere"]))


def _order_of(judged: JudgedTable) -> Any:
    return _LEVELS.index(judged.assessment.level)


def _key(judged: JudgedTable) -> Line:
    return line(dim(describe_key(judged.table)), f" {every_text(judged)}")


def _rows(table: PartitionedTable) -> str:
    rows = sum_rows(table.partitions)
    return "" if rows is None else f"~{format_count(rows)}"


COLUMNS: list[Column[JudgedTable]] = [
    Column("", lambda judged: sign_of(judged.assessment), 1, order=_order_of, descending=True),
    Column("TABLE", lambda judged: Span(str(judged.table.table)), 18, grow=3, widest=66,
           order=lambda judged: str(judged.table.table)),
    Column("KEY", _key, 24, grow=1, widest=40, spare=2),
    Column("PARTS", lambda judged: Span(str(count_partitions(judged.table.partitions))), 6, right=True,
           order=lambda judged: count_partitions(judged.table.partitions), descending=True),
    Column("SIZE", lambda judged: Span(format_bytes(sum_bytes(judged.table.partitions))), 7, right=True,
           order=lambda judged: sum_bytes(judged.table.partitions), descending=True),
    Column("ROWS", lambda judged: Span(_rows(judged.table)), 8, right=True, spare=4,
           order=lambda judged: sum_rows(judged.table.partitions), descending=True),
    Column("ENDS IN", lambda judged: Span(ends_text(judged.assessment), _ends_tone(judged)), 9, right=True,
           order=lambda judged: judged.assessment.headroom_seconds),
    Column("REMARKS", _marks, 18, grow=3),
]  # fmt: skip


# ---------------------------------------------------------------- one table


def headline(judged: JudgedTable, width: int) -> list[Line]:
    """Return what a table is in a line or two: key, interval, size, until when, what is wrong."""
    return join_parts(list(_parts(judged)), width)


def _parts(judged: JudgedTable) -> Iterator[Line]:
    table, assessment = judged.table, judged.assessment
    yield line(" ", sign_of(assessment), " ", strong(str(table.table)))
    policy = assessment.policy
    zone = f" {policy.time_zone}" if policy is not None and every_text(judged) and assessment.ends_at else ""
    every = every_text(judged)
    yield line(describe_key(table), dim(f" every {every}{zone}") if assessment.ends_at else dim(f" {every}"))
    count = count_partitions(table.partitions)
    yield line(f"{count} partition{'' if count == 1 else 's'}")
    yield line(format_bytes(sum_bytes(table.partitions)))
    if (ends := ends_text(assessment)) != "":
        yield line(Span(f"ends in {ends}" if ends != "ended" else "has ended", _ends_tone(judged)))
    if table.managed_by:
        yield line(Span(f"kept by {table.managed_by}: shown, not touched", Tone.WARNING))
    for mark in group_findings(assessment.findings):
        if mark.level is not PartitionLevel.REMARK and mark.text != "headroom":
            yield show_marks([mark])


def join_parts(parts: Sequence[Line], width: int) -> list[Line]:
    """Put parts on lines, three blanks between them, none broken in two."""
    lines: list[Line] = []
    for part in parts:
        if lines and width_of(lines[-1]) + len(_GAP) + width_of(part) <= width:
            lines[-1] = (*lines[-1], Span(_GAP), *part)
        else:
            lines.append(part if not lines else (Span(_GAP), *part))
    return lines


def show_finding(finding: PartitionFinding) -> Line:
    """Return a finding as a sentence behind its sign."""
    about = [strong(f"{finding.partition}  ")] if finding.partition else []
    return line(Span(f"{SIGNS[finding.level]} ", TONES[finding.level]), *about, finding.sentence)


def show_table(judged: JudgedTable, strip: Strip) -> list[Line]:
    """Return all about a table: what it is, its axis, its policy, every finding."""
    table, assessment = judged.table, judged.assessment
    rows, count = _rows(table), count_partitions(table.partitions)
    lines = [
        line(sign_of(assessment), " ", strong(str(table.table))),
        BLANK,
        fact("key", describe_key(table)),
        fact("partitions", str(count), dim(f"  {every_text(judged)}" if every_text(judged) else "")),
        fact("size", format_bytes(sum_bytes(table.partitions)), dim(f"  {rows} rows" if rows else "")),
    ]
    if assessment.ends_at is not None:
        ends = ends_text(assessment)
        lines.append(fact("ends", Span("ended" if ends == "ended" else f"in {ends}", _ends_tone(judged)),
                          dim(f"  {format_time(assessment.ends_at)}")))  # fmt: skip
    if table.owner:
        lines.append(fact("owner", table.owner, dim("" if table.is_owner else "  not this login")))
    if table.managed_by:
        lines.append(fact("kept by", strong(table.managed_by), dim("  shown here, not touched")))
        lines += [fact("", sentence) for sentence in table.management]
    if assessment.policy is not None:
        lines.append(fact("policy", describe_policy(assessment.policy)))
    if table.referenced_by:
        lines.append(fact("referenced by", " ", ", ".join(map(str, table.referenced_by))))
    lines += [BLANK, *strip.show(None), BLANK] if strip.cells else [BLANK]
    lines += [show_finding(each) for each in assessment.findings[:_MOST_TOLD]]
    if len(assessment.findings) > _MOST_TOLD:
        lines.append(line(dim(f"and {len(assessment.findings) - _MOST_TOLD} more; their partitions are marked")))
    if not assessment.findings:
        lines.append(line(Span("● ", Tone.OK), "nothing is wrong with it"))
    lines += [line(dim(f"○ {gap}")) for gap in table.gaps]
    return lines


# ---------------------------------------------------------------- nothing


def show_nothing(profile: ConnectionProfile | None, unsupported: str, seconds: float | None) -> list[Line]:
    """Return what stands where no table is. `seconds`: how long the server has been asked; None: it has answered."""
    if profile is None:
        how = speak_keys("{global.connections}, then {connections.open} opens one.")
        return [line(f" The partitioned tables of a connection would be here: {how}")]
    if unsupported:
        return [line(f" {unsupported}.")]
    if seconds is not None:
        waited = f" {seconds:.0f} s" if seconds >= 1 else ""
        return [line(dim(f" Asking {profile.name} for its partitioned tables …{waited}"))]
    return [
        line(f" No table of {profile.database or profile.name} is partitioned."),
        BLANK,
        line(" ", Span(spoken_key("global.refresh"), Tone.KEY), " asks again, once one is made with PARTITION BY"),
    ]
