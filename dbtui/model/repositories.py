"""Repositories of physical backups, kept by pgBackRest or Barman: what lies there, and the plan to restore from one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from dbtui.model.findings import FindingLevel

#: Which backup of a repository is meant when none, or this word, is named.
LATEST = "latest"


class RepositoryKind(StrEnum):
    """Whose repository it is; the value is what references to it begin with."""

    PGBACKREST = "pgbackrest"
    BARMAN = "barman"

    @property
    def product(self) -> str:
        """As its makers write it."""
        return {"pgbackrest": "pgBackRest", "barman": "Barman"}[self.value]


@dataclass(frozen=True, slots=True)
class Repository:
    """A stanza of pgBackRest or a server of Barman. `config`: the tool's configuration file, empty: its usual one.

    `run_as`: the words before every command, such as sudo -u barman.
    """

    kind: RepositoryKind
    name: str
    config: str = ""
    run_as: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As it is written in the configuration and before a backup's label: pgbackrest:main."""
        return f"{self.kind.value}:{self.name}"


class BackupKind(StrEnum):
    """How much of the cluster lies in a backup itself."""

    FULL = "full"
    DIFF = "diff"  # what changed since the last full one
    INCR = "incr"  # what changed since the last one of any kind


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryProof:
    """What the last verification of a backup has shown. `problems` is empty when it was good. Times are ISO 8601, UTC.

    `kind` is "checksums" (by the tool itself) or "restored" (into a throwaway server).
    """

    kind: str
    verified_at: str
    seconds: float = 0.0
    summary: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryBackup:
    """One physical backup of a whole cluster. `needs` are the labels it cannot be restored without, oldest first.

    `database_bytes` is what a restore writes, `repository_bytes` what this backup alone takes. `problem` is what the
    tool holds against it; `is_usable`: it can be restored all the same.
    """

    repository: str  # "pgbackrest:main"
    label: str
    kind: BackupKind = BackupKind.FULL
    began_at: datetime | None = None
    ended_at: datetime | None = None
    server_version: str = ""  # "15", "15.18"
    database_bytes: int | None = None
    repository_bytes: int | None = None
    wal_start: str = ""
    wal_stop: str = ""
    archive: str = ""  # where its WAL lies, as the tool calls it: "15-1"
    needs: tuple[str, ...] = ()
    problem: str = ""
    is_usable: bool = True
    repository_key: int | None = None  # of several repositories of one stanza
    system_id: str = ""
    proof: RepositoryProof | None = None

    @property
    def reference(self) -> str:
        """What commands take for it: pgbackrest:main/20261123-093000F."""
        return f"{self.repository}/{self.label}"

    @property
    def at(self) -> datetime:
        """When it ended, else when it began; backups are ordered by it."""
        return self.ended_at or self.began_at or datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalArchive:
    """What a repository holds of the write-ahead log: the first and the last segment; empty: none."""

    archive: str = ""
    first: str = ""
    last: str = ""
    last_at: datetime | None = None  # when the last one came; None: the tool does not say
    current: str = ""  # the one that the server writes now; empty: not known


@dataclass(frozen=True, slots=True)
class RepositoryCheck:
    """One thing that the tool checks by itself, and what it says of it."""

    name: str
    is_passed: bool
    hint: str = ""


class RepositoryConcern(StrEnum):
    """What there may be to say of a repository."""

    UNREACHABLE = "unreachable"  # the tool is missing, fails, or cannot be understood
    STATUS = "status"  # the tool itself says that something is wrong
    NO_BACKUP = "no_backup"
    OLD_BACKUP = "old_backup"
    OLD_FULL = "old_full"
    FAILED_BACKUP = "failed_backup"
    NO_WAL = "no_wal"
    OLD_WAL = "old_wal"
    WAL_GAP = "wal_gap"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class RepositoryFinding:
    """One thing that there is to say of a repository, in a sentence."""

    kind: RepositoryConcern
    level: FindingLevel
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryReport:
    """What a repository says of itself. `backups` are newest first; `problem`: why it could not be asked.

    `status_code` is the tool's own, 0: all is well.
    """

    repository: Repository
    taken_at: datetime
    backups: tuple[RepositoryBackup, ...] = ()
    archives: tuple[WalArchive, ...] = ()
    status_code: int = 0
    status_text: str = ""
    is_running: bool = False  # a backup is being made, or expired
    cipher: str = ""
    checks: tuple[RepositoryCheck, ...] = ()
    findings: tuple[RepositoryFinding, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """The repository, as references to its backups begin."""
        return str(self.repository)


@dataclass(frozen=True, slots=True)
class Tablespace:
    """A directory outside of the data directory that belongs to a cluster."""

    name: str
    location: str
    oid: int = 0  # by which the data directory refers to it


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryDetail:
    """What the tool says of one backup when it is asked about it alone."""

    backup: RepositoryBackup
    databases: tuple[str, ...] = ()
    tablespaces: tuple[Tablespace, ...] = ()


# ---------------------------------------------------------------- verifying one


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryCheckup:
    """What the tool itself found when it verified a backup: sentences of what was looked at, and what was wrong."""

    checked: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryTrialPlan:
    """A throwaway server to restore a backup into: the directory of its programs, and where it is made."""

    server: str  # "PostgreSQL 15.18"
    programs: str
    parent: str
    needed_bytes: int | None = None
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryVerification:
    """What verifying a backup has shown. It is good when `problems` is empty.

    `checked` says what was looked at, `unchecked` what was not, each in sentences. `databases`, `tables` and `rows`
    are what a throwaway server that was restored from it could read; None: it was not restored.
    """

    reference: str
    proof: str  # "checksums" | "restored"
    checked: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    verified_at: str | None = None
    seconds: float = 0.0
    where: str = ""
    databases: int | None = None
    tables: int | None = None
    rows: int | None = None
    steps: Mapping[str, float] = field(default_factory=dict)  # seconds by step


# ---------------------------------------------------------------- restoring one


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRestoreOptions:
    """What was asked for. `directory` is the data directory to fill; `target_time`: restore as of then.

    `replaces`: what lies in the directory now is set aside under a dated name. `is_delta`: it is overwritten in place
    instead, and nothing of it is kept (pgBackRest alone).
    """

    directory: str
    target_time: datetime | None = None
    replaces: bool = False
    is_delta: bool = False
    jobs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryFacts:
    """What lies at the directory that a restore would fill.

    `is_readable`: false when nobody here may look into it. `server_pid`: of a server that runs there, or ended badly.
    """

    path: str
    exists: bool = False
    is_directory: bool = True
    is_readable: bool = True
    is_symlink: bool = False
    is_mount: bool = False
    entries: int = 0
    cluster_version: str = ""  # of PG_VERSION; empty: no cluster
    server_pid: str = ""
    server_lives: bool = False
    owner: str = ""
    parent_exists: bool = True
    free_bytes: int | None = None
    tablespaces: tuple[Tablespace, ...] = ()  # of the cluster that lies there; their names are not known
    taken: tuple[str, ...] = ()  # of the other names that the plan wants, those that exist


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFromRepositoryPlan:
    """A restore about to be run. It may be run only when `refusals` is empty.

    `command` is exactly what is run. `kept_as` is where what lies in the directory now is set aside. `confirm_name` is
    what the operator must type. `afterwards` says how the server is started, and what to look at first.
    """

    repository: Repository
    backup: RepositoryBackup
    options: RepositoryRestoreOptions
    command: tuple[str, ...]
    aside: tuple[str, ...] = ()  # the command that sets the old directory aside
    kept_as: str = ""
    tablespaces: tuple[tuple[Tablespace, str], ...] = ()  # each with its new place
    account: str = ""  # who will own the files
    needed_bytes: int | None = None
    free_bytes: int | None = None
    existed: bool = False  # the directory is there now, empty
    steps: tuple[tuple[str, str], ...] = ()  # text, exact command
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    afterwards: tuple[str, ...] = ()
    confirm_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRestoreResult:
    """A data directory that was restored; the server in it has not been started."""

    reference: str
    directory: str
    seconds: float
    bytes: int | None = None
    kept_as: str = ""
    warnings: tuple[str, ...] = ()
    afterwards: tuple[str, ...] = ()
