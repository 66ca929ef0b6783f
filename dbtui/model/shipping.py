"""Shipping: copies of backups that go to a remote and come from one, and what a remote holds."""

from dataclasses import dataclass, field

from dbtui.model.backups import BackupEntry, Manifest, PlanStep
from dbtui.model.connections import EngineName
from dbtui.model.remotes import RemoteAddress

#: Beside the data in a remote while it is sent: whose it is, before there is a manifest that says so.
PUSHING_SUFFIX = ".pushing.json"
PUSHING_VERSION = 1


@dataclass(frozen=True, slots=True)
class BackupOrigin:
    """What `latest` is to be the latest of. Databases of several servers may have one name, and share a remote."""

    database: str
    engine: EngineName
    url: str  # without a secret, as manifests have it
    profile: str = ""


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """A file of a backup on its way. `is_there`: it need not be sent or fetched any more."""

    name: str
    size_bytes: int
    is_there: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingPlan:
    """A backup about to be sent or fetched. It may be shipped only when `refusals` is empty.

    `is_done`: a whole copy is there already, nothing is left to do. `directory` is the one on this machine.
    """

    backup_id: str
    address: RemoteAddress
    directory: str
    data_name: str
    files: tuple[ShippedFile, ...]
    is_done: bool = False
    steps: tuple[PlanStep, ...] = ()
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[ShippedFile, ...]:
        """The files that are not there yet."""
        return tuple(file for file in self.files if not file.is_there)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def missing_bytes(self) -> int:
        """Bytes that are not there yet."""
        return sum(file.size_bytes for file in self.missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan(ShippingPlan):
    """A backup about to be sent. `fingerprint` is that of its files; `is_listed`: its manifest is there already."""

    entry: BackupEntry
    fingerprint: str
    is_listed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PullPlan(ShippingPlan):
    """A backup about to be fetched. `encoded` is its manifest as the remote holds it."""

    manifest: Manifest
    encoded: bytes = field(repr=False)
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingResult:
    """A backup that was sent or fetched. `path` is where the copy lies: a path here, or an address.

    `confirmation` is the weakest way in which a remote confirmed what was sent; empty when nothing was sent.
    """

    backup_id: str
    remote: str
    path: str
    was_there: bool
    files: int
    size_bytes: int
    moved_files: int
    moved_bytes: int
    seconds: float
    confirmation: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteHistory:
    """The backups in a remote, newest first. `problem` says why they are not known, or not all of them."""

    address: str
    entries: tuple[BackupEntry, ...] = ()
    problem: str = ""
    remarks: tuple[str, ...] = ()
