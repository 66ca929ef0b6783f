"""Names that mean harm: markup, escape sequences, direction marks, endless ones, in every pane and dialog."""

from dataclasses import replace
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from dbtui.model.backups import BackupContents, BackupTable, TableName, TableSample
from dbtui.model.connections import EngineName, Environment, FileStatus, TargetStatus
from dbtui.tui.app import DbtuiApp
from dbtui.tui.cells import Tone
from tests.tui.fake_watches import idle, session, snapshot
from tests.tui.world import NOW, World, entry, profile, screen_text, server, wait_to_see, wait_until

HOSTILE = [
    "[red]a[/red] [/] b [$foo] [@click=app.quit]x[/] ERROR at [/var/run/pg] [b",
    "x\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2066 line\none\ttab\rreturn",
    "L" * 10_000,
    "名前" * 40 + "zalgo" + "\u0301" * 200,
]


def _hostile_world(world: World, name: str) -> None:
    profiles = (
        profile(name, "postgresql://erp@db1:5432/erp", world.runner.history.state_dir,
                environment=Environment.PRODUCTION, warnings=(name,)),
    )  # fmt: skip
    world.profiles = profiles
    info = server(EngineName.POSTGRESQL, name, version=name, user=name, extensions=(name,), role=name)
    file = FileStatus(wal_bytes=5, journal_mode=name, lock_state=name, integrity=name)
    world.statuses = {name: TargetStatus(profile=name, taken_at=NOW, info=info, gaps=(name,), file=file)}
    hostile = session(8123, user=name, database=name, application=name, client=name, state=name, wait=name, sql=name)
    victim = replace(hostile, session_id=8200, blocked_by=(8123,), transaction_seconds=1.0)
    world.sessions = {name: snapshot(name, hostile, victim, idle(8300, user=name), gaps=(name,), user=name)}
    world.entries = (
        entry("b1", database=name, profile=name, data_path=f"/srv/{name}", problem=name, flavour=name,
              server_version=name, compression=name),
        entry(name),
    )  # fmt: skip
    world.contents = BackupContents(
        engine=EngineName.POSTGRESQL,
        database=name,
        schemas=(name,),
        tables=(BackupTable(name, name, 5, "exact", 100), BackupTable("public", "t", 1, "exact", 1)),
        extensions=(name,),
        roles=(name,),
        warnings=(name,),
    )
    world.definition = f"CREATE TABLE {name} (\n  {name} int\n);"
    world.sample = TableSample((name, "b"), ((name, None), (None, name)), more=True)
    world.refusals = (name,)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:18]))
async def test_every_pane_shows_it_as_text(world: World, name: str) -> None:
    """Nothing is parsed, nothing reaches the terminal as a command, nothing crashes."""
    _hostile_world(world, name)
    app = world.app()
    async with app.run_test(size=(140, 40)) as pilot:
        await wait_to_see(pilot, "PROD")
        _is_text(app)
        await pilot.press("enter")
        await wait_to_see(pilot, "8123", "8200")
        await _walk_through_sessions(pilot)
        await pilot.press("2")
        await wait_until(pilot, lambda: len(app.backups_pane.history.view.shown) == 2)
        _is_text(app)
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.backups_pane.contents is not None)
        _is_text(app)
        for keys in (["enter"], ["o"], ["7"], ["2", "escape", "escape", "question_mark"], ["escape", "colon"]):
            await pilot.press(*keys)
            await pilot.pause(0.1)
            _is_text(app)
        await pilot.press("escape")
        for key in ("b", "r", "d"):
            await pilot.press(key)
            await wait_until(pilot, lambda: bool(app.dialogs))
            await pilot.pause(0.2)
            _is_text(app)
            await pilot.press("escape")
            await wait_until(pilot, lambda: not app.dialogs)
        app.say(name, Tone.TROUBLE)
        await pilot.press("v")
        await wait_until(pilot, lambda: bool(world.done))
        await pilot.press("7")
        await pilot.pause(0.2)
        _is_text(app)
        assert app.is_running
        assert app.crash == ""


async def _walk_through_sessions(pilot: Pilot[Any]) -> None:
    """The list, the tree, a filter, groups, details, a plan and both dialogs."""
    app = cast(DbtuiApp, pilot.app)
    for keys in (
        "t",
        "o",
        "t",
        "enter",
        "escape",
        "x",
        "escape",
        "f",
        "F",
        "v",
        "v",
        "v",
        "v",
        "enter",
        "escape",
        "escape",
    ):
        await pilot.press(keys)
        await pilot.pause(0.05)
        _is_text(app)
    for key in ("C", "K"):
        await pilot.press("g", key)
        await wait_until(pilot, lambda: bool(app.dialogs))
        await pilot.pause(0.2)
        _is_text(app)
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.dialogs)


def _is_text(app: object) -> None:
    text = screen_text(app)  # type: ignore[arg-type]
    assert all(character.isprintable() or character == "\n" for character in text)


async def test_brackets_are_shown_as_they_are(world: World) -> None:
    """In the list, in the header, in the contents, in the definition."""
    name = "a [red]b[/red] [@click=app.quit]x[/]"
    _hostile_world(world, name)
    app = world.app()
    async with app.run_test(size=(160, 45)) as pilot:
        await wait_to_see(pilot, "a [red]b[/red] [@click=app.quit]x[/]")
        await pilot.press("enter")
        text = await wait_to_see(pilot, "8123")
        assert text.splitlines()[0].startswith(f" dbtui  {name} ▸ sessions")
        await pilot.press("2")
        text = await wait_to_see(pilot, "b1")
        assert text.splitlines()[0].startswith(f" dbtui  {name} ▸ backups")
        await pilot.press("enter")
        await wait_to_see(pilot, f"└ {name}")
        await pilot.press("enter")
        await wait_to_see(pilot, f"CREATE TABLE {name} (")


async def test_a_table_with_a_hostile_name_is_asked_for_by_its_real_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown is made safe; what is asked for is not changed."""
    name = "we\x1bird\n[b]"
    world.contents = replace(world.contents, schemas=(), tables=(BackupTable("public", name, 1, "exact", 1),))
    asked: list[TableName] = []
    from dbtui.tui import requests

    real = requests.definition

    def definition(chosen: object, table: TableName) -> object:
        asked.append(table)
        return real(chosen, table)  # type: ignore[arg-type]

    monkeypatch.setattr(requests, "definition", definition)
    app = world.app(world.profiles[0])
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("enter")
        await wait_to_see(pilot, "we·ird·[b]")
        await pilot.press("enter")
        await wait_until(pilot, lambda: bool(asked))
        assert asked == [TableName("public", name)]
