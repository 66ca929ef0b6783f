"""Publishers of pools that answer what a test wants: well, wrongly, slowly, or never."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbtui.model.pools import BUCKETS_SECONDS

Answer = bytes | None  # None: accept and say nothing


def document(**changes: Any) -> dict[str, Any]:
    """What a publisher with one pool says; `changes` are of the pool."""
    counts = [0] * (len(BUCKETS_SECONDS) + 1)
    timing = {"count": 3, "seconds": 0.5, "counts": [*counts[:-2], 2, 1]}
    pool = {
        "pool": "erp", "url": "postgresql://db1/erp", "size": 5, "max_overflow": 10, "timeout": 30.0, "checked_in": 1,
        "checked_out": 4, "overflow": 0, "pending": 2, "oldest_pending": 0.25, "timeouts": 1, "invalidated": 0,
        "closed": 7, "wait": timing, "abandoned": timing, "hold": timing, "create": timing,
    }  # fmt: skip
    return {"version": 1, "service": "erp-api", "pid": 4711, "started_at": 1795000000.5, "monotonic": 12.5,
            "pools": [pool | changes], "bounds": list(BUCKETS_SECONDS)}  # fmt: skip


def line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


@contextmanager
def publishing(path: Path, answer: Answer) -> Iterator[Path]:
    """A unix socket that gives everybody this answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen(64)
        with _serving(listening, answer):
            yield path


@contextmanager
def publishing_http(answer: Answer) -> Iterator[str]:
    """An HTTP endpoint that gives everybody this answer, head included."""
    with socket.create_server(("127.0.0.1", 0)) as listening, _serving(listening, answer):
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/metrics"


@contextmanager
def _serving(listening: socket.socket, answer: Answer) -> Iterator[None]:
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                wire, _ = listening.accept()
            except OSError:
                return
            held.append(wire)
            if answer is not None:
                try:
                    wire.recv(4096)
                    wire.sendall(answer)
                    wire.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for wire in held:
            wire.close()
