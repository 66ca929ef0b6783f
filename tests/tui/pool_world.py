"""Ladders without servers: snapshots of pools at rest, filling and saturated; a watch that publishes them."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dbtui.model.connections import ConnectionProfile
from dbtui.model.pools import (
    AppPool,
    AppPoolsSnapshot,
    HostLoad,
    LoadPoint,
    PoolerClient,
    PoolerClients,
    PoolerDatabase,
    PoolerPool,
    PoolerSettings,
    PoolerSnapshot,
    PoolerTotals,
    PoolsSnapshot,
    ServerHolder,
    ServerPool,
    ServerState,
    Timing,
)
from dbtui.watches import Look

START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
BASE = 50_000.0


def app_pool(pid: int, at: float, *, out: int = 3, pending: int = 0, oldest: float = 0.0, **fields: Any) -> AppPool:
    """A pool of 5 + 10 in a process of the application."""
    served = int(40 * at)
    known: dict[str, Any] = {
        "source": f"/run/user/1000/dbtui/erp-api.{pid}.sock", "service": "erp-api", "pid": pid, "pool": "default",
        "url": "postgresql://db1:6432/erp", "monotonic_seconds": BASE + at, "size": 5, "max_overflow": 10,
        "timeout_seconds": 30.0, "checked_out": out, "checked_in": max(0, 5 - out), "overflow": max(0, out - 5),
        "pending": pending, "oldest_pending_seconds": oldest, "wait": Timing(served, served * 0.004, ()),
        "hold": Timing(served, served * 0.05, ()), **fields,
    }  # fmt: skip
    return AppPool(**known)


def ladder(
    at: float, *, out: int = 3, pending: int = 0, oldest: float = 0.0, active: int = 4, waiting: int = 0,
    maxwait: float = 0.0, admin: bool = True, paused: bool = False, problem: str = "", **fields: Any,
) -> PoolsSnapshot:  # fmt: skip
    """Two processes, a PgBouncer with a pool of 20, a server of 97 slots, a host of 8 cores, after `at` seconds."""
    moment = START + timedelta(seconds=at)
    served = int(80 * at)
    pooler = PoolerSnapshot(
        source="db1:6432", taken_at=moment, monotonic_seconds=BASE + at, version="1.18.0",
        pools=(PoolerPool(database="erp", user="app", cl_active=30 - waiting, cl_waiting=waiting, sv_active=active,
                          sv_idle=max(0, 20 - active), maxwait_seconds=maxwait, pool_mode="transaction"),
               PoolerPool(database="reports", user="report", cl_active=2, sv_active=1, pool_mode="transaction")),
        totals=(PoolerTotals(database="erp", xact_total=served, query_total=served * 3, xact_seconds=at * active,
                             query_seconds=at * active, wait_seconds=0.0),
                PoolerTotals(database="reports", xact_total=int(at), query_total=int(at), xact_seconds=at)),
        databases=(PoolerDatabase(name="erp", host="db1", port=5432, database="erp", pool_size=20,
                                  current_connections=20, is_paused=paused),
                   PoolerDatabase(name="reports", host="db1", port=5432, database="reports", pool_size=20,
                                  current_connections=1)),
        settings=PoolerSettings(max_client_conn=200, default_pool_size=20, pool_mode="transaction"),
        used_clients=32, used_servers=21, is_admin=admin, problem=problem,
    )  # fmt: skip
    server = ServerPool(
        taken_at=moment, monotonic_seconds=BASE + at, slots=97, used=39, is_local=True, cores=8,
        holders=(ServerHolder(application="erp-api", client="10.0.0.7", user="app", state=ServerState.ON_CPU, count=6),
                 ServerHolder(application="erp-api", client="10.0.0.7", user="app", state=ServerState.IDLE, count=14)),
    )  # fmt: skip
    known: dict[str, Any] = {
        "app": AppPoolsSnapshot(taken_at=moment, monotonic_seconds=BASE + at,
                                pools=(app_pool(4711, at, out=out, pending=pending, oldest=oldest),
                                       app_pool(4712, at, out=out, pending=pending, oldest=oldest))),
        "pooler": pooler, "server": server,
        "host": HostLoad(taken_at=moment, monotonic_seconds=BASE + at, cores=8, load_1m=3.1,
                         busy_seconds_total=at * 3.0),
        **fields,
    }  # fmt: skip
    return PoolsSnapshot(profile="erp", taken_at=moment, monotonic_seconds=BASE + at, **known)


def calm(seconds: int, start: float = 0.0) -> list[PoolsSnapshot]:
    """A look each second at pools with room."""
    return [ladder(start + at) for at in range(1, seconds + 1)]


def saturated(seconds: int, start: float = 0.0) -> list[PoolsSnapshot]:
    """A look each second at a pool of PgBouncer that is too narrow: 15 + 15 out, 12 more wait in the application."""
    return [ladder(start + at, out=15, pending=6, oldest=3.1, active=20, waiting=10, maxwait=1.4)
            for at in range(1, seconds + 1)]  # fmt: skip


def restless(number: int) -> PoolsSnapshot:
    """Look `number` at pools of which none rests: what is used, waits and is served changes from look to look."""
    noise = random.Random(number)
    waiting = max(0, noise.randint(-6, 12))
    busy = 20 if waiting else noise.randint(4, 19)
    found = ladder(number, out=noise.randint(5, 15), pending=noise.randint(0, 6), oldest=noise.random() * 3,
                   active=busy, waiting=waiting, maxwait=noise.random() if waiting else 0.0)  # fmt: skip
    now = time.monotonic()
    assert found.server is not None
    server = replace(found.server, used=noise.randint(30, 60), monotonic_seconds=now, taken_at=datetime.now(UTC))
    host = HostLoad(taken_at=datetime.now(UTC), monotonic_seconds=now, cores=8, load_1m=noise.random() * 8,
                    busy_seconds_total=number * 3.0 + noise.random() * 2)  # fmt: skip
    load = LoadPoint(monotonic_seconds=now, stage=f"{number // 20 + 1} clients", rate=900 + noise.random() * 300,
                     p95_seconds=noise.random() / 10)  # fmt: skip
    return replace(found, server=server, host=host, load=load, taken_at=datetime.now(UTC), monotonic_seconds=now,
                   app=replace(found.app, monotonic_seconds=now) if found.app else None,
                   pooler=replace(found.pooler, monotonic_seconds=now) if found.pooler else None)  # fmt: skip


CLIENTS = PoolerClients(
    source="db1:6432",
    taken_at=START,
    clients=(
        PoolerClient(database="erp", user="app", application="erp-api", client="10.0.0.7:51022", state="waiting",
                     wait_seconds=1.4, client_id="0x1"),
        PoolerClient(database="erp", user="app", application="erp-api", client="10.0.0.7:51023", state="active",
                     server_pid=8123, server_state="idle in transaction", wait="Client: ClientRead",
                     transaction_seconds=12.0, sql="UPDATE stock SET n = n - 1", client_id="0x2"),
        PoolerClient(database="reports", user="report", application="reporting", client="10.0.0.9:40000",
                     state="active", client_id="0x3"),
    ),
)  # fmt: skip


@dataclass
class FakeLadder:
    """A ladder's watch; a test publishes what it sees."""

    profile: ConnectionProfile
    publish: Callable[[PoolsSnapshot], None]
    seconds: float
    calls: list[str] = field(default_factory=list)
    wants_clients: Callable[[PoolerClients], None] | None = None

    def start(self) -> object:
        """Note it."""
        self.calls.append("start")
        return self

    def stop(self) -> None:
        """Note it."""
        self.calls.append("stop")

    def wake(self) -> None:
        """Note it."""
        self.calls.append("wake")

    def pause(self) -> None:
        """Note it."""
        self.calls.append("pause")

    def resume(self) -> None:
        """Note it."""
        self.calls.append("resume")

    def set_interval(self, seconds: float) -> None:
        """Note it."""
        self.seconds = seconds

    def receive(self, look: Look) -> None:
        """Note it."""
        self.calls.append(f"look at {look.profile}")


@dataclass
class LiveLadder(FakeLadder):
    """Looks by itself, each second at pools that never rest."""

    def start(self) -> object:
        """Begin."""
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def _run(self) -> None:
        number = 0
        while True:
            began = time.monotonic()
            number += 1
            self.publish(restless(number))
            time.sleep(max(0.0, began + self.seconds - time.monotonic()))
