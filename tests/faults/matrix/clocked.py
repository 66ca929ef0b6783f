"""Runs dbtui with a clock that is wrong: `python -m tests.faults.matrix.clocked SECONDS OFFSET WORDS...`.

The wall clock is the true one for so many seconds, then OFFSET seconds are added to it, as when somebody sets it, or
a virtual machine wakes up. Only what dbtui takes for the time is changed; the monotonic clock goes on.
"""

import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import NoReturn

from dbtui.cli.main import main as run
from dbtui.routines import context


def jump(after_seconds: float, offset_seconds: float) -> None:
    """Let the clock of all routines jump."""
    began = time.monotonic()

    class Jumping(datetime):
        """The time as this machine says it, and then something else."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            true = datetime.now(tz)
            has_jumped = time.monotonic() - began >= after_seconds
            return true + timedelta(seconds=offset_seconds) if has_jumped else true

    context.datetime = Jumping  # type: ignore[attr-defined]


def main() -> NoReturn:
    """Set the clock, then do what the words say."""
    jump(float(sys.argv[1]), float(sys.argv[2]))
    run(sys.argv[3:])


if __name__ == "__main__":
    main()
