"""What something costs at its cheapest: a machine that is busy with something else only ever adds."""

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TRIES = 4


@contextmanager
def quiet_heap() -> Iterator[None]:
    """What earlier tests left in this process is not walked through by the collector meanwhile."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def seconds_waited(pid: int) -> float:
    """The seconds in which a process's first thread could have run, and no processor was free."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def least(measure: Callable[[], float], limit: float) -> float:
    """Measure until it is within the limit, four times at most; return the least."""
    found = measure()
    for _ in range(TRIES - 1):
        if found <= limit:
            break
        found = min(found, measure())
    return found


async def least_awaited(measure: Callable[[], Awaitable[float]], limit: float) -> float:
    """`least` for what has to be awaited."""
    found = await measure()
    for _ in range(TRIES - 1):
        if found <= limit:
            break
        found = min(found, await measure())
    return found
