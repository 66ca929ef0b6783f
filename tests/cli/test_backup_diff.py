"""`dbtui backup diff` on all three engines: it sees what was changed, exactly that, and says what it cannot know."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.cli.conftest import NewSample
from tests.cli.program import Ran, run
from tests.cli.samples import ORDERS, Sample

FOUND = 7


def back_up(sample: Sample, folder: Path, *words: str) -> str:
    """Back up a sample and return the backup's id."""
    ran = run("backup", "create", *words, "--json", cwd=folder, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    made: str = ran.result["backup_id"]
    return made


def diff(folder: Path, *words: object) -> Ran:
    ran = run("backup", "diff", *words, cwd=folder)
    assert ran.code in (0, FOUND), ran.stderr
    return ran


def document(folder: Path, *words: object) -> dict[str, Any]:
    return diff(folder, *words, "--json").document


def tables(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in found["tables"]}


def changes(found: dict[str, Any]) -> dict[str, str]:
    return {name: each["change"] for name, each in tables(found).items()}


def parts(table: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(each["kind"], each["name"], each["change"]) for each in table["parts"]}


def forget_shape(folder: Path, backup_id: str) -> None:
    """Make a manifest look like those of older versions."""
    (path,) = folder.glob(f"backups/{backup_id}*.manifest.json")
    manifest = json.loads(path.read_text())
    del manifest["shape"]
    path.write_text(json.dumps(manifest))


# ---------------------------------------------------------------- what changed


def test_nothing_is_found_where_nothing_changed(sample: Sample, tmp_path: Path) -> None:
    first = back_up(sample, tmp_path)
    second = back_up(sample, tmp_path)
    for other in (sample.url, second):
        ran = diff(tmp_path, first, other, "--json", "--fail-on", "any")
        found = ran.document
        assert ran.code == 0
        assert changes(found) == {"users": "same", "orders": "same"}
        assert (found["changed"], found["shrunk"], found["flags"], found["gaps"]) == (False, False, [], [])
        assert tables(found)["orders"]["rows_after"] == ORDERS
        assert tables(found)["orders"]["rows_after_are"] == "exact"
        assert all(each["parts"] == [] for each in found["tables"])


def test_columns_indexes_rows_and_tables_that_changed_are_seen(sample: Sample, tmp_path: Path) -> None:
    sample.execute("CREATE TABLE doomed (id integer)")
    sample.execute("INSERT INTO doomed VALUES (1), (2), (3)")
    sample.execute("CREATE INDEX orders_cents ON orders (cents)")
    before = back_up(sample, tmp_path)
    sample.execute("DROP TABLE doomed")
    sample.execute("ALTER TABLE users ADD COLUMN born integer DEFAULT 7")
    sample.execute("DROP INDEX orders_cents" + (" ON orders" if sample.engine == "mysql" else ""))
    sample.execute("CREATE UNIQUE INDEX users_born ON users (id, born)")
    sample.execute("DELETE FROM orders WHERE id > 400")
    sample.execute("CREATE TABLE born_late (id integer)")
    ran = diff(tmp_path, before, sample.url, "--json", "--fail-on", "shrink")
    found = ran.document
    assert ran.code == FOUND
    assert changes(found) == {"doomed": "removed", "users": "changed", "orders": "changed", "born_late": "added"}
    assert parts(tables(found)["users"]) == {("column", "born", "added"), ("index", "users_born", "added")}
    assert parts(tables(found)["orders"]) == {("index", "orders_cents", "removed")}
    orders = tables(found)["orders"]
    assert (orders["rows_before"], orders["rows_after"], orders["rows_delta"]) == (ORDERS, 400, 400 - ORDERS)
    assert orders["rows_are"] == "exact"
    assert tables(found)["users"]["rows_delta"] == 0
    assert {flag["kind"] for flag in found["flags"]} == {"table_gone", "rows_lost"}
    later = back_up(sample, tmp_path)
    assert changes(document(tmp_path, before, later)) == changes(found)
    text = diff(tmp_path, before, later).stdout
    assert "doomed is gone, which had 3 rows" in text
    assert "orders lost 67 % of its 1.2 k rows" in text
    assert "column born" in text
    assert "users" in text


def test_a_column_that_changed_is_shown_as_it_was_and_is(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("postgresql")
    before = back_up(sample, tmp_path)
    sample.execute(
        "ALTER TABLE users ALTER name TYPE varchar(90), ALTER name DROP NOT NULL, ALTER name SET DEFAULT 'x'"
    )
    sample.execute("ALTER TABLE orders ADD CONSTRAINT positive CHECK (cents >= 0)")
    sample.execute("CREATE SEQUENCE numbers")
    found = document(tmp_path, before, sample.url)
    (part,) = tables(found)["users"]["parts"]
    assert part == {
        "kind": "column", "name": "name", "change": "changed", "before": "text not null",
        "after": "character varying(90) default 'x'::character varying",
    }  # fmt: skip
    (part,) = tables(found)["orders"]["parts"]
    assert (part["kind"], part["after"]) == ("constraint", "CHECK ((cents >= 0))")
    assert [(each["name"], each["change"]) for each in found["sequences"]] == [("public.numbers", "added")]


def test_a_column_that_changed_in_mariadb(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("mysql")
    before = back_up(sample, tmp_path)
    sample.execute(
        "ALTER TABLE orders MODIFY cents bigint NOT NULL DEFAULT 5, ADD CONSTRAINT positive CHECK (cents >= 0)"
    )
    found = document(tmp_path, before, sample.url)
    assert parts(tables(found)["orders"]) == {("column", "cents", "changed"), ("constraint", "positive", "added")}
    column = next(each for each in tables(found)["orders"]["parts"] if each["kind"] == "column")
    assert (column["before"], column["after"]) == ("int(11)", "bigint(20) not null default 5")


def test_a_check_that_changed_in_sqlite(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("sqlite")
    sample.execute("CREATE TABLE checked (a integer CHECK (a > 0))")
    before = back_up(sample, tmp_path)
    sample.execute("DROP TABLE checked")
    sample.execute("CREATE TABLE checked (a integer CHECK (a > 1))")
    assert parts(tables(document(tmp_path, before, sample.url))["checked"]) == {("definition", "", "changed")}


# ---------------------------------------------------------------- the earlier and the later


def test_the_earlier_side_comes_first_whichever_is_named_first(sample: Sample, tmp_path: Path) -> None:
    older = back_up(sample, tmp_path)
    sample.execute("DELETE FROM orders")
    newer = back_up(sample, tmp_path)
    named, turned = document(tmp_path, older, newer), document(tmp_path, newer, older)
    assert (named["reversed"], turned["reversed"]) == (False, True)
    assert named["before"]["label"] == turned["before"]["label"] == older
    assert "lost all of its" in named["flags"][0]["words"]


def test_another_database_is_flagged(new_sample: NewSample, tmp_path: Path) -> None:
    one, other = new_sample("postgresql"), new_sample("sqlite")
    first, second = back_up(one, tmp_path), back_up(other, tmp_path)
    found = document(tmp_path, first, second)
    assert {"other_database", "other_engine"} <= {flag["kind"] for flag in found["flags"]}
    assert set(changes(found).values()) == {"same"}
    assert any("engines are different" in gap for gap in found["gaps"])


def test_a_few_lost_rows_are_no_loss_and_the_threshold_decides(sample: Sample, tmp_path: Path) -> None:
    before = back_up(sample, tmp_path)
    sample.execute("DELETE FROM orders WHERE id > 1140")  # 5 %
    assert diff(tmp_path, before, sample.url, "--fail-on", "shrink").code == 0
    assert diff(tmp_path, before, sample.url, "--fail-on", "any").code == FOUND
    assert diff(tmp_path, before, sample.url, "--fail-on", "shrink", "--threshold", "4").code == FOUND


def test_a_sequence_that_went_back_is_flagged(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("postgresql")
    sample.execute("CREATE SEQUENCE numbers")
    sample.execute("SELECT setval('numbers', 900)")
    before = back_up(sample, tmp_path)
    sample.execute("SELECT setval('numbers', 3)")
    found = document(tmp_path, before, sample.url)
    assert [flag["words"] for flag in found["flags"]] == ["sequence public.numbers went back from 900 to 3"]


# ---------------------------------------------------------------- what is not known


def test_estimates_are_marked_and_fail_no_check(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("postgresql")
    before = back_up(sample, tmp_path)
    sample.execute("DELETE FROM orders WHERE id > 100")
    sample.execute("ANALYZE")
    ran = diff(tmp_path, before, sample.url, "--count-seconds", "0", "--fail-on", "any", "--json")
    assert ran.code == 0
    (flag,) = ran.document["flags"]
    assert (flag["is_certain"], flag["kind"]) == (False, "rows_lost")
    assert tables(ran.document)["orders"]["rows_are"] == "estimate"
    assert "~100" in diff(tmp_path, before, sample.url, "--count-seconds", "0").stdout


def test_what_nobody_wrote_down_is_a_gap_and_no_difference(sample: Sample, tmp_path: Path) -> None:
    before = back_up(sample, tmp_path)
    forget_shape(tmp_path, before)
    ran = diff(tmp_path, before, sample.url, "--fail-on", "any", "--json")
    found = ran.document
    assert ran.code == 0
    if sample.engine == "sqlite":  # the copy itself tells
        assert found["gaps"] == []
        assert all(each["parts"] == [] for each in found["tables"])
    else:
        assert any("was made before dbtui kept them" in gap for gap in found["gaps"])
        assert all(each["parts"] is None for each in found["tables"])


def test_what_a_partial_backup_left_out_is_not_called_new(sample: Sample, tmp_path: Path) -> None:
    before = back_up(sample, tmp_path, "--table", "users")
    ran = diff(tmp_path, before, sample.url, "--fail-on", "any", "--json")
    assert ran.code == 0
    assert changes(ran.document) == {"users": "same", "orders": "unknown"}


def test_definitions_alone_say_nothing_of_rows(sample: Sample, tmp_path: Path) -> None:
    before = back_up(sample, tmp_path, "--schema-only")
    ran = diff(tmp_path, before, sample.url, "--fail-on", "any", "--json")
    assert ran.code == 0
    assert all(each["rows_delta"] is None for each in ran.document["tables"])
    assert any("definitions without rows" in gap for gap in ran.document["gaps"])


def test_a_dump_without_a_manifest_is_read(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("postgresql")
    made = back_up(sample, tmp_path)
    (path,) = tmp_path.glob(f"backups/{made}.sql")
    foreign = tmp_path / "foreign.sql"
    foreign.write_bytes(path.read_bytes())
    sample.execute("DELETE FROM orders")
    found = document(tmp_path, foreign, sample.url)
    assert tables(found)["orders"]["rows_before"] == ORDERS
    assert {flag["kind"] for flag in found["flags"]} == {"rows_lost"}
    assert tables(found)["orders"]["bytes_delta"] is None
    assert any("has no manifest" in gap for gap in found["gaps"])


def test_a_locked_table_does_not_hold_the_comparison_up(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("postgresql")
    before = back_up(sample, tmp_path)
    with closing(psycopg2.connect(sample.url)) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE orders")
        found = document(tmp_path, before, sample.url, "--count-seconds", "1")
    assert tables(found)["orders"]["rows_are"] == "estimate" or tables(found)["orders"]["rows_delta"] is None
    assert not found["shrunk"]


# ---------------------------------------------------------------- what is typed


def test_only_the_tables_that_are_named(sample: Sample, tmp_path: Path) -> None:
    before = back_up(sample, tmp_path)
    sample.execute("DELETE FROM orders")
    for words in (("--table", "users"), ("--table", "us*"), ("--exclude-table", "orders")):
        found = document(tmp_path, before, sample.url, *words)
        assert changes(found) == {"users": "same"}
        assert found["flags"] == []
    ran = run("backup", "diff", before, sample.url, "--table", "nothing", cwd=tmp_path)
    assert ran.code == 2
    assert "has a table nothing" in ran.sentence


@pytest.mark.parametrize("other", ["no-such-backup", "sqlite:////nowhere/x.db", "postgresql://127.0.0.1:1/x"])
def test_what_is_not_there_is_said_in_one_sentence(other: str, new_sample: NewSample, tmp_path: Path) -> None:
    before = back_up(new_sample("sqlite"), tmp_path)
    ran = run("backup", "diff", before, other, cwd=tmp_path)
    assert ran.code == (2 if other == "no-such-backup" else 4)
    assert ran.sentence


def test_hostile_names_are_text(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("sqlite")
    name = "[red]x\x1b[31m"
    sample.execute(f"CREATE TABLE {sample.quote(name)} (a integer)")
    before = back_up(sample, tmp_path)
    sample.execute(f"ALTER TABLE {sample.quote(name)} ADD COLUMN {sample.quote(name)} integer")
    ran = diff(tmp_path, before, sample.url)
    assert "\x1b" not in ran.stdout
    assert "[red]x" in ran.stdout
