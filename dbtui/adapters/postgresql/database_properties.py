"""What belongs to a database but is in no dump of it: owner, grants, settings, comment, connection limit."""

import re
from collections.abc import Iterator

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_name, quote_text

#: Settings whose value is a list of names, each of which is quoted by itself (pg_dump treats the same ones so).
_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
_LIST_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,\s]+))\s*(?:,|$)')


def copy_statements(target: PostgresqlTarget, connection: Connection, source: str, to: str) -> Iterator[str]:
    """Yield the SQL that gives database `to` what `source` has."""
    name = quote_name(to)
    have = target.collect_one("collect_database_properties", connection, database=to)
    want = target.collect_one("collect_database_properties", connection, database=source)
    for row in target.collect("collect_database_settings", connection, database=source):
        whose = (
            f"ALTER ROLE {quote_name(row.role_name)} IN DATABASE {name}" if row.role_name else f"ALTER DATABASE {name}"
        )
        yield f"{whose} SET {_setting(row.setting)}"
    if want.remark is not None:
        yield f"COMMENT ON DATABASE {name} IS {quote_text(want.remark)}"
    if want.connection_limit != have.connection_limit:
        yield f"ALTER DATABASE {name} CONNECTION LIMIT {want.connection_limit}"
    if want.is_template:
        yield f"ALTER DATABASE {name} IS_TEMPLATE true"
    if want.owner != have.owner:
        yield f"ALTER DATABASE {name} OWNER TO {quote_name(want.owner)}"
    if want.has_grants:
        yield from _grants(target, connection, source, to, want.owner)


def _setting(setting: str) -> str:
    name, _, value = setting.partition("=")
    quoted_name = ".".join(quote_name(part) for part in name.split("."))
    if name.lower() not in _LISTS:
        return f"{quoted_name} TO {quote_text(value)}"
    items = [(found[1] or "").replace('""', '"') or found[2] or "" for found in _LIST_ITEM.finditer(value)]
    return f"{quoted_name} TO {', '.join(quote_text(item) for item in items) or quote_text('')}"


def _grants(target: PostgresqlTarget, connection: Connection, source: str, to: str, owner: str) -> Iterator[str]:
    name = quote_name(to)
    yield f"REVOKE ALL ON DATABASE {name} FROM PUBLIC, {quote_name(owner)}"
    for row in target.collect("collect_database_grants", connection, database=source):
        grantee = "PUBLIC" if row.grantee is None else quote_name(row.grantee)
        option = " WITH GRANT OPTION" if row.is_grantable and row.grantee is not None else ""
        yield f"GRANT {row.privilege_type} ON DATABASE {name} TO {grantee}{option}"
