"""When dbtui itself is at fault: one sentence for the operator, the traceback without values for the log."""

import os
import sys
import traceback
from pathlib import Path


def record(error: BaseException, log_name: str) -> str:
    """Write the traceback to standard error, which is the log while the UI runs, and return a sentence.

    A traceback holds the lines of this program but no values of variables; messages of unexpected exceptions may hold
    server text, so the sentence names only the kind of error and the place.
    """
    lines = traceback.format_exception(error, chain=True)
    os.write(2, "".join(lines).encode("utf-8", "replace"))
    place = traceback.extract_tb(error.__traceback__)
    here = next((frame for frame in reversed(place) if "dbtui" in frame.filename), place[-1] if place else None)
    where = f" at {Path(here.filename).name}, line {here.lineno}" if here else ""
    if os.environ.get("DBTUI_DEBUG") == "1":
        sys.stderr.write("".join(traceback.format_tb(error.__traceback__)))
    return (
        f"dbtui stopped because of an error of its own: {type(error).__name__}{where}; running jobs were cancelled, "
        f"and {log_name} in the state directory has the details"
    )
