"""S3, against a server that answers as it is told: what real ones say now and then, and what none should say."""

import base64
import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.aws_credentials import AwsCredentials, CredentialSource
from dbtui.adapters.remotes.registry import open_remote
from dbtui.adapters.remotes.remote import Remote
from dbtui.adapters.remotes.s3_link import S3Door
from dbtui.adapters.remotes.s3_place import S3Place, tls_context
from dbtui.adapters.remotes.s3_upload import S3Upload
from dbtui.errors import AuthenticationError, ConnectError, RemoteError, RemoteExistsError
from dbtui.model.connections import Secret
from dbtui.model.remotes import Confirmation, RemoteSettings
from tests.fix_remotes import s3_address, s3_settings
from tests.fix_tls import Authority
from tests.remote_files import MEBIBYTE, run, write_file
from tests.scripted_store import Answer, Request, Scripted, refusal


@pytest.fixture
def server() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.stop()


@pytest.fixture
def remote(server: Scripted) -> Iterator[Remote]:
    remote = open_remote(s3_address("backups"), s3_settings(server.url, timeout_seconds=2.0), {}, Cancellation())
    yield remote
    remote.close()


REFUSALS = [
    (refusal(403, "AccessDenied"), RemoteError, "does not allow this login to list it .AccessDenied.; it needs s3"),
    (refusal(403, "InvalidAccessKeyId"), AuthenticationError, "does not know this access key; see AWS_ACCESS_KEY_ID"),
    (refusal(403, "SignatureDoesNotMatch"), AuthenticationError, "refused these credentials"),
    (refusal(400, "ExpiredToken"), AuthenticationError, "has expired"),
    (refusal(403, "RequestTimeTooSkewed"), AuthenticationError, "whose clock is wrong; set the clock"),
    (refusal(404, "NoSuchBucket"), RemoteError, "there is no bucket 'backups'"),
    (refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"), RemoteError,
     "set region to 'eu-west-3'"),
    (Answer(301, "", {"x-amz-bucket-region": "eu-west-3"}), RemoteError, "set region to 'eu-west-3'"),
    (refusal(507, "XMinioStorageFull"), RemoteError, "is full"),
    (Answer(200, "<html>login</html>"), RemoteError, "is no ListBucketResult; see whether endpoint"),
    (Answer(200, "<html><br>login"), RemoteError, "the server's answer is no XML; see whether endpoint"),
    (Answer(200, "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"), RemoteError, "declares entities"),
    (Answer(200, "<ListBucketResult><Contents><Key>erp/a</Key><Size>big</Size></Contents></ListBucketResult>"),
     RemoteError, "no number as Size"),
    (refusal(418, "\x1b[31mOdd"), RemoteError, r"HTTP 418"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "error", "words"), REFUSALS)
def test_what_it_refuses_is_told_in_a_sentence(
    server: Scripted, remote: Remote, answer: Answer, error: type[Exception], words: str
) -> None:
    server.answer = lambda request: answer
    with pytest.raises(error, match=words) as caught:
        list(remote.list_objects())
    assert not re.search(r"[\n\x1b]|<|RetryError", str(caught.value))


@pytest.mark.parametrize(("answer", "error", "words"), [each for each in REFUSALS if each[0].status >= 400])
def test_so_it_is_when_obstore_asks(
    server: Scripted, remote: Remote, answer: Answer, error: type[Exception], words: str
) -> None:
    server.answer = lambda request: answer
    with pytest.raises(error, match=words.replace("list it", "read m")) as caught:
        remote.read("m", 9)
    assert not re.search(r"[\n\x1b]|<|RetryError|127.0.0.1", str(caught.value))


@pytest.mark.parametrize(
    "failing", [refusal(503, "SlowDown"), refusal(500, "InternalError"), Answer(close=True), Answer(429)]
)
def test_what_passes_is_asked_again(server: Scripted, remote: Remote, failing: Answer) -> None:
    page = "<ListBucketResult><Contents><Key>erp/a</Key><Size>1</Size></Contents></ListBucketResult>"
    server.answer = lambda request: failing if len(server.requests) < 3 else Answer(200, page)
    assert [each.name for each in remote.list_objects()] == ["a"]


def test_what_does_not_pass_ends_within_the_time_configured(server: Scripted, remote: Remote) -> None:
    server.answer = lambda request: refusal(503, "SlowDown")
    for call in (lambda: list(remote.list_objects()), lambda: remote.read("a", 1)):
        began = time.monotonic()
        with pytest.raises(ConnectError, match=r"overloaded or out of order .HTTP 503 SlowDown.; try later"):
            call()
        assert time.monotonic() - began < 4
    assert len(server.requests) > 4


def test_a_server_without_conditional_writes_is_looked_at_first(server: Scripted, remote: Remote) -> None:
    there: dict[str, bytes] = {}

    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            known = request.path in there
            return Answer(200 if known else 404, "", {"Last-Modified": "Mon, 23 Nov 2026 09:00:00 GMT", "ETag": '"x"'})
        if request.method == "PUT" and "if-none-match" in request.headers:
            return refusal(501, "NotImplemented")
        if request.method == "PUT":
            there[request.path] = request.body
        body = there[request.path].decode()
        return Answer(200, body, {"Last-Modified": "Mon, 23 Nov 2026 09:00:00 GMT", "ETag": '"x"'})

    server.answer = answer
    began = time.monotonic()
    remote.create("m", b"one")
    assert time.monotonic() - began < 1
    assert there == {"/backups/erp/m": b"one"}
    with pytest.raises(RemoteExistsError):
        remote.create("m", b"two")
    assert there == {"/backups/erp/m": b"one"}


def test_a_write_whose_answer_was_lost_is_no_name_that_is_taken(server: Scripted, remote: Remote) -> None:
    there: dict[str, bytes] = {}

    def answer(request: Request) -> Answer:
        if request.method == "PUT" and there:
            return refusal(412, "PreconditionFailed")
        if request.method == "PUT":
            there[request.path] = request.body
            return Answer(close=True)
        if request.method == "HEAD" and not there:
            return Answer(404)
        return Answer(200, "one", {"Last-Modified": "Mon, 23 Nov 2026 09:00:00 GMT", "ETag": '"x"'})

    server.answer = answer
    remote.create("m", b"one")
    there.clear()
    with pytest.raises(RemoteExistsError):
        remote.create("m", b"two")


INITIATED = "<InitiateMultipartUploadResult xmlns='http://s3/'><UploadId>u</UploadId></InitiateMultipartUploadResult>"
COMPLETED = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"


def test_small_files_share_a_connection(server: Scripted, remote: Remote, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a", 1000)
    etag = {"ETag": f'"{hashlib.md5((tmp_path / "a").read_bytes()).hexdigest()}"'}
    server.answer = lambda request: Answer(
        200, "<ListMultipartUploadsResult/>" if request.method == "GET" else "", etag
    )
    for number in range(20):
        run(remote.upload(tmp_path / "a", f"d/{number}", file))
    assert len(server.connections) <= 2
    server.drop_connections()
    run(remote.upload(tmp_path / "a", "d/20", file))
    assert [request.path for request in server.requests if request.method == "PUT"] == [
        f"/backups/erp/d/{number}" for number in range(21)
    ]


def test_a_login_that_may_only_write_suffices_to_send(server: Scripted, remote: Remote, tmp_path: Path) -> None:
    """And every body that is sent has its checksum with it, which a bucket with object lock demands."""
    sent: list[Request] = []

    def answer(request: Request) -> Answer:
        if request.method in ("GET", "HEAD"):
            return refusal(403, "AccessDenied")
        if request.method == "POST":
            return Answer(200, INITIATED if "uploads" in request.path else COMPLETED)
        sent.append(request)
        return Answer(200, "", {"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})

    server.answer = answer
    for size in (1000, 9 * MEBIBYTE):
        file = write_file(tmp_path / "a", size)
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.CHECKSUM
    remote.create("m", b"one")
    assert len(sent) == 4
    for request in sent:
        assert base64.b64decode(request.headers["content-md5"]) == hashlib.md5(request.body).digest()


class Amazon:
    """Answers uploads as Amazon does for a bucket with encryption keys of its own: ETags say nothing."""

    def __init__(self, *, echo: bool) -> None:
        self.echo = echo
        self.completed = b""

    def __call__(self, request: Request) -> Answer:
        if request.method == "HEAD":
            return Answer(404)
        if request.method == "GET":
            return refusal(403, "AccessDenied")
        if request.method == "POST" and "uploads" in request.path:
            assert request.headers["x-amz-checksum-algorithm"] == "SHA256"
            assert request.headers["x-amz-storage-class"] == "STANDARD_IA"
            return Answer(200, INITIATED)
        if request.method == "POST":
            self.completed = request.body
            return Answer(200, COMPLETED)
        checksum = request.headers["x-amz-checksum-sha256"]
        return Answer(200, "", {"ETag": '"0123"', "x-amz-checksum-sha256": checksum if self.echo else ""})


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("size", [3, 20 * MEBIBYTE])
def test_amazons_own_checksums_confirm_where_etags_do_not(
    server: Scripted, tmp_path: Path, size: int, *, echo: bool
) -> None:
    amazon = Amazon(echo=echo)
    server.answer = amazon
    file = write_file(tmp_path / "a", size)
    place = S3Place(f"{server.url}/backups", "us-east-1", is_by_path=True, is_amazon=True)
    source = CredentialSource(lambda: AwsCredentials("A", Secret("a"), Secret("token")))
    door = S3Door(s3_address("backups"), place, source, tls_context(RemoteSettings()), 2.0)
    assert S3Upload(door, tmp_path / "a", "a", file, "STANDARD_IA").run() is echo
    door.close()
    assert server.requests[-1].headers["x-amz-security-token"] == "token"
    if size > 8 * MEBIBYTE:
        assert len(re.findall(rb"<ChecksumSHA256>[\w+/]{43}=</ChecksumSHA256>", amazon.completed)) == 3


def test_an_answer_of_success_that_is_an_error_is_one(server: Scripted, remote: Remote, tmp_path: Path) -> None:
    """Completing an upload may take long: the server says 200 at once, and later what came of it."""
    completions: list[int] = []

    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return Answer(404)
        if request.method == "GET":
            return Answer(200, "<ListMultipartUploadsResult/>")
        if request.method == "POST" and "uploads" in request.path:
            return Answer(200, INITIATED)
        if request.method == "POST":
            completions.append(1)
            return refusal(200, "InternalError") if len(completions) < 3 else Answer(200, COMPLETED)
        return Answer(200, "", {"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})

    server.answer = answer
    file = write_file(tmp_path / "a", 9 * MEBIBYTE)
    assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.CHECKSUM
    assert len(completions) == 3


def test_certificates_are_checked(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca", "authority")
    certificate, key = authority.sign("server", "localhost", "DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Scripted(context)
    page = "<ListBucketResult><Contents><Key>erp/a</Key><Size>1</Size></Contents></ListBucketResult>"
    dated = {"Last-Modified": "Mon, 23 Nov 2026 09:00:00 GMT", "ETag": '"x"'}
    server.answer = lambda request: Answer(200, page if "list-type" in request.path else "x", dated)
    url = server.url.replace("http://127.0.0.1", "https://localhost")
    try:
        for ca_file, host in (
            (authority.certificate, "localhost"),
            (None, "localhost"),
            (authority.certificate, "127.0.0.1"),
        ):
            settings = s3_settings(url.replace("localhost", host), timeout_seconds=2.0, ca_file=ca_file)
            remote = open_remote(s3_address("backups"), settings, {}, Cancellation())
            calls: list[Callable[[], object]] = [lambda: list(remote.list_objects()), lambda: remote.read("a", 9)]  # noqa: B023
            for call in calls:
                if ca_file is not None and host == "localhost":
                    call()
                    continue
                with pytest.raises(ConnectError, match=rf"the certificate of {host}:\d+ is not trusted.*ca_file"):
                    call()
            remote.close()
    finally:
        server.stop()
