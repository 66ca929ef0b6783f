"""Which statements plainly read, and so may go to a replica."""

from typing import Any

import pytest
from sqlalchemy import (
    Integer,
    Sequence,
    column,
    delete,
    exists,
    func,
    insert,
    lateral,
    literal,
    literal_column,
    select,
    tablesample,
    text,
    tuple_,
    update,
    values,
)
from sqlalchemy.orm import aliased, joinedload, selectinload
from sqlalchemy.schema import CreateTable

from dbtui.errors import UsageError
from dbtui.instrument.routing_statements import StatementRules, is_replica
from tests.instrument.routing_lab import Item, Owner

ITEMS, OTHER = Item.__table__, aliased(Item)
LOCKED = select(Item.id).with_for_update()
RETURNING = insert(Item).returning(Item.id)

PLAIN = {
    "an entity": select(Item),
    "columns": select(Item.id, Item.number).where(Item.number > 3).order_by(Item.id.desc()).limit(3).distinct(),
    "the table": ITEMS.select(),
    "a join": select(Item, Owner).join(Item.owner).where(Owner.name.ilike("a%")),
    "loader options": select(Owner).options(selectinload(Owner.items), joinedload(Owner.items)),
    "aggregates": select(func.count(), func.max(Item.number).filter(Item.id > 1)).group_by(Item.owner_id),
    "a window": select(func.row_number().over(partition_by=Item.owner_id, order_by=Item.id)),
    "a function of the catalogue": select(func.pg_catalog.lower(Owner.name)),
    "a union": select(Item.id).union(select(Owner.id)),
    "a common table expression": select(select(Item).where(Item.id > 1).cte()),
    "exists": select(exists().where(Item.id == 1)),
    "values": select(values(column("a", Integer), name="v").data([(1,), (2,)])),
    "text without a call": select(Item).where(text("number = :n")).order_by(text("number DESC")),
    "a literal column": select(literal_column("number + 1")),
    "a sample": select(tablesample(ITEMS, func.bernoulli(1))),
    "a set of rows": select(func.generate_series(1, 3).table_valued("n")),
    "a lateral join": select(Owner, lateral(select(Item).where(Item.owner_id == Owner.id).limit(1))),
    "a tuple": select(Item).where(tuple_(Item.id, Item.number).in_([(1, 2)])),
    "from a statement": select(Item).from_statement(select(Item).where(Item.id == 1)),
    "a literal": select(literal("SELECT 1; DROP TABLE items")),
}
NOT_PLAIN = {
    "an insert": insert(Item),
    "an update": update(Item).values(number=1),
    "a delete": delete(Item),
    "a locked row": LOCKED,
    "a row locked for reading": select(Item).with_for_update(read=True),
    "a row locked inside": select(Owner).where(Owner.id.in_(LOCKED)),
    "a row locked in a subquery": select(LOCKED.subquery()),
    "an insert inside": select(RETURNING.cte()),
    "an insert that gives objects": select(Item).from_statement(insert(Item).returning(Item)),
    "text": text("SELECT 1"),
    "text with columns": text("SELECT id FROM items").columns(Item.id),
    "objects from text": select(Item).from_statement(text("SELECT * FROM items")),
    "a function nobody knows": select(func.next_invoice()),
    "a function of a schema": select(func.app.lower(Owner.name)),
    "a sequence": select(Sequence("s").next_value()),
    "nextval": select(func.nextval("s")),
    "an advisory lock": select(func.pg_advisory_xact_lock(1)),
    "a setting": select(func.set_config("a.b", "c", True)),
    "a function inside": select(Item).where(Item.id == select(func.audit(Item.id)).scalar_subquery()),
    "a call in text": select(Item).where(text("audit(id)")),
    "a call in a literal column": select(literal_column("nextval('s')")),
    "a call in the order": select(Item.id).order_by(literal_column("nextval('s')")),
    "a suffix": select(Item).suffix_with("FOR UPDATE"),
    "a prefix": select(Item).prefix_with("HIGH_PRIORITY"),
    "a hint": select(Item).with_statement_hint("FOR UPDATE"),
    "DDL": CreateTable(ITEMS),  # type: ignore[arg-type]
    "a union with a lock": select(Item.id).union(LOCKED),
    "a string": "SELECT 1",
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_read_may_go_to_a_replica(name: str) -> None:
    rules = StatementRules()
    assert rules.reads(PLAIN[name], False)
    assert rules.reads(PLAIN[name], False), "also when it is known"


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_everything_else_goes_to_the_primary(name: str) -> None:
    rules = StatementRules()
    assert not rules.reads(NOT_PLAIN[name], False)
    assert not rules.reads(NOT_PLAIN[name], False), "also when it is known"


@pytest.mark.parametrize(
    ("name", "is_believed"),
    [
        ("text", True),
        ("text with columns", True),
        ("objects from text", True),
        ("a function nobody knows", True),
        ("a call in text", True),
        ("an update", False),
        ("a locked row", False),
        ("an insert inside", False),
        ("a row locked inside", False),
        ("DDL", False),
    ],
)
def test_a_mark_is_believed_of_what_is_called_but_not_of_writes_and_locks(name: str, is_believed: bool) -> None:
    rules = StatementRules()
    assert rules.reads(NOT_PLAIN[name], True) is is_believed
    assert not rules.reads(NOT_PLAIN[name], False), "the mark is of one statement"


def test_an_applications_own_functions_can_be_declared_harmless() -> None:
    rules = StatementRules(["Price_Of", "app.stock_of"])
    assert rules.reads(select(func.price_of(1)), False)
    assert rules.reads(select(func.app.stock_of(1)), False)
    assert not rules.reads(select(func.stock_of(1)), False)
    assert not rules.reads(select(func.other.price_of(1)), False)


def test_statements_of_one_shape_with_other_values_are_known() -> None:
    rules = StatementRules()
    for number in range(50):
        assert rules.reads(select(Item).where(Item.id == number), False)
    assert len(rules._known) == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbtui.instrument.routing_statements._MOST_REMEMBERED", 5)
    rules = StatementRules()
    for number in range(1, 30):
        statement: Any = select(*[Item.id.label(f"c{n}") for n in range(number)])
        assert rules.reads(statement, False)
        assert len(rules._known) <= 5


def test_a_place_that_is_none_is_refused() -> None:
    assert is_replica("replica")
    assert not is_replica("primary")
    with pytest.raises(UsageError, match="replica"):
        is_replica("slave")
