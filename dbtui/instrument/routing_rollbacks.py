"""No rollback on a replica fails: there is nothing to undo where nothing was written."""

from sqlalchemy import Connection, Engine, event


def guard_rollbacks(engine: Engine) -> None:
    """Let a connection that is broken be dropped when it is rolled back, without an error.

    Otherwise a replica that goes away after the last read of a transaction lets `Session.rollback` raise an error.
    """
    if not event.contains(engine, "rollback", _roll_back):
        event.listen(engine, "rollback", _roll_back)


def _roll_back(connection: Connection) -> None:
    """Roll back before SQLAlchemy does, which then has nothing left to do."""
    if connection.closed or connection.invalidated:
        return
    try:
        connection.dialect.do_rollback(connection.connection)
    except Exception as error:
        connection.invalidate(error)
