"""Signed requests to an S3 bucket over one connection, with retries; any other thread may stop it.

Used for what needs more than obstore offers: uploads whose parts can be gone on with, given up and compared one by
one, and listings that survive any name.
"""

import http.client
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from dbtui.adapters.remotes.aws_credentials import CredentialSource
from dbtui.adapters.remotes.refusals import is_transient, network_error, refusal_error
from dbtui.adapters.remotes.s3_place import S3Place
from dbtui.adapters.remotes.s3_signing import EMPTY_SHA256, format_query, sign_headers
from dbtui.errors import Cancelled, ConnectError, DbtuiError
from dbtui.model.remotes import RemoteAddress

_MOST_BYTES = 16 << 20  # of an answer: a page of a listing has at most about 2 MB
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_SENT_AT_ONCE_BYTES = 1 << 18


class Body:
    """What a request sends. `chunks` begins anew each time, since a request may be sent more than once."""

    size_bytes = 0
    sha256 = EMPTY_SHA256

    def chunks(self) -> Iterable[bytes]:
        """Yield the bytes."""
        return ()


@dataclass(frozen=True, slots=True)
class S3Request:
    """One request. `doing` says in words what for: "write erp.dump"."""

    method: str
    key: str
    doing: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = field(default_factory=Body)


@dataclass(frozen=True, slots=True)
class S3Reply:
    """An answer; `headers` by their names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error's code, empty for none."""
        found = re.search(rb"<Code>([A-Za-z0-9.]{1,80})</Code>", self.body[:4096])
        return found[1].decode() if found else ""

    @property
    def region(self) -> str:
        """The region that an error names."""
        found = re.search(rb"<Region>([a-z0-9-]{1,40})</Region>", self.body[:4096])
        return self.headers.get("x-amz-bucket-region", "") or (found[1].decode() if found else "")


@dataclass(frozen=True)
class S3Door:
    """What all links to one bucket share, with the connections that none of them uses now."""

    address: RemoteAddress
    place: S3Place
    credentials: CredentialSource
    tls: ssl.SSLContext
    timeout_seconds: float
    idle: list[http.client.HTTPConnection] = field(default_factory=list)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while (connection := self.take_idle()) is not None:
            connection.close()

    def take_idle(self) -> http.client.HTTPConnection | None:
        """Return a connection that nobody uses, if there is one."""
        try:
            return self.idle.pop()
        except IndexError:  # perhaps another thread was quicker
            return None


class S3Link:
    """One connection, used by one thread; `stop` by any. Requests that fail for a while are sent again."""

    def __init__(self, door: S3Door, patience_seconds: float | None = None) -> None:
        self.door = door
        self._patience = door.timeout_seconds if patience_seconds is None else patience_seconds
        self._silence_seconds = max(0.5, self._patience * 0.25)
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._is_between_requests = False
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.has_tried_again = False

    def send(self, request: S3Request, allowed: tuple[int, ...] = ()) -> S3Reply:
        """Send and return the answer, if it is a success or its status is one of `allowed`.

        Raises ConnectError, AuthenticationError, RemoteError; Cancelled when it was stopped.
        """
        failing_since: float | None = None
        pause = _FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            outcome = self._try(request, allowed)
            if isinstance(outcome, S3Reply):
                return outcome
            if failing_since is None:
                failing_since = max(began, time.monotonic() - self._silence_seconds)
            if time.monotonic() - failing_since + pause > self._patience * 0.7:
                raise outcome
            if self._stopped.wait(pause * random.uniform(0.5, 1)):
                raise Cancelled(f"stopped while {self.door.address} was asked to {request.doing}")
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            self.has_tried_again = True

    def stop(self) -> None:
        """End what is being sent or waited for. Called from any thread, any number of times."""
        self._stopped.set()
        with self._lock:
            if self._socket is not None:
                _shut_down(self._socket)

    def close(self) -> None:
        """Leave the connection to others; one on which something is half said is closed."""
        with self._lock:
            connection, self._connection, self._socket = self._connection, None, None
        if connection is not None and self._is_between_requests and not self._stopped.is_set():
            self.door.idle.append(connection)
        elif connection is not None:
            connection.close()

    def _try(self, request: S3Request, allowed: tuple[int, ...]) -> S3Reply | DbtuiError:
        """Return the answer, or the error after which it is worth trying again; raise any other."""
        if self._stopped.is_set():
            raise Cancelled(f"stopped before {self.door.address} was asked to {request.doing}")
        try:
            reply = self._exchange(request)
        except (OSError, http.client.HTTPException) as error:
            self._is_between_requests = False
            self.close()
            self.door.close()  # the others may be as old
            return self._network_error(request, error)
        if (reply.status < 300 and not (reply.code and b"<Error>" in reply.body[:512])) or reply.status in allowed:
            return reply
        refused = refusal_error(self.door.address, reply.status, reply.code, request.doing, reply.region)
        if not is_transient(reply.status, reply.code):
            raise refused
        return refused

    def _network_error(self, request: S3Request, error: Exception) -> ConnectError:
        if self._stopped.is_set():
            raise Cancelled(f"stopped while {self.door.address} was asked to {request.doing}") from None
        found = network_error(self.door.address, error, self.door.place.netloc, self._patience)
        if isinstance(error, ssl.SSLCertVerificationError):
            raise found from None
        return found

    def _exchange(self, request: S3Request) -> S3Reply:
        place, body = self.door.place, request.body
        path, query = place.path_of(request.key), format_query(request.query)
        headers = {"Host": place.netloc, "x-amz-content-sha256": body.sha256, **request.headers}
        signed = sign_headers(
            request.method, path, query, headers, self.door.credentials(), place.region, datetime.now(UTC)
        )
        connection = self._connect()
        self._is_between_requests = False
        target = f"{path}?{query}" if query else path
        if place.proxy and not place.is_encrypted:
            target = f"http://{place.netloc}{target}"
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in signed.items():
            connection.putheader(name, value)
        if body.size_bytes or request.method in ("PUT", "POST"):
            connection.putheader("Content-Length", str(body.size_bytes))
        try:
            connection.endheaders()
            for chunk in body.chunks():
                self._send(connection, chunk)
        except (BrokenPipeError, ConnectionResetError):
            # It may have answered before it had everything, and said why.
            return self._read(connection, leave=True)
        return self._read(connection)

    def _send(self, connection: http.client.HTTPConnection, chunk: bytes) -> None:
        for start in range(0, len(chunk), _SENT_AT_ONCE_BYTES):
            connection.send(memoryview(chunk)[start : start + _SENT_AT_ONCE_BYTES])

    def _read(self, connection: http.client.HTTPConnection, *, leave: bool = False) -> S3Reply:
        reply = connection.getresponse()
        data = reply.read(_MOST_BYTES + 1)
        headers = {name.lower(): value for name, value in reply.getheaders()}
        self._is_between_requests = not (leave or reply.will_close or len(data) > _MOST_BYTES)
        if not self._is_between_requests:
            self.close()
        if len(data) > _MOST_BYTES:
            raise http.client.HTTPException("the answer is too long")
        return S3Reply(reply.status, headers, data)

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None and (idle := self.door.take_idle()) is not None:
            self._connection = idle
            idle.sock.settimeout(self._silence_seconds)
            self._note(idle.sock)
        if self._connection is not None:
            return self._connection
        place = self.door.place
        host = urlsplit(place.url).hostname or ""
        port = urlsplit(place.url).port or (443 if place.is_encrypted else 80)
        proxy = urlsplit(f"//{place.proxy}")
        near = (proxy.hostname or "", proxy.port or 3128) if place.proxy else (host, port)
        connection = self._connection = _Connection(*near)
        connection.sock = self._open_socket(near)
        if place.is_encrypted:
            if place.proxy:
                _open_tunnel(connection.sock, place.netloc, host, port)
            wrapped = self.door.tls.wrap_socket(connection.sock, server_hostname=host, do_handshake_on_connect=False)
            connection.sock = wrapped
            self._note(wrapped)
            wrapped.do_handshake()
        return connection

    def _open_socket(self, place: tuple[str, int]) -> socket.socket:
        error: OSError = OSError("it has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(*place, type=socket.SOCK_STREAM):
            opened = socket.socket(family, kind, protocol)
            opened.settimeout(self._silence_seconds)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._note(opened)
            try:
                opened.connect(address)
                return opened
            except OSError as failed:
                opened.close()
                error = failed
        raise error

    def _note(self, opened: socket.socket) -> None:
        with self._lock:
            self._socket = opened
            if self._stopped.is_set():
                _shut_down(opened)


class _Connection(http.client.HTTPConnection):
    """Its socket is opened elsewhere, and never again by itself."""

    auto_open = 0


def _open_tunnel(opened: socket.socket, netloc: str, host: str, port: int) -> None:
    """Have a proxy forward the connection."""
    target = netloc if ":" in netloc.rpartition("]")[2] else f"{netloc}:{port}"
    opened.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < 65536:
        data = opened.recv(1)
        if not data:
            raise ConnectionResetError(f"the proxy closed the connection to {host}")
        answer += data
    if re.match(rb"HTTP/1\.[01] 200\b", answer) is None:
        raise OSError(f"the proxy does not forward to {host}")


def _shut_down(opened: socket.socket) -> None:
    try:
        # Not the method of a TLS socket, which would take the encryption away under the thread that uses it.
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
    except OSError:
        return  # it is not connected yet, or no longer
