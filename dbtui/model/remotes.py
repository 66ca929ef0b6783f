"""Remotes: where copies of backups lie off this machine. An S3 bucket, an SFTP directory and the like."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from dbtui.model.connections import Secret


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
        """As people write it: s3://backups/erp, sftp://dba@vault:2222/srv/backups, sftp://vault/~/backups."""
        user, at, machine = self.host.rpartition("@")
        host = f"{user}{at}[{machine}]" if ":" in machine else self.host
        port = f":{self.port}" if self.port is not None else ""
        tail = self.path if self.path.startswith("/") or not self.path else f"/{self.path}"
        if self.kind is RemoteKind.SFTP and not self.path.startswith("/"):
            tail = f"/~{tail}"
        return f"{self.kind.value}://{host}{port}{tail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """What the configuration says about a remote, beside its address. What is empty the environment may say."""

    timeout_seconds: float = 60.0  # how long nothing may come forward, tries included, before it is given up
    # object stores
    endpoint: str = ""  # https://minio.example.org:9000; empty: the provider's own
    region: str = ""
    path_style: bool | None = None  # S3: the bucket in the path, not in the host's name; None: with an endpoint
    profile: str = ""  # S3: the section of ~/.aws/credentials and ~/.aws/config
    access_key_id: str = ""  # S3
    account: str = ""  # Azure: the storage account
    secret: Secret | None = None  # S3: the secret access key; Azure: the account's key
    credentials_file: Path | None = None  # Google: the service account's JSON key
    ca_file: Path | None = None  # certificates to trust besides the system's, PEM
    storage_class: str = ""  # S3: STANDARD_IA, GLACIER_IR and the like
    # SFTP
    identity_file: Path | None = None
    ssh_config_file: Path | None = None  # instead of ~/.ssh/config


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
