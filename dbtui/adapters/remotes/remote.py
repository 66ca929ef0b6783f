"""What every kind of remote fulfils. A remote is a flat set of names; it knows nothing of manifests or backups."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from dbtui.model.backups import BackupFile
from dbtui.model.events import Routine
from dbtui.model.remotes import Confirmation, RemoteAddress, RemoteObject


class Remote(Protocol):
    """An open remote, owned by one thread. Its methods stop when the run's cancellation is requested.

    Names are relative to the address's path. Errors: ConnectError (not reached, login refused), RemoteError (it said
    no, or what it holds is not what was sent), StorageError (this machine's disk), Cancelled.
    """

    @property
    def address(self) -> RemoteAddress:
        """Where it is."""
        ...

    def list_objects(self) -> Iterator[RemoteObject]:
        """List everything under the path, page by page; nothing for one that does not exist yet."""
        ...

    def find_object(self, name: str) -> RemoteObject | None:
        """Return one object, None when there is none of that name."""
        ...

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Return a small object whole. Raises RemoteError when it is absent or larger than the limit."""
        ...

    def create(self, name: str, data: bytes) -> None:
        """Write a small object at once, never over another: RemoteExistsError when the name is taken."""
        ...

    def upload(self, source: Path, name: str, file: BackupFile) -> Routine[Confirmation]:
        """Send a file and have what arrived confirmed against its size and SHA-256.

        Yields Progressed in bytes of this file. Under `name` there is nothing or the whole file, never a part. What an
        earlier try left is gone on from where the remote can, else begun anew.
        """
        ...

    def download(self, name: str, destination: Path, file: BackupFile) -> Routine[None]:
        """Fetch an object into a new private file and check size and SHA-256; a wrong or partial one is removed."""
        ...

    def remove(self, name: str) -> None:
        """Remove one object; no error when it is gone already."""
        ...

    def close(self) -> None:
        """Close connections, end programs, remove temporary files. Never raises."""
        ...
