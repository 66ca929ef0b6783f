"""Views whose definer may not read what they show, or does not exist: made all the same, in an order that works.

A server makes a view that stands on another one only while that one can be read, as its own definer. In a copy beside
the original the definers mostly have no rights yet. So views are made as ours first, and then given their definers:
each before those that it stands on.
"""

from collections.abc import Iterator
from dataclasses import replace

from dbtui.adapters.mysql.code import CodeObject, make, read_code
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.sql_lexer import Statement
from dbtui.adapters.mysql.statements import Judge, Verdict, edit
from dbtui.adapters.mysql.tokens import tokens
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.errors import ServerError


def with_definer(one: CodeObject, clause: bytes) -> CodeObject:
    """Return a view with another DEFINER clause, or with none."""
    text = one.sql.encode("utf-8", "surrogateescape")
    verdict = Judge().judge(Statement(text, 1, len(text)))
    return replace(one, sql=edit(text, verdict, {"definer": clause}).decode("utf-8", "surrogateescape"))


def definer_clause(text: bytes, verdict: Verdict) -> bytes:
    """Return the DEFINER clause of a statement; empty when it has none."""
    return next((text[start:end] for purpose, start, end in verdict.cuts if purpose == "definer"), b"")


def dependents_first(views: tuple[CodeObject, ...]) -> list[CodeObject]:
    """Return views in an order in which none comes after one that it names."""
    names = {one.name.lower() for one in views}
    named = {
        one.name: {
            word.text.lower() for word in tokens(one.sql.encode("utf-8", "surrogateescape")) if word.kind == "name"
        }
        & names - {one.name.lower()}
        for one in views
    }
    ordered: list[CodeObject] = []
    waiting = list(views)
    while waiting:
        # A column may be called like a view, so that two seem to stand on one another: then any may come first.
        free = [one for one in waiting if not any(one.name.lower() in named[other.name] for other in waiting)]
        ordered += free or waiting[:1]
        waiting = [one for one in waiting if one not in ordered]
    return ordered


def give_definers(
    target: MysqlTarget, connection: MysqlConnection, database: str, clauses: dict[str, bytes]
) -> Iterator[str]:
    """Give the views of `database`, ours until now, their DEFINER clauses; yield the names of those that stay ours."""
    ours = tuple(read_code(target, connection, "VIEW", name) for name in clauses)
    for one in dependents_first(ours):
        try:
            for _sql in make(target, connection, database, with_definer(one, clauses[one.name]), database):
                pass
        except ServerError:
            yield one.name
