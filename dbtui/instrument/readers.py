"""One who reads a publisher, by lines or by HTTP. Nothing here ever waits: what does not fit now is written later."""

import socket
from collections.abc import Callable

from dbtui.instrument.openmetrics import CONTENT_TYPE

#: How long a request may take to arrive whole, and an answer to be taken; and how long a quiet reader is kept.
ANSWER_SECONDS = 5.0
IDLE_SECONDS = 120.0
_CHUNK_BYTES = 4096
_LONGEST_LINE = 256
_LONGEST_HEADERS = 8192

Answers = Callable[[str], bytes | None]
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


class Reader:
    """A connected reader: what it asked, what it is still to be told, and until when it must have moved on."""

    def __init__(self, connection: socket.socket, answers: Answers, now: float) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.expires_at = now + IDLE_SECONDS
        self._answers = answers
        self._asked = b""
        self._unwritten = memoryview(b"")
        self._is_last = False

    @property
    def is_writing(self) -> bool:
        """Whether it has not taken all of its answer: until then it is not listened to."""
        return bool(self._unwritten)

    def advance(self, now: float) -> bool:
        """Read what came and write what fits; returns whether the connection goes on."""
        was_waiting = bool(self._asked or self._unwritten)
        try:
            goes_on = self._write() if self._unwritten else self._read() and self._write()
        except (BlockingIOError, InterruptedError):
            goes_on = True
        except OSError:
            return False
        is_waiting = bool(self._asked or self._unwritten)
        if not is_waiting:
            self.expires_at = now + IDLE_SECONDS
        elif not was_waiting:
            self.expires_at = now + ANSWER_SECONDS
        return goes_on

    def _read(self) -> bool:
        came = self.connection.recv(_CHUNK_BYTES)
        self._asked += came
        return bool(came) and self._answer()

    def _write(self) -> bool:
        while self._unwritten:
            self._unwritten = self._unwritten[self.connection.send(self._unwritten) :]
        return not self._is_last and (not self._asked or self._answer())

    def _answer(self) -> bool:
        """Answer the first whole line, if there is one; a further one waits until this answer is taken."""
        line, end, rest = self._asked.partition(b"\n")
        if not end:
            return len(self._asked) <= _LONGEST_LINE
        self._asked = rest
        answer = self._answers(line.decode("ascii", "replace").strip())
        if answer is None or len(line) > _LONGEST_LINE:
            return False
        self._unwritten = memoryview(answer)
        return True


class HttpReader(Reader):
    """The same by HTTP: one request, one answer, and the end."""

    def _answer(self) -> bool:
        headers, end, _ = self._asked.partition(b"\r\n\r\n")
        if not end:
            return len(self._asked) <= _LONGEST_HEADERS
        self._asked = b""
        self._is_last = True
        self._unwritten = memoryview(self._respond(headers.partition(b"\r\n")[0].decode("ascii", "replace")))
        return True

    def _respond(self, request: str) -> bytes:
        method, _, rest = request.partition(" ")
        path, _, version = rest.partition(" ")
        if not version.startswith("HTTP/1."):
            return _format_response(400, b"this is not HTTP/1.1\n")
        if method not in ("GET", "HEAD"):
            return _format_response(405, b"only GET is answered\n")
        if path.partition("?")[0] != "/metrics":
            return _format_response(404, b"ask for /metrics\n")
        response = _format_response(200, self._answers("metrics") or b"", CONTENT_TYPE)
        return response if method == "GET" else response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def _format_response(status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(["Allow: GET, HEAD"] if status == 405 else []),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("ascii") + body
