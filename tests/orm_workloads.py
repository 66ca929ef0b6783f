"""What an application does with the classes of `orm_models`: with a statement for each object, and cured.

Each says what a recorder must tell of it, so that servers' logs can be held against the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, immediateload, selectin_polymorphic

from dbtui.instrument.loaders import eager
from tests.orm_models import (
    Author,
    Comment,
    Company,
    Employee,
    Event,
    Manager,
    Message,
    Node,
    Payment,
    Post,
    Rating,
    Report,
)

#: Rows of each class: `fill(session, SIZE)`.
SIZE = 12

Work = Callable[[Session], list[Any]]


@dataclass(frozen=True)
class Workload:
    """`spoilt` runs a statement for each of SIZE objects, `cured` a few for all; both return the same.

    `relationship` and `load` are as the recorder names them, "" for statements that the application runs itself.
    """

    name: str
    relationship: str
    load: str
    spoilt: Work
    cured: Work


def _read(session: Session, statement: Any, read: Callable[[Any], Any]) -> list[Any]:
    return [read(each) for each in session.scalars(statement).unique()]


def _loading(
    name: str, attribute: Any, read: Callable[[Any], Any], selected: Any = None, load: str = "lazy"
) -> Workload:
    """Go through all objects of a class and read one attribute of each."""
    owner = attribute.class_ if selected is None else selected
    statement = select(owner).order_by(owner.id)
    return Workload(
        name,
        f"{attribute.class_.__name__}.{attribute.key}",
        load,
        lambda session: _read(session, statement, read),
        lambda session: _read(session, statement.options(*eager(attribute)), read),
    )


def _posts() -> Any:
    return select(Post).order_by(Post.id)


def _read_messages(session: Session) -> list[Any]:
    return _read(
        session, select(Author).order_by(Author.id), lambda author: sorted(each.text for each in author.messages)
    )


def _read_messages_at_once(session: Session) -> list[Any]:
    authors = session.scalars(select(Author).order_by(Author.id)).all()
    found = session.scalars(select(Message).where(Message.author_id.in_([author.id for author in authors]))).all()
    return [sorted(each.text for each in found if each.author_id == author.id) for author in authors]


def _read_events(session: Session) -> list[Any]:
    authors = session.scalars(select(Author).order_by(Author.id)).all()
    return [sorted(each.kind for each in session.scalars(author.events.select())) for author in authors]


def _read_events_at_once(session: Session) -> list[Any]:
    authors = session.scalars(select(Author).order_by(Author.id)).all()
    found = session.scalars(select(Event).where(Event.author_id.in_([author.id for author in authors]))).all()
    return [sorted(each.kind for each in found if each.author_id == author.id) for author in authors]


def _read_after_commit(session: Session) -> list[Any]:
    posts = session.scalars(_posts()).all()
    session.commit()
    return [post.title for post in posts]


def _read_before_commit(session: Session) -> list[Any]:
    titles = [post.title for post in session.scalars(_posts())]
    session.commit()
    return titles


def _find_one_by_one(session: Session) -> list[Any]:
    keys = session.scalars(select(Post.id).order_by(Post.id)).all()
    return [session.execute(select(Post.title).where(Post.id == key)).scalar_one() for key in keys]


def _find_at_once(session: Session) -> list[Any]:
    keys = session.scalars(select(Post.id).order_by(Post.id)).all()
    found = {row.id: row.title for row in session.execute(select(Post.id, Post.title).where(Post.id.in_(keys)))}
    return [found[key] for key in keys]


def _leaves() -> Any:
    return select(Node).where(Node.name.startswith("leaf")).order_by(Node.id)


def _read_parent(node: Node) -> Any:
    return node.parent and node.parent.name


def _read_readers(post: Post) -> Any:
    return sorted((rating.reader.name, rating.stars) for rating in post.ratings)


def _managers_budgets(session: Session, *options: Any) -> list[Any]:
    people = session.scalars(select(Employee).order_by(Employee.id).options(*options))
    return [person.budget for person in people if isinstance(person, Manager)]


def _reports(person: Employee) -> Any:
    return sorted(each.title for each in person.reports) if isinstance(person, Manager) else None


WORKLOADS = (
    _loading("a collection", Post.comments, lambda post: [each.text for each in post.comments]),
    _loading("many to one", Post.author, lambda post: post.author.name),
    _loading("many to one, to a row that others have loaded", Comment.author, lambda comment: comment.author.name),
    _loading("one to one, from the side without the key", Author.profile, lambda author: author.profile.city),
    _loading("many to many", Post.tags, lambda post: sorted(tag.name for tag in post.tags)),
    _loading("an association object", Post.ratings, lambda post: sorted(each.stars for each in post.ratings)),
    _loading("children of a tree", Node.children, lambda node: sorted(each.name for each in node.children)),
    Workload(
        "parents in a tree",
        "Node.parent",
        "lazy",
        lambda session: _read(session, _leaves(), _read_parent),
        lambda session: _read(session, _leaves().options(*eager(Node.parent)), _read_parent),
    ),
    Workload(
        "through an association object",
        "Rating.reader",
        "lazy",
        lambda session: _read(session, _posts().options(*eager(Post.ratings)), _read_readers),
        lambda session: _read(session, _posts().options(*eager((Post.ratings, Rating.reader))), _read_readers),
    ),
    _loading("a hierarchy's objects", Company.employees, lambda one: sorted(each.name for each in one.employees)),
    _loading("to a child class", Report.manager, lambda report: report.manager.name),
    _loading("in one table", Payment.author, lambda payment: payment.author.name),
    _loading("of a child class", Manager.reports, _reports, Employee),
    Workload(
        "columns of a child class",
        "Manager.budget",
        "polymorphic",
        _managers_budgets,
        lambda session: _managers_budgets(session, selectin_polymorphic(Employee, [Manager])),
    ),
    _loading("a deferred column", Author.bio, lambda author: author.bio, load="column"),
    _loading("a group of deferred columns", Author.motto, lambda author: author.motto, load="column"),
    Workload("expired objects", "Post", "refresh", _read_after_commit, _read_before_commit),
    Workload(
        "loaded at once, one by one",
        "Post.comments",
        "immediate",
        lambda session: _read(
            session, _posts().options(immediateload(Post.comments)), lambda post: [each.text for each in post.comments]
        ),
        lambda session: _read(
            session, _posts().options(*eager(Post.comments)), lambda post: [each.text for each in post.comments]
        ),
    ),
    Workload("a dynamic collection", "Author.messages", "dynamic", _read_messages, _read_messages_at_once),
    Workload("a write-only collection", "", "", _read_events, _read_events_at_once),
    Workload("found one by one", "", "", _find_one_by_one, _find_at_once),
)
