"""Names guessed from tables, cures in other dialects, indexes that are missing, and what a cure saves."""

import ast
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.queries.curing import cure
from dbtui.analysis.queries.frameworks import Framework, recognise_framework
from dbtui.analysis.queries.index_advice import advise_index, quote_name
from dbtui.analysis.queries.python_names import (
    class_name,
    collection_name,
    column_name,
    is_same_table,
    plural,
    points_to,
    scalar_name,
    singular,
    stem_of,
)
from dbtui.analysis.queries.savings import estimate_saving, format_seconds
from dbtui.analysis.queries.select_lists import parse_select_list
from dbtui.model.connections import EngineName
from dbtui.model.queries import (
    Child,
    CureKind,
    ForeignKey,
    Lookup,
    MappedRelation,
    PatternKind,
    PatternLevel,
    QuerySchema,
    Repetition,
    Shape,
    ShapeKind,
    StatementEvent,
)
from tests.unit.query_cases import detect
from tests.unit.query_models import repetition_of


def look_up(table: str, column: str, *, first: bool = False, text: str = "", tables: tuple[str, ...] = ()) -> Shape:
    text = text or f"SELECT {table}.id, {table}.x FROM {table} WHERE " + (
        f"? = {table}.{column}" if first else f"{table}.{column} = ?"
    )
    return Shape(text, ShapeKind.LOOKUP, tables or (table,), (Lookup(table, column, first),))


def listing(table: str, *columns: str) -> Shape:
    return Shape(f"SELECT {', '.join(f'{table}.{each}' for each in columns)} FROM {table}", ShapeKind.SET, (table,))


def repeated(child: Shape, parent: Shape | None, *, repeats: int = 12, sample: str = "") -> Repetition:
    return Repetition(
        kind=PatternKind.N_PLUS_ONE,
        level=PatternLevel.FINDING,
        confidence=0.9,
        children=(Child(shape=child, repeats=repeats, seconds=0.012, samples=(sample,) if sample else ()),),
        parent=parent,
    )


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("order_lines", "OrderLine"), ("public.comments", "Comment"), ("people", "Person"), ("addresses", "Address"),
        ("status", "Status"), ("statuses", "Status"), ("categories", "Category"), ("OrderLines", "OrderLine"),
        ("ORDER_LINES", "OrderLine"), ("warehouses", "Warehouse"), ("purchases", "Purchase"), ("analyses", "Analysis"),
        ("news", "News"), ("user", "User"), ("boxes", "Box"), ("batches", "Batch"), ("movies", "Movie"),
        ("app_children", "AppChild"), ("class", "Class"), ("2024_logs", "_2024Log"), ("data", "Data"),
        ("indices", "Index"), ("heroes", "Hero"), ("databases", "Database"), ("access", "Access"),
    ],
)  # fmt: skip
def test_classes_are_named_after_tables(table: str, named: str) -> None:
    assert class_name(table) == named


def test_attributes_are_named_after_keys_and_tables() -> None:
    assert collection_name("order_lines", "orders") == "lines"
    assert collection_name("comment", "post") == "comments"
    assert collection_name("nodes", "nodes", ("parent_id",)) == "children"
    assert collection_name("profiles", "authors", is_many=False) == "profile"
    assert scalar_name(("author_id",), "users") == "author"
    assert scalar_name(("authorId",), "users") == "author"
    assert scalar_name(("userid",), "users") == "user"
    assert scalar_name(("a", "b"), "order_lines") == "order_line"
    assert (column_name("class"), column_name("first name"), column_name("2nd")) == ("class_", "first_name", "_2nd")
    assert (stem_of("id"), stem_of("uuid"), stem_of("paid"), stem_of("org_uuid")) == ("", "", "", "org")
    assert points_to("post_id", "posts")
    assert points_to("created_by_user_id", "app.users")
    assert points_to("userId", "users")
    assert not points_to("post_id", "users")
    assert is_same_table("public.post", "POST")
    assert not is_same_table("public.post", "blog.post")


WORDS = ("address", "bus", "box", "category", "child", "company", "day", "hero", "house", "leaf", "person", "status")


@given(st.sampled_from(WORDS))
def test_a_plural_of_a_plural_is_itself(word: str) -> None:
    assert singular(plural(word)) == word
    assert plural(plural(word)) == plural(word)


NAMES = st.text(min_size=1, max_size=30).filter(lambda name: "\0" not in name)


@settings(max_examples=200, deadline=None)
@given(table=NAMES, parent=NAMES, column=NAMES, first=st.booleans())
def test_whatever_tables_are_called_a_snippet_is_python(table: str, parent: str, column: str, first: bool) -> None:
    key = ForeignKey(table, (column,), parent, ("id",))
    schema = QuerySchema((key,), {parent: ("id",), table: ("id",)}, {table: frozenset(), parent: frozenset()})
    child = look_up(table, column, first=first)
    found = cure(repeated(child, listing(parent, "id", "x")), schema)
    assert found is not None
    ast.parse(found.snippet)
    ast.parse(f"[{found.guard}]")
    assert found.snippet.isprintable()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_a_select_list_or_none(text: str) -> None:
    for sql in (text, f"SELECT {text}", f"SELECT {text} FROM t"):
        for item in parse_select_list(sql):
            assert item.text


def test_a_select_list_is_read_as_it_is_written() -> None:
    sql = 'SELECT DISTINCT p.id AS a, "P"."T" t, count(*) AS c, max(x.y), `q`.*, \', FROM \' FROM (SELECT 1) p'
    items = parse_select_list(sql)
    assert [(item.table, item.column, item.text) for item in items] == [
        ("p", "id", "p.id"), ("P", "T", '"P"."T"'), ("", "", "count(*)"), ("", "", "max(x.y)"), ("q", "*", "`q`.*"),
        ("", "", "', FROM '"),
    ]  # fmt: skip
    assert parse_select_list("SELECT a.b, c.d") == ()
    assert parse_select_list("DELETE FROM t") == ()


def test_several_keys_to_one_table_are_told_apart() -> None:
    keys = tuple(ForeignKey("messages", (f"{who}_id",), "users", ("id",), is_required=True) for who in ("a", "b"))
    schema = QuerySchema(keys, {"users": ("id",), "messages": ("id",)}, {})
    found = cure(repeated(look_up("messages", "b_id", first=True), listing("users", "id", "x")), schema)
    assert found is not None
    assert found.snippet == "select(User).options(selectinload(User.b_messages))"
    found = cure(repeated(look_up("users", "id"), listing("messages", "id", "a_id", "b_id")), schema)
    assert found is not None
    assert found.snippet == "select(Message).options(joinedload(Message.a, innerjoin=True))"
    assert "it may be Message.b as well" in found.why


def test_models_name_what_the_catalogue_cannot() -> None:
    relations = (
        MappedRelation("Order", "lines", "Line", "shop_order", "shop_line", ("order_no",), is_collection=True),
        MappedRelation("Line", "item", "Item", "shop_line", "shop_item", ("code",), False, is_required=True),
        MappedRelation("Order", "note", "", "shop_order", "", ("note_text",), is_collection=False),
        MappedRelation("Order", "labels", "Label", "shop_order", "label", ("o",), True, secondary="order_label"),
    )
    orders = listing("shop_order", "id", "x")
    lines = cure(repeated(look_up("shop_line", "order_no", first=True), orders), None, relations)
    assert lines is not None
    assert (lines.snippet, lines.is_guess) == ("select(Order).options(selectinload(Order.lines))", False)
    items = cure(repeated(look_up("shop_item", "code"), listing("shop_line", "id", "item_code")), None, relations)
    assert items is not None
    assert items.snippet == "select(Line).options(joinedload(Line.item, innerjoin=True))"
    text = "SELECT shop_order.note_text FROM shop_order WHERE shop_order.id = ?"
    note = cure(repeated(look_up("shop_order", "id", text=text), listing("shop_order", "id", "x")), None, relations)
    assert note is not None
    assert (note.snippet, note.is_guess) == ("select(Order).options(undefer(Order.note))", False)
    text = "SELECT label.id FROM label, order_label WHERE ? = order_label.o AND label.id = order_label.l"
    child = Shape(text, ShapeKind.LOOKUP, ("label", "order_label"), (Lookup("order_label", "o", True),))
    labels = cure(repeated(child, listing("shop_order", "id", "x")), None, relations)
    assert labels is not None
    assert labels.snippet == "select(Order).options(selectinload(Order.labels))"


# ---------------------------------------------------------------- Django and Rails


@pytest.mark.parametrize(
    ("sql", "framework"),
    [
        ('SELECT "zoo_animal"."id", "zoo_animal"."name" FROM "zoo_animal" WHERE "zoo_animal"."id" = 5 LIMIT 21',
         Framework.DJANGO),
        ("SELECT `zoo_animal`.`id` FROM `zoo_animal` WHERE `zoo_animal`.`keeper_id` = 5", Framework.DJANGO),
        ('SELECT COUNT(*) AS "__count" FROM "zoo_animal" WHERE "zoo_animal"."keeper_id" = 5', Framework.DJANGO),
        ('SELECT "posts".* FROM "posts" WHERE "posts"."author_id" = $1', Framework.RAILS),
        ('SELECT "posts"."id" FROM "posts" WHERE "posts"."id" = $1 LIMIT $2', Framework.RAILS),
        ('SELECT "posts".* FROM "posts" WHERE "posts"."id" = 1 LIMIT 1 /*application:Shop*/', Framework.RAILS),
        ('SELECT COUNT(*) FROM "posts" WHERE "posts"."author_id" = $1', Framework.RAILS),
        ("SELECT posts.id, posts.title FROM posts WHERE posts.id = 5", None),
        ("SELECT `posts` . `id` , `posts` . `title` FROM `posts` WHERE `posts` . `id` = ?", None),
        ('SELECT "order".id, "order".total FROM "order" WHERE "order".id = 5', None),
        ('SELECT "Post"."id", "Post"."title" FROM "Post" WHERE "Post"."id" = 5', None),
        ("SELECT * FROM posts WHERE id = 5", None),
    ],
)  # fmt: skip
def test_frameworks_are_known_by_their_hand(sql: str, framework: Framework | None) -> None:
    assert recognise_framework([sql]) is framework


def test_django_and_rails_are_advised_in_their_words() -> None:
    django = 'SELECT "zoo_animal"."id" FROM "zoo_animal" WHERE "zoo_animal"."keeper_id" = 5'
    child = look_up("zoo_animal", "keeper_id", text=django)
    found = cure(repeated(child, listing("zoo_keeper", "id", "x"), sample=django))
    assert found is not None
    assert (found.kind, found.snippet) == (CureKind.PREFETCH, 'Keeper.objects.prefetch_related("animal_set")')
    keeper = 'SELECT "zoo_keeper"."id" FROM "zoo_keeper" WHERE "zoo_keeper"."id" = 5 LIMIT 21'
    child = look_up("zoo_keeper", "id", text=keeper)
    key = ForeignKey("zoo_animal", ("keeper_id",), "zoo_keeper", ("id",))
    schema = QuerySchema((key,), {"zoo_keeper": ("id",)}, {})
    found = cure(repeated(child, listing("zoo_animal", "id", "keeper_id"), sample=keeper), schema)
    assert found is not None
    assert found.snippet == 'Animal.objects.select_related("keeper")'
    assert "as Django writes them" in found.why
    rails = 'SELECT "comments".* FROM "comments" WHERE "comments"."post_id" = $1'
    found = cure(repeated(look_up("comments", "post_id", text=rails), listing("posts", "*"), sample=rails))
    assert found is not None
    assert found.snippet == "Post.includes(:comments)"


# ---------------------------------------------------------------- indexes


def bare(engine: EngineName | None, table: str = "comment", column: str = "post_id") -> QuerySchema:
    key = ForeignKey(table, (column,), "post", ("id",))
    return QuerySchema((key,), {table: ("id",)}, {table: frozenset({"id"})}, engine)


def test_an_index_that_is_missing_is_advised() -> None:
    child = repeated(look_up("comment", "post_id", first=True), None).children
    assert advise_index(child, bare(EngineName.POSTGRESQL)) == (
        "CREATE INDEX CONCURRENTLY ix_comment_post_id ON comment (post_id)"
    )
    assert advise_index(child, bare(EngineName.MYSQL)) == "CREATE INDEX `ix_comment_post_id` ON `comment` (`post_id`)"
    assert advise_index(child, bare(EngineName.SQLITE)) == "CREATE INDEX ix_comment_post_id ON comment (post_id)"
    has = bare(EngineName.POSTGRESQL)
    has.indexed["comment"] = frozenset({"id", "POST_ID"})
    assert advise_index(child, has) == ""
    assert advise_index(child, None) == ""
    assert advise_index(child, QuerySchema()) == ""
    assert advise_index(repeated(look_up("comment", "id"), None).children, bare(EngineName.POSTGRESQL)) == ""


def test_names_of_an_index_are_quoted_where_they_need_it() -> None:
    child = repeated(look_up("order", "Group Id"), None).children
    schema = bare(EngineName.POSTGRESQL, "shop.order", "Group Id")
    assert advise_index(child, schema) == 'CREATE INDEX CONCURRENTLY "ix_order_Group Id" ON shop."order" ("Group Id")'
    long = repeated(look_up("t" * 60, "column_name"), None).children
    statement = advise_index(long, bare(EngineName.POSTGRESQL, "t" * 60, "column_name"))
    assert len(statement.split()[3]) == 63


@given(NAMES.filter(lambda name: name.isprintable()))
def test_a_quoted_name_is_that_name(name: str) -> None:
    with sqlite3.connect(":memory:") as connection:
        asked = connection.execute(f"SELECT 1 AS {quote_name(name, EngineName.POSTGRESQL)}")
        assert asked.description[0][0] == name
    connection.close()
    inner = quote_name(name, EngineName.MYSQL)
    assert (inner[0], inner[-1], inner[1:-1].replace("``", "")) == ("`", "`", name.replace("`", ""))


# ---------------------------------------------------------------- savings


SPARED = [(0, 0), (1, 0), (2, 1), (48, 47), (500, 499), (501, 499), (1200, 1197)]


@pytest.mark.parametrize(("repeats", "spared"), SPARED)
def test_one_statement_does_the_work_of_500(repeats: int, spared: int) -> None:
    repetition = repeated(look_up("comment", "post_id"), None, repeats=repeats)
    saving = estimate_saving(repetition, 0.002)
    mean = 0.012 / repeats if repeats else 0
    assert saving.statements == spared
    assert saving.seconds == pytest.approx(spared * (mean + 0.002))


def test_the_arithmetic_is_visible() -> None:
    repetition = repeated(look_up("comment", "post_id"), None, repeats=48)
    saving = estimate_saving(repetition, 0.0006)
    assert saving.text == "(48 − 1) × (250 µs + 600 µs round trip) = 40.0 ms"
    assert estimate_saving(repetition, None).text == "(48 − 1) × 250 µs = 11.8 ms"
    several = replace(repetition, children=(replace(repetition.children[0], executions=96, batches=2),))
    assert estimate_saving(several, 0.001).text == "(96 − 2) × (125 µs + 1.00 ms round trip) = 106 ms"
    silent = replace(repetition, children=(replace(repetition.children[0], seconds=None),))
    assert estimate_saving(silent, None).text == "47 statements fewer; nobody measured their time"
    assert estimate_saving(silent, 0.001).text == "(48 − 1) × 1.00 ms round trip = 47.0 ms"
    assert [format_seconds(each) for each in (0.00005, 0.0099, 0.5, 2, 300)] == [
        "50.0 µs", "9.90 ms", "500 ms", "2.00 s", "5 min",
    ]  # fmt: skip


def test_what_the_recorder_names_above_a_loop_is_in_the_path() -> None:
    """Also when classes are not called as their tables are."""
    events = [StatementEvent("s1", 1, "SELECT org.id, org.name FROM org")]

    def load(sql: str, relationship: str) -> None:
        events.append(StatementEvent("s1", len(events) + 1, sql, relationship=relationship, load="lazy"))

    for org in range(6):
        users = "SELECT user_account.id, user_account.name FROM user_account WHERE {} = user_account.org_id"
        load(users.format(org), "Organisation.users")
        for user in range(org * 6, org * 6 + 6):
            orders = "SELECT order_.id, order_.user_id FROM order_ WHERE {} = order_.user_id"
            load(orders.format(user), "User.orders")
            for order in range(user * 6, user * 6 + 6):
                load(f"SELECT line.id, line.quantity FROM line WHERE {order} = line.order_id", "Order.lines")
    found = next(each for each in detect(events).findings if each.relationship == "Order.lines")
    assert found.above_relationships == ("User.orders", "Organisation.users", "")
    told = cure(found)
    assert told is not None and not told.is_guess
    path = "selectinload(Organisation.users).selectinload(User.orders).selectinload(Order.lines)"
    assert told.snippet == f"select(Organisation).options({path})"
    assert told.guard == "raiseload(Organisation.users), raiseload(User.orders), raiseload(Order.lines)"
    alone = cure(replace(found, above_relationships=()))
    assert alone is not None and alone.is_guess


def test_rows_whose_key_is_not_called_id_are_objects_too() -> None:
    """Without a catalogue nobody knows the key of a table; a list of keys alone is none of objects."""
    first = "SELECT line.order_id, line.number, line.item_id, line.quantity FROM line WHERE 7 = line.order_id"
    items = [f"SELECT item.id, item.name FROM item WHERE item.id = {number}" for number in range(8)]
    mapped = MappedRelation(owner="Line", name="item", target="Item", owner_table="line", target_table="item",
                            columns=("id",), is_collection=False)  # fmt: skip
    for relations in ((), (mapped,)):
        told = cure(repetition_of([first, *items]), None, relations)
        assert told is not None
        assert told.snippet.startswith("select(")
        assert "joinedload(Line.item)" in told.snippet, told
    keys = first.replace(", line.number", "").replace(", line.quantity", "")
    told = cure(repetition_of([keys, *items]))
    assert told is not None and told.snippet.endswith("\nselect(Item).where(Item.id.in_(ids))")
