"""HTTP as far as reading metrics needs it, without ever waiting longer than asked: names are looked up elsewhere."""

import http.client
import io
import re
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from dbtui.adapters.app_pool.parsing import UnreadableError
from dbtui.model.text import format_untrusted

_ACCEPT = "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_KEPT_SECONDS = 60.0
_OK = 200
Address = tuple[socket.AddressFamily, Any]


class _Answer:
    """What came, as http.client wants to read it."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, *_mode: Any, **_words: Any) -> io.BytesIO:
        return io.BytesIO(self._answer)


def request_of(url: str) -> bytes:
    """Return the request for a URL. HTTP/1.0: the answer comes in one piece, and its end is the connection's end."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return (f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nAccept: {_ACCEPT}\r\nUser-Agent: dbtui\r\n"
            "Connection: close\r\n\r\n").encode("ascii", "replace")  # fmt: skip


def is_complete_answer(answer: bytearray) -> bool:
    """Whether an answer that tells its length has all of it."""
    head = answer.find(b"\r\n\r\n")
    found = _LENGTH.search(answer, 0, head + 2) if head >= 0 else None
    return found is not None and len(answer) >= head + 4 + int(found[1])


def read_body(answer: bytes) -> bytes:
    """Return what an HTTP answer holds. Raises UnreadableError unless it is a good one."""
    if not answer:
        raise UnreadableError("it hung up without an answer")
    response = http.client.HTTPResponse(_Answer(answer))  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError) as error:
        raise UnreadableError(f"it does not speak HTTP: {format_untrusted(str(error), 100)}") from None
    if response.status != _OK:
        raise UnreadableError(f"it answers {response.status} {format_untrusted(response.reason, 60)}")
    return body


class _Lookups:
    """Addresses of names, looked up on threads of their own: a name server that is silent blocks for long."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._known: dict[tuple[str, int], tuple[float, list[Address]]] = {}
        self._asked: set[tuple[str, int]] = set()

    def find(self, host: str, port: int, seconds: float) -> list[Address]:
        """Return what is known within `seconds`; nothing when the name server takes longer."""
        ends_at = time.monotonic() + seconds
        with self._changed:
            asked_at, addresses = self._known.get((host, port), (float("-inf"), []))
            if time.monotonic() - asked_at < _KEPT_SECONDS and addresses:
                return addresses
            if (host, port) not in self._asked:
                self._asked.add((host, port))
                threading.Thread(target=self._look_up, args=(host, port), name="look up", daemon=True).start()
            while (host, port) in self._asked and (left := ends_at - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._known.get((host, port), (0.0, addresses))[1]

    def _look_up(self, host: str, port: int) -> None:
        try:
            told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found: list[Address] = [(family, address) for family, _, _, _, address in told]
        except OSError:
            found = []
        with self._changed:
            self._known[host, port] = time.monotonic(), found
            self._asked.discard((host, port))
            self._changed.notify_all()


_LOOKUPS = _Lookups()


def find_addresses(host: str, port: int, seconds: float) -> list[Address]:
    """Return the addresses of a host, known within `seconds`. Raises UnreadableError when there is none."""
    found = _LOOKUPS.find(host, port, seconds)
    if not found:
        raise UnreadableError(f"the host name {format_untrusted(host, 100)} is not known here, or not yet")
    return found
