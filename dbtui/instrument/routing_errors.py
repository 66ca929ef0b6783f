"""What an error of a replica means for a read: try elsewhere, ask the primary, or tell the application."""

from enum import Enum

from sqlalchemy.exc import DBAPIError

#: The server ends, or begins, and takes nobody in (PostgreSQL manual, appendix A, class 57).
_ENDING = frozenset(("57P01", "57P02", "57P03", "57P05"))
#: The replica had to cancel the query to go on replaying; another one, or another time, may serve it.
_CONFLICTS = frozenset(("40001", "40P01"))
#: What a replica cannot do (25006, 55000, 0A000), and what it may not have replayed yet: tables, columns, types,
#: functions, schemas.
_NOT_HERE = frozenset(("25006", "55000", "0A000", "42P01", "42703", "42704", "42883", "3F000"))
#: No resources, trouble with its files, internal errors and damaged data: of this server alone.
_OWN_TROUBLE = ("53", "58", "XX")
#: The same of MySQL and MariaDB, by number: shutting down, lost, killed.
_MYSQL_ENDING = frozenset((1053, 1077, 1079, 1152, 1184, 1927, 2006, 2013, 2055))
_MYSQL_NOT_HERE = frozenset((1049, 1054, 1146, 1290, 1305, 1792, 1836))
_MYSQL_CONFLICTS = frozenset((1205, 1213))


class Verdict(Enum):
    """What to do with a read that failed on a replica."""

    OUTAGE = "the replica is gone: read elsewhere, and keep away from it until it answers again"
    ELSEWHERE = "the replica is well: read elsewhere this time"
    PRIMARY = "the primary can do it, or knows better"
    RAISE = "the application's own error"


def judge_error(error: BaseException) -> Verdict:
    """Say what an error that a statement on a replica raised means for that read."""
    if isinstance(error, OSError):  # of an asyncio driver, which SQLAlchemy hands on as it is
        return Verdict.OUTAGE
    if not isinstance(error, DBAPIError):
        return Verdict.RAISE
    code = error_code(error)
    if error.connection_invalidated or code in _ENDING or code in _MYSQL_ENDING:
        return Verdict.OUTAGE
    if code in _CONFLICTS or code in _MYSQL_CONFLICTS:
        return Verdict.ELSEWHERE
    if code in _NOT_HERE or code in _MYSQL_NOT_HERE or (isinstance(code, str) and code[:2] in _OWN_TROUBLE):
        return Verdict.PRIMARY
    return Verdict.RAISE


def error_code(error: DBAPIError) -> str | int:
    """The SQLSTATE of PostgreSQL or the number of MySQL behind an error, "" when there is none."""
    original = error.orig
    for name in ("sqlstate", "pgcode"):
        code = getattr(original, name, None)
        if isinstance(code, str):
            return code
    first = original.args[0] if original is not None and original.args else ""
    return first if isinstance(first, int) else ""
