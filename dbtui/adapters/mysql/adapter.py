"""The MySQL adapter: one object with the engine's name, its connections and its backups."""

from collections.abc import Mapping

from dbtui.adapters.adapter import Adapter, BackupAdapter, SessionAdapter, Target
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import status
from dbtui.adapters.mysql.backups import MysqlBackups, narrow
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.sessions import SESSIONS
from dbtui.model.connections import ConnectionProfile, EngineName, Secret, TargetStatus


class MysqlAdapter:
    """MySQL and MariaDB."""

    engine = EngineName.MYSQL
    backups: BackupAdapter = MysqlBackups()
    sessions: SessionAdapter | None = SESSIONS

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
        return status.collect_status(narrow(target))


ADAPTER: Adapter = MysqlAdapter()
