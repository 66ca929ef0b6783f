"""The MySQL adapter: one object with the engine's name, its connections and its backups."""

from collections.abc import Mapping
from functools import cached_property

from dbtui.adapters.adapter import (
    Adapter,
    BackupAdapter,
    PartitionAdapter,
    PoolAdapter,
    QueryAdapter,
    ReplicaAdapter,
    SessionAdapter,
    Target,
    narrow,
)
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import capabilities, status
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.sessions import SESSIONS
from dbtui.model.connections import ConnectionProfile, EngineName, Secret, TargetStatus
from dbtui.model.doctor import Capabilities, CredentialFile, InstalledTool


class MysqlAdapter:
    """MySQL and MariaDB."""

    engine = EngineName.MYSQL
    sessions: SessionAdapter | None = SESSIONS

    @cached_property
    def backups(self) -> BackupAdapter:
        """Its backups, imported when they are first wanted: looking at a server does without."""
        from dbtui.adapters.mysql.backups import MysqlBackups

        return MysqlBackups()

    @cached_property
    def pools(self) -> PoolAdapter | None:
        """Its slots, imported when they are first wanted."""
        from dbtui.adapters.mysql.pools import POOLS

        return POOLS

    @cached_property
    def partitions(self) -> PartitionAdapter | None:
        """Its partitioned tables, imported when they are first wanted."""
        from dbtui.adapters.mysql.partitions import PARTITIONS

        return PARTITIONS

    @cached_property
    def queries(self) -> QueryAdapter | None:
        """Its statements, imported when they are first wanted."""
        from dbtui.adapters.mysql.top_queries import QUERIES

        return QUERIES

    @cached_property
    def replicas(self) -> ReplicaAdapter | None:
        """Its replication, imported when it is first wanted."""
        from dbtui.adapters.mysql.replicas import REPLICAS

        return REPLICAS

    def open_target(
        self,
        profile: ConnectionProfile,
        password: Secret | None,
        cancellation: Cancellation,
        environ: Mapping[str, str],
    ) -> Target:
        """Connect. Raises ConnectError, AuthenticationError, UsageError (malformed URL)."""
        return MysqlTarget(profile, password, cancellation, environ)

    def collect_status(self, target: Target) -> TargetStatus:
        """Look at the target for the connections pane."""
        return status.collect_status(narrow(target, MysqlTarget))

    def collect_capabilities(self, target: Target) -> Capabilities:
        """Ask what this login may do."""
        return capabilities.collect_capabilities(narrow(target, MysqlTarget))

    def collect_tools(self, environ: Mapping[str, str]) -> tuple[InstalledTool, ...]:
        """Find the engine's own programs."""
        return capabilities.collect_tools(environ)

    def collect_credential_files(
        self, profile: ConnectionProfile | None, environ: Mapping[str, str]
    ) -> tuple[CredentialFile, ...]:
        """Look at the files that logins are read from."""
        return capabilities.collect_credential_files(profile, environ)


ADAPTER: Adapter = MysqlAdapter()
