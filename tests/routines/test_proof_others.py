"""Proofs of MariaDB and SQLite on a throwaway server, and in a private file."""

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pymysql
import pytest

from dbtui.errors import ToolError
from dbtui.model.backups import BackupEntry
from dbtui.model.proofs import ProofOutcome
from dbtui.model.urls import parse_database_url
from dbtui.routines.backups import plan_proof
from dbtui.routines.context import RoutineContext
from tests.routines.fake_engine import drive
from tests.routines.proof_lab import alter, make_backup, manifest_of, prove

SHOP = """
    CREATE TABLE customers (id integer PRIMARY KEY AUTO_INCREMENT, name varchar(50)) ENGINE=InnoDB;
    CREATE TABLE orders (id integer PRIMARY KEY AUTO_INCREMENT, customer_id integer,
        CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customers (id)) ENGINE=InnoDB;
    CREATE VIEW everything AS SELECT orders.id, name FROM orders JOIN customers ON customers.id = customer_id;
    INSERT INTO customers (name) VALUES ('ann'), ('bob');
    INSERT INTO orders (customer_id) VALUES (1), (2), (2)
"""


@pytest.fixture
def shop(mariadb_database: str) -> str:
    url = parse_database_url(mariadb_database)
    host, _, port = url.hosts.partition(":")
    connection = pymysql.connect(
        host=host, port=int(port), user=url.user, password=url.password.reveal() if url.password else "",
        database=url.database, autocommit=True,
    )  # fmt: skip
    with closing(connection), connection.cursor() as cursor:
        for statement in SHOP.split(";"):
            cursor.execute(statement)
    return mariadb_database


def test_a_sound_backup_of_mariadb_is_equal(shop: str, tmp_path: Path) -> None:
    entry = make_backup(shop, tmp_path)
    found, (proof,) = prove(entry)
    assert (found.problems, found.remarks, found.rows_compared) == ((), (), 5)
    assert dict(found.checked) == {"foreign keys": 1, "tables checked": 2, "views": 1}
    assert proof.where.startswith("a throwaway MariaDB ")
    assert manifest_of(entry)["proof"] == "restored"


def test_lost_rows_of_mariadb_are_found(shop: str, tmp_path: Path) -> None:
    entry = make_backup(shop, tmp_path)
    alter(entry, lambda text: re.sub(r",\s*\(3,2\)", "", text))
    found, (proof,) = prove(entry)
    assert any("orders has 2 rows instead of 3" in problem for problem in found.problems), found.problems
    assert proof.outcome is ProofOutcome.DIFFERENT


def test_orphans_in_mariadb_are_told(shop: str, tmp_path: Path) -> None:
    """A dump is loaded with the checks off: whoever made the orphan, it is said, and held against nobody."""
    entry = make_backup(shop, tmp_path)
    alter(entry, lambda text: re.sub(r"\(3,2\)", "(3,777)", text))
    found, _ = prove(entry)
    assert found.problems == ()
    assert any("orders.of_customer is broken: 1 row refers to what does not exist" in each for each in found.remarks)


def test_a_dump_of_mysql_is_tried_on_no_mariadb(shop: str, tmp_path: Path) -> None:
    entry = make_backup(shop, tmp_path)
    alter(entry, lambda text: text, flavour="MySQL")
    with pytest.raises(ToolError, match="throwaway servers are MariaDB; restore it on a server of its kind: --to"):
        drive(plan_proof(RoutineContext(), entry))


@pytest.fixture
def app(tmp_path: Path) -> str:
    path = tmp_path / "live" / "app.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            CREATE TABLE users (id integer PRIMARY KEY, name text);
            CREATE TABLE orders (id integer PRIMARY KEY, user_id integer REFERENCES users (id));
            CREATE INDEX orders_user ON orders (user_id);
            INSERT INTO users VALUES (1, 'ann'), (2, 'bob');
            INSERT INTO orders VALUES (1, 1), (2, 2);
            """
        )
    return f"sqlite:///{path}"


def change_file(entry: BackupEntry, sql: str) -> None:
    """Change what is in a copy of SQLite, and its manifest so that the checksums are right."""
    data = Path(entry.data_path)
    with closing(sqlite3.connect(data)) as connection:
        connection.executescript(sql)
    path = data.with_name(f"{data.name}.manifest.json")
    manifest = json.loads(path.read_text())
    manifest["files"][0] |= {"size_bytes": data.stat().st_size, "sha256": hashlib.sha256(data.read_bytes()).hexdigest()}
    path.write_text(json.dumps(manifest | {"size_bytes": data.stat().st_size}))


def test_a_copy_of_sqlite_is_proven_in_a_file_of_its_own(app: str, tmp_path: Path) -> None:
    entry = make_backup(app, tmp_path / "backups")
    found, (proof,) = prove(entry)
    assert (found.problems, found.remarks, found.rows_compared) == ((), (), 4)
    assert dict(found.checked) == {"indexes": 1, "tables checked": 2}
    assert (proof.outcome, proof.where) == (ProofOutcome.EQUAL, f"a throwaway SQLite {sqlite3.sqlite_version}")


def test_lost_rows_of_sqlite_are_found_and_orphans_told(app: str, tmp_path: Path) -> None:
    entry = make_backup(app, tmp_path / "backups")
    change_file(entry, "DELETE FROM users WHERE id = 2")
    found, _ = prove(entry)
    assert any("users has 1 rows instead of 2" in problem for problem in found.problems), found.problems
    assert any("orders has 1 row that refers" in remark for remark in found.remarks), found.remarks
