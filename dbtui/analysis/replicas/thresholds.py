"""From when on a replica is late, and a slot is dangerous."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaThresholds:
    """Seconds and bytes. Up to `current_seconds` a replica counts as current: that much is always under way.

    `safe_seconds`: reads that may be a little old are sent to a replica that is not older than this.
    """

    current_seconds: float = 1.0
    warn_seconds: float = 10.0
    trouble_seconds: float = 60.0
    safe_seconds: float = 10.0
    warn_bytes: int = 64 << 20  # where seconds are not known
    slot_warn_seconds: float = 24 * 3600.0
    slot_trouble_seconds: float = 3600.0
    skew_seconds: float = 2.0


DEFAULT_THRESHOLDS = ReplicaThresholds()
