"""A small web application over the ERP, for load tests: `DATABASE_URL=... python -m dbtui.demo.web --port 8000`.

Its pool is sized by DB_POOL_SIZE, DB_MAX_OVERFLOW and DB_POOL_TIMEOUT and published for `dbtui pools`.

    /fast           one row
    /slow?ms=250    holds a connection for that long, working: the server sleeps
    /report?ms=250  holds a connection for that long, idle in a transaction: the application sleeps
    /orders         twenty orders with what is in them, by a query for each order and each item, until it is cured
    /cure           from now on /orders loads them eagerly; /relapse takes the cure back
    /health         whether it runs; needs no connection
"""

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dbtui.errors import DbtuiError
from dbtui.instrument import create_engine, publish_pool

LOOPBACK = "127.0.0.1"
SERVICE = "erp-api"
_LONGEST_MS = 60_000
_ROW = "SELECT id, name FROM organisations WHERE id = :id"
_TOTALS = "SELECT status, count(*) FROM orders GROUP BY status"
_SLEEPS = {"postgresql": "SELECT pg_sleep(:seconds)", "mysql": "SELECT SLEEP(:seconds)"}

Answer = dict[str, Any]


class Erp:
    """What the application does with its database. One that is not the ERP is asked for constants."""

    def __init__(self, engine: Engine) -> None:
        """Look what is there. Raises SQLAlchemyError when the database cannot be reached."""
        self.engine = engine
        tables = inspect(engine)
        has_rows, has_orders = tables.has_table("organisations"), tables.has_table("orders")
        self._row = text(_ROW if has_rows else "SELECT 1 AS id, 'nobody' AS name")
        self._parameters: Callable[[], Answer] = (lambda: {"id": random.randint(1, 5)}) if has_rows else dict
        self._totals = text(_TOTALS if has_orders else "SELECT 'none', 0")
        self._sleep = _SLEEPS.get(engine.dialect.name)
        self._has_orders = has_orders and tables.has_table("inventory_items")
        self._is_cured = False

    def answer(self, path: str, milliseconds: int) -> Answer | None:
        """Return what is at `path`, None when nothing is. Raises SQLAlchemyError."""
        if path == "/health":
            return {"status": "ok"}
        if path == "/fast":
            return self._find_row()
        if path in ("/cure", "/relapse"):
            self._is_cured = path == "/cure"
            return {"cured": self._is_cured}
        if path == "/orders":
            return self._list_orders()
        if path == "/slow":
            return self._work(milliseconds / 1000)
        return self._report(milliseconds / 1000) if path == "/report" else None

    def _list_orders(self) -> Answer:
        if not self._has_orders:
            return {"orders": []}
        from dbtui.demo.orm import list_orders

        return {"orders": list_orders(self.engine, random.randint(1, 5), is_cured=self._is_cured)}

    def _find_row(self) -> Answer:
        with self.engine.connect() as connection:
            row = connection.execute(self._row, self._parameters()).first()
            return dict(row._mapping) if row else {}

    def _work(self, seconds: float) -> Answer:
        with self.engine.connect() as connection:
            if self._sleep:
                connection.execute(text(self._sleep), {"seconds": seconds})
            else:
                time.sleep(seconds)
        return {"seconds": seconds}

    def _report(self, seconds: float) -> Answer:
        with self.engine.connect() as connection:
            totals = {str(status): count for status, count in connection.execute(self._totals)}
            time.sleep(seconds)
        return {"orders": totals}


class Request(BaseHTTPRequestHandler):
    """Answers one connection, on a thread of its own."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one packet
    disable_nagle_algorithm = True
    server: "WebServer"

    def do_GET(self) -> None:
        """Answer with JSON: 200, 400, 404, 503 when the pool is exhausted, 500 when the database failed."""
        parts = urlsplit(self.path)
        try:
            milliseconds = int(parse_qs(parts.query).get("ms", ["250"])[0])
            if not 0 <= milliseconds <= _LONGEST_MS:
                raise ValueError
        except ValueError:
            self._reply(400, {"error": f"ms is a whole number from 0 to {_LONGEST_MS}"})
            return
        try:
            answer = self.server.erp.answer(parts.path, milliseconds)
        except PoolTimeout:
            self._reply(503, {"error": "no connection became free in time"})
        except SQLAlchemyError as error:
            self._reply(500, {"error": type(error).__name__})
        else:
            self._reply(404 if answer is None else 200, answer or {"error": "nothing is here"})

    def _reply(self, status: int, answer: Answer) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Nothing: a load test would fill the disk."""


class WebServer(ThreadingHTTPServer):
    """The application on a port of the loopback address."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, erp: Erp) -> None:
        super().__init__((LOOPBACK, port), Request)
        self.erp = erp

    def handle_error(self, *_about: object) -> None:
        """A client that hung up is none of our business."""


def serve(url: str, port: int, service: str) -> None:
    """Serve until SIGTERM or SIGINT. Raises DbtuiError, SQLAlchemyError and OSError when it cannot start."""
    engine = create_engine(url, service=service)
    erp = Erp(engine)
    publisher = publish_pool(engine, service)
    with WebServer(port, erp) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        sys.stdout.write(f"http://{LOOPBACK}:{server.server_port} pool at {publisher.path}\n")
        sys.stdout.flush()
        server.serve_forever()
    publisher.close()
    engine.dispose()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the URL, which may hold a password, comes by the environment. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dbtui.demo.web", description="A small web application.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--service", default=SERVICE)
    asked = parser.parse_args(arguments)
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        parser.error("DATABASE_URL is not set")
    try:
        serve(url, asked.port, asked.service)
    except (DbtuiError, SQLAlchemyError, OSError) as error:
        sys.stderr.write(f"the web application did not start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
