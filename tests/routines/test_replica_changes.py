"""Replicas added to real servers: rows arrive, slot and directory are as planned, a second one beside the first."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbtui.demo.servers import PostgreSQL, ServerDirectory
from dbtui.errors import RefusedError
from dbtui.model.events import Event, StepStarted
from dbtui.model.replicas import ReplicaAction
from dbtui.routines.context import RoutineContext
from tests.fix_servers import unique_name, wait_until
from tests.routines.replica_site import Site, sites


@pytest.fixture(scope="module")
def primary(server_directory: ServerDirectory) -> Iterator[PostgreSQL]:
    with PostgreSQL(server_directory, name=unique_name("pg")) as server:
        server.execute("CREATE TABLE orders AS SELECT generate_series(1, 1000) AS number")
        yield server


@pytest.fixture
def site(primary: PostgreSQL) -> Iterator[Site]:
    yield from sites(primary)


def test_rows_of_the_primary_are_read_on_the_new_replica(site: Site) -> None:
    site.primary.execute("CREATE TABLE marks (mark int)")
    wish = site.wish("near")
    plan = site.plan(wish)
    assert (plan.action, plan.subject, plan.danger, plan.names) == (ReplicaAction.ADD, "near", 1, ())
    assert plan.needed_bytes is not None and plan.free_bytes is not None and plan.needed_bytes < plan.free_bytes
    assert site.left() == [] and site.slots() == []  # a plan makes nothing
    done = site.apply(plan)
    assert site.told.steps[-4:] == ["write to disk", "settings", "start", "wait until it streams"]
    assert "wait for a checkpoint" in site.told.steps
    assert done.pid is not None and done.behind_bytes is not None
    assert done.copied_bytes > 10_000_000 and site.told.copied[-1].done == done.copied_bytes
    site.primary.execute("INSERT INTO marks VALUES (4711)")
    wait_until(lambda: site.ask(wish.port, "SELECT mark FROM marks") == [(4711,)])
    assert site.ask(wish.port, "SELECT count(*), pg_is_in_recovery() FROM orders") == [(1000, True)]
    (stream,) = site.primary.execute(
        "SELECT r.application_name, r.state, s.slot_name FROM pg_stat_replication r "
        "JOIN pg_replication_slots s ON s.active_pid = r.pid"
    )
    assert stream == ("near", "streaming", "near")
    site.primary.execute("DROP TABLE marks")


def test_what_is_planned_is_what_is_run_and_holds_no_password(site: Site) -> None:
    wish = site.wish("second", slot="other_slot", name="shop replica", most_bytes_per_second=500_000_000)
    plan = site.plan(wish)
    site.apply(plan)
    for command in site.told.commands:
        assert any(command in step for step in plan.steps), (command, plan.steps)
    text = "\n".join([*plan.steps, *site.told.commands, repr(plan)])
    assert site.primary.password not in text
    assert "--max-rate=488281k" in text and "'shop replica'" in text
    passfile = site.place / "second.passfile"
    assert stat.S_IMODE(passfile.stat().st_mode) == 0o600
    assert passfile.stat().st_uid == (site.place / "second").stat().st_uid
    assert site.primary.password in passfile.read_text()
    own = (site.place / "second" / "postgresql.auto.conf").read_text()
    assert site.primary.password not in own and str(passfile) in own
    assert stat.S_IMODE((site.place / "second").stat().st_mode) == 0o700
    assert site.left() == ["second", "second.passfile"]
    assert site.slots() == ["other_slot"]


@pytest.fixture
def whole_site(new_postgresql: Callable[..., PostgreSQL]) -> Iterator[Site]:
    """With a primary that writes whole pages: its replicas can be copied."""
    yield from sites(new_postgresql(config=["full_page_writes = on"]))


def test_a_second_replica_beside_the_first_and_one_of_the_first(whole_site: Site) -> None:
    site = whole_site
    first, second, third = site.wish("first"), site.wish("second"), site.wish("third")
    site.add(first)
    site.add(second)
    above = site.replica_profile("first", first.port)
    plan = site.plan(third, profile=above)
    assert not plan.refusals, plan.refusals
    site.apply(plan, profile=above)
    site.primary.execute("CREATE TABLE marks AS SELECT 4711 AS mark")
    wait_until(lambda: all(_rows(site, wish.port) == [(4711,)] for wish in (first, second, third)))
    assert site.slots() == ["first", "second"]
    assert site.ask(first.port, "SELECT slot_name, active FROM pg_replication_slots") == [("third", True)]


def _rows(site: Site, port: int) -> list[tuple[object, ...]]:
    import psycopg2

    try:
        return site.ask(port, "SELECT mark FROM marks")
    except psycopg2.errors.UndefinedTable:
        return []


def test_an_empty_directory_is_taken_and_a_full_one_is_not_touched(site: Site) -> None:
    empty = site.place / "empty"
    empty.mkdir(mode=0o755)
    full = site.place / "full"
    full.mkdir()
    (full / "letter").write_text("mine")
    plan = site.plan(site.wish("full"))
    assert "is not empty (1 entries, such as letter)" in plan.refusals[0]
    with pytest.raises(RefusedError, match="is not empty"):
        site.apply(plan)
    assert (full / "letter").read_text() == "mine"
    assert site.slots() == []
    site.add(site.wish("empty"))
    assert (empty / "standby.signal").exists() and stat.S_IMODE(empty.stat().st_mode) == 0o700


def test_a_copy_that_is_not_started_says_how(site: Site) -> None:
    plan = site.plan(site.wish("cold", is_started=False))
    assert plan.steps[-1].startswith("start it yourself: ")
    done = site.apply(plan)
    assert done.pid is None
    assert not (site.place / "cold" / "postmaster.pid").exists()
    assert site.left() == ["cold", "cold.passfile"]


def test_what_came_between_plan_and_run_refuses(site: Site) -> None:
    wish = site.wish("late")
    plan = site.plan(wish)

    def create(_context: RoutineContext, event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "plan":
            (site.place / "late").mkdir()
            (site.place / "late" / "mine").touch()

    with pytest.raises(RefusedError, match="is not empty"):
        site.apply(plan, on_event=create)
    assert site.left() == ["late"]
    assert [each.name for each in Path(site.place / "late").iterdir()] == ["mine"]
