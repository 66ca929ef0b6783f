"""The error that psycopg2 loses when a connection ends during COPY.

libpq then reports twice: why the server ended the session, and that the socket is gone. psycopg2 raises the second over
the first, which Python prints on stderr by `sys.excepthook`, with the rows in it that the server was reading.
"""

import sys
import threading
from types import TracebackType

import psycopg2

_lost = threading.local()
_lock = threading.Lock()
_is_heard = False


def hear_lost_errors() -> None:
    """Keep such errors for `take_lost_error` instead of having them printed; everything else is printed as before."""
    global _is_heard
    with _lock:
        if _is_heard:
            return
        _is_heard = True
        previous = sys.excepthook

        def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            cause = error.__cause__
            if isinstance(error, SystemError) and isinstance(cause, psycopg2.Error):
                _lost.error = cause
            else:
                previous(kind, error, trace)

        sys.excepthook = hook


def take_lost_error() -> psycopg2.Error | None:
    """Return, once, the error that was lost in this thread."""
    error: psycopg2.Error | None = getattr(_lost, "error", None)
    _lost.error = None
    return error
