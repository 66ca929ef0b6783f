"""The rows of the replicas pane as cells: signs, states, lags by stage, what slots keep; and as text to be pasted."""

from collections.abc import Iterator
from typing import Any

from dbtui.analysis.replicas import RANKS
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
from dbtui.tui.panes.replica_rows import ReplicaRow, RowKind
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.rows import Column

SIGNS = {"ok": ("●", Tone.OK), "warning": ("▲", Tone.WARNING), "trouble": ("✖", Tone.TROUBLE)}
UNKNOWN = "?"
#: From so many columns on there is room for every stage, and for its seconds as well.
WIDE, BROAD = 116, 150
_BAR = 14
_LEAST_RATE = 1000.0  # bytes a second of log that are worth a word
_SHORT = {"PostgreSQL": "PG"}
#: States that are longer than their column; the detail says them in full.
_BRIEF = {
    ReplicaState.DELAYED: "delayed",
    ReplicaState.CONFLICT: "stalled by query",
    ReplicaState.STRANGER: "of another primary",
    ReplicaState.OTHER_TIMELINE: "other timeline",
}
#: The stage where most waits says what to look at.
_AT_A_STAGE = (ReplicaState.LAGGING, ReplicaState.CATCHING_UP)


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


def _state_and_end(row: ReplicaRow) -> Line:
    """Where the end of a slot has no column of its own, it is said here."""
    end = row.slot.full_seconds if row.kind is RowKind.SLOT and row.slot is not None else None
    if end is None:
        return _state(row)
    return (*_state(row), Span(f", full in {brief_age(end)}", SIGNS[row.level][1]))


def _state_and_more(row: ReplicaRow) -> Line:
    """Where the stages have none either, the one where most waits is said here too."""
    state, verdict = _state_and_end(row), row.verdict
    if verdict is None or row.is_old:
        return state
    worst = narrowest(verdict)
    return (*state, dim(f" at {worst.stage.value}")) if worst is not None and verdict.state in _AT_A_STAGE else state


def _state(row: ReplicaRow) -> Line:
    tone = SIGNS[row.level][1] if row.level != "ok" else Tone.PLAIN
    if row.text:
        return line(Span(row.text, Tone.DIM if row.is_waiting else tone))
    if row.kind is RowKind.PRIMARY:
        return line(*_server(row.server, row.log_bytes_per_second))
    if row.backup is not None:
        return _backup(row.backup)
    if row.verdict is None:
        return line(Span(_slot_words(row.slot), tone)) if row.slot is not None else BLANK
    words = _BRIEF.get(row.verdict.state, row.verdict.state.value)
    state = fresh(Span(words, tone), row.is_changed)
    if row.known_at is not None and row.now is not None:
        age = brief_age((row.now - row.known_at).total_seconds())
        is_down = row.verdict.state is ReplicaState.DOWN
        return line(state, dim(f" {age}")) if is_down else line(dim(f"seen {age} ago"))
    return line(state)


def _server(server: ServerReplication | None, writes: float | None) -> Iterator[str | Span]:
    if server is None:
        return
    yield "primary"
    yield dim(f"  {_SHORT.get(server.flavour, server.flavour)} {server.version}".rstrip())
    if server.timeline is not None:
        yield dim(f"  timeline {server.timeline}")
    if writes is not None and writes >= _LEAST_RATE:
        yield dim(f"  writes {format_bytes(writes)}/s")


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


def brief_lag(seconds: float) -> str:
    """Return a lag in one unit: `0.3 s`, `41 s`, `2 min`."""
    return format_lag(seconds) if seconds < 60 else brief_age(seconds)


def stage_of(verdict: ReplicaVerdict, stage: LagStage) -> StageLag | None:
    """Return one stage of a replica."""
    return next((each for each in verdict.stages if each.stage is stage), None)


def stage_text(lag: StageLag | None, *, with_seconds: bool = True) -> str:
    """Return a stage in a few cells: `0`, `100 MB 41 s`, `?`."""
    if lag is None or lag.behind_bytes is None:
        return UNKNOWN
    if lag.behind_bytes == 0:
        return "0"
    seconds = f" {brief_lag(lag.seconds)}" if lag.seconds and with_seconds else ""
    return f"{format_bytes(lag.behind_bytes)}{seconds}"


def narrowest(verdict: ReplicaVerdict) -> StageLag | None:
    """Return the stage where most of the log waits."""
    known = [each for each in verdict.stages if each.behind_bytes]
    return max(known, key=lambda each: each.behind_bytes or 0, default=None)


def _stage(stage: LagStage, is_broad: bool) -> Column[ReplicaRow]:
    def draw(row: ReplicaRow) -> Span:
        if row.verdict is None:
            return Span("")
        worst = narrowest(row.verdict)
        tone = Tone.WARNING if row.level != "ok" and worst is not None and worst.stage is stage else Tone.PLAIN
        return _figure(row, stage_text(stage_of(row.verdict, stage), with_seconds=is_broad), tone)

    def order(row: ReplicaRow) -> Any:
        lag = stage_of(row.verdict, stage) if row.verdict is not None else None
        return lag.behind_bytes if lag is not None else None

    return Column(stage.value.upper(), draw, 12 if is_broad else 7, right=True, descending=True, order=order)


def behind_text(verdict: ReplicaVerdict) -> str:
    """Return the bytes behind the primary."""
    if verdict.behind_bytes is None:
        return UNKNOWN
    return "0" if verdict.behind_bytes == 0 else format_bytes(verdict.behind_bytes)


def lag_text(verdict: ReplicaVerdict) -> str:
    """Return the seconds behind the primary."""
    return UNKNOWN if verdict.lag_seconds is None else brief_lag(verdict.lag_seconds)


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
    """Nothing where a slot is read and will be for long: that changes with every look."""
    if row.slot is None or row.slot.full_seconds is None or row.slot.level == "ok":
        return Span("")
    return Span(brief_age(row.slot.full_seconds), SIGNS[row.slot.level][1])


def _of_verdict(name: str) -> Any:
    return lambda row: getattr(row.verdict, name) if row.verdict is not None else None


def _of_slot(value: Any) -> Any:
    return lambda row: value(row.slot) if row.slot is not None else None


def columns_for(width: int) -> list[Column[ReplicaRow]]:
    """Return the columns: with room each stage has its own, else the one where most waits is named."""
    is_wide, is_broad = width >= WIDE, width >= BROAD
    shown = [
        Column("SERVER", _name, 20, grow=1, widest=48, order=lambda row: row.name),
        Column("STATE", _state if is_broad else _state_and_end if is_wide else _state_and_more, 16, grow=2, widest=26,
               spills=True, descending=True, order=lambda row: RANKS[row.level]),
    ]  # fmt: skip
    shown += [_stage(stage, is_broad) for stage in LagStage] if is_wide else []
    shown += [
        Column("BEHIND", lambda row: _figure(row, behind_text(row.verdict)) if row.verdict else Span(""), 7, right=True,
               descending=True, order=_of_verdict("behind_bytes")),
        Column("LAG", lambda row: _figure(row, lag_text(row.verdict)) if row.verdict else Span(""), 7, right=True,
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
    return [*shown, end] if is_broad else shown


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


def show_nothing(opened: ConnectionProfile | None) -> list[Line]:
    """Return what stands where no server is."""
    if opened is None:
        how = speak_keys("{global.connections}, then {connections.open} opens one.")
        return [line(f" The replicas of a connection would be here: {how}")]
    if opened.engine is EngineName.SQLITE:
        return [line(f" {opened.name} is an SQLite file: it has no replicas.")]
    return [line(dim(f" Asking {opened.name} …"))]
