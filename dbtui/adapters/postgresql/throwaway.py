"""A throwaway PostgreSQL for one proof: its own cluster on a private unix socket, deaf to the network."""

import secrets
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_name
from dbtui.adapters.postgresql.tools import BINARIES_VARIABLE, Tool, find_tools
from dbtui.adapters.throwaway.accounts import choose_account
from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.adapters.throwaway.proving import (
    ACCOUNTS,
    NAME,
    ProvingServer,
    Throwaway,
    choose_parent,
    describe_versions,
    is_open_to_all,
    needed_bytes,
)
from dbtui.errors import ToolError
from dbtui.model.backups import BackupContents, StoredBackup
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.proofs import ThrowawayPlan
from dbtui.model.text import format_untrusted

_EXTRA_BYTES = 160 << 20  # a fresh cluster and its log
_SUPERUSER = "postgres"
#: Extensions whose library the server has to load at its start.
_PRELOADED = ("timescaledb", "pg_cron", "citus", "pg_stat_statements", "pgaudit", "pg_qualstats", "pg_stat_kcache")
_LIBRARIES = ("lib", "lib/postgresql")
# Nothing here outlives the proof, so nothing is made durable; memory and processes are few, for others work here too.
# Shared memory is in the data directory: nothing is left in /dev/shm.
_SETTINGS = """\
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 30
superuser_reserved_connections = 3
shared_buffers = 128MB
work_mem = 16MB
maintenance_work_mem = 128MB
max_parallel_workers = 2
max_wal_size = 512MB
dynamic_shared_memory_type = mmap
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
archive_mode = off
autovacuum = off
ssl = off
timezone = 'UTC'
log_timezone = 'UTC'
"""


class ProvingPostgresql(ProvingServer):
    """The cluster. Its superuser logs in by a password that this process alone knows."""

    kind = "PostgreSQL"
    end_signal = signal.SIGQUIT

    def __init__(self, directory: ServerDirectory, plan: ThrowawayPlan) -> None:
        super().__init__(directory, name=NAME)
        self.programs = Path(plan.programs)
        self.data = self.home / "data"
        self.password = secrets.token_urlsafe(24)
        self._plan = plan

    def prepare(self) -> None:
        """Run initdb. Logins over the socket need the password, so the account's other programs have none."""
        word = self.write_private("password", self.password)
        major = int(self._plan.version.partition(".")[0])
        method = "scram-sha-256" if major >= 10 else "md5"
        self._preparation = self.spawn(
            [
                str(self.programs / "initdb"),
                *("-N", "--encoding=UTF8", "--locale=C", f"--username={_SUPERUSER}", f"--pwfile={word}"),
                *(f"--auth={method}", f"--pgdata={self.data}"),
            ]
        )

    def finish_preparation(self) -> None:
        """Then write the settings."""
        if self._preparation is None:
            return
        super().finish_preparation()
        (self.home / "password").unlink()
        libraries = ",".join(self._plan.preloaded)
        self.write_private("data/postgresql.conf", f"{_SETTINGS}shared_preload_libraries = '{libraries}'\n")

    def command(self) -> list[str]:
        """The server, in the foreground."""
        return [str(self.programs / "postgres"), "-D", str(self.data), "-c", f"unix_socket_directories={self.home}"]

    def is_ready(self) -> bool:
        """Line 8 of postmaster.pid says whether logins are taken."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"


class ThrowawayPostgresql(Throwaway):
    """The proof's own PostgreSQL."""

    server: ProvingPostgresql

    def make(self, directory: ServerDirectory) -> ProvingPostgresql:
        """Its cluster."""
        return ProvingPostgresql(directory, self.plan)

    def profile(self) -> ConnectionProfile:
        """Its superuser, over the socket."""
        place = urlencode({"host": str(self.server.home), "port": "5432"}, quote_via=quote)
        return ConnectionProfile(
            name=NAME,
            engine=EngineName.POSTGRESQL,
            url=f"postgresql://{_SUPERUSER}@/postgres?{place}",
            database="postgres",
            password=Secret(self.server.password),
            origin="throwaway",
        )


def make_roles(target: PostgresqlTarget, roles: Sequence[str]) -> tuple[str, ...]:
    """Make the roles that own something, or may something, in a backup: without a login, and with no power.

    Returns a sentence for each that cannot be made.
    """
    reserved = [role for role in roles if role.startswith("pg_")]
    with target.working("postgres", autocommit=True) as connection:
        for role in roles:
            if role not in reserved:
                target.rows(f"CREATE ROLE {quote_name(role)} NOLOGIN", on=connection)
    return tuple(f"role {format_untrusted(role)} is of the server's own kind and is not here" for role in reserved)


def plan_throwaway(backup: StoredBackup, contents: BackupContents, environ: Mapping[str, str]) -> ThrowawayPlan:
    """Find the programs and the room for a server of the backup's own major version, else the next newer one.

    Raises ToolError (what to install, and what can be done instead), RefusedError (no room).
    """
    account = choose_account(*ACCOUNTS)
    wanted = backup.manifest.server_version if backup.manifest else contents.server_version
    tool = _choose(wanted, environ)
    programs = Path(tool.path).parent
    if account is not None and not is_open_to_all(programs):
        raise ToolError(
            f"{programs} cannot be entered by {account.name}, under whom root runs a throwaway PostgreSQL",
            "install the server where everybody may run it, or restore on a server: --to TARGET",
        )
    needed = needed_bytes(backup, _EXTRA_BYTES)
    return ThrowawayPlan(
        server=f"PostgreSQL {tool.version}",
        version=tool.version,
        programs=str(programs),
        account=account.name if account else "",
        parent=choose_parent(needed, environ, account, in_memory=bool(backup.encryption)),
        needed_bytes=needed,
        preloaded=_preloaded(programs, contents),
        remarks=tuple(_remarks(wanted, tool)),
    )


def _choose(wanted: str, environ: Mapping[str, str]) -> Tool:
    servers = [tool for tool in find_tools("postgres", environ) if Path(tool.path).with_name("initdb").exists()]
    major = int(wanted.partition(".")[0]) if wanted.partition(".")[0].isdecimal() else 0
    fitting = [tool for tool in servers if tool.major >= major]
    if fitting:
        lowest = min(tool.major for tool in fitting) if major else max(tool.major for tool in fitting)
        return max((tool for tool in fitting if tool.major == lowest), key=lambda tool: tool.version_number)
    raise ToolError(
        f"no PostgreSQL server of version {major or 'any'} or newer is installed here for a throwaway one "
        f"({describe_versions([tool.version for tool in servers])})",
        f"install the package postgresql-{major or ''}".rstrip("-")
        + f", or name the directory of its programs in {BINARIES_VARIABLE}, or restore on a server: --to TARGET",
    )


def _remarks(wanted: str, tool: Tool) -> list[str]:
    major = wanted.partition(".")[0]
    if not major or major == str(tool.major):
        return []
    return [
        f"the backup is of PostgreSQL {format_untrusted(major, 20)}, whose server is not installed here: it is "
        f"restored into {tool.version}; for a proof in its own version install the package postgresql-{major}"
    ]


def _preloaded(programs: Path, contents: BackupContents) -> tuple[str, ...]:
    folders = [programs.parent / name for name in _LIBRARIES]
    return tuple(
        name
        for name in _PRELOADED
        if name in contents.extensions and any((folder / f"{name}.so").exists() for folder in folders)
    )
