"""Names of backups on disk: `<database>-<YYYYMMDDTHHMMSSZ>[-N].<suffix>`; what stands before the suffix is the id."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from dbtui.model.backups import BackupFormat, Compression, CompressionKind

#: A file name may have 255 bytes; what follows the database's name takes at most 64 of them.
_LONGEST_LABEL = 180
_STAMP = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"(?P<label>.+)-(?P<stamp>\d{8}T\d{6}Z)(?:-(?P<number>[2-9]|[1-9]\d+))?", re.ASCII)
_OUTER_SUFFIX = {CompressionKind.NONE: "", CompressionKind.GZIP: ".gz", CompressionKind.ZSTD: ".zst"}
_DATA_NAME = re.compile(
    r"(?P<stem>.+?)\.(?P<kind>sql|dump|sqlite|dir)(?P<outer>\.gz|\.zst)?(?P<age>\.age)?", re.ASCII | re.DOTALL
)
_FORMATS = {
    "sql": BackupFormat.PLAIN,
    "dump": BackupFormat.CUSTOM,
    "dir": BackupFormat.DIRECTORY,
    "sqlite": BackupFormat.COPY,
}
#: pg_dump learned to write zstd by itself with this version.
FIRST_PG_DUMP_WITH_ZSTD = 16


def format_database(database: str) -> str:
    """Return a database's name as it stands in file names: what is not a plain letter, digit, `_`, `-` or `.` is %XX.

    No name begins with a dot or a dash. A name too long for a file is cut and ends with `~` and a hash of the whole.
    """
    label = quote(database, safe="", errors="surrogatepass").replace("~", "%7E")
    if label[:1] in (".", "-"):
        label = f"%{ord(label[0]):02X}{label[1:]}"
    if not label:
        return "%00"
    if len(label) <= _LONGEST_LABEL:
        return label
    digest = hashlib.sha256(database.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{label[: _LONGEST_LABEL - 13].rstrip('%')}~{digest}"


def choose_backup_id(database: str, moment: datetime, is_taken: Callable[[str], bool]) -> str:
    """Return the id of a backup begun at `moment` (UTC); `-2`, `-3`… when that second's ids are taken."""
    first = f"{format_database(database)}-{moment.astimezone(UTC):{_STAMP}}"
    number, candidate = 1, first
    while is_taken(candidate):
        number += 1
        candidate = f"{first}-{number}"
    return candidate


def parse_backup_id(backup_id: str) -> tuple[str, datetime] | None:
    """Return the database and the time that an id tells, None if it is not one of ours."""
    match = _ID.fullmatch(backup_id)
    if match is None:
        return None
    try:
        moment = datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return unquote(match["label"], errors="surrogatepass"), moment


def data_suffix(
    backup_format: BackupFormat, compression: Compression, tool_major: int = 0, *, is_encrypted: bool = False
) -> str:
    """Return the suffix of a backup's data: `.sql.zst`, `.dump`, `.dir`, `.sqlite`, `.sql.age`…

    Archives of pg_dump are packed inside, except zstd with a pg_dump that cannot.
    """
    outer, age = _OUTER_SUFFIX[compression.kind], ".age" if is_encrypted else ""
    if backup_format is BackupFormat.DIRECTORY:
        return ".dir"
    if backup_format is BackupFormat.CUSTOM:
        is_outer = compression.kind is CompressionKind.ZSTD and tool_major < FIRST_PG_DUMP_WITH_ZSTD
        return f".dump{outer if is_outer else ''}{age}"
    return f"{'.sqlite' if backup_format is BackupFormat.COPY else '.sql'}{outer}{age}"


@dataclass(frozen=True, slots=True)
class ParsedName:
    """What the name of a data file tells: the stem, and how it is packed on the outside."""

    stem: str
    format: BackupFormat
    compression: Compression
    is_encrypted: bool


def parse_data_name(name: str) -> ParsedName | None:
    """Return what the name of a data file or directory tells, None if it is not the name of one."""
    match = _DATA_NAME.fullmatch(name)
    if match is None or (match["kind"] == "dir" and (match["outer"] or match["age"])):
        return None
    kind = {".gz": CompressionKind.GZIP, ".zst": CompressionKind.ZSTD}.get(match["outer"] or "", CompressionKind.NONE)
    return ParsedName(match["stem"], _FORMATS[match["kind"]], Compression(kind), match["age"] is not None)
