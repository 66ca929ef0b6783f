"""Retention by keys on real files: the policy, the year ahead, the names to type, what is gone; pins."""

from dataclasses import replace
from pathlib import Path

from dbtui.config import Settings
from dbtui.history import History
from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile, Environment
from dbtui.model.policies import RetentionPolicy
from dbtui.operators import format_operator
from dbtui.routines.context import RoutineContext
from dbtui.tui.actions import action_of
from dbtui.tui.app import DbtuiApp
from dbtui.tui.widgets.inputs import TextInput
from tests.backup_histories import DAY, back_up, date_back, ids_in, make_file
from tests.tui.world import screen_text, wait_to_see, wait_until

SIZE = (80, 24)
WIDE = (140, 45)


def world(tmp_path: Path, days: int, **fields: object) -> tuple[DbtuiApp, Path, list[str]]:
    """An app on a file with a backup of today and of so many days before; their ids, newest first."""
    directory = tmp_path / "backups"
    made = make_file(tmp_path / "app.sqlite")
    profile: ConnectionProfile = replace(made, backup_dir=str(directory), **{"name": "app", **fields})  # type: ignore[arg-type]
    newest = back_up(profile, directory)
    ids = [newest, *date_back(directory, newest, [DAY * each for each in range(1, days + 1)])]
    runner = JobRunner(RoutineContext(), History(tmp_path / "state"))
    return DbtuiApp(runner, Settings(profiles=(profile,)), profile), directory, ids


async def test_the_policy_is_typed_and_what_has_no_place_goes(tmp_path: Path) -> None:
    """The plan follows the fields; nothing happens until the name is typed; then exactly the plan is done."""
    app, directory, ids = world(tmp_path, 9)
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "○ not proven")
        await pilot.press("E")
        await wait_to_see(pilot, "Which backups of app stay", "what survives when", "today", "1 year", "last 1 of 3")
        dialog = app.dialogs[-1]
        for name, number in (("last", "2"), ("daily", "0"), ("weekly", "0"), ("monthly", "0")):
            dialog.query_one(f"#keep-{name}", TextInput).value = number
        await wait_to_see(pilot, "This removes 8 of 10 backups", "type the database app")
        assert dialog.query_one("#accept").disabled
        assert ids_in(directory) == set(ids)
        dialog.query_one(".name-input", TextInput).value = "app"
        await wait_until(pilot, lambda: not dialog.query_one("#accept").disabled)
        app.screen.set_focus(dialog.query_one("#accept"))
        await pilot.press("enter")
        await wait_to_see(pilot, "removed 8 backups")
        assert ids_in(directory) == set(ids[:2])
        await wait_until(pilot, lambda: len(app.backups_pane.history.view.rows) == 2)


async def test_leaving_the_dialog_removes_nothing(tmp_path: Path) -> None:
    """Also at eighty columns; the profile's own policy is what the fields say first, and production is typed too."""
    policy = RetentionPolicy(daily=3)
    app, directory, ids = world(tmp_path, 5, name="main", keep=policy, environment=Environment.PRODUCTION)
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "○ not proven")
        await pilot.press("E")
        await wait_to_see(pilot, "This removes 3 of 6 backups", "type the database app", "type the profile main")
        assert app.dialogs[-1].query_one("#keep-daily", TextInput).value == "3"
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.dialogs)
    assert ids_in(directory) == set(ids)


async def test_a_wrong_number_is_said_in_place(tmp_path: Path) -> None:
    """And a policy that would keep nothing."""
    app, _directory, _ids = world(tmp_path, 2)
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "○ not proven")
        await pilot.press("E")
        await wait_to_see(pilot, "what survives when")
        dialog = app.dialogs[-1]
        dialog.query_one("#keep-last", TextInput).value = "many"
        await wait_to_see(pilot, "last: expected a whole number")
        for name in ("last", "daily", "weekly", "monthly"):
            dialog.query_one(f"#keep-{name}", TextInput).value = ""
        await wait_to_see(pilot, "that would keep no backup at all")
        dialog.query_one("#keep-last", TextInput).value = "9"
        await wait_to_see(pilot, "This removes no backup; 3 stay")
        assert dialog.query_one("#accept").disabled


async def test_a_clock_that_jumped_refuses(tmp_path: Path) -> None:
    """A backup of tomorrow: the plan says which, and cannot be done."""
    app, directory, ids = world(tmp_path, 5)
    (tomorrow,) = date_back(directory, ids[0], [-DAY])
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "○ not proven")
        await pilot.press("E")
        await wait_to_see(pilot, f"✖ {tomorrow} is dated", "after now")
        assert app.dialogs[-1].query_one("#accept").disabled


async def test_pins(tmp_path: Path) -> None:
    """A pinned backup says so, stays when others go, and is let go after a question."""
    app, _directory, ids = world(tmp_path, 4)
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "○ not proven")
        await pilot.press("G", "p")
        await wait_to_see(pilot, "Pin this backup?", "reason")
        await pilot.press(*"audit", "space", *"2026", "enter")
        await wait_to_see(pilot, f"{ids[-1]} is pinned: it stays", "app pinned", "audit 2026")
        await wait_to_see(pilot, f"by {format_operator({})[:20]}")
        await pilot.press("E")
        await wait_to_see(pilot, "what survives when")
        app.dialogs[-1].query_one("#keep-daily", TextInput).value = "1"
        app.dialogs[-1].query_one("#keep-weekly", TextInput).value = "0"
        await wait_to_see(pilot, "This removes 1 of 5 backups")
        await pilot.press("escape", "p")
        await wait_to_see(pilot, "Take the pin away?")
        await pilot.press("y")
        await wait_until(pilot, lambda: "app pinned" not in screen_text(app))


async def test_a_pin_that_is_given_up_pins_nothing(tmp_path: Path) -> None:
    """Esc leaves the backup as it was; the help says that something is asked."""
    app, directory, _ids = world(tmp_path, 1)
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "○ not proven")
        await pilot.press("p")
        await wait_to_see(pilot, "Pin this backup?")
        await pilot.press(*"no", "escape")
        await wait_until(pilot, lambda: not app.dialogs)
    assert not list(directory.glob("*.pin*"))
    assert "asks why" in action_of("backups.pin").help


async def test_without_an_open_target_every_database_is_judged(tmp_path: Path) -> None:
    """The directory of the settings; each database that loses backups is typed."""
    _app, directory, ids = world(tmp_path, 4)
    shop = date_back(directory, ids[0], [DAY, DAY * 2], database="shop", url="sqlite:////srv/shop.sqlite")
    runner = JobRunner(RoutineContext(), History(tmp_path / "state"))
    app = DbtuiApp(runner, Settings(backup_dir=str(directory), keep=RetentionPolicy(last=1)), None)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("2")
        await wait_to_see(pilot, "○ not proven", "shop")
        await pilot.press("E")
        await wait_to_see(pilot, "Which backups of every database stay", "what survives when: shop")
        await pilot.press("right")
        await wait_until(pilot, lambda: bool(app.dialogs[-1].query_one(".keep-row").display))
        app.dialogs[-1].query_one("#keep-daily", TextInput).value = "1"
        app.dialogs[-1].query_one("#keep-weekly", TextInput).value = "0"
        app.dialogs[-1].query_one("#keep-monthly", TextInput).value = "0"
        app.dialogs[-1].query_one("#keep-last", TextInput).value = "0"
        await wait_to_see(
            pilot, "This removes 5 of 7 backups of app, shop", "type the database app", "type the database shop"
        )
    assert ids_in(directory) == {*ids, *shop}


async def test_each_database_is_judged_by_the_policy_of_its_profile(tmp_path: Path) -> None:
    """As the command does it: the first profile's numbers are not for all; one for all can be typed instead."""
    opened, directory, ids = world(tmp_path, 4)
    shop = date_back(directory, ids[0], [DAY, DAY * 2, DAY * 3], database="shop", url="sqlite:////srv/shop.sqlite",
                     profile="shop")  # fmt: skip
    app_profile = replace(opened.profiles[0], keep=RetentionPolicy(last=4))
    shop_profile = replace(app_profile, name="shop", url="sqlite:////srv/shop.sqlite", keep=RetentionPolicy(last=1))
    runner = JobRunner(RoutineContext(), History(tmp_path / "state"))
    app = DbtuiApp(runner, Settings(profiles=(app_profile, shop_profile), backup_dir=str(directory)), None)
    async with app.run_test(size=WIDE) as pilot:
        await pilot.press("2")
        await wait_to_see(pilot, "○ not proven", "shop")
        await pilot.press("E")
        await wait_to_see(pilot, "that of each profile", "This removes 3 of 8 backups of app, shop")
        assert not app.dialogs[-1].query_one(".keep-row").display
        await pilot.press("right")
        await wait_to_see(pilot, "This removes no backup; 8 stay")
        app.dialogs[-1].query_one("#keep-daily", TextInput).value = "1"
        await pilot.press("left")
        dialog = app.dialogs[-1]
        await wait_to_see(pilot, "This removes 3 of 8 backups", "type the database app", "type the database shop")
        for field, name in zip(dialog.query(".name-input").results(TextInput), ("app", "shop"), strict=True):
            field.value = name
        await wait_until(pilot, lambda: not dialog.query_one("#accept").disabled)
        app.screen.set_focus(dialog.query_one("#accept"))
        await pilot.press("enter")
        await wait_to_see(pilot, "removed 3 backups")
    assert ids_in(directory) == {*ids[:4], shop[0]}
