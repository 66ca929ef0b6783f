"""Ten thousand reads while a replica is ended without warning and comes back: none fails, no critical one is stale."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select, text

from dbtui.instrument import ReadWriteSession, ReplicaSet
from tests.fix_servers import wait_until
from tests.instrument.routing_lab import (
    GENEROUS,
    PORT,
    Item,
    Lab,
    kill_server,
    restart_server,
    wait_for_state,
)

READS = 10_000
READERS = 4
WRITER_ITEM = 1
SLOW = text("SELECT pg_sleep(0.005)").execution_options(dbtui_read_from="replica")
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@dataclass
class Tally:
    """What the readers and the writer saw."""

    reads: int = 0
    errors: list[BaseException] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    served: Counter[int] = field(default_factory=Counter)
    #: What the writer has committed, and its position. One object, so that readers see both or neither.
    committed: tuple[int, str] = (0, "")
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, port: int) -> None:
        """One more read, served by a server."""
        with self.lock:
            self.reads += 1
            self.served[port] += 1


def read_on(replicas: ReplicaSet, tally: Tally, item: int) -> None:
    """Reads of every kind, in turns, until there were enough."""
    own = 0
    while tally.reads < READS and not tally.errors:
        with ReadWriteSession(replicas=replicas) as session:  # plain: any recent state will do
            assert session.get(Item, item) is not None
            session.execute(SLOW)  # most outages come in the middle of a statement
            assert session.scalars(select(Item.number)).all()
            tally.count(int(session.scalar(PORT) or 0))
        wanted, position = tally.committed
        with ReadWriteSession(replicas=replicas, after=position) as session:  # after another one's commit
            found = session.scalar(select(Item.number).where(Item.id == WRITER_ITEM)) or 0
            tally.count(int(session.scalar(PORT) or 0))
        if found < wanted:
            tally.stale.append(f"after {position}: {found}, not {wanted}")
        wanted, _ = tally.committed
        with ReadWriteSession(replicas=replicas) as session, session.primary():  # as it is now
            found = session.scalar(select(Item.number).where(Item.id == WRITER_ITEM)) or 0
            tally.count(0)
        if found < wanted:
            tally.stale.append(f"critical: {found}, not {wanted}")
        own += 1
        with ReadWriteSession(replicas=replicas) as session:  # after its own commit
            mine = session.get(Item, item)
            assert mine
            mine.number = own
            session.commit()
            found = session.scalar(select(Item.number).where(Item.id == item)) or 0
            tally.count(int(session.scalar(PORT) or 0))
        if found != own:
            tally.stale.append(f"its own: {found}, not {own}")


def write_on(replicas: ReplicaSet, tally: Tally) -> None:
    """Commits numbers that grow, and tells of each when it is committed."""
    number = 0
    while tally.reads < READS and not tally.errors:
        number += 1
        with ReadWriteSession(replicas=replicas) as session, session.primary():
            item = session.get(Item, WRITER_ITEM)
            assert item
            item.number = number
            session.commit()
            tally.committed = (number, session.position)


@pytest.mark.timeout(900)
def test_no_read_fails_and_no_critical_read_is_stale(
    new_lab: Callable[..., Lab], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "dbtui.instrument")
    lab = new_lab()
    replicas = lab.open_set(engine_options={"pool_size": 8, "max_overflow": 16})
    tally = Tally()

    def watched(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            tally.errors.append(error)

    work: list[Callable[[], None]] = [lambda: write_on(replicas, tally)]
    work += [lambda item=number + 2: read_on(replicas, tally, item) for number in range(READERS)]  # type: ignore[misc]
    threads = [threading.Thread(target=watched, args=(each,)) for each in work]
    for thread in threads:
        thread.start()

    def passed(part: float) -> None:
        wait_until(lambda: tally.reads >= READS * part or bool(tally.errors), 600)

    victim, other = lab.replicas
    try:
        for number in range(15):  # every connection to the replicas breaks, wherever it is
            passed(0.01 * number)
            for server in lab.replicas:
                server.execute(CUT)
        for begin, end, server in ((0.2, 0.4, victim), (0.6, 0.8, other)):
            passed(begin)
            kill_server(server)
            passed(end)
            restart_server(server)
            before = tally.served[server.port]
            wait_for_state(replicas, server, lambda state: state.is_read_from)
            wait_until(
                lambda server=server, before=before: (  # type: ignore[misc]
                    tally.served[server.port] > before or tally.reads >= READS or bool(tally.errors)
                ),
                GENEROUS,
            )
    finally:
        for thread in threads:
            thread.join()
    repeated = sum("is repeated elsewhere" in each.getMessage() for each in caplog.records)
    print(tally.reads, "reads;", repeated, "repeated;", tally.committed, "; by server:", dict(tally.served))
    assert not tally.errors, tally.errors
    assert repeated, "or else no outage was met"
    assert not tally.stale, tally.stale
    assert tally.reads >= READS
    assert tally.committed[0] > 10
    assert min(tally.served[each.port] for each in lab.replicas) > READS / 50, "both replicas served, also when healed"
    with ReadWriteSession(replicas=replicas) as session:
        assert session.scalar(PORT) in lab.ports
