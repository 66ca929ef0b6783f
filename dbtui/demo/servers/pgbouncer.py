"""A private PgBouncer in front of a private PostgreSQL."""

import socket as sockets
from collections.abc import Mapping
from urllib.parse import quote

from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.demo.servers.base import HOST, Server, find_program
from dbtui.demo.servers.postgresql import PostgreSQL
from dbtui.errors import ToolError


class PgBouncer(Server):
    """A PgBouncer, transaction pooling, for every database of `server`.

    Two logins besides the server's superuser: `admin` may run every command of the console, `stats` may look.
    `settings` are more lines of its [pgbouncer] section.
    """

    kind = "PgBouncer"
    accounts = ("postgres",)
    superuser = "postgres"
    admin_user = "pgbouncer_admin"
    stats_user = "pgbouncer_stats"

    def __init__(
        self,
        server: PostgreSQL,
        directory: ServerDirectory | None = None,
        *,
        name: str = "bouncer",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory or server.directory, name=name)
        self._owns_directory = False
        self.server = server
        self.settings = dict(settings or {})
        self.users = {
            server.superuser: server.password,
            self.admin_user: self.password,
            self.stats_user: self.password,
        }

    @staticmethod
    def is_installed() -> bool:
        """Whether this machine has the program."""
        return find_program("pgbouncer") is not None

    def url(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """A URL for `database` of the server, through the pooler."""
        login = user or self.server.superuser
        secret = password or self.users.get(login, "")
        address = f"{quote(login, safe='')}:{quote(secret, safe='')}@{HOST}:{self.port}"
        return f"postgresql://{address}/{quote(database, safe='')}"

    def console_url(self, user: str | None = None) -> str:
        """A URL for the console, as `user` (`pgbouncer_stats`)."""
        return self.url("pgbouncer", user or self.stats_user)

    def add_user(self, user: str, password: str) -> None:
        """Let a login that the server knows through; a running pooler reads its users again when it must."""
        self.users[user] = password
        self._write_users()

    def prepare(self) -> None:
        self._write_users()

    def command(self) -> list[str]:
        program = find_program("pgbouncer")
        if not program:
            raise ToolError("no PgBouncer was found", "install the package pgbouncer")
        return [str(program), str(self.write_private("pgbouncer.ini", self._format_settings()))]

    def is_ready(self) -> bool:
        """Whether its unix socket, which it opens last, takes connections."""
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as client:
            try:
                client.connect(str(self.home / f".s.PGSQL.{self.port}"))
            except OSError:
                return False
        return True

    def _write_users(self) -> None:
        lines = (f'"{user}" "{secret}"\n' for user, secret in self.users.items())
        self.write_private("users.txt", "".join(lines))

    def _format_settings(self) -> str:
        settings = {
            "listen_addr": HOST,
            "listen_port": str(self.port),
            "unix_socket_dir": str(self.home),
            "auth_type": "scram-sha-256",
            "auth_file": str(self.home / "users.txt"),
            "admin_users": self.admin_user,
            "stats_users": self.stats_user,
            "pool_mode": "transaction",
            "default_pool_size": "20",
            "max_client_conn": "200",
            "ignore_startup_parameters": "extra_float_digits,options",
            **self.settings,
        }
        lines = [f"* = host={HOST} port={self.server.port}", "", "[pgbouncer]"]
        return "[databases]\n" + "\n".join([*lines, *(f"{key} = {value}" for key, value in settings.items())]) + "\n"
