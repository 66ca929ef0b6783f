"""A throwaway PostgreSQL in a data directory that a tool restores: replays WAL until it is consistent, and is read.

Its own settings come from us alone, for those that were restored are of another machine: no network, a private socket,
no library loaded, nothing archived. It stays in recovery and takes no writes.
"""

import os
import pwd
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.counts import count_table
from dbtui.adapters.postgresql.tools import BINARIES_VARIABLE, Tool, find_tools
from dbtui.adapters.repositories.calling import repository_settings
from dbtui.adapters.throwaway.accounts import Account
from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.adapters.throwaway.proving import NAME, ProvingServer, choose_parent, describe_versions
from dbtui.errors import ServerError, ToolError
from dbtui.model.backups import TableName
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Progressed, Routine
from dbtui.model.repositories import RepositoryTrialPlan
from dbtui.model.text import format_untrusted

_EXTRA_BYTES = 256 << 20  # its log, and WAL that it fetches
#: Who is a superuser of most clusters.
SUPERUSER = "postgres"
#: What a server in recovery must not have less of than the one that was backed up, as pg_controldata words it.
_LIMITS = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}
_LIMIT = re.compile(r"([a-z_ ]+):\s+(\d+)$", re.MULTILINE)
#: On the command line these win over whatever was restored.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "archive_mode": "off",
    "archive_command": "",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "primary_conninfo": "",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "hot_standby": "on",
    "shared_buffers": "64MB",
    "huge_pages": "off",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "autovacuum": "off",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "lc_messages": "C",
    "external_pid_file": "",
    "max_standby_archive_delay": "-1",
}
#: Settings that came with a version; older servers refuse them. The recovery's own were in a file of their own before.
_SINCE = {"archive_cleanup_command": 12, "recovery_end_command": 12, "primary_conninfo": 12}
_NO_PLACE = ("No space left on device", "Cannot allocate memory", "could not map anonymous shared memory")
#: What the machine lacks, or may not: nothing that the backup could help.
_ELSEWHERE = (
    *_NO_PLACE,
    "could not access file",
    "resource manager with ID",
    "Permission denied",
    "command not found",
    "could not create shared memory",
    "incompatible with server",
)


class RestoredPostgresql(ProvingServer):
    """The server. `data` is where the tool restores to; it is not made before."""

    kind = "PostgreSQL"
    end_signal = signal.SIGQUIT

    def __init__(self, directory: ServerDirectory, plan: RepositoryTrialPlan, environ: Mapping[str, str]) -> None:
        super().__init__(directory, name=NAME, account=find_account(plan.account) if os.geteuid() == 0 else None)
        self.programs = Path(plan.programs)
        self.data = self.home / "data"
        self._environ = environ
        self._limits: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        """It fetches WAL by the repository's tool, which may need its settings, and keys in the account's own home."""
        home = pwd.getpwuid(self.account.uid if self.account else os.geteuid()).pw_dir
        return {**super().environment(), **repository_settings(self._environ), "HOME": home}

    def prepare(self) -> None:
        """Read what the cluster needs at least, and write who may log in: whoever can reach the socket."""
        major = int((self.data / "PG_VERSION").read_text().split(".")[0])
        self._limits = dict(self._read_limits())
        self._settings = {name: value for name, value in _SETTINGS.items() if major >= _SINCE.get(name, 0)}
        self.write_private("hba.conf", "local all all trust\n")
        self.write_private("ident.conf", "")
        self.write_private("server.conf", "")

    def command(self) -> list[str]:
        """The server, in the foreground, with our settings alone but for what the tool wrote of the recovery."""
        files = {"config_file": "server.conf", "hba_file": "hba.conf", "ident_file": "ident.conf"}
        settings = {
            **{name: str(self.home / file) for name, file in files.items()},
            "data_directory": str(self.data),
            "unix_socket_directories": str(self.home),
            **self._settings,
            **self._limits,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *words]

    def is_ready(self) -> bool:
        """Line 8 of postmaster.pid says whether logins are taken, which is from the consistent state on."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, PermissionError):
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def recovered_to(self) -> str:
        """What it says of how far it is."""
        lines = [line for line in self.read_log().splitlines() if "LOG:" in line or "FATAL:" in line]
        return format_untrusted(lines[-1].partition("LOG:")[2].strip() or lines[-1], 200) if lines else ""

    def why_not(self) -> tuple[str, bool]:
        """Return why it ended, and whether that is the machine's fault and not the backup's."""
        said = [line for line in self.read_log().splitlines() if re.search(r"\b(?:FATAL|PANIC|ERROR)\b", line)]
        words = format_untrusted(" / ".join(said[-3:]) or self.last_words(), 600)
        return words, any(each in words for each in _ELSEWHERE)

    def profile(self, user: str = SUPERUSER) -> ConnectionProfile:
        """A superuser, over the socket."""
        place = urlencode({"host": str(self.home), "port": "5432"}, quote_via=quote)
        return ConnectionProfile(
            name=NAME,
            engine=EngineName.POSTGRESQL,
            url=f"postgresql://{quote(user, safe='')}@/postgres?{place}",
            database="postgres",
            origin="throwaway",
        )

    def _read_limits(self) -> Iterator[tuple[str, str]]:
        account = self.account
        said = subprocess.run(
            [str(self.programs / "pg_controldata"), "-D", str(self.data)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=self.environment(),
            cwd=self.home,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            check=False,
            timeout=60,
        )
        if said.returncode != 0:
            words = format_untrusted(said.stderr.decode("utf-8", "replace").strip(), 400)
            raise ToolError(f"what was restored has no control file that can be read: {words}")
        for words, number in _LIMIT.findall(said.stdout.decode("utf-8", "replace")):
            if (setting := _LIMITS.get(words.strip())) is not None:
                yield setting, number


def find_account(name: str) -> Account:
    """Return an account of this machine. Raises ToolError."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ToolError(f"there is no account {format_untrusted(name)} here") from None
    if entry.pw_uid == 0:
        raise ToolError(
            "a PostgreSQL server does not run as root, and the repository's tool does",
            'say under which account it runs: run_as = ["runuser", "-u", "postgres", "--"]',
        )
    return Account(name, entry.pw_uid, entry.pw_gid)


def plan_trial(
    server_version: str, needed_bytes: int | None, account: str, environ: Mapping[str, str]
) -> RepositoryTrialPlan:
    """Find programs of a cluster's own major version, and room, for a throwaway server. Makes nothing.

    `account` is who restores: the server has to run as the same. Raises ToolError, RefusedError (no room).
    """
    tool = _choose(server_version, environ)
    own = pwd.getpwuid(os.geteuid()).pw_name
    if account != own and os.geteuid() != 0:
        raise ToolError(
            f"a server restored by {account or 'another account'} can be started by that account alone",
            f"run dbtui as {account or 'that account'}: sudo -u {account or 'ACCOUNT'} dbtui backup verify … --restore",
        )
    chosen = find_account(account)
    needed = (needed_bytes or 0) * 11 // 10 + _EXTRA_BYTES
    return RepositoryTrialPlan(
        server=f"PostgreSQL {tool.version}",
        programs=str(Path(tool.path).parent),
        parent=choose_parent(needed, environ, chosen if os.geteuid() == 0 else None),
        needed_bytes=needed,
        account=account,
    )


def _choose(server_version: str, environ: Mapping[str, str]) -> Tool:
    wanted = server_version if server_version.startswith("9.") else server_version.partition(".")[0]
    parts = wanted.split(".")[: 2 if wanted.startswith("9.") else 1]
    servers = [tool for tool in find_tools("postgres", environ) if Path(tool.path).with_name("pg_controldata").exists()]
    fitting = [tool for tool in servers if tool.version.split(".")[: len(parts)] == parts]
    if wanted and fitting:
        return max(fitting, key=lambda tool: tool.version_number)
    raise ToolError(
        f"no PostgreSQL server of version {wanted or '?'} is installed here "
        f"({describe_versions([tool.version for tool in servers])}), and no other reads a cluster of that version",
        f"install the package postgresql-{wanted or 'NN'}, or name its programs' directory in {BINARIES_VARIABLE}",
    )


def collect_databases(target: PostgresqlTarget) -> tuple[str, ...]:
    """Return the databases of a cluster that can be opened. Raises ServerError, ConnectError."""
    return tuple(row.name for row in target.collect("collect_every_database"))


def read_database(target: PostgresqlTarget, database: str) -> Routine[tuple[int, int, tuple[str, ...]]]:
    """Read every table of a database from its first page to its last, the catalogue's included.

    Returns how many tables users have there, how many rows those hold, and what could not be read, in sentences.
    Raises ConnectError, Cancelled.
    """
    with target.working(database) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        found = target.collect("collect_stored_tables", connection)
        connection.rollback()
        tables, rows, problems = 0, 0, []
        for done, row in enumerate(found):
            table = TableName(row.schema, row.name)
            yield Progressed(done, len(found), "tables", f"{format_untrusted(database)}: {table}")
            try:
                target.collect("lift_timeouts", connection)
                target.collect("read_whole_tables", connection)
                count = count_table(target, connection, table)
            except ServerError as error:
                problems.append(f"{format_untrusted(database)}: {table} cannot be read: {error.message}")
                count = 0
            connection.rollback()
            tables, rows = tables + row.is_users, rows + count * row.is_users
    return tables, rows, tuple(problems)
