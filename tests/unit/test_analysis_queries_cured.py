"""A mapped application's N+1, found by the detector in what ran and cured by the snippet: then nothing is found."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine, Select, create_engine, event, select
from sqlalchemy import orm as sqlalchemy_orm
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from dbtui.adapters.mapped_models import read_mapped_relations
from dbtui.analysis.queries.curing import cure
from dbtui.analysis.queries.detecting import Detector
from dbtui.instrument.recorder import record_statements
from dbtui.model.queries import ForeignKey, MappedRelation, QueryFindings, QuerySchema, StatementEvent
from tests import orm_models
from tests.orm_models import (
    Author,
    Base,
    Company,
    Employee,
    Manager,
    Node,
    Post,
    Profile,
    Rating,
    Receipt,
    Report,
    fill,
)

Case = tuple[Select[Any], tuple[str, ...], str, str]
CASES: list[Case] = [
    (select(Post), ("comments",), "", "select(Post).options(selectinload(Post.comments))"),
    (select(Post), ("author",), "", "select(Post).options(joinedload(Post.author, innerjoin=True))"),
    (select(Post), ("editor",), "Post.editor", "select(Post).options(joinedload(Post.editor))"),
    (select(Post), ("tags",), "", "select(Post).options(selectinload(Post.tags))"),
    (select(Post), ("ratings",), "", "select(Post).options(selectinload(Post.ratings))"),
    (select(Author), ("profile",), "", "select(Author).options(joinedload(Author.profile))"),
    (select(Author), ("bio",), "", "select(Author).options(undefer(Author.bio))"),
    (select(Author), ("motto",), "", "select(Author).options(undefer(Author.motto), undefer(Author.quote))"),
    (select(Rating), ("reader",), "", "select(Rating).options(joinedload(Rating.reader, innerjoin=True))"),
    (select(Node).where(Node.name.like("node%")), ("children",), "",
     "select(Node).options(selectinload(Node.children))"),
    (select(Node).where(Node.name.like("leaf%")), ("parent",), "", "select(Node).options(joinedload(Node.parent))"),
    (select(Company), ("employees",), "", "select(Company).options(selectinload(Company.employees))"),
    (select(Employee), ("company",), "", "select(Employee).options(joinedload(Employee.company, innerjoin=True))"),
    (select(Manager), ("reports",), "", "select(Manager).options(selectinload(Manager.reports))"),
    (select(Report), ("manager",), "", "select(Report).options(joinedload(Report.manager, innerjoin=True))"),
    (select(Receipt), ("payment",), "", "select(Receipt).options(joinedload(Receipt.payment, innerjoin=True))"),
    (select(Profile), ("author",), "", "select(Profile).options(joinedload(Profile.author, innerjoin=True))"),
]  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(made)
    with Session(made) as session:
        fill(session)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def relations(pytestconfig: pytest.Config) -> tuple[MappedRelation, ...]:
    return read_mapped_relations("tests.orm_models:Base", pytestconfig.rootpath)


@pytest.fixture(scope="module")
def schema() -> QuerySchema:
    """What a server's catalogue would say of the models' tables."""
    keys = [
        ForeignKey(
            table.name,
            tuple(column.name for column in key.columns),
            key.referred_table.name,
            tuple(element.column.name for element in key.elements),
            is_required=not any(column.nullable for column in key.columns),
            is_unique=all(column.unique or table.primary_key.columns.keys() == [column.key] for column in key.columns),
        )
        for table in Base.metadata.sorted_tables
        for key in table.foreign_key_constraints
    ]
    primary = {table.name: tuple(table.primary_key.columns.keys()) for table in Base.metadata.sorted_tables}
    return QuerySchema(tuple(keys), primary, {})


@contextmanager
def recorded(engine: Engine, relationship: str = "") -> Iterator[list[StatementEvent]]:
    """What runs within a block, as a recorder would tell it."""
    ran: list[StatementEvent] = []

    def note(_connection: object, _cursor: object, sql: str, params: tuple[object, ...], *_rest: object) -> None:
        number = len(ran) + 1
        ran.append(StatementEvent("s", number, sql, number / 1000, 0.3, None, params, relationship=relationship,
                                  load="lazy" if relationship else ""))  # fmt: skip

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield ran
    finally:
        event.remove(engine, "before_cursor_execute", note)


def go_through(session: Session, statement: Select[Any], path: tuple[str, ...]) -> None:
    for first in session.scalars(statement).unique():
        found = [first]
        for name in path:
            below = [getattr(each, name, None) for each in found]
            found = [each for value in below for each in (value if isinstance(value, list) else [value]) if each]


def judge(
    ran: list[StatementEvent], schema: QuerySchema | None, relations: tuple[MappedRelation, ...]
) -> QueryFindings:
    detector = Detector(cure=lambda repetition: cure(repetition, schema, relations))
    detector.feed_all(ran)
    return detector.findings()


@pytest.mark.parametrize("knows", ["models", "catalogue"])
@pytest.mark.parametrize(
    ("statement", "path", "named", "snippet"),
    CASES,
    ids=[f"{case[0].column_descriptions[0]['name']}.{'.'.join(case[1])}" for case in CASES],
)
def test_found_cured_and_gone(
    engine: Engine, relations: tuple[MappedRelation, ...], schema: QuerySchema, knows: str,
    statement: Select[Any], path: tuple[str, ...], named: str, snippet: str,
) -> None:  # fmt: skip
    background = (schema, relations) if knows == "models" else (schema, ())
    with recorded(engine, named) as ran, Session(engine) as session:
        go_through(session, statement, path)
    found = judge(ran, *background).findings
    assert len(found) == 1, ran
    told = found[0].cure
    assert told is not None
    assert told.snippet.replace(", innerjoin=True", "") == snippet.replace(", innerjoin=True", "")
    assert "innerjoin=True" not in told.snippet or "innerjoin=True" in snippet
    assert told.is_guess <= (knows == "catalogue" or path == ("author",))
    names = {**vars(sqlalchemy), **vars(sqlalchemy_orm), **vars(orm_models)}
    cured = eval(told.snippet, names)
    with recorded(engine) as again, Session(engine) as session:
        go_through(session, cured.where(statement.whereclause) if statement.whereclause is not None else cured, path)
    assert len(again) <= 1 + len(path)
    assert judge(again, *background).findings == ()


def deep(session: Session, statement: Select[Any]) -> None:
    go_through(session, statement, ("comments", "author", "profile"))


def side_by_side(session: Session, statement: Select[Any]) -> None:
    for post in session.scalars(statement):
        assert post.author and post.tags and post.comments


RECORDED = [
    (deep, {"select(Post).options(selectinload(Post.comments))",
            "select(Post).options(selectinload(Post.comments).joinedload(Comment.author, innerjoin=True)"
            ".joinedload(Author.profile))"}),
    (side_by_side, {"select(Post).options(joinedload(Post.author, innerjoin=True), selectinload(Post.tags), "
                    "selectinload(Post.comments))"}),
]  # fmt: skip


@pytest.mark.parametrize(("gone", "snippets"), RECORDED, ids=["deep", "side by side"])
def test_what_the_recorder_named_is_nested_as_it_was_loaded(
    engine: Engine,
    schema: QuerySchema,
    tmp_path: Path,
    gone: Callable[[Session, Select[Any]], None],
    snippets: set[str],
) -> None:
    def record(statement: Select[Any]) -> list[StatementEvent]:
        trace = tmp_path / "trace.jsonl"
        trace.unlink(missing_ok=True)
        with record_statements(engine, str(trace)), Session(engine) as session:
            gone(session, statement)
        lines = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
        return [
            StatementEvent(**{key: value for key, value in line.items() if key in StatementEvent._fields})
            for line in lines
            if "sql" in line
        ]

    found = judge(record(select(Post)), schema, ()).findings
    assert {each.cure.snippet for each in found if each.cure} == snippets
    names = {**vars(sqlalchemy), **vars(sqlalchemy_orm), **vars(orm_models)}
    again = record(eval(max(snippets, key=len), names))
    assert len(again) <= 3
    assert judge(again, schema, ()).findings == ()


def test_columns_of_a_subclass_are_loaded_for_all_rows(
    engine: Engine, relations: tuple[MappedRelation, ...], schema: QuerySchema
) -> None:
    def budgets(statement: Select[Any]) -> list[StatementEvent]:
        with recorded(engine) as ran, Session(engine) as session:
            assert [each.budget for each in session.scalars(statement) if isinstance(each, Manager)]
        return ran

    snippet = "select(Employee).options(selectin_polymorphic(Employee, [Manager]))"
    ran = budgets(select(Employee))
    for known in (schema, None):
        found = judge(ran, known, relations).findings[0].cure
        assert found is not None
        assert found.snippet == snippet
    names = {**vars(sqlalchemy), **vars(sqlalchemy_orm), **vars(orm_models)}
    assert len(budgets(eval(snippet, names))) == 2


def test_what_no_option_loads_is_looked_up_at_once(
    engine: Engine, relations: tuple[MappedRelation, ...], schema: QuerySchema
) -> None:
    with recorded(engine) as ran, Session(engine) as session:
        for author in session.scalars(select(Author)):
            assert author.messages.all()
    found = judge(ran, schema, relations).findings[0].cure
    assert found is not None
    assert found.snippet == "select(Message).where(Message.author_id.in_(author_ids))"
    assert "Author.messages is dynamic or write-only" in found.why
