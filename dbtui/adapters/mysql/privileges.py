"""What a login may do, read from SHOW GRANTS, and the GRANT that it lacks."""

import re
from collections.abc import Iterable

from dbtui.adapters.mysql.names import quote_name, split_account

_GRANT = re.compile(r"GRANT (?P<words>.*?) ON (?:TABLE )?(?P<scope>.*?) TO ", re.DOTALL)
_SCOPE = re.compile(r"(?:`(?P<quoted>(?:[^`]|``)*)`|(?P<plain>[^.`]+))\.(?P<object>.*)", re.DOTALL)


def privileges_on(grants: Iterable[str], database: str) -> frozenset[str]:
    """Return the privileges that hold for a whole database, in capitals; `ALL PRIVILEGES` stands for every one."""
    found: set[str] = set()
    for grant in grants:
        parts = _GRANT.match(grant)
        if parts is None:
            continue
        scope = _SCOPE.fullmatch(parts["scope"])
        if scope is None or scope["object"] != "*" or not _covers(scope, database):
            continue
        found |= {word.strip().upper() for word in parts["words"].split(",")}
    return frozenset(found)


def _covers(scope: re.Match[str], database: str) -> bool:
    if scope["plain"] == "*":
        return True
    pattern = (scope["quoted"] or scope["plain"] or "").replace("``", "`")
    pieces = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = "".join({"%": ".*", "_": "."}.get(piece, re.escape(piece[-1])) for piece in pieces)
    return re.fullmatch(wild, database, re.DOTALL) is not None


def has_roles(grants: Iterable[str]) -> bool:
    """Whether some privileges may come from roles, which SHOW GRANTS does not spell out."""
    return any(_GRANT.match(grant) is None for grant in grants)


def lacks(held: frozenset[str], privilege: str) -> bool:
    """Whether a privilege is not among those held."""
    return not held & {privilege, "ALL PRIVILEGES", "ALL"}


def format_account(account: str) -> str:
    """Return `user@host` as SQL names it: 'user'@'host'."""
    return "@".join("'" + part.replace("\\", "\\\\").replace("'", "''") + "'" for part in split_account(account))


def format_grant(privileges: Iterable[str], database: str, account: str) -> str:
    """Return the GRANT that gives an account privileges on a database."""
    scope = f"{quote_name(_escape_wildcards(database))}.*" if database else "*.*"
    return f"GRANT {', '.join(privileges)} ON {scope} TO {format_account(account)}"


def format_grant_on_new(privileges: Iterable[str], database: str, account: str) -> str:
    """Return the GRANT for databases that are called `database`, an underscore and more, as restores make them."""
    scope = quote_name(f"{_escape_wildcards(database)}\\_%"[-64:])
    return f"GRANT {', '.join(privileges)} ON {scope}.* TO {format_account(account)}"


def _escape_wildcards(database: str) -> str:
    escaped = re.sub(r"([_%\\])", r"\\\1", database)
    return escaped if len(escaped) <= 64 else database
