"""Backups of SQLite: each method is a function of the module that it names."""

from collections.abc import Sequence

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite import check, contents, databases, dump, facts, load, shapes, swap
from dbtui.adapters.sqlite.connect import SqliteTarget
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


class SqliteBackups:
    """Dumps, reads and loads copies of SQLite databases. See adapters.adapter.BackupAdapter."""

    def collect_dump_facts(self, target: Target, options: DumpOptions) -> DumpFacts:
        """See facts.collect_dump_facts."""
        return facts.collect_dump_facts(narrow(target, SqliteTarget), options)

    def dump(self, target: Target, request: DumpRequest) -> Routine[DumpResult]:
        """See dump.dump."""
        return dump.dump(narrow(target, SqliteTarget), request)

    def collect_contents(self, backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
        """See contents.collect_contents."""
        return contents.collect_contents(backup, cancellation)

    def show_definition(self, backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
        """See contents.show_definition."""
        return contents.show_definition(backup, table, cancellation)

    def collect_sample(
        self, backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation
    ) -> TableSample:
        """See contents.collect_sample."""
        return contents.collect_sample(backup, table, limit, cancellation)

    def read_shape(self, backup: StoredBackup, cancellation: Cancellation) -> DatabaseShape | None:
        """Read what a copy's tables look like; None when it is packed."""
        return shapes.read_shape(backup, cancellation)

    def collect_shape(self, target: Target) -> DatabaseShape:
        """Ask the catalogue what tables and sequences look like."""
        return shapes.collect_shape(narrow(target, SqliteTarget))

    def collect_live_contents(self, target: Target) -> LiveContents:
        """Ask the catalogue for tables, sizes, estimated rows and shape."""
        return shapes.collect_live_contents(narrow(target, SqliteTarget))

    def check_archive(self, backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
        """See check.check_archive."""
        return check.check_archive(backup, cancellation)

    def collect_destination(self, target: Target, database: str) -> DestinationFacts:
        """See databases.collect_destination."""
        return databases.collect_destination(narrow(target, SqliteTarget), database)

    def collect_restore_facts(
        self,
        target: Target,
        backup: StoredBackup,
        contents: BackupContents,  # noqa: ARG002 - a copy needs no roles or extensions here
        database: str,
    ) -> RestoreFacts:
        """See databases.collect_restore_facts."""
        return databases.collect_restore_facts(narrow(target, SqliteTarget), backup, database)

    def create_database(
        self,
        target: Target,
        database: str,
        like: str,  # noqa: ARG002 - a swap keeps the live file, so owner and mode stay
        contents: BackupContents,  # noqa: ARG002 - encoding and page size come with the pages
    ) -> None:
        """See databases.create_database."""
        databases.create_database(narrow(target, SqliteTarget), database)

    def load(self, target: Target, request: LoadRequest) -> Routine[None]:
        """See load.load."""
        return load.load(narrow(target, SqliteTarget), request)

    def count_rows(
        self, target: Target, database: str, tables: Sequence[TableName]
    ) -> Routine[tuple[BackupTable, ...]]:
        """See databases.count_rows."""
        return databases.count_rows(narrow(target, SqliteTarget), database, tables)

    def swap_database(self, target: Target, live: str, fresh: str, kept: str) -> Routine[None]:
        """See swap.swap_database."""
        return swap.swap_database(narrow(target, SqliteTarget), live, fresh, kept)

    def drop_database(self, target: Target, database: str) -> None:
        """See databases.drop_database."""
        databases.drop_database(narrow(target, SqliteTarget), database)

    def new_name(self, target: Target, database: str, suffix: str) -> str:
        """Return the name of a new file: erp_restored.db."""
        return derive_name(EngineName.SQLITE, database, suffix, narrow(target, SqliteTarget).path.suffix)
