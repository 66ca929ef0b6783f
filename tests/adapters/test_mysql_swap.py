"""Swapping a restored database in: all of it arrives, all that was is kept, and until the RENAME it can be undone."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import contents, databases, load, swap
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.names import quote_name
from dbtui.demo.servers import MariaDB
from dbtui.errors import Cancelled, DbtuiError, RefusedError, ServerError
from dbtui.model.backups import BackupContents, LoadRequest
from dbtui.model.connections import EngineName
from dbtui.model.events import CommandRan, Warned
from tests.adapters.mysql_samples import fill, rows_of, structure_of
from tests.adapters.mysql_targets import collect, open_mysql
from tests.adapters.test_mysql_round_trip import make_dump
from tests.fix_servers import unique_name

CHANGES = [
    "INSERT INTO parent VALUES (77)",
    "DROP PROCEDURE p1",
    "CREATE TABLE extra (x int DEFAULT nextval(seq1))",
    "CREATE VIEW of_extra AS SELECT * FROM extra",
    "CREATE PROCEDURE newer() SELECT 'newer'",
    "ALTER VIEW v0 AS SELECT id + 1 AS id FROM parent",
    "DROP TRIGGER trig_bi2",
    "ALTER EVENT ev1 COMMENT 'changed'",
]


@dataclass
class Swapped:
    """A live database, a backup from before it changed, loaded as `fresh`, and the name that keeps the old one."""

    target: MysqlTarget
    live: str
    fresh: str
    kept: str


@pytest.fixture
def cancellation() -> Cancellation:
    return Cancellation()


@pytest.fixture
def world(
    mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path, cancellation: Cancellation
) -> Iterator[Swapped]:
    target = open_mysql(mariadb_database, cancellation)
    fill(target)
    backup, _ = make_dump(target, tmp_path)
    live, fresh, kept = target.database, f"{target.database}_new", f"{target.database}_old"
    held = contents.collect_contents(backup, Cancellation())
    databases.create_database(target, fresh, live, held)
    collect(load.load(target, LoadRequest(backup=backup, contents=held, database=fresh)))
    fill(target, CHANGES)
    yield Swapped(target, live, fresh, kept)
    target.close()
    for name in (fresh, kept):
        mariadb_server.execute(f"DROP DATABASE IF EXISTS {quote_name(name)}")


def as_it_was(text: str) -> str:
    """The old database keeps its events, but switched off."""
    return text.replace(" PRESERVE ENABLE ", " PRESERVE DISABLE ")


def test_everything_arrives_and_everything_old_is_kept(mariadb_server: MariaDB, world: Swapped, tmp_path: Path) -> None:
    target = world.target
    old_rows, old_words = rows_of(target, world.live), structure_of(mariadb_server, world.live)
    new_rows, new_words = rows_of(target, world.fresh), structure_of(mariadb_server, world.fresh)
    events, _ = collect(swap.swap_database(target, world.live, world.fresh, world.kept))
    assert not [event for event in events if isinstance(event, Warned)]
    renames = [event.text for event in events if isinstance(event, CommandRan) and "RENAME TABLE" in event.text]
    assert len(renames) == 1
    assert rows_of(target, world.live) == new_rows
    assert rows_of(target, world.kept) == old_rows
    assert as_it_was(structure_of(mariadb_server, world.live)) == new_words
    assert structure_of(mariadb_server, world.kept) == as_it_was(old_words)
    assert not databases.collect_destination(target, world.fresh).exists
    status = target.rows(
        "SELECT event_name AS name, status AS status FROM information_schema.events WHERE event_schema = %(s)s",
        {"s": world.live},
    )
    assert {row["name"]: row["status"] for row in status} == {"ev1": "ENABLED", "ev2": "DISABLED"}


def test_the_old_database_can_be_swapped_back(mariadb_server: MariaDB, world: Swapped) -> None:
    target = world.target
    old_rows, old_words = rows_of(target, world.live), structure_of(mariadb_server, world.live)
    collect(swap.swap_database(target, world.live, world.fresh, world.kept))
    collect(swap.swap_database(target, world.live, world.kept, world.fresh))
    assert rows_of(target, world.live) == old_rows
    assert as_it_was(structure_of(mariadb_server, world.live)) == as_it_was(old_words)


def test_foreign_keys_hold_on_both_sides(world: Swapped) -> None:
    collect(swap.swap_database(world.target, world.live, world.fresh, world.kept))
    for database in (world.live, world.kept):
        with pytest.raises(ServerError) as refused:
            world.target.rows(f"INSERT INTO {quote_name(database)}.child VALUES (9, 999)")
        assert refused.value.code == "1452"
        world.target.rows(f"INSERT INTO {quote_name(database)}.child VALUES (9, 1)")
        world.target.rows(f"INSERT INTO {quote_name(database)}.counted (x) VALUES (5)")


def test_an_empty_live_database_is_filled(world: Swapped) -> None:
    empty = unique_name("empty")
    databases.create_database(world.target, empty, world.live, BackupContents(engine=EngineName.MYSQL))
    rows = rows_of(world.target, world.fresh)
    collect(swap.swap_database(world.target, empty, world.fresh, world.kept))
    assert rows_of(world.target, empty) == rows
    assert databases.collect_destination(world.target, world.kept).tables == 0
    databases.drop_database(world.target, empty)


def run_in_thread(world: Swapped) -> tuple[threading.Thread, list[object], list[DbtuiError]]:
    events: list[object] = []
    errors: list[DbtuiError] = []

    def run() -> None:
        try:
            for event in swap.swap_database(world.target, world.live, world.fresh, world.kept):
                events.append(event)
        except DbtuiError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, events, errors


def wait_for_warning(events: list[object]) -> None:
    deadline = time.monotonic() + 60
    while not any(isinstance(event, Warned) for event in events):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_swap_waits_for_transactions(world: Swapped, mariadb_database: str) -> None:
    other = open_mysql(mariadb_database)
    busy = other.connect(world.live)
    other.rows("BEGIN", on=busy)
    other.rows("INSERT INTO trig VALUES (5, 5)", on=busy)
    thread, events, errors = run_in_thread(world)
    wait_for_warning(events)
    assert any("in use" in str(event) for event in events)
    assert [row["name"] for row in other.collect("trigger_names", schema=world.live)] == ["trig_bi"]
    other.rows("COMMIT", on=busy)
    thread.join(60)
    assert not errors
    assert (5, 6) in rows_of(other, world.kept)["trig"], "a row that was being written is in the old database"
    other.close()


def test_a_swap_that_is_cancelled_while_it_waits_changes_nothing(
    mariadb_server: MariaDB, world: Swapped, mariadb_database: str, cancellation: Cancellation
) -> None:
    words, other = structure_of(mariadb_server, world.live), open_mysql(mariadb_database)
    busy = other.connect(world.live)
    other.rows("BEGIN", on=busy)
    other.rows("SELECT * FROM parent", on=busy)
    thread, events, errors = run_in_thread(world)
    wait_for_warning(events)
    cancellation.request()
    thread.join(60)
    assert isinstance(errors[0], Cancelled)
    other.rows("COMMIT", on=busy)
    assert structure_of(mariadb_server, world.live) == words
    assert not databases.collect_destination(other, world.kept).exists
    other.close()


def test_a_foreign_key_from_outside_is_a_refusal(mariadb_server: MariaDB, world: Swapped) -> None:
    outside = unique_name("outside")
    mariadb_server.execute(f"CREATE DATABASE {outside}")
    mariadb_server.execute(f"CREATE TABLE {outside}.o (p int, FOREIGN KEY (p) REFERENCES `{world.live}`.parent (id))")
    words = structure_of(mariadb_server, world.live)
    with pytest.raises(RefusedError, match=r"outside.*\.o has a foreign key"):
        collect(swap.swap_database(world.target, world.live, world.fresh, world.kept))
    assert structure_of(mariadb_server, world.live) == words
    mariadb_server.execute(f"DROP DATABASE {outside}")


def test_a_name_that_is_taken_changes_nothing(mariadb_server: MariaDB, world: Swapped) -> None:
    mariadb_server.execute(f"CREATE DATABASE {quote_name(world.kept)}")
    words = structure_of(mariadb_server, world.live)
    with pytest.raises(ServerError) as refused:
        collect(swap.swap_database(world.target, world.live, world.fresh, world.kept))
    assert refused.value.code == "1007"
    assert structure_of(mariadb_server, world.live) == words
    assert databases.collect_destination(world.target, world.kept).exists


def test_a_rename_that_fails_is_undone(
    mariadb_server: MariaDB, world: Swapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = structure_of(mariadb_server, world.live)
    honest = MysqlTarget.rows

    def rows(self: MysqlTarget, sql: str, *arguments: object, **named: object) -> object:
        if sql.startswith("RENAME TABLE"):
            sql = sql.replace("`parent` TO", "`no such table` TO", 1)
        return honest(self, sql, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(MysqlTarget, "rows", rows)
    with pytest.raises(ServerError, match="no such table"):
        collect(swap.swap_database(world.target, world.live, world.fresh, world.kept))
    monkeypatch.undo()
    assert structure_of(mariadb_server, world.live) == words
    assert not databases.collect_destination(world.target, world.kept).exists
    assert rows_of(world.target, world.fresh)


def test_what_cannot_be_made_after_the_rename_is_reported_with_its_sql(world: Swapped) -> None:
    made = world.target.connect(world.fresh)
    world.target.rows("CREATE TABLE falling (id int)", on=made)
    world.target.rows("CREATE VIEW standing AS SELECT id FROM falling", on=made)
    world.target.rows("DROP TABLE falling", on=made)
    rows = rows_of(world.target, world.fresh)
    events: list[object] = []
    with pytest.raises(ServerError, match="has the restored tables, but 1 steps failed"):
        for event in swap.swap_database(world.target, world.live, world.fresh, world.kept):
            events.append(event)
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert len(warned) == 1
    assert "CREATE ALGORITHM=UNDEFINED" in warned[0]
    assert "`standing`" in warned[0]
    assert rows_of(world.target, world.live) == rows


def test_events_go_on_running_as_their_own_account(mariadb_server: MariaDB, world: Swapped) -> None:
    """ALTER EVENT … ENABLE alone would give them to the login that restores, which may do anything."""
    owner = unique_name("o")[:30]
    mariadb_server.execute(f"CREATE USER '{owner}'@'%'")
    event = f"CREATE DEFINER='{owner}'@'%' EVENT owned ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1"
    mariadb_server.execute(event, database=world.fresh)
    world.target.switched_off_events[world.fresh] = ("owned",)
    collect(swap.swap_database(world.target, world.live, world.fresh, world.kept))
    asked = f"SELECT definer, status FROM information_schema.events WHERE event_schema = '{world.live}'"
    assert (f"{owner}@%", "ENABLED") in mariadb_server.execute(asked)
    mariadb_server.execute(f"DROP USER '{owner}'@'%'")


def test_views_on_views_are_kept_although_their_definer_has_no_rights_there(
    mariadb_server: MariaDB, world: Swapped
) -> None:
    """And one that is broken in the old database is told, but is no failure of the restore."""
    owner = unique_name("o")[:30]
    mariadb_server.execute(f"CREATE USER '{owner}'@'%'")
    mariadb_server.execute(f"GRANT ALL ON {quote_name(world.live)}.* TO '{owner}'@'%'")
    fill(world.target, [
        f"CREATE DEFINER='{owner}'@'%' VIEW m AS SELECT id FROM parent", "CREATE VIEW z AS SELECT * FROM m",
        "CREATE TABLE gone (i int)", "CREATE VIEW broken AS SELECT i FROM gone", "DROP TABLE gone",
    ])  # fmt: skip
    events, _ = collect(swap.swap_database(world.target, world.live, world.fresh, world.kept))
    asked = f"SELECT table_name, definer FROM information_schema.views WHERE table_schema = '{world.kept}'"
    kept = dict(mariadb_server.execute(asked))
    assert kept["m"] == f"{owner}@%"
    assert "z" in kept
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert len(warned) == 1, warned
    assert warned[0].startswith(f"{world.kept} has no view broken: ")
    mariadb_server.execute(f"DROP USER '{owner}'@'%'")
