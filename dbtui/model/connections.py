"""Where a server is, who asks, and what it says of itself."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from dbtui.model.policies import PartitionPolicy, RetentionPolicy

if TYPE_CHECKING:  # the first screen has no use for them
    from dbtui.model.hooks import HookSettings
    from dbtui.model.repositories import Repository


class EngineName(StrEnum):
    """The three kinds of database that dbtui speaks to. MariaDB is a flavour of `mysql`."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    SQLITE = "sqlite"


class Environment(StrEnum):
    """What a mistake would cost; it decides colours and confirmations."""

    PRODUCTION = "production"
    STAGING = "staging"
    DEVELOPMENT = "development"


class Secret:
    """A password that does not show itself: `str` and `repr` are stars, only `.reveal()` tells."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionProfile:
    """One target as configured or typed.

    `url` never holds a password: a password found in a URL is moved to `password`. Query parameters stay in the URL.
    `password_env` names a variable and `password_command` a program; both are asked when a connection is opened.
    """

    name: str
    engine: EngineName
    url: str
    database: str = ""
    password: Secret | None = None
    password_env: str = ""
    password_command: tuple[str, ...] = ()
    environment: Environment = Environment.DEVELOPMENT
    read_only: bool = False
    backup_dir: str = "backups"
    format: str = "plain"
    compress: str = "none"
    encrypt_to: tuple[str, ...] = ()  # age recipients of its backups, or files of them; empty: not encrypted
    identity: str = ""  # the file with the key that opens its backups
    identity_command: tuple[str, ...] = ()  # or what prints that key
    pgbouncer_url: str = ""
    pgbouncer_password: Secret | None = None
    partitions: tuple[PartitionPolicy, ...] = ()  # what its partitioned tables should be like
    keep: RetentionPolicy | None = None  # how many of its backups stay
    #: How old its newest good backup may be. None: what `keep` asks for, if anything; 0: as old as it likes.
    max_backup_age_seconds: float | None = None
    hooks: "HookSettings | None" = None  # who is told when something has ended
    remote: str = ""  # the address of the remote that copies of its backups go to
    replicas: tuple[str, ...] = ()  # the names of their profiles
    repository: "Repository | None" = None  # where pgBackRest or Barman keep physical backups of its cluster
    app_pools: tuple[str, ...] = ()  # unix:// patterns and http:// endpoints of `dbtui.instrument`
    #: Limits for who must not wait long: for connecting, unless the URL says one, and for each question. None: none.
    connect_seconds: int | None = None
    statement_seconds: int | None = None
    #: Remarks for the operator, such as "the password stands in the URL".
    warnings: tuple[str, ...] = ()
    #: Where it came from: "config.toml", "DATABASE_URL", "command line".
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What a server says of itself, asked once per connection."""

    engine: EngineName
    flavour: str  # "PostgreSQL", "MariaDB", "MySQL", "SQLite"
    version: str  # "15.18"
    version_number: int = 0  # as the server counts: 150018, 101119
    role: str = "primary"  # "primary" | "replica"
    database: str = ""
    user: str = ""
    is_superuser: bool = False
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCounters:
    """What a server counts since it started; rates are differences of two. None: it does not count that."""

    transactions: int | None = None  # committed and rolled back
    queries: int | None = None
    blocks_hit: int | None = None  # found in memory
    blocks_read: int | None = None  # not found there


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """What a database file says of itself (SQLite)."""

    wal_bytes: int | None = None
    journal_mode: str = ""
    lock_state: str = ""  # "unlocked", "read by 2 processes", "being written"
    integrity: str = ""  # "ok", or the first problem; empty: not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """One look at a target for the connections pane. None: not known, and `gaps` or `problem` says why.

    `problem_code` is the SQLSTATE or number behind `problem`. `sessions_available` are the slots an ordinary login can
    have: reserved ones are taken off.
    """

    profile: str
    taken_at: datetime
    info: ServerInfo | None = None
    problem: str = ""  # why it is unreachable
    sessions_used: int | None = None
    sessions_available: int | None = None
    size_bytes: int | None = None
    tables: int | None = None
    seconds: float = 0.0  # how long the question took
    gaps: tuple[str, ...] = field(default=())
    problem_code: str = ""
    started_at: datetime | None = None
    sessions_active: int | None = None
    sessions_idle_in_transaction: int | None = None
    sessions_blocked: int | None = None
    oldest_transaction_seconds: float | None = None
    counters: StatusCounters | None = None
    lag_seconds: float | None = None  # of a replica: 0 when it has applied all it received
    is_pooled: bool | None = None  # whether a pooler is in the path
    is_tls: bool | None = None
    file: FileStatus | None = None

    @property
    def reachable(self) -> bool:
        """Whether the server answered."""
        return self.info is not None
