"""Google Cloud Storage, against a few lines that speak its XML API as its documentation has it."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.registry import open_remote
from dbtui.adapters.remotes.remote import Remote
from dbtui.errors import RemoteError, RemoteExistsError
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import Confirmation, RemoteSettings
from tests.remote_files import MEBIBYTE, run, write_file
from tests.scripted_store import Answer, Request, Scripted, refusal


class Bucket:
    """One bucket in memory; `parts` are those of uploads that have not ended."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.spoil = False

    def __call__(self, request: Request) -> Answer:
        assert "authorization" not in request.headers or request.headers["authorization"].startswith("Bearer ")
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        _, bucket, *rest = unquote(parts.path).split("/", 2)
        if bucket != "dumps":
            return refusal(404, "NoSuchBucket")
        if not rest or not rest[0]:
            return self._list(query["prefix"])
        return self._converse(request, rest[0], query)

    def _list(self, prefix: str) -> Answer:
        entries = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(data)}</Size><LastModified>2026-11-23T09:00:00.000Z</LastModified>"
            f'<ETag>"e"</ETag></Contents>'
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return Answer(200, f"<ListBucketResult>{entries}</ListBucketResult>")

    def _converse(self, request: Request, key: str, query: dict[str, str]) -> Answer:
        if request.method in ("GET", "HEAD"):
            return self._read(request, key)
        if "uploads" in query:
            self.parts[key] = {}
            names = f"<Bucket>dumps</Bucket><Key>{key}</Key><UploadId>{key}</UploadId>"
            return Answer(200, f"<InitiateMultipartUploadResult>{names}</InitiateMultipartUploadResult>")
        if "partNumber" in query:
            self.parts[key][int(query["partNumber"])] = request.body
            return _done(request.body)
        if request.method == "POST":
            data = b"".join(data for _, data in sorted(self.parts.pop(key).items()))
            self.objects[key] = data[:-1] + b"!" if self.spoil else data
            return Answer(200, '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')
        if request.method == "DELETE":
            return Answer(204 if self.objects.pop(key, None) is not None else 404)
        if request.headers.get("x-goog-if-generation-match") == "0" and key in self.objects:
            return refusal(412, "PreconditionFailed")
        self.objects[key] = request.body
        return _done(request.body)

    def _read(self, request: Request, key: str) -> Answer:
        if key not in self.objects:
            return refusal(404, "NoSuchKey")
        data = self.objects[key]
        headers = {"ETag": '"e"', "Last-Modified": "Mon, 23 Nov 2026 09:00:00 GMT"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if wanted is None:
            return Answer(200, data, headers | {"Content-Length": str(len(data))})
        first, last = int(wanted[1]), int(wanted[2])
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return Answer(206, data[first : last + 1], headers)


def _done(data: bytes) -> Answer:
    return Answer(200, "", {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "x-goog-generation": "1"})


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def settings(bucket: Bucket, tmp_path: Path) -> Iterator[RemoteSettings]:
    server = Scripted()
    server.answer = bucket
    key = dict.fromkeys(("client_email", "private_key", "private_key_id"), "") | {"disable_oauth": True}
    (tmp_path / "key.json").write_text(json.dumps(key))
    yield RemoteSettings(endpoint=server.url, credentials_file=tmp_path / "key.json", timeout_seconds=3)
    server.stop()


@pytest.fixture
def remote(settings: RemoteSettings) -> Iterator[Remote]:
    remote = open_remote(parse_remote_address("gs://dumps/erp"), settings, {}, Cancellation())
    yield remote
    remote.close()


@pytest.mark.parametrize("size", [0, 3000, 22 * MEBIBYTE])
def test_a_file_goes_there_and_comes_back(bucket: Bucket, remote: Remote, tmp_path: Path, size: int) -> None:
    file = write_file(tmp_path / "a", size)
    assert run(remote.upload(tmp_path / "a", "d/a", file))[1] is Confirmation.READ_BACK
    assert bucket.objects == {"erp/d/a": (tmp_path / "a").read_bytes()}
    run(remote.download("d/a", tmp_path / "b", file))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert [(each.name, each.size_bytes) for each in remote.list_objects()] == [("d/a", size)]
    remote.remove("d/a")
    remote.remove("d/a")
    assert bucket.objects == {}


def test_what_is_there_otherwise_than_it_was_sent_is_removed(bucket: Bucket, remote: Remote, tmp_path: Path) -> None:
    bucket.spoil = True
    file = write_file(tmp_path / "a", 22 * MEBIBYTE)
    with pytest.raises(RemoteError, match="another SHA-256"):
        run(remote.upload(tmp_path / "a", "a", file))
    assert bucket.objects == {}


def test_a_name_is_taken_once(bucket: Bucket, remote: Remote) -> None:
    remote.create("m", b"one")
    with pytest.raises(RemoteExistsError):
        remote.create("m", b"two")
    assert remote.read("m", 3) == b"one"
    assert remote.find_object("n") is None
    with pytest.raises(RemoteError, match="does not hold"):
        remote.read("n", 3)


def test_a_bucket_that_is_not_there_is_told_as_such(settings: RemoteSettings) -> None:
    remote = open_remote(parse_remote_address("gs://absent/erp"), settings, {}, Cancellation())
    for call in (lambda: list(remote.list_objects()), lambda: remote.read("m", 1), lambda: remote.create("m", b"")):
        with pytest.raises(RemoteError, match="there is no bucket 'absent'"):
            call()
    remote.close()
