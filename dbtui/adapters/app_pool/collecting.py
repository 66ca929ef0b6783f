"""One look at every application pool: all sources at once, on one thread, within a time limit for all together."""

import os
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dbtui.adapters.app_pool.parsing import UnreadableError
from dbtui.adapters.app_pool.sockets import ENDED, ENDED_MANY, Source, find_sources
from dbtui.model.pools import AppPool, AppPoolsSnapshot
from dbtui.model.text import format_untrusted

MOST_BYTES = 1_000_000
_CHUNK_BYTES = 65_536
#: Of the time limit, how much may be spent on looking up the names of hosts.
_LOOKING_UP = 0.4
#: More sockets of processes that have ended than this are told of together.
_MOST_ENDED = 3


@dataclass(slots=True, eq=False)
class _Conversation:
    """One question to one source."""

    source: Source
    attempts: Iterator[socket.socket]
    wire: socket.socket
    unsent: bytes
    answer: bytearray = field(default_factory=bytearray)


class _Round:
    """All questions of one look."""

    def __init__(self, ends_at: float) -> None:
        self.pools: list[AppPool] = []
        self.gaps: list[str] = []
        self._ended: list[str] = []
        self._ends_at = ends_at
        self._selector = selectors.DefaultSelector()
        self._open: set[_Conversation] = set()

    def begin(self, source: Source) -> None:
        """Ask a source."""
        left = max(0.0, self._ends_at - time.monotonic())
        attempts = source.open(left * _LOOKING_UP)
        try:
            wire = next(attempts, None)
        except OSError as error:
            self._note(source, source.describe(error))
            return
        except UnreadableError as error:
            self._note(source, error.message)
            return
        if wire is None:
            self._note(source, "none of its addresses can be reached")
            return
        self._watch(_Conversation(source, attempts, wire, source.request))

    def _watch(self, talk: _Conversation) -> None:
        self._open.add(talk)
        self._selector.register(talk.wire, selectors.EVENT_WRITE, talk)

    def run(self) -> None:
        """Talk until everybody has answered or the time is up."""
        while self._open and (left := self._ends_at - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                talk: _Conversation = key.data
                try:
                    self._go_on(talk)
                except OSError as error:
                    self._fail(talk, error)

    def _go_on(self, talk: _Conversation) -> None:
        if talk.unsent:
            if failed := talk.wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(failed, os.strerror(failed))
            talk.unsent = talk.unsent[talk.wire.send(talk.unsent) :]
            if not talk.unsent:
                self._selector.modify(talk.wire, selectors.EVENT_READ, talk)
            return
        received = talk.wire.recv(_CHUNK_BYTES)
        talk.answer += received
        if len(talk.answer) > MOST_BYTES:
            self._close(talk)
            self._note(talk.source, "it says more than a megabyte")
        elif not received or talk.source.is_complete(talk.answer):
            self._finish(talk)

    def _finish(self, talk: _Conversation) -> None:
        self._close(talk)
        try:
            self.pools += talk.source.parse(bytes(talk.answer), time.monotonic())
        except UnreadableError as error:
            self._note(talk.source, error.message)

    def _fail(self, talk: _Conversation, error: OSError) -> None:
        """Try the next address, if there is one and nothing was said yet."""
        self._close(talk)
        try:
            wire = None if talk.answer else next(talk.attempts, None)
        except OSError:
            wire = None
        if wire is None:
            self._note(talk.source, talk.source.describe(error))
        else:
            self._watch(_Conversation(talk.source, talk.attempts, wire, talk.source.request))

    def _close(self, talk: _Conversation) -> None:
        self._open.discard(talk)
        self._selector.unregister(talk.wire)
        talk.wire.close()

    def end(self, limit_seconds: float) -> None:
        """Hang up on those who have not answered."""
        for talk in list(self._open):
            self._close(talk)
            self._note(talk.source, f"it did not answer within {limit_seconds:g} seconds")
        self._selector.close()

    def _note(self, source: Source, reason: str) -> None:
        if reason == ENDED:
            self._ended.append(source.name)
        else:
            self.gaps.append(f"{format_untrusted(source.name, 200)}: {reason}")

    def list_gaps(self) -> list[str]:
        """Return who did not answer and why; many processes that have ended in one sentence."""
        ended = sorted(self._ended)
        if len(ended) <= _MOST_ENDED:
            return sorted([*self.gaps, *(f"{format_untrusted(name, 200)}: {ENDED}" for name in ended)])
        first, last = format_untrusted(ended[0], 200), format_untrusted(ended[-1], 200)
        many = f"{len(ended)} sockets from {first} to {last}: {ENDED_MANY}"
        return sorted([*self.gaps, many])


def collect_app_pools(places: Sequence[str], timeout_seconds: float, now: datetime) -> AppPoolsSnapshot:
    """Ask every process that publishes its pools at these places. Who does not answer in time is a gap.

    Returns within `timeout_seconds`, whatever publishers do.
    """
    asked = _Round(time.monotonic() + timeout_seconds)
    sources, gaps = find_sources(places)
    try:
        for source in sources:
            asked.begin(source)
        asked.run()
    finally:
        asked.end(timeout_seconds)
    pools = sorted(asked.pools, key=lambda each: (each.service, each.pid, each.pool))
    return AppPoolsSnapshot(
        taken_at=now, monotonic_seconds=time.monotonic(), pools=tuple(pools), gaps=(*gaps, *asked.list_gaps())
    )
