"""Base backups that run: how far, how fast, and why one seems to hang."""

from dbtui.model.replicas import BackupVerdict, BaseBackupProgress, ServerReplication
from dbtui.model.text import format_bytes, format_duration

_CHECKPOINT = "waiting for checkpoint to finish"


def assess_backup(server: ServerReplication, backup: BaseBackupProgress, speed: float | None) -> BackupVerdict:
    """Return what is made of a base backup. `speed`: bytes a second; None: not known yet."""
    left = None
    if backup.total_bytes is not None and speed:
        left = max(0, backup.total_bytes - backup.streamed_bytes) / speed
    return BackupVerdict(
        server=server.profile,
        backup=backup,
        bytes_per_second=speed,
        left_seconds=left,
        sentence=_describe(backup, speed, left),
    )


def _describe(backup: BaseBackupProgress, speed: float | None, left: float | None) -> str:
    if backup.phase == _CHECKPOINT:
        return f"{_CHECKPOINT}: the server takes its time for that; CHECKPOINT, or --checkpoint=fast, ends the wait"
    of = "" if backup.total_bytes is None else f" of {format_bytes(backup.total_bytes)}"
    parts = [f"{backup.phase}: {format_bytes(backup.streamed_bytes)}{of}"]
    parts += [f"{format_bytes(speed)}/s"] if speed else []
    parts += [f"{format_duration(left)} left"] if left is not None else []
    return ", ".join(parts)
