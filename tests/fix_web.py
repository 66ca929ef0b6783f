"""A web server on a loopback port with known manners, good and bad, in a thread of this process."""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

HOST = "127.0.0.1"
Answer = Callable[["WebServer", asyncio.StreamWriter, dict[str, list[str]]], Awaitable[bool]]


class WebServer:
    """Answers each path its own way. `requests` holds what came, request line and headers."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self.requests: list[bytes] = []
        self.port = 0
        self.stall_at = -1
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def url(self, path: str) -> str:
        return f"http://{HOST}:{self.port}{path}"

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """End it. May be called twice."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._converse, HOST, 0, ssl=self._context))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0.01))  # so that the connections hear of their end
        self._loop.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        else:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            self.requests.append(head)
            if len(self.requests) == self.stall_at:
                time.sleep(1)  # the whole server stands still
            parts = urlsplit(head.split(b" ", 2)[1].decode())
            if not await ANSWERS[parts.path](self, writer, parse_qs(parts.query)):
                break


async def _send(writer: asyncio.StreamWriter, status: str = "200 OK", headers: str = "") -> bool:
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n{headers}\r\nok".encode())
    await writer.drain()
    return True


async def answer_ok(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    return await _send(writer)


async def answer_slowly(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    await asyncio.sleep(float(query["ms"][0]) / 1000)
    return await _send(writer)


async def answer_status(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    return await _send(writer, f"{query['code'][0]} Said", "Location: /elsewhere\r\n")


async def answer_interim(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    return await _send(writer)


async def answer_chunked(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    await writer.drain()
    await asyncio.sleep(0.001)
    writer.write(b"0\r\n\r\n")
    return True


async def answer_and_close(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    writer.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    return False


async def answer_half(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    return False


async def close_at_once(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    return False


async def reset(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    wire = writer.get_extra_info("socket")
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


async def hang(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    await asyncio.sleep(60)
    return False


async def send_garbage(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    writer.write(b"\x00\xff not HTTP at all \r\n\r\n" * 3)
    return True


async def send_endless_headers(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


async def send_endless_body(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def send_endless_interims(server: WebServer, writer: asyncio.StreamWriter, query: dict[str, list[str]]) -> bool:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await writer.drain()
        await asyncio.sleep(0.001)


ANSWERS: dict[str, Answer] = {
    "/ok": answer_ok,
    "/slow": answer_slowly,
    "/status": answer_status,
    "/interim": answer_interim,
    "/chunked": answer_chunked,
    "/until-end": answer_and_close,
    "/half": answer_half,
    "/close": close_at_once,
    "/reset": reset,
    "/hang": hang,
    "/garbage": send_garbage,
    "/headers": send_endless_headers,
    "/body": send_endless_body,
    "/interims": send_endless_interims,
}


@pytest.fixture
def web_server() -> Iterator[WebServer]:
    """A web server of this test alone."""
    server = WebServer()
    server.start()
    yield server
    server.stop()
