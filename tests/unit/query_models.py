"""A mapped application on SQLite with every kind of relationship, its statements as they ran, and their shapes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy import Column, Engine, ForeignKey, Table, create_engine, event
from sqlalchemy import orm as sqlalchemy_orm
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

from dbtui.analysis.queries.normalising import Normaliser
from dbtui.model.queries import Child, PatternKind, PatternLevel, QuerySchema, Repetition, Shape
from dbtui.model.queries import ForeignKey as Key

ROWS = 6


class Base(DeclarativeBase):
    """Its tables are those of the samples."""


post_tag = Table(
    "post_tag",
    Base.metadata,
    Column("post_id", ForeignKey("posts.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    bio: Mapped[str] = mapped_column(deferred=True)
    profile: Mapped["Profile | None"] = relationship(back_populates="author")
    posts: Mapped[list["Post"]] = relationship(back_populates="author")


class Profile(Base):
    __tablename__ = "profiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"), unique=True)
    author: Mapped[Author] = relationship(back_populates="profile")


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("posts.id"))
    author: Mapped[Author] = relationship(back_populates="posts")
    comments: Mapped[list["Comment"]] = relationship(back_populates="post")
    tags: Mapped[list["Tag"]] = relationship(secondary=post_tag)
    children: Mapped[list["Post"]] = relationship()


class Comment(Base):
    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("authors.id"))
    post: Mapped[Post] = relationship(back_populates="comments")
    user: Mapped[Author | None] = relationship()


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str]


SCHEMA = QuerySchema(
    foreign_keys=(
        Key("public.posts", ("author_id",), "public.authors", ("id",), is_required=True),
        Key("public.posts", ("parent_id",), "public.posts", ("id",)),
        Key("public.profiles", ("author_id",), "public.authors", ("id",), is_required=True, is_unique=True),
        Key("public.comments", ("post_id",), "public.posts", ("id",), is_required=True),
        Key("public.comments", ("user_id",), "public.authors", ("id",)),
        Key("public.post_tag", ("post_id",), "public.posts", ("id",), is_required=True),
        Key("public.post_tag", ("tag_id",), "public.tags", ("id",), is_required=True),
    ),
    primary_keys={f"public.{table}": ("id",) for table in ("posts", "authors", "profiles", "comments", "tags")}
    | {"public.post_tag": ("post_id", "tag_id")},
    indexed={f"public.{table}": frozenset({"id"}) for table in ("posts", "authors", "profiles", "comments", "tags")},
)


@contextmanager
def filled() -> Iterator[Engine]:
    """An SQLite database in memory with a few rows of everything."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        tags = [Tag(label=f"tag {number}") for number in range(3)]
        for number in range(1, ROWS + 1):
            author = Author(name=f"author {number}", bio="long", profile=Profile())
            comments = [Comment(body=f"comment {at}", user=author) for at in range(2)]
            session.add(Post(title=f"post {number}", author=author, comments=comments, tags=tags[: number % 3 + 1]))
        session.commit()
        first, *others = session.query(Post).order_by(Post.id)
        first.children = others[:3]
        session.commit()
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def watching(engine: Engine) -> Iterator[list[str]]:
    """The statements that run within a block."""
    ran: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        ran.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield ran
    finally:
        event.remove(engine, "before_cursor_execute", note)


def shape_of(sql: str) -> Shape:
    """The shape of a statement of this application."""
    return Normaliser().shape(sql)


def repetition_of(statements: list[str], **more: Any) -> Repetition:
    """The repetition in some statements: the first is the parent, and whatever ran several times its children."""
    shapes = [shape_of(sql) for sql in statements]
    counts = {shape: shapes.count(shape) for shape in shapes}
    children = tuple(
        Child(shape=shape, repeats=count, seconds=0.001 * count, samples=(statements[shapes.index(shape)],))
        for shape, count in counts.items()
        if count > 1
    )
    parent = more.pop("parent", shapes[0] if counts[shapes[0]] == 1 else None)
    return Repetition(
        kind=more.pop("kind", PatternKind.N_PLUS_ONE),
        level=PatternLevel.FINDING,
        confidence=0.9,
        children=children,
        parent=parent,
        repeats=max((child.repeats for child in children), default=0),
        **more,
    )


def run_snippet(snippet: str, **names: Any) -> Any:
    """What a line of a snippet makes, with the names of SQLAlchemy and of the models."""
    known = {**vars(sqlalchemy), **vars(sqlalchemy_orm), **globals(), **names}
    return eval(snippet, known)
