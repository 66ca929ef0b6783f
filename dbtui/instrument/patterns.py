"""Counts statements that are repeated for one object after the other, as they run."""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy.orm import QueryableAttribute

from dbtui.errors import UsageError
from dbtui.instrument.call_sites import CallSite
from dbtui.instrument.cures import describe_cure
from dbtui.instrument.orm_loads import REPEATING_KINDS, OrmLoad
from dbtui.instrument.taps import Sighting
from dbtui.instrument.trace_lines import mask_sql
from dbtui.model.text import format_untrusted

THRESHOLD = 3
_MOST_PATTERNS = 10_000
_MOST_VALUES = 1_000
_SHOWN_SQL = 300

_READS = re.compile(r"\s*(?:SELECT|WITH)\b.*?\sFROM\s", re.IGNORECASE | re.DOTALL)
_WRITES = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|MERGE|REPLACE)\b", re.IGNORECASE)
#: Chunks of values, and rows that are locked one by one, are meant to be repeated.
_MEANT = re.compile(r"\bIN\s*\([^()]*,|\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b|\bFOR\s+(?:KEY\s+)?SHARE\b", re.IGNORECASE)

_KINDS = {
    "lazy": "loaded lazily, by a statement for each object",
    "immediate": "loaded by a statement for each object",
    "dynamic": "a dynamic collection, read by a statement for each object",
    "column": "a deferred column, loaded by a statement for each object",
    "refresh": "expired or refreshed, and loaded again by a statement for each object",
    "polymorphic": "a column of a child class, loaded by a statement for each object",
}


@dataclass
class Pattern:
    """One statement that is repeated. `name`: the attribute, of a refresh the class, "" for the application's own."""

    sql: str
    site: CallSite
    load: OrmLoad | None
    count: int = 0
    writes_before: int = 0
    writes: int = 0
    transactions: set[tuple[str, str]] = field(default_factory=set)
    values: set[int] = field(default_factory=set)

    @property
    def name(self) -> str:
        """What is loaded, as it is written: `Post.comments`."""
        return self.load.name if self.load else ""

    def is_repeated(self, threshold: int) -> bool:
        """Whether it is an N+1: of the ORM's own loads the number is enough.

        A statement of the application must be asked with different values, not once in each transaction, as requests
        do, and not once for each row that is written.
        """
        if self.count < threshold:
            return False
        if self.load is not None:
            return True
        in_one = len(self.transactions) < self.count
        return in_one and len(self.values) > 1 and self.writes - self.writes_before < (self.count - 1) / 2

    def describe(self) -> str:
        """Return what is repeated, how often, from where, and what to write instead, in a few lines."""
        what = f"{self.name} is {_KINDS[self.load.kind]}" if self.load else "a statement is repeated with other values"
        where = self.site.text or "an unknown place"
        lines = [f"{what}: {self.count} times at {where}", f"one of them: {format_sql(self.sql)}"]
        return "\n    ".join([*lines, *describe_cure(self.load)])


class PatternCounter:
    """Counts the statements that it is told of, in units of work: a request scope, or a session of the ORM."""

    def __init__(self, threshold: int, allow: Iterable[str | QueryableAttribute[Any]]) -> None:
        """Raises UsageError for a threshold below 2, or something in `allow` that is no text and no attribute."""
        if threshold < 2:
            raise UsageError(f"threshold={threshold!r} would find what is not repeated", "give 2 or more")
        self._threshold = threshold
        self._allow = [_read_allowed(each) for each in allow]
        self._patterns: OrderedDict[tuple[object, ...], Pattern] = OrderedDict()
        self._writes: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.RLock()

    def count(self, seen: Sighting) -> Pattern | None:
        """Count a statement; returns its pattern when it has just become one that is repeated too often."""
        with self._lock:
            pattern = self._find(seen)
            if pattern is None:
                return None
            was = pattern.is_repeated(self._threshold)
            pattern.count += 1
            if pattern.load is None:
                pattern.transactions.add((seen.line.name, seen.transaction))
                pattern.writes = self._writes.get(seen.line.name, 0)
                if len(pattern.values) < _MOST_VALUES:
                    pattern.values.add(hash(repr(seen.params)))
            is_new = not was and pattern.is_repeated(self._threshold)
            return pattern if is_new and not self._is_allowed(pattern) else None

    def patterns(self) -> list[Pattern]:
        """Return what is repeated too often, the most often first."""
        with self._lock:
            found = [each for each in self._patterns.values() if each.is_repeated(self._threshold)]
        return sorted((each for each in found if not self._is_allowed(each)), key=lambda each: -each.count)

    def _find(self, seen: Sighting) -> Pattern | None:
        load = seen.load
        if load is not None and load.kind in REPEATING_KINDS:
            return self._remember((seen.scope, load.session_id, load.kind, load.name, seen.site.text), seen, load)
        if _WRITES.match(seen.sql):
            self._count_write(seen.line.name)
            return None
        is_own = load is None or load.kind == "joined"
        if not is_own or not seen.params or not _READS.match(seen.sql) or _MEANT.search(seen.sql):
            return None
        return self._remember((seen.scope, seen.sql, seen.site.text), seen, None)

    def _remember(self, key: tuple[object, ...], seen: Sighting, load: OrmLoad | None) -> Pattern:
        pattern = self._patterns.get(key)
        if pattern is None:
            before = self._writes.get(seen.line.name, 0)
            pattern = self._patterns[key] = Pattern(seen.sql, seen.site, load, writes_before=before, writes=before)
            if len(self._patterns) > _MOST_PATTERNS:
                self._patterns.popitem(last=False)
        return pattern

    def _count_write(self, session: str) -> None:
        self._writes[session] = self._writes.get(session, 0) + 1
        if len(self._writes) > _MOST_PATTERNS:
            self._writes.popitem(last=False)

    def _is_allowed(self, pattern: Pattern) -> bool:
        texts = [pattern.name, pattern.site.text, " ".join(pattern.sql.split())]
        return any(fnmatchcase(text, allowed) for allowed in self._allow for text in texts if text)


def format_sql(sql: str) -> str:
    """Return a statement on one line, cut, and without passwords."""
    return format_untrusted(" ".join(mask_sql(sql).split()), _SHOWN_SQL)


def _read_allowed(given: object) -> str:
    if isinstance(given, QueryableAttribute):
        return f"{given.property.parent.class_.__name__}.{given.key}"
    if isinstance(given, str):
        return given
    wrong = f"allow has a {type(given).__name__}"
    raise UsageError(
        wrong, 'give Post.comments, "Post.*", a place such as "app/audit.py:*", or "SELECT * FROM settings*"'
    )
