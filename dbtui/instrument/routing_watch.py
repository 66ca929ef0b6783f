"""One daemon thread for each server, which looks at it over a connection of its own.

The thread of a server that hangs stands still alone: its last look grows old, and an old look opens nothing. A
connection of a forked parent is neither used nor closed.
"""

import asyncio
import copy
import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import NullPool, Pool, PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

_LOG = logging.getLogger("dbtui.instrument")
_SILENCE_SECONDS = 5
_CLOSING_SECONDS = 2.0

#: Connections of the parent, kept so that nobody closes them.
_INHERITED: list[object] = []


class Watcher:
    """Calls `look` with a DBAPI connection again and again, and `fail` with what went wrong."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        wake: threading.Event,
        *,
        look: Callable[[Any], None],
        fail: Callable[[Exception], None],
        pause_seconds: Callable[[], float],
    ) -> None:
        self._look = look
        self._fail = fail
        self._pause_seconds = pause_seconds
        self._wake = wake
        self._pool = unpooled(engine.pool)
        self._is_async = engine.dialect.is_async
        self._closing = False
        self._held: PoolProxiedConnection | None = None
        self._thread = threading.Thread(target=self._run, name=f"dbtui replicas {name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end."""
        self._closing = True
        self._wake.set()

    def join(self) -> None:
        """Wait for the thread's end, two seconds at most."""
        if self._thread is not threading.current_thread():
            self._thread.join(_CLOSING_SECONDS)

    def abandon(self) -> None:
        """In a forked child: the thread is not here, and its connection is the parent's."""
        self._closing = True
        _INHERITED.append((self._held, self._pool))

    def _run(self) -> None:
        if self._is_async:
            with asyncio.Runner() as runner:
                self._watch(lambda work: runner.run(_within_limit(work)))
        else:
            self._watch(lambda work: work())

    def _watch(self, run: Callable[[Callable[[], None]], None]) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                run(self._look_once)
            except Exception as error:
                _drop(run, self._take())
                self._fail(error)
            if not self._closing:
                self._wake.wait(self._pause_seconds())
        _drop(run, self._take())

    def _look_once(self) -> None:
        held = self._held
        if held is None:
            held = self._held = self._pool.connect()
            _limit_silence(held.driver_connection)
        self._look(held.dbapi_connection)

    def _take(self) -> PoolProxiedConnection | None:
        held, self._held = self._held, None
        return held


def unpooled(pool: Pool) -> Pool:
    """A pool that connects as `pool` does, with its options and events, and keeps nothing."""
    likeness = copy.copy(pool)
    likeness.__class__ = NullPool
    return likeness.recreate()


def _drop(run: Callable[[Callable[[], None]], None], held: PoolProxiedConnection | None) -> None:
    if held is None:
        return
    try:
        run(held.invalidate)
    except Exception as error:
        _LOG.debug("a connection to a replica was not closed: %s", error)


async def _within_limit(work: Callable[[], None]) -> None:
    async with asyncio.timeout(_SILENCE_SECONDS):
        await greenlet_spawn(work)


def _limit_silence(driver_connection: Any) -> None:
    """Let the kernel give a connection up over which nothing is heard, where the driver shows its socket."""
    if not hasattr(driver_connection, "fileno"):
        return
    with suppress(OSError), socket.socket(fileno=os.dup(driver_connection.fileno())) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", _SILENCE_SECONDS - 2)):
            if hasattr(socket, name):
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_SECONDS * 1000)
