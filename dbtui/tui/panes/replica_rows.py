"""Primaries, replicas, slots and base backups as rows of one tree. No widget in here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from dbtui.analysis.replicas.branches import format_branches
from dbtui.model.replicas import (
    BackupVerdict,
    ReplicaState,
    ReplicaVerdict,
    ServerReplication,
    SlotVerdict,
)
from dbtui.tui.ages import brief_age
from dbtui.tui.panes.replica_groups import Group, Known


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
    log_bytes_per_second: float | None = None
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
                     level=level, server=root, text=text, now=now, is_waiting=root is None,
                     log_bytes_per_second=assessment.log_bytes_per_second)  # fmt: skip


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
        known_at=known.at if known is not None else _stale_since(group),
        now=now,
        is_changed=was is not None and was.state is not verdict.state,
    )


def _stale_since(group: Group) -> datetime | None:
    """When the last look was taken, if nobody looks any more."""
    return group.snapshot.taken_at if group.problem and group.snapshot is not None else None


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


# ------------------------------------------------------------ what is said of a row


def row_search(row: ReplicaRow) -> str:
    """Return all that a filter looks at; the name of the group brings all of it."""
    verdict, slot = row.verdict, row.slot
    words = [row.group, row.name, row.kind.value, row.text, row.level]
    words += [verdict.state.value, verdict.sync_state, verdict.profile] if verdict is not None else []
    words += [slot.slot.name, slot.slot.status] if slot is not None else []
    return " ".join(words)


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
