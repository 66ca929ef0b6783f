"""A site that takes reports by POST and answers as it is told; it keeps what came."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Taken:
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass
class HookSite:
    """`answers` are the status codes of the requests to come, 200 afterwards; `location` that of every redirect."""

    port: int = 0
    scheme: str = "http"
    answers: list[int] = field(default_factory=list)
    location: str = ""
    taken: list[Taken] = field(default_factory=list)

    def url(self, path: str = "/hook/s3cr3t") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"


@contextmanager
def open_site(certificate: tuple[Path, Path] | None = None) -> Iterator[HookSite]:
    """A site on a loopback port, with TLS when it has a certificate and its key."""
    site = HookSite(scheme="https" if certificate else "http")

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            site.taken.append(Taken(self.path, dict(self.headers), body))
            code = site.answers.pop(0) if site.answers else 200
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", site.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            return

    server = Server(("127.0.0.1", 0), Answering)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
