"""PostgreSQL, as the rest of dbtui sees it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

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
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sessions import SESSIONS
from dbtui.adapters.postgresql.status import collect_status
from dbtui.model.connections import ConnectionProfile, EngineName, Secret, TargetStatus

if TYPE_CHECKING:
    from dbtui.model.doctor import Capabilities, CredentialFile, InstalledTool


class PostgresqlAdapter:
    """The engine PostgreSQL."""

    engine = EngineName.POSTGRESQL
    sessions: SessionAdapter | None = SESSIONS

    @cached_property
    def backups(self) -> BackupAdapter:
        """Its backups, imported when they are first wanted: looking at a server does without."""
        from dbtui.adapters.postgresql.backups import PostgresqlBackups

        return PostgresqlBackups()

    @cached_property
    def pools(self) -> PoolAdapter | None:
        """Its slots, imported when they are first wanted."""
        from dbtui.adapters.postgresql.pools import POOLS

        return POOLS

    @cached_property
    def partitions(self) -> PartitionAdapter | None:
        """Its partitioned tables, imported when they are first wanted."""
        from dbtui.adapters.postgresql.partitions import PARTITIONS

        return PARTITIONS

    @cached_property
    def queries(self) -> QueryAdapter | None:
        """Its statements, imported when they are first wanted."""
        from dbtui.adapters.postgresql.top_queries import QUERIES

        return QUERIES

    @cached_property
    def replicas(self) -> ReplicaAdapter | None:
        """Its replication, imported when it is first wanted."""
        from dbtui.adapters.postgresql.replicas import REPLICAS

        return REPLICAS

    def open_target(
        self,
        profile: ConnectionProfile,
        password: Secret | None,
        cancellation: Cancellation,
        environ: Mapping[str, str],
    ) -> Target:
        """Connect. Raises ConnectError, AuthenticationError, UsageError."""
        return PostgresqlTarget(profile, password, cancellation, environ)

    def collect_status(self, target: Target) -> TargetStatus:
        """Look at the target for the connections pane."""
        return collect_status(narrow(target, PostgresqlTarget))

    def collect_capabilities(self, target: Target) -> Capabilities:
        """Ask what this login may do."""
        from dbtui.adapters.postgresql import capabilities

        return capabilities.collect_capabilities(narrow(target, PostgresqlTarget))

    def collect_tools(self, environ: Mapping[str, str]) -> tuple[InstalledTool, ...]:
        """Find the engine's own programs."""
        from dbtui.adapters.postgresql import capabilities

        return capabilities.collect_tools(environ)

    def collect_credential_files(
        self, profile: ConnectionProfile | None, environ: Mapping[str, str]
    ) -> tuple[CredentialFile, ...]:
        """Look at the files that logins are read from."""
        from dbtui.adapters.postgresql import capabilities

        return capabilities.collect_credential_files(profile, environ)


ADAPTER: Adapter = PostgresqlAdapter()
