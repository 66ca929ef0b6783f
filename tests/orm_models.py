"""An application's mapped classes with every kind of relationship: for tests of the recorder and of servers' logs."""

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    Session,
    WriteOnlyMapped,
    deferred,
    mapped_column,
    relationship,
)


class Base(AsyncAttrs, DeclarativeBase):
    """What all classes share."""

    type_annotation_map = {str: String(100)}  # noqa: RUF012 - SQLAlchemy's own way to say it


post_tag = Table(
    "post_tag",
    Base.metadata,
    Column("post_id", ForeignKey("post.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Author(Base):
    """Collections of every loading style, and columns that are not loaded with the rest."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    bio: Mapped[str] = deferred(mapped_column(Text))
    motto: Mapped[str] = mapped_column(deferred=True, deferred_group="extras")
    quote: Mapped[str] = mapped_column(deferred=True, deferred_group="extras")
    posts: Mapped[list["Post"]] = relationship(back_populates="author", foreign_keys="Post.author_id")
    profile: Mapped["Profile | None"] = relationship(back_populates="author")
    messages: DynamicMapped["Message"] = relationship(back_populates="author")
    events: WriteOnlyMapped["Event"] = relationship(back_populates="author")


class Profile(Base):
    """One for each author: the other side of a one-to-one."""

    __tablename__ = "profile"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"), unique=True)
    city: Mapped[str]
    author: Mapped[Author] = relationship(back_populates="profile")


class Message(Base):
    """In a dynamic collection."""

    __tablename__ = "message"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"), index=True)
    text: Mapped[str]
    author: Mapped[Author] = relationship(back_populates="messages")


class Event(Base):
    """In a write-only collection."""

    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"), index=True)
    kind: Mapped[str]
    author: Mapped[Author] = relationship(back_populates="events")


class Post(Base):
    """Of one author, perhaps with an editor, with comments, tags, and ratings by other authors."""

    __tablename__ = "post"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"), index=True)
    editor_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="posts", foreign_keys=[author_id])
    editor: Mapped[Author | None] = relationship(foreign_keys=[editor_id])
    comments: Mapped[list["Comment"]] = relationship(back_populates="post", order_by="Comment.id")
    tags: Mapped[list["Tag"]] = relationship(secondary=post_tag, back_populates="posts")
    ratings: Mapped[list["Rating"]] = relationship(back_populates="post")


class Comment(Base):
    """Under a post."""

    __tablename__ = "comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("post.id"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    text: Mapped[str]
    post: Mapped[Post] = relationship(back_populates="comments")
    author: Mapped[Author] = relationship()


class Tag(Base):
    """Many-to-many."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    posts: Mapped[list[Post]] = relationship(secondary=post_tag, back_populates="tags")


class Rating(Base):
    """An association object: who rated which post, and how."""

    __tablename__ = "rating"
    post_id: Mapped[int] = mapped_column(ForeignKey("post.id"), primary_key=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey("author.id"), primary_key=True)
    stars: Mapped[int]
    post: Mapped[Post] = relationship(back_populates="ratings")
    reader: Mapped[Author] = relationship()


class Node(Base):
    """A tree: each node may have a parent."""

    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"), index=True)
    parent: Mapped["Node | None"] = relationship(back_populates="children", remote_side="Node.id")
    children: Mapped[list["Node"]] = relationship(back_populates="parent")


class Company(Base):
    """Employs people of several classes."""

    __tablename__ = "company"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    employees: Mapped[list["Employee"]] = relationship(back_populates="company")


class Employee(Base):
    """The base of a hierarchy with a table for each class."""

    __tablename__ = "employee"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"), index=True)
    company: Mapped[Company] = relationship(back_populates="employees")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "employee"}  # noqa: RUF012


class Manager(Employee):
    """Has columns and a collection of its own."""

    __tablename__ = "manager"
    id: Mapped[int] = mapped_column(ForeignKey("employee.id"), primary_key=True)
    budget: Mapped[int]
    reports: Mapped[list["Report"]] = relationship(back_populates="manager")
    __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012


class Report(Base):
    """By a manager: a relationship to a child of a hierarchy."""

    __tablename__ = "report"
    id: Mapped[int] = mapped_column(primary_key=True)
    manager_id: Mapped[int] = mapped_column(ForeignKey("manager.id"), index=True)
    title: Mapped[str]
    manager: Mapped[Manager] = relationship(back_populates="reports")


class Payment(Base):
    """The base of a hierarchy in one table."""

    __tablename__ = "payment"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship()
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "payment"}  # noqa: RUF012


class CardPayment(Payment):
    """By card."""

    digits: Mapped[str | None]
    __mapper_args__ = {"polymorphic_identity": "card"}  # noqa: RUF012


class Receipt(Base):
    """For a payment by card: a relationship that not every row of the other table may have."""

    __tablename__ = "receipt"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    payment: Mapped[CardPayment] = relationship()


def fill(session: Session, size: int = 12) -> None:
    """Write `size` rows of each class, each post with three comments, three tags and two ratings, and commit."""
    authors = [
        Author(name=f"author {n}", bio=f"born in {1900 + n}", motto="ever on", quote="so it goes") for n in range(size)
    ]
    tags = [Tag(name=f"tag {n}") for n in range(5)]
    session.add_all([*authors, *tags])
    session.flush()
    for n, author in enumerate(authors):
        author.profile = Profile(city=f"city {n}")
        session.add_all(Message(author=author, text=f"message {k}") for k in range(2))
        session.add_all(Event(author=author, kind=f"event {k}") for k in range(2))
        post = Post(title=f"post {n}", author=author, editor=authors[n - 1] if n % 3 else None)
        post.comments = [Comment(text=f"comment {k}", author=authors[n - k]) for k in range(3)]
        post.tags = [tags[(n + k) % 5] for k in range(3)]
        post.ratings = [Rating(reader=authors[n - k], stars=k) for k in range(2)]
        payment = CardPayment(author=author, digits=f"{n:04}")
        session.add_all([post, payment, Receipt(payment=payment)])
    _fill_trees(session, size)
    session.commit()


def _fill_trees(session: Session, size: int) -> None:
    root = Node(name="root")
    session.add(root)
    for n in range(size):
        company = Company(name=f"company {n}")
        manager = Manager(name=f"manager {n}", budget=n, company=company)
        manager.reports = [Report(title=f"report {k}") for k in range(2)]
        session.add_all([Node(name=f"node {n}", parent=root, children=[Node(name=f"leaf {n}")]), manager])
        session.add(Employee(name=f"employee {n}", company=company))
