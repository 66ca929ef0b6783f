"""What every throwaway MariaDB is made and asked with."""

import socket as sockets
from pathlib import Path

_HANDSHAKE_PROTOCOL = 10


def format_installation(installer: Path, data: Path, home: Path) -> list[str]:
    """Return the argv that writes the system tables into `data`; `home`: for its temporary files.

    They are not made durable: what they are for ends with this program.
    """
    return [
        str(installer),
        *("--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"),
        *("--innodb-log-file-size=8M", "--innodb-flush-method=nosync"),
        *(f"--datadir={data}", f"--tmpdir={home}"),
    ]


def greets(socket: Path) -> bool:
    """Whether a server takes logins there: it greets first, with the version of its protocol."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(socket))
            greeting = client.recv(5)
        except OSError:
            return False
    return len(greeting) == 5 and greeting[4] == _HANDSHAKE_PROTOCOL
