"""Primaries, replicas, slots and base backups as rows of one tree, and their columns. No widget in here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from dbtui.analysis.replicas.branches import format_branches
from dbtui.analysis.replicas.words import format_lag, format_promise
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.replicas import (
    BackupVerdict,
    LagStage,
    ReplicaState,
    ReplicaVerdict,
    ServerReplication,
    SlotVerdict,
    StageLag,
)
from dbtui.model.text import format_bytes, format_duration
from dbtui.tui.ages import brief_age
from dbtui.tui.cells import BLANK, Line, Span, Tone, bar, dim, fresh, line, strong
from dbtui.tui.panes.replica_groups import Group, Known
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.rows import Column

SIGNS = {"ok": ("●", Tone.OK), "warning": ("▲", Tone.WARNING), "trouble": ("✖", Tone.TROUBLE)}
RANKS = {"ok": 0, "warning": 1, "trouble": 2}
UNKNOWN = "?"
#: From so many columns on there is room for every stage.
WIDE = 116
_BAR = 14
_SHORT = {"PostgreSQL": "PG"}
#: States that are longer than their column where there is little room.
_BRIEF = {
    ReplicaState.DELAYED: "delayed",
    ReplicaState.CONFLICT: "stalled by query",
    ReplicaState.STRANGER: "of another primary",
    ReplicaState.OTHER_TIMELINE: "other timeline",
}
#: The stage where most waits says what to look at.
_AT_A_STAGE = (ReplicaState.LAGGING, ReplicaState.CATCHING_UP)


class RowKind(StrEnum):
    """What a row is about."""

    PRIMARY = "primary"
    REPLICA = "replica"
    SLOT = "slot"
    BACKUP = "base backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaRow:
    """One row. `branch` leads to it; `name` is also its place without the tree, when rows are sorted by something.

    `server`: what is known of it by itself. `slot`: its own, or that which a replica reads. `known_at`: when its
    figures were taken, if that is not now. `text`: what is said in place of figures.
    `is_changed`: its state is another one.
    """

    key: str
    kind: RowKind
    group: str
    name: str
    level: str = "ok"
    branch: str = ""
    server: ServerReplication | None = None
    verdict: ReplicaVerdict | None = None
    slot: SlotVerdict | None = None
    backup: BackupVerdict | None = None
    known_at: datetime | None = None
    now: datetime | None = None
    text: str = ""
    is_waiting: bool = False
    is_changed: bool = False

    @property
    def is_old(self) -> bool:
        """Whether its figures are not those of the last look."""
        return self.known_at is not None


# ------------------------------------------------------------ from groups to rows


def group_rows(group: Group, now: datetime, *, is_flat: bool = False) -> list[ReplicaRow]:
    """Return a group as rows: its primary, the tree below it, slots and base backups under their server."""
    assessment = group.assessment
    if assessment is None:
        text = group.problem or f"asking {', '.join(group.profiles)} …"
        return [ReplicaRow(key=_key(group, RowKind.PRIMARY, group.name), kind=RowKind.PRIMARY, group=group.name,
                           name=group.name, level="trouble" if group.problem else "ok", text=text,
                           is_waiting=not group.problem)]  # fmt: skip
    placed = list(_placed(group, now))
    below = [row for _, row in placed] if is_flat else _with_branches(placed)
    return [*_primary(group, now), *below]


def tree_rows(group: Group, now: datetime, key: str) -> list[ReplicaRow]:
    """Return the primary and the replicas alone, and the row with this key."""
    if group.assessment is None:
        return group_rows(group, now)
    shown = [each for each in _placed(group, now) if each[1].kind is RowKind.REPLICA or each[1].key == key]
    return [*_primary(group, now), *_with_branches(shown)]


def _with_branches(placed: Sequence[tuple[int, ReplicaRow]]) -> list[ReplicaRow]:
    branches = format_branches([depth for depth, _ in placed])
    return [replace(row, branch=branch) for branch, (_, row) in zip(branches, placed, strict=True)]


def _key(group: Group, kind: RowKind, name: str) -> str:
    return f"{group.name}\0{kind}\0{name}"


def _primary(group: Group, now: datetime) -> Iterator[ReplicaRow]:
    assessment, root = group.assessment, group.root
    if assessment is None:
        return
    name = assessment.primary or f"primary of {group.name}"
    seen = group.last_seen(assessment.primary)
    level, text = "ok", ""
    if root is None:
        text = "not among the profiles that are asked"
    elif root.problem:
        ago = f" (last seen {brief_age((now - seen[1]).total_seconds())} ago)" if seen is not None else ""
        level, text = "trouble", f"{root.problem}{ago}"
    elif group.problem:
        level, text = "trouble", group.problem
    yield ReplicaRow(key=_key(group, RowKind.PRIMARY, name), kind=RowKind.PRIMARY, group=group.name, name=name,
                     level=level, server=root, text=text, now=now, is_waiting=root is None)  # fmt: skip


def _placed(group: Group, now: datetime) -> Iterator[tuple[int, ReplicaRow]]:
    """Yield what is below the primary with its depth: replicas in the order of the tree, then what is the primary's."""
    assessment = group.assessment
    if assessment is None:
        return
    read: set[tuple[str, str]] = set()
    for verdict in assessment.replicas:
        slot = _slot_of(group, verdict)
        if slot is not None and slot.level == "ok":
            read.add((slot.server, slot.slot.name))
        yield verdict.depth, _replica(group, verdict, slot, now)
        yield from _of_server(group, verdict.profile, verdict.depth + 1, read)
    for known in group.gone():
        yield known.verdict.depth, _replica(group, known.verdict, None, now, known)
    yield from _of_server(group, assessment.primary, 0, read)
    if not assessment.primary:
        rest = {each.server for each in assessment.slots} - {each.profile for each in assessment.replicas}
        for server in sorted(rest):
            yield from _of_server(group, server, 0, read)


def _of_server(group: Group, server: str, depth: int, read: set[tuple[str, str]]) -> Iterator[tuple[int, ReplicaRow]]:
    """Yield the base backups from a server, and the slots of it that no row of a replica tells of."""
    assessment = group.assessment
    if assessment is None or not server:
        return
    for backup in assessment.backups:
        if backup.server == server:
            name = f"base backup {backup.backup.session_id}"
            yield depth, ReplicaRow(key=_key(group, RowKind.BACKUP, f"{server} {name}"), kind=RowKind.BACKUP,
                                    group=group.name, name=name, backup=backup)  # fmt: skip
    for slot in assessment.slots:
        if slot.server == server and (server, slot.slot.name) not in read:
            name = f"{server} {slot.slot.name}"
            yield depth, ReplicaRow(key=_key(group, RowKind.SLOT, name), kind=RowKind.SLOT, group=group.name,
                                    name=slot.slot.name, level=slot.level, slot=slot)  # fmt: skip


def _replica(
    group: Group, verdict: ReplicaVerdict, slot: SlotVerdict | None, now: datetime, known: Known | None = None
) -> ReplicaRow:
    before = group.before.replicas if group.before is not None else ()
    was = next((each for each in before if each.key == verdict.key), None)
    if verdict.state is ReplicaState.DOWN and verdict.behind_bytes is None:
        known = group.known.get(verdict.key)
    figures = verdict if known is None else replace(known.verdict, state=verdict.state, sentence=verdict.sentence)
    if known is not None and known.verdict is verdict:  # the last look does not tell of it
        figures = replace(verdict, state=ReplicaState.UNKNOWN, level="warning", is_safe=False,
                          sentence="as it was seen last: its primary cannot be asked")  # fmt: skip
    elif known is not None:
        figures = replace(figures, level=verdict.level, command=verdict.command, is_safe=False)
    return ReplicaRow(
        key=_key(group, RowKind.REPLICA, verdict.key),
        kind=RowKind.REPLICA,
        group=group.name,
        name=verdict.name,
        level=figures.level,
        server=group.server(verdict.profile) if verdict.profile else None,
        verdict=figures,
        slot=slot,
        known_at=known.at if known is not None else None,
        now=now,
        is_changed=was is not None and was.state is not verdict.state,
    )


def _slot_of(group: Group, verdict: ReplicaVerdict) -> SlotVerdict | None:
    """Return the slot that a replica reads: its sender says which, or it says it itself."""
    assessment = group.assessment
    if assessment is None:
        return None
    own, sender = group.server(verdict.profile), group.server(verdict.parent)
    names = {each.slot for each in own.receivers} if own is not None else set()
    if sender is not None:
        names |= {each.slot for each in sender.streams if _is_stream_of(each.name, each.session_id, verdict)}
    found = (each for each in assessment.slots if each.server == verdict.parent and each.slot.name in names - {""})
    return next(found, None)


def _is_stream_of(name: str, session_id: int | None, verdict: ReplicaVerdict) -> bool:
    """Whether a stream is that of a replica which is known by nothing else."""
    return not verdict.profile and verdict.key in (f"{verdict.parent}/{session_id}", f"{verdict.parent}/{name}")


# ------------------------------------------------------------ cells


def sign_of(row: ReplicaRow) -> Span:
    """Return the sign of a row."""
    if row.is_waiting or (row.is_old and row.level == "warning"):
        return dim("○")
    if row.kind is RowKind.BACKUP:
        return Span("◐", Tone.ACCENT)
    sign, tone = SIGNS[row.level]
    return Span(sign, tone)


def _name(row: ReplicaRow) -> Line:
    shown = strong(row.name) if row.kind is RowKind.PRIMARY else Span(row.name)
    what = dim("slot ") if row.kind is RowKind.SLOT else Span("")
    return line(dim(row.branch), sign_of(row), " ", what, shown)


def _state_and_more(row: ReplicaRow) -> Line:
    """Where stages and the end of a slot have no column of their own, they are said here."""
    state, verdict = _state(row), row.verdict
    if row.kind is RowKind.SLOT and row.slot is not None and row.slot.full_seconds is not None:
        return (*state, Span(f", full in {format_duration(row.slot.full_seconds)}", SIGNS[row.level][1]))
    if verdict is not None and not row.is_old and verdict.state in _BRIEF:
        return (replace(state[0], text=_BRIEF[verdict.state]), *state[1:])
    worst = narrowest(verdict) if verdict is not None and not row.is_old else None
    if verdict is not None and worst is not None and verdict.state in _AT_A_STAGE:
        return (*state, dim(f" at {worst.stage.value}"))
    return state


def _state(row: ReplicaRow) -> Line:
    tone = SIGNS[row.level][1] if row.level != "ok" else Tone.PLAIN
    if row.text:
        return line(Span(row.text, Tone.DIM if row.is_waiting else tone))
    if row.kind is RowKind.PRIMARY:
        return line(*_server(row.server))
    if row.backup is not None:
        return _backup(row.backup)
    if row.verdict is None:
        return line(Span(_slot_words(row.slot), tone)) if row.slot is not None else BLANK
    state = fresh(Span(row.verdict.state.value, tone), row.is_changed)
    if row.known_at is not None and row.now is not None:
        return line(state, dim(f", {brief_age((row.now - row.known_at).total_seconds())} old"))
    return line(state)


def _server(server: ServerReplication | None) -> Iterator[str | Span]:
    if server is None:
        return
    yield "primary"
    yield dim(f"  {_SHORT.get(server.flavour, server.flavour)} {server.version}".rstrip())
    if server.timeline is not None:
        yield dim(f"  timeline {server.timeline}")


def _slot_words(verdict: SlotVerdict) -> str:
    slot = verdict.slot
    if slot.status == "lost":
        return "lost"
    if slot.is_synced:
        return "copy of the primary's"
    return "read" if slot.is_active else "read by nobody"


def _backup(verdict: BackupVerdict) -> Line:
    backup = verdict.backup
    if not backup.total_bytes:
        return line(Span(verdict.sentence))
    share = backup.streamed_bytes / backup.total_bytes
    parts = [f"{format_bytes(backup.streamed_bytes)} of {format_bytes(backup.total_bytes)}"]
    parts += [f"{format_bytes(verdict.bytes_per_second)}/s"] if verdict.bytes_per_second else []
    parts += [f"{format_duration(verdict.left_seconds)} left"] if verdict.left_seconds is not None else []
    percent = f" {min(1.0, share):4.0%}  "
    return line(*bar(share, _BAR), strong(percent), "  ".join(parts), dim(f"  {backup.phase}"))


def _figure(row: ReplicaRow, text: str, tone: Tone = Tone.PLAIN) -> Span:
    return dim(text) if row.is_old or text in ("0", "0 s", UNKNOWN) else Span(text, tone)


def stage_of(verdict: ReplicaVerdict, stage: LagStage) -> StageLag | None:
    """Return one stage of a replica."""
    return next((each for each in verdict.stages if each.stage is stage), None)


def stage_text(lag: StageLag | None) -> str:
    """Return a stage in a few cells: `0`, `100 MB 41 s`, `?`."""
    if lag is None or lag.behind_bytes is None:
        return UNKNOWN
    if lag.behind_bytes == 0:
        return "0"
    seconds = "" if not lag.seconds else f" {format_lag(lag.seconds)}"
    return f"{format_bytes(lag.behind_bytes)}{seconds}"


def narrowest(verdict: ReplicaVerdict) -> StageLag | None:
    """Return the stage where most of the log waits."""
    known = [each for each in verdict.stages if each.behind_bytes]
    return max(known, key=lambda each: each.behind_bytes or 0, default=None)


def _stage(stage: LagStage) -> Column[ReplicaRow]:
    def draw(row: ReplicaRow) -> Span:
        if row.verdict is None:
            return Span("")
        worst = narrowest(row.verdict)
        tone = Tone.WARNING if row.level != "ok" and worst is not None and worst.stage is stage else Tone.PLAIN
        return _figure(row, stage_text(stage_of(row.verdict, stage)), tone)

    def order(row: ReplicaRow) -> Any:
        lag = stage_of(row.verdict, stage) if row.verdict is not None else None
        return lag.behind_bytes if lag is not None else None

    return Column(stage.value.upper(), draw, 11, right=True, descending=True, order=order)


def behind_text(verdict: ReplicaVerdict) -> str:
    """Return the bytes behind the primary."""
    if verdict.behind_bytes is None:
        return UNKNOWN
    return "0" if verdict.behind_bytes == 0 else format_bytes(verdict.behind_bytes)


def lag_text(verdict: ReplicaVerdict) -> str:
    """Return the seconds behind the primary."""
    return UNKNOWN if verdict.lag_seconds is None else format_lag(verdict.lag_seconds)


def safe_text(verdict: ReplicaVerdict) -> str:
    """Return how old a read must be to be safe: `0.1 s`; `never`, where nothing is promised."""
    return "never" if verdict.safe_after_seconds is None else format_promise(verdict.safe_after_seconds)


def _safe(row: ReplicaRow) -> Span:
    if row.verdict is None:
        return Span("")
    return _figure(row, safe_text(row.verdict), Tone.OK if row.verdict.is_safe else Tone.WARNING)


def kept_text(verdict: SlotVerdict) -> str:
    """Return what a slot keeps of the log."""
    return "0" if not verdict.slot.retained_bytes else format_bytes(verdict.slot.retained_bytes)


def _keeps(row: ReplicaRow) -> Span:
    if row.slot is None or row.text:
        return Span("")
    tone = SIGNS[row.slot.level][1] if row.slot.level != "ok" else Tone.PLAIN
    return _figure(row, kept_text(row.slot), tone)


def _full(row: ReplicaRow) -> Span:
    if row.slot is None or row.slot.full_seconds is None:
        return Span("")
    tone = SIGNS[row.slot.level][1] if row.slot.level != "ok" else Tone.DIM
    return Span(format_duration(row.slot.full_seconds), tone)


def _of_verdict(name: str) -> Any:
    return lambda row: getattr(row.verdict, name) if row.verdict is not None else None


def _of_slot(value: Any) -> Any:
    return lambda row: value(row.slot) if row.slot is not None else None


def columns_for(width: int) -> list[Column[ReplicaRow]]:
    """Return the columns: with room each stage has its own, else the one where most waits is named."""
    is_wide = width >= WIDE
    shown = [
        Column("SERVER", _name, 16, grow=3, widest=48, order=lambda row: row.name),
        Column("STATE", _state if is_wide else _state_and_more, 16, grow=2, widest=26, spills=True, descending=True,
               order=lambda row: RANKS[row.level]),
    ]  # fmt: skip
    shown += [_stage(stage) for stage in LagStage] if is_wide else []
    shown += [
        Column("BEHIND", lambda row: _figure(row, behind_text(row.verdict)) if row.verdict else Span(""), 7, right=True,
               descending=True, order=_of_verdict("behind_bytes")),
        Column("LAG", lambda row: _figure(row, lag_text(row.verdict)) if row.verdict else Span(""), 9, right=True,
               descending=True, order=_of_verdict("lag_seconds")),
    ]  # fmt: skip
    shown += [
        Column("SAFE AFTER", _safe, 10, right=True, order=_of_verdict("safe_after_seconds")),
        Column("SYNC", lambda row: dim(row.verdict.sync_state) if row.verdict else Span(""), 6, spare=4,
               order=_of_verdict("sync_state")),
        Column("KEEPS", _keeps, 7, right=True, spare=1, descending=True,
               order=_of_slot(lambda each: each.slot.retained_bytes)),
    ]  # fmt: skip
    end = Column("FULL IN", _full, 9, right=True, order=_of_slot(lambda each: each.full_seconds))
    return [*shown, end] if is_wide else shown


def row_search(row: ReplicaRow) -> str:
    """Return all that a filter looks at; the name of the group brings all of it."""
    verdict, slot = row.verdict, row.slot
    words = [row.group, row.name, row.kind.value, row.text, row.level]
    words += [verdict.state.value, verdict.sync_state, verdict.profile] if verdict is not None else []
    words += [slot.slot.name, slot.slot.status] if slot is not None else []
    return " ".join(words)


def row_text(row: ReplicaRow) -> str:
    """Return a row as a line to be pasted: its cells apart by tabs."""
    verdict, slot = row.verdict, row.slot
    if verdict is not None:
        cells = [row.kind.value, row.name, verdict.state.value, f"{behind_text(verdict)} behind",
                 f"lag {lag_text(verdict)}", f"safe after {safe_text(verdict)}", verdict.sentence]  # fmt: skip
    elif slot is not None:
        cells = [row.kind.value, row.name, _slot_words(slot), f"keeps {kept_text(slot)}", slot.sentence]
    elif row.backup is not None:
        cells = [row.kind.value, row.name, row.backup.sentence]
    else:
        server = row.server
        cells = [row.kind.value, row.name, server.address if server is not None else "", row.text]
    return "\t".join(cell for cell in cells if cell)


def command_of(row: ReplicaRow) -> str:
    """Return the command that is recommended for a row, or nothing."""
    if row.verdict is not None and row.verdict.command:
        return row.verdict.command
    is_bad = row.slot is not None and (row.kind is RowKind.SLOT or row.slot.level != "ok")
    return row.slot.command if row.slot is not None and is_bad else ""


def sentence_of(row: ReplicaRow) -> str:
    """Return what is to be said of a row."""
    if row.verdict is not None:
        return row.verdict.sentence
    if row.slot is not None:
        return row.slot.sentence
    return row.backup.sentence if row.backup is not None else row.text


def all_rows(groups: Sequence[Group], now: datetime, *, is_flat: bool) -> list[ReplicaRow]:
    """Return the rows of every group; `is_flat`: without the lines of the tree, for they are sorted by something."""
    return [row for group in groups for row in group_rows(group, now, is_flat=is_flat)]


def show_nothing(opened: ConnectionProfile | None) -> list[Line]:
    """Return what stands where no server is."""
    if opened is None:
        how = speak_keys("{global.connections}, then {connections.open} opens one.")
        return [line(f" The replicas of a connection would be here: {how}")]
    if opened.engine is EngineName.SQLITE:
        return [line(f" {opened.name} is an SQLite file: it has no replicas.")]
    return [line(dim(f" Asking {opened.name} …"))]
