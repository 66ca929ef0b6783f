"""Pages of an application over tests.orm_models: as they are written first, with a query for each row, and cured."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, selectinload, undefer, undefer_group

from dbtui.instrument.loaders import eager
from tests.orm_models import (
    Author,
    CardPayment,
    Comment,
    Company,
    Employee,
    Event,
    Manager,
    Message,
    Node,
    Post,
    Profile,
    Rating,
    Receipt,
)

Page = Callable[[Session], object]


#: The root has no parent: were there one for each row, the rows might have been read again instead.
_LEAVES = select(Node).where(or_(Node.name.like("leaf%"), Node.name == "root"))


@dataclass(frozen=True)
class Case:
    """A page with a query for each row, the same page cured, the table that is asked too often, and its relation.

    `relation` "": the wire does not tell which it is. `is_sure`: nothing else could be meant.
    """

    name: str
    lazy: Page
    cured: Page
    table: str
    relation: str = ""
    is_sure: bool = True


def _posts(session: Session, *options: object) -> list[Post]:
    return list(session.scalars(select(Post).options(*options).order_by(Post.id)))  # type: ignore[arg-type]


CASES = (
    Case(
        "one to many",
        lambda s: [len(post.comments) for post in _posts(s)],
        lambda s: [len(post.comments) for post in _posts(s, *eager(Post.comments))],
        "comment",
        "Post.comments",
    ),
    Case(
        "many to many",
        lambda s: [len(post.tags) for post in _posts(s)],
        lambda s: [len(post.tags) for post in _posts(s, *eager(Post.tags))],
        "tag",
        "Post.tags",
    ),
    Case(
        "many to one",
        lambda s: [comment.author.name for comment in s.scalars(select(Comment))],
        lambda s: [comment.author.name for comment in s.scalars(select(Comment).options(*eager(Comment.author)))],
        "author",
        "Comment.author",
    ),
    Case(
        "one to one",
        lambda s: [author.profile and author.profile.city for author in s.scalars(select(Author))],
        lambda s: [a.profile and a.profile.city for a in s.scalars(select(Author).options(*eager(Author.profile)))],
        "profile",
        "Author.profile",
    ),
    Case(
        "one to one, from the other side",
        lambda s: [profile.author.name for profile in s.scalars(select(Profile))],
        lambda s: [profile.author.name for profile in s.scalars(select(Profile).options(*eager(Profile.author)))],
        "author",
        "Profile.author",
    ),
    Case(
        "a tree downwards",
        lambda s: [len(node.children) for node in s.scalars(select(Node).where(Node.name.like("node%")))],
        lambda s: [
            len(node.children)
            for node in s.scalars(select(Node).where(Node.name.like("node%")).options(*eager(Node.children)))
        ],
        "node",
        "Node.children",
    ),
    Case(
        "a tree upwards",
        lambda s: [node.parent and node.parent.name for node in s.scalars(_LEAVES)],
        lambda s: [node.parent and node.parent.name for node in s.scalars(_LEAVES.options(*eager(Node.parent)))],
        "node",
        "Node.parent",
    ),
    Case(
        "an association object, and on",
        lambda s: [rating.reader.name for post in _posts(s) for rating in post.ratings],
        lambda s: [
            rating.reader.name
            for post in _posts(s, *eager(Post.ratings, (Post.ratings, Rating.reader)))
            for rating in post.ratings
        ],
        "rating",
        "Post.ratings",
        is_sure=False,  # the posts' own authors are looked up in the same way
    ),
    Case(
        "a dynamic collection",
        lambda s: [len(author.messages.all()) for author in s.scalars(select(Author))],
        lambda s: len(
            list(s.scalars(select(Message).where(Message.author_id.in_(list(s.scalars(select(Author.id)))))))
        ),
        "message",
    ),
    Case(
        "a write-only collection",
        lambda s: [len(list(s.scalars(author.events.select()))) for author in s.scalars(select(Author))],
        lambda s: len(list(s.scalars(select(Event).where(Event.author_id.in_(list(s.scalars(select(Author.id)))))))),
        "event",
    ),
    Case(
        "a deferred column",
        lambda s: [author.bio for author in s.scalars(select(Author))],
        lambda s: [author.bio for author in s.scalars(select(Author).options(undefer(Author.bio)))],
        "author",
        "Author.bio",
    ),
    Case(
        "a group of deferred columns",
        lambda s: [author.motto for author in s.scalars(select(Author))],
        lambda s: [author.motto for author in s.scalars(select(Author).options(undefer_group("extras")))],
        "author",
    ),
    Case(
        "a hierarchy of classes",
        lambda s: [len(company.employees) for company in s.scalars(select(Company))],
        lambda s: [len(c.employees) for c in s.scalars(select(Company).options(*eager(Company.employees)))],
        "employee",
        "Company.employees",
    ),
    Case(
        "of a child of a hierarchy",
        lambda s: [len(manager.reports) for manager in s.scalars(select(Manager))],
        lambda s: [len(m.reports) for m in s.scalars(select(Manager).options(selectinload(Manager.reports)))],
        "report",
        "Manager.reports",
    ),
    Case(
        "to a class that shares a table",
        lambda s: [receipt.payment.digits for receipt in s.scalars(select(Receipt))],
        lambda s: [r.payment.digits for r in s.scalars(select(Receipt).options(selectinload(Receipt.payment)))],
        "payment",
        "Receipt.payment",
    ),
    Case(
        "Session.get in a loop",
        lambda s: [s.get_one(Employee, number).name for number in list(s.scalars(select(Employee.id)))],
        lambda s: len(list(s.scalars(select(Employee).where(Employee.id.in_(list(s.scalars(select(Employee.id)))))))),
        "employee",
    ),
    Case(
        "a count for each row",
        lambda s: [
            s.scalar(select(func.count()).select_from(Comment).where(Comment.post_id == post.id)) for post in _posts(s)
        ],
        lambda s: s.execute(select(Comment.post_id, func.count()).group_by(Comment.post_id)).all(),
        "comment",
    ),
    Case(
        "a card for each author",
        lambda s: [
            s.scalars(select(CardPayment).where(CardPayment.author_id == author.id)).first()
            for author in s.scalars(select(Author))
        ],
        lambda s: len(
            list(s.scalars(select(CardPayment).where(CardPayment.author_id.in_(list(s.scalars(select(Author.id)))))))
        ),
        "payment",
    ),
)
