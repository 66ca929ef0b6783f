"""What adding one replica works with: names, programs, account, parameters. Looked up; nothing is made here."""

from pathlib import Path

from dbtui.adapters.libpq.conninfo import format_conninfo
from dbtui.adapters.postgresql.basebackup import CopyRequest
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.replica_files import choose_socket_directory, own_settings, passfile_path
from dbtui.adapters.postgresql.replica_place import find_account, find_programs
from dbtui.adapters.postgresql.replica_server import ReplicaServer
from dbtui.adapters.postgresql.replica_source import SourceSettings, replication_parameters
from dbtui.adapters.postgresql.replicas import COPY_NAME
from dbtui.adapters.processes import tool_environment
from dbtui.model.replicas import ReplicaWish

_NAME_LENGTH = 63


class Workshop:
    """Everything that adding one replica works with."""

    def __init__(self, target: PostgresqlTarget, wish: ReplicaWish, settings: SourceSettings) -> None:
        """Look at what there is. Raises ToolError, UsageError."""
        self.target, self.wish, self.settings = target, wish, settings
        self.directory = Path(wish.data_directory)
        self.account, self.account_problem = find_account(self.directory, settings.data_directory)
        major = target.info.version_number // 10000
        self.programs = find_programs(major, target.environ, is_started=wish.is_started)
        _, self.password = target.login_parameters()
        self.passfile = passfile_path(self.directory) if self.password is not None else None
        words = replication_parameters(target, str(self.passfile or ""), major)
        # While it copies it has a name of its own: commits may wait for who is called as the replica will be.
        self.copy_name = f"{COPY_NAME}{wish.slot}"[:_NAME_LENGTH]
        self.copy_conninfo = format_conninfo({**words, "application_name": self.copy_name})
        self.conninfo = format_conninfo({**words, "application_name": wish.name})
        self.tablespace_directory = self.directory.with_name(f"{self.directory.name}.tablespaces")
        self.tablespaces = tuple(
            (each.path, str(self.tablespace_directory / str(number)))
            for number, each in enumerate(target.collect("collect_tablespace_places"), 1)
        )

    @property
    def environ(self) -> dict[str, str]:
        """The environment of its tools."""
        return tool_environment({"HOME": self.account.home} if self.account else None)

    def copy_request(self) -> CopyRequest:
        """What pg_basebackup is asked for."""
        return CopyRequest(
            tool=self.programs.basebackup or "pg_basebackup",
            conninfo=self.copy_conninfo,
            directory=str(self.directory),
            slot=self.wish.slot,
            is_fast_checkpoint=self.wish.is_fast_checkpoint,
            checkpoint_seconds=self.settings.checkpoint_seconds,
            most_bytes_per_second=self.wish.most_bytes_per_second,
            tablespaces=self.tablespaces,
            account=self.account,
        )

    def own_settings(self) -> dict[str, str]:
        """Return the settings by which the replica differs from its source."""
        place = choose_socket_directory(self.settings, self.directory, self.account)
        return own_settings(self.wish, self.conninfo, place)

    def server(self) -> ReplicaServer:
        """The replica's server."""
        program = self.programs.pg_ctl or "pg_ctl"
        return ReplicaServer(pg_ctl=program, directory=self.directory, account=self.account, environ=self.environ)
