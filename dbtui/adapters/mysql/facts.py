"""What planning a dump needs to know of the server, the login and the tool."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dbtui.adapters.mysql.connect import MysqlTarget, Row, statement
from dbtui.adapters.mysql.history import has_history, plan_history
from dbtui.adapters.mysql.mydumper import MYDUMPER_LOCKS, find_missing_privileges, find_mydumper, find_obstacles
from dbtui.adapters.mysql.names import quote_name, quote_table, show_name
from dbtui.adapters.mysql.patterns import choose_tables
from dbtui.adapters.mysql.privileges import format_account, format_grant, has_roles, lacks, privileges_on
from dbtui.adapters.mysql.tools import find_tool, remark_on
from dbtui.errors import ConnectError, ServerError
from dbtui.model.backups import BackupFormat, DumpFacts, DumpOptions, TableFacts, TableName
from dbtui.model.text import format_duration, format_untrusted

_LONG_SECONDS = 60
#: The server does not let this login look; a view, a status or a list is then simply not known.
_HIDDEN = ("1044", "1109", "1142", "1143", "1146", "1227", "1356")


@dataclass(frozen=True, slots=True)
class _Objects:
    """The tables, views and sequences of a database, and how many there are of the rest."""

    tables: tuple[TableFacts, ...]
    views: tuple[TableName, ...]
    sequences: tuple[TableName, ...]
    events: int
    triggers: int


def collect_dump_facts(target: MysqlTarget, options: DumpOptions) -> DumpFacts:
    """Ask server and machine what planning a dump needs.

    Raises ToolError when no fitting tool is installed, ConnectError when the database does not exist.
    """
    database = require_database(target)
    tool = writer = find_tool(target.info, target.environ)
    in_parallel = options.format is BackupFormat.DIRECTORY
    if in_parallel:
        tool = find_mydumper(target.environ)
    grants = _Grants(target, database)
    objects = _collect_objects(target, database, grants)
    named = {*(table.table_name for table in objects.tables), *objects.views, *objects.sequences}
    chosen, unmatched = choose_tables(named, options.tables, options.exclude_tables)
    views = [view for view in objects.views if view in chosen]
    tables = tuple(table for table in objects.tables if table.table_name in chosen)
    _, history = plan_history(target, writer, {table.name for table in chosen})
    if in_parallel and has_history(target, chosen):
        history = "the history of system-versioned tables is left out: mydumper reads the present rows alone"
    return DumpFacts(
        info=target.info,
        tool=tool.name,
        tool_path=tool.path,
        tool_version=tool.version,
        tool_major=tool.version_number // 10000,
        tables=tables,
        unmatched=unmatched,
        database_bytes=sum(table.bytes or 0 for table in objects.tables),
        lock_holders=tuple(_collect_lock_holders(target, database)),
        long_transactions=tuple(_collect_long_transactions(target)),
        broken_objects=(
            *_collect_broken(target, views, objects.tables),
            *(find_obstacles(target, tables) if in_parallel else ()),
        ),
        missing_privileges=(
            *grants.missing(objects, is_partial=bool(options.tables)),
            *(find_missing_privileges(target) if in_parallel and not options.schema_only else ()),
        ),
        roles=tuple(sorted(str(row["definer"]) for row in target.collect("definers", schema=database))),
        remarks=(
            *remark_on(writer, target.info),
            *([history] if history else []),
            *([MYDUMPER_LOCKS] if in_parallel and not options.schema_only else []),
        ),
        left_out=history,
    )


def require_database(target: MysqlTarget) -> str:
    """Return the name of the target's database. Raises ConnectError when it has none or it does not exist."""
    if not target.database:
        raise ConnectError("the URL names no database", "write mysql://user@host/database")
    if not target.collect("find_schema", schema=target.database):
        raise ConnectError(
            f"database {show_name(target.database)} does not exist on {target.options.server}",
            "create it, correct its name in the URL, or GRANT this login something in it",
        )
    return target.database


class _Grants:
    """What this login may do in the database that is dumped."""

    def __init__(self, target: MysqlTarget, database: str) -> None:
        self.target = target
        self.database = database
        grants = target.collect_grants()
        self.held = privileges_on(grants, database)
        self.are_known = not has_roles(grants)

    def reads_everything(self) -> bool:
        return not lacks(self.held, "SELECT")

    def missing(self, objects: _Objects, *, is_partial: bool) -> Iterator[str]:
        """Yield what a whole dump needs and this login lacks, with the GRANT.

        Without TRIGGER the tool silently leaves out triggers, so it is asked for even where none can be seen.
        """
        needed = ["SELECT", *(["SHOW VIEW"] if objects.views else []), "TRIGGER", *([] if is_partial else ["EVENT"])]
        absent = [privilege for privilege in needed if lacks(self.held, privilege)]
        if absent == ["SELECT"] and all(table.is_readable for table in objects.tables):
            absent = []
        if absent and self.are_known:
            account = self.target.info.user
            yield f"{account} lacks {', '.join(absent)}: {format_grant(absent, self.database, account)}"
        if not is_partial:
            yield from self._hidden_routines()

    def _hidden_routines(self) -> Iterator[str]:
        hidden = [str(row["name"]) for row in self.target.collect("hidden_routines", schema=self.database)]
        if not hidden:
            return
        account = format_account(self.target.info.user)
        if not self.target.is_mariadb:
            grant = f"GRANT SHOW_ROUTINE ON *.* TO {account}"
        elif self.target.info.version_number >= 110300:
            grant = format_grant(["SHOW CREATE ROUTINE"], self.database, self.target.info.user)
        else:
            grant = f"GRANT SELECT ON mysql.proc TO {account}"
        count, first = len(hidden), show_name(hidden[0])
        yield f"{self.target.info.user} may not see the body of {count} routines ({first}…): {grant}"


def _collect_objects(target: MysqlTarget, database: str, grants: _Grants) -> _Objects:
    engines = {str(row["engine"]) for row in target.collect("transactional_engines")}
    tables: list[TableFacts] = []
    others: dict[str, list[TableName]] = {"VIEW": [], "SEQUENCE": []}
    for row in target.collect("tables_of_schema", schema=database):
        name = TableName(database, str(row["name"]))
        if row["type"] in others:
            others[str(row["type"])].append(name)
            continue
        is_readable = grants.reads_everything() or _is_readable(target, name)
        tables.append(
            TableFacts(
                database,
                name.name,
                bytes=None if row["bytes"] is None else int(row["bytes"]),
                rows_estimate=None if row["estimate"] is None else int(row["estimate"]),
                is_readable=is_readable,
                is_transactional=row["engine"] in engines,
            )
        )
    counts = target.collect_one("count_programs", schema=database)
    return _Objects(
        tuple(tables),
        tuple(others["VIEW"]),
        tuple(others["SEQUENCE"]),
        events=int(counts["events"]),
        triggers=int(counts["triggers"]),
    )


def _is_readable(target: MysqlTarget, table: TableName) -> bool:
    try:
        target.rows(f"SELECT 1 FROM {quote_table(table)} LIMIT 0")  # noqa: S608 - the name is quoted
    except ServerError as error:
        return error.code not in ("1142", "1143", "1044")  # otherwise it is broken, which is told elsewhere
    return True


def _collect_broken(target: MysqlTarget, views: Iterable[TableName], tables: Iterable[TableFacts]) -> Iterator[str]:
    """Yield the objects on which the tool would stop, leaving every table after them without rows."""
    for view in views:
        try:
            target.rows(f"SHOW FIELDS FROM {quote_table(view)}")
        except ServerError as error:
            yield f"view {show_name(view.name)}: {error.message} (leave it out with --exclude-table, or repair it)"
    for table in tables:
        if table.bytes is None and table.rows_estimate is None:
            try:
                target.rows(f"SELECT 1 FROM {quote_table(table.table_name)} LIMIT 0")  # noqa: S608 - quoted
            except ServerError as error:
                yield f"table {show_name(table.name)}: {error.message}"


def _collect_if_allowed(target: MysqlTarget, name: str, **binds: str | int) -> list[Row]:
    try:
        return target.rows(statement(name), binds)
    except ServerError as error:
        if error.code not in _HIDDEN:
            raise
        return []


def _collect_lock_holders(target: MysqlTarget, database: str) -> Iterator[str]:
    """Yield sessions that the dump would wait for: those changing tables, and those that wait to."""
    for row in _collect_if_allowed(target, "sessions_changing_tables", schema=database):
        yield _show_session(row)
    name = "metadata_locks_mariadb" if target.is_mariadb else "metadata_locks_mysql"
    for row in _collect_if_allowed(target, name, schema=database):
        yield _show_session(row)


def _collect_long_transactions(target: MysqlTarget) -> Iterator[str]:
    for row in _collect_if_allowed(target, "long_transactions", seconds=_LONG_SECONDS):
        yield _show_session(row)


def _show_session(row: Row) -> str:
    info = format_untrusted(" ".join(str(row["info"] or row["state"] or "idle").split()), 100)
    return f"session {row['id']} of {format_untrusted(str(row['user']), 40)}, {format_duration(row['seconds'])}: {info}"


def use(database: str) -> str:
    """Return the statement that makes a database the current one."""
    return f"USE {quote_name(database)}"
