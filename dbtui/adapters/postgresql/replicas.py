"""Replication as one PostgreSQL server sees it: who receives from it, from whom it receives, what it keeps for whom."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from dbtui.adapters.adapter import ReplicaAddition, Target, narrow
from dbtui.adapters.clocks import measure_skew
from dbtui.adapters.postgresql import replica_orders
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.pools import is_local_process
from dbtui.adapters.postgresql.sql import quote_name
from dbtui.errors import ServerError
from dbtui.model.events import Routine
from dbtui.model.replica_facts import AdditionFacts
from dbtui.model.replicas import (
    Applier,
    BaseBackupProgress,
    Receiver,
    ReplicaAction,
    ReplicaPlan,
    ReplicaStream,
    ReplicationSlot,
    ReplicaWish,
    ServerReplication,
)
from dbtui.model.text import format_duration, format_untrusted

_SETTINGS_SECONDS = 60.0
#: A receiver that hears nothing asks after half of wal_receiver_timeout; when that is not answered, the source is gone.
_SILENT_PART, _SILENT_REPORTS = 0.75, 3
#: What calls itself so receives the log and replays nothing (PostgreSQL's own tools).
_KEEPERS = ("pg_basebackup", "pg_receivewal")
#: What dbtui's own copies call themselves, before their slot's name.
COPY_NAME = "pg_basebackup "
#: The slot that a base backup makes for itself.
_BACKUP_SLOT = "pg_basebackup_"
#: Waits of the startup process for queries on the replica (manual, "Wait Events").
_CONFLICTS = ("IPC: RecoveryConflict", "Lock: ", "BufferPin: ")
_UNNAMED = "walreceiver"
_NAME_LENGTH = 60


class PostgresqlReplicas:
    """See `dbtui.adapters.adapter.ReplicaAdapter`."""

    def collect_replication(self, target: Target) -> ServerReplication:
        """Ask a server for its own view. Raises ServerError, ConnectError."""
        return collect_replication(narrow(target, PostgresqlTarget))

    def show_orders(self, target: Target, action: ReplicaAction, slot: str = "") -> tuple[str, ...]:
        """Return the statements that an action runs."""
        return replica_orders.show_orders(narrow(target, PostgresqlTarget), action, slot)

    def pause_replay(self, target: Target) -> None:
        """Have replay wait."""
        replica_orders.pause_replay(narrow(target, PostgresqlTarget))

    def resume_replay(self, target: Target) -> None:
        """Have replay go on."""
        replica_orders.resume_replay(narrow(target, PostgresqlTarget))

    def drop_slot(self, target: Target, slot: str) -> None:
        """Drop a slot that nobody reads."""
        replica_orders.drop_slot(narrow(target, PostgresqlTarget), slot)

    def promote(self, target: Target, patience_seconds: float) -> Routine[None]:
        """Make a replica a primary and wait until it is one."""
        return replica_orders.promote(narrow(target, PostgresqlTarget), patience_seconds)

    def collect_addition(self, target: Target, wish: ReplicaWish) -> AdditionFacts:
        """Ask the source, and look at this machine."""
        from dbtui.adapters.postgresql.replica_facts import collect_addition  # looking at replicas does without

        return collect_addition(narrow(target, PostgresqlTarget), wish)

    def prepare_addition(self, target: Target, plan: ReplicaPlan) -> ReplicaAddition:
        """Return a run of pg_basebackup and what belongs to it."""
        from dbtui.adapters.postgresql import replica_addition

        return replica_addition.ReplicaAddition(narrow(target, PostgresqlTarget), plan)


REPLICAS = PostgresqlReplicas()


def collect_replication(target: PostgresqlTarget) -> ServerReplication:
    """Ask a server for its own view in some short questions, its own position first."""
    began, sent = time.monotonic(), time.time()
    row = target.collect_one("collect_replication")
    skew = measure_skew(row.clock, sent, time.time())
    settings = _collect_settings(target)
    streams = target.collect("collect_streams")
    gaps: list[str] = []
    receivers, applier = _collect_replica(target, settings, gaps) if row.is_replica else ((), None)
    if not settings.sees_streams and (streams or row.is_replica):
        gaps.append(_missing_sight(target))
    backups = {each.process_id: each for each in target.collect("collect_base_backups")}
    received_timelines = [each.received_timeline for each in receivers if each.received_timeline is not None]
    return ServerReplication(
        profile=target.profile.name,
        engine=target.info.engine,
        address=f"{row.host or target.host}:{row.port}",
        flavour=target.info.flavour,
        version=target.info.version,
        monotonic_seconds=began,
        is_replica=row.is_replica,
        system=row.system,
        timeline=max(received_timelines, default=row.timeline),
        position=_position(row.position),
        streams=tuple(_streams(streams)),
        slots=tuple(_slot(each) for each in target.collect("collect_replication_slots")),
        backups=tuple(_backup(each) for each in backups.values()),
        receivers=receivers,
        applier=applier,
        clock_skew_seconds=skew,
        flush_delay_seconds=0.0 if row.is_replica else float(settings.flush_seconds),
        log_free_bytes=_free_bytes(settings.data_directory) if is_local_process(row.process_id) else None,
        gaps=tuple(gaps),
    )


def _collect_settings(target: PostgresqlTarget) -> Any:
    rows = target.collect_kept("collect_replication_settings", _SETTINGS_SECONDS)
    if not rows:
        raise ServerError("the server did not tell its settings of replication", "ask again in a minute")
    return rows[0]


def _missing_sight(target: PostgresqlTarget) -> str:
    return f"what replicas and receivers do needs GRANT pg_monitor TO {quote_name(target.info.user)}"


# ---------------------------------------------------------------- as a sender


def _streams(rows: Sequence[Any]) -> Iterator[ReplicaStream]:
    copying = {(row.name, row.client) for row in rows if row.is_copying or row.state == "backup"}
    for row in rows:
        yield ReplicaStream(
            name=_text(row.name) or f"session {row.process_id}",
            client=_text(row.client),
            session_id=row.process_id,
            state=row.state or "",
            sync_state=row.sync_state or "",
            sent=_position(row.sent),
            written=_position(row.written),
            flushed=_position(row.flushed),
            replayed=_position(row.replayed),
            write_seconds=row.write_seconds,
            flush_seconds=row.flush_seconds,
            replay_seconds=row.replay_seconds,
            reply_age_seconds=None if row.reply_age_seconds is None else max(0.0, row.reply_age_seconds),
            slot=_text(row.slot_name),
            started_at=row.started_at,
            is_backup=_is_backup(row, copying),
            is_logical=row.is_logical,
        )


def _is_backup(row: Any, copying: set[tuple[Any, Any]]) -> bool:
    """Whether a stream belongs to a tool that keeps the log and replays nothing, whatever it calls itself."""
    if row.is_copying or row.state == "backup" or row.name in _KEEPERS or str(row.name).startswith(COPY_NAME):
        return True
    if row.is_temporary and str(row.slot_name).startswith(_BACKUP_SLOT):
        return True
    return row.state == "streaming" and row.replayed is None and (row.name, row.client) in copying


def _slot(row: Any) -> ReplicationSlot:
    return ReplicationSlot(
        name=_text(row.slot_name),
        kind=row.slot_type,
        plugin=_text(row.plugin),
        database=_text(row.database),
        is_active=row.is_active,
        is_temporary=row.is_temporary,
        session_id=row.process_id,
        retained_bytes=None if row.retained_bytes is None else max(0, int(row.retained_bytes)),
        safe_bytes=None if row.safe_bytes is None else int(row.safe_bytes),
        status=row.status,
        invalidation=_text(row.invalidation),
        inactive_since=row.inactive_since if isinstance(row.inactive_since, datetime) else None,
        is_synced=bool(row.is_synced),
    )


def _backup(row: Any) -> BaseBackupProgress:
    return BaseBackupProgress(
        session_id=row.process_id,
        phase=row.phase,
        streamed_bytes=int(row.streamed_bytes or 0),
        total_bytes=None if row.total_bytes is None else int(row.total_bytes),
        started_at=row.started_at,
    )


def _free_bytes(data_directory: str | None) -> int | None:
    """What is free on the disk of the log; None where this user may not look."""
    if not data_directory:
        return None
    try:
        disk = os.statvfs(Path(data_directory) / "pg_wal")
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


# ---------------------------------------------------------------- as a replica


def _collect_replica(
    target: PostgresqlTarget, settings: Any, gaps: list[str]
) -> tuple[tuple[Receiver, ...], Applier | None]:
    """Ask how the log comes in and is applied. A replica that is promoted meanwhile has no applier."""
    heard = [_receiver(row, settings) for row in target.collect("collect_receiver")]
    try:
        row = target.collect_one("collect_applier")
    except ServerError as error:
        if error.code != "55000":  # recovery is not in progress
            raise
        gaps.append("it was promoted while it was looked at")
        return tuple(heard), None
    received = _position(row.received)
    if not heard:
        stopped = Receiver(
            status="stopped",
            source=_address(settings.source_host, settings.source_port),
            received=received,
            slot=_text(settings.slot_name),
            name=_text(settings.cluster_name),
        )
        return (stopped,), _applier(target, row, settings)
    known = tuple(each if each.received is not None else replace(each, received=received) for each in heard)
    return known, _applier(target, row, settings)


def _receiver(row: Any, settings: Any) -> Receiver:
    limit = settings.timeout_seconds * _SILENT_PART
    return Receiver(
        status=row.status or "streaming",  # hidden from who may not see it, but there
        source=_address(row.source_host, row.source_port),
        received=_position(row.received),
        received_timeline=row.received_timeline,
        source_end=_position(row.source_end),
        silence_seconds=None if row.silence_seconds is None else max(0.0, row.silence_seconds),
        silence_limit_seconds=max(limit, settings.report_seconds * _SILENT_REPORTS) if limit else None,
        slot=_text(row.slot_name) or _text(settings.slot_name),
        name=_own_name(row.conninfo, settings.cluster_name),
    )


def _own_name(conninfo: str, cluster_name: str) -> str:
    """What a replica calls itself to its source: application_name, else cluster_name (manual, primary_conninfo)."""
    if not conninfo:
        return ""
    try:
        words = parse_dsn(conninfo)
    except ProgrammingError:
        return ""
    return _text(words.get("application_name") or cluster_name or words.get("fallback_application_name") or _UNNAMED)


def _applier(target: PostgresqlTarget, row: Any, settings: Any) -> Applier:
    state = row.state or ""
    is_stalled = state.startswith(_CONFLICTS)
    sessions = target.collect("collect_stalling_sessions") if is_stalled else []
    counts = target.collect_one("collect_recovery_conflicts")
    return Applier(
        replayed=_position(row.replayed),
        pause=row.pause,
        replay_age_seconds=row.replay_age_seconds,
        delay_seconds=float(settings.delay_seconds),
        conflicts=tuple((kind, int(count)) for kind, count in counts._asdict().items() if count),
        is_stalled=is_stalled,
        stalled_by=tuple(_describe_session(each) for each in sessions),
        stalled_by_ids=tuple(each.process_id for each in sessions),
        state=state,
    )


def _describe_session(row: Any) -> str:
    who = " ".join(format_untrusted(part, _NAME_LENGTH) for part in (row.login, row.application) if part)
    since = "" if row.seconds is None else f" for {format_duration(row.seconds)}"
    return f"{row.process_id} {who} ({row.state or 'state not shown to this login'}{since})"


def _address(host: str | None, port: str | None) -> str:
    return f"{format_untrusted(host)}:{port or 5432}" if host else ""


def _position(found: Any) -> int | None:
    return None if found is None else int(found)


def _text(found: str | None) -> str:
    return format_untrusted(found or "")
