"""An N+1 of a real application is suspected from the sums of a real server, and its plan can be asked for."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session, selectinload

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.top_queries import QUERIES
from dbtui.analysis.queries.normalising import Normaliser
from dbtui.analysis.queries.suspects import find_suspects
from dbtui.analysis.queries.top_queries import compare_top_queries
from dbtui.demo.servers import PostgreSQL
from dbtui.model.top_queries import QuerySuspect, TopQueriesWindow
from tests.adapters.postgresql_targets import opened
from tests.orm_models import Author, Base, Post, fill

#: How often each request comes in each window; never as often in one as in the next.
LOAD = (3, 1, 5, 2, 4, 6)


@pytest.fixture
def server(new_postgresql: Callable[..., PostgreSQL]) -> PostgreSQL:
    made = new_postgresql(config=["shared_preload_libraries = 'pg_stat_statements'"])
    made.execute("CREATE DATABASE shop")
    made.execute("CREATE EXTENSION pg_stat_statements", database="shop")
    return made


@pytest.fixture
def engine(server: PostgreSQL) -> Iterator[Engine]:
    made = create_engine(server.url("shop").replace("postgresql://", "postgresql+psycopg2://", 1))
    Base.metadata.create_all(made)
    with Session(made) as session:
        fill(session)
    yield made
    made.dispose()


@pytest.fixture
def target(server: PostgreSQL) -> Iterator[PostgresqlTarget]:
    with opened(server.url("shop")) as made:
        yield made


def look_through(target: PostgresqlTarget, request: Callable[[int], None]) -> list[QuerySuspect]:
    """Let requests come between looks; return what is suspected of them."""
    windows: list[TopQueriesWindow] = []
    before = QUERIES.collect_top_queries(target)
    assert before.gaps == ()
    for place, load in enumerate(LOAD):
        for _ in range(load):
            request(place)
        after = QUERIES.collect_top_queries(target)
        windows.append(compare_top_queries(before, after))
        before = after
    return list(find_suspects(windows, Normaliser().shape, QUERIES.collect_query_schema(target)))


def test_lazy_loads_are_suspected_and_planned(engine: Engine, target: PostgresqlTarget) -> None:
    def request(place: int) -> None:
        with Session(engine) as session:
            for post in session.scalars(select(Post)):
                assert post.comments
            for author in session.scalars(select(Author)) if place % 2 else ():
                assert author.name

    (suspect,) = look_through(target, request)
    assert suspect.child.sql.endswith("= comment.post_id ORDER BY comment.id")
    assert " FROM post" in " ".join(suspect.parent.sql.split())
    assert (suspect.repeats, suspect.parent_rows, suspect.windows) == (12, 12, 6)
    assert suspect.cure is not None
    assert suspect.cure.snippet == "select(Post).options(selectinload(Post.comments))"
    assert "comment" in QUERIES.explain_query(target, suspect.child)
    assert "post_id" in repr(QUERIES.collect_plan(target, suspect.child))


def test_the_cured_application_is_not_suspected(engine: Engine, target: PostgresqlTarget) -> None:
    def request(place: int) -> None:
        with Session(engine) as session:
            for post in session.scalars(select(Post).options(selectinload(Post.comments))):
                assert post.comments
            for _ in range(place):
                assert session.get(Author, 1 + place)
                session.expire_all()

    assert look_through(target, request) == []
