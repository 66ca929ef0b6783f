"""Moving the files of one backup to a remote and from one: many at a time, with one progress of all."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from dbtui.adapters.driving import exhaust, forward
from dbtui.adapters.remotes.remote import Remote
from dbtui.adapters.remotes.together import work_together
from dbtui.adapters.streams import fsync_path, hash_file
from dbtui.errors import DamagedBackupError, RemoteDamageError, RemoteError, StorageError
from dbtui.model.backups import BackupFile
from dbtui.model.events import Event, Progressed, Routine
from dbtui.model.remotes import Confirmation, RemoteKind
from dbtui.routines.context import RoutineContext

MovedT = TypeVar("MovedT")
#: How many files are on their way at once. A large one is sent in several parts besides, by the remote itself.
_THREADS = {RemoteKind.SFTP: 3, RemoteKind.DIRECTORY: 1}
_MOST_THREADS = 6


def send_files(
    c: RoutineContext, remote: Remote, directory: Path, files: Sequence[BackupFile]
) -> Routine[tuple[Confirmation, ...]]:
    """Send files and have each confirmed.

    Raises DamagedBackupError (a file here is not what the manifest says), RemoteError, ConnectError, StorageError.
    """
    return (yield from _move(c, remote, files, partial(_send, c, directory)))


def fetch_files(c: RoutineContext, remote: Remote, destinations: Sequence[tuple[BackupFile, Path]]) -> Routine[None]:
    """Fetch files to where they go and make them durable.

    Raises DamagedBackupError (what came is not what the manifest says), RemoteError, ConnectError, StorageError.
    """
    places = {file.path: path for file, path in destinations}
    yield from _move(c, remote, [file for file, _ in destinations], partial(_fetch, places))


def _move(
    c: RoutineContext,
    remote: Remote,
    files: Sequence[BackupFile],
    move: Callable[[Remote, BackupFile], Routine[MovedT]],
) -> Routine[tuple[MovedT, ...]]:
    total = sum(file.size_bytes for file in files)
    threads = _THREADS.get(remote.address.kind, _MOST_THREADS)
    if len(files) <= 1 or threads == 1:
        return (yield from _move_in_turn(c, remote, files, move))
    done = dict.fromkeys((file.path for file in files), 0)

    def note(name: str, event: Event) -> None:
        if isinstance(event, Progressed) and event.unit == "bytes":
            done[name] = event.done

    def job(file: BackupFile, own: Remote) -> MovedT:
        moved = exhaust(move(own, file), partial(note, file.path))
        done[file.path] = file.size_bytes
        return moved

    largest_first = sorted(files, key=lambda file: -file.size_bytes)  # so that none is left alone at the end
    working = work_together(
        lambda stopping: replace(c, cancellation=stopping).open_remote(remote.address),
        [partial(job, file) for file in largest_first],
        threads=threads,
        cancellation=c.cancellation,
    )
    moved = yield from forward(
        working, lambda _tick: Progressed(sum(done.values()), total, "bytes", f"{len(files)} files")
    )  # fmt: skip
    return tuple(moved)


def _move_in_turn(
    c: RoutineContext,
    remote: Remote,
    files: Sequence[BackupFile],
    move: Callable[[Remote, BackupFile], Routine[MovedT]],
) -> Routine[tuple[MovedT, ...]]:
    total = sum(file.size_bytes for file in files)
    moved: list[MovedT] = []
    behind = 0

    def of_all(before: int, event: Event) -> Event:
        if isinstance(event, Progressed) and event.unit == "bytes":
            return Progressed(before + event.done, total, "bytes", event.detail)
        return event

    for file in files:
        c.cancellation.check()
        moved.append((yield from forward(move(remote, file), partial(of_all, behind))))
        behind += file.size_bytes
        yield Progressed(behind, total, "bytes", file.path)
    return tuple(moved)


def _send(c: RoutineContext, directory: Path, remote: Remote, file: BackupFile) -> Routine[Confirmation]:
    path = directory / file.path
    try:
        confirmation = yield from remote.upload(path, file.path, file)
    except StorageError as error:
        yield from _check_contents(c, path, file, error)
        raise
    if confirmation is Confirmation.SIZE:  # that says nothing of the file here
        try:
            yield from _check_contents(c, path, file, None)
        except DamagedBackupError:
            with suppress(RemoteError):  # a login that may not delete
                remote.remove(file.path)
            raise
    return confirmation


def _check_contents(c: RoutineContext, path: Path, file: BackupFile, error: StorageError | None) -> Routine[None]:
    """Raise DamagedBackupError when the file here is not what the manifest says."""
    found = yield from forward(
        hash_file(path, file.path, c.cancellation), lambda done: Progressed(done, file.size_bytes, "bytes", file.path)
    )
    if (found.size_bytes, found.sha256) == (file.size_bytes, file.sha256):
        return
    raise DamagedBackupError(
        f"{path} was altered: its SHA-256 is not the manifest's, so it is not shipped", "use another backup"
    ) from error


def _fetch(places: dict[str, Path], remote: Remote, file: BackupFile) -> Routine[None]:
    destination = places[file.path]
    try:
        yield from remote.download(file.path, destination, file)
    except RemoteDamageError as error:
        raise DamagedBackupError(error.message, "use another copy") from error
    fsync_path(destination)
