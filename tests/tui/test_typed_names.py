"""Names that are typed as a confirmation."""

import asyncio

import pytest

from dbtui.tui.cells import line
from dbtui.tui.dialogs.dialog import ask
from dbtui.tui.dialogs.typed_names import NamesToType, TypeToConfirm
from dbtui.tui.widgets.inputs import TextInput
from tests.tui.world import World, wait_to_see


async def test_a_name_is_typed_while_the_focus_rests_on_the_button(world: World) -> None:
    """Its letters are no orders then, also those that move about elsewhere; enter alone still changes nothing."""
    app = world.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        for keys, answer in (("", None), ("lh", None), ("lhs", True)):
            dialog = TypeToConfirm("Delete it", [line("It will be gone.")], [("name", "lhs")], "Delete")
            question = ask(app.connections_pane, dialog)
            asked = asyncio.ensure_future(question)
            await wait_to_see(pilot, "type the name lhs", "[ Cancel ]")
            await pilot.press(*keys, "enter")
            if answer:
                await wait_to_see(pilot, "[ Delete ]")
            if keys:
                await pilot.press("enter")
            assert await asked is answer


async def test_names_whose_fields_are_not_there_yet_take_no_letter(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """y and n are orders then; and whoever gave up in between can ask again."""
    begun = asyncio.Event()

    async def never_done(_names: NamesToType) -> None:
        begun.set()
        await asyncio.Event().wait()

    app = world.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        names = NamesToType()
        await app.connections_pane.mount(names)
        with monkeypatch.context() as patched:
            patched.setattr(NamesToType, "remove_children", never_done)
            asking = asyncio.ensure_future(names.ask_for([("name", "yard")]))
            await asyncio.wait_for(begun.wait(), 15)
            assert not names.begins("y")
            assert not names.typed
            asking.cancel()
            await asyncio.wait([asking])
        await names.ask_for([("name", "yard")])
        assert names.begins("y")
        assert [field.value for field in names.query(TextInput)] == ["y"]
