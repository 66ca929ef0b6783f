"""The backup half of the PostgreSQL adapter: every question goes to the module that answers it."""

from collections.abc import Sequence

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql import counts, databases, facts, load, restore_facts, shapes
from dbtui.adapters.postgresql import dump as dumping
from dbtui.adapters.postgresql.check import check_archive
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.contents import collect_contents, collect_sample, show_definition
from dbtui.model.backup_differences import LiveContents
from dbtui.model.backups import (
    BackupContents,
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


class PostgresqlBackups:
    """Dumps, reads and loads backups of PostgreSQL."""

    def collect_dump_facts(self, target: Target, options: DumpOptions) -> DumpFacts:
        """Ask server and machine what planning a dump needs."""
        return facts.collect_dump_facts(narrow(target, PostgresqlTarget), options)

    def dump(self, target: Target, request: DumpRequest) -> Routine[DumpResult]:
        """Write a dump with pg_dump and count its rows in the same snapshot."""
        return dumping.dump(narrow(target, PostgresqlTarget), request)

    def collect_contents(self, backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
        """Read what a backup holds, without a server."""
        return collect_contents(backup, cancellation)

    def show_definition(self, backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
        """Return the SQL that creates a table, read from the backup."""
        return show_definition(backup, table, cancellation)

    def collect_sample(
        self, backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation
    ) -> TableSample:
        """Return a table's first rows, read from the backup."""
        return collect_sample(backup, table, limit, cancellation)

    def read_shape(self, backup: StoredBackup, cancellation: Cancellation) -> DatabaseShape | None:  # noqa: ARG002
        """A dump says what its tables look like only to who reads it to its end."""
        return None

    def collect_shape(self, target: Target) -> DatabaseShape:
        """Ask the catalogue what tables and sequences look like."""
        return shapes.collect_shape(narrow(target, PostgresqlTarget))

    def collect_live_contents(self, target: Target) -> LiveContents:
        """Ask the catalogue for tables, sizes, estimated rows and shape."""
        return shapes.collect_live_contents(narrow(target, PostgresqlTarget))

    def check_archive(self, backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
        """Look for damage and hostile contents; nothing of the backup is run."""
        return check_archive(backup, cancellation)

    def collect_destination(self, target: Target, database: str) -> DestinationFacts:
        """Look at the database a restore would fill, which may not exist."""
        return databases.collect_destination(narrow(target, PostgresqlTarget), database)

    def collect_restore_facts(
        self, target: Target, backup: StoredBackup, contents: BackupContents, database: str
    ) -> RestoreFacts:
        """Ask server and machine what planning a restore into `database` needs."""
        return restore_facts.collect_restore_facts(narrow(target, PostgresqlTarget), backup, contents, database)

    def create_database(
        self,
        target: Target,
        database: str,
        like: str,
        contents: BackupContents,  # noqa: ARG002 - encodings are the server's: UTF-8 holds any dump
    ) -> None:
        """Create an empty database, with the owner, encoding and locale of `like`, if given."""
        databases.create_database(narrow(target, PostgresqlTarget), database, like)

    def load(self, target: Target, request: LoadRequest) -> Routine[None]:
        """Load a backup into an empty database."""
        return load.load(narrow(target, PostgresqlTarget), request)

    def count_rows(
        self, target: Target, database: str, tables: Sequence[TableName]
    ) -> Routine[tuple[BackupTable, ...]]:
        """Count the rows of each table that exists, exactly, all at one moment."""
        return counts.count_rows(narrow(target, PostgresqlTarget), database, tables)

    def swap_database(self, target: Target, live: str, fresh: str, kept: str) -> Routine[None]:
        """Make `fresh` the database called `live` and keep the old one as `kept`, in one transaction."""
        return databases.swap_database(narrow(target, PostgresqlTarget), live, fresh, kept)

    def drop_database(self, target: Target, database: str) -> None:
        """Drop a database that this run created."""
        databases.drop_database(narrow(target, PostgresqlTarget), database)

    def new_name(self, target: Target, database: str, suffix: str) -> str:  # noqa: ARG002
        """Return a name for a new database, within the server's 63 bytes."""
        return derive_name(EngineName.POSTGRESQL, database, suffix)
