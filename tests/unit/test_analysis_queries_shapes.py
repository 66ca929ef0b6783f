"""What a statement's shape is: its text without values, its kind, what it looks rows up by."""

import pytest

from dbtui.analysis.queries import Normaliser
from dbtui.model.connections import EngineName
from dbtui.model.queries import ShapeKind

PG, MY = EngineName.POSTGRESQL, EngineName.MYSQL


def text_of(sql: str, engine: EngineName | None = None) -> str:
    return Normaliser(engine).shape(sql).text


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("select  A.b\nfrom a\twhere x = 'it''s' LIMIT 10;", "SELECT a.b FROM a WHERE x = ? LIMIT ?"),
        ("SELECT * FROM t LIMIT 1", "SELECT * FROM t LIMIT 1"),
        ("SELECT * FROM t LIMIT 12", "SELECT * FROM t LIMIT ?"),
        ("SELECT * FROM t LIMIT 1, 10", "SELECT * FROM t LIMIT ?, ?"),
        ("SELECT * FROM t WHERE a = -5 AND b - 3 > 2", "SELECT * FROM t WHERE a = ? AND b - ? > ?"),
        ("SELECT * FROM t WHERE a = 1.5e-3 OR a = .5 OR a = 0x1F", "SELECT * FROM t WHERE a = ? OR a = ? OR a = ?"),
        ("SELECT * FROM t WHERE a = TRUE AND b IS NULL", "SELECT * FROM t WHERE a = TRUE AND b IS NULL"),
        ("SELECT t1.x2 FROM t1 WHERE md5(a) = 'x'", "SELECT t1.x2 FROM t1 WHERE md5(a) = ?"),
        ("SELECT * FROM t WHERE 5 = t.a", "SELECT * FROM t WHERE ? = t.a"),
        ("SELECT * FROM t WHERE $1::INTEGER = t.a", "SELECT * FROM t WHERE ? = t.a"),
        ("SELECT * FROM t WHERE a = 'x'::character varying(10) AND b", "SELECT * FROM t WHERE a = ? AND b"),
        ("SELECT * FROM t WHERE a::date = date '2026-01-01'", "SELECT * FROM t WHERE a::date = ?"),
        ("SELECT * FROM t WHERE a = E'it\\'s' AND b = $q$it's$q$", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("SELECT * FROM t WHERE a = 'C:\\' AND b = 'd'", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ('SELECT "t"."id", "Order"."by", "order".x FROM "t"', 'SELECT t.id, "Order"."by", "order".x FROM t'),
        ("SELECT `t`.`id` FROM `t` WHERE `a` = \"it's\"", "SELECT t.id FROM t WHERE a = ?"),
        ("SELECT * FROM t WHERE a = \"it's\" AND b IN (\"x\", \"y\")", "SELECT * FROM t WHERE a = ? AND b IN (?+)"),
        ('SELECT "a" FROM t WHERE b = "a"', 'SELECT a FROM t WHERE b = a'),
        ("SELECT [b].[Id] FROM [B] AS [b] WHERE [b].[Id] = @__p_0", 'SELECT b."Id" FROM "B" AS b WHERE b."Id" = ?'),
        ("SELECT * FROM t WHERE a[1] = 2", "SELECT * FROM t WHERE a[?] = ?"),
        ("SELECT a -- who's\n, b /* it's /* nested */ */ FROM t", "SELECT a, b FROM t"),
        ("SELECT a # who's\n FROM `t`", "SELECT a FROM t"),
        ("/* app:web */ SELECT a FROM t /*route='%2F'*/;", "SELECT a FROM t"),
        ("SELECT /*+ MAX_EXECUTION_TIME(10) */ a FROM t", "SELECT a FROM t"),
        ("SELECT * FROM t WHERE a IN (1)", "SELECT * FROM t WHERE a IN (?)"),
        ("SELECT * FROM t WHERE a IN (1, 2, 3)", "SELECT * FROM t WHERE a IN (?+)"),
        ("SELECT * FROM t WHERE a IN ('x', NULL)", "SELECT * FROM t WHERE a IN (?+)"),
        ("SELECT * FROM t WHERE a IN ($1 /*, ... */)", "SELECT * FROM t WHERE a IN (?+)"),
        ("SELECT * FROM t WHERE a IN (...)", "SELECT * FROM t WHERE a IN (?+)"),
        ("SELECT * FROM t WHERE a IN (?, ...)", "SELECT * FROM t WHERE a IN (?+)"),
        ("SELECT * FROM t WHERE (a, b) IN ((1, 2), (3, 4))", "SELECT * FROM t WHERE (a, b) IN (?+)"),
        ("SELECT * FROM t WHERE (a, b) IN ((1, 2))", "SELECT * FROM t WHERE (a, b) IN (?)"),
        ("SELECT * FROM t WHERE a IN (SELECT b FROM u)", "SELECT * FROM t WHERE a IN (SELECT b FROM u)"),
        ("SELECT * FROM t WHERE a = ANY (ARRAY[1, 2]::int[])", "SELECT * FROM t WHERE a = ANY (?+)"),
        ("INSERT INTO t (a, b) VALUES (1, now())", "INSERT INTO t(a, b) VALUES (?+)"),
        ("INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z')", "INSERT INTO t(a, b) VALUES (?+), (?+)"),
        (
            "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a)",
            "INSERT INTO t VALUES (?+) ON DUPLICATE key UPDATE a = VALUES (a)",
        ),
        ("SELECT * FROM t WHERE a = %s AND b = %(x)s AND c = :y", "SELECT * FROM t WHERE a = ? AND b = ? AND c = ?"),
        ('FETCH FORWARD 100 FROM "c_7f7d903db490_1"', "FETCH"),
        ('SAVEPOINT "sa_savepoint_1"', "SAVEPOINT"),
    ],
)  # fmt: skip
def test_values_are_folded(sql: str, text: str) -> None:
    assert text_of(sql) == text


def test_the_engine_says_what_a_backslash_and_double_quotes_are() -> None:
    sql = "SELECT * FROM t WHERE a = 'x\\' AND b = ' OR c"
    assert text_of(sql, MY) == "SELECT * FROM t WHERE a = ? OR c"
    assert Normaliser(PG).shape(sql).is_truncated
    assert text_of('SELECT a FROM t WHERE b = "x"', PG) == "SELECT a FROM t WHERE b = x"
    assert text_of('SELECT "a" FROM t WHERE b = "x"', MY) == "SELECT ? FROM t WHERE b = ?"


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT * FROM t WHERE id = 5", ShapeKind.LOOKUP),
        ("SELECT * FROM t WHERE id IN (5)", ShapeKind.LOOKUP),
        ("SELECT * FROM t WHERE id IN (5, 6)", ShapeKind.BATCH),
        ("SELECT * FROM t WHERE id = ANY ($1)", ShapeKind.BATCH),
        ("SELECT * FROM t WHERE tenant_id = 1 AND post_id IN (1, 2)", ShapeKind.BATCH),
        ("SELECT * FROM t WHERE taggable_type = 'Post' AND taggable_id IN (1, 2)", ShapeKind.BATCH),
        ("SELECT * FROM t WHERE type IN ('A', 'B') AND owner_id = 5", ShapeKind.LOOKUP),
        ("SELECT * FROM t WHERE 5 = t.post_id AND state IN ('a', 'b')", ShapeKind.LOOKUP),
        ("SELECT count(*) FROM t WHERE post_id = 5", ShapeKind.AGGREGATE),
        ("SELECT count(*) FROM (SELECT a FROM t WHERE t.post_id = 5) AS x", ShapeKind.AGGREGATE),
        ("SELECT EXISTS (SELECT 1 FROM t WHERE post_id = 5)", ShapeKind.AGGREGATE),
        ("SELECT a, count(*) FROM t WHERE b = 5 GROUP BY a", ShapeKind.LOOKUP),
        ("SELECT count(*) FROM t", ShapeKind.SET),
        ("SELECT * FROM t ORDER BY id LIMIT 10", ShapeKind.SET),
        ("SELECT * FROM t WHERE a IS NULL AND b = TRUE AND c = d", ShapeKind.SET),
        ("SELECT * FROM t WHERE a > 5", ShapeKind.RANGE),
        ("SELECT * FROM t WHERE a LIKE 'x%'", ShapeKind.RANGE),
        ("SELECT * FROM t LIMIT 10 OFFSET 20", ShapeKind.RANGE),
        ("SELECT * FROM t WHERE id = 5 FOR UPDATE SKIP LOCKED", ShapeKind.LOCKING),
        ("SELECT * FROM t WHERE id = 5 LOCK IN SHARE MODE", ShapeKind.LOCKING),
        ("UPDATE t SET a = 1 WHERE id = 5", ShapeKind.WRITE),
        ("INSERT INTO t SELECT * FROM u", ShapeKind.WRITE),
        ("REPLACE INTO t VALUES (1)", ShapeKind.WRITE),
        ("WITH x AS (DELETE FROM t RETURNING id) SELECT * FROM x", ShapeKind.WRITE),
        ("WITH x AS (SELECT 1) SELECT * FROM t WHERE id = 5", ShapeKind.LOOKUP),
        ("SELECT replace(a, 'x', 'y') FROM t WHERE id = 5", ShapeKind.LOOKUP),
        ("BEGIN", ShapeKind.BEGIN),
        ("start transaction", ShapeKind.BEGIN),
        ("COMMIT", ShapeKind.END),
        ("ROLLBACK", ShapeKind.END),
        ("ROLLBACK TO SAVEPOINT x", ShapeKind.UTILITY),
        ("RELEASE SAVEPOINT x", ShapeKind.UTILITY),
        ("DECLARE c CURSOR FOR SELECT * FROM t", ShapeKind.CURSOR),
        ("FETCH 10 FROM c", ShapeKind.CURSOR),
        ("DISCARD ALL", ShapeKind.RESET),
        ("SET search_path TO x", ShapeKind.UTILITY),
        ("SELECT 1", ShapeKind.UTILITY),
        ("SELECT version()", ShapeKind.UTILITY),
        ("SELECT * FROM pg_catalog.pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace", ShapeKind.UTILITY),
        ("SELECT * FROM information_schema.tables WHERE table_name = 'x'", ShapeKind.UTILITY),
        ("SELECT * FROM generate_series(1, 5) AS g", ShapeKind.UTILITY),
        ("", ShapeKind.UNREADABLE),
    ],
)
def test_kinds_are_told_apart(sql: str, kind: ShapeKind) -> None:
    assert Normaliser().shape(sql).kind is kind


def test_lookups_name_tables_behind_aliases_and_which_side_the_value_is_on() -> None:
    shape = Normaliser().shape(
        "SELECT t.id FROM blog.tag AS t, post_tag "
        "WHERE 5 = post_tag.post_id AND t.id = post_tag.tag_id AND t.kind = 'x'"
    )
    assert shape.tables == ("blog.tag", "post_tag")
    assert [(each.table, each.column, each.is_value_first) for each in shape.lookups] == [
        ("post_tag", "post_id", True),
        ("blog.tag", "kind", False),
    ]
    only = Normaliser().shape("SELECT * FROM t WHERE lower(name) = lower('x') AND (a, b) = (1, 2)")
    assert [(each.table, each.column) for each in only.lookups] == [("t", "name"), ("t", "a"), ("t", "b")]
    unsaid = Normaliser().shape("SELECT * FROM t JOIN u ON t.id = u.id WHERE x = 5")
    assert [(each.table, each.column) for each in unsaid.lookups] == [("", "x")]


@pytest.mark.parametrize(
    ("sql", "is_hidden"),
    [
        ("SELECT * FROM t WHERE id = $1", True),
        ("SELECT * FROM t WHERE kind = 'x' AND id = %s LIMIT 1", True),
        ("SELECT * FROM t WHERE id = 5 LIMIT $1", False),
        ("SELECT * FROM t LIMIT ?", True),
        ("SELECT * FROM t WHERE id = 5", False),
    ],
)
def test_hidden_values_are_those_that_are_looked_up(sql: str, is_hidden: bool) -> None:
    assert Normaliser().shape(sql).is_hidden is is_hidden


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t WHERE a = 'it",
        "SELECT * FROM t WHERE a IN (1, 2, 3",
        'SELECT * FROM t WHERE "a',
        "SELECT * FROM t /* and",
        "SELECT * FROM t WHERE a = $x$ it",
        "SELECT * FROM t WHERE a = ",
        "SELECT a, b, ",
        "SELECT * FROM t WHERE a = 5 AND b...",
    ],
)
def test_a_text_that_ends_too_early_is_never_taken_for_a_whole_one(sql: str) -> None:
    shape = Normaliser().shape(sql)
    assert shape.is_truncated
    assert shape.kind is ShapeKind.UNREADABLE
    assert shape.text.endswith(" …")


def test_a_source_that_knows_of_the_cut_is_believed() -> None:
    normaliser = Normaliser()
    whole = normaliser.shape("SELECT * FROM t WHERE a = 5 AND nam")
    cut = normaliser.shape("SELECT * FROM t WHERE a = 5 AND nam", is_truncated=True)
    assert not whole.is_truncated
    assert cut.is_truncated
    assert cut.text == "SELECT * FROM t WHERE a = ? AND …"
    assert normaliser.shape("INSERT INTO t VALUES (1, 'a", is_truncated=True).kind is ShapeKind.WRITE


def test_values_are_found_where_they_stand() -> None:
    normaliser = Normaliser()
    sql = "SELECT * FROM t WHERE 5 = t.a AND b IN ('x') AND c > 7 LIMIT 3"
    assert [sql[start:end] for start, end in normaliser.value_spans(sql)] == ["5", "'x'"]
    assert [value for _, value in normaliser.values(sql)] == ["5", "'x'"]
    bound = normaliser.values("SELECT * FROM t WHERE a = $2 AND b = $1", (1, "x"))
    assert [value for _, value in bound] == ["x", "1"]
    ordinal = normaliser.values("SELECT ? FROM t WHERE a = ? AND b = 5", (1, "x"))
    assert [value for _, value in ordinal] == ["x", "5"]


TRACE = "traceparent='00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01'"


@pytest.mark.parametrize(
    ("comment", "scope", "route"),
    [
        (f"/*route='%2Forders%2F%3Aid',{TRACE}*/", "0af7651916cd43dd8448eb211c80319c", "/orders/:id"),
        ("/*controller=orders,action=index*/", "", "orders#index"),
        ("/*application:Shop,controller:orders,action:index,request_id:ab-12*/", "ab-12", "orders#index"),
        ("/*job:SendMail*/", "", "SendMail"),
        ("/* load one to many com.example.Order.lines */", "", ""),
        ("", "", ""),
    ],
)
def test_tags_tell_the_request_and_the_route(comment: str, scope: str, route: str) -> None:
    for sql in (f"SELECT a FROM t {comment}", f"{comment} SELECT a FROM t", f"SELECT a FROM t {comment};"):
        assert tuple(Normaliser().tags_of(sql)) == (scope, route)


def test_a_comment_within_a_string_says_nothing() -> None:
    sql = "SELECT a FROM t WHERE b = '/*route=''x''*/"
    assert tuple(Normaliser().tags_of(sql)) == ("", "")
    assert tuple(Normaliser().tags_of("SELECT '/*route=x*/' FROM t")) == ("", "")
