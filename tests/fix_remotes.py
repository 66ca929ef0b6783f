"""An S3 server in a process of its own, and a network before it that cuts, freezes, slows down and flips bytes."""

import contextlib
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

import pytest

from dbtui.model.connections import Secret
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteSettings

HOST = "127.0.0.1"
KEY_ID, KEY = "TESTKEYID", "correct-horse-secret"
_READ_BYTES = 65536
# It ends with its standard input, and so with this process however that ends.
_PROGRAM = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
from moto.s3.models import s3_backends
for line in sys.stdin:
    bucket, prefix, count = line.split()
    for number in range(int(count)):
        s3_backends["123456789012"]["aws"].put_object(bucket, f"{prefix}{number:05}", b"12345")
    print("filled", flush=True)
server.stop()
"""


class S3Server:
    """A server with one bucket per test that asks for one."""

    def __init__(self) -> None:
        import boto3  # these two take long to be imported, and most tests need neither
        from botocore.config import Config

        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.client: Any = boto3.client(
            "s3", endpoint_url=self.url(), region_name="us-east-1", aws_access_key_id=KEY_ID, aws_secret_access_key=KEY,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )  # fmt: skip

    def url(self, port: int | None = None) -> str:
        return f"http://{HOST}:{port or self.port}"

    def make_bucket(self) -> str:
        bucket = f"test-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def keys(self, bucket: str) -> dict[str, int]:
        """The sizes of all that is there."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", ())}

    def fill(self, bucket: str, prefix: str, count: int) -> None:
        """Have so many objects of 5 bytes there, numbered, at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{bucket} {prefix} {count}\n".encode())
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"filled\n"

    def open_uploads(self, bucket: str) -> list[str]:
        """The keys of uploads that are neither completed nor aborted."""
        return [entry["Key"] for entry in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]

    def read(self, bucket: str, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def demand_keys(self, *, demanded: bool) -> None:
        """Have it refuse, or again take, requests that a key it does not know has signed."""
        unchecked = b"0" if demanded else b"inf"
        request = Request(self.url() + "/moto-api/reset-auth", unchecked, {"Content-Type": "text/plain"}, method="POST")
        with urlopen(request, timeout=10) as reply:
            assert reply.status == 200

    def stop(self) -> None:
        self.client.close()
        self._process.communicate(timeout=20)


@dataclass
class Faults:
    """What the network does, in bytes from here to the server since it was told; None: it does not."""

    cut_after: int | None = None  # the connection in use is reset; once
    refuse_after_cut: bool = False
    flip_at: int | None = None  # one bit of this byte; once
    freeze_after: int | None = None  # nothing comes through any more
    bytes_per_second: int | None = None
    cut_reply_after: int | None = None  # bytes from the server to here; once


@dataclass
class FaultyNetwork:
    """Forwards a port of its own to `target`. `faults` may be changed at any time. Use as a context manager."""

    target: int
    faults: Faults = field(default_factory=Faults)
    sent_bytes: int = 0
    replied_bytes: int = 0
    connections: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_down = False
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def begin(self, faults: Faults) -> None:
        """Count from here."""
        with self._lock:
            self.faults, self.sent_bytes, self.replied_bytes, self._is_down = faults, 0, 0, False

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _start(self, run: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                client = self._listener.accept()[0]
                self.connections += 1
                self._sockets.append(client)
                if self._is_down:
                    _reset(client)
                    continue
                server = socket.create_connection((HOST, self.target))
                self._sockets.append(server)
                self._start(self._carry, client, server, self._harm_request)
                self._start(self._carry, server, client, self._harm_reply)

    def _carry(self, of: socket.socket, to: socket.socket, harm: Any) -> None:
        with contextlib.suppress(OSError):  # closed at the end, or by a fault
            while data := of.recv(_READ_BYTES):
                harmed = harm(data)
                if harmed is None:
                    _reset(of)
                    _reset(to)
                    return
                to.sendall(harmed)
            to.shutdown(socket.SHUT_WR)

    def _harm_request(self, data: bytes) -> bytes | None:
        with self._lock:
            before, faults = self.sent_bytes, self.faults
            self.sent_bytes += len(data)
            after = self.sent_bytes
            if self._is_down:
                return None
            if faults.cut_after is not None and after > faults.cut_after:
                faults.cut_after = None
                self._is_down = faults.refuse_after_cut
                return None
            if faults.flip_at is not None and before <= faults.flip_at < after:
                at = faults.flip_at - before
                faults.flip_at = None
                data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        if faults.freeze_after is not None and after > faults.freeze_after:
            self._ended.wait()
        if faults.bytes_per_second:
            self._ended.wait(len(data) / faults.bytes_per_second)
        return data

    def _harm_reply(self, data: bytes) -> bytes | None:
        with self._lock:
            self.replied_bytes += len(data)
            faults = self.faults
            if faults.cut_reply_after is not None and self.replied_bytes > faults.cut_reply_after:
                faults.cut_reply_after = None
                return None
        if faults.freeze_after is not None and self.sent_bytes > faults.freeze_after:
            self._ended.wait()
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):  # its peer has gone
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)


def _reset(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        each.shutdown(socket.SHUT_RDWR)
    each.close()


def wait_until(found: Any, seconds: float = 10.0) -> None:
    """Wait for a condition of another process or thread."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def s3_address(bucket: str, path: str = "erp") -> RemoteAddress:
    return RemoteAddress(RemoteKind.S3, bucket, path)


def s3_settings(url: str, **others: Any) -> RemoteSettings:
    values = {"endpoint": url, "access_key_id": KEY_ID, "secret": Secret(KEY), "timeout_seconds": 5.0, **others}
    return RemoteSettings(**values)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[S3Server]:
    """A server for the tests of one module, each with a bucket of its own."""
    server = S3Server()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def network(s3_server: S3Server) -> Iterator[FaultyNetwork]:
    """A network before that server, which has no fault yet."""
    with FaultyNetwork(s3_server.port) as network:
        yield network
