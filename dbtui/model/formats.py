"""How a backup lies on disk: what a configuration says of it, without all else there is to know of backups."""

from dataclasses import dataclass
from enum import StrEnum


class BackupFormat(StrEnum):
    """How the data lies on disk. SQLite has one: `copy`, a database file."""

    PLAIN = "plain"
    CUSTOM = "custom"
    DIRECTORY = "directory"
    COPY = "copy"


class CompressionKind(StrEnum):
    """How the data is packed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class Compression:
    """A kind and its level; level None is the kind's default (gzip 6, zstd 1)."""

    kind: CompressionKind = CompressionKind.NONE
    level: int | None = None

    def __str__(self) -> str:
        return self.kind.value if self.level is None else f"{self.kind.value}:{self.level}"
