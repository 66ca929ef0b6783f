"""Names that are typed as a confirmation."""

import asyncio

from dbtui.tui.cells import line
from dbtui.tui.dialogs.dialog import ask
from dbtui.tui.dialogs.typed_names import TypeToConfirm
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
