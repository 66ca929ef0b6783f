"""What slots keep, and when that ends: the slot is given up, or the disk is full."""

from dbtui.analysis.replicas.thresholds import ReplicaThresholds
from dbtui.analysis.replicas.words import format_left
from dbtui.model.replicas import ReplicationSlot, ServerReplication, SlotVerdict
from dbtui.model.text import format_bytes, format_untrusted

_LOST, _UNRESERVED = "lost", "unreserved"
_FARTHEST_SECONDS = 365 * 86400.0  # no rate says anything of what lies beyond


def assess_slot(
    server: ServerReplication, slot: ReplicationSlot, growth: float | None, thresholds: ReplicaThresholds
) -> SlotVerdict:
    """Return what is made of a slot. `growth`: bytes a second that it keeps more; None: not known yet."""
    full_seconds = _countdown(server, slot, growth)
    level, sentence = _judge(server, slot, full_seconds, thresholds)
    is_useless = level != "ok" and not slot.is_active and not slot.is_temporary
    return SlotVerdict(
        server=server.profile,
        slot=slot,
        level=level,
        retained_bytes_per_second=growth,
        full_seconds=full_seconds,
        sentence=sentence,
        command=f"SELECT pg_drop_replication_slot({_quote(slot.name)});" if is_useless else "",
    )


def _quote(name: str) -> str:
    return "'" + format_untrusted(name).replace("'", "''") + "'"


def _countdown(server: ServerReplication, slot: ReplicationSlot, growth: float | None) -> float | None:
    """Seconds until what it keeps has no room any more, at the present rate; None when that is years away."""
    if not growth or growth <= 0 or slot.status == _LOST:
        return None
    rooms = [each for each in (slot.safe_bytes, server.log_free_bytes) if each is not None]
    seconds = max(0.0, min(rooms) / growth) if rooms else None
    return seconds if seconds is not None and seconds < _FARTHEST_SECONDS else None


def _judge(
    server: ServerReplication, slot: ReplicationSlot, full_seconds: float | None, thresholds: ReplicaThresholds
) -> tuple[str, str]:
    kept = "nothing" if not slot.retained_bytes else format_bytes(slot.retained_bytes)
    if slot.status == _LOST:
        why = f" ({slot.invalidation})" if slot.invalidation else ""
        return "trouble", f"lost{why}: its reader needs log that is gone, and has to be built anew; then drop the slot"
    if slot.status == _UNRESERVED:
        return "trouble", f"keeps {kept}, more than max_slot_wal_keep_size: lost at the next checkpoint unless read"
    if slot.is_synced:
        return "ok", f"a copy of the primary's slot; keeps {kept}"
    if slot.is_active and full_seconds is None:
        return "ok", f"read; keeps {kept}"
    level = _level_of(full_seconds, thresholds)
    if slot.is_active:
        return level, f"read, and keeps {kept} and more and more: {_end(server, slot, full_seconds)}"
    if slot.retained_bytes is None:
        return "ok", "read by nobody yet; keeps nothing"
    if level == "ok" and server.backups and not slot.is_temporary:
        return level, f"read by nobody yet, and keeps {kept}; a base backup runs, and may be for it"
    idle = f"read by nobody, and keeps {kept} of the log"
    end = f": {_end(server, slot, full_seconds)}" if full_seconds is not None else ""
    return ("warning" if level == "ok" else level), f"{idle}{end}; start its reader, or drop it"


def _level_of(full_seconds: float | None, thresholds: ReplicaThresholds) -> str:
    if full_seconds is None or full_seconds > thresholds.slot_warn_seconds:
        return "ok"
    return "warning" if full_seconds > thresholds.slot_trouble_seconds else "trouble"


def _end(server: ServerReplication, slot: ReplicationSlot, full_seconds: float | None) -> str:
    room = server.log_free_bytes
    is_slot = slot.safe_bytes is not None and (room is None or slot.safe_bytes <= room)
    what = "it is given up (max_slot_wal_keep_size)" if is_slot else "the disk of the log is full"
    return f"{what} {format_left(full_seconds or 0.0)} at this rate"
