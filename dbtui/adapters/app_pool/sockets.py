"""Places that application pools are read from: unix sockets by a glob, one for each process, and HTTP endpoints."""

import errno
import glob
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from dbtui.adapters.app_pool.endpoints import find_addresses, is_complete_answer, read_body, request_of
from dbtui.adapters.app_pool.metrics import parse_metrics
from dbtui.adapters.app_pool.parsing import UnreadableError, parse_document
from dbtui.model.pools import AppPool
from dbtui.model.text import format_untrusted

MOST_SOURCES = 500
ENDED = "its process has ended; the next process of the service removes the socket"
ENDED_MANY = "their processes have ended; the next process of each service removes its sockets"
_REFUSED = {
    errno.ECONNREFUSED: ENDED,
    errno.ENOENT: "its process has ended",
    errno.EACCES: "it may not be opened: it belongs to another user; run dbtui as that user",
    errno.EPERM: "it may not be opened: it belongs to another user; run dbtui as that user",
    errno.ENOTSOCK: "it is no socket",
    errno.EAGAIN: "too many others wait for its answer",
}


@dataclass(frozen=True, slots=True)
class SocketSource:
    """The unix socket of one process."""

    name: str

    def open(self, _seconds: float) -> Iterator[socket.socket]:
        """Yield a connection that was begun. Raises OSError."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            made.connect(self.name)
        except BaseException:
            made.close()
            raise
        yield made

    @property
    def request(self) -> bytes:
        """What is sent."""
        return b"pools\n"

    def is_complete(self, answer: bytearray) -> bool:
        """Whether all of the answer is there."""
        return answer.endswith(b"\n")

    def parse(self, answer: bytes, monotonic_seconds: float) -> tuple[AppPool, ...]:
        """Read the answer. Raises UnreadableError."""
        if not answer:
            raise UnreadableError("it hung up without an answer: it may let only its own user and root in")
        return parse_document(answer, self.name, monotonic_seconds)

    def describe(self, error: OSError) -> str:
        """Say why there is no answer."""
        return _REFUSED.get(error.errno or 0, error.strerror or str(error))


@dataclass(frozen=True, slots=True)
class EndpointSource:
    """An HTTP endpoint with metrics."""

    name: str

    def open(self, seconds: float) -> Iterator[socket.socket]:
        """Yield connections that were begun, one for each address of the host. Raises OSError, UnreadableError."""
        parts = urlsplit(self.name)
        for family, address in find_addresses(parts.hostname or "", parts.port or 80, seconds):
            made = socket.socket(family, socket.SOCK_STREAM)
            made.setblocking(False)
            try:
                made.connect(address)
            except BlockingIOError:
                pass
            except OSError:
                made.close()
                continue
            yield made

    @property
    def request(self) -> bytes:
        """What is sent."""
        return request_of(self.name)

    def is_complete(self, answer: bytearray) -> bool:
        """Whether all of the answer is there."""
        return is_complete_answer(answer)

    def parse(self, answer: bytes, monotonic_seconds: float) -> tuple[AppPool, ...]:
        """Read the answer. Raises UnreadableError."""
        return parse_metrics(read_body(answer), self.name, monotonic_seconds)

    def describe(self, error: OSError) -> str:
        """Say why there is no answer."""
        if error.errno == errno.ECONNREFUSED:
            return "nothing listens there"
        return error.strerror or str(error)


Source = SocketSource | EndpointSource


def _expand(pattern: str) -> list[str]:
    """The paths that a pattern matches now; a plain path, if something is there."""
    if not glob.has_magic(pattern):
        return [pattern] if os.path.lexists(pattern) else []
    return sorted(glob.glob(pattern))  # noqa: PTH207 - the pattern is a whole path


def find_sources(places: Sequence[str]) -> tuple[list[Source], list[str]]:
    """Return the sockets and endpoints that these places stand for now, and what is wrong with places."""
    sources: dict[str, Source] = {}
    gaps = []
    for place in places:
        scheme, _, rest = place.partition("://")
        if scheme == "http":
            sources[place] = EndpointSource(place)
        elif scheme != "unix":
            gaps.append(f"{format_untrusted(place, 200)}: write unix:///path/*.sock or http://host:port/metrics")
        else:
            found = _expand(rest)
            sources |= {path: SocketSource(path) for path in found}
            if not found:
                gaps.append(f"{format_untrusted(rest, 200)}: no process publishes its pools there")
    if len(sources) > MOST_SOURCES:
        gaps.append(f"{len(sources) - MOST_SOURCES} of {len(sources)} sources were left out: too many to be asked")
    return list(sources.values())[:MOST_SOURCES], gaps
