"""Names of hosts looked up once, so that what was judged is what is connected to."""

import socket

from dbtui.errors import ConnectError
from dbtui.model.text import format_untrusted


def look_up(host: str, port: int) -> str:
    """Return the first address of a host. Raises ConnectError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"{format_untrusted(host, 100)} cannot be looked up: {reason}"
        raise ConnectError(message, "check the name, and this machine's resolver") from error
    return str(found[0][4][0])


def check_listening(address: str, port: int, shown: str, seconds: float) -> None:
    """Connect and hang up. Raises ConnectError when nothing answers there."""
    try:
        socket.create_connection((address, port), timeout=seconds).close()
    except OSError as error:
        message = f"{shown} cannot be reached: {error.strerror or error}"
        raise ConnectError(message, "check that it runs, and the port") from error
