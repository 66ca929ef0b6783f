"""Ten thousand sessions: opening under 200 ms, a key under 50 ms, of this process's own time, not of neighbours'."""

import time

import pytest

from tests.costs import TRIES, least_awaited, quiet_heap
from tests.tui.fake_watches import session, snapshot
from tests.tui.world import World, wait_to_see, wait_until

ROWS = 10_000
OPENING_SECONDS, KEY_SECONDS = 0.2, 0.05


def _crowd(first: int) -> tuple[object, ...]:
    return tuple(
        session(place, query_seconds=float(place % 500), transaction_seconds=float(place % 700),
                sql=f"SELECT {place} FROM orders", client=f"10.0.{place % 250}.{place % 200}:{place}")
        for place in range(first, first + ROWS)
    )  # fmt: skip


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_ten_thousand_sessions(world: World, size: tuple[int, int]) -> None:
    """From the look that holds them to the screen that shows them, then each key to the screen it changes."""
    app = world.app()
    async with app.run_test(size=size) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("g", "enter")
        await wait_to_see(pilot, "8123")
        table = app.connections_pane.sessions.table
        crowds = iter([_crowd(1000 + number * ROWS) for number in range(TRIES)])

        async def open_another() -> float:
            world.sessions["erp"] = snapshot("erp")
            world.watches["erp"].look()
            await wait_until(pilot, lambda: not table.view.shown)
            world.sessions["erp"] = snapshot("erp", *next(crowds))  # type: ignore[arg-type]
            began = time.process_time()
            world.watches["erp"].look()
            await wait_until(pilot, lambda: len(table.view.shown) == ROWS)
            await pilot.pause()
            return time.process_time() - began

        async def press_keys() -> float:
            keys = []
            for key in ("j", "j", "k", "pagedown", "pagedown", "pageup", "G", "k", "g", "j") * 2:
                before = table.cursor
                began = time.process_time()
                await pilot.press(key)
                keys.append(time.process_time() - began)
                assert table.cursor != before
            return sorted(keys)[-2]

        with quiet_heap():
            assert await least_awaited(open_another, OPENING_SECONDS) <= OPENING_SECONDS
            await wait_to_see(pilot, "11 min")
            assert await least_awaited(press_keys, KEY_SECONDS) <= KEY_SECONDS
