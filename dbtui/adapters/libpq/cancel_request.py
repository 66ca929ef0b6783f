"""PostgreSQL's cancel request, sent while the rest of the program goes on.

psycopg2's own `cancel` holds Python's global lock while it connects and waits for the answer. Over a network that
swallows packets that stops every thread, and with them Ctrl-C itself. So libpq is asked directly, through the pointer
that psycopg2 gives out for this ("connection.pgconn_ptr" in its manual); ctypes lets the other threads run meanwhile.
"""

import ctypes
import threading
import weakref
from functools import cache

from psycopg2 import _psycopg
from psycopg2.extensions import connection

_ERROR_BYTES = 256


@cache
def _libpq() -> ctypes.CDLL:
    """The libpq that psycopg2 itself is linked with."""
    library = ctypes.CDLL(_psycopg.__file__)
    library.PQgetCancel.argtypes, library.PQgetCancel.restype = [ctypes.c_void_p], ctypes.c_void_p
    library.PQfreeCancel.argtypes, library.PQfreeCancel.restype = [ctypes.c_void_p], None
    library.PQcancel.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    return library


class CancelRequest:
    """The right to cancel what one connection runs; it outlives the connection. Make it in the connection's thread."""

    def __init__(self, of: connection) -> None:
        self._key: int | None = _libpq().PQgetCancel(of.pgconn_ptr) if not of.closed else None
        if self._key is not None:
            weakref.finalize(self, _libpq().PQfreeCancel, self._key)

    def send(self, patience_seconds: float) -> bool:
        """Ask the server to cancel; return whether it took the request within `patience_seconds`."""
        if self._key is None:
            return False
        taken = threading.Event()
        answered = threading.Event()

        def ask() -> None:
            if _libpq().PQcancel(self._key, ctypes.create_string_buffer(_ERROR_BYTES), _ERROR_BYTES):
                taken.set()
            answered.set()

        threading.Thread(target=ask, name="cancel request", daemon=True).start()
        answered.wait(patience_seconds)
        return taken.is_set()
