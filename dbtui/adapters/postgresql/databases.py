"""Whole databases: what is there, making one like another, swapping two by name, dropping one."""

import time
from collections.abc import Iterator
from typing import Any

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.database_properties import copy_statements
from dbtui.adapters.postgresql.session_ender import SessionEnder
from dbtui.adapters.postgresql.sql import quote_name, quote_text
from dbtui.errors import ConnectError, ServerError
from dbtui.model.backups import DestinationFacts, SessionBrief
from dbtui.model.connections import EngineName
from dbtui.model.events import CommandRan, Routine, StepFinished
from dbtui.model.names import derive_name, restored_suffix
from dbtui.model.text import format_untrusted


def collect_destination(target: PostgresqlTarget, database: str) -> DestinationFacts:
    """Look at the database a restore would fill. One that cannot be looked into counts as not empty."""
    rows = target.collect("collect_database", database=database)
    if not rows:
        return DestinationFacts(database=database, exists=False)
    tables = _count_tables(target, database) if rows[0].is_open else 1
    sessions = tuple(
        SessionBrief(row.process_id, row.login, row.application, row.client, row.state)
        for row in target.collect("collect_sessions_of", database=database, own=target.own_processes())
    )
    return DestinationFacts(
        database=database, exists=True, tables=tables, size_bytes=rows[0].size_bytes, sessions=sessions
    )


def _count_tables(target: PostgresqlTarget, database: str) -> int:
    """Count tables; a database with nothing but other objects is not empty either, nor one that lets us not in."""
    try:
        with target.working(database) as connection:
            found = target.collect_one("collect_objects", connection)
    except ConnectError:
        return 1
    tables: int = found.tables or min(found.others, 1)
    return tables


def create_database(target: PostgresqlTarget, database: str, like: str) -> None:
    """Create an empty database from template0, with the encoding, locale, owner and tablespace of `like`, if given.

    Raises ServerError, RefusedError (read-only profile).
    """
    target.refuse_read_only(f"creating database {format_untrusted(database)}")
    source = like or "template0"
    shapes = target.collect("collect_database_shape", database=source)
    if not shapes:
        raise ServerError(f"database {format_untrusted(source)} does not exist", "plan the restore again", code="3D000")
    words = _words_like(shapes[0]) if like else _words_new(shapes[0])
    sql = f"CREATE DATABASE {quote_name(database)} TEMPLATE template0 {' '.join(words)}"
    with (
        target.working(target.maintenance_database(database), autocommit=True) as connection,
        target.translating(f"creating database {format_untrusted(database)}"),
    ):
        _execute(connection, sql)


def _words_like(shape: Any) -> Iterator[str]:
    yield f"ENCODING {quote_text(shape.encoding)}"
    yield f"LC_COLLATE {quote_text(shape.lc_collate)} LC_CTYPE {quote_text(shape.lc_ctype)}"
    if shape.provider == "i":
        yield f"LOCALE_PROVIDER icu ICU_LOCALE {quote_text(shape.locale)}"
        if shape.rules:
            yield f"ICU_RULES {quote_text(shape.rules)}"
    elif shape.provider == "b":
        yield f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {quote_text(shape.locale)}"
    if shape.can_own:
        yield f"OWNER {quote_name(shape.owner)}"
    if shape.tablespace_name != "pg_default":
        yield f"TABLESPACE {quote_name(shape.tablespace_name)}"


def _words_new(shape: Any) -> Iterator[str]:
    """UTF-8, which can hold what comes; in the server's own locale where that goes together."""
    yield "ENCODING 'UTF8'"
    if shape.encoding != "UTF8" and shape.lc_ctype not in ("C", "POSIX"):
        yield "LC_COLLATE 'C' LC_CTYPE 'C'"


def swap_database(target: PostgresqlTarget, live: str, fresh: str, kept: str) -> Routine[None]:
    """Make `fresh` the database called `live`; the old one becomes `kept` and takes no connections.

    Owner, grants, settings, comment and connection limit are copied before anything else. Both are renamed in one
    transaction: whoever is connected is disconnected while the first rename waits for that with the database locked,
    and whoever connects meanwhile waits. So nothing is left half done, not even when this process is killed.
    Raises ServerError, Cancelled, RefusedError.
    """
    target.refuse_read_only(f"replacing database {format_untrusted(live)}")
    began = time.monotonic()
    place = target.maintenance_database(live, fresh)
    with target.working(place, autocommit=True) as connection:
        for sql in copy_statements(target, connection, live, fresh):
            with target.translating(format_untrusted(sql, 200)):
                _execute(connection, sql)
            yield CommandRan(sql)
    target.leave(live, fresh)
    target.cancellation.check()
    statements = _swap_statements(live, fresh, kept)
    what = f"renaming {format_untrusted(fresh)} to {format_untrusted(live)}"
    # Nothing interrupts this connection: it is closed in a moment, and then the transaction is done or undone.
    with (
        target.working(place, autocommit=True, shielded=True) as connection,
        SessionEnder(target, place, (live, fresh)) as ender,
        ender.preferred(),
        target.translating(what),
    ):
        for sql in statements:
            _execute(connection, sql)
    if ender.ended:
        yield CommandRan(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {quote_text(live)}"  # noqa: S608
            f" -- sessions {', '.join(str(each) for each in sorted(ender.ended))}"
        )
    yield CommandRan("; ".join(statements))
    yield StepFinished(
        "keep", time.monotonic() - began, f"{kept} takes no connections; to go back: {undo_sql(live, kept)}"
    )


def _swap_statements(live: str, fresh: str, kept: str) -> tuple[str, ...]:
    return (
        "BEGIN",
        f"ALTER DATABASE {quote_name(live)} RENAME TO {quote_name(kept)}",
        f"ALTER DATABASE {quote_name(fresh)} RENAME TO {quote_name(live)}",
        f"ALTER DATABASE {quote_name(kept)} ALLOW_CONNECTIONS false",
        "COMMIT",
    )


def undo_sql(live: str, kept: str) -> str:
    """Return the SQL that makes the kept database the live one again."""
    aside = derive_name(EngineName.POSTGRESQL, live, restored_suffix())
    return (
        f"ALTER DATABASE {quote_name(live)} RENAME TO {quote_name(aside)}; "
        f"ALTER DATABASE {quote_name(kept)} RENAME TO {quote_name(live)}; "
        f"ALTER DATABASE {quote_name(live)} ALLOW_CONNECTIONS true"
    )


def _execute(connection: Connection, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def drop_database(target: PostgresqlTarget, database: str) -> None:
    """Drop a database, ending its sessions. No error if it is not there. Not interrupted by a cancelled run."""
    target.refuse_read_only(f"dropping database {format_untrusted(database)}")
    target.leave(database)
    place = target.maintenance_database(database)
    with (
        target.working(place, autocommit=True, shielded=True) as connection,
        target.translating(f"dropping database {format_untrusted(database)}"),
    ):
        _execute(connection, f"DROP DATABASE IF EXISTS {quote_name(database)} WITH (FORCE)")
