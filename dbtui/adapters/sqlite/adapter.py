"""The SQLite adapter, as adapters.registry looks for it."""

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
from dbtui.adapters.sqlite import connect, status
from dbtui.adapters.sqlite.connect import SqliteTarget
from dbtui.model.connections import ConnectionProfile, EngineName, Secret, TargetStatus

if TYPE_CHECKING:
    from dbtui.model.doctor import Capabilities, CredentialFile, InstalledTool


class SqliteAdapter:
    """SQLite. See adapters.adapter.Adapter."""

    engine = EngineName.SQLITE
    sessions: SessionAdapter | None = None
    pools: PoolAdapter | None = None
    partitions: PartitionAdapter | None = None
    queries: QueryAdapter | None = None
    replicas: ReplicaAdapter | None = None

    @cached_property
    def backups(self) -> BackupAdapter:
        """Its backups, imported when they are first wanted: looking at a server does without."""
        from dbtui.adapters.sqlite.backups import SqliteBackups

        return SqliteBackups()

    def open_target(
        self,
        profile: ConnectionProfile,
        password: Secret | None,
        cancellation: Cancellation,
        environ: Mapping[str, str],
    ) -> Target:
        """See connect.open_target."""
        return connect.open_target(profile, password, cancellation, environ)

    def collect_status(self, target: Target) -> TargetStatus:
        """See status.collect_status."""
        return status.collect_status(narrow(target, SqliteTarget))

    def collect_capabilities(self, target: Target) -> Capabilities:
        """Ask what this login may do."""
        from dbtui.adapters.sqlite import capabilities

        return capabilities.collect_capabilities(narrow(target, SqliteTarget))

    def collect_tools(self, environ: Mapping[str, str]) -> tuple[InstalledTool, ...]:
        """Find the engine's own programs."""
        from dbtui.adapters.sqlite import capabilities

        return capabilities.collect_tools(environ)

    def collect_credential_files(
        self, profile: ConnectionProfile | None, environ: Mapping[str, str]
    ) -> tuple[CredentialFile, ...]:
        """Look at the files that logins are read from."""
        from dbtui.adapters.sqlite import capabilities

        return capabilities.collect_credential_files(profile, environ)


ADAPTER: Adapter = SqliteAdapter()
