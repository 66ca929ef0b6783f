"""The plan of a statement that the server has summed up, without running it.

Sums have ? instead of values, which cannot be planned: a sample of the statement is. MySQL 8 keeps one beside the sums;
else one may be among the statements that performance_schema remembers.
"""

import re

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.explain import explain_text, explaining, format_plan
from dbtui.adapters.mysql.plan_trees import parse_plan
from dbtui.adapters.mysql.session_text import decode_text
from dbtui.adapters.mysql.tokens import UnreadableError, tokens
from dbtui.errors import RefusedError
from dbtui.model.queries import TopQuery
from dbtui.model.top_queries import PlanNode

_DIGEST = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])")
_KEEPS_SAMPLES_SINCE = 80003


def explain_query(target: Target, query: TopQuery) -> str:
    """Return the plan of a sample of the statement, with the sample; nothing is run.

    Raises ServerError, ConnectError, and RefusedError for what has no plan, or no sample that is whole.
    """
    sample, rows = _ask(narrow(target, MysqlTarget), query, "")
    return f"A sample of it: {sample}\n\n{format_plan(rows)}"


def collect_plan(target: Target, query: TopQuery) -> PlanNode:
    """Return the same plan as a tree. Raises as `explain_query` does."""
    _sample, rows = _ask(narrow(target, MysqlTarget), query, "FORMAT=JSON ")
    return parse_plan("".join(decode_text(value) for value in rows[0].values()))


def _ask(target: MysqlTarget, query: TopQuery, words: str) -> tuple[str, list[Row]]:
    sample, database = find_sample(target, query)
    with explaining(target) as made:
        return sample, explain_text(target, sample, database, made, words)


def find_sample(target: MysqlTarget, query: TopQuery) -> tuple[str, str]:
    """Return a statement of this shape with its values, and its database. Raises RefusedError: there is none whole."""
    found = _DIGEST.search(query.key.lower())
    if found is None:
        raise RefusedError("the digest of this statement is not known", "explain a session while it runs it")
    rows = [row for row in _collect_samples(target, found[0], query.database) if not _has_marks(row)]
    whole = [row for row in rows if not _is_cut(row)]
    if whole:
        return decode_text(whole[0]["sample"]), decode_text(whole[0]["database_name"]) or query.database
    if rows:
        hint = "raise performance_schema_max_sql_text_length and restart the server, or explain a session that runs it"
        raise RefusedError("the server keeps only the beginning of this statement", hint)
    what = "MariaDB keeps no values beside its sums" if target.is_mariadb else "the server keeps no sample of it"
    raise RefusedError(
        f"{what}, and a statement with ? in it cannot be planned",
        "switch the consumers events_statements_current and events_statements_history_long on, or explain a session "
        "while it runs it",
    )


def _collect_samples(target: MysqlTarget, digest: str, database: str) -> list[Row]:
    rows: list[Row] = []
    if not target.is_mariadb and target.info.version_number >= _KEEPS_SAMPLES_SINCE:
        rows = target.collect("digest_sample", digest=digest, database=database)
    return rows or target.collect("remembered_samples", digest=digest, database=database)


def _has_marks(row: Row) -> bool:
    """Whether values were never in its text, as in statements that a driver has prepared."""
    try:
        return any(
            token.is_sign("?") for token in tokens(decode_text(row["sample"]).encode("utf-8", "surrogateescape"))
        )
    except UnreadableError:
        return False  # it is refused where it is explained


def _is_cut(row: Row) -> bool:
    text = decode_text(row["sample"])
    return text.endswith("...") or int(row["sample_bytes"]) >= int(row["most_bytes"])
