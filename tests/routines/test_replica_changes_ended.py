"""Adding a replica that does not end well: cancelled at each step, killed, without its server, on a full disk."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbtui.adapters.postgresql import replica_streaming
from dbtui.adapters.postgresql.replica_marker import Marker, read_marker, write_marker
from dbtui.demo.servers import PostgreSQL, ServerDirectory
from dbtui.errors import Cancelled, DbtuiError, ServerError
from dbtui.model.events import CommandRan, Event, Progressed, StepStarted
from dbtui.routines.context import RoutineContext
from tests.fix_servers import processes_in, unique_name, wait_until
from tests.routines.replica_site import Site, sites

ROOT = Path(__file__).parents[2]
SLOW = 1 << 20


@pytest.fixture(scope="module")
def primary(server_directory: ServerDirectory) -> Iterator[PostgreSQL]:
    with PostgreSQL(server_directory, name=unique_name("pg")) as server:
        yield server


@pytest.fixture
def site(primary: PostgreSQL) -> Iterator[Site]:
    yield from sites(primary)


def assert_nothing_is_left(site: Site, *expected: str) -> None:
    """No slot, no file, no process."""
    assert site.slots() == []
    assert site.left() == list(expected)
    wait_until(lambda: not processes_in(site.place))


STEPS = ["prepare", "wait for a checkpoint", "copy", "write to disk", "settings", "start", "wait until it streams"]


@pytest.mark.parametrize("step", STEPS)
def test_cancelled_at_any_step_it_leaves_nothing(site: Site, step: str) -> None:
    plan = site.plan(site.wish("near"))

    def cancel(context: RoutineContext, event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == step:
            context.cancellation.request("test")

    with pytest.raises(Cancelled) as raised:
        site.apply(plan, on_event=cancel)
    assert "left behind" not in str(raised.value)
    assert step in site.told.steps
    assert_nothing_is_left(site)


def test_a_slow_copy_tells_how_far_it_is_and_is_cancelled_at_once(site: Site) -> None:
    (site.place / "near").mkdir()
    plan = site.plan(site.wish("near", most_bytes_per_second=SLOW))
    seen: list[list[str]] = []

    def cancel(context: RoutineContext, event: Event) -> None:
        if isinstance(event, Progressed) and event.unit == "bytes" and event.done > SLOW:
            seen.append([each for each in processes_in(site.place) if "pg_basebackup" in each])
            context.cancellation.request("test")

    with pytest.raises(Cancelled):
        site.apply(plan, on_event=cancel)
    (copied,) = {each.total for each in site.told.copied}
    assert copied is not None and copied > 10 * SLOW
    assert [each.done for each in site.told.copied] == sorted(each.done for each in site.told.copied)
    assert seen and seen[0]  # it ran, and what it was given holds no password
    assert not any(site.primary.password in each for each in seen[0])
    assert_nothing_is_left(site, "near")
    assert list((site.place / "near").iterdir()) == []


def test_a_primary_that_dies_meanwhile(new_postgresql: Callable[..., PostgreSQL]) -> None:
    server = new_postgresql()
    site = Site.of(server)
    plan = site.plan(site.wish("near", most_bytes_per_second=SLOW))

    def stop(_context: RoutineContext, event: Event) -> None:
        if isinstance(event, Progressed) and event.unit == "bytes":
            server.stop()

    with pytest.raises(DbtuiError, match="the copy: pg_basebackup exited") as raised:
        site.apply(plan, on_event=stop)
    assert "left behind: slot near on 127.0.0.1" in str(raised.value)
    assert site.left() == [".near.dbtui-adding"]  # so that the next plan knows
    note = read_marker(site.place / "near")
    assert note is not None and (note.slot, note.passfile) == ("near", "")  # the passfile is gone already
    server.start()
    assert site.slots() == ["near"]
    again = site.plan(site.wish("near"))
    assert not again.refusals
    assert again.steps[0].startswith("remove what the run of ") and "slot near on 127.0.0.1" in again.steps[0]
    try:
        site.apply(again)
        assert site.slots() == ["near"]
        assert site.left() == ["near", "near.passfile"]
    finally:
        site.close()


def test_a_slot_of_somebody_else_is_not_in_the_note_and_the_next_run_does_not_drop_it(site: Site) -> None:
    plan = site.plan(site.wish("near"))
    passfile = site.place / "near.passfile"

    def meddle(_context: RoutineContext, event: Event) -> None:
        if isinstance(event, CommandRan) and "pg_create_physical_replication_slot" in event.text:
            site.primary.execute("SELECT pg_create_physical_replication_slot('near', true)")
            passfile.unlink()
            passfile.mkdir()  # it cannot be removed as a file

    with pytest.raises(ServerError, match=r'"near" already exists.*left behind: .*near\.passfile'):
        site.apply(plan, on_event=meddle)
    assert site.slots() == ["near"]
    note = read_marker(site.place / "near")
    assert note is not None and (note.slot, note.passfile) == ("", str(passfile))
    passfile.rmdir()
    passfile.touch()
    (refusal,) = site.plan(site.wish("near")).refusals
    assert refusal.startswith("slot near exists on ")
    again = site.plan(site.wish("near", slot="other", is_started=False))
    assert again.steps[0].endswith(f" left: {passfile}")
    site.apply(again)
    assert site.slots() == ["near", "other"]
    assert site.left() == ["near", "near.passfile"]


def test_a_slot_that_an_earlier_run_left_on_another_server_is_told(site: Site) -> None:
    site.primary.execute("SELECT pg_create_physical_replication_slot('old', true)")  # of that name, and of this server
    directory = str(site.place / "near")
    write_marker(Marker(directory=directory, server="db9:5432", system="1", slot="old", process_began=""))
    plan = site.plan(site.wish("near", is_started=False))
    assert plan.steps[0].endswith(" left: its note alone")
    site.apply(plan)
    (warning,) = site.told.warnings
    assert warning.startswith("slot old of that run, if it is there, is on another server, db9:5432: drop it there")
    assert site.slots() == ["near", "old"]
    assert site.left() == ["near", "near.passfile"]


def test_a_server_that_does_not_start_says_why(site: Site) -> None:
    plan = site.plan(site.wish("near"))

    def spoil(_context: RoutineContext, event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "start":
            with (site.place / "near" / "postgresql.conf").open("a") as settings:
                settings.write("shared_preload_libraries = 'no_such_library'\n")

    with pytest.raises(ServerError, match=r"did not start: .*no_such_library"):
        site.apply(plan, on_event=spoil)
    assert_nothing_is_left(site)


def test_a_replica_that_is_not_let_in_is_given_up_with_its_reason(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_streaming, "UNSEEN_SECONDS", 2.0)
    plan = site.plan(site.wish("near"))

    def spoil(_context: RoutineContext, event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "start":
            (site.place / "near.passfile").write_text("*:*:*:*:wrong\n")

    with pytest.raises(
        ServerError, match=r"has seen no replica at slot near for 2 s: .*password authentication failed"
    ):
        site.apply(plan, on_event=spoil)
    assert_nothing_is_left(site)


VICTIM = """
import json, sys
from dbtui.adapters.driving import exhaust
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.events import Progressed, StepStarted
from dbtui.model.replicas import ReplicaAction, ReplicaWish
from dbtui.routines.context import RoutineContext
from dbtui.routines.replica_changes import apply_replica, plan_replica

told = json.loads(sys.stdin.readline())
profile = ConnectionProfile(name="erp", engine=EngineName.POSTGRESQL, url=told["url"], database="postgres",
                            password=Secret(told["password"]))
wish = ReplicaWish(data_directory=told["directory"], port=told["port"], most_bytes_per_second=told["rate"])
context = RoutineContext()
plan = exhaust(plan_replica(context, profile, ReplicaAction.ADD, wish, "", ()))

def note(event):
    at = event.step if isinstance(event, StepStarted) else "copying" if isinstance(event, Progressed) else ""
    if at == told["at"]:
        print("reached", flush=True)
        sys.stdin.read()

exhaust(apply_replica(context, profile, plan, ()), note)
"""


def kill_at(site: Site, at: str, directory: Path, port: int) -> None:
    """Add a replica in another process, and kill that when it reaches a point."""
    rate = SLOW if at == "copying" else None
    told = {"url": site.profile.url, "password": site.primary.password, "at": at, "rate": rate,
            "directory": str(directory), "port": port}  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as victim:
        assert victim.stdout is not None and victim.stdin is not None
        victim.stdin.write(json.dumps(told) + "\n")
        victim.stdin.flush()
        assert victim.stdout.readline() == "reached\n"
        victim.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("at", ["copying", "settings"])
def test_what_a_killed_run_left_is_found_and_removed_by_the_next(site: Site, at: str) -> None:
    wish = site.wish("near")
    kill_at(site, at, site.place / "near", wish.port)
    wait_until(lambda: not [each for each in processes_in(site.place) if "pg_basebackup" in each])
    assert site.slots() == ["near"]
    assert site.left() == [".near.dbtui-adding", "near", "near.passfile"]
    assert site.primary.password not in (site.place / ".near.dbtui-adding").read_text()
    plan = site.plan(wish)
    assert not plan.refusals, plan.refusals
    assert "ended without a word" in plan.warnings[0]
    assert str(site.place / "near.passfile") in plan.steps[0] and "slot near on" in plan.steps[0]
    site.apply(plan)
    assert site.left() == ["near", "near.passfile"] and site.slots() == ["near"]
    assert site.ask(wish.port, "SELECT pg_is_in_recovery()") == [(True,)]


def test_a_server_that_a_killed_run_has_started_is_left_alone(site: Site) -> None:
    wish = site.wish("near")
    kill_at(site, "wait until it streams", site.place / "near", wish.port)
    plan = site.plan(wish)
    assert "it runs in" in plan.refusals[0] and "keep it (rm " in plan.refusals[0]
    assert site.ask(wish.port, "SELECT pg_is_in_recovery()") == [(True,)]
    site.end(site.place / "near")
    plan = site.plan(wish)
    assert not plan.refusals
    site.apply(plan)
    assert site.left() == ["near", "near.passfile"]
