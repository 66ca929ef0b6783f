"""Statements that end when the run is cancelled: PostgreSQL's cancel request, sent from another thread."""

import os
import queue
import socket
import threading
import time
from collections.abc import Callable

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_ACTIVE, connection

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.libpq.cancel_request import CancelRequest
from dbtui.adapters.libpq.lost_errors import hear_lost_errors

_REPEAT_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0


def open_connection(dsn: str, cancellation: Cancellation | None) -> connection:
    """Connect, giving up at once when a stop is requested: libpq itself cannot be interrupted while it connects.

    Raises psycopg2.Error, Cancelled. Without a cancellation it simply waits.
    """
    hear_lost_errors()
    if cancellation is None:
        return psycopg2.connect(dsn)
    outcomes: queue.SimpleQueue[connection | psycopg2.Error | None] = queue.SimpleQueue()
    abandoned = threading.Event()

    def attempt() -> None:
        try:
            made = psycopg2.connect(dsn)
        except psycopg2.Error as error:
            outcomes.put(error)
            return
        outcomes.put(made)
        if abandoned.is_set():
            made.close()

    with cancellation.interrupting(lambda: outcomes.put(None)):
        threading.Thread(target=attempt, name="connecting", daemon=True).start()
        outcome = outcomes.get()
    if isinstance(outcome, psycopg2.Error):
        cancellation.check()
        raise outcome
    if outcome is None or cancellation.requested:
        abandoned.set()
        while outcome is None and not outcomes.empty():
            late = outcomes.get()
            outcome = None if isinstance(late, psycopg2.Error) else late
        if outcome is not None:
            outcome.close()
        cancellation.check()
    assert outcome is not None  # noqa: S101 - check() raised otherwise
    return outcome


def interrupter(of: connection) -> Callable[[], None]:
    """Return what cancels whatever `of` runs, again and again until it runs nothing or is closed.

    Again, because a cancel request that overtakes its statement is forgotten by the server. A server that does not
    answer for five seconds loses its socket.
    """
    request = CancelRequest(of)

    def interrupt() -> None:
        threading.Thread(target=_cancel_until_closed, args=(of, request), name="cancelling", daemon=True).start()

    return interrupt


def _cancel_until_closed(of: connection, request: CancelRequest) -> None:
    busy_since: float | None = None
    while not of.closed:
        if of.info.transaction_status != TRANSACTION_STATUS_ACTIVE:
            busy_since = None
        else:
            busy_since = busy_since or time.monotonic()
            is_taken = request.send(_PATIENCE_SECONDS) or of.closed
            if not is_taken or time.monotonic() - busy_since > _PATIENCE_SECONDS:
                shut_socket(of)
                return
        time.sleep(_REPEAT_SECONDS)


def shut_socket(of: connection) -> None:
    """End what a connection waits for by closing its socket under it; its server is asked nothing."""
    try:
        with socket.socket(fileno=os.dup(of.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)
    except (OSError, psycopg2.Error):  # it is gone already
        return


def peer_address(of: connection) -> str | None:
    """Return the IP address that a connection goes to, None for a unix socket."""
    with socket.socket(fileno=os.dup(of.fileno())) as wire:
        peer = wire.getpeername()
    return peer[0] if isinstance(peer, tuple) else None
