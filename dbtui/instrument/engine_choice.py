"""Whose statements are meant: of an engine, of a session's engines, or of several."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from dbtui.errors import UsageError

#: What `engines_of` takes, besides several of them.
Source = (
    Engine | AsyncEngine | Connection | AsyncConnection | Session | AsyncSession | sessionmaker[Any]
    | async_sessionmaker[Any] | scoped_session[Any] | async_scoped_session[Any]
)  # fmt: skip

_SOURCES = (
    Engine, AsyncEngine, Connection, AsyncConnection, Session, AsyncSession, sessionmaker, async_sessionmaker,
    scoped_session, async_scoped_session,
)  # fmt: skip
_CURE = "give an Engine, AsyncEngine, Session, AsyncSession or sessionmaker that is bound to an engine"


def engines_of(source: Source | Iterable[Source]) -> tuple[Engine, ...]:
    """Return the engines that are meant, each once. Raises UsageError for anything else, and where there is none."""
    found: dict[Engine, None] = {}
    for each in [source] if isinstance(source, _SOURCES) else _each_of(source):
        found.update(dict.fromkeys(_engines_of_one(each)))
    if not found:
        raise UsageError("a list without an engine has no statements", _CURE)
    return tuple(found)


def _each_of(sources: object) -> list[object]:
    if isinstance(sources, str | bytes) or not isinstance(sources, Iterable):
        raise UsageError(f"a {type(sources).__name__} has no statements", _CURE)
    return list(sources)


def _engines_of_one(source: Any) -> list[Engine]:
    if isinstance(source, AsyncEngine):
        return [source.sync_engine]
    if isinstance(source, Engine):
        return [source]
    if isinstance(source, AsyncConnection | Connection):
        return _engines_of_one(source.engine)
    if isinstance(source, scoped_session | async_scoped_session):
        return _engines_of_one(source.session_factory)
    if isinstance(source, sessionmaker | async_sessionmaker):
        return _engines_bound(source.kw.get("bind"), source.kw.get("binds"), source)
    if isinstance(source, AsyncSession):
        return _engines_bound(source.bind, source.binds, source) if source.bind or source.binds else _engines_of_one(
            source.sync_session)  # fmt: skip
    if isinstance(source, Session):
        return _engines_bound(source.bind, getattr(source, "_Session__binds", None), source)
    raise UsageError(f"a {type(source).__name__} has no statements", _CURE)


def _engines_bound(bind: Any, binds: Any, source: object) -> list[Engine]:
    bound = [each for each in (bind, *(binds or {}).values()) if each is not None]
    if not bound:
        raise UsageError(f"the {type(source).__name__} is bound to no engine", _CURE)
    return [engine for each in bound for engine in _engines_of_one(each)]
