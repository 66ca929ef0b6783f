"""Telling dbtui's own statements from an application's where a server sums them up without saying who asked."""

import re
from functools import cache
from importlib.resources import files

from dbtui.adapters.queries import parse_queries

_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
#: What a server replaces by a sign of its own: strings, parameters of ours and of others, numbers.
_VALUES = re.compile(r"'(?:[^']|'')*'|\$\d+|(?<![:\w]):[a-z_]\w*|%\(\w+\)s|(?<![\w.])\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W_][\w$]*|_\w+")
#: What drivers write for a value, and servers replace or keep; the field of extract() is a value to PostgreSQL.
_VALUE_WORDS = frozenset(("ARRAY", "TRUE", "FALSE", "NULL", "EPOCH"))
#: What servers call otherwise than we do.
_SYNONYMS = {"SQL_TSI_SECOND": "SECOND", "SYSTEM_USER": "USER", "SESSION_USER": "USER"}
#: A statement of fewer words could be anybody's.
_FEWEST_WORDS = 4
_MARK = "DBTUI"
#: What restores set, release and roll back to.
_SAVEPOINT = "SAVEPOINT dbtui"


def squeeze(sql: str) -> str:
    """Return the words of a statement alone, in capitals: two that differ in values and spaces are the same then."""
    words = (word.upper() for word in _WORD.findall(_VALUES.sub(" ", _COMMENT.sub(" ", sql))))
    return " ".join(_SYNONYMS.get(word, word) for word in words if word not in _VALUE_WORDS)


@cache
def own_statements(package: str) -> frozenset[str]:
    """Return the statements of an adapter's queries.sql: squeezed, and those without values as they are."""
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    parts = {part for variants in parse_queries(text).values() for _, sql in variants for part in sql.split(";")}
    squeezed = {squeeze(part) for part in parts}
    telling = {each for each in squeezed if each.count(" ") + 1 >= _FEWEST_WORDS or _MARK in each}
    return frozenset(telling | {" ".join(part.split()) for part in parts if part.strip()})


def is_own(sql: str, package: str) -> bool:
    """Whether a server's text of a statement is one of the adapter's in `package`."""
    own = own_statements(package)
    return squeeze(sql) in own or " ".join(sql.split()) in own or sql.endswith(_SAVEPOINT)
