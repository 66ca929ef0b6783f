"""Which statements plainly read. Those may be served by a replica; everything else goes to the primary.

A SELECT reads plainly unless it, or anything inside it, locks rows, changes rows, calls a function that is not known to
be harmless, has hints or prefixes, or holds text with a parenthesis, which could call anything. text() reads plainly
when it is marked with the execution option `dbtui_read_from="replica"`, and then it is believed.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import CompoundSelect, Select, TextClause, TextualSelect
from sqlalchemy.orm import FromStatement
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.functions import FunctionElement

from dbtui.errors import UsageError
from dbtui.instrument.routing_functions import HARMLESS

#: The execution option that says where one statement reads: "replica" or "primary".
OPTION = "dbtui_read_from"
REPLICA, PRIMARY = "replica", "primary"

_MOST_REMEMBERED = 2000
_SELECTS = (Select, CompoundSelect)


class StatementRules:
    """Tells whether a statement plainly reads, and remembers the answer for each shape of statement."""

    def __init__(self, harmless_functions: Iterable[str] = ()) -> None:
        """`harmless_functions`: the application's own that change nothing, and take no lock, as `name` or
        `schema.name`."""
        self._harmless = HARMLESS | {name.lower() for name in harmless_functions}
        self._known: dict[Any, bool] = {}

    def reads(self, statement: Any, is_marked: bool) -> bool:
        """Whether a replica may serve it. `is_marked`: the application says so, which is believed of what is called."""
        if not isinstance(statement, _SELECTS):
            return self._judge(statement, is_marked)
        made = statement._generate_cache_key()  # SQLAlchemy remembers it, and asks for it again when it compiles
        if made is None:
            return self._judge(statement, is_marked)
        key = (made.key, is_marked)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            known = self._known[key] = self._judge(statement, is_marked)
        return known

    def _judge(self, statement: Any, is_marked: bool) -> bool:
        if isinstance(statement, FromStatement):
            return self._judge(statement.element, is_marked)
        if isinstance(statement, (*_SELECTS, FunctionElement)):
            return all(self._is_harmless(each, is_marked) for each in visitors.iterate(statement))
        return is_marked and _is_text(statement)

    def _is_harmless(self, element: Any, is_marked: bool) -> bool:
        if getattr(element, "is_dml", False) or getattr(element, "_for_update_arg", None) is not None:
            return False
        if is_marked:
            return True
        if isinstance(element, FunctionElement):
            return self._names_harmless(element)
        if isinstance(element, TextClause):
            return "(" not in element.text
        if isinstance(element, ColumnClause):
            return not element.is_literal or "(" not in str(element.name)
        return not (_is_text(element) or _has_words_of_its_own(element))

    def _names_harmless(self, function: Any) -> bool:
        name = str(getattr(function, "name", "")).lower()
        packages = [str(each).lower() for each in getattr(function, "packagenames", ())]
        if packages in ([], ["pg_catalog"]):
            return name in self._harmless
        return ".".join([*packages, name]) in self._harmless


def is_replica(place: object) -> bool:
    """Whether the execution option names a replica. Raises UsageError when it names no place."""
    if place not in (REPLICA, PRIMARY):
        raise UsageError(f"{OPTION}={place!r} is no place to read from", f'write "{REPLICA}" or "{PRIMARY}"')
    return place == REPLICA


def _is_text(element: Any) -> bool:
    return isinstance(element, TextClause | TextualSelect) or bool(getattr(element, "_is_text_clause", False))


def _has_words_of_its_own(element: Any) -> bool:
    return any(getattr(element, name, None) for name in ("_prefixes", "_suffixes", "_statement_hints", "_hints"))
