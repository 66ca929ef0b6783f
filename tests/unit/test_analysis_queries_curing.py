"""Every kind of N+1 of a real mapped application is cured by the snippet that is offered for it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, Select, func, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session, selectinload, sessionmaker

from dbtui.analysis.queries.curing import cure, format_suggestion
from dbtui.model.queries import Cure, CureKind, PatternKind, QuerySchema
from tests.unit.query_models import (
    ROWS,
    SCHEMA,
    Author,
    Comment,
    Post,
    Tag,
    filled,
    post_tag,
    repetition_of,
    run_snippet,
    watching,
)

Gone = Callable[[Session, Select[Any]], object]
POSTS = select(Post).order_by(Post.id)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with filled() as made:
        yield made


def statements_of(engine: Engine, gone: Gone, statement: Select[Any]) -> list[str]:
    """What runs when a statement's objects are gone through, in a session of its own."""
    with watching(engine) as ran, Session(engine) as session:
        gone(session, statement)
    return ran


def through(*path: str) -> Gone:
    """Go through all objects and their relationships."""

    def go(session: Session, statement: Select[Any]) -> None:
        for found in session.scalars(statement).unique():
            reach([found], path)

    return go


def reach(found: list[Any], path: tuple[str, ...]) -> None:
    for name in path:
        below = [getattr(each, name) for each in found]
        found = [each for value in below for each in (value if isinstance(value, list) else [value]) if each]


LAZY: list[tuple[str, Gone, Select[Any], CureKind, str]] = [
    ("one to many", through("comments"), POSTS, CureKind.SELECTIN,
     "select(Post).options(selectinload(Post.comments))"),
    ("many to many", through("tags"), POSTS, CureKind.SELECTIN,
     "select(Post).options(selectinload(Post.tags))"),
    ("many to one", through("author"), POSTS, CureKind.JOINED,
     "select(Post).options(joinedload(Post.author, innerjoin=True))"),
    ("one to one", through("profile"), select(Author), CureKind.JOINED,
     "select(Author).options(joinedload(Author.profile))"),
    ("of itself", through("children"), POSTS, CureKind.SELECTIN,
     "select(Post).options(selectinload(Post.children))"),
    ("optional", through("user"), select(Comment), CureKind.JOINED,
     "select(Comment).options(joinedload(Comment.user))"),
    ("chained", through("author", "profile"), POSTS, CureKind.CHAIN,
     "select(Post).options(joinedload(Post.author, innerjoin=True).joinedload(Author.profile))"),
    ("column", through("bio"), select(Author), CureKind.UNDEFER,
     "select(Author).options(undefer(Author.bio))"),
]  # fmt: skip


@pytest.mark.parametrize("schema", [SCHEMA, None], ids=["catalogue", "names"])
@pytest.mark.parametrize(("name", "gone", "statement", "kind", "snippet"), LAZY, ids=[each[0] for each in LAZY])
def test_what_is_loaded_late_is_loaded_at_once(
    engine: Engine, name: str, gone: Gone, statement: Select[Any], kind: CureKind, snippet: str,
    schema: QuerySchema | None,
) -> None:  # fmt: skip
    lazy = statements_of(engine, gone, statement)
    assert len(lazy) >= ROWS
    found = cure(repetition_of(lazy), schema)
    assert found is not None
    assert found.is_guess
    if schema is not None:
        assert (found.kind, found.snippet) == (kind, snippet)
        assert len(statements_of(engine, gone, run_snippet(found.snippet))) <= 2
    elif name not in ("one to one", "chained", "optional"):  # no name tells that a key is unique, or who a user is
        assert found.snippet.replace("selectinload", "joinedload") == snippet.replace(", innerjoin=True", "").replace(
            "selectinload", "joinedload"
        )
        assert len(statements_of(engine, gone, run_snippet(found.snippet))) <= 2


def through_both(session: Session, statement: Select[Any]) -> None:
    for post in session.scalars(statement):
        reach([post], ("comments", "user", "profile"))
        reach([post], ("tags",))


def test_several_relationships_and_what_is_behind_them(engine: Engine) -> None:
    lazy = statements_of(engine, through_both, POSTS)
    found = cured(engine, through_both, POSTS)
    assert "joinedload(Post.author, innerjoin=True)" in found.snippet  # which of both it is cannot be seen
    assert "it may be Comment.user as well" in found.why
    named = "Post.comments, Comment.user, Author.profile, Post.tags"
    found = cured(engine, through_both, POSTS, relationship=named, load="lazy")
    assert found.kind is CureKind.CHAIN
    assert found.snippet == (
        "select(Post).options(selectinload(Post.comments).joinedload(Comment.user).joinedload(Author.profile), "
        "selectinload(Post.tags))"
    )
    assert found.relationship == named
    assert not found.is_guess
    assert len(lazy) == 1 + 4 * ROWS
    assert len(statements_of(engine, through_both, run_snippet(found.snippet))) == 3


def cured(engine: Engine, gone: Gone, statement: Select[Any], **more: Any) -> Cure:
    found = cure(repetition_of(statements_of(engine, gone, statement), **more), SCHEMA)
    assert found is not None
    return found


def test_a_parent_that_was_itself_loaded_late_is_part_of_the_chain(engine: Engine) -> None:
    lazy = statements_of(engine, through("comments", "user", "profile"), POSTS)
    whole = repetition_of(lazy)
    outer, inner = whole.children[0], whole.children[1]
    found = cure(replace(whole, parent=outer.shape, children=(inner,)), SCHEMA)
    assert found is not None
    assert found.snippet == "select(Post).options(selectinload(Post.comments).joinedload(Comment.user))"


# ---------------------------------------------------------------- guards


@pytest.mark.parametrize(
    ("gone", "statement"),
    [(through("comments"), POSTS), (through("author"), POSTS), (through("bio"), select(Author))],
    ids=["collection", "scalar", "column"],
)
def test_a_guard_raises_where_the_option_is_forgotten(engine: Engine, gone: Gone, statement: Select[Any]) -> None:
    found = cured(engine, gone, statement)
    guarded = statement.options(run_snippet(found.guard))
    with pytest.raises(InvalidRequestError):
        statements_of(engine, gone, guarded)


# ---------------------------------------------------------------- one statement instead of many


def one_by_one(make: Callable[[int], Any], first: Select[Any] | None = None) -> Gone:
    def go(session: Session, _statement: Select[Any]) -> None:
        keys = list(session.scalars(first)) if first is not None else range(1, ROWS + 1)
        for key in keys:
            session.execute(make(key)).all()

    return go


def at_once(session: Session, statement: Select[Any]) -> None:
    session.execute(statement).all()


IDS = select(Post.author_id).order_by(Post.id)
LOOPS: list[tuple[str, Gone, CureKind, str]] = [
    ("get", one_by_one(lambda key: select(Author).where(Author.id == key), IDS), CureKind.IN_LIST,
     "select(Author).where(Author.id.in_(ids))"),
    ("text", one_by_one(lambda key: text(f"SELECT name FROM authors WHERE id = {key}"), IDS), CureKind.IN_LIST,
     "select(Author).where(Author.id.in_(ids))"),
    ("by key", one_by_one(lambda key: select(Comment).where(Comment.post_id == key), select(Post.id)),
     CureKind.IN_LIST, "select(Comment).where(Comment.post_id.in_(post_ids))"),
    ("two columns", one_by_one(
        lambda key: select(post_tag.c.tag_id).where(post_tag.c.post_id == key, post_tag.c.tag_id == 1),
        select(Post.id)), CureKind.IN_LIST,
     "select(PostTag).where(tuple_(PostTag.post_id, PostTag.tag_id).in_(keys))"),
    ("count", one_by_one(lambda key: select(func.count()).select_from(Comment).where(Comment.post_id == key),
                         select(Post.id)), CureKind.GROUPED,
     "select(Comment.post_id, func.count()).where(Comment.post_id.in_(post_ids)).group_by(Comment.post_id)"),
    ("newest", one_by_one(lambda key: select(func.max(Comment.id)).where(Comment.post_id == key),
                          select(Post.id)), CureKind.GROUPED,
     "select(Comment.post_id, func.max(Comment.id)).where(Comment.post_id.in_(post_ids)).group_by(Comment.post_id)"),
    ("prefetch", one_by_one(lambda key: select(Post).where(Post.id == key).options(selectinload(Post.comments))),
     CureKind.PREFETCH, "select(Post).where(Post.id.in_(ids)).options(selectinload(Post.comments))"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "gone", "kind", "snippet"), LOOPS, ids=[each[0] for each in LOOPS])
def test_a_loop_becomes_one_statement(engine: Engine, name: str, gone: Gone, kind: CureKind, snippet: str) -> None:
    loop = [sql if name != "text" else sql.rpartition(" ")[0] + " ?" for sql in statements_of(engine, gone, POSTS)]
    found = cure(repetition_of(loop), SCHEMA)
    assert found is not None
    assert (found.kind, found.snippet) == (kind, snippet)
    if name == "two columns":
        return
    values = list(range(1, ROWS + 1))
    statement = run_snippet(found.snippet, ids=values, post_ids=values)
    assert len(statements_of(engine, at_once, statement)) == (2 if name == "prefetch" else 1)


def test_pairs_of_keys_are_looked_up_at_once(engine: Engine) -> None:
    """The association is no class here, so the snippet's kind is tried on one that is."""
    keys = [(1, 1), (2, 1)]
    statement = run_snippet("select(Comment).where(tuple_(Comment.post_id, Comment.user_id).in_(keys))", keys=keys)
    with Session(engine) as session:
        assert [comment.post_id for comment in session.scalars(statement)] == [1, 1]


def test_objects_that_a_commit_expired_are_kept(engine: Engine) -> None:
    def go(factory: sessionmaker[Session]) -> list[str]:
        with watching(engine) as ran, factory() as session:
            posts = session.scalars(POSTS).all()
            session.commit()
            assert [post.title for post in posts]
        return ran

    lazy = go(sessionmaker(engine))
    assert len(lazy) == 1 + ROWS
    repetition = repetition_of(lazy, relationship="Post", load="column")
    found = cure(repetition, SCHEMA)
    assert found is not None
    assert (found.kind, found.snippet) == (CureKind.KEEP_LOADED, "sessionmaker(engine, expire_on_commit=False)")
    assert len(go(run_snippet(found.snippet, engine=engine))) == 1
    every = cure(
        replace(repetition, relationship="", load="", parent_rows=ROWS), SCHEMA
    )  # its key to itself deceives not
    assert every is not None
    assert every.kind is CureKind.KEEP_LOADED
    assert "the rows that parent_id points to" in every.why
    without_own_key = replace(SCHEMA, foreign_keys=tuple(k for k in SCHEMA.foreign_keys if k.columns != ("parent_id",)))
    silent = cure(replace(repetition, relationship="", load=""), without_own_key)
    assert silent is not None
    assert silent.kind is CureKind.KEEP_LOADED


# ---------------------------------------------------------------- names, and what is not cured by a loader


def test_what_the_recorder_named_is_no_guess(engine: Engine) -> None:
    lazy = statements_of(engine, through("comments"), POSTS)
    found = cure(repetition_of(lazy, relationship="BlogPost.remarks", load="lazy"), None)
    assert found is not None
    assert (found.snippet, found.is_guess) == ("select(BlogPost).options(selectinload(BlogPost.remarks))", False)
    assert found.guard == "raiseload(BlogPost.remarks)"


def test_the_recorder_tells_each_of_several(engine: Engine) -> None:
    lazy = statements_of(engine, through("author", "profile"), POSTS)
    found = cure(repetition_of(lazy, relationship="Post.author, Author.profile", load="lazy"), SCHEMA)
    assert found is not None
    assert not found.is_guess
    assert found.snippet == ("select(Post).options(joinedload(Post.author, innerjoin=True).joinedload(Author.profile))")


def test_few_owners_of_many_rows_are_loaded_by_themselves(engine: Engine) -> None:
    found = cured(engine, through("author"), POSTS, parent_rows=1000)
    assert found.snippet == "select(Post).options(selectinload(Post.author))"
    assert "6 of them are shared by 1000 rows" in found.why


def test_other_patterns_have_other_cures(engine: Engine) -> None:
    lazy = statements_of(engine, through("comments"), POSTS)
    repetition = repetition_of(lazy)
    for kind in (PatternKind.BATCH, PatternKind.CURSOR, PatternKind.POOLED_REQUESTS):
        assert cure(replace(repetition, kind=kind), SCHEMA) is None
    same = cure(replace(repetition, kind=PatternKind.DUPLICATE), SCHEMA)
    assert same is not None
    assert (same.kind, same.snippet) == (CureKind.NONE, "")
    labels = statements_of(engine, one_by_one(lambda key: select(Tag).where(Tag.label == f"tag {key}")), POSTS)
    written = cure(repetition_of(labels, kind=PatternKind.WRITE_LOOP), SCHEMA)
    assert written is not None
    assert written.snippet == "select(Tag).where(Tag.label.in_(labels))"
    assert "look up all of them before the loop" in written.why


def test_a_suggestion_is_one_text(engine: Engine) -> None:
    found = cured(engine, through("comments"), POSTS)
    assert format_suggestion(found) == (
        "select(Post).options(selectinload(Post.comments)) (names are guessed from tables and keys); "
        "CREATE INDEX CONCURRENTLY ix_comments_post_id ON public.comments (post_id)"
    )
    assert format_suggestion(None) == ""


@pytest.mark.parametrize(
    ("first", "repeated", "recorded"),
    [
        ("SELECT post.id FROM post", "SELECT post.title FROM post WHERE post.id = {}", {}),
        ("SELECT id, author_id FROM post", "SELECT title FROM post WHERE id = {}", {}),
        ("SELECT post.id, post.author_id FROM post", "SELECT post.title FROM post WHERE post.id = {}",
         {"call_site": "app/views.py:41"}),
    ],
    ids=["keys alone", "written by hand", "recorded as no load"],
)  # fmt: skip
def test_a_loop_over_one_column_is_no_deferred_column(first: str, repeated: str, recorded: dict[str, Any]) -> None:
    """Only an object that was loaded has columns that are loaded late."""
    found = cure(replace(repetition_of([first, *(repeated.format(each) for each in range(ROWS))]), **recorded))
    assert found is not None
    assert (found.kind, found.snippet, found.guard) == (CureKind.IN_LIST, "select(Post).where(Post.id.in_(ids))", "")
