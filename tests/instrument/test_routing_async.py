"""Routing with asyncio drivers: the same rules, waits that let other tasks run, and outages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import selectinload

from dbtui.instrument import AsyncReadWriteSession, ReplicaSet, create_async_engine
from tests.instrument.routing_lab import PORT, Item, Lab, Owner, kill_server, restart_server, state_of

DRIVERS = ("asyncpg", "psycopg")
NUMBER = select(Item.number).where(Item.id == 1)
TRIES = 1200


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition and let other tasks run."""
    for _ in range(TRIES):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the condition did not come true")


@asynccontextmanager
async def open_set(lab: Lab, driver: str, **options: Any) -> AsyncIterator[ReplicaSet]:
    """A set of asyncio engines in which every replica is read from."""
    engines: list[AsyncEngine] = [
        create_async_engine(lab.url(each).replace("postgresql://", f"postgresql+{driver}://"))
        for each in (lab.primary, *lab.replicas)
    ]
    options = {"look_seconds": 0.2, "wait_seconds": 5.0, "harmless_functions": ["inet_server_port"], **options}
    with ReplicaSet(engines[0], engines[1:], **options) as replicas:
        try:
            replicas.start()
            await until(lambda: all(each.is_read_from for each in replicas.states()))
            yield replicas
        finally:
            for engine in engines:
                await engine.dispose()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_reads_go_to_replicas_and_writes_to_the_primary(lab: Lab, driver: str) -> None:
    async with open_set(lab, driver) as replicas:
        make = async_sessionmaker(class_=AsyncReadWriteSession, replicas=replicas, expire_on_commit=False)
        seen = set()
        for _ in range(4):
            async with make() as session:
                seen.add(await session.scalar(PORT))
                assert await session.get(Item, 1)
                owners = (await session.scalars(select(Owner).options(selectinload(Owner.items)))).all()
                assert [len(each.items) for each in owners] == [1] * 10
        assert seen == lab.ports
        async with make() as session:
            await session.execute(insert(Item).values(number=1))
            assert await session.scalar(PORT) == lab.primary.port
            await session.rollback()
            assert await session.scalar(text("SELECT inet_server_port()")) == lab.primary.port
            await session.commit()
            with session.primary():
                assert await session.scalar(PORT) == lab.primary.port
        async with make.begin() as session:
            assert await session.run_sync(lambda plain: plain.scalar(PORT)) in lab.ports
        async with make() as session:
            streamed = await session.stream_scalars(PORT)
            assert set(await streamed.all()) <= lab.ports


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_session_sees_its_commits(lab: Lab, driver: str) -> None:
    async with open_set(lab, driver) as replicas:

        async def write_and_read(item: int) -> str:
            for number in range(1, 21):
                async with AsyncReadWriteSession(replicas=replicas) as session:
                    found = await session.get(Item, item)
                    assert found
                    found.number = number
                    await session.commit()
                    assert await session.scalar(select(Item.number).where(Item.id == item)) == number
                    assert await session.scalar(PORT) in lab.ports
                    position = session.position
            return position

        positions = await asyncio.gather(*(write_and_read(item) for item in range(1, 6)))
        async with AsyncReadWriteSession(replicas=replicas, after=max(positions)) as session:
            session.read_after(positions[0])
            assert await session.scalar(NUMBER) == 20


@pytest.mark.parametrize("driver", DRIVERS)
async def test_what_a_connection_has_replayed_is_remembered(
    lab: Lab, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_set(lab, driver) as replicas, AsyncReadWriteSession(replicas=replicas) as session:
        session.add(Item(number=1))
        await session.commit()
        for _ in range(2):
            assert await session.scalar(PORT) in lab.ports
            await session.rollback()

        def fail(_: object) -> None:
            raise AssertionError("both replicas were asked already")

        monkeypatch.setattr(replicas.log, "ask_reached", fail)
        assert await session.scalar(PORT) in lab.ports


async def test_a_wait_lets_other_tasks_run(lab: Lab) -> None:
    async with (
        open_set(lab, "asyncpg", wait_seconds=60.0, look_seconds=30.0) as replicas,
        AsyncReadWriteSession(replicas=replicas) as session,
    ):
        for server in lab.replicas:
            server.execute("SELECT pg_wal_replay_pause()")
        session.add(Item(id=300, number=3))
        await session.commit()
        reading = asyncio.create_task(session.scalar(select(Item.number).where(Item.id == 300)))
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not reading.done()
        for server in lab.replicas:
            server.execute("SELECT pg_wal_replay_resume()")
        assert await reading == 3
        assert await session.scalar(PORT) in lab.ports


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_read_that_is_cancelled_returns_its_connection(lab: Lab, driver: str) -> None:
    async with open_set(lab, driver) as replicas:
        slow = select(text("pg_sleep(60)")).execution_options(dbtui_read_from="replica")
        for _ in range(3):
            async with AsyncReadWriteSession(replicas=replicas) as session:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(session.execute(slow), 0.2)
            async with AsyncReadWriteSession(replicas=replicas) as session:
                assert await session.get(Item, 1)
        await until(lambda: not sum(each.pool.checkedout() for each in replicas.engines))  # type: ignore[attr-defined]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_no_read_fails_while_a_replica_is_gone(new_lab: Callable[..., Lab], driver: str) -> None:
    lab = new_lab()
    victim = lab.replicas[0]
    async with open_set(lab, driver) as replicas:
        done, reads = asyncio.Event(), 0

        async def read_on() -> None:
            nonlocal reads
            while not done.is_set():
                async with AsyncReadWriteSession(replicas=replicas) as session:
                    assert await session.get(Item, 1)
                    assert await session.scalar(NUMBER) == 0
                    reads += 1

        readers = [asyncio.create_task(read_on()) for _ in range(5)]

        async def passed(count: int) -> None:
            goal = reads + count
            await until(lambda: reads >= goal or any(each.done() for each in readers))

        await passed(100)
        await asyncio.to_thread(kill_server, victim)
        await passed(500)
        await until(lambda: not state_of(replicas, victim).is_read_from)
        await asyncio.to_thread(restart_server, victim)
        await until(lambda: state_of(replicas, victim).is_read_from)
        await passed(100)
        done.set()
        await asyncio.gather(*readers)
        seen = set()
        for _ in range(4):
            async with AsyncReadWriteSession(replicas=replicas) as session:
                seen.add(await session.scalar(PORT))
        assert seen == lab.ports
