"""Pins: a small file beside a backup's data that keeps it from being deleted. That it is there is the pin."""

import os
import time
from pathlib import Path

import msgspec

from dbtui.adapters.streams import create_file, fsync_path, storage_errors, write_durably
from dbtui.errors import RefusedError, RemoteExistsError, StorageError
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.events import Routine, StepFinished, StepStarted
from dbtui.model.retention import PIN_SUFFIX, Pin
from dbtui.model.text import format_untrusted
from dbtui.operators import format_operator
from dbtui.routines.backups.create import format_time
from dbtui.routines.backups.remote_find import RemoteBackup
from dbtui.routines.backups.store import remove_path
from dbtui.routines.context import RoutineContext

_LONGEST_BYTES = 64 << 10


def pin_path(data_path: str) -> Path:
    """Return where the pin of the backup with this data lies, or would."""
    return Path(data_path + PIN_SUFFIX)


def pin_backup(c: RoutineContext, entry: BackupEntry, reason: str = "") -> Routine[bool]:
    """Pin a backup; return whether it was not pinned before. Raises RefusedError, StorageError."""
    if not entry.data_path or entry.kind is not EntryKind.COMPLETE:
        raise RefusedError(f"{entry.backup_id} is no whole backup", "pin one with manifest and data")
    path = pin_path(entry.data_path)
    began = time.monotonic()
    yield StepStarted("pin", entry.backup_id)
    pin = Pin(entry.backup_id, format_time(c.now()), format_operator(c.environ), reason)
    try:
        file = create_file(path)
    except StorageError as error:
        if isinstance(error.__cause__, FileExistsError):
            return False
        raise
    with storage_errors(path), file:
        try:
            write_durably(file, _encode(pin))
        except OSError:
            remove_path(path)  # half a pin would be taken for one by the next try
            raise
    fsync_path(path.parent)
    yield StepFinished("pin", time.monotonic() - began)
    return True


def unpin_backup(_c: RoutineContext, entry: BackupEntry) -> Routine[bool]:
    """Take a pin away; return whether there was one. Raises StorageError."""
    path = pin_path(entry.data_path)
    if not entry.data_path or not os.path.lexists(path):
        return False
    began = time.monotonic()
    yield StepStarted("unpin", entry.backup_id)
    remove_path(path)
    fsync_path(path.parent)
    yield StepFinished("unpin", time.monotonic() - began)
    return True


def pin_remote(c: RoutineContext, far: RemoteBackup, reason: str = "") -> Routine[bool]:
    """Pin a backup in a remote; return whether it was not pinned before. Raises RefusedError, RemoteError."""
    if far.entry.kind is not EntryKind.COMPLETE:
        raise RefusedError(f"{far.entry.backup_id} is no whole backup", "pin one with manifest and data")
    began = time.monotonic()
    yield StepStarted("pin", far.entry.backup_id)
    pin = Pin(far.entry.backup_id, format_time(c.now()), format_operator(c.environ), reason)
    with c.open_remote(far.address) as remote:
        try:
            remote.create(far.data_name + PIN_SUFFIX, _encode(pin))
        except RemoteExistsError:
            return False
    yield StepFinished("pin", time.monotonic() - began)
    return True


def unpin_remote(c: RoutineContext, far: RemoteBackup) -> Routine[bool]:
    """Take a pin away in a remote; return whether there was one. Raises RemoteError, ConnectError."""
    began = time.monotonic()
    yield StepStarted("unpin", far.entry.backup_id)
    with c.open_remote(far.address) as remote:
        was_there = remote.find_object(far.data_name + PIN_SUFFIX) is not None
        remote.remove(far.data_name + PIN_SUFFIX)
    yield StepFinished("unpin", time.monotonic() - began)
    return was_there


def _encode(pin: Pin) -> bytes:
    return msgspec.json.format(msgspec.json.encode(pin), indent=2) + b"\n"


def is_pinned(entry: BackupEntry) -> bool:
    """Whether a backup is pinned now: asked of the disk."""
    return bool(entry.data_path) and os.path.lexists(pin_path(entry.data_path))


def read_pin(entry: BackupEntry) -> Pin | None:
    """Return what a pin says, None if there is none. One that cannot be read is still a pin."""
    path = pin_path(entry.data_path)
    if not is_pinned(entry):
        return None
    try:
        with path.open("rb") as file:
            pin = msgspec.json.decode(file.read(_LONGEST_BYTES), type=Pin)
    except (OSError, msgspec.MsgspecError):
        return Pin(entry.backup_id, "", "", "its pin cannot be read")
    return Pin(entry.backup_id, *(format_untrusted(text, 200) for text in (pin.pinned_at, pin.operator, pin.reason)))


def check_not_pinned(entry: BackupEntry) -> None:
    """Refuse what would delete a pinned backup. Raises RefusedError."""
    pin = read_pin(entry)
    if pin is not None:
        why = f", {pin.reason}" if pin.reason else ""
        who = f" by {pin.operator} on {pin.pinned_at}" if pin.operator else ""
        raise RefusedError(f"{entry.backup_id} is pinned{who}{why}", f"dbtui backup unpin {entry.backup_id} allows it")
