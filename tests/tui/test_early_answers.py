"""A y that does nothing says why: the plan is not there yet, it is refused, or a name has to be typed."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from dbtui.jobs import JobRequest
from dbtui.model.captures import CaptureWish
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.queries import CapturePlan
from dbtui.tui import query_requests as requests
from tests.tui.query_world import QueryWorld, patch_requests
from tests.tui.world import World, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)
EARLY = "▲ no plan yet: read it, then press y"
AGAIN = "▲ y came before the plan: y again"


@pytest.fixture
def lab(world: World, monkeypatch: pytest.MonkeyPatch) -> QueryWorld:
    """The world, with a first target that is not of production."""
    world.profiles = (world.profiles[1], world.profiles[0], *world.profiles[2:])
    made = QueryWorld(world)
    patch_requests(made, monkeypatch)
    return made


async def _open(pilot: Pilot[Any], lab: QueryWorld) -> None:
    await wait_to_see(pilot, "PG 15.18")
    await pilot.press("g", "5")
    await wait_until(pilot, lambda: bool(lab.watched))


def _captured(lab: QueryWorld) -> bool:
    return any(each[0] == "capture" for each in lab.asked)


async def test_a_y_that_comes_before_the_plan_is_told_and_does_nothing(
    lab: QueryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it when the plan arrives: nothing is done that was not shown."""
    allowed = threading.Event()

    def plan(profile: ConnectionProfile, wish: CaptureWish) -> JobRequest[CapturePlan]:
        made = lab.plan(profile, wish)
        return replace(made, start=lambda context: (allowed.wait(20), made.start(context))[1])

    monkeypatch.setattr(requests, "capture_plan", plan)
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, lab)
        await pilot.press("c", "y")
        text = await wait_to_see(pilot, "asking the server, and counting for a second", EARLY)
        assert "[ Cancel ]    Capture (y)" in text
        allowed.set()
        text = await wait_to_see(pilot, "This has erp-test write down", AGAIN)
        assert EARLY not in text
        assert app.dialogs and not _captured(lab)
        await pilot.press("y")
        await wait_to_see(pilot, "settings as before")


async def test_what_is_told_goes_with_what_it_was_about(lab: QueryWorld) -> None:
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, lab)
        lab.refusal = "this login lacks rights"
        await pilot.press("c")
        await wait_to_see(pilot, "✖ this login lacks rights")
        await pilot.press("y")
        await wait_to_see(pilot, "▲ refused: see ✖ above")
        lab.refusal = ""
        await pilot.press("tab", "right")
        text = await wait_to_see(pilot, "This has erp-test write down")
        assert "▲ refused" not in text
        await pilot.press("tab", *("backspace",) * 3, "n", "o")
        await wait_to_see(pilot, "for: ")
        await pilot.press("tab", "tab", "tab", "tab", "y")
        await wait_to_see(pilot, "▲ nothing to do: see above why")
        assert not _captured(lab)


@pytest.mark.parametrize("name", ["erp", "yard"])
async def test_y_is_a_letter_of_the_name_that_is_typed_or_not_enough(lab: QueryWorld, name: str) -> None:
    """Production wants its profile's name."""
    first = lab.world.profiles[0]
    lab.world.statuses[name] = lab.world.statuses[first.name]
    lab.world.profiles = (replace(first, environment=Environment.PRODUCTION, name=name),)
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, lab)
        await pilot.press("c")
        await wait_to_see(pilot, "(PRODUCTION)", f"type the profile {name}")
        await pilot.press("y")
        if name == "erp":
            await wait_to_see(pilot, "▲ y is not enough: type the name")
        await pilot.press(*name[name == "yard" :], "enter")
        await wait_until(pilot, lambda: not app.dialogs[0].query_one("#accept").disabled)
        assert not _captured(lab)


async def test_a_dialog_makes_its_first_plan_once(lab: QueryWorld) -> None:
    """That its fields are filled when it opens is no change; what is typed is, and what is taken back."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot, lab)
        await pilot.press("c")
        await wait_to_see(pilot, "This has erp-test write down")
        await asyncio.sleep(1)
        assert [name for name, *_ in lab.asked] == ["plan"]
        app.dialogs[0].query_one("#rate").focus()
        await pilot.press("right")
        await wait_until(pilot, lambda: len(lab.asked) == 2)
        await wait_to_see(pilot, "This has erp-test write down")
        await pilot.press("left")
        await wait_until(pilot, lambda: len(lab.asked) == 3)
        assert [wish.sample_rate for _, wish in lab.asked] == [None, 0.1, None]
