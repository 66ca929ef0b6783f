"""A real primary with a real replica in the pane: idle, paused, resumed; one added by keys, here and in a terminal."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from textual.pilot import Pilot

from dbtui.config import load_settings
from dbtui.demo.added import AddedReplicas
from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica
from dbtui.demo.servers.base import Server, choose_port
from dbtui.history import History
from dbtui.jobs import JobRunner
from dbtui.routines.context import RoutineContext
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes.replicas import ReplicasPane
from dbtui.tui.widgets.inputs import TextInput
from tests.fix_servers import unique_name, wait_until
from tests.routines.replica_lab import fill
from tests.tui.fix_pty import ROOT, Terminal
from tests.tui.world import wait_to_see
from tests.tui.world import wait_until as wait_in

SIZE = (120, 40)
PATIENCE = 60.0


class Place:
    """A primary, its replica `near`, and a configuration that knows both."""

    def __init__(self, primary: PostgreSQL, replica: PostgreSQLReplica, folder: Path) -> None:
        self.primary, self.replica, self.folder = primary, replica, folder
        self.config = folder / "config.toml"
        erp = f'[profiles.erp]\nurl = "{primary.url()}"\nreplicas = ["near"]\n'
        self.config.write_text(f'{erp}[profiles.near]\nurl = "{replica.url()}"\n')
        self.second = primary.directory.path / unique_name("second")

    @property
    def environ(self) -> dict[str, str]:
        known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**known, "DBTUI_CONFIG": str(self.config), "XDG_STATE_HOME": str(self.folder / "state"),
                "DBTUI_PG_BIN": str(self.primary.binaries), "TERM": "xterm-256color", "LANG": "C.UTF-8",
                "PYTHONPATH": str(ROOT)}  # fmt: skip

    def app(self) -> DbtuiApp:
        """The application that sees both."""
        settings = load_settings(self.environ)
        runner = JobRunner(RoutineContext(environ=self.environ), History(self.folder / "state"))
        return DbtuiApp(runner, settings)

    def streams(self) -> set[str]:
        """Who receives from the primary."""
        return {name for (name,) in self.primary.execute("SELECT application_name FROM pg_stat_replication")}

    def slots(self) -> set[str]:
        """What the primary keeps its log for."""
        return {name for (name,) in self.primary.execute("SELECT slot_name FROM pg_replication_slots")}


@pytest.fixture
def place(new_postgresql: Callable[..., PostgreSQL], tmp_path: Path) -> Iterator[Place]:
    """The servers; one that is added ends with the test, and its directory goes."""
    primary = new_postgresql()
    with AddedReplicas(primary):
        yield Place(primary, primary.add_replica(unique_name("near")), tmp_path)


async def _open(pilot: Pilot[Any]) -> ReplicasPane:
    await wait_to_see(pilot, "PG 15", seconds=PATIENCE)
    await pilot.press("g", "6")
    await wait_to_see(pilot, "the replica is safe for reads older than", seconds=PATIENCE)
    return cast(ReplicasPane, cast(DbtuiApp, pilot.app).pane)


async def _planned(pilot: Pilot[Any], app: DbtuiApp) -> None:
    def is_ready() -> bool:
        return bool(app.dialogs) and not app.dialogs[-1].query_one("#accept").disabled

    await wait_in(pilot, is_ready, PATIENCE, "the plan")


async def test_replay_is_paused_and_resumed_by_keys(place: Place) -> None:
    """While the primary writes: the state, the bytes, and back to everything."""
    app = place.app()
    async with app.run_test(size=SIZE) as pilot:
        await _open(pilot)
        await pilot.press("j", "H")
        await _planned(pilot, app)
        await wait_to_see(pilot, "SELECT pg_wal_replay_pause()")
        await pilot.press("y")
        await wait_to_see(pilot, "replay paused", seconds=PATIENCE)
        fill(place.primary, 30)
        await wait_to_see(pilot, "replay is paused, with 30 MB", "not safe now", seconds=PATIENCE)
        await pilot.press("U")
        await _planned(pilot, app)
        await pilot.press("y")
        await wait_to_see(pilot, "has everything", "safe now", seconds=PATIENCE)


async def test_a_primary_that_goes_and_comes_back(place: Place) -> None:
    """Why it cannot be asked, and what the replica says of itself; then all is well again."""
    app = place.app()
    async with app.run_test(size=SIZE) as pilot:
        await _open(pilot)
        Server.stop(place.primary)
        await wait_to_see(pilot, "✖ erp  the primary erp cannot be asked", "last seen", "near", seconds=PATIENCE)
        place.primary.start()
        await wait_to_see(pilot, "● erp  the replica is safe for reads older than", seconds=PATIENCE)


async def test_a_second_replica_is_added_by_keys(place: Place) -> None:
    """A directory is typed, the plan read, and soon two are safe to read from; a slot of nobody is dropped."""
    place.primary.execute("SELECT pg_create_physical_replication_slot('old_slot', true)")
    app = place.app()
    async with app.run_test(size=SIZE) as pilot:
        pane = await _open_with_slot(pilot)
        await pilot.press("a")
        await wait_to_see(pilot, "Add a replica of erp")
        app.dialogs[-1].query_one("#directory", TextInput).value = str(place.second)
        app.dialogs[-1].query_one("#port", TextInput).value = str(choose_port())
        await _planned(pilot, app)
        await wait_to_see(pilot, "Steps", "space")
        app.dialogs[-1].query_one("#accept").focus()
        await pilot.press("enter")
        await wait_to_see(pilot, f"● {place.second.name}", "current", seconds=PATIENCE)
        await wait_in(pilot, lambda: place.second.name in place.streams(), PATIENCE, "the new replica to stream")
        wanted = [place.second.name, "old_slot"]
        await wait_in(pilot, lambda: [each.name for each in pane.table.view.shown][2:] == wanted, PATIENCE, "the tree")
        await pilot.press("G")
        await pilot.press("D")
        await _planned_or_typed(pilot, app)
        await pilot.press("o", "l", "d", "underscore", *"slot", "enter", "enter")
        await wait_to_see(pilot, "slot old_slot of erp is dropped", seconds=PATIENCE)
        assert "old_slot" not in place.slots()


async def _open_with_slot(pilot: Pilot[Any]) -> ReplicasPane:
    await wait_to_see(pilot, "PG 15", seconds=PATIENCE)
    await pilot.press("g", "6")
    await wait_to_see(pilot, "slot old_slot", "current", seconds=PATIENCE)
    return cast(ReplicasPane, cast(DbtuiApp, pilot.app).pane)


async def _planned_or_typed(pilot: Pilot[Any], app: DbtuiApp) -> None:
    def wants_name() -> bool:
        return bool(app.dialogs) and bool(app.dialogs[-1].query(".name-input"))

    await wait_in(pilot, wants_name, PATIENCE, "the name to type")


def test_a_second_replica_in_a_terminal(place: Place) -> None:
    """The program itself, its keys one after another; leaving it leaves the replica streaming."""
    argv = [sys.executable, "-m", "dbtui"]
    ui = Terminal(argv, place.environ, 80, 24)
    with closing(_Ended(ui)):
        ui.wait_to_see("near", PATIENCE)
        ui.wait_to_see("PG 15", PATIENCE)
        ui.press("g6")
        ui.wait_to_see("the replica is safe for reads older than", PATIENCE)
        ui.press("a")
        ui.wait_to_see("Add a replica of erp", PATIENCE)
        ui.press(str(place.second))
        # the plan for the whole path, however its lines are broken
        ui.wait_for(lambda: f"to{place.second}andstarts" in "".join(ui.text.split()), PATIENCE)
        ui.wait_to_see("Steps", PATIENCE)
        ui.press("\t" * 9 + "\r")
        ui.wait_to_see(f"● {place.second.name}", PATIENCE)
        ui.wait_to_see("streams from erp at port", PATIENCE)
        ui.press("q")
        ui.end_seconds(PATIENCE)
    wait_until(lambda: {place.replica.name, place.second.name} <= place.streams(), PATIENCE)


def test_a_terminal_that_goes_leaves_nothing_of_an_addition(place: Place) -> None:
    """While the copy waits for a checkpoint, which takes minutes: no slot, no directory, no password file."""
    place.primary.execute("CREATE TABLE work AS SELECT generate_series(1, 100000)")
    ui = Terminal([sys.executable, "-m", "dbtui"], place.environ, 80, 24)
    with closing(_Ended(ui)):
        ui.wait_to_see("PG 15", PATIENCE)
        ui.press("g6")
        ui.wait_to_see("the replica is safe for reads older than", PATIENCE)
        ui.press("a")
        ui.wait_to_see("Add a replica of erp", PATIENCE)
        ui.press(str(place.second))
        ui.wait_for(lambda: f"to{place.second}andstarts" in "".join(ui.text.split()), PATIENCE)
        ui.press("\t" * 6 + "l")
        ui.wait_to_see("when the next checkpoint", PATIENCE)
        ui.press("\t\t\t\r")
        ui.wait_to_see("▌replicas add", PATIENCE)
        ui.wait_to_see("base backup", PATIENCE)
        assert place.second.exists()
        ui.hang_up()
        ui.end_seconds(PATIENCE)
    wait_until(lambda: not place.slots(), PATIENCE)
    assert not list(place.second.parent.glob(f"{place.second.name}*"))


class _Ended:
    """Ends a terminal's program, whatever became of the test."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def close(self) -> None:
        process = self._terminal.process
        if psutil.pid_exists(process.pid):
            process.terminate(force=True)
        process.wait()
        if not process.closed:
            process.close()
