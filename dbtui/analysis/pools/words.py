"""Numbers and names of the ladder in words."""

from dbtui.model.pools import PoolerPool
from dbtui.model.text import format_duration, format_untrusted

NAME_LENGTH = 60


def format_wait(seconds: float) -> str:
    """Return a wait: `40 ms`, `3.1 s`, `2 min`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else format_duration(seconds)


def format_share(fraction: float) -> str:
    """Return a fraction as `88 %`."""
    return f"{fraction * 100:.0f} %"


def format_rate(per_second: float) -> str:
    """Return a rate: `0.4/s`, `17/s`."""
    return f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:.0f}/s"


def format_name(name: str) -> str:
    """Return a name from a server or an application, safe to show."""
    return format_untrusted(name, NAME_LENGTH)


def name_pool(pool: PoolerPool) -> str:
    """Return what a pool of PgBouncer is called here: `erp/app`."""
    return f"{format_name(pool.database)}/{format_name(pool.user)}"


def format_used(used: float, capacity: int | None) -> str:
    """Return `28/30`, or `28` where there is no limit."""
    return f"{used:.0f}" if capacity is None else f"{used:.0f}/{capacity}"


def count_of(count: int, one: str, many: str = "") -> str:
    """Return `1 client`, `7 clients`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def quote_name(name: str, *, always: bool = False) -> str:
    """Return a name as PgBouncer's console and PostgreSQL take it: in double quotes unless it is plain.

    `always`: a plain one too, for it may be a word of SQL: `ALTER ROLE user` is about another role than `"user"`.
    """
    clean = format_untrusted(name)
    if not always and clean.isascii() and clean.isidentifier() and clean == clean.lower():
        return clean
    return '"' + clean.replace('"', '""') + '"'
