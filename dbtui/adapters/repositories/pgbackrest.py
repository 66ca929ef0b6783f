"""pgBackRest: its info, verify, repo-ls and restore commands. The JSON of `info` is kept stable by its makers."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.repositories.calling import ask, follow, parse_answer, refusal
from dbtui.adapters.repositories.pgbackrest_words import checkup_of, percent_of
from dbtui.errors import ToolError, UsageError
from dbtui.model.events import Progressed, Routine
from dbtui.model.repositories import (
    BackupKind,
    Repository,
    RepositoryBackup,
    RepositoryCheckup,
    RepositoryDetail,
    RepositoryReport,
    RepositoryRestoreOptions,
    Tablespace,
    WalArchive,
)
from dbtui.model.text import format_untrusted

_SEGMENT = re.compile(r"(?:^|/)([0-9A-F]{24})(?=$|-[0-9a-f]{40})")
_LABEL = re.compile(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?")
_KINDS = {each.value: each for each in BackupKind}
_DAMAGED_PAGES = "pages with wrong checksums were found in the data directory while it was made"
#: From this version on a server's archive_mode can be switched off by the restore itself (restore --archive-mode).
_ARCHIVE_MODE_MAJOR = 12


class _Times(msgspec.Struct):
    start: int | None = None
    stop: int | None = None


class _Range(msgspec.Struct):
    start: str | None = None
    stop: str | None = None


class _RepositorySize(msgspec.Struct):
    delta: int | None = None
    size: int | None = None


class _Sizes(msgspec.Struct):
    size: int | None = None
    repository: _RepositorySize = msgspec.field(default_factory=_RepositorySize)


class _DatabaseId(msgspec.Struct):
    id: int = 0
    repo_key: int = msgspec.field(default=1, name="repo-key")


class _Named(msgspec.Struct):
    name: str = ""
    destination: str = ""
    oid: int = 0


class _Backup(msgspec.Struct):
    label: str
    type: str = "full"
    archive: _Range = msgspec.field(default_factory=_Range)
    database: _DatabaseId = msgspec.field(default_factory=_DatabaseId)
    error: bool | None = None
    info: _Sizes = msgspec.field(default_factory=_Sizes)
    reference: list[str] | None = None
    timestamp: _Times = msgspec.field(default_factory=_Times)
    tablespace: list[_Named] | None = None
    database_ref: list[_Named] | None = msgspec.field(default=None, name="database-ref")


class _Archive(msgspec.Struct):
    id: str
    min: str | None = None
    max: str | None = None
    database: _DatabaseId = msgspec.field(default_factory=_DatabaseId)


class _Database(msgspec.Struct):
    id: int = 0
    version: str = ""
    system_id: int | str = msgspec.field(default="", name="system-id")
    repo_key: int = msgspec.field(default=1, name="repo-key")


class _Held(msgspec.Struct):
    held: bool = False


class _Locks(msgspec.Struct):
    backup: _Held = msgspec.field(default_factory=_Held)


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""
    lock: _Locks = msgspec.field(default_factory=_Locks)


class _RepositoryEntry(msgspec.Struct):
    key: int = 1
    cipher: str = ""
    status: _Status = msgspec.field(default_factory=_Status)


class _Stanza(msgspec.Struct):
    name: str
    archive: list[_Archive] = []
    backup: list[_Backup] = []
    db: list[_Database] = []
    repo: list[_RepositoryEntry] = []
    cipher: str | None = None
    status: _Status = msgspec.field(default_factory=_Status)


class _Listed(msgspec.Struct):
    type: str = ""
    time: int | None = None


class PgBackRest:
    """One stanza."""

    def __init__(self, repository: Repository, environ: Mapping[str, str], cancellation: Cancellation) -> None:
        self.repository = repository
        self._environ = environ
        self._cancellation = cancellation

    def leading_words(self) -> tuple[str, ...]:
        """The words before every command: who runs it, and by which configuration."""
        config = (f"--config={self.repository.config}",) if self.repository.config else ()
        return (*self.repository.run_as, "pgbackrest", *config, f"--stanza={self.repository.name}")

    def collect_report(self, now: datetime) -> RepositoryReport:
        """Ask for backups, WAL and health."""
        stanza = self._collect_stanza(())
        backups = [self._backup(stanza, each) for each in stanza.backup]
        archives = [self._archive(each) for each in stanza.archive]
        if archives:
            archives[-1] = self._dated(archives[-1], stanza)
        failing = [each for each in stanza.repo if each.status.code]
        said = [f"repository {each.key}: {each.status.message}" for each in failing if len(stanza.repo) > 1]
        return RepositoryReport(
            repository=self.repository,
            taken_at=now,
            backups=tuple(sorted(backups, key=lambda each: (each.at, each.label), reverse=True)),
            archives=tuple(archives),
            status_code=stanza.status.code,
            status_text=format_untrusted("; ".join(said) or stanza.status.message, 400),
            is_running=stanza.status.lock.backup.held,
            cipher="" if stanza.cipher in (None, "none") else format_untrusted(stanza.cipher or "", 40),
        )

    def collect_backups(self, now: datetime) -> RepositoryReport:
        """Ask for backups; the same question answers everything."""
        return self.collect_report(now)

    def collect_detail(self, backup: RepositoryBackup) -> RepositoryDetail:
        """Ask about one backup alone."""
        stanza = self._collect_stanza((f"--set={backup.label}", *self._chosen(backup)))
        found = next((each for each in stanza.backup if each.label == backup.label), None)
        if found is None:
            raise UsageError(f"{backup.reference}: pgbackrest knows no such backup", "see dbtui backup list")
        return RepositoryDetail(
            backup=backup,
            databases=tuple(format_untrusted(each.name, 200) for each in found.database_ref or ()),
            tablespaces=tuple(Tablespace(each.name, each.destination, each.oid) for each in found.tablespace or ()),
        )

    def collect_segments(self, backup: RepositoryBackup) -> tuple[str, ...]:
        """Return the names of the WAL segments from the backup's first one on."""
        if not backup.archive:
            return ()
        place = f"archive/{self.repository.name}/{backup.archive}"
        listed = self._list(place, "--recurse", *self._chosen(backup))
        names = (found[1] for name in listed if (found := _SEGMENT.search(name)))
        return tuple(sorted({name for name in names if name >= backup.wal_start}))

    def verify(self, backup: RepositoryBackup) -> Routine[RepositoryCheckup]:
        """Have pgBackRest read every file of the stanza again and compare its checksum.

        It exits with 0 whatever it finds: what counts is what it says.
        """
        argv = (*self.leading_words(), *self._chosen(backup), "--output=text", "--verbose",
                "--log-level-console=off", "verify")  # fmt: skip
        told = yield from follow(
            argv,
            self._environ,
            self._cancellation,
            run_as=self.repository.run_as,
            what=f"{backup.repository} could not be verified",
            read_progress=lambda _line: None,
        )
        return checkup_of(backup, told.lines)

    def restore_command(
        self,
        backup: RepositoryBackup,
        options: RepositoryRestoreOptions,
        tablespaces: Sequence[tuple[Tablespace, str]] = (),
        *,
        is_trial: bool = False,
    ) -> tuple[str, ...]:
        """Return the argv of a restore. The restored server does not archive: two would write into one archive."""
        argv = [*self.leading_words(), *self._chosen(backup), f"--set={backup.label}",
                f"--pg1-path={options.directory}", "--log-level-console=detail"]  # fmt: skip
        if int(backup.server_version.partition(".")[0] or 0) >= _ARCHIVE_MODE_MAJOR:
            argv.append("--archive-mode=off")
        if is_trial:
            argv += ["--type=immediate", "--target-action=pause"]
        elif options.target_time is not None:
            target = f"{options.target_time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"
            argv += ["--type=time", f"--target={target}", "--target-action=promote"]
        if options.is_delta:
            argv.append("--delta")
        if options.jobs > 1:
            argv.append(f"--process-max={options.jobs}")
        argv += [f"--tablespace-map={space.name}={place}" for space, place in tablespaces]
        return (*argv, "restore")

    def restore(self, backup: RepositoryBackup, directory: str, command: Sequence[str]) -> Routine[tuple[str, ...]]:
        """Run a restore; pgBackRest itself says how far it is."""
        total = backup.database_bytes

        def read_progress(line: str | None) -> Progressed | None:
            share = percent_of(line) if line else None
            if share is None:
                return None
            return Progressed(round(share * total), total, "bytes") if total else None

        told = yield from follow(
            command,
            self._environ,
            self._cancellation,
            run_as=self.repository.run_as,
            what=f"restore into {format_untrusted(directory)}",
            read_progress=read_progress,
        )
        return tuple(line for line in told.messages if "WARN: " in line)

    # ------------------------------------------------------------ asking

    def _collect_stanza(self, extra: Sequence[str]) -> _Stanza:
        argv = (*self.leading_words(), *extra, "--output=json", "info")
        answer = ask(argv, self._environ, self._cancellation, run_as=self.repository.run_as)
        if answer.code != 0:
            raise refusal(self.repository, answer, "its backups cannot be listed")
        stanzas = parse_answer(self.repository, answer.output, list[_Stanza], "its backups")
        found = next((each for each in stanzas if each.name == self.repository.name), None)
        if found is None:
            raise ToolError(f"{self.repository}: pgbackrest says nothing of a stanza of that name",
                            "mend repository in the configuration file")  # fmt: skip
        return found

    def _list(self, place: str, *extra: str) -> dict[str, _Listed]:
        argv = (*self.leading_words(), *extra, "--output=json", "repo-ls", place)
        answer = ask(argv, self._environ, self._cancellation, run_as=self.repository.run_as)
        if answer.code != 0:
            raise refusal(self.repository, answer, f"{place} cannot be listed")
        return parse_answer(self.repository, answer.output, dict[str, _Listed], place)

    def _dated(self, archive: WalArchive, stanza: _Stanza) -> WalArchive:
        """With the time its last segment came, which `info` does not say."""
        if len(archive.last) < 16 or len(stanza.repo) > 1:
            return archive
        try:
            listed = self._list(f"archive/{self.repository.name}/{archive.archive}/{archive.last[:16]}")
        except ToolError:  # a version without repo-ls: the time is not known then, which is a value
            return archive
        times = [each.time for name, each in listed.items() if each.time and _SEGMENT.search(name)]
        last_at = _moment(max(times)) if times else None
        return WalArchive(archive=archive.archive, first=archive.first, last=archive.last, last_at=last_at)

    @staticmethod
    def _chosen(backup: RepositoryBackup) -> tuple[str, ...]:
        return (f"--repo={backup.repository_key}",) if backup.repository_key is not None else ()

    # ------------------------------------------------------------ its JSON as ours

    def _backup(self, stanza: _Stanza, told: _Backup) -> RepositoryBackup:
        of = told.database
        cluster = next((each for each in stanza.db if (each.id, each.repo_key) == (of.id, of.repo_key)), _Database())
        is_odd = _LABEL.fullmatch(told.label) is None
        archive = next((each.id for each in stanza.archive if each.database == of), "")
        return RepositoryBackup(
            repository=str(self.repository),
            label=format_untrusted(told.label, 200),
            kind=_KINDS.get(told.type, BackupKind.FULL),
            began_at=_moment(told.timestamp.start),
            ended_at=_moment(told.timestamp.stop),
            server_version=format_untrusted(cluster.version, 40),
            database_bytes=told.info.size,
            repository_bytes=told.info.repository.delta,
            wal_start=format_untrusted(told.archive.start or "", 40),
            wal_stop=format_untrusted(told.archive.stop or "", 40),
            archive=format_untrusted(archive, 40),
            needs=tuple(format_untrusted(each, 200) for each in told.reference or ()),
            problem="its label is none of pgBackRest's" if is_odd else _DAMAGED_PAGES if told.error else "",
            is_usable=not is_odd,
            repository_key=of.repo_key if len(stanza.repo) > 1 else None,
            system_id=str(cluster.system_id),
        )

    @staticmethod
    def _archive(told: _Archive) -> WalArchive:
        first, last = format_untrusted(told.min or "", 40), format_untrusted(told.max or "", 40)
        return WalArchive(archive=format_untrusted(told.id, 40), first=first, last=last)


def _moment(seconds: int | None) -> datetime | None:
    """A time as pgBackRest writes it; one that no clock shows is not known."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
