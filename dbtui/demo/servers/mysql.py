"""A private MariaDB, where the system has one. No package index carries a server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.adapters.throwaway.mariadb import format_installation, greets
from dbtui.demo.servers.base import HOST, Server, find_program
from dbtui.errors import ToolError


class MariaDB(Server):
    """A MariaDB server on the loopback address and a unix socket. `options` are words for its command line.

    Its temporary directory is its own: a server that starts removes every other server's `#sql` files from /tmp.
    """

    kind = "MariaDB"
    accounts = ("mysql",)
    superuser = "root"

    def __init__(
        self, directory: ServerDirectory | None = None, *, name: str = "maria", options: Sequence[str] = ()
    ) -> None:
        super().__init__(directory, name=name)
        self.options = tuple(options)
        self.data = self.home / "data"
        self.socket = self.home / "mysql.sock"

    @staticmethod
    def is_installed() -> bool:
        """Whether this machine has the server's programs."""
        return bool(find_program("mariadbd") and find_program("mariadb-install-db"))

    def url(
        self,
        database: str = "mysql",
        user: str | None = None,
        password: str | None = None,
        *,
        socket: bool = False,
        scheme: str = "mariadb",
        **options: str,
    ) -> str:
        """A URL for `database` as `user` (the superuser), over TCP or the unix socket."""
        login = quote(user or self.superuser, safe="")
        secret = quote(password or (self.password if user in (None, self.superuser) else ""), safe="")
        if socket:
            options = {"unix_socket": str(self.socket), **options}
        query = f"?{urlencode(options)}" if options else ""
        place = "localhost" if socket else f"{HOST}:{self.port}"
        return f"{scheme}://{login}:{secret}@{place}/{quote(database, safe='')}{query}"

    def execute(
        self, sql: str, parameters: Sequence[Any] | None = None, *, database: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser; returns its rows, if it has any."""
        import pymysql

        connection = pymysql.connect(
            unix_socket=str(self.socket),
            user=self.superuser,
            password=self.password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def prepare(self) -> None:
        if self.data.exists() or self._preparation:
            return
        installer = _required_program("mariadb-install-db")
        self._preparation = self.spawn(format_installation(installer, self.data, self.home))

    def command(self) -> list[str]:
        return [
            *(str(_required_program("mariadbd")), "--no-defaults", f"--datadir={self.data}", f"--tmpdir={self.home}"),
            *(f"--socket={self.socket}", f"--port={self.port}", f"--bind-address={HOST}"),
            *(f"--pid-file={self.home / 'server.pid'}", f"--init-file={self._write_first_statements()}"),
            *("--skip-name-resolve", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M"),
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync"),
            *("--character-set-server=utf8mb4", "--default-time-zone=+00:00", "--max-allowed-packet=64M"),
            *self.options,
        ]

    def is_ready(self) -> bool:
        """Whether it greets; the statements it began with hold a password, and go."""
        is_ready = greets(self.socket)
        if is_ready:
            (self.home / "first.sql").unlink(missing_ok=True)
        return is_ready

    def _write_first_statements(self) -> Path:
        """The superuser may log in over the socket and over TCP, by password; nobody else may at all."""
        lines = [
            "DELETE FROM mysql.global_priv WHERE User = '' OR Host NOT IN ('localhost', '127.0.0.1');",
            "FLUSH PRIVILEGES;",
        ]
        for host in ("localhost", HOST):
            who = f"'{self.superuser}'@'{host}'"
            lines.append(f"CREATE USER IF NOT EXISTS {who};")
            lines.append(f"ALTER USER {who} IDENTIFIED BY '{self.password}';")
            lines.append(f"GRANT ALL PRIVILEGES ON *.* TO {who} WITH GRANT OPTION;")
        return self.write_private("first.sql", "\n".join(lines) + "\n")


def _required_program(name: str) -> Path:
    found = find_program(name)
    if not found:
        raise ToolError(f"no MariaDB server was found: {name} is missing", "install the package mariadb-server")
    return found
