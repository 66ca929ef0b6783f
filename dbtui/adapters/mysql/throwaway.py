"""A throwaway MariaDB for one proof: its own data on a private unix socket, deaf to the network."""

import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.privileges import format_account, format_grant
from dbtui.adapters.processes import tool_output
from dbtui.adapters.throwaway.accounts import choose_account
from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.adapters.throwaway.mariadb import format_installation, greets
from dbtui.adapters.throwaway.proving import ACCOUNTS, NAME, ProvingServer, Throwaway, choose_parent, needed_bytes
from dbtui.adapters.throwaway.server import find_program
from dbtui.errors import ToolError
from dbtui.model.backups import BackupContents, StoredBackup
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.proofs import ThrowawayPlan
from dbtui.model.text import format_untrusted

_EXTRA_BYTES = 300 << 20  # fresh system tables, their log and temporary tables
_SUPERUSER = "root"
_SERVER, _INSTALLER = "mariadbd", "mariadb-install-db"
_DEFINERS_NEED = ("SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE", "SHOW VIEW", "TRIGGER", "EVENT", "REFERENCES")
_INSTEAD = "or restore on a server: --to TARGET"


class ProvingMariadb(ProvingServer):
    """The server. Its superuser logs in over the socket, by a password that this process alone knows."""

    kind = "MariaDB"

    def __init__(self, directory: ServerDirectory, plan: ThrowawayPlan) -> None:
        super().__init__(directory, name=NAME)
        self.programs = Path(plan.programs)
        self.data = self.home / "data"
        self.socket = self.home / "mysql.sock"
        self.password = secrets.token_urlsafe(24)

    def prepare(self) -> None:
        """Write the system tables."""
        installer = find_program(_INSTALLER)
        self._preparation = self.spawn(format_installation(Path(str(installer)), self.data, self.home))

    def command(self) -> list[str]:
        """The server, in the foreground, without a network, without making anything durable, in little memory."""
        return [
            *(str(self.programs / _SERVER), "--no-defaults", f"--datadir={self.data}", f"--tmpdir={self.home}"),
            *(f"--socket={self.socket}", "--skip-networking", "--skip-log-bin", "--local-infile=0"),
            *(f"--pid-file={self.home / 'server.pid'}", f"--init-file={self._write_first_statements()}"),
            *("--innodb-buffer-pool-size=128M", "--innodb-log-file-size=128M", "--innodb-doublewrite=0"),
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--max-connections=30"),
            *("--character-set-server=utf8mb4", "--max-allowed-packet=1G", "--default-time-zone=+00:00"),
            *("--secure-file-priv=" + str(self.home), "--event-scheduler=OFF"),
        ]

    def is_ready(self) -> bool:
        """Whether it greets; the statements it began with hold a password, and go."""
        is_ready = greets(self.socket)
        if is_ready:
            (self.home / "first.sql").unlink(missing_ok=True)
        return is_ready

    def _write_first_statements(self) -> Path:
        """The superuser may log in over the socket, by password; nobody else may at all."""
        who = f"'{_SUPERUSER}'@'localhost'"
        lines = [
            "DELETE FROM mysql.global_priv WHERE User NOT IN ('root', 'mariadb.sys') OR Host <> 'localhost';",
            "FLUSH PRIVILEGES;",
            f"ALTER USER {who} IDENTIFIED BY '{self.password}';",
        ]
        return self.write_private("first.sql", "\n".join(lines) + "\n")


class ThrowawayMariadb(Throwaway):
    """The proof's own MariaDB."""

    server: ProvingMariadb

    def make(self, directory: ServerDirectory) -> ProvingMariadb:
        """Its server."""
        return ProvingMariadb(directory, self.plan)

    def profile(self) -> ConnectionProfile:
        """Its superuser, over the socket."""
        return ConnectionProfile(
            name=NAME,
            engine=EngineName.MYSQL,
            url=f"mariadb://{_SUPERUSER}@localhost/mysql?unix_socket={quote(str(self.server.socket), safe='')}",
            database="mysql",
            password=Secret(self.server.password),
            origin="throwaway",
        )


def make_accounts(target: MysqlTarget, accounts: Sequence[str], database: str) -> None:
    """Make accounts that nobody can log in as; they may do in `database` what somebody's view or trigger has to."""
    for account in accounts:
        target.rows(f"CREATE USER IF NOT EXISTS {format_account(account)} ACCOUNT LOCK")
        target.rows(format_grant(_DEFINERS_NEED, database, account))


def plan_throwaway(backup: StoredBackup, contents: BackupContents, environ: Mapping[str, str]) -> ThrowawayPlan:
    """Find the programs and the room for a throwaway MariaDB; a dump of MySQL is restored on no other kind of server.

    Raises ToolError (what to install, and what can be done instead), RefusedError (no room).
    """
    flavour = backup.manifest.flavour if backup.manifest else "MariaDB"
    if flavour != "MariaDB":
        raise ToolError(
            f"the backup is of {format_untrusted(flavour, 40)}, and throwaway servers are MariaDB",
            "restore it on a server of its kind: --to TARGET",
        )
    server = find_program(_SERVER)
    if server is None or find_program(_INSTALLER) is None:
        missing = _SERVER if server is None else _INSTALLER
        raise ToolError(
            f"no MariaDB server is installed here for a throwaway one: {missing} is missing",
            f"install the package mariadb-server, {_INSTEAD}",
        )
    version = _version(server)
    wanted = backup.manifest.server_version if backup.manifest else contents.server_version
    if _series(wanted) > _series(version):
        raise ToolError(
            f"the backup is of MariaDB {format_untrusted(wanted, 40)} and the server installed here is {version}",
            f"install MariaDB {'.'.join(map(str, _series(wanted)))}, {_INSTEAD}",
        )
    account = choose_account(*ACCOUNTS)
    needed = needed_bytes(backup, _EXTRA_BYTES)
    return ThrowawayPlan(
        server=f"MariaDB {version}",
        version=version,
        programs=str(server.parent),
        account=account.name if account else "",
        parent=choose_parent(needed, environ, account, in_memory=bool(backup.encryption)),
        needed_bytes=needed,
        remarks=tuple(_remarks(wanted, version)),
    )


def _version(server: Path) -> str:
    found = re.search(r"Ver (\d+(?:\.\d+)+)", tool_output([str(server), "--no-defaults", "--version"]))
    return found[1] if found else ""


def _series(version: str) -> tuple[int, ...]:
    """10.11 of 10.11.19: what a server's data and SQL depend on."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else ()


def _remarks(wanted: str, version: str) -> list[str]:
    if not _series(wanted) or _series(wanted) == _series(version):
        return []
    return [f"the backup is of MariaDB {format_untrusted(wanted, 40)}: it is restored into {version}"]
