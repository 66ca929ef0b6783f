"""An SFTP server as a remote, by the OpenSSH client.

`ssh -s HOST sftp` carries the bytes; the protocol on it is spoken here. That is what the program `sftp` does itself,
and so host keys, jump hosts, agents and ciphers are OpenSSH's, as the user has set them. A batch of `sftp` would not
do: its listing is text in which a hostile file name can look like other lines, its `put` says neither how far it is
nor why the server refused something, it cannot create a file only where there is none, and what it left half sent can
be gone on with but not looked at. With the protocol in our hand each answer is exact, dozens of writes are under way at
a time (as in `sftp`), and a cancelled run ends at once.

Checksums are computed by a shell over there where the login has one. Nothing else needs one: an account that may do
nothing but SFTP (`ForceCommand internal-sftp`) has what it holds read back instead.
"""

import contextlib
import posixpath
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes import sftp_wire as wire
from dbtui.adapters.remotes.receiving import check_received, receiving
from dbtui.adapters.remotes.sftp_link import SshLink
from dbtui.adapters.remotes.sftp_session import RefusedRequestError, SftpSession, join
from dbtui.adapters.remotes.sftp_shell import RemoteShell
from dbtui.adapters.remotes.sftp_upload import (
    Upload,
    explain_refusal,
    is_partial,
    make_directories,
    partial_path,
    remove_abandoned,
)
from dbtui.adapters.streams import TICK_SECONDS
from dbtui.errors import RemoteError, RemoteExistsError, StorageError, UsageError
from dbtui.model.backups import BackupFile
from dbtui.model.events import Progressed, Routine
from dbtui.model.remotes import Confirmation, RemoteAddress, RemoteObject, RemoteSettings

_DEPTH = 16
_SURROGATE = re.compile("[\ud800-\udfff]")


class SftpRemote:
    """A directory at an SFTP server. It logs in when it is first asked, and anew after a connection was lost.

    Raises UsageError for an address that names no SSH host.
    """

    def __init__(
        self, address: RemoteAddress, settings: RemoteSettings, environ: Mapping[str, str], cancellation: Cancellation
    ) -> None:
        self._link = SshLink(address, settings, environ)
        self._link.argv(("exec sh",))  # refused now, not at the first use
        self._cancellation = cancellation
        self._session: SftpSession | None = None
        self._shell = RemoteShell(self._link, cancellation)
        self._swept: set[bytes] = set()

    @property
    def address(self) -> RemoteAddress:
        """Where it is."""
        return self._link.address

    def list_objects(self) -> Iterator[RemoteObject]:
        """List the plain files under the path, page by page; no link is followed.

        What is still on its way is left out, and what has a name that is not UTF-8: nothing here gives such names.
        """
        with self._connected() as session:
            for page in session.walk(self._base, _DEPTH):
                for path, found in page:
                    if not found.is_file or found.size_bytes is None or is_partial(path):
                        continue
                    with contextlib.suppress(UnicodeDecodeError):
                        yield RemoteObject(path.decode(), found.size_bytes, found.modified_at)

    def find_object(self, name: str) -> RemoteObject | None:
        """Return one object, None when there is none of that name."""
        with self._connected() as session:
            found = session.find(self._path(name))
            if found is None or not found.is_file or found.size_bytes is None:
                return None
            return RemoteObject(name, found.size_bytes, found.modified_at)

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Return a small object whole. Raises RemoteError when it is absent or larger than the limit."""
        path = self._path(name)
        with self._connected() as session, session.opened(path, wire.READ_ONLY) as handle:
            data = b"".join(session.read_from(handle, path, 0, limit_bytes + 1))
            if len(data) > limit_bytes:
                raise RemoteError(f"{self.address}/{name} is larger than the {limit_bytes} bytes that are read of it")
            return data

    def create(self, name: str, data: bytes) -> None:
        """Write a small object at once, never over another: RemoteExistsError when the name is taken."""
        path = self._path(name)
        partial = partial_path(path, secrets.token_hex(8))
        with self._connected() as session:
            self._refuse_taken(session, path, name)
            make_directories(session, posixpath.dirname(path))
            try:
                with session.opened(partial, wire.WRITE_ONLY | wire.CREATE_NEW) as handle:
                    for _done in session.write_from(_slices(data), handle, partial, 0, len(data)):
                        pass
                    session.fsync(handle, partial)
                session.rename(partial, path)
            except RefusedRequestError as error:
                reason = explain_refusal(session, error, partial)
                with contextlib.suppress(RefusedRequestError):  # the first reason is the one to tell
                    session.remove(partial)
                self._refuse_taken(session, path, name)
                raise reason from error

    def upload(self, source: Path, name: str, file: BackupFile) -> Routine[Confirmation]:
        """Send a file and have what arrived confirmed against its size and SHA-256."""
        path = self._path(name)
        with self._connected() as session:
            how = yield from Upload(session, self._shell, self._cancellation, source, path, file).run()
            if (directory := posixpath.dirname(path)) not in self._swept:
                self._swept.add(directory)
                remove_abandoned(session, path)
            return how

    def download(self, name: str, destination: Path, file: BackupFile) -> Routine[None]:
        """Fetch an object into a new private file and check size and SHA-256; a wrong or partial one is removed."""
        path = self._path(name)
        with self._connected() as session:
            found = session.find(path)
            if found is None:
                raise RemoteError(f"{self.address} holds no {name}", "list it to see what is there")
            if found.size_bytes is not None and found.size_bytes != file.size_bytes:  # known before all of it has come
                check_received(self.address, name, file, found.size_bytes, "")
            with receiving(destination) as local, session.opened(path, wire.READ_ONLY) as handle:
                tick = time.monotonic() + TICK_SECONDS
                for data in session.read_from(handle, path, 0, file.size_bytes + 1):
                    local.write(data)
                    if time.monotonic() >= tick:
                        tick = time.monotonic() + TICK_SECONDS
                        yield Progressed(local.received_bytes, file.size_bytes, "bytes")
                local.finish(self.address, name, file)
                yield Progressed(local.received_bytes, file.size_bytes, "bytes")

    def remove(self, name: str) -> None:
        """Remove one object, and the directories that it leaves empty; no error when it is gone already."""
        path = self._path(name)
        with self._connected() as session:
            session.remove(path)
            for _ in range(name.count("/")):
                path = posixpath.dirname(path)
                if not session.remove_directory(path):
                    break

    def close(self) -> None:
        """End the programs. Never raises."""
        self._shell.close()
        self._drop()

    # --- inside

    @property
    def _base(self) -> bytes:
        return self.address.path.encode()

    def _path(self, name: str) -> bytes:
        if "\0" in name or _SURROGATE.search(name) or any(part in ("", ".", "..") for part in name.split("/")):
            raise UsageError(f"{name!r} is no name for something in {self.address}", "it has to lie below its path")
        return join(self._base, name.encode())

    @contextmanager
    def _connected(self) -> Iterator[SftpSession]:
        """Yield the session, a new one when there is none that lives.

        After a refusal it goes on; whatever else ends the block, a wish to stop included, ends the session.
        """
        if self._session is not None and self._session.is_lost():
            self._drop()
        if self._session is None:
            self._session = SftpSession(self._link, self._cancellation)
        try:
            yield self._session
        except (RemoteError, StorageError):
            raise
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _refuse_taken(self, session: SftpSession, path: bytes, name: str) -> None:
        if session.find(path) is not None:
            raise RemoteExistsError(f"{self.address} holds a {name} already", "nothing was written over")


def _slices(data: bytes) -> Callable[[int, int], bytes]:
    return lambda count, offset: data[offset : offset + count]
