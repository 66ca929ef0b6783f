"""Engines with a QueuePool that the environment sizes, that keeps count, and whose connections say whose they are."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext import asyncio
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from dbtui.errors import UsageError
from dbtui.instrument.metered_pool import metered_class
from dbtui.instrument.settings import read_pool_options
from dbtui.model.text import format_untrusted
from dbtui.model.urls import parse_database_url, redact_url

_DRIVERS = {
    "postgresql": "postgresql+psycopg2",
    "postgres": "postgresql+psycopg2",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
#: Drivers by the name of the option that says which program connects.
_NAMING = {
    "psycopg2": "application_name",
    "psycopg": "application_name",
    "pg8000": "application_name",
    "asyncpg": "server_settings",
    "pymysql": "program_name",
    "aiomysql": "program_name",
}
_LONGEST_NAME = 63  # bytes of a PostgreSQL identifier, which application_name is cut to


def create_engine(url: str | URL, *, service: str = "", **options: Any) -> Engine:
    """Return an Engine with a pool that keeps count, sized by DB_POOL_SIZE, DB_MAX_OVERFLOW and DB_POOL_TIMEOUT.

    postgresql:// and postgres:// mean psycopg2, mysql:// and mariadb:// PyMySQL; a URL may name another driver.
    `options` are those of SQLAlchemy's create_engine and win over the environment; connections are tested before use
    unless pool_pre_ping is False. Connections carry `service` (the program's name) and the process's number as
    application_name or program_name, unless the URL or connect_args say otherwise.
    Raises UsageError for a variable or URL that is wrong.
    """
    parsed = parse_url(url)
    engine = sqlalchemy.create_engine(parsed, **_pool_options(parsed, options, QueuePool))
    _name_connections(engine, service, options)
    return engine


def create_async_engine(url: str | URL, *, service: str = "", **options: Any) -> AsyncEngine:
    """Return an AsyncEngine with the same pool, settings and names. The URL names its asyncio driver.

    Raises UsageError for a variable or URL that is wrong.
    """
    parsed = parse_url(url, is_async=True)
    engine = asyncio.create_async_engine(parsed, **_pool_options(parsed, options, AsyncAdaptedQueuePool))
    _name_connections(engine.sync_engine, service, options)
    return engine


def parse_url(url: str | URL, *, is_async: bool = False) -> URL:
    """Return a URL with the driver that it means. Raises UsageError, whose text never holds the password."""
    if isinstance(url, str):
        scheme, separator, _ = url.strip().partition("://")
        scheme = scheme.lower()
        if separator and scheme in _DRIVERS and not is_async:
            return _translate(url, _DRIVERS[scheme])
        parsed = _make_url(url)
    else:
        parsed = url
    if parsed.drivername in ("sqlite", *_DRIVERS) and is_async:
        wrong = f"the URL {redact_url(str(url))!r} names no asyncio driver"
        raise UsageError(
            wrong, "write postgresql+asyncpg://, postgresql+psycopg://, mysql+aiomysql:// or sqlite+aiosqlite://"
        )
    dialect, plus, driver = parsed.drivername.partition("+")
    if not plus:
        return parsed.set(drivername=_DRIVERS.get(dialect, dialect))
    return parsed.set(drivername=f"postgresql+{driver}") if dialect == "postgres" else parsed


def _translate(url: str, drivername: str) -> URL:
    """Read a URL as every other part of dbtui does, and return it as SQLAlchemy takes it."""
    parts = parse_database_url(url)
    query: dict[str, list[str]] = {}
    for key, value in parts.query:
        query.setdefault(key, []).append(value)
    host, port = parts.hosts, ""
    if "," in parts.hosts:
        query["host"], host = parts.hosts.split(","), ""
    elif not parts.hosts.endswith("]"):
        name, colon, number = parts.hosts.rpartition(":")
        host, port = (name, number) if colon else (number, "")
    return URL.create(
        drivername,
        username=parts.user or None,
        password=parts.password.reveal() if parts.password else None,
        host=host.strip("[]") or None,
        port=int(port) if port else None,
        database=parts.database or None,
        query={key: values[0] if len(values) == 1 else tuple(values) for key, values in query.items()},
    )


def _make_url(url: str) -> URL:
    try:
        return make_url(url.strip())
    except (ArgumentError, ValueError):
        wrong = f"{redact_url(url)!r} is not a URL of a database"
        raise UsageError(wrong, "write postgresql://user@host:5432/database") from None


def _pool_options(url: URL, options: Mapping[str, Any], plain: type[QueuePool]) -> dict[str, Any]:
    """Return the options for SQLAlchemy: those given, and the pool's where a QueuePool can be."""
    chosen = options.get("poolclass")
    if "pool" in options or _is_in_memory(url) or (chosen and not issubclass(chosen, QueuePool)):
        return dict(options)
    return {
        "pool_pre_ping": True,
        **read_pool_options(os.environ, options),
        **options,
        "poolclass": metered_class(chosen or plain),
    }


def _is_in_memory(url: URL) -> bool:
    """Whether every connection would be another, empty database: one that cannot be pooled in a queue."""
    if url.get_backend_name() != "sqlite":
        return False
    return url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"


def _name_connections(engine: Engine, service: str, options: Mapping[str, Any]) -> None:
    """Let each new connection say whose it is: by the process that makes it, which may be a forked child."""
    key = _NAMING.get(engine.dialect.driver)
    given = (*engine.url.query, *options.get("connect_args", {}))
    if key is None or "creator" in options or key in given or (key == "application_name" and "PGAPPNAME" in os.environ):
        return
    program = format_untrusted(service or _program_name())

    def add_name(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        suffix = f":{os.getpid()}"
        name = program.encode()[: _LONGEST_NAME - len(suffix)].decode(errors="ignore") + suffix
        parameters[key] = {"application_name": name} if key == "server_settings" else name

    event.listen(engine, "do_connect", add_name)


def _program_name() -> str:
    path = Path(sys.argv[0] if sys.argv else "")
    return (path.parent.name if path.name == "__main__.py" else path.stem) or "python"
