"""Proofs on a throwaway PostgreSQL: what is equal, what is a fault of the backup, and what only this machine lacks."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

from dbtui.demo.servers import PostgreSQL
from dbtui.model.backups import BackupEntry, BackupFormat
from dbtui.model.events import Event, StepFinished
from dbtui.model.proofs import MOST_PROOFS, ProofOutcome
from dbtui.routines.backups import delete_backup, read_proofs
from dbtui.routines.backups.evidence import keep_proof
from dbtui.routines.backups.proof import UnprovenError
from dbtui.routines.context import RoutineContext
from tests.fix_servers import unique_name
from tests.routines.fake_engine import drive
from tests.routines.proof_lab import alter, make_backup, manifest_of, names_in, prove, without_lines

SHOP = """
    CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL CHECK (name <> ''));
    CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id integer, cents integer,
        CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customers (id));
    CREATE TABLE visits (at date NOT NULL, customer_id integer) PARTITION BY RANGE (at);
    CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE INDEX visits_at ON visits (at);
    INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 200) n;
    INSERT INTO orders (customer_id, cents) SELECT 1 + n % 200, n FROM generate_series(1, 1000) n;
    INSERT INTO visits SELECT date '2026-01-01' + n % 300, 1 + n % 200 FROM generate_series(1, 500) n;
    CREATE MATERIALIZED VIEW takings AS SELECT customer_id, sum(cents) AS cents FROM orders GROUP BY 1;
    CREATE UNIQUE INDEX takings_customer ON takings (customer_id);
"""
ROWS = 200 + 1000 + 500


def run_sql(url: str, sql: str) -> None:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
    finally:
        connection.close()


@pytest.fixture
def shop(postgresql_database: str) -> str:
    run_sql(postgresql_database, SHOP)
    return postgresql_database


def test_an_extension_that_is_installed_comes_along(shop: str, tmp_path: Path) -> None:
    run_sql(shop, "CREATE EXTENSION citext; ALTER TABLE customers ALTER name TYPE citext")
    entry = make_backup(shop, tmp_path, BackupFormat.CUSTOM)
    assert manifest_of(entry)["extensions"] == ["citext"]
    found, _ = prove(entry)
    assert (found.problems, found.remarks) == ((), ())


@pytest.fixture
def owner(postgresql_server: PostgreSQL) -> Iterator[str]:
    name = unique_name("Owner of it")
    postgresql_server.execute(f'CREATE ROLE "{name}"')
    yield name
    postgresql_server.execute(f'DROP ROLE "{name}"')


@pytest.mark.parametrize("backup_format", [BackupFormat.PLAIN, BackupFormat.CUSTOM, BackupFormat.DIRECTORY])
def test_a_sound_backup_is_equal_and_the_evidence_says_so(
    shop: str, tmp_path: Path, backup_format: BackupFormat
) -> None:
    entry = make_backup(shop, tmp_path, backup_format)
    events: list[Event] = []
    found, (proof,) = prove(entry, events)
    assert (found.problems, found.remarks, found.rows_compared) == ((), (), ROWS)
    assert dict(found.checked) == {
        "constraints": pytest.approx(5, abs=6),  # PostgreSQL 18 counts NOT NULL too
        "indexes": 5,
        "materialised views": 1,
        "sequences": 2,
    }
    assert (proof.outcome, proof.rows, proof.tables) == (ProofOutcome.EQUAL, ROWS, found.tables_compared)
    assert proof.where.startswith("a throwaway PostgreSQL ")
    assert proof.server_version.partition(".")[0] == proof.backup_version.partition(".")[0]
    order = ["throwaway server", "create", "load", "count rows", "check", "remove"]
    assert [event.step for event in events if isinstance(event, StepFinished) and event.step in order] == order
    manifest = manifest_of(entry)
    assert (manifest["proof"], manifest["verified_at"], manifest["failed_at"]) == ("restored", found.verified_at, None)
    assert manifest["flaws"] == []


def test_owners_and_grantees_that_are_not_here_are_made_there(shop: str, owner: str, tmp_path: Path) -> None:
    run_sql(shop, f'ALTER TABLE orders OWNER TO "{owner}"; GRANT SELECT ON customers TO "{owner}"')
    entry = make_backup(shop, tmp_path)
    run_sql(shop, f'ALTER TABLE orders OWNER TO postgres; REVOKE ALL ON customers FROM "{owner}"')
    found, _ = prove(entry)
    assert (found.problems, found.remarks) == ((), ())


def lost_rows(text: str) -> str:
    return re.sub(r"(COPY public\.visits_2026 .*?\n)(.*\n){3}", r"\1", text, count=1)


def unvalidated(text: str) -> str:
    return text.replace("REFERENCES public.customers(id);", "REFERENCES public.customers(id) NOT VALID;")


def orphaned(text: str) -> str:
    return re.sub(r"^1000\t\d+\t1000$", "1000\t777777\t1000", text, count=1, flags=re.MULTILINE)


def behind(text: str) -> str:
    return re.sub(r"(setval\('public\.orders_id_seq', )1000", r"\g<1>10", text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lost_rows, "public.visits_2026 has 497 rows instead of 500"),
        (unvalidated, "constraint public.orders.of_customer is not validated"),
        (orphaned, "the restore failed: "),
        (behind, "sequence public.orders_id_seq is at 10 and public.orders.id has 1000 already"),
        (without_lines("ALTER INDEX public.visits_at ATTACH PARTITION"), "index public.visits_at is not valid"),
        (without_lines("REFRESH MATERIALIZED VIEW"), "materialised view public.takings is not populated"),
    ],
    ids=["rows", "not validated", "broken key", "sequence", "index", "view"],
)
def test_what_is_wrong_with_a_backup_is_found(
    shop: str, tmp_path: Path, change: Callable[[str], str], said: str
) -> None:
    entry = make_backup(shop, tmp_path)
    alter(entry, change)
    found, (proof,) = prove(entry)
    assert any(said in problem for problem in found.problems), found.problems
    assert proof.outcome is ProofOutcome.DIFFERENT
    assert any(said in problem for problem in proof.problems)
    manifest = manifest_of(entry)
    assert (manifest["proof"], manifest["verified_at"]) == (None, None)
    assert manifest["failed_at"]


def test_a_manifest_that_counts_otherwise_is_found(shop: str, tmp_path: Path) -> None:
    entry = make_backup(shop, tmp_path)
    tables = manifest_of(entry)["tables"]
    for table in tables:
        table["rows"] += table["name"] == "orders"
    alter(entry, lambda text: text, tables=tables)
    found, _ = prove(entry)
    assert found.problems == ("public.orders has 1000 rows instead of 1001",)


def test_what_the_database_had_itself_is_no_fault_of_its_backup(shop: str, tmp_path: Path) -> None:
    run_sql(
        shop,
        """
        ALTER TABLE orders ADD CONSTRAINT paid CHECK (cents > 5) NOT VALID;
        REFRESH MATERIALIZED VIEW takings WITH NO DATA;
        SELECT setval('customers_id_seq', 7)
        """,
    )
    entry = make_backup(shop, tmp_path)
    found, (proof,) = prove(entry)
    assert found.problems == ()
    assert len(found.remarks) == 3
    assert all("it was so when the backup was made" in remark for remark in found.remarks)
    assert proof.outcome is ProofOutcome.EQUAL
    alter(entry, lambda text: text, flaws=None)
    found, _ = prove(entry)
    assert found.problems == ()
    assert all("is not known" in remark for remark in found.remarks)


def test_an_extension_that_is_not_installed_says_nothing_against_the_backup(shop: str, tmp_path: Path) -> None:
    entry = make_backup(shop, tmp_path)
    found, _ = prove(entry)
    proven = manifest_of(entry)
    wanted = "CREATE EXTENSION IF NOT EXISTS nosuch WITH SCHEMA public;\n\nSET default_tablespace"
    alter(entry, lambda text: text.replace("SET default_tablespace", wanted, 1), extensions=["nosuch"])
    with pytest.raises(UnprovenError, match="says nothing against the backup: the server lacks the extension nosuch"):
        prove(entry)
    after = manifest_of(entry)
    assert (after["proof"], after["verified_at"], after["failed_at"]) == ("restored", proven["verified_at"], None)
    assert found.verified_at == after["verified_at"]
    newest, before = read_proofs(entry)
    assert (newest.outcome, before.outcome) == (ProofOutcome.UNPROVEN, ProofOutcome.EQUAL)
    assert "nosuch" in newest.remarks[-1]


def test_old_evidence_is_bounded_and_goes_with_the_backup(shop: str, tmp_path: Path) -> None:
    entry: BackupEntry = make_backup(shop, tmp_path)
    _, (proof,) = prove(entry)
    for _ in range(MOST_PROOFS + 5):
        keep_proof(entry, proof)
    assert len(read_proofs(entry)) == MOST_PROOFS
    assert len(names_in(tmp_path)) == 3
    drive(delete_backup(RoutineContext(), entry))
    assert names_in(tmp_path) == []
