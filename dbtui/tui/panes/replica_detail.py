"""All about one row of the replicas pane: what is so and what to do, stages, both ends, slots, the tree. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from dbtui.analysis.replicas.words import count_of, format_lag
from dbtui.model.replicas import (
    Applier,
    BackupVerdict,
    LagStage,
    Receiver,
    ReplicaStream,
    ReplicaVerdict,
    ServerReplication,
    SlotVerdict,
)
from dbtui.model.text import format_bytes, format_duration
from dbtui.tui.ages import brief_age, format_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, bar, dim, fit, line, size_bar, strong
from dbtui.tui.dialogs.plan_lines import fact
from dbtui.tui.panes.replica_cells import (
    SIGNS,
    UNKNOWN,
    behind_text,
    kept_text,
    lag_text,
    safe_text,
    sign_of,
    stage_of,
)
from dbtui.tui.panes.replica_groups import Group
from dbtui.tui.panes.replica_rows import ReplicaRow, RowKind, command_of, sentence_of, tree_rows
from dbtui.tui.spoken_keys import spoken_key

_BAR, _PROGRESS = 16, 30
_LSN_HIGH = 32
_MOST_STALLS = 3


def show_row(row: ReplicaRow, group: Group, now: datetime) -> list[Line]:
    """Return the lines about a row."""
    lines = [*_head(row), BLANK]
    if row.kind is RowKind.REPLICA and row.verdict is not None:
        lines += _replica(row, row.verdict, group, now)
    elif row.kind is RowKind.SLOT and row.slot is not None:
        lines += _slot(row.slot)
    elif row.backup is not None:
        lines += _backup(row.backup)
    else:
        lines += _primary(row, group)
    lines += [BLANK, *_tree(row, group, now)]
    if row.kind in (RowKind.PRIMARY, RowKind.REPLICA):
        lines += _slots(row, group)
    return [*lines, *_gaps(group)]


def _head(row: ReplicaRow) -> Iterator[Line]:
    what = {RowKind.SLOT: "slot "}.get(row.kind, "")
    yield line(sign_of(row), " ", dim(what), strong(row.name), dim(f"   {row.kind.value}" if not what else ""))
    tone = SIGNS[row.level][1] if row.level != "ok" else Tone.PLAIN
    if sentence_of(row):
        yield line(Span(sentence_of(row), tone))
    yield from command_lines(row)
    for remark in row.verdict.remarks if row.verdict is not None else ():
        yield line(dim(remark))


def command_lines(row: ReplicaRow) -> Iterator[Line]:
    """Yield the command that is recommended, with the key that copies it."""
    command = command_of(row)
    if command:
        yield line(dim("› "), Span(command, Tone.ACCENT), dim(f"   {spoken_key('global.copy')} copies it"))


# ------------------------------------------------------------ a replica


def _replica(row: ReplicaRow, verdict: ReplicaVerdict, group: Group, now: datetime) -> Iterator[Line]:
    if row.known_at is not None:
        age = brief_age((now - row.known_at).total_seconds())
        yield line(dim(f"figures are {age} old, of {format_time(row.known_at)}"))
    yield from _stages(verdict)
    yield BLANK
    now_safe = Span("safe now", Tone.OK) if verdict.is_safe else Span("not safe now", Tone.WARNING)
    never = verdict.safe_after_seconds is None
    has = "  what it has is not known" if never else f"  it has what was committed up to {safe_text(verdict)} ago"
    yield fact("reads", now_safe, dim(has))
    if verdict.safe_position is not None:
        yield fact("applied to", format_lsn(verdict.safe_position))
    if verdict.catch_up_seconds is not None:
        yield fact("catches up", f"in {format_duration(verdict.catch_up_seconds)}")
    if verdict.replay_bytes_per_second:
        yield fact("applies", f"{format_bytes(verdict.replay_bytes_per_second)}/s")
    sender, server = group.server(verdict.parent), row.server
    if sender is not None:
        yield from _stream(_find_stream(sender, verdict, server))
    if server is None:
        return
    for receiver in server.receivers:
        yield from _receiver(receiver)
    if server.applier is not None:
        yield from _applier(server.applier)
    yield fact("server", *_server_facts(server))


def _stages(verdict: ReplicaVerdict) -> Iterator[Line]:
    """Stage by stage what waits: bytes, seconds, a bar of its share."""
    most = max((each.behind_bytes or 0 for each in verdict.stages), default=0)
    yield line(dim(f"{'stage':<12}{'waits':>9}{'lag':>12}"))
    for stage in LagStage:
        lag = stage_of(verdict, stage)
        if lag is None or lag.behind_bytes is None:
            yield line(f"{stage.value:<12}", dim(f"{UNKNOWN:>9}"))
            continue
        count = "0" if lag.behind_bytes == 0 else format_bytes(lag.behind_bytes)
        seconds = format_lag(lag.seconds) if lag.seconds is not None else UNKNOWN
        share = lag.behind_bytes / most if most else 0.0
        yield line(f"{stage.value:<12}{count:>9}{seconds:>12}  ", size_bar(share, _BAR))
    yield line(strong(f"{'in all':<12}{behind_text(verdict):>9}{lag_text(verdict):>12}"), dim("  behind the primary"))


def _find_stream(
    sender: ServerReplication, verdict: ReplicaVerdict, server: ServerReplication | None
) -> ReplicaStream | None:
    """Return the stream that is a replica's: by its slot, else by its name."""
    streams = [each for each in sender.streams if not each.is_backup]
    if server is None:
        keys = (verdict.key.rpartition("/")[2],)
        return next((each for each in streams if str(each.session_id) in keys or each.identity in keys), None)
    for receiver in server.receivers:
        for stream in streams:
            if receiver.slot and receiver.slot == stream.slot:
                return stream
            if not receiver.slot and not stream.slot and receiver.name and receiver.name == stream.name:
                return stream
    return None


def _stream(stream: ReplicaStream | None) -> Iterator[Line]:
    if stream is None:
        return
    who = f" from {stream.client}" if stream.client else ""
    session = f"session {stream.session_id} " if stream.session_id is not None else ""
    yield fact("sender sees", f"{session}as {stream.name}{who}: {stream.state}",
               dim(f"  {stream.sync_state}" if stream.sync_state else ""))  # fmt: skip
    parts = [f"told {format_lag(stream.reply_age_seconds)} ago"] if stream.reply_age_seconds is not None else []
    parts += [f"since {format_time(stream.started_at)}"] if stream.started_at is not None else []
    if parts:
        yield fact("", dim(", ".join(parts)))


def _receiver(receiver: Receiver) -> Iterator[Line]:
    channel = f"channel {receiver.channel}, " if receiver.channel else ""
    source = f" from {receiver.source}" if receiver.source else ""
    slot = f", slot {receiver.slot}" if receiver.slot else ""
    tone = Tone.PLAIN if receiver.status == "streaming" else Tone.WARNING
    yield fact("receiver", channel, Span(receiver.status, tone), f"{source}{slot}")
    if receiver.silence_seconds is not None:
        most = receiver.silence_limit_seconds
        limit = f"; gone after {format_duration(most)} of silence" if most is not None else ""
        yield fact("", dim(f"last heard {format_lag(receiver.silence_seconds)} ago{limit}"))
    if receiver.error:
        yield fact("", Span(receiver.error, Tone.TROUBLE))


def _applier(applier: Applier) -> Iterator[Line]:
    if applier.is_held:
        yield fact("applier", Span(f"▲ {applier.pause}", Tone.WARNING),
                   f": {spoken_key('replicas.resume')} resumes it")  # fmt: skip
    elif not applier.is_running:
        yield fact("applier", Span("✖ does not run", Tone.TROUBLE))
    else:
        yield fact("applier", applier.state or "runs")
    if applier.error:
        yield fact("", Span(applier.error, Tone.TROUBLE))
    if applier.delay_seconds:
        yield fact("delay", f"{format_duration(applier.delay_seconds)} on purpose")
    if applier.is_stalled:
        who = applier.stalled_by[:_MOST_STALLS]
        yield fact("conflict", Span("▲ replay waits for queries on it", Tone.WARNING))
        for each in who:
            yield fact("", each)
    counts = [count_of(count, kind, kind) for kind, count in applier.conflicts if count]
    if counts:
        yield fact("cancelled", ", ".join(counts), dim("  queries, for replay, since its statistics began"))
    if applier.replay_age_seconds is not None:
        age = format_duration(applier.replay_age_seconds)
        yield fact("last commit", f"made {age} ago", dim("  an age, no lag, while nothing is written"))


def _server_facts(server: ServerReplication) -> Iterator[str | Span]:
    if server.problem:
        yield Span(server.problem, Tone.TROUBLE)
        return
    yield f"{server.flavour} {server.version}".strip()
    yield dim(f"  {server.address}")
    if server.timeline is not None:
        yield dim(f"  timeline {server.timeline}")


def format_lsn(position: int) -> str:
    """Return a place in PostgreSQL's log as the server writes it: `0/3000060`."""
    return f"{position >> _LSN_HIGH:X}/{position & 0xFFFFFFFF:X}"


# ------------------------------------------------------------ a primary, a slot, a base backup


def _primary(row: ReplicaRow, group: Group) -> Iterator[Line]:
    assessment = group.assessment
    if row.server is not None and not row.server.problem:
        yield fact("server", *_server_facts(row.server))
        if row.server.log_free_bytes is not None:
            yield fact("log's disk", f"{format_bytes(row.server.log_free_bytes)} free")
    if assessment is None:
        return
    if assessment.log_bytes_per_second is not None:
        yield fact("writes", f"{format_bytes(assessment.log_bytes_per_second)}/s of log")
    safe = sum(each.is_safe for each in assessment.replicas)
    if assessment.replicas:
        tone = Tone.OK if safe == len(assessment.replicas) else Tone.WARNING
        yield fact("reads", Span(f"{safe} of {count_of(len(assessment.replicas), 'replica')} safe now", tone))
    else:
        yield fact("replicas", "none", dim(f"  {spoken_key('replicas.add')} adds one"))


def _slot(verdict: SlotVerdict) -> Iterator[Line]:
    slot = verdict.slot
    yield fact("of", verdict.server)
    yield fact("kind", f"{slot.kind} {slot.plugin}".strip(), dim(f"  {slot.database}" if slot.database else ""))
    reader = f"session {slot.session_id}" if slot.session_id is not None else "yes" if slot.is_active else "nobody"
    yield fact("read by", reader)
    if slot.inactive_since is not None:
        yield fact("", dim(f"since {format_time(slot.inactive_since)}"))
    growth = verdict.retained_bytes_per_second
    yield fact("keeps", kept_text(verdict), dim(f"  {format_bytes(growth)}/s more" if growth else ""))
    if slot.safe_bytes is not None:
        yield fact("given up", f"after {format_bytes(slot.safe_bytes)} more", dim("  max_slot_wal_keep_size"))
    if verdict.full_seconds is not None:
        yield fact("full in", Span(format_duration(verdict.full_seconds), SIGNS[verdict.level][1]))
    yield fact("status", slot.status or UNKNOWN, dim(f"  {slot.invalidation}" if slot.invalidation else ""))


def _backup(verdict: BackupVerdict) -> Iterator[Line]:
    backup = verdict.backup
    if backup.total_bytes:
        share = backup.streamed_bytes / backup.total_bytes
        yield line(*bar(share, _PROGRESS), strong(f" {min(1.0, share):.0%}"))
        yield BLANK
    yield fact("of", verdict.server, dim(f"  session {backup.session_id}"))
    yield fact("phase", backup.phase)
    total = f" of {format_bytes(backup.total_bytes)}" if backup.total_bytes else ""
    yield fact("copied", f"{format_bytes(backup.streamed_bytes)}{total}")
    if verdict.bytes_per_second:
        yield fact("speed", f"{format_bytes(verdict.bytes_per_second)}/s")
    if verdict.left_seconds is not None:
        yield fact("left", format_duration(verdict.left_seconds))
    if backup.started_at is not None:
        yield fact("began", format_time(backup.started_at))
    yield line(dim("it copies the data; it is no replica, and nothing reads from it"))


# ------------------------------------------------------------ what all of a group have


def _tree(row: ReplicaRow, group: Group, now: datetime) -> Iterator[Line]:
    """The tree, with what each is doing; the row itself is marked."""
    for each in tree_rows(group, now, row.key):
        is_own = each.key == row.key
        name = strong(each.name) if is_own else Span(each.name)
        state = each.verdict.state.value if each.verdict is not None else each.text or each.kind.value
        tone = SIGNS[each.level][1] if each.level != "ok" else Tone.DIM
        yield line(Span("▸ " if is_own else "  ", Tone.ACCENT), dim(each.branch), sign_of(each), " ", name,
                   "  ", Span(state, tone))  # fmt: skip


def _slots(row: ReplicaRow, group: Group) -> Iterator[Line]:
    name = row.server.profile if row.server is not None else row.name
    own = [each for each in _all_slots(group) if each.server == name]
    read = [row.slot] if row.slot is not None and row.slot not in own else []
    if not own and not read:
        return
    yield BLANK
    yield line(dim(f"{'slot':<24}{'read':<8}{'keeps':>8}{'full in':>11}  status"))
    for verdict in (*read, *own):
        sign, tone = SIGNS[verdict.level]
        slot = verdict.slot
        full = "" if verdict.full_seconds is None else format_duration(verdict.full_seconds)
        yield line(Span(f"{sign} ", tone), *fit(line(slot.name), 22), f"{'yes' if slot.is_active else 'no':<8}",
                   f"{kept_text(verdict):>8}{full:>11}  {slot.status}")  # fmt: skip


def _all_slots(group: Group) -> Sequence[SlotVerdict]:
    return group.assessment.slots if group.assessment is not None else ()


def _gaps(group: Group) -> Iterator[Line]:
    gaps = group.assessment.gaps if group.assessment is not None else ()
    if gaps:
        yield BLANK
    for gap in gaps:
        yield line(Span("▲ ", Tone.WARNING), gap)
