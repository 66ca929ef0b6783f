"""Keys that come while a dialog opens or goes wait for it: none is lost, none goes where it was not meant."""

import asyncio
from typing import Any

import pytest
from textual import events
from textual.containers import Container

from dbtui.tui.app import DbtuiApp
from dbtui.tui.dialogs.dialog import Dialog, ask_in_background
from tests.tui.world import World, wait_to_see, wait_until


def _type(app: DbtuiApp, *keys: str) -> None:
    """As a terminal does it: one after another, without waiting for what becomes of them."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def test_a_key_typed_while_an_answered_dialog_goes_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the removing takes, it reaches what was behind the dialog, and not the dialog."""
    goes, removed = asyncio.Event(), Dialog.remove

    async def slowly(dialog: Dialog[Any]) -> None:
        await goes.wait()
        await removed(dialog)

    monkeypatch.setattr(Dialog, "remove", slowly)
    app = world.app(world.profiles[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_to_see(pilot, "not proven")
        table = app.pane.focused_table
        assert table is not None
        await pilot.press("question_mark")
        await wait_until(pilot, lambda: app.screen.focused is not table and bool(app.dialogs), what="the help")
        _type(app, "escape", "j", "j")
        await wait_until(pilot, lambda: app.dialogs[-1].answered.done(), what="the answer")
        for _ in range(3):  # whatever is still on its way arrives
            await pilot.pause()
        assert table.cursor == 0
        goes.set()
        await wait_until(pilot, lambda: table.cursor == 2, what="the cursor on the third row")
        assert not app.dialogs


async def test_a_question_that_is_cancelled_before_it_began_keeps_no_key(world: World) -> None:
    """Its pane may go before its first step; keys that waited for it pass then."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_to_see(pilot, "not proven")
        table, began = app.pane.focused_table, []
        assert table is not None

        async def question() -> None:
            began.append(True)

        ask_in_background(app.pane, "question", question)
        assert app.asking == 1
        app.workers.cancel_node(app.pane)
        _type(app, "j")
        await wait_until(pilot, lambda: table.cursor == 1, what="the cursor on the second row")
        assert (app.asking, began) == (0, [])


async def test_a_dialog_whose_question_is_cancelled_while_it_opens_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would stay on the screen with nobody to take its answer."""
    begun, mounted = asyncio.Event(), Container.mount

    async def never_done(container: Container, dialog: Dialog[Any]) -> None:
        await mounted(container, dialog)
        begun.set()
        await asyncio.Event().wait()

    app = world.app(world.profiles[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_to_see(pilot, "not proven")
        monkeypatch.setattr(Container, "mount", never_done)
        await app.action_perform("global.help")
        await asyncio.wait_for(begun.wait(), 15)
        assert app.dialogs
        app.workers.cancel_node(app.pane)
        await wait_until(pilot, lambda: not app.dialogs and app.asking == 0, what="the dialog to go")


async def test_a_dialog_whose_field_went_keeps_the_keys(world: World) -> None:
    """What had the focus was hidden, or disabled: escape still leaves the dialog, and nothing reaches the list."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_to_see(pilot, "not proven")
        await pilot.press("d")
        await wait_to_see(pilot, "There is no undo")
        app.screen.set_focus(None)
        await pilot.press("tab")
        await wait_until(pilot, lambda: app.focused is not None and app.dialogs[0] in app.focused.ancestors)
        app.screen.set_focus(app.backups_pane.history)
        _type(app, "j", "escape", "j")
        await wait_until(pilot, lambda: app.backups_pane.history.cursor == 1, what="the cursor on the second row")
        assert not app.dialogs
