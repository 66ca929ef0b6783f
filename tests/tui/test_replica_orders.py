"""Orders of the replicas pane: what is asked before they are given, and what is given; no server takes part."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from dbtui.model.replicas import ReplicaAction
from dbtui.routines import replica_changes
from dbtui.routines.context import RoutineContext
from dbtui.tui.app import DbtuiApp
from dbtui.tui.widgets.inputs import TextInput
from tests.tui.replica_world import ReplicaWorld, calm, make_replica_world, open_replicas, scene, threatened
from tests.tui.world import World, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)


@pytest.fixture
def replicated(world: World, monkeypatch: pytest.MonkeyPatch) -> ReplicaWorld:
    """A primary, a replica, and one below it."""
    return make_replica_world(world, monkeypatch)


async def _ready(pilot: Pilot[Any], app: DbtuiApp) -> None:
    await wait_until(pilot, lambda: bool(app.dialogs) and app.dialogs[-1].plan is not None, what="the plan")  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_replica_is_added_by_keys(replicated: ReplicaWorld, size: tuple[int, int]) -> None:
    """Where, a plan, a job in the strip, what came of it."""
    app = replicated.world.app()
    async with app.run_test(size=size) as pilot:
        await open_replicas(pilot, replicated, calm())
        await pilot.press("a")
        await wait_to_see(pilot, "Add a replica of erp", "Type the directory that the replica's data goes into.")
        field = app.dialogs[-1].query_one("#directory", TextInput)
        field.value = "/srv/second"
        await _ready(pilot, app)
        text = await wait_to_see(pilot, "48 MB needed, 77 GB free", "Steps", "pg_basebackup -R")
        assert "port         5433" in text
        await pilot.press(*["tab"] * 9, "enter")
        await wait_to_see(pilot, "second streams from erp at port 5433")
        (plan,) = replicated.applied
        assert plan.wish is not None
        assert (plan.wish.data_directory, plan.wish.port, plan.wish.is_fast_checkpoint) == ("/srv/second", 5433, True)
        await wait_until(pilot, lambda: len(replicated.began) == 2, what="a new look")


async def test_everything_that_the_command_takes_can_be_typed(
    replicated: ReplicaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address, rate, whether it is started; the port is looked for on another thread than the screen's."""
    threads: list[str] = []

    def is_free(port: int) -> bool:
        threads.append(threading.current_thread().name)
        return port == 5440

    monkeypatch.setattr(replica_changes, "_is_free", is_free)
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, calm())
        await pilot.press("a")
        await wait_to_see(pilot, "Add a replica of erp", "5440", "127.0.0.1")
        assert threading.current_thread().name not in threads
        await pilot.press("slash", *"far", "tab", "tab", *["backspace"] * 9, "asterisk", "tab", "tab", "tab", *"20x")
        await wait_to_see(pilot, "at most: '20x' is no size")
        await pilot.press("backspace", "M", "tab", "tab", "right")
        await _ready(pilot, app)
        await pilot.press("tab", "tab", "enter")
        await wait_until(pilot, lambda: bool(replicated.applied), what="the plan to be done")
        wish = replicated.applied[0].wish
        assert wish is not None
        assert (wish.data_directory, wish.port, wish.host) == ("/far", 5440, "*")
        assert (wish.most_bytes_per_second, wish.is_started) == (20_000_000, False)


async def test_an_addition_shows_how_far_it_is_and_can_be_cancelled(replicated: ReplicaWorld) -> None:
    """In the strip, with the key; the question says what becomes of it."""
    held, app = threading.Event(), replicated.world.app()

    def hold(context: RoutineContext) -> None:
        held.set()
        context.cancellation.wait(60)

    replicated.gate = hold
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, calm())
        await pilot.press("n")
        await wait_to_see(pilot, "Add a replica of erp")
        app.dialogs[-1].query_one("#directory", TextInput).value = "/srv/second"
        await _ready(pilot, app)
        await pilot.press(*["tab"] * 9, "enter")
        await wait_to_see(pilot, "▌replicas add second  copy the data")
        assert held.wait(20)
        await pilot.press("ctrl+x")
        await wait_to_see(pilot, "Cancel this job?", "What was copied is removed, and the slot that was made")
        await pilot.press("y")
        await wait_to_see(pilot, "replicas add second: cancelled")
        assert replicated.applied == []


async def test_wrong_ports_and_refusals_cannot_be_pressed(replicated: ReplicaWorld) -> None:
    """A sentence for each."""
    replicated.plan_fields = {"refusals": ("port 5433 is taken",)}
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, calm())
        await pilot.press("a")
        await wait_to_see(pilot, "Add a replica of erp")
        dialog = app.dialogs[-1]
        dialog.query_one("#directory", TextInput).value = "/srv/second"
        await wait_to_see(pilot, "✖ port 5433 is taken")
        assert dialog.query_one("#accept").disabled
        dialog.query_one("#port", TextInput).value = "99999"
        await wait_to_see(pilot, "port: a number from 1 to 65535, not '99999'")
        await pilot.press("escape")
        assert replicated.applied == []


async def test_a_promotion_wants_the_name_typed(replicated: ReplicaWorld) -> None:
    """Not for the primary itself; a wrong name does nothing; y alone does nothing."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, calm())
        await pilot.press("P")
        await wait_to_see(pilot, "promote: this is no replica")
        await pilot.press("j", "P")
        await _ready(pilot, app)
        await wait_to_see(pilot, "Promote near", "type the name near")
        await pilot.press("y")
        assert app.dialogs
        await pilot.press(*"neat")
        assert app.dialogs[-1].query_one("#accept").disabled
        await pilot.press("backspace", "r", "enter", "enter")
        await wait_to_see(pilot, "near is a primary now")
        assert [(each.action, each.subject) for each in replicated.applied] == [(ReplicaAction.PROMOTE, "near")]


async def test_a_slot_is_dropped_when_its_name_was_typed(replicated: ReplicaWorld) -> None:
    """Only one that nobody reads, and under the cursor."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, threatened())
        await pilot.press("D")
        await wait_to_see(pilot, "drop slot: this is no slot")
        await pilot.press("G")
        await wait_to_see(pilot, "D drop slot")
        await pilot.press("D")
        await _ready(pilot, app)
        await wait_to_see(pilot, "Drop the slot old_slot of erp", "type the slot old_slot")
        await pilot.press(*("o", "l", "d", "underscore", "s", "l", "o", "t"), "enter", "enter")
        await wait_to_see(pilot, "slot old_slot of erp is dropped")
        assert [(each.action, each.subject) for each in replicated.applied] == [(ReplicaAction.DROP_SLOT, "old_slot")]


async def test_replay_is_paused_and_resumed_after_a_question(replicated: ReplicaWorld) -> None:
    """y does it, n does not."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, calm())
        await pilot.press("j", "H")
        await _ready(pilot, app)
        await pilot.press("n")
        await wait_until(pilot, lambda: not app.dialogs)
        assert replicated.applied == []
        await pilot.press("H")
        await _ready(pilot, app)
        await wait_to_see(pilot, "Pause the replay of near")
        await pilot.press("y")
        await wait_to_see(pilot, "near receives and applies nothing")
        await wait_until(pilot, lambda: "erp" in replicated.watching)
        replicated.watching["erp"](scene(30.0, pause="paused"))
        await wait_to_see(pilot, "replay paused", "U resume replay")
        await pilot.press("U")
        await _ready(pilot, app)
        await pilot.press("y")
        await wait_to_see(pilot, "near applies what it receives")
        assert [each.action for each in replicated.applied] == [ReplicaAction.PAUSE, ReplicaAction.RESUME]


async def test_read_only_profiles_are_left_alone(replicated: ReplicaWorld) -> None:
    """Every order says why."""
    world = replicated.world
    world.profiles = tuple(replace(each, read_only=True) for each in world.profiles)
    app = world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, threatened())
        await pilot.press("a")
        await wait_to_see(pilot, "add replica: erp is read-only")
        await pilot.press("j", "P")
        await wait_to_see(pilot, "promote: near is read-only")
        await pilot.press("G", "D")
        await wait_to_see(pilot, "drop slot: erp is read-only")
