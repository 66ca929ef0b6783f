"""Another directory of this machine as a remote: a mounted share, a second disk. Files are whole or not there."""

import glob
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.receiving import check_received, receiving
from dbtui.adapters.remotes.refusals import check_name, is_plain_name
from dbtui.adapters.remotes.s3_parts import check_hash, check_size, read_stretch
from dbtui.adapters.streams import create_file, fsync_path, storage_errors
from dbtui.errors import ConnectError, RemoteError, RemoteExistsError
from dbtui.model.backups import BackupFile
from dbtui.model.events import Progressed, Routine
from dbtui.model.remotes import Confirmation, RemoteAddress, RemoteObject

_UNFINISHED = ".sending"
_LEFT_FOR_GOOD_SECONDS = 7 * 86_400


class DirectoryRemote:
    """A directory. What is being written lies beside its name as `NAME.<16 digits>.sending`, which is never listed."""

    def __init__(self, address: RemoteAddress, cancellation: Cancellation) -> None:
        self._address = address
        self._root = Path(address.path)
        self._cancellation = cancellation

    @property
    def address(self) -> RemoteAddress:
        """Where it is."""
        return self._address

    def list_objects(self) -> Iterator[RemoteObject]:
        """List the files below it. Links, unfinished files and names that are none of ours are left out."""
        try:
            yield from self._list(self._root, "")
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._refusal(error, "list it") from None

    def _list(self, directory: Path, before: str) -> Iterator[RemoteObject]:
        with os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                self._cancellation.check()
                name = before + entry.name
                if not is_plain_name(name) or name.endswith(_UNFINISHED):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from self._list(directory / entry.name, f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    yield _object(name, entry.stat(follow_symlinks=False))

    def find_object(self, name: str) -> RemoteObject | None:
        """Return one object, None when there is none of that name."""
        path = self._root / check_name(self._address, name)
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._refusal(error, f"look for {name}") from None
        return _object(name, found) if stat.S_ISREG(found.st_mode) else None

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Return a small object whole. Raises RemoteError when it is absent or larger than the limit."""
        try:
            with self._path(name).open("rb") as opened:
                data = opened.read(limit_bytes + 1)
        except OSError as error:
            raise self._refusal(error, f"read {name}") from None
        if len(data) > limit_bytes:
            raise RemoteError(
                f"{name} in {self._address} is larger than it can be", f"the limit is {limit_bytes} bytes"
            )
        return data

    def create(self, name: str, data: bytes) -> None:
        """Write a small object at once, never over another. Raises RemoteExistsError when the name is taken."""
        path = self._path(name)
        self._make_room(path)
        _sweep(path)
        unfinished = _unfinished(path)
        with storage_errors(path):
            try:
                with create_file(unfinished) as opened:
                    opened.write(data)
                    os.fsync(opened.fileno())
                os.link(unfinished, path)  # fails, other than a rename, when the name is taken
            except FileExistsError:
                raise RemoteExistsError(f"{self._address} holds {name} already") from None
            finally:
                unfinished.unlink(missing_ok=True)
        fsync_path(path.parent)

    def upload(self, source: Path, name: str, file: BackupFile) -> Routine[Confirmation]:
        """Copy a file, have it durable, read it back from the disk and hash it, and only then give it its name."""
        path = self._path(name)
        self._make_room(path)
        _sweep(path)
        unfinished = _unfinished(path)
        with storage_errors(source), source.open("rb") as opened:
            check_size(source, opened.fileno(), file)
            with receiving(unfinished) as received:
                for chunk in read_stretch(opened.fileno(), source, 0, file.size_bytes):
                    self._cancellation.check()
                    received.write(chunk)
                    yield Progressed(received.received_bytes, file.size_bytes, "bytes", file.path)
                check_hash(source, received.sha256, file)
                received.finish(self._address, name, file)
                yield from self._check_there(unfinished, name, file)
                with storage_errors(path):
                    unfinished.replace(path)
        fsync_path(path.parent)
        return Confirmation.READ_BACK

    def _check_there(self, path: Path, name: str, file: BackupFile) -> Routine[None]:
        hashed = hashlib.sha256()
        size = 0
        with storage_errors(path), path.open("rb") as opened:
            # What is still in memory is dropped, so that the disk is asked; where the system can.
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            for chunk in read_stretch(opened.fileno(), path, 0, os.fstat(opened.fileno()).st_size):
                self._cancellation.check()
                hashed.update(chunk)
                size += len(chunk)
                yield Progressed(size, file.size_bytes, "bytes", f"reading {file.path} back")
        check_received(self._address, name, file, size, hashed.hexdigest())

    def download(self, name: str, destination: Path, file: BackupFile) -> Routine[None]:
        """Copy an object into a new private file and check size and SHA-256; a wrong one is removed."""
        found = self.find_object(name)
        if found is None:
            raise RemoteError(f"{self._address} holds no {name}", "use another copy")
        check_received(self._address, name, file, found.size_bytes, file.sha256)
        path = self._path(name)
        with receiving(destination) as received:
            try:
                opened = path.open("rb")
            except OSError as error:
                raise self._refusal(error, f"read {name}") from None
            with opened:
                for chunk in read_stretch(opened.fileno(), path, 0, file.size_bytes):
                    self._cancellation.check()
                    received.write(chunk)
                    yield Progressed(received.received_bytes, file.size_bytes, "bytes", name)
            received.finish(self._address, name, file)

    def remove(self, name: str) -> None:
        """Remove one object, and its directories as far as they are empty then; no error when it is gone already."""
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise self._refusal(error, f"remove {name}") from None
        with suppress(OSError):  # one that is not empty stays
            for directory in list(path.parents)[: len(name.split("/")) - 1]:
                directory.rmdir()
        fsync_path(next(each for each in path.parents if each.is_dir()))

    def close(self) -> None:
        """Nothing is open between calls."""

    def _path(self, name: str) -> Path:
        """Return where a name lies. Raises RemoteError when a link would lead elsewhere."""
        path = self._root / check_name(self._address, name)
        for each in (path, *list(path.parents)[: len(name.split("/")) - 1]):
            if each.is_symlink():
                raise RemoteError(f"{name} in {self._address} is, or lies behind, a symbolic link", "remove the link")
        return path

    def _make_room(self, path: Path) -> None:
        """Create the directories of a name. That of the remote must be there: a share may not be mounted."""
        if not self._root.is_dir():
            raise ConnectError(
                f"{self._address}: there is no such directory",
                "mount it, or create it: a share that is not mounted is none",
            )
        with storage_errors(path.parent):
            for directory in reversed(path.parents):  # mkdir's own `parents` would ignore the mode
                if directory.is_relative_to(self._root):
                    directory.mkdir(mode=0o700, exist_ok=True)

    def _refusal(self, error: OSError, doing: str) -> RemoteError:
        return RemoteError(f"{self._address} did not let us {doing}: {error.strerror}", "see its owner and permissions")


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.{secrets.token_hex(8)}{_UNFINISHED}")


def _sweep(path: Path) -> None:
    """Remove what runs that were killed left of this name a week ago and more."""
    with suppress(OSError):  # somebody else's
        for left in path.parent.glob(f"{glob.escape(path.name)}.*{_UNFINISHED}"):
            if time.time() - left.lstat().st_mtime > _LEFT_FOR_GOOD_SECONDS:
                left.unlink()


def _object(name: str, found: os.stat_result) -> RemoteObject:
    return RemoteObject(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
