"""One application that calls each of its processes by a name of its own: `erp-api:4711`, `worker-2`, `unicorn [17]`."""

import re
from functools import lru_cache

_NUMBERED = re.compile(r"(?<=[\w)\]])([\s:;.,/#@|_\-\[({]+)\d+([\])}]?)$")


@lru_cache(maxsize=4096)
def fold_application(name: str) -> str:
    """Return a name with a star in the place of the number behind it; one without a number as it is."""
    return _NUMBERED.sub(r"\1*\2", name)
