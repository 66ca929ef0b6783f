"""Exit codes, published in the README: scripts rely on them."""

from dbtui.errors import Cancelled, ConnectError, DamagedBackupError, LockedError, RefusedError, UsageError

DONE = 0
FAILED = 1
USAGE = 2
PARTLY_DONE = 3
CANNOT_CONNECT = 4
LOCKED = 5
REFUSED = 6
FOUND_SOMETHING = 7
INTERRUPTED = 130

#: The first class that fits decides.
_BY_ERROR: tuple[tuple[type[BaseException], int], ...] = (
    (UsageError, USAGE),
    (ConnectError, CANNOT_CONNECT),
    (LockedError, LOCKED),
    (RefusedError, REFUSED),
    (Cancelled, INTERRUPTED),
    (KeyboardInterrupt, INTERRUPTED),
)


def exit_code_of(error: BaseException, *, checking: bool = False) -> int:
    """Return the exit code for an error; `checking`: a damaged backup is what the command was asked to look for."""
    if checking and isinstance(error, DamagedBackupError):
        return FOUND_SOMETHING
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAILED)
