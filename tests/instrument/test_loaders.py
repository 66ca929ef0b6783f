"""`eager`: the loader that fits, in as few statements as can be, with no row lost, doubled or cut off."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, ForeignKey, Index, UniqueConstraint, create_engine, event, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, configure_mappers, mapped_column, relationship

from dbtui.errors import UsageError
from dbtui.instrument.load_choices import Joins, LoadChoice, choose_load
from dbtui.instrument.loaders import eager
from tests import orm_models
from tests.orm_models import (
    Author,
    Comment,
    Company,
    Employee,
    Manager,
    Node,
    Payment,
    Post,
    Profile,
    Rating,
    Receipt,
    Report,
)

SIZE = 4


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://")
    orm_models.Base.metadata.create_all(made)
    with Session(made) as session:
        orm_models.fill(session, SIZE)
    yield made
    made.dispose()


def run(engine: Engine, statement: Any, read: Any) -> tuple[list[Any], list[str]]:
    """What is read of each object, and the statements that ran for it."""
    ran: list[str] = []

    def listen(_connection: object, _cursor: object, sql: str, *_: object) -> None:
        ran.append(" ".join(sql.split()))

    event.listen(engine, "after_cursor_execute", listen)
    try:
        with Session(engine) as session:
            return [read(each) for each in session.scalars(statement).unique()], ran
    finally:
        event.remove(engine, "after_cursor_execute", listen)


def choice(attribute: Any, joins: Joins = "inner") -> LoadChoice:
    return choose_load(attribute.property, joins)


def test_to_one_is_joined_and_collections_are_not(engine: Engine) -> None:
    def read(post: Post) -> Any:
        return post.author.name, post.editor and post.editor.name, len(post.comments), len(post.tags), len(post.ratings)

    options = eager(Post.author, Post.editor, Post.comments, Post.tags, Post.ratings)
    found, ran = run(engine, select(Post).order_by(Post.id).options(*options), read)
    plain, _ = run(engine, select(Post).order_by(Post.id), read)
    assert found == plain
    assert len(ran) == 4
    assert ran[0].count("LEFT OUTER JOIN author") == 1
    assert ran[0].count(" JOIN author") == 2
    assert all(" IN (" in sql and "author" not in sql.partition("FROM")[2] for sql in ran[1:])


def test_a_limit_cuts_no_collection(engine: Engine) -> None:
    statement = select(Post).order_by(Post.id).limit(2).offset(1).options(*eager(Post.comments, Post.author, Post.tags))
    found, ran = run(engine, statement, lambda post: (post.id, len(post.comments), len(post.tags)))
    assert found == [(2, 3, 3), (3, 3, 3)]
    assert len(ran) == 3


def test_paths_share_their_beginning(engine: Engine) -> None:
    options = eager(
        Post.comments,
        (Post.comments, Comment.author, Author.profile),
        (Post.ratings, [Rating.reader, (Rating.post, Post.tags)]),
    )
    assert len(options) == 2
    found, ran = run(
        engine,
        select(Post).order_by(Post.id).options(*options),
        lambda post: (
            [each.author.profile.city for each in post.comments if each.author.profile],
            [each.reader.name for each in post.ratings],
            [len(each.post.tags) for each in post.ratings],
        ),
    )
    assert len(found) == SIZE
    assert len(ran) == 4


def test_inner_joins_only_where_a_row_must_be(engine: Engine) -> None:
    assert choice(Post.author).is_inner
    assert not choice(Post.editor).is_inner
    assert not choice(Post.author, "outer").is_inner
    assert choice(Post.author, "none").loader == "selectinload"
    assert choice(Profile.author).is_inner
    assert choice(Author.profile).loader == "joinedload"
    assert not choice(Author.profile).is_inner
    assert not choice(Receipt.payment).is_inner
    assert choice(Report.manager).is_inner


def test_no_inner_join_behind_an_outer_one(engine: Engine) -> None:
    options = eager((Post.editor, Author.profile, Profile.author), (Post.author, Author.profile))
    found, ran = run(
        engine, select(Post).order_by(Post.id).options(*options), lambda post: post.editor and post.editor.name
    )
    assert len(found) == SIZE
    assert None in found
    assert len(ran) == 1
    found, _ = run(
        engine, select(Receipt).options(*eager((Receipt.payment, Payment.author))), lambda one: one.payment.id
    )
    assert len(found) == SIZE


def test_hierarchies(engine: Engine) -> None:
    def reports(person: Employee) -> Any:
        return (len(person.reports), person.budget >= 0) if isinstance(person, Manager) else None

    people = select(Employee).order_by(Employee.id)
    for statement in (people.options(*eager(Manager.reports)), select(Manager).options(*eager(Manager.reports))):
        found, ran = run(engine, statement, reports)
        assert found.count((2, True)) == SIZE
        assert len(ran) <= 3
    found, ran = run(engine, people.options(*eager(Manager.budget)), lambda one: getattr(one, "budget", None))
    assert len(ran) == 2
    companies = select(Company).options(
        *eager((Company.employees, Manager.reports), (Company.employees, Manager.company))
    )
    found, ran = run(engine, companies, lambda one: [(reports(each), each.company.name) for each in one.employees])
    assert len(ran) == 4
    chosen = select(Company).options(*eager((Company.employees.of_type(Manager), Manager.reports)))
    assert len(run(engine, chosen, lambda one: [reports(each) for each in one.employees])[1]) == 3
    upwards = select(Report).options(*eager((Report.manager, Employee.company)))
    assert len(run(engine, upwards, lambda report: report.manager.company.name)[1]) == 1


def test_trees_and_aliases(engine: Engine) -> None:
    wanted = eager((Node.children, Node.children), (Node.parent, Node.parent))
    nodes = select(Node).where(Node.name == "root").options(*wanted)
    found, ran = run(engine, nodes, lambda node: [len(each.children) for each in node.children])
    assert found == [[1] * SIZE]
    assert len(ran) == 3
    other = aliased(Post)
    posts = select(other).options(*eager((other.comments, Comment.author)))
    assert len(run(engine, posts, lambda post: [each.author.name for each in post.comments])[1]) == 2


def test_deferred_columns(engine: Engine) -> None:
    assert len(run(engine, select(Author).options(*eager(Author.bio)), lambda author: author.bio)[1]) == 1
    posts = select(Post).options(*eager((Post.author, [Author.bio, Author.motto])))
    assert len(run(engine, posts, lambda post: (post.author.bio, post.author.motto))[1]) == 1


def test_others_raise_if_wanted(engine: Engine) -> None:
    strict = select(Post).options(*eager(Post.author, raise_others=True))
    assert run(engine, strict, lambda post: post.author.name)[0]
    with pytest.raises(InvalidRequestError, match=r"Post\.comments"):
        run(engine, strict, lambda post: post.comments)
    with pytest.raises(InvalidRequestError, match=r"Author\.posts"):
        run(engine, strict, lambda post: post.author.posts)


class Base(DeclarativeBase):
    """Tables that promise less than they seem to."""


class User(Base):
    """Its to-one relationships are promised by nobody: no key, half a key, a key of some rows."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    is_gone: Mapped[bool]
    badges: Mapped[list["Badge"]] = relationship(foreign_keys="Badge.user_id")
    names = association_proxy("badges", "name")
    first: Mapped["Badge | None"] = relationship(foreign_keys="Badge.first_id")
    third: Mapped["Badge | None"] = relationship(foreign_keys="Badge.third_id")


class Badge(Base):
    """Has keys that may not be NULL, and joins that ask for more."""

    __tablename__ = "badges"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    first_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    second_id: Mapped[int]
    third_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    unkept_id: Mapped[int]
    __table_args__ = (
        UniqueConstraint("first_id", "second_id"),
        Index("partly", "third_id", unique=True, sqlite_where=text("id > 5")),
    )
    here: Mapped[User] = relationship(
        primaryjoin="and_(Badge.user_id == User.id, User.is_gone == False)", viewonly=True, foreign_keys=[user_id]
    )
    unkept: Mapped[User] = relationship(
        primaryjoin="foreign(Badge.unkept_id) == User.id", viewonly=True, remote_side=[User.id]
    )


def test_what_the_tables_do_not_promise_is_not_counted_on() -> None:
    configure_mappers()
    assert choice(User.first).loader == "selectinload"
    assert choice(User.third).loader == "selectinload"
    assert choice(Badge.here).loader == "joinedload"
    assert not choice(Badge.here).is_inner
    assert not choice(Badge.unkept).is_inner


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        (Author.messages, r"Author\.messages is lazy='dynamic'.*select\(Message\)\.where\(Message\.author_id\.in_"),
        (Author.events, r"Author\.events is lazy='write_only'"),
        (Author.name, r"Author\.name is a column that is loaded anyway"),
        (User.names, r"User\.names is an association proxy.*\(User\.badges, \.\.\.\)"),
        ("posts", r"'posts' is not an attribute of a mapped class; write eager\(User\.roles\)"),
        (Author, r"'Author' is not an attribute"),
        (5, r"'5' is not an attribute"),
        (Author.id + 1, r"is not an attribute"),
        ((Post.author, Comment.post), r"Comment\.post cannot follow Post\.author, which leads to Author"),
        ((Author.bio, Author.posts), r"Author\.posts cannot follow Author\.bio, which is a column"),
    ],
)
def test_what_cannot_be_loaded_so_is_named(wanted: Any, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        eager(wanted)
    with pytest.raises(UsageError, match="joins='left' is not known"):
        eager(joins="left")  # type: ignore[arg-type]


def test_nothing_wanted_is_nothing() -> None:
    assert eager() == ()
