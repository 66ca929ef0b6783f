"""Making a backup: ask, decide, dump into a partial, look whether it is all there, commit."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dbtui
from dbtui.adapters.adapter import Target
from dbtui.adapters.age_keys import collect_recipients
from dbtui.adapters.disks import free_bytes
from dbtui.analysis import backups as analysis
from dbtui.errors import RefusedError, ToolError, UsageError
from dbtui.model.backups import (
    MANIFEST_VERSION,
    BackupFile,
    BackupFormat,
    CreatePlan,
    CreateResult,
    DumpOptions,
    DumpRequest,
    DumpResult,
    Manifest,
)
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine, StepFinished, StepStarted, Warned
from dbtui.model.text import format_bytes
from dbtui.routines.backups.answering import while_answering
from dbtui.routines.backups.find import find_previous
from dbtui.routines.backups.manifest import AGE
from dbtui.routines.backups.shapes import confirm_shape, look_at_shape
from dbtui.routines.backups.store import PendingBackup, pending_backup, prepare_directory, taken_ids
from dbtui.routines.backups.stored import database_of, public_url
from dbtui.routines.context import RoutineContext

_FINISH = "finish"


def plan_create(
    c: RoutineContext, profile: ConnectionProfile, directory: Path, options: DumpOptions
) -> Routine[CreatePlan]:
    """Ask the server and this machine, and decide about a backup. Changes nothing."""
    return while_answering(c, profile, _plan_alone(c, profile, directory, options))


def _plan_alone(
    c: RoutineContext, profile: ConnectionProfile, directory: Path, options: DumpOptions
) -> Routine[CreatePlan]:
    with c.open_target(profile) as target:
        return (yield from _plan(c, target, directory, options))


def apply_create(c: RoutineContext, profile: ConnectionProfile, plan: CreatePlan) -> Routine[CreateResult]:
    """Make the backup that was planned. Raises RefusedError when the plan has refusals."""
    check_refusals(plan.refusals)
    return (yield from while_answering(c, profile, _apply_alone(c, profile, plan), until=_FINISH))


def _apply_alone(c: RoutineContext, profile: ConnectionProfile, plan: CreatePlan) -> Routine[CreateResult]:
    with c.open_target(profile) as target:
        return (yield from _apply(c, target, plan))


def create_backup(
    c: RoutineContext, profile: ConnectionProfile, directory: Path, options: DumpOptions
) -> Routine[CreateResult]:
    """Plan and make a backup on one connection.

    Raises RefusedError when something speaks against it, ConnectError when the server stops answering meanwhile.
    """
    return while_answering(c, profile, _create_alone(c, profile, directory, options), until=_FINISH)


def _create_alone(
    c: RoutineContext, profile: ConnectionProfile, directory: Path, options: DumpOptions
) -> Routine[CreateResult]:
    with c.open_target(profile) as target:
        plan = yield from _plan(c, target, directory, options)
        check_refusals(plan.refusals)
        return (yield from _apply(c, target, plan))


def check_refusals(refusals: tuple[str, ...]) -> None:
    """Raise RefusedError with every reason, if there is one."""
    if refusals:
        raise RefusedError("; ".join(refusals))


def _plan(c: RoutineContext, target: Target, directory: Path, options: DumpOptions) -> Routine[CreatePlan]:
    yield StepStarted("plan", "ask the server")
    began = time.monotonic()
    engine = target.profile.engine
    database = _named_database(target)
    place = directory.expanduser().absolute()
    options, problems = _with_recipients(target.profile, analysis.fit_options(engine, options))
    facts = c.backups(engine).collect_dump_facts(target, options)
    plan = analysis.plan_create(
        facts,
        options,
        database=database,
        directory=str(place),
        now=c.now(),
        is_taken=taken_ids(place),
        free_bytes=free_bytes(place),
        previous=find_previous(place, engine, database),
        problems=problems,
    )
    yield StepFinished("plan", time.monotonic() - began)
    return plan


def _with_recipients(
    profile: ConnectionProfile, options: DumpOptions
) -> tuple[DumpOptions, tuple[str, ...]]:  # fmt: skip
    """Read who the backup is encrypted to: as asked for, else as the profile says; and what is wrong with that."""
    if options.encrypt_to is not None:
        found = collect_recipients(options.encrypt_to, "--encrypt-to")
    else:
        found = collect_recipients(profile.encrypt_to, f"encrypt_to of {profile.name or 'the profile'}")
    return replace(options, encrypt_to=found.keys), found.problems


def _named_database(target: Target) -> str:
    database = database_of(target.profile, target.info)
    if not database:
        raise UsageError(f"{target.profile.name or 'the URL'} names no database", "put /DATABASE at the end of its URL")
    return database


def _apply(c: RoutineContext, target: Target, plan: CreatePlan) -> Routine[CreateResult]:
    began_at, began = c.now(), time.monotonic()
    directory = prepare_directory(Path(plan.directory))
    database = _named_database(target)

    def next_id() -> str:
        return analysis.choose_backup_id(database, c.now(), taken_ids(directory))

    for warning in plan.warnings:
        yield Warned(warning)
    suffix = plan.data_name.removeprefix(plan.backup_id)
    with pending_backup(directory, plan.backup_id, suffix, next_id) as pending:
        c.unfinished.append(pending)
        shape = look_at_shape(c, target)
        result = yield from _dump(c, target, plan, pending)
        shape = confirm_shape(c, target, shape, result.tables)
        yield StepStarted(_FINISH, f"make {pending.data_name} durable and write its manifest")
        for problem in _missing(plan, result, pending):
            raise ToolError(f"the dump of {database} is not complete: {problem}", "nothing of it was kept")
        manifest = _manifest(target, plan, result, pending, began_at, c.now(), time.monotonic() - began)
        manifest = replace(manifest, shape=shape)
        c.cancellation.check()
        finishing = time.monotonic()
        pending.commit(manifest)
        yield StepFinished(
            _FINISH, time.monotonic() - finishing, f"{pending.data_name}, {format_bytes(manifest.size_bytes)}"
        )
    return CreateResult(
        manifest=manifest, data_path=str(pending.final), manifest_path=str(pending.manifest_path)
    )  # fmt: skip


def _dump(c: RoutineContext, target: Target, plan: CreatePlan, pending: PendingBackup) -> Routine[DumpResult]:
    if plan.options.format is BackupFormat.DIRECTORY:
        pending.partial.mkdir(mode=0o700)
    request = DumpRequest(
        partial_path=str(pending.partial),
        options=plan.options,
        facts=plan.facts,
        expected_raw_bytes=plan.expected_raw_bytes,
    )
    return (yield from c.backups(target.profile.engine).dump(target, request))


def _missing(plan: CreatePlan, result: DumpResult, pending: PendingBackup) -> Iterator[str]:
    """What keeps a dump from being a backup: no bytes, files or tables that should be there and are not."""
    if not result.files or not any(file.size_bytes for file in result.files):
        yield "it has no bytes"
    for file in result.files:
        path = pending.partial / file.path if file.path else pending.partial
        if not path.is_file() or path.stat().st_size != file.size_bytes:
            yield f"{path.name} has not the {file.size_bytes} bytes that were written"
    dumped = {table.table_name for table in result.tables}
    absent = [str(table.table_name) for table in plan.facts.tables if table.table_name not in dumped]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        yield f"table {absent[0]}{more} was there when it was planned and is not in it"


def _manifest(
    target: Target,
    plan: CreatePlan,
    result: DumpResult,
    pending: PendingBackup,
    began_at: datetime,
    ended_at: datetime,
    seconds: float,
) -> Manifest:
    facts, info, options = plan.facts, target.info, plan.options
    files = tuple(
        BackupFile(f"{pending.data_name}/{file.path}" if file.path else pending.data_name, file.size_bytes, file.sha256)
        for file in result.files
    )
    return Manifest(
        format_version=MANIFEST_VERSION,
        backup_id=pending.backup_id,
        engine=info.engine,
        flavour=info.flavour,
        database=database_of(target.profile, info),
        profile=target.profile.name,
        url=public_url(target.profile),
        server_version=info.version,
        tool=facts.tool,
        tool_version=facts.tool_version,
        dbtui_version=dbtui.__version__,
        format=options.format,
        compression=str(options.compression),
        encryption=AGE if options.encrypt_to else None,
        begin_time=format_time(began_at),
        end_time=format_time(ended_at),
        files=files,
        size_bytes=sum(file.size_bytes for file in files),
        tables=result.tables,
        duration_seconds=round(seconds, 3),
        uncompressed_bytes=result.uncompressed_bytes,
        database_bytes=facts.database_bytes,
        schemas=result.schemas,
        extensions=result.extensions or facts.extensions,
        roles=result.roles or facts.roles,
        selected_tables=options.tables,
        excluded_tables=options.exclude_tables,
        schema_only=options.schema_only,
        warnings=(*plan.warnings, *result.warnings),
        flaws=result.flaws,
        recipients=options.encrypt_to or (),
    )


def format_time(moment: datetime) -> str:
    """Return a time as manifests write it: 2026-11-22T15:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
