"""A watch asks for the server's slots when somebody wants them, and says why there are none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import pytest

from dbtui.adapters.adapter import Adapter, PoolAdapter, Target
from dbtui.errors import ServerError
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.pools import ServerPool
from dbtui.watches import Watch
from tests.unit.watched import Looks, MemoryContext, MemoryServer, Switchboard, is_good, profile_named


@dataclass
class PoolSwitchboard(Switchboard):
    """Servers in memory that tell of their slots, refuse to, or have none."""

    answer: Callable[[], ServerPool] | None = None

    @property
    def pools(self) -> PoolAdapter | None:
        return cast(PoolAdapter, self) if self.answer else None

    def collect_server_pool(self, _target: Target) -> ServerPool:
        assert self.answer
        return self.answer()


@dataclass(frozen=True)
class PoolContext(MemoryContext):
    answer: Callable[[], ServerPool] | None = None

    def adapter(self, engine: EngineName) -> Adapter:
        return cast(Adapter, PoolSwitchboard(self.servers, self.answer))


def pool() -> ServerPool:
    return ServerPool(taken_at=datetime.now(UTC), monotonic_seconds=1.0, slots=97, used=3)


@contextmanager
def watching(answer: Callable[[], ServerPool] | None, profile: ConnectionProfile | None = None) -> Iterator[Looks]:
    looks = Looks()
    context = PoolContext(servers={"": MemoryServer()}, answer=answer)
    watch = Watch(profile or profile_named(), context, looks, 0.01)
    watch.wants_pool = True
    watch.start()
    try:
        yield looks
    finally:
        watch.stop()


def test_slots_come_with_the_look() -> None:
    with watching(pool) as looks:
        look = looks.next()
        assert look.server_pool is not None
        assert (look.server_pool.slots, look.pool_gap) == (97, "")


def test_an_engine_without_slots() -> None:
    with watching(None) as looks:
        look = looks.next()
        assert is_good(look)
        assert (look.server_pool, look.pool_gap) == (None, "")


def test_what_is_refused_is_asked_once_and_said() -> None:
    asked = []

    def refuse() -> ServerPool:
        asked.append(1)
        raise ServerError("permission denied", code="42501")

    with watching(refuse) as looks:
        seen = [looks.next() for _ in range(5)]
    assert all(is_good(look) and "permission denied" in look.pool_gap for look in seen)
    assert asked == [1]


@pytest.mark.parametrize("wanted", [True, False])
def test_wanting_slots_wakes_a_watch(wanted: bool) -> None:
    looks = Looks()
    watch = Watch(profile_named(), PoolContext(servers={"": MemoryServer()}, answer=pool), looks, 3600.0).start()
    try:
        assert looks.next().server_pool is None
        if wanted:
            watch.wants_pool = True
            assert looks.next().server_pool is not None
            watch.wants_pool = False
        watch.wake()
        assert looks.next().server_pool is None
    finally:
        watch.stop()
