"""Words of the server's list of sessions, whatever bytes they are, as text and back."""

from typing import Any

#: Characters of a statement that are fetched; one that is longer ends with CUT.
SQL_LENGTH = 8192
CUT = "…"
_LOCAL, _SOCKET = "local", "localhost"


def decode_text(value: Any) -> str:
    r"""Return a column as text; bytes that are not UTF-8 become `\xNN`."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)


def decode_statement(value: Any) -> str:
    """Return a statement; CUT at its end says that it is longer than that."""
    if value is not None and len(value) > SQL_LENGTH:
        kept = value[:SQL_LENGTH]
        shown = kept.decode("utf-8", "ignore") if _is_cut_text(kept) else decode_text(kept)
        return shown + CUT
    return decode_text(value)


def _is_cut_text(kept: Any) -> bool:
    """Whether these bytes are text whose last character may be cut in two."""
    if not isinstance(kept, bytes | bytearray):
        return False
    try:
        kept.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(kept) - 3
    return True


def format_client(host: str) -> str:
    """Return a session's host as shown: the server says "localhost", without a port, for a unix socket."""
    return _LOCAL if host == _SOCKET else host


def parse_client(client: str) -> str:
    """Return the host as the server has it."""
    return _SOCKET if client == _LOCAL else client
