"""HTTP/1.1 clients that keep their connections: httptools parses, uvloop and ssl carry."""

import asyncio
import re
import ssl
import time

import httptools

import dbtui
from dbtui.loadgen.running import Client, Load
from dbtui.model.loadtest import GeneratorPlan, GeneratorSecrets, HttpTarget, LoadRequest

_MOST_HEADER_BYTES = 64 << 10
_DECLARED_LENGTH = re.compile(rb"\r\n(?:content-length|transfer-encoding)\s*:", re.IGNORECASE)


def format_request(request: LoadRequest, target: HttpTarget, secrets: GeneratorSecrets) -> bytes:
    """Return the request as it is sent, the same each time. Headers that were given replace ours."""
    body = secrets.body.encode()
    headers = {
        "host": ("Host", target.authority),
        "user-agent": ("User-Agent", f"dbtui/{dbtui.__version__}"),
        "accept": ("Accept", "*/*"),
    }
    if body or request.method in ("POST", "PUT", "PATCH"):
        headers["content-length"] = ("Content-Length", str(len(body)))
    given = {name.lower() for name, _ in secrets.headers}
    lines = [f"{request.method} {target.resource} HTTP/1.1"]
    lines += [f"{name}: {value}" for key, (name, value) in headers.items() if key not in given]
    lines += [f"{name}: {value}" for name, value in secrets.headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def make_context(plan: GeneratorPlan, target: HttpTarget) -> ssl.SSLContext | None:
    """Return how to speak TLS to the target; None: not at all."""
    if not target.is_tls:
        return None
    context = ssl.create_default_context(cafile=plan.request.ca_file or None)
    context.set_alpn_protocols(["http/1.1"])
    if not plan.request.is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class HttpSettings:
    """What all clients of one generator share."""

    def __init__(self, plan: GeneratorPlan, target: HttpTarget, secrets: GeneratorSecrets) -> None:
        self.target = target
        self.context = make_context(plan, target)
        self.request = format_request(plan.request, target, secrets)
        self.is_head = plan.request.method == "HEAD"
        self.most_bytes = plan.request.most_body_bytes + _MOST_HEADER_BYTES


class HttpClient(Client):
    """One connection at a time, one request at a time."""

    def __init__(self, load: Load, settings: HttpSettings) -> None:
        self.load = load
        self.settings = settings
        self.began: float | None = None
        self.connection: HttpConnection | None = None
        self._stage = 0
        self._intended = 0.0
        self._connecting: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """Nothing: connecting is part of what a web server does for a request."""

    def start(self, intended: float) -> None:
        """Send a request; connect first when there is no connection."""
        self.began = time.monotonic()
        self._intended = intended
        self._stage = self.load.record.stage_number
        if self.connection is not None:
            self.connection.send()
        else:
            self._connecting = self.load.loop.create_task(self._connect())

    async def _connect(self) -> None:
        target, context = self.settings.target, self.settings.context
        try:
            _, made = await self.load.loop.create_connection(
                lambda: HttpConnection(self),
                target.address,
                target.port,
                ssl=context,
                server_hostname=target.host if context is not None else None,
            )
        except OSError as error:
            self.fail(describe_failure(error))
            return
        if made.is_lost:
            self.fail("closed")
            return
        self.connection = made
        made.send()

    def answered(self, status: int, received: int) -> None:
        """The answer is complete."""
        record = self.load.record
        record.received += received
        record.answered(self._stage, self._intended, time.monotonic(), f"status {status}" if status >= 400 else "")
        self.began = None
        self.load.done(self)

    def fail(self, kind: str, received: int = 0) -> None:
        """There will be no answer. The connection is of no use any more."""
        self.load.record.received += received
        self.load.record.failed(self._stage, self._intended, time.monotonic(), kind)
        self.began = None
        self.close()
        if kind == "timeout":
            self.load.done(self)
        else:
            self.load.done_after_failure(self)

    def give_up(self, kind: str) -> None:
        """Stop waiting."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.fail(kind, self.connection.received if self.connection is not None else 0)

    def close(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            self.connection.abandon()
            self.connection = None


class HttpConnection(asyncio.Protocol):
    """One connection of a client, which it forgets when that has given it up."""

    def __init__(self, client: HttpClient) -> None:
        self._client: HttpClient | None = client
        self._request = client.settings.request
        self._most = client.settings.most_bytes
        self._is_head = client.settings.is_head
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._beginning = b""
        self._status = 0
        self._is_in_body = False
        self._is_kept = True
        self.received = 0
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = transport  # type: ignore[assignment]  # a stream's is of the kind that can be written to

    def send(self) -> None:
        """Send the request."""
        self.received = 0
        self._status = 0
        self._is_in_body = False
        if self._transport is not None:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Something came: part of an answer, or, when nothing was asked, nothing to be trusted."""
        client = self._client
        if client is None:
            return
        if client.began is None:
            client.close()
            return
        if not self.received:
            self._beginning = data
        self.received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            client.fail("garbage", self.received)
            return
        if self._status:
            self._complete(client)
        elif not self._is_in_body and self.received > _MOST_HEADER_BYTES:
            client.fail("headers too large", self.received)
        elif self.received > self._most:
            client.fail("body too large", self.received)

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if self._parser.get_status_code() >= 200:
            self._is_in_body = True
            if self._is_head:
                self._status = self._parser.get_status_code()
                self._is_kept = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """Called by the parser; also for an interim answer, such as 103, which is none."""
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
            self._is_kept = self._parser.should_keep_alive()  # true only while the parser is at the message's end

    def _complete(self, client: HttpClient) -> None:
        status, received = self._status, self.received
        if self._is_head:
            self._parser = httptools.HttpResponseParser(self)  # the old one waits for a body
        if not self._is_kept:
            client.close()
        client.answered(status, received)

    def connection_lost(self, error: Exception | None) -> None:
        """The server has closed the connection, or it broke."""
        client = self._client
        self.is_lost = True
        self._client = None
        if client is None or client.connection is not self:
            return
        client.connection = None
        if client.began is None:
            return
        if error is None and self._is_in_body and not _DECLARED_LENGTH.search(self._beginning):
            client.answered(self._parser.get_status_code(), self.received)  # a body that ends with the connection
        else:
            client.fail("closed" if error is None else describe_failure(error), self.received)

    def abandon(self) -> None:
        """Close at once, and hear nothing more of it."""
        self._client = None
        if self._transport is not None:
            self._transport.abort()


def describe_failure(error: Exception) -> str:
    """Return the kind of error that a connection failed with."""
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (ssl.SSLError, "tls"),
        (ConnectionRefusedError, "refused"),
        (ConnectionError, "reset"),
        (TimeoutError, "timeout"),
    )
    return next((kind for expected, kind in kinds if isinstance(error, expected)), "unreachable")
