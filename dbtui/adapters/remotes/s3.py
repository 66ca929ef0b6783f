"""S3 and what speaks it. Looking, reading and removing are obstore's; writing and listing are our own.

Ours because obstore lets nobody go on with an upload that a crash left, or abort it, or compare what the server
computed of each part; because one key in the bucket that it takes for no path would end its listing; and because it
asks a server that knows no conditional writes again and again.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from dbtui.adapters.background import Background
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.refusals import check_name, join_key
from dbtui.adapters.remotes.s3_link import S3Door, S3Link, S3Request
from dbtui.adapters.remotes.s3_listing import list_objects, list_uploads
from dbtui.adapters.remotes.s3_parts import Bytes
from dbtui.adapters.remotes.s3_upload import S3Upload, abort_upload
from dbtui.adapters.remotes.stores import ObjectStoreRemote, Store
from dbtui.errors import RemoteError, RemoteExistsError
from dbtui.model.backups import BackupFile
from dbtui.model.events import Progressed, Routine
from dbtui.model.remotes import Confirmation, RemoteObject

_LEFT_FOR_GOOD = timedelta(days=7)


class S3Remote(ObjectStoreRemote):
    """A bucket of S3. Owned by one thread."""

    def __init__(self, door: S3Door, store: Store, storage_class: str, cancellation: Cancellation) -> None:
        super().__init__(door.address, store, door.timeout_seconds, cancellation)
        self._door = door
        self._storage_class = storage_class
        self._has_swept = False

    def list_objects(self) -> Iterator[RemoteObject]:
        """List everything under the path. Names that no run of ours can have written are left out."""
        link = S3Link(self._door)
        try:
            with self._cancellation.interrupting(link.stop):
                yield from list_objects(link, self._prefix)
        finally:
            link.close()

    def _put_small(self, name: str, data: bytes, mode: Literal["create", "overwrite"]) -> str:
        """Write; return the ETag, which may be the MD5."""
        link = S3Link(self._door)
        body = Bytes(data)
        headers = {"Content-MD5": body.content_md5} | ({"if-none-match": "*"} if mode == "create" else {})
        request = S3Request("PUT", join_key(self._address, name), f"write {name}", {}, headers, body)
        try:
            with self._cancellation.interrupting(link.stop):
                return link.send(request).headers.get("etag", "").strip('"')
        except RemoteExistsError:
            if link.has_tried_again and self.read(name, len(data) + 1) == data:
                return ""  # the first try has written it, and its answer was lost
            raise
        finally:
            link.close()

    def close(self) -> None:
        """End what is under way."""
        super().close()
        self._door.close()

    def upload(self, source: Path, name: str, file: BackupFile) -> Routine[Confirmation]:
        """Send a file in parts, going on with what an earlier try left, and compare the server's checksums with ours.

        Where the server tells none that could be compared (an encryption with keys of its own), it is read back.
        """
        check_name(self._address, name)
        self._sweep(join_key(self._address, name))
        upload = S3Upload(self._door, source, name, file, self._storage_class)
        with Background(upload.run, upload.stop, self._cancellation) as background:
            confirmed = yield from background.wait(
                lambda: Progressed(upload.sent_bytes, file.size_bytes, "bytes", file.path)
            )
        if not confirmed:
            yield from self._check_there(name, file)
            return Confirmation.READ_BACK
        return Confirmation.CHECKSUM

    @property
    def _prefix(self) -> str:
        return f"{self._address.path}/" if self._address.path else ""

    def _sweep(self, but: str) -> None:
        """Once: abort uploads below our path that were begun a week ago. Not every store allows it."""
        if self._has_swept or not self._prefix:
            return
        self._has_swept = True
        link = S3Link(self._door)
        try:
            with suppress(RemoteError), self._cancellation.interrupting(link.stop):
                for left in list(list_uploads(link, self._prefix)):
                    if (
                        left.key != but
                        and left.begun_at is not None
                        and datetime.now(UTC) - left.begun_at > _LEFT_FOR_GOOD
                    ):
                        abort_upload(link, left.key, left.upload_id)
        finally:
            link.close()
