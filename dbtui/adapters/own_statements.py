"""Telling dbtui's own statements from an application's where a server sums them up without saying who asked."""

import re
from functools import cache
from importlib.resources import files

from dbtui.adapters.queries import parse_queries

_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
#: What a server replaces by a sign of its own: strings, parameters of ours and of others, numbers.
_VALUES = re.compile(r"'(?:[^']|'')*'|\$\d+|(?<![:\w]):[a-z_]\w*|%\(\w+\)s|(?<![\w.])\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W_][\w$]*|_\w+")
#: What drivers write for a value, and servers replace or keep.
_VALUE_WORDS = frozenset(("ARRAY", "TRUE", "FALSE", "NULL"))
_FEWEST_WORDS = 4
_MARK = "DBTUI"


def squeeze(sql: str) -> str:
    """Return the words of a statement alone, in capitals: two that differ in values and spaces are the same then."""
    words = (word.upper() for word in _WORD.findall(_VALUES.sub(" ", _COMMENT.sub(" ", sql))))
    return " ".join(word for word in words if word not in _VALUE_WORDS)


@cache
def own_statements(package: str) -> frozenset[str]:
    """Return the statements of an adapter's queries.sql, squeezed; those of few words could be anybody's."""
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    squeezed = {
        squeeze(part) for variants in parse_queries(text).values() for _, sql in variants for part in sql.split(";")
    }
    return frozenset(each for each in squeezed if each.count(" ") + 1 >= _FEWEST_WORDS or _MARK in each)


def is_own(sql: str, package: str) -> bool:
    """Whether a server's text of a statement is one of the adapter's in `package`."""
    return squeeze(sql) in own_statements(package)
