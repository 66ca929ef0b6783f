"""Remotes: where copies of backups lie off this machine. An S3 bucket, an SFTP directory and the like."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RemoteKind(StrEnum):
    """What serves a remote; the value is the scheme of its address."""

    S3 = "s3"
    GCS = "gs"
    AZURE = "az"
    SFTP = "sftp"
    DIRECTORY = "file"  # another directory of this machine, such as a mounted share


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    """Where a remote is; never holds a secret.

    `host` is the bucket, the container or the SSH destination (`user@host`, `host` or an alias), empty for a directory.
    `path` is what names begin with there, without a slash at either end, except that the path of a directory is
    absolute, and that of SFTP absolute or relative to the login's home. `port` is that of SFTP, None: OpenSSH's choice.
    """

    kind: RemoteKind
    host: str
    path: str
    port: int | None = None

    def __str__(self) -> str:
        """As people write it: s3://backups/erp, sftp://dba@vault:2222/srv/backups."""
        host = f"{self.host}:{self.port}" if self.port is not None else self.host
        tail = self.path if self.path.startswith("/") or not self.path else f"/{self.path}"
        if self.kind is RemoteKind.SFTP and self.path and not self.path.startswith("/"):
            tail = f"/~/{self.path}"
        return f"{self.kind.value}://{host}{tail}"


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """Something that lies in a remote. `name` is relative to the remote's path, with `/` between directories."""

    name: str
    size_bytes: int
    modified_at: datetime | None = None


class Confirmation(StrEnum):
    """How it is known that a remote holds what was sent."""

    CHECKSUM = "checksum"  # the remote itself computed a checksum of what it holds, or received, and it is ours
    READ_BACK = "read back"  # it was read back and hashed here
    SIZE = "size"  # nothing but the size is known
