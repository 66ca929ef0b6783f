"""A directory dump: definitions as mariadb-dump writes them, rows as mydumper does, triggers apart.

`definitions.sql` holds everything but rows and triggers, `triggers.sql` the triggers, which must not see the rows come,
and every other file rows of one table. Each may be packed by itself.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql.cursor import Refusal
from dbtui.adapters.mysql.plain import DumpFile
from dbtui.adapters.mysql.sql_lexer import Statement
from dbtui.adapters.mysql.statements import Judge, Verdict
from dbtui.adapters.streams import storage_errors
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, StoredBackup
from dbtui.model.text import format_untrusted

DEFINITIONS, TRIGGERS, METADATA = "definitions.sql", "triggers.sql", "metadata"
_PACKED = {"": CompressionKind.NONE, ".zst": CompressionKind.ZSTD, ".gz": CompressionKind.GZIP}
#: Names of tables and databases of which mydumper makes file names without changing them.
PLAIN_NAME = re.compile(r"[0-9A-Za-z_$-]+", re.ASCII)
#: `database.table.sql`, or with a number where the rows of a table take several files.
ROWS_FILE = re.compile(r"[0-9A-Za-z_$-]+\.[0-9A-Za-z_$-]+(?:\.\d+)?\.sql", re.ASCII)


class DumpDirectory:
    """A directory dump, read once as if it were one file; see DumpFile. `rows` are the parts with rows, largest first.

    Raises StorageError, and DamagedBackupError for a directory that is not such a dump.
    """

    def __init__(self, backup: StoredBackup, cancellation: Cancellation, *, is_trusted: bool = False) -> None:
        self.backup = backup
        self.path = Path(backup.data_path)
        self._cancellation = cancellation
        self._is_trusted = is_trusted
        self._read_bytes = 0
        self._problem = ""
        found = _parts_of(backup, self.path)
        for name in (DEFINITIONS, TRIGGERS):
            if name not in found:
                raise DamagedBackupError(
                    f"{format_untrusted(self.path.name)} has no {name}",
                    "use another backup; what mydumper made by itself is restored by myloader",
                )
        self.definitions, self.triggers = found[DEFINITIONS], found[TRIGGERS]
        rest = [part for name, part in found.items() if name not in (DEFINITIONS, TRIGGERS)]
        self.rows = sorted(rest, key=lambda part: -Path(part.data_path).stat().st_size)
        self._current = self.open_part(self.definitions)
        self.head = self._current.head

    def open_part(self, part: StoredBackup) -> DumpFile:
        """Open one of the files. Raises StorageError, DamagedBackupError."""
        return DumpFile(part, self._cancellation, is_trusted=self._is_trusted)

    @staticmethod
    def table_of(part: StoredBackup) -> str:
        """The table whose rows a file holds, as its name says."""
        return Path(part.data_path).name.split(".")[1]

    @property
    def name(self) -> str:
        """The file that is read now."""
        return f"{format_untrusted(self.path.name)}/{self._current.name}"

    @property
    def source(self) -> str:
        """The database that was dumped, where it is known."""
        return self.backup.manifest.database if self.backup.manifest else self.head.database

    @property
    def raw_bytes(self) -> int:
        """How many bytes of text were read so far."""
        return self._read_bytes + self._current.raw_bytes

    @property
    def expected_bytes(self) -> int | None:
        """How many bytes there are to read, where it is known before."""
        return self.backup.manifest.uncompressed_bytes if self.backup.manifest is not None else None

    def statements(self, rows_of: str | None = None) -> Iterator[Statement]:
        """Yield every statement of every file; `rows_of`: of the rows only those of a table.

        Raises DamagedBackupError, StorageError, Cancelled.
        """
        yield from self._statements()
        rows = [part for part in self.rows if rows_of is None or self.table_of(part) == rows_of]
        for part in (*sorted(rows, key=lambda each: each.data_path), self.triggers):
            self._read_bytes += self._current.raw_bytes
            self._current.close()
            self._current = self.open_part(part)
            yield from self._statements()

    def _statements(self) -> Iterator[Statement]:
        yield from self._current.statements()
        if not self._current.is_complete:
            self._problem = self._problem or f"is truncated: the last line of {self._current.name} is missing"

    def check(self, verdict: Verdict) -> None:
        """Raise Refusal for a statement that does not belong where it stands."""
        if self._current.path.name.startswith((DEFINITIONS, TRIGGERS)):
            return
        check_rows(verdict)

    def describe_missing_end(self, _judge: Judge) -> str:
        """Say why the dump, read whole, must have lost an end; empty where nothing speaks for that."""
        return self._problem

    def close(self) -> None:
        """Close the file that is open."""
        self._current.close()

    def __enter__(self) -> "DumpDirectory":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def check_rows(verdict: Verdict) -> None:
    """Raise Refusal for a statement that has no business in a file of rows."""
    if verdict.kind not in ("rows", "setting", "nothing"):
        raise Refusal(f"a statement about a {verdict.kind} among rows")


def _parts_of(backup: StoredBackup, directory: Path) -> dict[str, StoredBackup]:
    """The files that make up a dump, by their names without what they are packed with."""
    found: dict[str, StoredBackup] = {}
    with storage_errors(directory):
        paths = sorted(directory.iterdir())
    for path in paths:
        name, suffix = (path.stem, path.suffix) if path.suffix in (".zst", ".gz") else (path.name, "")
        if name in (METADATA,):
            continue
        if name not in (DEFINITIONS, TRIGGERS) and not ROWS_FILE.fullmatch(name):
            shown = format_untrusted(f"{directory.name}/{path.name}")
            raise DamagedBackupError(f"{shown} is no part of such a dump", "look at it; then use another backup")
        if path.is_symlink() or not path.is_file() or name in found:
            raise DamagedBackupError(f"{format_untrusted(str(path))} is not a file of its own", "use another backup")
        compression = Compression(_PACKED[suffix])
        found[name] = replace(backup, format=BackupFormat.PLAIN, compression=compression, data_path=str(path))
    return found


def open_dump(
    backup: StoredBackup, cancellation: Cancellation, *, is_trusted: bool = False
) -> DumpFile | DumpDirectory:
    """Open a dump of either kind. Raises StorageError, DamagedBackupError."""
    if backup.format is BackupFormat.DIRECTORY:
        return DumpDirectory(backup, cancellation, is_trusted=is_trusted)
    return DumpFile(backup, cancellation, is_trusted=is_trusted)
