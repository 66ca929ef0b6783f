"""An open load that grows: transactions begin when they are meant to, whether those before them have ended or not."""

import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue

from sqlalchemy import Engine

from dbtui.model.pools import PoolsSnapshot
from tests.ramps import Row, read_row
from tests.routines.pool_lab import PoolLab, sleep_in_server

_WORKERS = 48


@dataclass(frozen=True)
class Ramp:
    """From `first` to `last` transactions a second in `seconds`, each of them `work_seconds` in the server."""

    seconds: float = 40.0
    first: float = 10.0
    last: float = 125.0
    work_seconds: float = 0.065
    every: float = 1.0


def run_ramp(lab: PoolLab, ramp: Ramp) -> list[Row]:
    """Run a ramp through a laboratory and return what was seen of it."""
    engine = lab.engine(size=_WORKERS, overflow=0)
    _open_all(engine)
    starts: SimpleQueue[bool] = SimpleQueue()
    work = sleep_in_server(ramp.work_seconds)

    def run() -> None:
        while starts.get():
            work(engine)

    workers = [threading.Thread(target=run, daemon=True) for _ in range(_WORKERS)]
    for worker in workers:
        worker.start()
    began = time.monotonic()
    clock = threading.Thread(target=_begin_all, args=(starts, ramp, began), daemon=True)
    clock.start()
    snapshots = lab.watch(ramp.seconds, every=ramp.every).snapshots
    clock.join()
    for _ in workers:
        starts.put(False)
    for worker in workers:
        worker.join(30)
    return _read(snapshots, lab, began)


def _read(snapshots: list[PoolsSnapshot], lab: PoolLab, began: float) -> list[Row]:
    rows = (read_row(snapshot, lab.database, began) for snapshot in snapshots)
    return [row for row in rows if row is not None]


def _open_all(engine: Engine) -> None:
    connections = [engine.connect() for _ in range(_WORKERS)]
    for connection in connections:
        connection.close()


def _begin_all(starts: SimpleQueue[bool], ramp: Ramp, began: float) -> None:
    pause = threading.Event()
    at = 0.0
    while at < ramp.seconds:
        pause.wait(max(0.0, began + at - time.monotonic()))
        starts.put(True)
        at += 1 / (ramp.first + (ramp.last - ramp.first) * at / ramp.seconds)
