"""Copies of backups by keys: pushed to a remote, worked on where they lie only there, pulled; and in a terminal."""

import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dbtui.config import Settings
from dbtui.errors import ConnectError
from dbtui.history import History
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.backups import BackupEntry, PlanStep
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Progressed, Routine, StepStarted
from dbtui.model.remotes import RemoteAddress
from dbtui.model.shipping import PushPlan, ShippedFile, ShippingResult
from dbtui.routines.context import RoutineContext
from dbtui.tui import place_requests
from dbtui.tui.app import DbtuiApp
from dbtui.tui.widgets.inputs import TextInput
from tests.backup_histories import back_up, make_file
from tests.tui.fix_pty import ROOT, Terminal
from tests.tui.world import World, screen_text, wait_to_see, wait_until

SMALL, WIDE = (80, 24), (150, 45)


class Ground:
    """A database with one backup, and an empty remote that is a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.remote = folder, folder / "far"
        self.remote.mkdir(mode=0o700)
        made = make_file(folder / "app.sqlite")
        self.directory = folder / "backups"
        self.profile: ConnectionProfile = replace(
            made, name="app", backup_dir=str(self.directory), remote=f"file://{self.remote}"
        )
        self.backup_id = back_up(self.profile, self.directory)

    def app(self) -> DbtuiApp:
        runner = JobRunner(RoutineContext(), History(self.folder / "state"))
        return DbtuiApp(runner, Settings(profiles=(self.profile,)), self.profile)

    def forget(self) -> None:
        """Lose what lies here; the remote has a copy."""
        shutil.copytree(self.directory, self.remote, dirs_exist_ok=True)
        shutil.rmtree(self.directory)
        self.directory.mkdir(mode=0o700)

    def held(self) -> set[str]:
        return {path.name for path in self.remote.iterdir()}


@pytest.fixture
def ground(short_directory: Path) -> Ground:
    """In a directory whose path is short enough for what stands behind it on the screen not to be cut."""
    return Ground(short_directory)


async def test_a_backup_is_pushed_by_keys_and_the_history_says_where_it_lies(ground: Ground) -> None:
    """The plan says where and how much; a second push says that nothing is left to do."""
    app = ground.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "○ not proven", "0 backups, just now")
        await pilot.press("P")
        await wait_to_see(pilot, "Sends a copy of", f"file://{ground.remote}"[:30], "1 file", "Push (y)")
        await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#accept").disabled)
        assert ground.held() == set()
        await pilot.press("y")
        await wait_to_see(pilot, "8.2 kB sent to", "here+file", "1 backup, just now")
        assert ground.held() == {f"{ground.backup_id}.sqlite", f"{ground.backup_id}.sqlite.manifest.json"}
        await pilot.press("P")
        await wait_to_see(pilot, "● A whole copy is in", "nothing to do")
        assert app.dialogs[-1].query_one("#accept").disabled


async def test_where_no_remote_is_configured_an_address_is_typed(ground: Ground) -> None:
    """What is no address says so in place."""
    ground.profile = replace(ground.profile, remote="")
    app = ground.app()
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "○ not proven")
        await pilot.press("P")
        await wait_to_see(pilot, "Type where to")
        field = app.dialogs[-1].query_one("#address", TextInput)
        assert field.has_focus
        field.value = "ftp://nowhere"
        await wait_to_see(pilot, "is no address of a remote")
        assert app.dialogs[-1].query_one("#accept").disabled
        field.value = f"file://{ground.remote}"
        await wait_to_see(pilot, "Sends a copy of")


async def test_what_lies_only_in_a_remote_is_seen_verified_restored_and_pulled(ground: Ground) -> None:
    """Its manifest tells what it holds; the data is fetched for a restore and gone afterwards; L fetches it to stay."""
    ground.forget()
    app = ground.app()
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "not proven", "lies in", "and not here", "readings")
        assert "here" not in next(each for each in screen_text(app).splitlines() if "not proven" in each).split("│")[0]
        await pilot.press("enter")
        await wait_to_see(pilot, "1 tables", "readings", "Told by its manifest; L fetches it to be read.")
        await pilot.press("o")
        await wait_to_see(pilot, "rows: this backup lies only in a remote: L fetches it first")
        await pilot.press("escape", "v")
        await wait_to_see(pilot, f"{ground.backup_id}: intact")
        await pilot.press("r")
        await wait_to_see(pilot, "Creates", "into a private directory in")
        await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#accept").disabled)
        app.screen.set_focus(app.dialogs[-1].query_one("#accept"))
        await pilot.press("enter")
        await wait_to_see(pilot, "● restored into", "row counts equal")
        assert list(ground.directory.iterdir()) == []
        restored = next(ground.folder.glob("app_restored*"))
        with closing(sqlite3.connect(restored)) as connection:
            assert connection.execute("SELECT count(*) FROM readings").fetchone() == (50,)
        await pilot.press("L")
        await wait_to_see(pilot, "Fetches", "Pull (y)")
        await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#accept").disabled)
        await pilot.press("y")
        await wait_to_see(pilot, "checksums equal", "here+file")
        assert {path.name for path in ground.directory.iterdir()} == ground.held()


async def test_what_lies_in_a_remote_is_pinned_and_deleted_there(ground: Ground) -> None:
    """The pin keeps it; deleting one here says where copies stay, and they do."""
    copied = ground.held()
    ground.forget()
    app = ground.app()
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "not proven", "and not here")
        await pilot.press("p")
        await wait_to_see(pilot, "Pin this backup?")
        await pilot.press("enter")
        await wait_to_see(pilot, f"{ground.backup_id} is pinned: it stays", "app pinned")
        assert f"{ground.backup_id}.sqlite.pin.json" in ground.held()
        await pilot.press("d", *ground.backup_id.replace("-", " ").split()[0], "minus", *ground.backup_id[4:])
        await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#yes").disabled)
        await pilot.press("enter", "enter")
        await wait_to_see(pilot, "is pinned")
        assert f"{ground.backup_id}.sqlite" in ground.held()
        await wait_until(pilot, lambda: not app.runner.running)
        await pilot.press("p")
        await wait_to_see(pilot, "Take the pin away?")
        await pilot.press("y")
        await wait_until(pilot, lambda: "app pinned" not in screen_text(app))
        await pilot.press("d", *ground.backup_id.replace("-", " ").split()[0], "minus", *ground.backup_id[4:])
        await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#yes").disabled)
        await pilot.press("enter", "enter")
        await wait_to_see(pilot, "No backup in")
        assert ground.held() == copied


async def test_a_push_shows_how_far_it_is_and_is_cancelled_by_keys(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the strip: bytes, share, the key; the question says that what was sent stays."""
    held = threading.Event()

    def plan_push(entry: BackupEntry, address: RemoteAddress) -> JobRequest[PushPlan]:
        files = (ShippedFile("a.sql", 100_000_000), ShippedFile("b.sql", 43_000_000, True))
        plan = PushPlan(backup_id=entry.backup_id, address=address, directory="/srv/backups", data_name="a.sql",
                        files=files, steps=(PlanStep("send 1 file"),), entry=entry, fingerprint="x")  # fmt: skip
        return world.returns("plan push", str(address), lambda: plan)

    real = place_requests.push

    def push(plan: PushPlan) -> JobRequest[ShippingResult]:
        def start(context: RoutineContext) -> Routine[ShippingResult]:
            yield StepStarted("push", plan.backup_id)
            yield Progressed(25_000_000, 100_000_000, "bytes", "a.sql")
            held.set()
            context.cancellation.wait(60)
            context.cancellation.check()
            raise AssertionError("nobody cancelled it")

        return replace(real(plan), start=start)

    monkeypatch.setattr(place_requests, "push_plan", plan_push)
    monkeypatch.setattr(place_requests, "push", push)
    app = world.app(world.profiles[0])
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("P")
        app.dialogs[-1].query_one("#address", TextInput).value = "s3://backups/erp"
        await wait_to_see(pilot, "missing", "100 MB", "from an earlier push")
        await pilot.press("pagedown")
        await wait_to_see(pilot, "b.sql  there")
        await wait_until(pilot, lambda: not app.dialogs[-1].query_one("#accept").disabled)
        app.screen.set_focus(app.dialogs[-1].query_one("#cancel"))
        await pilot.press("y")
        await wait_to_see(pilot, "▌push erp-2026", "25 %", "25 MB")
        assert held.wait(20)
        await pilot.press("ctrl+x")
        await wait_to_see(pilot, "Cancel this job?", "What was sent stays; the next push goes on from there.")
        await pilot.press("y")
        await wait_to_see(pilot, "cancelled")


async def test_a_remote_that_cannot_be_reached_is_said_in_the_dialog(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do; nothing can be pressed."""

    def plan_push(_entry: BackupEntry, address: RemoteAddress) -> JobRequest[PushPlan]:
        def refuse() -> PushPlan:
            raise ConnectError(f"{address} cannot be reached: connection refused", "look at the network")

        return world.returns("plan push", str(address), refuse)

    monkeypatch.setattr(place_requests, "push_plan", plan_push)
    world.profiles = (replace(world.profiles[0], remote="s3://backups/erp"), *world.profiles[1:])
    app = world.app(world.profiles[0])
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("P")
        await wait_to_see(pilot, "✖ s3://backups/erp cannot be reached: connection refused", "look at the network")
        await pilot.press("y")
        await wait_to_see(pilot, "nothing to do: see above why")


# ------------------------------------------------------------ in a pseudo-terminal


@pytest.fixture
def ui(ground: Ground) -> Iterator[Terminal]:
    """`dbtui app` itself at eighty columns."""
    config = ground.folder / "config.toml"
    config.write_text(
        f'backup_dir = "{ground.directory}"\n[profiles.app]\nurl = "{ground.profile.url}"\n'
        f'remote = "file://{ground.remote}"\n'
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(ground.folder), "TERM": "xterm-256color", "LANG": "C.UTF-8",
               "DBTUI_CONFIG": str(config), "XDG_STATE_HOME": str(ground.folder / "state"),
               "PYTHONPATH": str(ROOT)}  # fmt: skip
    terminal = Terminal([sys.executable, "-m", "dbtui", "app"], environ, answers=True)
    yield terminal
    terminal.press("q")
    terminal.end_seconds(15)
    terminal.process.wait()
    terminal.process.close()


def test_a_push_in_a_terminal(ui: Terminal, ground: Ground) -> None:
    """P, y: the copy is there, and the list says so; an idle screen sends nothing."""
    ui.wait_to_see("not proven")
    ui.wait_to_see("0 backups, just now")
    ui.press("P")
    ui.wait_to_see("Sends a copy of")
    ui.wait_to_see("Push (y)")
    ui.wait_until_idle()
    ui.press("y")
    ui.wait_to_see("1 backup, just now")
    ui.wait_to_see("here+file")
    assert ground.held() == {f"{ground.backup_id}.sqlite", f"{ground.backup_id}.sqlite.manifest.json"}
    ui.wait_until_idle(2.0)
