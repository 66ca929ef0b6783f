"""A recording in the pools pane: it plays by itself, is held, stepped through, made faster; nothing is asked."""

import re
from typing import Any, cast

from textual.pilot import Pilot

from dbtui.config import Settings
from dbtui.model.pools import PoolsSnapshot
from dbtui.tui.app import DbtuiApp
from dbtui.tui.feel import Feel
from dbtui.tui.panes.replay import ReplayPane
from tests.tui.pool_world import calm, saturated
from tests.tui.world import World, screen_lines, screen_text, wait_to_see, wait_until

LOOKS = [*calm(40), *saturated(20, 40)]
SMALL = (80, 24)


def _app(world: World, looks: list[PoolsSnapshot]) -> DbtuiApp:
    return DbtuiApp(world.runner, Settings(), None, Feel("dark"), None, looks)


async def _hold(pilot: Pilot[Any], app: DbtuiApp) -> ReplayPane:
    await wait_to_see(pilot, "REPLAY", "● erp/app")
    pane = cast(ReplayPane, app.pane)
    await pilot.press("p")
    pane.go_to(0)
    await wait_to_see(pilot, "held")
    return pane


async def test_the_header_says_that_it_is_a_recording(world: World) -> None:
    """What, when, where in it; nobody is watched."""
    app = _app(world, LOOKS)
    async with app.run_test(size=(160, 45)) as pilot:
        await _hold(pilot, app)
        head = screen_lines(app)[0]
        assert re.search(r"erp ▸ pools .* REPLAY .*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  0 s of 59 s  held", head)
        assert not world.ladders


async def test_it_plays_by_itself_to_its_end(world: World) -> None:
    """As fast as it is told to; afterwards p begins again."""
    app = _app(world, LOOKS[:8])
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "REPLAY")
        await pilot.press(*("plus",) * 5)
        await wait_to_see(pilot, "the recording has ended after 7 s")
        pane = cast(ReplayPane, app.pane)
        assert pane.place == 7
        await pilot.press("p")
        await wait_until(pilot, lambda: not pane.is_paused or pane.place == 7)


async def test_steps_forth_and_back_judge_the_same(world: World) -> None:
    """A look reads the same whether it was played to, stepped to or gone back to."""
    app = _app(world, LOOKS)
    async with app.run_test(size=SMALL) as pilot:
        pane = await _hold(pilot, app)
        for _ in range(50):
            await pilot.press("full_stop")
        assert pane.place == 50
        await wait_to_see(pilot, "saturated", "default_pool_size = 27")
        before = screen_text(app)
        await pilot.press("full_stop", "comma")
        assert pane.place == 50
        await wait_until(pilot, lambda: screen_text(app) == before)
        assert pane.assessment is not None
        await pilot.press("i")
        await wait_to_see(pilot, "SHOW POOLS")


async def test_what_would_ask_or_order_is_not_there(world: World) -> None:
    """No load test, no order, no recording of a recording."""
    app = _app(world, LOOKS)
    async with app.run_test(size=SMALL) as pilot:
        await _hold(pilot, app)
        await pilot.press("t", "K", "P", "w", "enter")
        assert not app.dialogs
        assert "REPLAY" in screen_lines(app)[0]
        assert not world.runner.jobs
