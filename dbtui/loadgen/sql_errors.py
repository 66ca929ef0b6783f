"""Which kind of error a driver's exception is: a server's code, or a word for what has no code."""

import psycopg2
import pymysql

#: What libpq says in words only; the texts are the server's or the pooler's.
_POSTGRESQL_WORDS = (
    ("connection refused", "refused"),
    ("no such file or directory", "refused"),
    ("timeout expired", "timeout"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("no more connections allowed", "53300"),
    ("query_wait_timeout", "query_wait_timeout"),
    ("reset by peer", "reset"),
    ("closed the connection", "lost"),
    ("authentication failed", "28P01"),
)
#: Errors that mean that the connection is gone: client-side numbers of MySQL's errmsg.h.
_MYSQL_LOST = {2003: "refused", 2002: "refused", 2006: "lost", 2013: "lost", 2055: "lost"}


def describe_postgresql(error: psycopg2.Error) -> str:
    """Return the SQLSTATE, or a word."""
    if error.pgcode:
        return error.pgcode
    text = str(error).lower()
    return next((kind for words, kind in _POSTGRESQL_WORDS if words in text), "no connection")


def describe_mysql(error: Exception) -> str:
    """Return the server's error number, or a word."""
    if isinstance(error, OSError):
        return "timeout" if isinstance(error, TimeoutError) else "reset"
    number = error.args[0] if isinstance(error, pymysql.Error) and error.args else 0
    if number in (2003, 2013) and "timed out" in str(error):
        return "timeout"
    return _MYSQL_LOST.get(number, str(number) if number else "no connection")
