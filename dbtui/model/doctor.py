"""What the check-up of this machine, this terminal and a login looks at, and what it finds."""

from dataclasses import dataclass
from enum import StrEnum

from dbtui.model.connections import ServerInfo
from dbtui.model.findings import FindingLevel


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` is what to do about it: a command or a statement, empty: nothing."""

    level: FindingLevel
    area: str  # "terminal", "tools", "configuration", "directories", "credentials", "repository", "target"
    subject: str  # what was looked at: "TERM", "psql", "CREATEDB"
    sentence: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalFacts:
    """The terminal as its variables, terminfo and tmux tell. `terminfo_colours` None: TERM is not known here."""

    term: str = ""
    colorterm: str = ""
    is_terminal: bool = False
    columns: int = 80
    lines: int = 24
    locale: str = ""  # the variable that decides about characters: "C.UTF-8"
    no_color: bool = False
    terminfo_colours: int | None = None
    ssh_client: str = ""  # the address of the other end
    tmux_version: str = ""
    tmux_settings: tuple[tuple[str, str], ...] = ()
    is_tmux: bool = False
    is_screen: bool = False


class CopyRoute(StrEnum):
    """How OSC 52 is sent so that what is around us lets it through."""

    PLAIN = "plain"
    TMUX = "wrapped for tmux"
    SCREEN = "in pieces for GNU screen"
    PLAIN_AND_SCREEN = "plain, then in pieces"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CopyWay:
    """The way of a copy. `sentence`: what stands in its way or may lose it, empty: nothing; `remedy`: the cure."""

    route: CopyRoute
    sentence: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledTool:
    """A program that was found. `version_number` is as servers count: 150018; 0: unknown."""

    name: str
    path: str
    version: str = ""
    version_number: int = 0
    flavour: str = ""  # "PostgreSQL", "MariaDB", "MySQL"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryFacts:
    """A directory that is written to, or its nearest parent when it does not exist yet."""

    purpose: str  # "backups", "history and locks"
    path: str
    exists: bool
    is_writable: bool
    is_open_to_others: bool = False
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialFile:
    """A file that logins are read from. `is_ignored_when_open`: the driver leaves it out if others may read it."""

    kind: str  # "password file", "service file", "option file", "login path file"
    path: str
    exists: bool
    mode: int = 0
    is_ours: bool = True
    holds_secret: bool = True
    is_ignored_when_open: bool = False
    is_read: bool = True  # False: there, but not a format that dbtui reads


@dataclass(frozen=True, slots=True)
class SettingOrigin:
    """A setting, its value (no secret) and what gave it that value."""

    setting: str  # "backup_dir", "profiles.erp.url", "PGSSLMODE"
    value: str
    origin: str  # "default", "config.toml", "config.toml [profiles.erp]", "environment", "command line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Something a login may do. `is_held` None: it cannot be told. `grant` is the statement that gives it.

    `is_vital`: without it a backup fails or misses data.
    """

    name: str
    purpose: str  # "look", "act", "dump", "restore"
    is_held: bool | None
    without: str = ""  # what does not work without it
    grant: str = ""
    is_vital: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a login may do on its server, and how it gets there. Seconds are the server's clock less this machine's."""

    info: ServerInfo
    where: str  # "db1:5432"
    items: tuple[Capability, ...] = ()
    is_local: bool = False  # the same machine: a socket, loopback or a file
    is_tls: bool | None = None
    is_tls_verified: bool = False
    tls_detail: str = ""  # "TLSv1.3, sslmode=verify-full"
    is_pooled: bool | None = None
    passes_pooler: bool = False  # longer work finds a way past the pooler
    clock_skew_seconds: float | None = None
    round_trip_seconds: float = 0.0
    remarks: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
