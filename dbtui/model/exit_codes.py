"""Exit codes, published in the README: scripts rely on them."""

from dbtui.errors import Cancelled, ConnectError, DamagedBackupError, LockedError, RefusedError, UsageError
from dbtui.model.jobs import JobState

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
_BY_STATE = {JobState.SUCCEEDED: DONE, JobState.PARTIAL: PARTLY_DONE, JobState.CANCELLED: INTERRUPTED}


def exit_code_of(error: BaseException, *, checking: bool = False) -> int:
    """Return the exit code for an error; `checking`: a damaged backup is what the command was asked to look for."""
    if checking and isinstance(error, DamagedBackupError):
        return FOUND_SOMETHING
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAILED)


def exit_code_of_state(state: JobState, failed: int = FAILED) -> int:
    """Return the exit code for the end of a job that raised nothing; `failed`: that of one that failed."""
    return _BY_STATE.get(state, failed)
