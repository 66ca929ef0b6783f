"""What adding a replica is about to make, written down beside its directory before it is made.

A run that is killed leaves this file; the next plan for the same directory finds it, says what is left and removes it.
"""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from dbtui.adapters.postgresql.replica_files import identity_of
from dbtui.adapters.streams import create_file, fsync_path, storage_errors, write_durably
from dbtui.adapters.throwaway.watchdog import start_of
from dbtui.errors import StorageError
from dbtui.model.replica_facts import LeftAddition
from dbtui.model.text import format_untrusted

VERSION = 1
_SUFFIX = ".dbtui-adding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """One addition: what it makes, and how far it is. `directory_id`: device and inode of the directory it made
    or took empty, `tablespaces_id` of the one beside it.

    `process_began`: when the process began, as /proc has it; its number alone may be somebody else's by now.
    """

    directory: str
    server: str
    system: str
    slot: str
    passfile: str = ""
    had_directory: bool = False
    directory_id: tuple[int, int] | None = None
    tablespaces_id: tuple[int, int] | None = None
    is_started: bool = False
    process: int = field(default_factory=os.getpid)
    process_began: str = field(default_factory=lambda: start_of(os.getpid()))
    began: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    version: int = VERSION


def marker_path(directory: Path) -> Path:
    """Return where the marker of a data directory is."""
    return directory.parent / f".{directory.name}{_SUFFIX}"


def write_marker(marker: Marker) -> None:
    """Write it durably; what was there is replaced whole. Raises StorageError."""
    path = marker_path(Path(marker.directory))
    fresh = path.with_name(f"{path.name}.new")
    with storage_errors(path):
        fresh.unlink(missing_ok=True)
        with create_file(fresh) as file:
            write_durably(file, json.dumps(asdict(marker)).encode())
        fresh.replace(path)
    fsync_path(path.parent)


def remove_marker(directory: Path) -> None:
    """Remove it: nothing is half done any more. Raises StorageError."""
    path = marker_path(directory)
    with storage_errors(path):
        path.with_name(f"{path.name}.new").unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def read_marker(directory: Path) -> Marker | None:
    """Return what an earlier run wrote. Raises StorageError when that cannot be read or understood."""
    path = marker_path(directory)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{format_untrusted(str(path))} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        try:
            if os.fstat(descriptor).st_uid not in (0, os.geteuid()):
                raise ValueError("it belongs to somebody else")
            fields = json.loads(file.read(65536))
            known = Marker(**{name: fields[name] for name in Marker.__slots__ if name in fields})
            known = replace(known, directory_id=_pair(known.directory_id), tablespaces_id=_pair(known.tablespaces_id))
            if known.directory != str(directory) or known.version != VERSION:
                raise ValueError("it is about another directory, or of another version")
        except (ValueError, TypeError) as error:
            said = f"{format_untrusted(str(path))} cannot be understood: {format_untrusted(str(error), 100)}"
            raise StorageError(said, "see what is left of an earlier run, then remove that file") from error
    return known


def _pair(found: object) -> tuple[int, int] | None:
    return (int(found[0]), int(found[1])) if isinstance(found, (list, tuple)) and len(found) == 2 else None


def is_running(marker: Marker) -> bool:
    """Whether the process that wrote it lives."""
    return bool(marker.process_began) and start_of(marker.process) == marker.process_began


def describe_left(marker: Marker, slot_names: tuple[str, ...], system: str, *, is_served: bool) -> LeftAddition:
    """Return what is left of a run that is over, or still on. `is_served`: a server runs in its directory."""
    directory = Path(marker.directory)
    return LeftAddition(
        path=str(marker_path(directory)),
        began=marker.began,
        process=marker.process,
        server=marker.server,
        slot=marker.slot,
        passfile=marker.passfile if marker.passfile and Path(marker.passfile).exists() else "",
        has_slot=marker.system == system and marker.slot in slot_names,
        has_directory=marker.directory_id is not None and marker.directory_id == identity_of(directory),
        had_directory=marker.had_directory,
        is_running=is_running(marker),
        is_served=is_served,
    )
