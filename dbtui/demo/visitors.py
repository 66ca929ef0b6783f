"""Somebody who looks at a page of the demo's web application every second, so that its database has something to do."""

import threading
from http.client import HTTPConnection, HTTPException
from typing import Self
from urllib.parse import urlsplit

PATHS = ("/orders", "/fast", "/orders", "/fast", "/fast")
EVERY_SECONDS = 1.0


class Visitors:
    """A thread that visits the pages of an application, one after another, until the block ends."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._visit, name="visitors", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join(5)

    def _visit(self) -> None:
        turn = 0
        while not self._ended.wait(EVERY_SECONDS):
            self._look_at(PATHS[turn % len(PATHS)])
            turn += 1

    def _look_at(self, path: str) -> None:
        connection = HTTPConnection(self._address, timeout=5)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except (OSError, HTTPException):
            return  # it is down, or being ended: whoever looks at the panes sees that
        finally:
            connection.close()
