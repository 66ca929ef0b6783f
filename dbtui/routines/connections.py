"""Looking at targets for the list of connections."""

import time

from dbtui.errors import Cancelled, DbtuiError
from dbtui.model.connections import ConnectionProfile, TargetStatus
from dbtui.model.events import Routine
from dbtui.routines.context import RoutineContext


def collect_status(c: RoutineContext, profile: ConnectionProfile) -> Routine[TargetStatus]:
    """Connect to a target and look at it. A target that cannot be reached has its reason in `problem`."""
    yield from ()
    began, taken_at = time.monotonic(), c.now()
    try:
        with c.open_target(profile) as target:
            return c.adapter(profile.engine).collect_status(target)
    except Cancelled:
        raise
    except DbtuiError as error:
        return TargetStatus(
            profile=profile.name, taken_at=taken_at, problem=str(error), seconds=time.monotonic() - began
        )  # fmt: skip
