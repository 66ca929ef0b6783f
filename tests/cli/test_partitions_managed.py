"""Tables that pg_partman or TimescaleDB look after: shown with what those have set, and never touched."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from dbtui.demo.servers import PostgreSQL
from tests.adapters.postgresql_sessions import add_login
from tests.cli.program import Ran, run


@dataclass
class Kept:
    """A database in which another program keeps partitions."""

    url: str
    folder: Path

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def command(self, *words: object, url: str = "") -> Ran:
        return run("partitions", words[0], url or self.url, *words[1:], cwd=self.folder)

    def tables(self) -> list[tuple[Any, ...]]:
        return self.run("SELECT oid, relname, relispartition FROM pg_class WHERE relkind IN ('r', 'p') ORDER BY 1")

    def refused(self, table: str, *, url: str = "") -> str:
        """What is said when somebody plans and applies all the same; nothing is changed by it."""
        before = self.tables()
        planned = self.command("plan", table, "--interval", "1 day", url=url)
        assert planned.code == 6
        done = self.command("apply", table, "--interval", "1 day", "--yes", table, url=url)
        assert done.code == 6
        assert self.tables() == before
        return done.sentence


@pytest.fixture
def partman(postgresql_database: str, tmp_path: Path) -> Kept:
    kept = Kept(postgresql_database, tmp_path)
    kept.run(
        "CREATE SCHEMA partman",
        "CREATE EXTENSION pg_partman SCHEMA partman",
        "CREATE TABLE logs (at timestamptz NOT NULL) PARTITION BY RANGE (at)",
        'CREATE TABLE "Logs" (at timestamptz NOT NULL) PARTITION BY RANGE (at)',
        "CREATE TABLE mine (at timestamptz NOT NULL) PARTITION BY RANGE (at)",
        "CREATE TABLE old (at timestamptz NOT NULL)",
        "SELECT partman.create_parent('public.logs', 'at', 'native', 'daily', p_premake := 6)",
        "SELECT partman.create_parent('public.Logs', 'at', 'native', 'monthly')",
        "SELECT partman.create_parent('public.old', 'at', 'partman', 'daily')",
        "UPDATE partman.part_config SET retention = '30 days', infinite_time_partitions = true"
        " WHERE parent_table = 'public.logs'",
    )
    return kept


def test_what_pg_partman_keeps_is_shown_with_its_settings_and_refused(partman: Kept) -> None:
    shown = partman.command("show", "public.logs")
    assert shown.code == 0
    assert "managed by pg_partman: shown, not touched" in " ".join(shown.stdout.split())
    for setting in ("premake = 6", "retention = 30 days", "control = at", "infinite_time_partitions = True"):
        assert setting in shown.stdout
    assert "the next plan" not in " ".join(shown.stdout.split())
    listed = {each["table"]["name"]: each for each in partman.command("show", "--json").document["tables"]}
    assert {name: each["managed_by"] for name, each in listed.items()} == {
        "logs": "pg_partman", "Logs": "pg_partman", "mine": ""
    }  # fmt: skip
    assert len(listed["logs"]["partitions"]) == 6 + 1 + 6 + 1
    for table in ("public.logs", 'public."Logs"'):
        assert f"{table.replace(chr(34), '')} is kept by pg_partman" in partman.refused(table)


def test_other_tables_beside_it_are_ours(partman: Kept) -> None:
    done = partman.command("apply", "public.mine", "--interval", "1 day", "--yes", "public.mine")
    assert done.code == 0, done.stderr
    assert partman.run("SELECT count(*) FROM pg_inherits WHERE inhparent = 'mine'::regclass") == [(5,)]


def test_what_pg_partman_divides_by_triggers_is_said_to_be_its_own(partman: Kept) -> None:
    done = partman.command("apply", "public.old", "--interval", "1 day", "--yes", "public.old")
    assert done.code == 2
    assert "public.old is kept by pg_partman with inheritance and triggers" in done.sentence


def test_who_may_not_read_its_settings_keeps_off_all_the_same(postgresql_server: PostgreSQL, partman: Kept) -> None:
    """The owner of the tables needs no right to pg_partman's: its templates tell which ones it keeps."""
    login = add_login(postgresql_server)
    partman.run(f"ALTER TABLE logs OWNER TO {login}", f"ALTER TABLE mine OWNER TO {login}",
                f"GRANT CREATE ON SCHEMA public TO {login}")  # fmt: skip
    url = partman.url.replace("postgres:", f"{login}:", 1)
    url = f"postgresql://{login}:x@{url.rpartition('@')[2]}"
    try:
        assert "public.logs is kept by pg_partman" in partman.refused("public.logs", url=url)
        shown = partman.command("show", "public.logs", url=url)
        assert "GRANT SELECT ON its part_config" in shown.stderr
        planned = partman.command("plan", "public.mine", "--interval", "1 day", url=url)
        assert planned.code == 0
        assert "which tables pg_partman manages is not known" in " ".join(planned.stdout.split())
    finally:
        partman.run(f"REASSIGN OWNED BY {login} TO postgres", f"DROP OWNED BY {login}", f"DROP ROLE {login}")


@pytest.fixture
def timescaledb(postgresql_database: str, tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(postgresql_database, tmp_path)
    kept.run(
        (Path(__file__).parent / "timescaledb.sql").read_text(encoding="utf-8"),
        "CREATE TABLE mine (at timestamptz NOT NULL) PARTITION BY RANGE (at)",
    )
    yield kept
    kept.run("SET allow_system_table_mods = on; DELETE FROM pg_extension WHERE extname = 'timescaledb'")


def test_hypertables_are_shown_and_refused(timescaledb: Kept) -> None:
    listed = {each["table"]["name"]: each for each in timescaledb.command("show", "--json").document["tables"]}
    assert set(listed) == {"mine", "metrics", "Readings", "spread"}
    metrics = listed["metrics"]
    assert (metrics["managed_by"], metrics["key_columns"]) == ("timescaledb", ["time"])
    assert [each["bound"]["text"] for each in metrics["partitions"]] == [
        "[2026-01-01, 2026-01-08)", "[2026-03-05, 2026-03-12)"
    ]  # fmt: skip
    assert [each["bound"]["text"] for each in listed["Readings"]["partitions"]] == ["[0, 100000)"]
    assert listed["spread"]["key_columns"] == ["at", "device"]
    kinds = {finding["kind"] for each in listed.values() if each["managed_by"]
             for finding in each["assessment"]["findings"]}  # fmt: skip
    assert kinds == {"managed elsewhere"}
    shown = timescaledb.command("show", "metrics")
    assert "managed by timescaledb: shown, not touched" in " ".join(shown.stdout.split())
    for setting in ("chunks of 7 days", "dropped after 6 months", "compression is enabled"):
        assert setting in shown.stdout
    for table in ("metrics", 'public."Readings"', "spread"):
        assert "is kept by timescaledb" in timescaledb.refused(table)


def test_other_tables_beside_hypertables_are_ours(timescaledb: Kept) -> None:
    done = timescaledb.command("apply", "public.mine", "--interval", "1 day", "--yes", "public.mine")
    assert done.code == 0, done.stderr


def test_a_timescaledb_before_its_views_is_a_gap(timescaledb: Kept) -> None:
    timescaledb.run("DROP SCHEMA timescaledb_information CASCADE; CREATE SCHEMA timescaledb_information")
    shown = timescaledb.command("show")
    assert shown.code == 0
    assert "tables of timescaledb cannot be told" in shown.stderr
    assert "public.mine" in shown.stdout
