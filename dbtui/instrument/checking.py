"""`assert_no_n_plus_one` for tests and `warn_n_plus_one` for development: told in the application's own words."""

import functools
import inspect
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import QueryableAttribute

from dbtui.errors import DbtuiError
from dbtui.instrument.engine_choice import Source, engines_of
from dbtui.instrument.patterns import THRESHOLD, Pattern, PatternCounter
from dbtui.instrument.taps import Sighting, Tap, open_tap

Allowed = str | QueryableAttribute[Any]
_Function = TypeVar("_Function", bound=Callable[..., Any])
_MOST_WARNINGS = 10_000


class NPlusOneFound(DbtuiError, AssertionError):
    """Statements were repeated for one object after the other. `patterns`: which, the most often repeated first."""

    def __init__(self, patterns: list[Pattern]) -> None:
        number = f"{len(patterns)} N+1 pattern{'s' if len(patterns) > 1 else ''}"
        super().__init__("\n\n  ".join([f"{number}:", *(each.describe() for each in patterns)]))
        self.patterns = patterns


class NPlusOneWarning(UserWarning):
    """A statement is repeated for one object after the other."""


def assert_no_n_plus_one(
    engine: Source | Iterable[Source] | None = None,
    *,
    threshold: int = THRESHOLD,
    allow: Iterable[Allowed] | Allowed = (),
) -> "NPlusOneCheck":
    """Return a context manager and decorator, also of async functions, that fails when statements were repeated.

    `engine`: an engine, a session, or several; without it all engines of the process. Failing are loads of the ORM, for
    the same attribute, in the same session and from the same place, `threshold` times or more; and queries with the
    same text from the same place and different values, unless each is in a transaction of its own or goes with a write.
    What other threads run on the engine counts, too. `allow`: attributes (Post.comments), or patterns of attributes
    ("Post.*"), places ("app/audit.py:*") and statements that may be repeated.

    Raises NPlusOneFound, an AssertionError, at the end; UsageError for a source without an engine.
    """
    return NPlusOneCheck(_taps_of(engine), threshold, _listed(allow))


def warn_n_plus_one(
    engine: Source | Iterable[Source] | None = None,
    *,
    threshold: int = THRESHOLD,
    allow: Iterable[Allowed] | Allowed = (),
) -> "NPlusOneWatch":
    """Warn from now on, once for each pattern, with a NPlusOneWarning at the line of the application that repeats it.

    For development: it costs more than recording. The arguments are those of `assert_no_n_plus_one`. Returns what stops
    it, which is also a context manager.
    """
    return NPlusOneWatch(_taps_of(engine), threshold, _listed(allow))


def _taps_of(engine: Source | Iterable[Source] | None) -> list[Tap]:
    return [open_tap(each) for each in ((Engine,) if engine is None else engines_of(engine))]


def _listed(allow: Iterable[Allowed] | Allowed) -> list[Allowed]:
    return [allow] if isinstance(allow, str | QueryableAttribute) else list(allow)


class NPlusOneCheck:
    """Counts within a `with` block. `patterns` tells what it found so far, or had found at the end."""

    def __init__(self, taps: list[Tap], threshold: int, allow: list[Allowed]) -> None:
        self._taps = taps
        self._threshold = threshold
        self._allow = allow
        self._counter = PatternCounter(threshold, allow)

    @property
    def patterns(self) -> list[Pattern]:
        """What is repeated."""
        return self._counter.patterns()

    def __enter__(self) -> Self:
        self._counter = PatternCounter(self._threshold, self._allow)
        for tap in self._taps:
            tap.add(self._counter.count)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for tap in self._taps:
            tap.remove(self._counter.count)
        if kind is None and (found := self.patterns):
            raise NPlusOneFound(found)

    def __call__(self, function: _Function) -> _Function:
        """Return `function`, checked each time that it is called."""
        wrapped: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapped(*args: Any, **kwargs: Any) -> Any:
                with NPlusOneCheck(self._taps, self._threshold, self._allow):
                    return await function(*args, **kwargs)
        else:

            @functools.wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                with NPlusOneCheck(self._taps, self._threshold, self._allow):
                    return function(*args, **kwargs)

        checked: _Function = wrapped
        return checked


class NPlusOneWatch:
    """Warns until it is stopped."""

    def __init__(self, taps: list[Tap], threshold: int, allow: list[Allowed]) -> None:
        self._taps = taps
        self._counter = PatternCounter(threshold, allow)
        self._told: set[tuple[str, str, str]] = set()
        self._lock = threading.Lock()
        for tap in taps:
            tap.add(self._listen)

    def stop(self) -> None:
        """Warn no more. May be called twice."""
        for tap in self._taps:
            tap.remove(self._listen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listen(self, seen: Sighting) -> None:
        pattern, site = self._counter.count(seen), seen.site
        if pattern is not None and self._is_new(pattern):
            path, line = site.path or "<unknown>", site.line or 1
            message = f"N+1: {pattern.describe()}"
            warnings.warn_explicit(message, NPlusOneWarning, path, line, module=site.module or None)

    def _is_new(self, pattern: Pattern) -> bool:
        key = (pattern.name or pattern.sql, pattern.load.kind if pattern.load else "", pattern.site.text)
        with self._lock:
            if key in self._told or len(self._told) >= _MOST_WARNINGS:
                return False
            self._told.add(key)
            return True
