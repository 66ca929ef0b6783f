"""`dbtui backup diff` on what is hard to dump: a restore differs in nothing; and a login that sees little."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from dbtui.config import parse_url
from dbtui.routines.context import RoutineContext
from tests.adapters import mysql_samples, sqlite_files
from tests.adapters.postgresql_nasty import SQL
from tests.cli.conftest import NewSample
from tests.cli.program import run
from tests.cli.samples import Sample
from tests.cli.test_backup_diff import back_up, changes, diff, document
from tests.fix_servers import unique_name


def fill_postgresql(sample: Sample) -> None:
    with closing(psycopg2.connect(sample.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(SQL)


def fill_mysql(sample: Sample) -> None:
    with RoutineContext().open_target(parse_url(sample.url)) as target:
        mysql_samples.fill(target)  # type: ignore[arg-type]


def fill_sqlite(sample: Sample) -> None:
    """The tables there already have names that the nasty ones take."""
    with closing(sqlite3.connect(sample.url.removeprefix("sqlite:///"))) as connection:
        connection.executescript("DROP TABLE orders; DROP TABLE users;" + sqlite_files.NASTY)


FILLS: dict[str, Callable[[Sample], None]] = {
    "postgresql": fill_postgresql,
    "mysql": fill_mysql,
    "sqlite": fill_sqlite,
}


@pytest.mark.parametrize("engine", FILLS)
def test_a_restore_differs_in_nothing(engine: str, new_sample: NewSample, tmp_path: Path) -> None:
    """From its backup, though it has another name; and the database itself differs in nothing either."""
    sample = new_sample(engine)
    FILLS[engine](sample)
    made = back_up(sample, tmp_path)
    found = document(tmp_path, made, sample.url, "--count-seconds", "60")
    assert (found["changed"], found["flags"], found["sequences"]) == (False, [], []), found
    assert set(changes(found).values()) == {"same"}
    assert all(each["parts"] == [] for each in found["tables"])
    into = f"{sample.name}_again" + (".db" if engine == "sqlite" else "")
    ran = run("backup", "restore", made, "--into", into, cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    other = (
        sample.url.replace(f"{sample.name}.db", into) if engine == "sqlite" else sample.url.replace(sample.name, into)
    )
    found = document(tmp_path, made, other, "--count-seconds", "60")
    assert [flag["kind"] for flag in found["flags"]] == ["other_database"]
    assert {name: each for name, each in changes(found).items() if each != "same"} == {}, found
    assert found["sequences"] == []


def test_what_an_account_may_not_see_is_not_called_gone(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("mysql")
    made = back_up(sample, tmp_path)
    account = unique_name("little")
    sample.execute(f"CREATE USER {account} IDENTIFIED BY 'x'")
    try:
        sample.execute(f"GRANT SELECT ON {sample.name}.users TO {account}")
        where = sample.url.rpartition("@")[2]
        ran = diff(tmp_path, made, f"mysql://{account}:x@{where}", "--json", "--fail-on", "any")
        assert ran.code == 0
        assert changes(ran.document) == {"users": "same", "orders": "unknown"}
        assert any("GRANT SELECT" in gap for gap in ran.document["gaps"])
    finally:
        sample.execute(f"DROP USER {account}")


def test_what_row_security_hides_is_not_counted(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("postgresql")
    made = back_up(sample, tmp_path)
    role = unique_name("little")
    sample.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        sample.execute("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
        sample.execute(f"GRANT SELECT ON users, orders TO {role}")
        where = sample.url.rpartition("@")[2]
        found = document(tmp_path, made, f"postgresql://{role}:x@{where}", "--fail-on", "shrink")
        assert not found["shrunk"]
        assert any("row security hides rows" in gap for gap in found["gaps"])
    finally:
        sample.execute(f"DROP OWNED BY {role}")
        sample.execute(f"DROP ROLE {role}")
