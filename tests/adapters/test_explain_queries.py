"""Plans of statements that a server has summed up, and plans as trees: nothing of them is run."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest

from dbtui.adapters.mysql import explain_query as mysql
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.plan_trees import parse_plan as parse_mysql_plan
from dbtui.adapters.postgresql import explain_query as postgresql
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.plan_trees import parse_plan as parse_postgresql_plan
from dbtui.demo.servers import MariaDB, PostgreSQL
from dbtui.errors import RefusedError, ServerError
from dbtui.model.queries import TopQuery
from dbtui.model.top_queries import PlanNode
from tests.adapters.mysql_targets import open_mysql
from tests.adapters.postgresql_sessions import any_database, any_server, newest_postgresql
from tests.adapters.postgresql_targets import opened
from tests.fix_servers import unique_name

__all__ = ["any_database", "any_server", "newest_postgresql"]  # fixtures


def walk(node: PlanNode) -> Iterator[PlanNode]:
    yield node
    for child in node.children:
        yield from walk(child)


def titles(node: PlanNode) -> list[str]:
    return [each.title for each in walk(node)]


# ---------------------------------------------------------------- PostgreSQL


@pytest.fixture
def database(any_server: PostgreSQL, any_database: str) -> str:
    any_server.execute(
        "CREATE TABLE post (id int PRIMARY KEY, title text);"
        "CREATE TABLE comment (id int, post_id int, at timestamptz);"
        "INSERT INTO post SELECT i, 'x' FROM generate_series(1, 500) i; ANALYZE post",
        database=any_database,
    )
    return any_database


@pytest.fixture
def target(any_server: PostgreSQL, database: str) -> Iterator[PostgresqlTarget]:
    with opened(any_server.url()) as made:
        yield made


def top(sql: str, database: str = "", **more: Any) -> TopQuery:
    return TopQuery(key="1", sql=sql, database=database, user="postgres", **more)


BY_KEY = "Index Scan using post_pkey on post"


@pytest.mark.parametrize(
    ("sql", "root", "scanned"),
    [
        ("SELECT * FROM post WHERE id = $1", BY_KEY, BY_KEY),
        ("SELECT c.id FROM post p LEFT JOIN comment c ON c.post_id = p.id WHERE p.title = $1 LIMIT $2", "Limit",
         "Seq Scan on comment c"),
        ("SELECT count(*) FROM comment WHERE post_id = $1", "Aggregate", "Seq Scan on comment"),
        ("SELECT post_id, max(at) FROM comment GROUP BY post_id", "HashAggregate", "Seq Scan on comment"),
        ("DELETE FROM post WHERE id = $1", "Delete on post", BY_KEY),
        ("INSERT INTO comment SELECT id, $1 FROM post", "Insert on comment", "Seq Scan on post"),
    ],
)  # fmt: skip
def test_a_plan_of_postgresql_is_a_tree(
    any_server: PostgreSQL, target: PostgresqlTarget, database: str, sql: str, root: str, scanned: str
) -> None:
    query = top(sql, database)
    tree = postgresql.collect_plan(target, query)
    assert tree.title == root
    assert scanned in titles(tree)
    assert all(node.cost is not None and node.rows is not None for node in walk(tree))
    assert scanned.removeprefix("Index ").removeprefix("Seq ") in postgresql.explain_query(target, query)
    assert any_server.execute("SELECT count(*) FROM post", database=database) == [(500,)]
    assert any_server.execute("SELECT count(*) FROM comment", database=database) == [(0,)]


def test_conditions_are_details(target: PostgresqlTarget, database: str) -> None:
    tree = postgresql.collect_plan(target, top("SELECT * FROM comment WHERE post_id = $1 AND id > 3", database))
    assert tree.details == ("Filter: ((id > 3) AND (post_id = $1))",)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (top("SELECT * FROM post WHERE title = $1", is_truncated=True), "not known whole"),
        (top(""), "text of this statement is not known"),
        (top("<insufficient privilege>"), "have a plan"),
        (top("VACUUM post"), "have a plan, not VACUUM"),
        (top("SELECT 1; SELECT $1"), "semicolon"),
        (top("EXPLAIN ANALYZE DELETE FROM post"), "have a plan, not EXPLAIN"),
    ],
)
def test_what_has_no_plan_is_refused_in_a_sentence(target: PostgresqlTarget, query: TopQuery, sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence):
        postgresql.explain_query(target, query)


def test_what_sums_make_unreadable_is_told(target: PostgresqlTarget, database: str) -> None:
    with pytest.raises(ServerError, match="where the grammar wants a value"):
        postgresql.explain_query(target, top("SELECT * FROM comment WHERE at > now() - interval $1", database))
    with pytest.raises(ServerError, match="search_path or temporary tables"):
        postgresql.explain_query(target, top("SELECT * FROM gone WHERE id = $1", database))


def test_what_is_no_plan_is_refused() -> None:
    for text in ("", "[]", "{}", "[1]", '[{"Plan": 3}]', "[" * 100_000):
        with pytest.raises(ServerError, match="cannot be read"):
            parse_postgresql_plan(text)
        with pytest.raises(ServerError, match="cannot be read"):
            parse_mysql_plan(text if text != "{}" else "3")


# ---------------------------------------------------------------- MariaDB


@pytest.fixture
def remembering(new_mariadb: Callable[..., MariaDB]) -> MariaDB:
    """A MariaDB that remembers statements."""
    consumer = "--performance-schema-consumer-events-statements"
    server = new_mariadb(options=["--performance-schema=ON", f"{consumer}-current=ON", f"{consumer}-history-long=ON"])
    server.execute("CREATE DATABASE shop")
    for sql in (
        "CREATE TABLE post (id INT PRIMARY KEY, title VARCHAR(50))",
        "CREATE TABLE remark (id INT PRIMARY KEY, post_id INT, body TEXT)",
        "INSERT INTO post SELECT seq, 'x' FROM seq_1_to_300",
    ):
        server.execute(sql, database="shop")
    return server


def run_and_find(server: MariaDB, target: MysqlTarget, sql: str) -> TopQuery:
    """Run a statement; return it as the server sums it up."""
    with pymysql.connect(unix_socket=str(server.socket), user=server.superuser, password=server.password,
                         database="shop") as connection, connection.cursor() as cursor:  # fmt: skip
        cursor.execute(sql)
        cursor.fetchall()
    rows = target.rows(
        "SELECT DIGEST, DIGEST_TEXT FROM performance_schema.events_statements_summary_by_digest "
        "WHERE SCHEMA_NAME = 'shop' ORDER BY LAST_SEEN DESC, COUNT_STAR LIMIT 50"
    )
    table = sql.split(" FROM ")[1].split()[0]
    row = next(row for row in rows if f"`{table}`" in row["DIGEST_TEXT"] and row["DIGEST_TEXT"].startswith(sql[:6]))
    return TopQuery(key=f"shop/{row['DIGEST']}", sql=row["DIGEST_TEXT"], database="shop")


def test_a_sample_of_mariadb_s_digest_is_explained(remembering: MariaDB) -> None:
    target = open_mysql(remembering.url("shop"))
    try:
        query = run_and_find(remembering, target, "SELECT title FROM post WHERE id = 5")
        text = mysql.explain_query(target, query)
        assert text.startswith("A sample of it: SELECT title FROM post WHERE id = 5\n")
        assert "PRIMARY" in text
        tree = mysql.collect_plan(target, query)
        assert titles(tree) == ["Query block 1", "Constant row on post using PRIMARY"]
        gone = run_and_find(remembering, target, "DELETE FROM remark WHERE post_id = 7")
        assert titles(mysql.collect_plan(target, gone))[1].startswith("Delete: ")
        long = run_and_find(remembering, target, f"SELECT id FROM remark WHERE body = '{'x' * 2000}'")
        with pytest.raises(RefusedError, match="only the beginning of this statement"):
            mysql.explain_query(target, long)
    finally:
        target.close()


def test_without_a_sample_mariadb_s_silence_is_told(mariadb_server: MariaDB, mariadb_database: str) -> None:
    target = open_mysql(mariadb_database)
    try:
        query = TopQuery(key=f"x/{'0a' * 16}", sql="SELECT * FROM `t` WHERE `id` = ?")
        with pytest.raises(RefusedError, match="MariaDB keeps no values beside its sums"):
            mysql.explain_query(target, query)
        with pytest.raises(RefusedError, match="digest of this statement is not known"):
            mysql.explain_query(target, TopQuery(key="x", sql="SELECT 1"))
    finally:
        target.close()


STATEMENTS = [
    ("SELECT * FROM post p JOIN comment c ON c.post_id = p.id WHERE p.title = 'x' ORDER BY c.body LIMIT 3",
     ["Nested loop", "Read sorted", "Sort", "Full scan on c"]),
    ("SELECT id FROM post WHERE id IN (SELECT max(post_id) FROM comment GROUP BY body) UNION SELECT 2",
     ["Union", "Query block 1", "No tables used"]),
    ("SELECT * FROM (SELECT post_id, count(*) n FROM comment GROUP BY 1) d WHERE n > 2",
     ["Materialise", "Query block 2", "Full scan on comment"]),
    ("SELECT a.id FROM post a, post b WHERE a.title = b.title", ["Block join", "Full scan on a", "Full scan on b"]),
    ("UPDATE post SET title = 'y' WHERE title = 'z'", ["Update: full index scan on post using PRIMARY"]),
    ("SELECT 1", ["No tables used"]),
    ("SELECT title, row_number() OVER (ORDER BY id) FROM post", ["Window functions", "Sorts", "Full scan on post"]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "steps"), STATEMENTS, ids=[sql[:30] for sql, _steps in STATEMENTS])
def test_plans_of_mariadb_are_trees(mariadb_server: MariaDB, sql: str, steps: list[str]) -> None:
    name = unique_name("plans")
    mariadb_server.execute(f"CREATE DATABASE {name}")
    mariadb_server.execute("CREATE TABLE post (id INT PRIMARY KEY, title VARCHAR(50))", database=name)
    mariadb_server.execute("CREATE TABLE comment (id INT PRIMARY KEY, post_id INT, body TEXT)", database=name)
    mariadb_server.execute("INSERT INTO post SELECT seq, 'x' FROM seq_1_to_300", database=name)
    mariadb_server.execute("INSERT INTO comment SELECT seq, seq, 'x' FROM seq_1_to_300", database=name)
    said = mariadb_server.execute(f"EXPLAIN FORMAT=JSON {sql}", database=name)[0][0]
    found = titles(parse_mysql_plan(str(said)))
    assert [step for step in steps if step not in found] == [], found


# ---------------------------------------------------------------- formats that no server here has


def test_mysql_s_first_format_is_read() -> None:
    text = json.dumps({"query_block": {
        "select_id": 1, "cost_info": {"query_cost": "12.50"},
        "ordering_operation": {"using_filesort": True, "nested_loop": [
            {"table": {"table_name": "p", "access_type": "ALL", "rows_examined_per_scan": 10, "filtered": "10.00",
                       "cost_info": {"read_cost": "1.00", "prefix_cost": "2.25"}, "used_columns": ["id"],
                       "attached_condition": "(`p`.`title` = 'x')"}},
            {"table": {"table_name": "c", "access_type": "ref", "key": "post_id", "rows_examined_per_scan": 3}},
        ]}}})  # fmt: skip
    tree = parse_mysql_plan(text)
    assert (tree.title, tree.cost) == ("Query block 1", 12.5)
    assert titles(tree) == [
        "Query block 1",
        "Order",
        "Nested loop",
        "Full scan on p",
        "Index lookup on c using post_id",
    ]
    scan = next(node for node in walk(tree) if node.title == "Full scan on p")
    assert (scan.cost, scan.rows) == (2.25, 10)
    assert scan.details == ("Filtered: 10.00", "Attached condition: (`p`.`title` = 'x')")


def test_mysql_s_second_format_is_read() -> None:
    step = {"operation": "Table scan on p", "estimated_rows": 10.0, "estimated_total_cost": 1.25}
    root = {"operation": "Filter: (p.title = 'x')", "estimated_total_cost": 1.25, "inputs": [step]}
    for text in (json.dumps({"query": "x", **root}), json.dumps({"query": "x", "query_plan": root})):
        tree = parse_mysql_plan(text)
        assert titles(tree) == ["Filter: (p.title = 'x')", "Table scan on p"]
        assert tree.children[0].rows == 10


def test_a_key_that_comes_several_times_is_not_lost() -> None:
    text = '{"query_block": {"select_id": 1, "table": {"table_name": "a", "access_type": "ALL"}, '
    text += '"table": {"table_name": "b", "access_type": "ALL"}}}'
    assert titles(parse_mysql_plan(text)) == ["Query block 1", "Full scan on a", "Full scan on b"]


def test_names_in_a_plan_cannot_move_the_screen() -> None:
    nasty = json.dumps([{"Plan": {"Node Type": "Seq Scan", "Relation Name": "a\u001b[2J\u202eb", "Filter": "x\ny"}}])
    tree = parse_postgresql_plan(nasty)
    assert tree.title.isprintable()
    assert all(line.isprintable() for line in tree.details)
