"""The plan of a statement that pg_stat_statements has summed up, without running it."""

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.explain import ask_for_plan, require_planned
from dbtui.adapters.postgresql.plan_trees import parse_plan
from dbtui.errors import RefusedError, ServerError
from dbtui.model.queries import TopQuery
from dbtui.model.top_queries import PlanNode

_SYNTAX, _NO_TYPE = "42601", ("42P18", "42725")
_UNKNOWN_NAMES = ("42P01", "42883", "3F000")


def explain_query(target: Target, query: TopQuery) -> str:
    """Return the plan for values that nobody knows, as the server words it; nothing is run.

    Raises ServerError, ConnectError, and RefusedError for what has no plan or is not known whole.
    """
    return _ask(narrow(target, PostgresqlTarget), query, is_json=False)


def collect_plan(target: Target, query: TopQuery) -> PlanNode:
    """Return the same plan as a tree. Raises as `explain_query` does."""
    return parse_plan(_ask(narrow(target, PostgresqlTarget), query, is_json=True))


def _ask(target: PostgresqlTarget, query: TopQuery, *, is_json: bool) -> str:
    if not query.sql.strip():
        raise RefusedError("the text of this statement is not known", "GRANT pg_read_all_stats to the login, to see it")
    if query.is_truncated:
        raise RefusedError(
            "this statement is not known whole, so it cannot be planned", "explain it where it comes from"
        )
    text, has_parameters = require_planned(query.sql.strip())
    database, login = query.database or target.info.database, query.user or target.info.user
    try:
        return ask_for_plan(target, text, database, login, has_parameters=has_parameters, is_json=is_json)
    except ServerError as error:
        raise ServerError(error.message, _hint(error, has_parameters), code=error.code) from error


def _hint(error: ServerError, has_parameters: bool) -> str:
    if has_parameters and error.code == _SYNTAX:
        return "the sums have $n where the grammar wants a value (interval $1): explain it in psql with values"
    if has_parameters and error.code in _NO_TYPE:
        return "the type of a $n cannot be told without its value: explain it in psql with values"
    if error.code in _UNKNOWN_NAMES:
        return "the statement's session may have had a search_path or temporary tables of its own"
    return error.hint
