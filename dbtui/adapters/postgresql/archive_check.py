"""Whether an archive is whole: every file and every block that its table of contents speaks of, and no others."""

import re
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.encryption import open_data
from dbtui.adapters.postgresql.archive import ArchiveEntry
from dbtui.adapters.postgresql.archive_data import ROWS, CustomBlocks, entry_data, find_data_file
from dbtui.adapters.postgresql.archive_index import ArchiveIndex
from dbtui.adapters.streams import TICK_SECONDS, storage_errors
from dbtui.adapters.unpacking import follow_frames
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupFormat, StoredBackup

_KNOWN_FILE = re.compile(
    r"toc\.dat|\d+\.dat(?:\.gz|\.lz4|\.zst)?|blobs(?:_\d+)?\.toc|blob_\d+\.dat(?:\.gz|\.lz4|\.zst)?"
)
_LARGE_OBJECT = re.compile(rb"(\d+) (blob_\d+\.dat)")
#: pg_dump ends the rows of every COPY with this, also in a data file.
_END_OF_ROWS = b"\\.\n\n\n"
Work = Generator[int, None, list[str]]


def check_data(backup: StoredBackup, index: ArchiveIndex, cancellation: Cancellation) -> Work:
    """Read all data; yields bytes so far, returns what is wrong.

    With a manifest, whose checksums vouch for every byte, only the outline is looked at: what costs no unpacking. Of a
    file that gzip packed that tells only its presence.
    """
    if backup.format is BackupFormat.DIRECTORY:
        return (yield from _check_directory(backup, index, cancellation))
    return (yield from _check_custom(backup, index, cancellation))


# ---------------------------------------------------------------- directory


def _check_directory(backup: StoredBackup, index: ArchiveIndex, cancellation: Cancellation) -> Work:
    directory = Path(backup.data_path)
    problems = list(_strangers(directory))
    done, next_tick = 0, time.monotonic() + TICK_SECONDS
    expected = _expected_rows(backup)
    for entry in index.archive.entries:
        if not entry.has_data:
            continue
        cancellation.check()
        try:
            if entry.kind == b"BLOBS":
                problems += _check_large_objects(directory, entry)
                continue
            path, ending = find_data_file(directory, entry.file_name.decode("utf-8", "replace"))
            rows = expected.get((index.text_of(entry.schema), index.text_of(entry.tag)))
            if path.stat().st_size == 0 and (ending or rows):
                problems.append(f"{directory.name}/{path.name} is empty and should hold the rows of {entry.describe()}")
            elif backup.manifest is None:
                end = b""
                for chunk in entry_data(backup, index.archive, entry, cancellation):
                    done, end = done + len(chunk), (end + chunk)[-len(_END_OF_ROWS) :]
                    if time.monotonic() >= next_tick:
                        yield done
                        next_tick = time.monotonic() + TICK_SECONDS
                if entry.copy and end != _END_OF_ROWS:
                    problems.append(_cut_off(directory, path))
            elif ending == ".zst":
                for followed in follow_frames(path):
                    cancellation.check()
                    if time.monotonic() >= next_tick:
                        yield done + followed
                        next_tick = time.monotonic() + TICK_SECONDS
                done += path.stat().st_size
            elif not ending and entry.copy and not _has_end(path):
                problems.append(_cut_off(directory, path))
        except DamagedBackupError as error:
            problems.append(error.message)
    return problems


def _has_end(path: Path) -> bool:
    """Whether a file that is not packed ends as pg_dump ends rows."""
    with storage_errors(path), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(_END_OF_ROWS)))
        return file.read() == _END_OF_ROWS


def _cut_off(directory: Path, path: Path) -> str:
    return f"{directory.name}/{path.name} was cut off: the end of its rows is missing"


def _strangers(directory: Path) -> Iterator[str]:
    with storage_errors(directory):
        found = sorted(directory.iterdir())
    for path in found:
        if path.is_symlink() or not path.is_file():
            yield f"{directory.name}/{path.name!r} is not a regular file"
        elif not _KNOWN_FILE.fullmatch(path.name):
            yield f"{directory.name}/{path.name!r} is a file that pg_dump does not write"


def _check_large_objects(directory: Path, entry: ArchiveEntry) -> list[str]:
    """pg_restore would read whatever file a line of the list names."""
    listing, _ending = find_data_file(directory, entry.file_name.decode("utf-8", "replace"))
    problems = []
    with storage_errors(listing):
        lines = listing.read_bytes().splitlines()
    for line in lines:
        found = _LARGE_OBJECT.fullmatch(line)
        if found is None:
            return [f"{directory.name}/{listing.name} is not a list of large objects"]
        name = found[2].decode()
        if not any((directory / f"{name}{ending}").is_file() for ending in ("", ".gz", ".zst", ".lz4")):
            problems.append(f"{directory.name}/{name} is missing: large object {int(found[1])}")
    return problems


def _expected_rows(backup: StoredBackup) -> dict[tuple[str, str], int]:
    tables = backup.manifest.tables if backup.manifest else ()
    return {(table.schema, table.name): table.rows for table in tables if table.rows}


# ---------------------------------------------------------------- custom


def _check_custom(backup: StoredBackup, index: ArchiveIndex, cancellation: Cancellation) -> Work:
    path = Path(backup.data_path)
    wanted = {entry.dump_id: entry for entry in index.archive.entries if entry.has_data}
    is_deep = backup.manifest is None and index.archive.packing != "lz4"
    next_tick = time.monotonic() + TICK_SECONDS
    can_seek = not backup.is_packed
    try:
        with open_data(backup) as stream, storage_errors(path):
            blocks = CustomBlocks(stream, path.name, index.archive, can_seek=can_seek)
            blocks.go_to(index.archive.data_begins)
            while (block := blocks.next_block()) is not None:
                for _ in blocks.read_all() if is_deep else ():
                    if time.monotonic() >= next_tick:
                        cancellation.check()
                        yield blocks.at
                        next_tick = time.monotonic() + TICK_SECONDS
                if not is_deep:
                    blocks.skip()
                problem = _take(wanted, block)
                if problem:
                    return [f"{path.name}: {problem}"]
                cancellation.check()
            if can_seek and blocks.at != path.stat().st_size:
                return [f"{path.name}: the last block of data does not end: the file was cut off"]
    except DamagedBackupError as error:
        return [error.message]
    return [
        f"{path.name}: the data of {entry.describe()} is missing: the file was cut off" for entry in wanted.values()
    ]


def _take(wanted: dict[int, ArchiveEntry], block: tuple[int, int]) -> str:
    kind, number = block
    entry = wanted.pop(number, None)
    if entry is None:
        return f"it holds data of entry {number}, of which the table of contents knows nothing"
    if (kind == ROWS) == (entry.kind == b"BLOBS"):
        return f"the data of {entry.describe()} are of the wrong kind"
    return ""
