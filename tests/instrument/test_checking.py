"""What a developer is told of repeated statements: in tests by a failure, in development by one warning."""

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, orm, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from dbtui.errors import DbtuiError, UsageError
from dbtui.instrument import assert_no_n_plus_one, request_scope, warn_n_plus_one
from dbtui.instrument.checking import NPlusOneFound, NPlusOneWarning
from tests.instrument.applications import application
from tests.instrument.reading import ROOT, run_threads
from tests.orm_models import Author, Comment, Post, Tag

SIZE = 5


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with application(f"sqlite:///{tmp_path}/app.db", SIZE) as made:
        yield made


def read_comments(engine: Engine) -> None:
    with Session(engine) as session:
        for post in session.scalars(select(Post)):
            _ = post.comments


def find_titles(engine: Engine, keys: Any = range(1, SIZE + 1), *, commits: bool = False, writes: bool = False) -> None:
    with engine.connect() as connection:
        for key in keys:
            connection.execute(text("SELECT title FROM post WHERE id = :id"), {"id": key})
            if writes:
                connection.execute(text("UPDATE post SET title = 'x' WHERE id = :id"), {"id": key})
            if commits:
                connection.commit()


def found_in(engine: Any, run: Any, **options: Any) -> list[tuple[str, int]]:
    """Names and counts of what a check finds."""
    try:
        with assert_no_n_plus_one(engine, **options):
            run()
    except NPlusOneFound as error:
        return [(pattern.name, pattern.count) for pattern in error.patterns]
    return []


# --- tests ---------------------------------------------------------------------------------------------------


def test_the_message_has_relationship_place_count_statement_and_cure(engine: Engine) -> None:
    with pytest.raises(AssertionError) as found, assert_no_n_plus_one(engine):
        read_comments(engine)
    assert isinstance(found.value, DbtuiError)
    told = str(found.value)
    place = f"tests/instrument/test_checking.py:{read_comments.__code__.co_firstlineno + 3}"
    assert f"Post.comments is loaded lazily, by a statement for each object: {SIZE} times at {place}" in told
    assert "one of them: SELECT comment.id, comment.post_id" in told
    assert "cure: select(Post).options(selectinload(Post.comments))" in told
    assert "select(Post).options(*eager(Post.comments))" in told
    assert "guard: raiseload(Post.comments)" in told


def test_the_cure_of_a_path_begins_where_the_query_did(engine: Engine) -> None:
    with pytest.raises(NPlusOneFound) as found, assert_no_n_plus_one(engine), Session(engine) as session:
        for comment in session.scalars(select(Comment)):
            _ = comment.post.author
    cures = [line.strip() for line in str(found.value).splitlines() if "cure:" in line]
    inner = "innerjoin=True"
    path = f"joinedload(Comment.post, {inner}).joinedload(Post.author, {inner})"
    assert f"cure: select(Comment).options({path})" in cures
    names = {**vars(orm), "select": select, "Comment": Comment, "Post": Post, "Author": Author}
    for cure in cures:
        with Session(engine) as session:
            session.scalars(eval(cure.removeprefix("cure: "), names)).unique().all()


@pytest.mark.parametrize("way", ["commit", "refresh"])
def test_rows_that_are_read_again(engine: Engine, way: str) -> None:
    """A commit expires objects; the application may also ask for it."""
    with Session(engine) as session, pytest.raises(NPlusOneFound) as raised, assert_no_n_plus_one(session):
        posts = session.scalars(select(Post)).all()
        if way == "commit":
            session.commit()
        for post in posts:
            if way == "refresh":
                session.refresh(post)
            _ = post.title
    told = str(raised.value)
    assert "Post is expired or refreshed, and loaded again by a statement for each object: 5 times" in told
    assert "Session(expire_on_commit=False), commit after the loop, or no session.refresh() in it" in told


def test_two_are_no_loop_unless_they_are_said_to_be(engine: Engine) -> None:
    def read_two() -> None:
        with Session(engine) as session:
            for post in session.scalars(select(Post).limit(2)):
                _ = post.comments

    assert found_in(engine, read_two) == []
    assert found_in(engine, read_two, threshold=2) == [("Post.comments", 2)]
    with pytest.raises(UsageError, match="threshold=1"):
        assert_no_n_plus_one(engine, threshold=1)


def test_loops_of_the_application_are_found_by_their_text(engine: Engine) -> None:
    with pytest.raises(NPlusOneFound) as found, assert_no_n_plus_one(engine):
        find_titles(engine)
    assert "a statement is repeated with other values: 5 times at tests/instrument/test_checking.py:" in str(
        found.value
    )
    assert "one statement for all of them, .where(column.in_(values))" in str(found.value)


def test_what_is_no_loop(engine: Engine) -> None:
    assert found_in(engine, lambda: find_titles(engine, [1] * 9)) == [], "the same value"
    assert found_in(engine, lambda: find_titles(engine, commits=True)) == [], "requests on one connection"
    assert found_in(engine, lambda: find_titles(engine, writes=True)) == [], "rows that are written one by one"

    def ask_alone() -> None:
        for key in range(9):
            find_titles(engine, [key])

    assert found_in(engine, ask_alone) == [], "transactions of their own"

    def write() -> None:
        with Session(engine) as session:
            for number in range(9):
                session.add(Tag(name=str(number)))
                session.flush()

    assert found_in(engine, write) == [], "writes"

    def chunks() -> None:
        with engine.connect() as connection:
            for begin in range(5):
                connection.execute(select(Post.id).where(Post.id.in_(range(begin, begin + 3))))

    assert found_in(engine, chunks) == [], "chunks"

    def elsewhere() -> None:
        for _ in range(5):
            with Session(engine) as session:
                _ = session.scalars(select(Post).limit(1)).one().comments

    assert found_in(engine, elsewhere) == [], "sessions of their own"


def test_requests_are_units_of_their_own(engine: Engine) -> None:
    def serve(*, is_scoped: bool) -> None:
        with Session(engine) as session:
            posts = session.scalars(select(Post)).all()
            for number, post in enumerate(posts):
                with request_scope("GET /post", str(number) if is_scoped else "1"):
                    _ = post.comments

    assert found_in(engine, lambda: serve(is_scoped=True)) == []
    assert found_in(engine, lambda: serve(is_scoped=False)) == [("Post.comments", SIZE)]


@pytest.mark.parametrize(
    "allowed",
    [
        Post.comments,
        "Post.comments",
        "Post.*",
        "tests/instrument/test_checking.py:*",
        "SELECT comment.id* FROM comment *",
    ],
)
def test_what_is_allowed_is_no_failure(engine: Engine, allowed: Any) -> None:
    assert found_in(engine, lambda: read_comments(engine), allow=[allowed]) == []
    assert found_in(engine, lambda: read_comments(engine), allow=["Post.author", Author.posts, "app/*"])


def test_what_can_be_allowed_is_said(engine: Engine) -> None:
    with pytest.raises(UsageError, match="allow has a int"):
        assert_no_n_plus_one(engine, allow=[5]).__enter__()  # type: ignore[list-item]


def test_an_error_of_the_block_is_what_is_raised(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), assert_no_n_plus_one(engine):
        read_comments(engine)
        _ = 1 / 0


def test_without_an_engine_all_are_meant(engine: Engine, tmp_path: Path) -> None:
    assert found_in(None, lambda: read_comments(engine)) == [("Post.comments", SIZE)]
    with application(f"sqlite:///{tmp_path}/later.db", SIZE) as later:
        assert found_in(None, lambda: read_comments(later)) == [("Post.comments", SIZE)]
    assert found_in(sessionmaker(engine), lambda: read_comments(engine)) == [("Post.comments", SIZE)]


def test_other_threads_count(engine: Engine) -> None:
    def run() -> None:
        thread = threading.Thread(target=read_comments, args=[engine])
        thread.start()
        thread.join()

    assert found_in(engine, run) == [("Post.comments", SIZE)]


def test_as_a_decorator(engine: Engine) -> None:
    @assert_no_n_plus_one(engine, threshold=3)
    def read(count: int) -> int:
        with Session(engine) as session:
            return sum(len(post.comments) for post in session.scalars(select(Post).limit(count)))

    assert read(2) == read(2) == 6
    with pytest.raises(NPlusOneFound):
        read(3)
    assert read.__name__ == "read"


async def test_as_a_decorator_of_an_async_function(engine: Engine) -> None:
    made = create_async_engine(f"sqlite+aiosqlite:///{engine.url.database}")
    factory = async_sessionmaker(made)

    @assert_no_n_plus_one(made)
    async def read() -> None:
        async with factory() as session:
            for author in await session.scalars(select(Author)):
                await author.awaitable_attrs.posts

    with pytest.raises(NPlusOneFound, match=r"Author\.posts is loaded lazily.*test_checking\.py"):
        await read()
    await made.dispose()


def test_secrets_are_not_in_the_message(engine: Engine) -> None:
    with pytest.raises(NPlusOneFound) as found, assert_no_n_plus_one(engine), engine.connect() as connection:
        for key in range(5):
            connection.execute(text("SELECT id FROM post WHERE title = 'hunter2' AND 'password' != :id"), {"id": key})
    assert "hunter2" not in str(found.value)


# --- development ---------------------------------------------------------------------------------------------


def warnings_of(run: Any, engine: Any, **options: Any) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with warn_n_plus_one(engine, **options):
            run()
    return [each for each in caught if each.category is NPlusOneWarning]


def test_a_warning_at_the_line_once_for_each_pattern(engine: Engine) -> None:
    def run() -> None:
        for _ in range(3):
            read_comments(engine)
            find_titles(engine)

    found = warnings_of(run, engine)
    assert [each.filename for each in found] == [__file__] * 2
    assert [each.lineno for each in found] == [
        read_comments.__code__.co_firstlineno + 3,
        find_titles.__code__.co_firstlineno + 3,
    ]
    assert "N+1: Post.comments is loaded lazily" in str(found[0].message)
    assert "cure: select(Post).options(selectinload(Post.comments))" in str(found[0].message)


def test_no_warning_for_what_is_allowed_or_after_it_was_stopped(engine: Engine) -> None:
    assert warnings_of(lambda: read_comments(engine), engine, allow=Post.comments) == []
    assert warnings_of(lambda: read_comments(engine), engine, threshold=SIZE + 1) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch = warn_n_plus_one(engine)
        watch.stop()
        watch.stop()
        read_comments(engine)


def test_threads_are_warned_once(engine: Engine) -> None:
    assert len(warnings_of(lambda: run_threads(8, lambda _: read_comments(engine)), engine)) == 1


# --- pytest --------------------------------------------------------------------------------------------------

TESTS = """
import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool
from tests.orm_models import Base, Post, fill

@pytest.fixture
def session():
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        fill(session, 4)
        yield session
    engine.dispose()

@pytest.mark.no_n_plus_one
def test_marked(session):
    assert [len(post.comments) for post in session.scalars(select(Post))]

@pytest.mark.no_n_plus_one(threshold=9)
def test_rarely(session):
    assert [len(post.comments) for post in session.scalars(select(Post))]

@pytest.mark.no_n_plus_one(allow=["Post.comments"])
def test_allowed(session):
    assert [len(post.comments) for post in session.scalars(select(Post))]

def test_fixture(session, assert_no_n_plus_one):
    with assert_no_n_plus_one(session):
        assert [len(post.comments) for post in session.scalars(select(Post))]

def test_unmarked(session):
    assert [len(post.comments) for post in session.scalars(select(Post))]
"""


def test_the_plugin_fails_tests_that_are_marked(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["dbtui.instrument.pytest_plugin"]\n')
    (tmp_path / "test_app.py").write_text(TESTS)
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "--strict-markers",
        "-c",
        "/dev/null",
        "--rootdir",
        ".",
    ]
    for plugin in ("cacheprovider", "xdist", "asyncio"):
        words += ["-p", f"no:{plugin}"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    assert "2 failed, 3 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "FAILED test_app.py::test_marked" in ran.stdout
    assert "FAILED test_app.py::test_fixture" in ran.stdout
    assert "cure: select(Post).options(selectinload(Post.comments))" in ran.stdout
