"""The backup half of the adapter: every method's work is in the module of that name."""

from collections.abc import Sequence

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import (
    check,
    contents,
    counts,
    databases,
    dump,
    dump_directory,
    facts,
    load,
    load_directory,
    shapes,
    swap,
)
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.model.backup_differences import LiveContents
from dbtui.model.backups import (
    BackupContents,
    BackupFormat,
    BackupTable,
    DestinationFacts,
    DumpFacts,
    DumpOptions,
    DumpRequest,
    DumpResult,
    LoadRequest,
    RestoreFacts,
    StoredBackup,
    TableName,
    TableSample,
)
from dbtui.model.connections import EngineName
from dbtui.model.events import Routine
from dbtui.model.names import derive_name
from dbtui.model.shapes import DatabaseShape


class MysqlBackups:
    """Dumps, reads and loads MySQL and MariaDB backups; see `dbtui.adapters.adapter.BackupAdapter`."""

    def collect_dump_facts(self, target: Target, options: DumpOptions) -> DumpFacts:
        """Ask server and machine what planning a dump needs."""
        return facts.collect_dump_facts(narrow(target, MysqlTarget), options)

    def dump(self, target: Target, request: DumpRequest) -> Routine[DumpResult]:
        """Write the dump."""
        by = dump_directory.dump_directory if request.options.format is BackupFormat.DIRECTORY else dump.dump
        return by(narrow(target, MysqlTarget), request)

    def collect_contents(self, backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
        """Read what a backup holds."""
        return contents.collect_contents(backup, cancellation)

    def show_definition(self, backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
        """Return the SQL that creates a table."""
        return contents.show_definition(backup, table, cancellation)

    def collect_sample(
        self, backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation
    ) -> TableSample:
        """Return a table's first rows."""
        return contents.collect_sample(backup, table, limit, cancellation)

    def read_shape(self, backup: StoredBackup, cancellation: Cancellation) -> DatabaseShape | None:  # noqa: ARG002
        """A dump says what its tables look like only to who reads it to its end."""
        return None

    def collect_shape(self, target: Target) -> DatabaseShape:
        """Ask the catalogue what tables and sequences look like."""
        return shapes.collect_shape(narrow(target, MysqlTarget))

    def collect_live_contents(self, target: Target) -> LiveContents:
        """Ask the catalogue for tables, sizes, estimated rows and shape."""
        return shapes.collect_live_contents(narrow(target, MysqlTarget))

    def check_archive(self, backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
        """Look for damage and hostile contents."""
        return check.check_archive(backup, cancellation)

    def collect_destination(self, target: Target, database: str) -> DestinationFacts:
        """Look at the database a restore would fill."""
        return databases.collect_destination(narrow(target, MysqlTarget), database)

    def collect_restore_facts(
        self, target: Target, backup: StoredBackup, contents: BackupContents, database: str
    ) -> RestoreFacts:
        """Ask server and machine what planning a restore needs."""
        return databases.collect_restore_facts(narrow(target, MysqlTarget), backup, contents, database)

    def create_database(self, target: Target, database: str, like: str, contents: BackupContents) -> None:
        """Create an empty database."""
        databases.create_database(narrow(target, MysqlTarget), database, like, contents)

    def load(self, target: Target, request: LoadRequest) -> Routine[None]:
        """Load a backup into an empty database."""
        by = load_directory.load_directory if request.backup.format is BackupFormat.DIRECTORY else load.load
        return by(narrow(target, MysqlTarget), request)

    def count_rows(
        self, target: Target, database: str, tables: Sequence[TableName]
    ) -> Routine[tuple[BackupTable, ...]]:
        """Count rows exactly."""
        return counts.count_rows(narrow(target, MysqlTarget), database, tables)

    def swap_database(self, target: Target, live: str, fresh: str, kept: str) -> Routine[None]:
        """Make `fresh` the database called `live`, keep the old one as `kept`."""
        return swap.swap_database(narrow(target, MysqlTarget), live, fresh, kept)

    def drop_database(self, target: Target, database: str) -> None:
        """Drop a database that this run created."""
        databases.drop_database(narrow(target, MysqlTarget), database)

    def new_name(self, target: Target, database: str, suffix: str) -> str:  # noqa: ARG002
        """Return a name for a new database."""
        return derive_name(EngineName.MYSQL, database, suffix)
