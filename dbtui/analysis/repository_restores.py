"""Planning a restore from a repository of pgBackRest or Barman: what is refused, and what the operator must know."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from shlex import quote

from dbtui.errors import UsageError
from dbtui.model.repositories import (
    DirectoryFacts,
    RepositoryBackup,
    RepositoryDetail,
    RepositoryKind,
    RepositoryReport,
    RepositoryRestoreOptions,
    RestoreFromRepositoryPlan,
    Tablespace,
)
from dbtui.model.text import format_bytes, format_duration

#: A port for a restored server that runs beside others.
_OTHER_PORT = 5433
_TIMES = "%Y-%m-%d %H:%M:%S UTC"


def parse_target_time(text: str) -> datetime:
    """Return a time to restore to. One without a zone is refused: whose it is would be a guess. Raises UsageError."""
    example = "write it as 2026-11-23T09:24:00Z or '2026-11-23 10:24:00+01:00'"
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"--target-time: {text!r} is no time", example) from None
    if moment.tzinfo is None:
        raise UsageError(f"--target-time: {text!r} has no time zone", example)
    return moment


def kept_name(directory: str, now: datetime) -> str:
    """Return the name under which what lies in a directory is set aside."""
    return f"{directory}.before-{now:%Y%m%dT%H%M%SZ}"


def place_tablespaces(
    detail: RepositoryDetail, options: RepositoryRestoreOptions, facts: DirectoryFacts, now: datetime
) -> tuple[tuple[Tablespace, str], ...]:
    """Return where tablespaces go: beside the new directory. Where they were, a server may still use them.

    A restore in place overwrites those of the cluster that lies there, and no others: the ones that the backup names
    may be a live server's. What is set aside keeps its own. One whose place is not known has the place "".
    """
    if options.is_delta:
        known = {space.oid: space.location for space in facts.tablespaces}
        return tuple((space, known.get(space.oid, "")) for space in detail.tablespaces)
    stamp = f"-{now:%Y%m%dT%H%M%SZ}" if facts.entries else ""
    return tuple((space, f"{options.directory}.tablespaces{stamp}/{space.name}") for space in detail.tablespaces)


def finish_plan(
    plan: RestoreFromRepositoryPlan,
    report: RepositoryReport,
    facts: DirectoryFacts,
    wal_problems: Sequence[str],
    shown_commands: tuple[str, str],
) -> RestoreFromRepositoryPlan:
    """Return the plan with its steps, refusals, warnings and what to do afterwards.

    `wal_problems` is what `assess_segments` found; `shown_commands` are the aside's and the tool's, as text.
    """
    from dataclasses import replace

    refusals = (
        *_unusable(plan.backup, report, wal_problems),
        *_wrong_directory(plan, facts),
        *_no_room(plan, facts),
        *_wrong_time(plan, report),
    )
    return replace(
        plan,
        steps=tuple(_steps(plan, facts, *shown_commands)),
        warnings=tuple(_warnings(plan, report, facts, wal_problems)),
        refusals=refusals,
        afterwards=tuple(_afterwards(plan)),
        confirm_name=plan.options.directory,
        existed=facts.exists and facts.entries == 0,
    )


# ---------------------------------------------------------------- refusals


def _unusable(backup: RepositoryBackup, report: RepositoryReport, wal_problems: Sequence[str]) -> Iterator[str]:
    if not backup.is_usable:
        yield f"{backup.reference} cannot be restored: {backup.problem or 'it is not whole'}"
    known = {each.label for each in report.backups}
    missing = [label for label in backup.needs if label not in known]
    if missing:
        yield f"{backup.reference} needs {', '.join(missing)}, which is not in the repository"
    yield from (each for each in wal_problems if "cannot be restored" in each)


def _wrong_directory(plan: RestoreFromRepositoryPlan, facts: DirectoryFacts) -> Iterator[str]:
    path, options = facts.path, plan.options
    if options.is_delta and plan.repository.kind is not RepositoryKind.PGBACKREST:
        yield "only pgBackRest restores in place by --delta; use --replace, which sets the old directory aside"
    for name in facts.taken:
        yield f"{name} exists already"
    if not facts.exists:
        if not facts.parent_exists:
            yield f"the directory that shall hold {path} does not exist; make it first, for the right account"
        return
    if not facts.is_directory:
        yield f"{path} is not a directory"
    elif facts.is_symlink:
        yield f"{path} is a symbolic link; name the directory itself"
    elif not facts.is_readable:
        yield f"it cannot be seen whether {path} is empty: it belongs to {facts.owner or 'another account'}"
    elif facts.server_lives:
        yield f"a server runs in {path} (process {facts.server_pid}); stop it, or name another directory"
    elif facts.entries:
        yield from _not_empty(plan, facts)


def _not_empty(plan: RestoreFromRepositoryPlan, facts: DirectoryFacts) -> Iterator[str]:
    path, options = facts.path, plan.options
    if not options.replaces and not options.is_delta:
        can = " or --delta, which writes over it" if plan.repository.kind is RepositoryKind.PGBACKREST else ""
        yield (
            f"{path} is not empty ({facts.entries} entries); name a new directory, "
            f"or use --replace, which sets it aside{can}"
        )
        return
    if not facts.cluster_version:
        yield f"{path} holds {facts.entries} entries and no database cluster (there is no PG_VERSION): it is left alone"
    for space, place in plan.tablespaces:
        if not place:
            yield f"the cluster in {path} has no tablespace like {space.name} of the backup: its place is not known"
    if options.is_delta and facts.server_pid:
        yield f"{path}/postmaster.pid is there: make sure that no server runs there, remove it, and try again"
    if not options.is_delta and facts.is_mount:
        yield f"{path} is a mount point and cannot be given another name; empty it, or name a directory below it"


def _no_room(plan: RestoreFromRepositoryPlan, facts: DirectoryFacts) -> Iterator[str]:
    if plan.needed_bytes is None or facts.free_bytes is None or plan.options.is_delta:
        return
    if plan.needed_bytes > facts.free_bytes:
        free, needed = format_bytes(facts.free_bytes), format_bytes(plan.needed_bytes)
        yield f"there is no room: it needs {needed} and {free} are free at {facts.path}"


def _wrong_time(plan: RestoreFromRepositoryPlan, report: RepositoryReport) -> Iterator[str]:
    target, ended = plan.options.target_time, plan.backup.ended_at
    if target is None:
        return
    if target > report.taken_at:
        yield f"--target-time {target:{_TIMES}} is in the future"
    if ended is not None and target < ended:
        earlier = [each for each in report.backups if each.is_usable and each.at <= target]
        use = f"use {earlier[0].reference}" if earlier else "no earlier backup is there"
        yield (
            f"--target-time is {format_duration((ended - target).total_seconds())} before the end of this backup "
            f"({ended:{_TIMES}}), and a backup cannot be rolled back; {use}"
        )


# ---------------------------------------------------------------- what to know


def _warnings(
    plan: RestoreFromRepositoryPlan,
    report: RepositoryReport,
    facts: DirectoryFacts,
    wal_problems: Sequence[str],
) -> Iterator[str]:
    options, backup = plan.options, plan.backup
    if backup.problem and backup.is_usable:
        yield f"{backup.label}: {backup.problem}"
    if backup.proof is not None and backup.proof.problems and backup.proof.problems[0] not in wal_problems:
        yield f"its last verification found: {backup.proof.problems[0]}"
    yield from (each for each in wal_problems if "cannot be restored" not in each)
    last = report.archives[-1].last_at if report.archives else None
    if options.target_time is not None and last is not None and options.target_time > last:
        yield (
            f"the last WAL in the repository came {last:{_TIMES}}: unless later WAL comes, the server will end its "
            "recovery without having reached the target, and PostgreSQL 13 and newer does not start then"
        )
    if options.is_delta:
        yield "what lies in the directory now is overwritten in place: nothing of it is kept, and there is no way back"
        for space, place in plan.tablespaces:
            yield f"the tablespace {space.name} is overwritten in place too: {place}"
    if plan.account == "root" and plan.repository.kind is RepositoryKind.BARMAN:
        yield "the files will belong to root, and PostgreSQL does not start from them: set run_as, or change the owner"
    if plan.needed_bytes is None:
        yield "how much room it needs is not known"
    if facts.exists and facts.owner and plan.account not in ("", "root", facts.owner):
        yield f"{facts.path} belongs to {facts.owner}, and the tool runs as {plan.account}"


def _steps(
    plan: RestoreFromRepositoryPlan, facts: DirectoryFacts, aside: str, command: str
) -> Iterator[tuple[str, str]]:  # fmt: skip
    maker, options = plan.repository.kind.product, plan.options
    if plan.kept_as:
        yield f"set {facts.path} aside as {plan.kept_as}", aside
    chain = f", over {', '.join(plan.backup.needs)}" if plan.backup.needs else ""
    how = "overwrites in place what differs in" if options.is_delta else "fills"
    yield f"{maker} {how} {options.directory} from {plan.backup.label}{chain}", command
    for space, place in () if options.is_delta else plan.tablespaces:
        yield f"the tablespace {space.name} goes to {place} (it was in {space.location})", ""
    if options.target_time is not None:
        when = f"replays WAL to {options.target_time.isoformat(sep=' ')}, then takes writes"
    else:
        when = "replays all WAL that the repository holds, then takes writes"
    yield f"the server is not started; when you start it, it {when}", ""


def _afterwards(plan: RestoreFromRepositoryPlan) -> Iterator[str]:
    directory, major = plan.options.directory, plan.backup.server_version.partition(".")[0]
    data, log = quote(directory), quote(f"{directory}.log")
    who = f"as {plan.account}, " if plan.account else ""
    yield (
        f"{who}with the programs of PostgreSQL {major or 'the same major version'}: "
        f"pg_ctl -D {data} -o '-p {_OTHER_PORT}' -l {log} start"
    )
    yield f"look into {log} for 'consistent recovery state reached' and 'ready to accept connections'"
    yield (
        "its postgresql.conf is the old server's, or missing where Debian keeps it in /etc/postgresql: look at port, "
        "unix_socket_directories and memory before it runs beside the old one"
    )
    if plan.repository.kind is RepositoryKind.PGBACKREST:
        yield (
            "it archives nothing, so that it does not write into the old server's archive; when it takes that one's "
            "place: ALTER SYSTEM RESET archive_mode, restart, and make a full backup"
        )
    else:
        yield (
            "barman has set archive_command to false in it; when it takes the old server's place, mend that, and make "
            "a full backup"
        )
    if plan.kept_as:
        yield f"when all is well, remove {plan.kept_as}; to go back, stop the server and rename it to {directory}"
