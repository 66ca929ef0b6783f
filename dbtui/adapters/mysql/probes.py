"""Questions that a server or a login may not answer: asked once per connection, then a gap with what would help."""

from typing import Any

from dbtui.adapters.mysql.connect import MysqlTarget, Row, statement
from dbtui.adapters.mysql.privileges import format_account
from dbtui.errors import ServerError

#: No privilege, no such table or plugin, no such statement: none of them goes away while we are connected.
_LASTING = ("1044", "1064", "1109", "1142", "1143", "1146", "1193", "1227", "1235", "1286", "1356")


class Probes:
    """What one connection has been refused. A new connection asks again: the GRANT may have come meanwhile."""

    def __init__(self, target: MysqlTarget) -> None:
        self._target = target
        self.refused: dict[str, str] = {}

    def collect(self, name: str, gap: str, version: tuple[int, ...] = (9999,), **binds: Any) -> list[Row] | None:
        """Ask a question of queries.sql; None when it is refused, now or before, and `gap` is noted."""
        return self.ask(name, statement(name, version), gap, binds)

    def ask(self, name: str, sql: str, gap: str, binds: dict[str, Any] | None = None) -> list[Row] | None:
        """Run `sql`, unless `name` was refused before. Raises ServerError when it fails for a passing reason."""
        if name in self.refused:
            return None
        try:
            return self._target.rows(sql, binds)
        except ServerError as error:
            if error.code not in _LASTING:
                raise
            self.refused[name] = gap
            return None

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is not known and why, each once."""
        return tuple(dict.fromkeys(gap for gap in self.refused.values() if gap))


def probes_of(target: MysqlTarget) -> Probes:
    """Return the probes of a connection, made when first asked for."""
    found = target.memory.get("probes")
    if not isinstance(found, Probes):
        found = target.memory["probes"] = Probes(target)
    return found


def version_of(target: MysqlTarget) -> tuple[int, int, int]:
    """Return the version to choose a variant of a question by."""
    number = target.info.version_number
    return number // 10000, number // 100 % 100, number % 100


def grant_everywhere(target: MysqlTarget, privilege: str) -> str:
    """Return the GRANT that gives this login a privilege on the whole server."""
    return f"GRANT {privilege} ON *.* TO {format_account(target.info.user)}"


def grant_performance_schema(target: MysqlTarget) -> str:
    """Return the GRANT that lets this login read what the server measures."""
    return f"GRANT SELECT ON performance_schema.* TO {format_account(target.info.user)}"


def gap_without_process(target: MysqlTarget) -> str:
    """Return the sentence for a login without PROCESS."""
    grant = grant_everywhere(target, "PROCESS")
    return f"sessions of other logins, transactions and locks need {grant}"


def replication_privilege(target: MysqlTarget) -> str:
    """Return what SHOW REPLICA STATUS asks for.

    MariaDB moved it twice, in 10.5.2 and 10.5.9 (its manual, GRANT, "REPLICA MONITOR"; SHOW GRANTS says SLAVE MONITOR).
    """
    number = target.info.version_number
    if not target.is_mariadb or number < 100502:
        return "REPLICATION CLIENT"
    return "SLAVE MONITOR" if number >= 100509 else "REPLICATION SLAVE ADMIN"


def termination_privilege(target: MysqlTarget) -> str:
    """Return what ending another login's session asks for: SUPER, or the part of it (manuals, KILL, GRANT)."""
    if target.is_mariadb:
        return "CONNECTION ADMIN" if target.info.version_number >= 100502 else "SUPER"
    return "CONNECTION_ADMIN" if target.info.version_number >= 80000 else "SUPER"


def measures_itself(target: MysqlTarget) -> bool:
    """Whether performance_schema is switched on; asked once."""
    if "measures_itself" not in target.memory:
        target.memory["measures_itself"] = bool(target.collect_one("measures_itself")["is_on"])
    return bool(target.memory["measures_itself"])
