"""Barman: its list-backup, show-backup, status, check, list-files, verify-backup and recover commands, with -f json."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.repositories.calling import Answer, ask, follow, parse_answer, refusal, told_errors
from dbtui.adapters.repositories.growing import GrowingDirectory
from dbtui.adapters.repositories.places import Place
from dbtui.errors import ToolError
from dbtui.model.events import Routine
from dbtui.model.repositories import (
    BackupKind,
    Repository,
    RepositoryBackup,
    RepositoryCheck,
    RepositoryCheckup,
    RepositoryDetail,
    RepositoryReport,
    RepositoryRestoreOptions,
    Tablespace,
    WalArchive,
)
from dbtui.model.text import format_untrusted

_LABEL = re.compile(r"\d{8}T\d{6}")
_SEGMENT = re.compile(r"[0-9A-F]{24}")
#: What a backup is called that can be restored; one that waits for WAL cannot yet.
_DONE = "DONE"
_CHECK_SECONDS = 120.0
_LINES = 50


class _Listed(msgspec.Struct):
    backup_id: str
    status: str = ""
    end_time_timestamp: float | None = None
    size_bytes: int | None = None
    wal_size_bytes: int | None = None
    backup_type: str = ""


class _Base(msgspec.Struct):
    begin_time_timestamp: float | None = None
    end_time_timestamp: float | None = None
    begin_wal: str | None = None
    end_wal: str | None = None
    disk_usage_bytes: int | None = None  # up to 3.10


class _Wal(msgspec.Struct):
    last_available: str | None = None


class _Catalog(msgspec.Struct):
    root_backup_id: str | None = None
    parent_backup_id: str | None = None


class _Space(msgspec.Struct):
    name: str = ""
    location: str = ""
    oid: int = 0


class _Shown(msgspec.Struct):
    backup_id: str
    status: str = ""
    error: str | None = None
    backup_type: str = ""  # from 3.11 on, as the size of the cluster
    cluster_size_bytes: int | None = None
    postgresql_version: int | None = None
    base_backup_information: _Base = msgspec.field(default_factory=_Base)
    wal_information: _Wal = msgspec.field(default_factory=_Wal)
    catalog_information: _Catalog = msgspec.field(default_factory=_Catalog)
    tablespaces: list[_Space] | None = None


class _Check(msgspec.Struct):
    status: str = ""
    hint: str = ""


class _Said(msgspec.Struct):
    message: str = ""


class _Told(msgspec.Struct):
    info: list[str] = msgspec.field(default_factory=list, name="_INFO")
    warning: list[str] = msgspec.field(default_factory=list, name="_WARNING")
    changes: list[list[Any]] = []
    warnings: list[list[Any]] = []
    missing_files: list[str] = []


class Barman:
    """One server of Barman's."""

    def __init__(self, repository: Repository, environ: Mapping[str, str], cancellation: Cancellation) -> None:
        self.repository = repository
        self._environ = environ
        self._cancellation = cancellation

    def leading_words(self) -> tuple[str, ...]:
        """The words before every command: who runs it, by which configuration, and that it speaks JSON."""
        config = ("-c", self.repository.config) if self.repository.config else ()
        return (*self.repository.run_as, "barman", *config, "-f", "json")

    def collect_backups(self, now: datetime) -> RepositoryReport:
        """Ask for backups alone."""
        name = self.repository.name
        answer = self._ask("its backups cannot be listed", "list-backup", name)
        listed = parse_answer(self.repository, answer.output, dict[str, list[_Listed]], "its backups")
        backups = sorted(map(self._listed, listed.get(name, [])), key=lambda each: (each.at, each.label), reverse=True)
        return RepositoryReport(repository=self.repository, taken_at=now, backups=tuple(backups))

    def collect_report(self, now: datetime) -> RepositoryReport:
        """Ask for backups, WAL and health. Backups are listed also while the server is gone."""
        report = self.collect_backups(now)
        backups = list(report.backups)
        archives: tuple[WalArchive, ...] = ()
        newest = next((number for number, each in enumerate(backups) if each.is_usable), None)
        if newest is not None:
            backups[newest], shown = self._show(backups[newest])
            archives = (self._archive(shown),)
        checks = self._collect_checks()
        return replace(
            report,
            backups=tuple(backups),
            archives=archives,
            status_code=0 if all(each.is_passed for each in checks) else 1,
            checks=checks,
        )

    def collect_detail(self, backup: RepositoryBackup) -> RepositoryDetail:
        """Ask about one backup alone."""
        found, shown = self._show(backup)
        spaces = tuple(Tablespace(each.name, each.location, each.oid) for each in shown.tablespaces or ())
        return RepositoryDetail(backup=found, tablespaces=spaces)

    def collect_segments(self, backup: RepositoryBackup) -> tuple[str, ...]:
        """Return the names of the WAL segments from the backup's first one on: up to the next backup's.

        Barman says which its catalogue has; those whose file is gone are left out.
        """
        what = "its WAL cannot be listed"
        answer = self._ask(what, "list-files", "--target", "wal", self.repository.name, backup.label)
        told = parse_answer(self.repository, answer.output, _Told, "its WAL")
        places = [line.rpartition("/")[::2] for line in told.info]
        wanted = [(where, name) for where, name in places if _SEGMENT.fullmatch(name) and name >= backup.wal_start]
        place = Place(self.repository.run_as, self._environ, self._cancellation)
        there = {where: place.names(where) for where in {where for where, _name in wanted}}
        if any(names is None for names in there.values()):
            raise ToolError(f"{self.repository}: the directory of its WAL cannot be looked into")
        return tuple(sorted({name for where, name in wanted if name in (there[where] or ())}))

    def verify(self, backup: RepositoryBackup) -> Routine[RepositoryCheckup]:
        """Have pg_verifybackup read every file again and compare its checksum with the backup's manifest."""
        argv = (*self.leading_words(), "verify-backup", self.repository.name, backup.label)
        yield from ()
        answer = ask(argv, self._environ, self._cancellation, seconds=None, run_as=self.repository.run_as)
        told = told_errors(answer.output) or [line for line in answer.messages if line.strip()]
        unchecked = ("what is in the WAL segments: barman has no checksums of them",)
        if answer.code == 0:
            checked = ("the checksum and size of every file, by pg_verifybackup",)
            return RepositoryCheckup(checked=checked, unchecked=unchecked)
        said = [format_untrusted(line, 400) for line in told[-_LINES:]] or [f"barman exited with {answer.code}"]
        if not any("pg_verifybackup" in line and ":" in line for line in said) and "fail" not in " ".join(said).lower():
            raise refusal(self.repository, answer, f"{backup.label} could not be verified")
        return RepositoryCheckup(checked=("its files, by pg_verifybackup",), unchecked=unchecked, problems=tuple(said))

    def restore_command(
        self,
        backup: RepositoryBackup,
        options: RepositoryRestoreOptions,
        tablespaces: Sequence[tuple[Tablespace, str]] = (),
        *,
        is_trial: bool = False,
    ) -> tuple[str, ...]:
        """Return the argv of a restore. Barman itself has the restored server archive nothing."""
        argv = [*self.leading_words(), "recover"]
        if is_trial:
            argv += ["--target-immediate", "--target-action=pause"]
        elif options.target_time is not None:
            target = f"{options.target_time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00:00"
            argv += [f"--target-time={target}", "--target-action=promote"]
        if options.jobs > 1:
            argv.append(f"--jobs={options.jobs}")
        argv += [f"--tablespace={space.name}:{place}" for space, place in tablespaces]
        return (*argv, self.repository.name, backup.label, options.directory)

    def restore(self, backup: RepositoryBackup, directory: str, command: Sequence[str]) -> Routine[tuple[str, ...]]:
        """Run a restore; how far it is shows in the growing directory."""
        growing = GrowingDirectory(directory, backup.database_bytes)
        said = yield from follow(
            command,
            self._environ,
            self._cancellation,
            run_as=self.repository.run_as,
            what=f"restore into {format_untrusted(directory)}",
            read_progress=growing.look,
        )
        try:
            told = msgspec.json.decode("".join(said.lines).encode(), type=_Told, strict=False)
        except (msgspec.MsgspecError, UnicodeEncodeError):  # it has done its work; only what it remarked is lost
            return ()
        missing = [f"{name} is missing in the backup" for name in told.missing_files]
        settings = [_setting(each) for each in told.warnings]
        return tuple(format_untrusted(text, 400) for text in (*missing, *filter(None, settings)))

    # ------------------------------------------------------------ asking

    def _ask(self, what: str, *words: str) -> Answer:
        answer = ask((*self.leading_words(), *words), self._environ, self._cancellation, run_as=self.repository.run_as)
        if answer.code != 0 or told_errors(answer.output):
            raise refusal(self.repository, answer, what)
        return answer

    def _show(self, backup: RepositoryBackup) -> tuple[RepositoryBackup, _Shown]:
        name = self.repository.name
        answer = self._ask(f"{backup.label} cannot be shown", "show-backup", name, backup.label)
        told = parse_answer(self.repository, answer.output, dict[str, _Shown], backup.label)
        if name not in told:
            raise ToolError(f"{self.repository}: barman says nothing of {backup.label}", "see dbtui backup list")
        return self._with_details(backup, told[name]), told[name]

    def _collect_checks(self) -> tuple[RepositoryCheck, ...]:
        """What `barman check` says; it exits with 1 when anything failed, and says all the same what."""
        argv = (*self.leading_words(), "check", self.repository.name)
        answer = ask(argv, self._environ, self._cancellation, seconds=_CHECK_SECONDS, run_as=self.repository.run_as)
        if told_errors(answer.output):
            raise refusal(self.repository, answer, "it cannot be checked")
        told = parse_answer(self.repository, answer.output, dict[str, dict[str, _Check]], "its checks")
        return tuple(
            RepositoryCheck(
                format_untrusted(name.replace("_", " "), 100), check.status == "OK", format_untrusted(check.hint, 300)
            )
            for name, check in told.get(self.repository.name, {}).items()
        )

    def _current_segment(self) -> str:
        """The segment that the server writes now; empty while it cannot be asked."""
        argv = (*self.leading_words(), "status", self.repository.name)
        answer = ask(argv, self._environ, self._cancellation, seconds=_CHECK_SECONDS, run_as=self.repository.run_as)
        try:
            told = msgspec.json.decode(answer.output, type=dict[str, dict[str, _Said]], strict=False)
        except msgspec.MsgspecError:  # the server is gone, or a version that says it otherwise
            return ""
        return told.get(self.repository.name, {}).get("current_xlog", _Said()).message

    # ------------------------------------------------------------ its JSON as ours

    def _listed(self, told: _Listed) -> RepositoryBackup:
        is_odd = _LABEL.fullmatch(told.backup_id) is None
        status = format_untrusted(told.status, 60)
        problem = "" if status == _DONE else f"barman calls it {status or 'nothing'}"
        return RepositoryBackup(
            repository=str(self.repository),
            label=format_untrusted(told.backup_id, 200),
            kind=BackupKind.INCR if told.backup_type == "incremental" else BackupKind.FULL,
            began_at=None if is_odd or told.end_time_timestamp else _moment_of(told.backup_id),
            ended_at=_moment(told.end_time_timestamp),
            repository_bytes=told.size_bytes,
            problem="its name is none of Barman's" if is_odd else problem,
            is_usable=not is_odd and status == _DONE,
        )

    def _with_details(self, backup: RepositoryBackup, told: _Shown) -> RepositoryBackup:
        base, parent = told.base_backup_information, told.catalog_information
        needs = dict.fromkeys(each for each in (parent.root_backup_id, parent.parent_backup_id) if each)
        return replace(
            backup,
            began_at=_moment(base.begin_time_timestamp),
            ended_at=_moment(base.end_time_timestamp) or backup.ended_at,
            server_version=_version(told.postgresql_version),
            database_bytes=told.cluster_size_bytes or base.disk_usage_bytes,
            wal_start=format_untrusted(base.begin_wal or "", 40),
            wal_stop=format_untrusted(base.end_wal or "", 40),
            needs=tuple(format_untrusted(each, 200) for each in needs if _LABEL.fullmatch(each)),
            problem=format_untrusted(told.error, 300) if told.error else backup.problem,
        )

    def _archive(self, told: _Shown) -> WalArchive:
        last = format_untrusted(told.wal_information.last_available or "", 40)
        return WalArchive(
            first=told.base_backup_information.begin_wal or "", last=last, current=self._current_segment()
        )


def _setting(told: Sequence[Any]) -> str:
    """A setting that Barman warns of: (file, line, name, value)."""
    if len(told) < 4:
        return ""
    return f"{told[0]}, line {told[1]}: {told[2]} = {told[3]} came with the backup; look at it before the start"


def _version(number: int | None) -> str:
    """150018 as 15.18, 90624 as 9.6.24."""
    if not number:
        return ""
    if number >= 100_000:
        return f"{number // 10_000}.{number % 10_000}"
    return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"


def _moment_of(label: str) -> datetime | None:
    """When a backup that never ended began: its name says it, in the time of this machine."""
    try:
        return datetime.strptime(label, "%Y%m%dT%H%M%S").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _moment(seconds: float | None) -> datetime | None:
    """A time as Barman writes it; one that no clock shows is not known."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
