"""What lies in a bucket: objects, uploads that were begun, and their parts. Read page by page."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus

from dbtui.adapters.remotes.refusals import is_plain_name
from dbtui.adapters.remotes.s3_link import S3Link, S3Reply, S3Request
from dbtui.errors import RemoteError
from dbtui.model.remotes import RemoteObject

_NO_SUCH_UPLOAD = 404


@dataclass(frozen=True, slots=True)
class UploadThere:
    """An upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    begun_at: datetime | None


@dataclass(frozen=True, slots=True)
class PartThere:
    """A part of such an upload."""

    size_bytes: int
    etag: str
    sha256: str


def parse_answer(reply: S3Reply, root_name: str) -> ElementTree.Element:
    """Read an answer's XML, its namespace left out. Raises RemoteError when its root's name begins with another.

    A hotel's or proxy's own page would otherwise be an empty bucket.
    """
    if b"<!DOCTYPE" in reply.body or b"<!ENTITY" in reply.body:
        raise RemoteError("the server's answer declares entities, which S3 has not", "see whether endpoint is right")
    try:
        root = ElementTree.fromstring(reply.body)  # noqa: S314
    except ElementTree.ParseError:
        raise RemoteError("the server's answer is no XML", "see whether endpoint is that of S3") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if not root.tag.startswith(root_name):
        raise RemoteError(
            f"the server's answer is no {root_name}", "see whether endpoint is that of S3, or a proxy answers"
        )
    return root


def list_objects(link: S3Link, prefix: str) -> Iterator[RemoteObject]:
    """List the objects whose key begins with `prefix`, under what follows it.

    Keys that no name of ours could be (`a//b`, `..`, control characters; the placeholders of directories) are left out.
    """
    query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    while True:
        page = parse_answer(link.send(S3Request("GET", "", "list it", query)), "ListBucketResult")
        encoded = page.findtext("EncodingType") == "url"
        for entry in page.iter("Contents"):
            key = _key(entry, encoded=encoded)
            name = key.removeprefix(prefix)
            if key.startswith(prefix) and is_plain_name(name):
                yield RemoteObject(name, _number(entry, "Size"), _time(entry.findtext("LastModified")))
        token = page.findtext("NextContinuationToken")
        if page.findtext("IsTruncated") != "true" or not token:
            return
        query["continuation-token"] = token


def list_uploads(link: S3Link, prefix: str) -> Iterator[UploadThere]:
    """List the uploads under way, or left, whose key begins with `prefix`."""
    query = {"uploads": "", "prefix": prefix, "encoding-type": "url"}
    while True:
        page = parse_answer(link.send(S3Request("GET", "", "list its uploads", query)), "ListMultipartUploadsResult")
        encoded = page.findtext("EncodingType") == "url"
        for entry in page.iter("Upload"):
            begun_at = _time(entry.findtext("Initiated"))
            yield UploadThere(_key(entry, encoded=encoded), entry.findtext("UploadId") or "", begun_at)
        marker = page.findtext("NextUploadIdMarker")
        if page.findtext("IsTruncated") != "true" or not marker:
            return
        next_key = page.findtext("NextKeyMarker") or ""
        query |= {"upload-id-marker": marker, "key-marker": unquote_plus(next_key) if encoded else next_key}


def list_parts(link: S3Link, key: str, upload_id: str) -> dict[int, PartThere] | None:
    """Return the parts of an upload that have arrived, None when there is no such upload any more."""
    found: dict[int, PartThere] = {}
    query = {"uploadId": upload_id}
    while True:
        reply = link.send(S3Request("GET", key, "list the parts of an upload", query), allowed=(_NO_SUCH_UPLOAD,))
        if reply.status == _NO_SUCH_UPLOAD:
            return None
        page = parse_answer(reply, "ListParts")
        for entry in page.iter("Part"):
            etag = (entry.findtext("ETag") or "").strip('"')
            part = PartThere(_number(entry, "Size"), etag, entry.findtext("ChecksumSHA256") or "")
            found[_number(entry, "PartNumber")] = part
        marker = page.findtext("NextPartNumberMarker")
        if page.findtext("IsTruncated") != "true" or not marker:
            return found
        query["part-number-marker"] = marker


def _key(entry: ElementTree.Element, *, encoded: bool) -> str:
    key = entry.findtext("Key") or ""
    return unquote_plus(key) if encoded else key


def _number(entry: ElementTree.Element, name: str) -> int:
    text = entry.findtext(name) or ""
    if re.fullmatch(r"[0-9]{1,18}", text) is None:
        raise RemoteError(f"the server's answer has no number as {name}", "see whether endpoint is that of S3")
    return int(text)


def _time(text: str | None) -> datetime | None:
    if text is None or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)", text) is None:
        return None
    return datetime.fromisoformat(text)
