"""Backups: what one is, what it holds, and the plans to make and restore one.

The manifest is the truth about a backup; its fields are the file format (version 1) described in the README.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dbtui.model.connections import EngineName, Secret, ServerInfo
from dbtui.model.formats import BackupFormat as BackupFormat
from dbtui.model.formats import Compression as Compression
from dbtui.model.formats import CompressionKind as CompressionKind
from dbtui.model.shapes import DatabaseShape
from dbtui.model.tables import TableName as TableName

MANIFEST_VERSION = 1
MANIFEST_SUFFIX = ".manifest.json"
PARTIAL_SUFFIX = ".partial"


@dataclass(frozen=True, slots=True)
class BackupTable:
    """One table in a backup. `rows` and `bytes` are None when unknown; `rows_are` is "exact" or "estimate"."""

    schema: str
    name: str
    rows: int | None = None
    rows_are: str = "estimate"
    bytes: int | None = None

    @property
    def table_name(self) -> TableName:
        """Its schema and name."""
        return TableName(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file of a backup; `path` is relative to the backup directory."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in a database that is not sound: `kind` is "constraint", "index", "sequence", "materialised view" …

    `is_certain`: no sound database is like that, so it need not be known whether the dumped one was.
    """

    kind: str
    name: str
    text: str
    is_certain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of a complete backup. Times are ISO 8601 in UTC."""

    format_version: int
    backup_id: str
    engine: EngineName
    flavour: str
    database: str
    profile: str
    url: str
    server_version: str
    tool: str
    tool_version: str
    dbtui_version: str
    format: BackupFormat
    compression: str
    encryption: str | None
    begin_time: str
    end_time: str
    files: tuple[BackupFile, ...]
    size_bytes: int
    tables: tuple[BackupTable, ...]
    verified_at: str | None = None
    # Beyond the first version's promise; each has a default so that older manifests can be read.
    duration_seconds: float = 0.0
    uncompressed_bytes: int | None = None
    database_bytes: int | None = None
    schemas: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    selected_tables: tuple[str, ...] = ()
    excluded_tables: tuple[str, ...] = ()
    schema_only: bool = False
    warnings: tuple[str, ...] = ()
    proof: str | None = None  # "checksums" | "restored": what the last verification that succeeded did
    proof_seconds: float | None = None  # how long that took
    failed_at: str | None = None  # when the last verification found something wrong
    flaws: tuple[Flaw, ...] | None = None  # what was not sound in the database when it was dumped; None: not known
    shape: DatabaseShape | None = None  # of the tables when they were dumped; None: not known
    recipients: tuple[str, ...] = ()  # the public keys that an encrypted backup can be opened for


class EntryKind(StrEnum):
    """What a row of the history is."""

    COMPLETE = "complete"
    FOREIGN = "foreign"  # a dump without a manifest
    BROKEN = "broken"  # a manifest that cannot be read, or whose data is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupEntry:
    """One row of the backup history. `began_at` is the file's time for foreign files.

    Of one that lies in a remote alone, `directory` is empty and `data_path` the address of its data.
    """

    backup_id: str
    kind: EntryKind
    directory: str
    data_path: str  # absolute path of the data file or directory; "" when it is gone
    began_at: datetime
    engine: EngineName | None = None
    flavour: str = ""
    database: str = ""
    profile: str = ""
    server_version: str = ""
    format: BackupFormat | None = None
    compression: str = ""
    size_bytes: int = 0
    tables: int | None = None
    rows: int | None = None
    verified_at: str | None = None
    proof: str | None = None
    proof_seconds: float | None = None
    failed_at: str | None = None
    problem: str = ""
    is_pinned: bool = False
    remote: str = ""  # the address of the remote where it lies, if it does not lie here
    copies: tuple[str, ...] = ()  # the addresses of the other remotes that hold a whole copy of it
    fingerprint: str = ""  # of the names, sizes and SHA-256 of its files: that of a copy is the same
    url: str = ""  # what it was made from, without a secret
    encryption: str = ""  # "age", or empty


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBackup:
    """A backup that adapters can read: where it is and how it is packed. `manifest` is None for foreign files.

    `encryption` is "age" or empty. `identity` holds the secret keys that open it, as a file of age or SSH has them.
    """

    backup_id: str
    engine: EngineName
    format: BackupFormat
    compression: Compression
    data_path: str
    manifest: Manifest | None = None
    encryption: str = ""
    identity: Secret | None = field(default=None, repr=False)

    @property
    def is_packed(self) -> bool:
        """Whether the data file is not the dump itself: compressed as a whole, or encrypted."""
        return bool(self.encryption) or self.compression.kind is not CompressionKind.NONE


@dataclass(frozen=True, slots=True)
class DumpObject:
    """Something other than a table in a backup: a view, function, sequence, extension…"""

    kind: str
    schema: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupContents:
    """What a backup holds, read without restoring it."""

    engine: EngineName
    database: str = ""
    server_version: str = ""
    tool_version: str = ""
    schemas: tuple[str, ...] = ()
    tables: tuple[BackupTable, ...] = ()
    objects: tuple[DumpObject, ...] = ()
    extensions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableSample:
    """The first rows of a table as text; a NULL is None. `more` says that the table goes on."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    more: bool = False


# ---------------------------------------------------------------- making one


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpOptions:
    """What was asked for. Table patterns are `schema.table` or `table`, with `*` and `?`.

    In a plan, `encrypt_to` holds nothing but recipients.
    """

    format: BackupFormat = BackupFormat.PLAIN
    compression: Compression = field(default_factory=Compression)
    jobs: int = 1
    tables: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()
    schema_only: bool = False
    encrypt_to: tuple[str, ...] | None = None  # recipients, or files of them; None: as the profile says; empty: nobody


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table that a dump would take: what planning needs to know of it."""

    schema: str
    name: str
    bytes: int | None = None
    rows_estimate: int | None = None
    is_readable: bool = True
    has_row_security: bool = False
    is_transactional: bool = True

    @property
    def table_name(self) -> TableName:
        """Its schema and name."""
        return TableName(self.schema, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpFacts:
    """What the server and this machine say before a dump.

    `tables` are the chosen ones; `unmatched` are patterns that match no table. `lock_holders` are sessions whose
    locks the dump would wait for, one line each. `broken_objects` would make the tool fail, with the reason.
    """

    info: ServerInfo
    tool: str
    tool_path: str
    tool_version: str
    tool_major: int = 0
    tool_lacks_zstd: bool = False  # of a version that knows zstd, but built without it
    tables: tuple[TableFacts, ...] = ()
    unmatched: tuple[str, ...] = ()
    database_bytes: int | None = None
    lock_holders: tuple[str, ...] = ()
    long_transactions: tuple[str, ...] = ()
    broken_objects: tuple[str, ...] = ()
    missing_privileges: tuple[str, ...] = ()  # each with the exact GRANT
    extensions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    large_objects: int = 0
    remarks: tuple[str, ...] = ()
    left_out: str = ""  # rows of the chosen tables that the tool cannot dump, in a sentence; empty: none
    memory_bytes: int | None = None  # room in memory for a copy that must not lie on a disk; None: nothing is copied


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step of a plan: what, the exact SQL or command (may be empty), why."""

    text: str
    command: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePlan:
    """A backup about to be made. It may be run only when `refusals` is empty."""

    backup_id: str
    directory: str
    data_name: str  # name of the data file or directory, without .partial
    options: DumpOptions
    facts: DumpFacts
    steps: tuple[PlanStep, ...] = ()
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    expected_bytes: int | None = None  # on disk
    expected_raw_bytes: int | None = None  # out of the dump tool, for progress
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpRequest:
    """What an adapter is asked to write, and where: `partial_path` is a file, or for `directory` an empty directory."""

    partial_path: str
    options: DumpOptions
    facts: DumpFacts
    expected_raw_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpResult:
    """What an adapter wrote. `files` are relative to `partial_path`; for a single file the path is empty."""

    files: tuple[BackupFile, ...]
    tables: tuple[BackupTable, ...]
    uncompressed_bytes: int | None = None
    schemas: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    flaws: tuple[Flaw, ...] | None = None  # see Manifest


# ---------------------------------------------------------------- restoring one


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """What was asked for. `into` names the new database (SQLite: a file), empty: chosen by the plan."""

    into: str = ""
    replace: bool = False
    tables: tuple[str, ...] = ()
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class SessionBrief:
    """A session that a restore would disconnect."""

    session_id: int
    user: str
    application: str
    client: str
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationFacts:
    """What the server says of the database a restore would fill. `tables` is 0 for an empty or absent one."""

    database: str
    exists: bool
    tables: int = 0
    size_bytes: int | None = None
    sessions: tuple[SessionBrief, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFacts:
    """What the target server and this machine say before a restore."""

    info: ServerInfo
    destination: DestinationFacts  # the database named by --into, else the target's own
    taken_names: tuple[str, ...] = ()  # databases (SQLite: files) that exist already
    can_create_database: bool = True
    missing_roles: tuple[str, ...] = ()
    missing_extensions: tuple[str, ...] = ()
    free_bytes: int | None = None  # where the server keeps its data, if that can be known
    tool: str = ""
    tool_version: str = ""
    refusals: tuple[str, ...] = ()  # what this adapter knows cannot work, in a sentence each
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """A restore about to be run. It may be run only when `refusals` is empty.

    The data is always loaded into `load_database`, which does not exist yet. With `replaces` it is then swapped in
    under that name and what was there is kept as `keeps_as`. `confirm_name` is what the operator must type; it is empty
    when nothing that exists is touched.
    """

    backup: StoredBackup
    contents: BackupContents
    profile: str
    environment: str
    server: str
    load_database: str
    final_database: str
    replaces: bool = False
    keeps_as: str = ""
    tables: tuple[TableName, ...] = ()  # empty: all
    jobs: int = 1
    sessions: tuple[SessionBrief, ...] = ()
    needed_bytes: int | None = None
    free_bytes: int | None = None
    missing_roles: tuple[str, ...] = ()
    missing_extensions: tuple[str, ...] = ()
    steps: tuple[PlanStep, ...] = ()
    undo: str = ""
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    confirm_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What an adapter is asked to load, and into which database that already exists and is empty."""

    backup: StoredBackup
    contents: BackupContents
    database: str
    tables: tuple[TableName, ...] = ()
    jobs: int = 1
    skip_owners: bool = False  # roles are missing here: everything belongs to the restoring login


@dataclass(frozen=True, slots=True)
class TableDifference:
    """A table whose row count is not the manifest's. `found` is None when the table is not there."""

    schema: str
    name: str
    expected: int
    found: int | None


# ---------------------------------------------------------------- results


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateResult:
    """A backup that was made."""

    manifest: Manifest
    data_path: str
    manifest_path: str
    copy_path: str = ""  # the address of its copy, if one was asked for and made
    copy_problem: str = ""  # why there is none although it was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """What a verification found. It is good when `problems` is empty."""

    backup_id: str
    proof: str  # "checksums" | "restored"
    files_checked: int
    tables_compared: int = 0
    differences: tuple[TableDifference, ...] = ()
    problems: tuple[str, ...] = ()
    verified_at: str | None = None
    seconds: float = 0.0
    remarks: tuple[str, ...] = ()  # what was seen and is no fault of the backup
    where: str = ""  # on what it was restored
    rows_compared: int | None = None
    checked: tuple[tuple[str, int], ...] = ()  # what else was looked at in the restored database, by kind


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult:
    """A restore that was done. `kept_as` names what was there before, `undo` how to go back."""

    database: str
    tables: int
    rows: int | None
    differences: tuple[TableDifference, ...] = ()
    kept_as: str = ""
    undo: str = ""
    seconds: float = 0.0
    swap_seconds: float | None = None
    warnings: tuple[str, ...] = field(default=())
