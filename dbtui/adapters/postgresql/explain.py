"""The plan of a statement that some session runs, without running it."""

import contextlib
from collections.abc import Iterator

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.sql_tokens import Token, parse_tokens
from dbtui.errors import RefusedError, ServerError
from dbtui.model.sessions import Session

#: What the server can plan: the manual, EXPLAIN. Everything else is done, not planned.
_PLANNED = frozenset({b"select", b"insert", b"update", b"delete", b"merge", b"values", b"with", b"table"})
_PLANS_PARAMETERS_SINCE = 160000  # EXPLAIN (GENERIC_PLAN)
_SEVERAL_STATEMENTS = "42P11"
_UNKNOWN_NAMES = ("42P01", "42883", "3F000")


def explain(target: PostgresqlTarget, session: Session) -> str:
    """Return the plan of what the session runs, or ran last; nothing of it is run.

    It is planned in the session's database, with the search_path that its login begins with, within five seconds and
    in a read-only transaction; a superuser plans with the login's rights. Raises ServerError, and RefusedError for what
    has no plan.
    """
    text, has_parameters = _check(session)
    try:
        return ask_for_plan(target, text, session.database, session.user, has_parameters=has_parameters)
    except ServerError as error:
        if error.code in _UNKNOWN_NAMES:
            hint = f"session {session.session_id} may have a search_path or temporary tables of its own"
            raise ServerError(error.message, hint, code=error.code) from error
        raise


def ask_for_plan(
    target: PostgresqlTarget, text: str, database: str, login: str, *, has_parameters: bool, is_json: bool = False
) -> str:
    """Return the plan of a statement that `require_planned` has seen, as `login` would have it in `database`."""
    is_generic = has_parameters and target.info.version_number >= _PLANS_PARAMETERS_SINCE
    name = "explain_with_parameters" if has_parameters and not is_generic else "explain_statement"
    words = ", ".join(word for word, is_said in (("GENERIC_PLAN", is_generic), ("FORMAT JSON", is_json)) if is_said)
    binds = {"statement": text, "options": f"({words}) " if words else "", "login": login}
    paths = target.collect("collect_search_path", database=database, login=login)
    path = paths[0].search_path if paths else None
    try:
        with _standing_in(target, database) as connection:
            rows = target.collect(name, connection, after="begin_explaining", search_path=path, **binds)
    except ServerError as error:
        if error.code == _SEVERAL_STATEMENTS:
            raise RefusedError("several statements in one text have no plan", "explain them one by one") from error
        raise
    return str(rows[0].plan).rstrip("\n")


@contextlib.contextmanager
def _standing_in(target: PostgresqlTarget, database: str) -> Iterator[Connection | None]:
    """The own connection (None) when it is in that database already: a full server has no room for another one."""
    if database == target.info.database:
        yield None
        return
    with target.working(database, autocommit=not target.works_pooled) as connection:
        yield connection


def _check(session: Session) -> tuple[str, bool]:
    """Return the statement and whether it has parameters. Raises RefusedError, saying why there is no plan."""
    if not session.database:
        raise RefusedError(f"session {session.session_id} is in no database", "choose a client's session")
    text = session.sql.strip()
    if not text:
        raise RefusedError(f"no statement of session {session.session_id} is known", "choose one that shows its SQL")
    if text.endswith("…"):
        raise RefusedError(
            "the server keeps only the beginning of this statement, so it cannot be planned",
            "raise track_activity_query_size and restart the server",
        )
    return require_planned(text)


def require_planned(text: str) -> tuple[str, bool]:
    """Return the one statement in a text, and whether it has parameters. Raises RefusedError: it has no plan."""
    text = text.rstrip("; \t\r\n")
    tokens = parse_tokens(text.encode("utf-8", "replace"))
    first = next((token for token in tokens if token.text != b"("), Token("sign", b"", b""))
    if first.kind != "word" or first.body not in _PLANNED:
        raise RefusedError(
            f"only SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES and WITH have a plan, not {_shown(first)}",
            "choose another one",
        )
    has_parameters = any(token.text.startswith(b"$") and token.kind == "number" for token in tokens)
    if has_parameters and ";" in text:
        raise RefusedError("a statement with parameters and a semicolon in it is not explained", "explain it in psql")
    return text, has_parameters


def _shown(token: Token) -> str:
    return token.text[:40].decode("utf-8", "replace").upper() or "an empty statement"
