"""Backups of a small file, a directory that plays the remote, and what lies in both."""

import hashlib
import json
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dbtui.adapters.driving import exhaust
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteAddress, RemoteSettings
from dbtui.model.shipping import PullPlan, PushPlan, ShippingResult
from dbtui.routines.backups import find_backup
from dbtui.routines.backups.pull import apply_pull, plan_pull
from dbtui.routines.backups.push import apply_push, plan_push
from dbtui.routines.context import RoutineContext
from tests.backup_histories import back_up, make_file

ResultT = TypeVar("ResultT")


def drive(work: Generator[Any, None, ResultT]) -> ResultT:
    """Run a routine to its end."""
    return exhaust(work)


def names_in(directory: Path) -> set[str]:
    """Every file below a directory."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


@dataclass
class Lab:
    """A machine with a database file and its backups, and a remote. `address` may be replaced by another remote's."""

    root: Path
    profile: ConnectionProfile
    address: RemoteAddress
    settings: RemoteSettings = field(default_factory=RemoteSettings)

    @classmethod
    def make(cls, root: Path, rows: int = 50) -> "Lab":
        """Make the file and an empty directory that is the remote."""
        (root / "remote").mkdir()
        return cls(root, make_file(root / "erp.db", rows), parse_remote_address(f"file://{root}/remote"))

    @property
    def here(self) -> Path:
        """Where the backups are."""
        return self.root / "backups"

    @property
    def there(self) -> Path:
        """The directory that plays the remote."""
        return self.root / "remote"

    @property
    def c(self) -> RoutineContext:
        """A run's surroundings."""
        return RoutineContext(remote_settings=lambda _address: self.settings)

    def back_up(self) -> BackupEntry:
        """Make a backup here."""
        return find_backup(self.here, back_up(self.profile, self.here))

    def plan_push(self, entry: BackupEntry) -> PushPlan:
        """Look at both sides."""
        return drive(plan_push(self.c, entry, self.address))

    def push(self, entry: BackupEntry) -> ShippingResult:
        """Send a backup."""
        return drive(apply_push(self.c, self.plan_push(entry)))

    def plan_pull(self, reference: str, into: str = "fetched") -> PullPlan:
        """Look at both sides."""
        return drive(plan_pull(self.c, self.address, reference, lambda _manifest: self.root / into))

    def pull(self, reference: str, into: str = "fetched") -> ShippingResult:
        """Fetch a backup."""
        return drive(apply_pull(self.c, self.plan_pull(reference, into)))

    def open_remote(self) -> "AbstractContextManager[Any]":
        """Reach the remote."""
        return self.c.open_remote(self.address)


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Alter a manifest."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def flip(path: Path, at: int = 5000) -> None:
    """Flip one bit of a file, whose size and times stay what they are."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest_of(entry: BackupEntry) -> Path:
    """Where the manifest of a backup here lies."""
    return Path(entry.data_path + ".manifest.json")


def as_directory(lab: Lab, entry: BackupEntry) -> BackupEntry:
    """A backup in a directory of twelve files, whose manifest is true as far as shipping goes."""
    base = lab.here / "erp-20261101T000000Z.dir"
    base.mkdir()
    files: list[dict[str, Any]] = []
    for number in range(12):
        data = f"rows {number}\n".encode() * (number + 1)
        (base / f"{number}.dat").write_bytes(data)
        files.append({"path": f"{base.name}/{number}.dat", "size_bytes": len(data),
                      "sha256": hashlib.sha256(data).hexdigest()})  # fmt: skip
    document = json.loads(manifest_of(entry).read_text())
    document |= {"backup_id": "erp-20261101T000000Z", "engine": "postgresql", "format": "directory", "files": files,
                 "size_bytes": sum(file["size_bytes"] for file in files)}  # fmt: skip
    (lab.here / f"{base.name}.manifest.json").write_text(json.dumps(document))
    for path in (Path(entry.data_path), manifest_of(entry)):
        path.unlink()
    return find_backup(lab.here, "erp-20261101T000000Z")
