"""Sending one file to S3: in parts, several at a time, each one's checksum compared with what the server computed.

The object appears when the upload is completed, whole or not at all. An upload that was given up is aborted, so that
no hidden parts are paid for; one that a crash or a lost network left is found by the next try, which goes on with it.
Source: Amazon S3 User Guide, "Uploading and copying objects using multipart upload".
"""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from dbtui.adapters.remotes.refusals import UploadGoneError, join_key
from dbtui.adapters.remotes.s3_link import S3Door, S3Link, S3Reply, S3Request
from dbtui.adapters.remotes.s3_listing import PartThere, list_parts, list_uploads, parse_answer
from dbtui.adapters.remotes.s3_parts import Bytes, Checksums, Part, Parts, check_hash, check_size, plan_part_bytes
from dbtui.adapters.streams import storage_errors
from dbtui.errors import Cancelled, ConnectError, DbtuiError, RemoteError
from dbtui.model.backups import BackupFile

_LINKS = 6  # a server takes a moment for each part, in which others are sent
_TRIES = 3  # of a part that arrived otherwise than it was sent
_ABORT_SECONDS = 2.0
_OK, _FORBIDDEN, _ABSENT = 200, 403, 404  # a login may be allowed to write and not to look
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass
class _Sent:
    """What is known of the parts that arrived."""

    etags: dict[int, str] = field(default_factory=dict)
    checksums: dict[int, str] = field(default_factory=dict)  # SHA-256 in base64, where the server says it
    unconfirmed: set[int] = field(default_factory=set)


class S3Upload:
    """One file's way into a bucket. `run` blocks; `stop` and `sent_bytes` are for other threads."""

    def __init__(self, door: S3Door, source: Path, name: str, file: BackupFile, storage_class: str = "") -> None:
        self.door = door
        self.source, self.name, self.file = source, name, file
        self.key = join_key(door.address, name)
        self.resumed_bytes = 0
        self._class = {"x-amz-storage-class": storage_class} if storage_class else {}
        self._with_checksums = door.place.is_amazon
        self._checksums = Checksums(sha256=self._with_checksums, md5=not self._with_checksums)
        self._is_small = file.size_bytes <= plan_part_bytes(0)
        self._lock = threading.Lock()
        self._stopped = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        with self._lock:
            self._links = [S3Link(self.door) for _ in range(1 if self._is_small else _LINKS)]
            self._sent = _Sent()
            self._done_bytes = 0
            self._under_way: dict[int, Part] = {}
            self._upload_id = ""
            self._has_begun = False
        if self._stopped:
            self.stop()

    @property
    def sent_bytes(self) -> int:
        """How much of the file has been sent."""
        with self._lock:
            return self._done_bytes + sum(part.sent_bytes for part in self._under_way.values())

    def stop(self) -> None:
        """End it. Called from any thread, any number of times; `run` then raises Cancelled."""
        self._stopped = True
        self._stop_links()

    def _stop_links(self) -> None:
        with self._lock:
            links = list(self._links)
        for link in links:
            link.stop()

    def run(self) -> bool:
        """Send the file; return whether the server computed the same checksums of all it received.

        Raises StorageError, ConnectError, RemoteError, Cancelled. After all but a ConnectError nothing of it is left.
        """
        try:
            with storage_errors(self.source), self.source.open("rb") as opened:
                descriptor = opened.fileno()
                check_size(self.source, descriptor, self.file)
                if self._is_small:
                    return self._send_whole(descriptor)
                return self._is_there(descriptor) or self._send_parts_stubbornly(descriptor)
        finally:
            self._close_links()

    def _close_links(self) -> None:
        for link in self._links:
            link.close()

    def _is_there(self, descriptor: int) -> bool:
        """Return whether an earlier try, or another run, has put the whole file there, by its parts' checksums."""
        reply = self._links[0].send(S3Request("HEAD", self.key, f"look for {self.name}"), allowed=(_ABSENT, _FORBIDDEN))
        there = reply.headers.get("etag", "").strip('"')
        count = -(-self.file.size_bytes // plan_part_bytes(self.file.size_bytes))
        if reply.status != _OK or not there.endswith(f"-{count}"):
            return False
        whole = hashlib.md5(usedforsecurity=False)
        parts = Parts(descriptor, self.source, self.file, Checksums(sha256=False, md5=True))
        while (part := parts.take()) is not None:
            whole.update(bytes.fromhex(part.md5))
            if self._stopped:
                raise Cancelled(f"stopped while {self.source} was read")
        return there == f"{whole.hexdigest()}-{count}"

    def _send_parts_stubbornly(self, descriptor: int) -> bool:
        """Send in parts, once more if another run completes or aborts the upload that this one goes on with."""
        try:
            return self._send_parts(descriptor)
        except UploadGoneError:
            self._close_links()
            self._begin_anew()
        return self._is_there(descriptor) or self._send_parts(descriptor)

    # --- small: one request ----------------------------------------------------------------------------------

    def _send_whole(self, descriptor: int) -> bool:
        part = Part(descriptor, self.source, 1, 0, self.file.size_bytes)
        part.hash(Checksums(sha256=True, md5=True))
        check_hash(self.source, part.sha256, self.file)
        with self._lock:
            self._under_way[1] = part
        return self._send_until_confirmed(self._links[0], part, {}, dict(self._class))

    # --- large: an upload in parts ---------------------------------------------------------------------------

    def _send_parts(self, descriptor: int) -> bool:
        try:
            there = self._begin()
            parts = Parts(descriptor, self.source, self.file, self._checksums)
            with ThreadPoolExecutor(len(self._links), "upload") as pool:
                jobs = [pool.submit(self._send_each, link, parts, there) for link in self._links]
                wait(jobs)
            self._raise_first([error for job in jobs if (error := job.exception()) is not None])
            return self._complete()
        except ConnectError:
            raise  # what arrived is gone on with by the next try
        except BaseException:
            self._abort()
            raise

    def _raise_first(self, errors: list[BaseException]) -> None:
        """Of several threads' errors the first one is the cause; the others were stopped by it."""
        errors.sort(key=lambda error: isinstance(error, Cancelled))
        if errors:
            raise errors[0]

    def _begin(self) -> dict[int, PartThere]:
        """Find the upload that an earlier try left, or begin one; return the parts that are there."""
        link = self._links[0]
        with suppress(RemoteError):  # not every store lists them, nor allows it
            for left in list_uploads(link, self.key):
                there = list_parts(link, self.key, left.upload_id) if left.key == self.key else None
                if there is not None:
                    self._upload_id = left.upload_id
                    return there
        headers = dict(self._class)
        if self._with_checksums:
            headers["x-amz-checksum-algorithm"] = "SHA256"
        self._has_begun = True
        reply = link.send(S3Request("POST", self.key, f"write {self.name}", {"uploads": ""}, headers))
        self._upload_id = read_upload_id(reply)
        return {}

    def _send_each(self, link: S3Link, parts: Parts, there: dict[int, PartThere]) -> None:
        try:
            while (part := parts.take()) is not None:
                self._send_part(link, part, there.get(part.number))
        except BaseException:
            self._stop_links()
            raise

    def _send_part(self, link: S3Link, part: Part, there: PartThere | None) -> None:
        if there is not None and there.size_bytes == part.size_bytes and self._is_ours(part, there.etag, there.sha256):
            self._note(part, there.etag, there.sha256, confirmed=True)
            with self._lock:
                self.resumed_bytes += part.size_bytes
            return
        with self._lock:
            self._under_way[part.number] = part
        query = {"partNumber": str(part.number), "uploadId": self._upload_id}
        self._send_until_confirmed(link, part, query, {})

    def _send_until_confirmed(self, link: S3Link, part: Part, query: dict[str, str], headers: dict[str, str]) -> bool:
        """Send a part, again if the server computed another checksum; return whether it computed ours."""
        headers |= part.digest_headers(with_sha256=self._with_checksums)
        for _ in range(_TRIES):
            reply = link.send(S3Request("PUT", self.key, f"write {self.name}", query, headers, part))
            etag = reply.headers.get("etag", "").strip('"')
            checksum = reply.headers.get("x-amz-checksum-sha256", "") if self._with_checksums else ""
            confirmed = self._is_ours(part, etag, checksum)
            if confirmed:
                break
        self._note(part, etag, part.sha256_base64 if self._with_checksums else "", confirmed=confirmed)
        return confirmed

    def _is_ours(self, part: Part, etag: str, checksum: str) -> bool:
        """Return whether what the server computed of a part is what was computed here."""
        return (self._with_checksums and checksum == part.sha256_base64) or (part.md5 != "" and etag == part.md5)

    def _note(self, part: Part, etag: str, checksum: str, *, confirmed: bool) -> None:
        with self._lock:
            self._under_way.pop(part.number, None)
            self._done_bytes += part.size_bytes
            self._sent.etags[part.number] = etag
            self._sent.checksums[part.number] = checksum
            if not confirmed:
                self._sent.unconfirmed.add(part.number)

    def _complete(self) -> bool:
        """Have the parts become the object; return whether all of it is confirmed."""
        sent = self._sent
        lines = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(sent.etags[number])}&quot;</ETag>"
            + (f"<ChecksumSHA256>{escape(sent.checksums[number])}</ChecksumSHA256>" if sent.checksums[number] else "")
            + "</Part>"
            for number in sorted(sent.etags)
        )
        text = f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{lines}</CompleteMultipartUpload>'
        query = {"uploadId": self._upload_id}
        reply = self._links[0].send(S3Request("POST", self.key, f"write {self.name}", query, {}, Bytes(text.encode())))
        parse_answer(reply, "CompleteMultipartUploadResult")
        return not sent.unconfirmed

    def _abort(self) -> None:
        """Have the parts that arrived thrown away. If that fails, too, the next try goes on with them."""
        link = S3Link(self.door, _ABORT_SECONDS)
        with suppress(DbtuiError):
            if self._upload_id:
                abort_upload(link, self.key, self._upload_id)
            elif self._has_begun:  # the answer that would have named it was not waited for
                for left in list(list_uploads(link, self.key)):
                    if left.key == self.key:
                        abort_upload(link, self.key, left.upload_id)
        link.close()


def abort_upload(link: S3Link, key: str, upload_id: str) -> None:
    """Have an upload's parts thrown away; no error when it is gone already."""
    link.send(S3Request("DELETE", key, "give up an upload", {"uploadId": upload_id}), allowed=(_ABSENT,))


def read_upload_id(reply: S3Reply) -> str:
    """Return the id of an upload that was begun. Raises RemoteError when the answer has none."""
    found = parse_answer(reply, "InitiateMultipartUploadResult").findtext("UploadId")
    if not found:
        raise RemoteError("the server began an upload without naming it", "see whether it speaks S3")
    return found
