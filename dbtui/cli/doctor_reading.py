"""What `dbtui doctor` does: looks, then prints every finding with what to do about it, or one JSON document."""

import os
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from dbtui.analysis.doctor import format_grants
from dbtui.cli import exit_codes
from dbtui.cli.invocation import PASSWORDS, Invocation
from dbtui.cli.printers import make_printer, print_document, write_data
from dbtui.cli.signals import EndSignals
from dbtui.cli.tables import Column, format_table, terminal_width
from dbtui.cli.ui import check_keys
from dbtui.config import Settings, config_path, resolve_target, state_dir
from dbtui.errors import Cancelled, ConfigError, DbtuiError
from dbtui.history import History
from dbtui.hook_settings import secret_variables
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.connections import ConnectionProfile
from dbtui.model.doctor import Finding, SettingOrigin
from dbtui.model.findings import FindingLevel
from dbtui.model.text import format_untrusted
from dbtui.origins import collect_origins
from dbtui.routines.context import RoutineContext
from dbtui.routines.doctor import MachineCheck, TargetCheck, check_machine, check_target
from dbtui.routines.hooks import check_hooks

_WIDTH = 100
_SUBJECT_CELLS = 18
_SETTINGS = (Column("SETTING", least=16), Column("VALUE", least=20), Column("FROM", least=12))


def show_doctor(target: str | None, *, as_json: bool) -> int:
    """Print what is well and what is not; return the exit code."""
    directories_before = (("history and locks", state_dir(os.environ)),)
    invocation, findings = _begin(as_json=as_json)
    profile = resolve_target(invocation.settings, target, os.environ) if target is not None else None
    for warning in profile.warnings if profile else _profile_warnings(invocation.settings):
        findings.append(Finding(FindingLevel.REMARK, "configuration", "password", warning))
    directories = (*directories_before, *_backup_directories(invocation.settings, profile))
    machine = invocation.result_of(
        JobRequest(
            routine="doctor",
            target="",
            start=lambda c: check_machine(c, directories, profile),
            changes=False,
        )
    )
    findings += machine.findings
    findings += _check_hooks(invocation, profile)
    checked, error = _check_target(invocation, profile) if profile else (None, None)
    findings += checked.findings if checked else ()
    if error is not None:
        findings.append(Finding(FindingLevel.TROUBLE, "target", "connection", error.message, error.hint))
    code = _exit_code(findings, error)
    origins = collect_origins(invocation.settings, os.environ, profile)
    if as_json:
        _print_json(profile, findings, origins, machine, checked, code)
    else:
        write_data("\n".join(_lines(findings, origins, profile)))
    return code


def show_grants(target: str | None, *, as_json: bool) -> int:
    """Print the script of GRANTs for a target's login. Raises ConnectError."""
    invocation = Invocation.begin(as_json=as_json)
    profile = invocation.target(target)
    checked = invocation.result_of(_target_request(profile), profile)
    items = [item for item in checked.capabilities.items if item.grant]
    if as_json:
        print_document(target=profile.name, user=checked.capabilities.info.user, grants=items)
    else:
        write_data("\n".join(format_grants(checked.capabilities)))
    return exit_codes.DONE


def _begin(*, as_json: bool) -> tuple[Invocation, list[Finding]]:
    """Read the configuration; one that is wrong is a finding like others, and defaults are used."""
    path = config_path(os.environ)
    try:
        invocation = Invocation.begin(as_json=as_json)
    except ConfigError as error:
        EndSignals().install()
        runner = JobRunner(RoutineContext(password_of=PASSWORDS.find), History(state_dir(os.environ)))
        printer = make_printer(as_json=False, quiet=as_json)
        wrong = Finding(FindingLevel.TROUBLE, "configuration", "file", error.message, error.hint)
        return Invocation(Settings(), runner.history, runner, printer, as_json), [wrong]
    there = invocation.settings.path
    said = f"{there}, {len(invocation.settings.profiles)} profiles" if there else f"none ({path} is not there)"
    findings = [Finding(FindingLevel.OK, "configuration", "file", said)]
    for warning in invocation.settings.warnings:
        findings.append(Finding(FindingLevel.REMARK, "configuration", "settings", warning))
    try:
        check_keys(invocation.settings)
    except ConfigError as error:
        findings.append(Finding(FindingLevel.TROUBLE, "configuration", "keys", error.message, error.hint))
    return invocation, findings


def _profile_warnings(settings: Settings) -> tuple[str, ...]:
    return tuple(warning for profile in settings.profiles for warning in profile.warnings)


def _backup_directories(settings: Settings, profile: ConnectionProfile | None) -> tuple[tuple[str, Path], ...]:
    named = [profile] if profile else list(settings.profiles)
    names = dict.fromkeys([*(each.backup_dir for each in named), *([] if profile else [settings.backup_dir])])
    return tuple(("backups", Path(name)) for name in names)


def _check_hooks(invocation: Invocation, profile: ConnectionProfile | None) -> tuple[Finding, ...]:
    settings = invocation.settings
    named = [profile] if profile else list(settings.profiles)
    hooks = [(each.name, each.hooks) for each in named if each.hooks is not None]
    if not named and settings.hooks is not None:
        hooks = [("all", settings.hooks)]
    request: JobRequest[tuple[Finding, ...]] = JobRequest(
        routine="doctor",
        target="",
        start=lambda c: check_hooks(c, hooks, secret_variables(settings)),
        changes=False,
    )
    return invocation.result_of(request)


def _target_request(profile: ConnectionProfile) -> JobRequest[TargetCheck]:
    return JobRequest(
        routine="doctor", target=profile.name, start=lambda c: check_target(c, profile), changes=False
    )  # fmt: skip


def _check_target(invocation: Invocation, profile: ConnectionProfile) -> tuple[TargetCheck | None, DbtuiError | None]:
    try:
        return invocation.result_of(_target_request(profile), profile), None
    except Cancelled:
        raise
    except DbtuiError as error:
        return None, error


def _exit_code(findings: Sequence[Finding], error: DbtuiError | None) -> int:
    if error is not None:
        return exit_codes.exit_code_of(error)
    has_trouble = any(finding.level is FindingLevel.TROUBLE for finding in findings)
    return exit_codes.FOUND_SOMETHING if has_trouble else exit_codes.DONE


def _print_json(
    profile: ConnectionProfile | None,
    findings: Sequence[Finding],
    origins: Sequence[SettingOrigin],
    machine: MachineCheck,
    checked: TargetCheck | None,
    code: int,
) -> None:
    print_document(
        exit_code=code,
        target=profile.name if profile else None,
        findings=findings,
        settings=origins,
        terminal=machine.terminal,
        tools=machine.tools,
        capabilities=checked.capabilities if checked else None,
    )


def _lines(
    findings: Sequence[Finding], origins: Sequence[SettingOrigin], profile: ConnectionProfile | None
) -> Iterator[str]:
    width = min(terminal_width() or _WIDTH, _WIDTH)
    ordered = sorted(findings, key=lambda each: _AREAS.index(each.area))
    for area, group in groupby(ordered, key=lambda each: each.area):
        yield f"{area} {format_untrusted(profile.name)}" if area == "target" and profile else area
        for finding in group:
            yield from _finding_lines(finding, width)
        yield ""
    yield "settings"
    rows = [(each.setting, each.value, each.origin) for each in origins]
    yield from (f"  {line}" for line in format_table(_SETTINGS, rows, width - 2 if terminal_width() else None))
    yield ""
    counts = {level: sum(each.level is level for each in findings) for level in FindingLevel}
    troubles, remarks = counts[FindingLevel.TROUBLE], counts[FindingLevel.REMARK]
    said = f"trouble: {troubles or 'none'}, remarks: {remarks or 'none'}"
    yield said if profile else f"{said}; name a TARGET to check what its login may do"


_AREAS = ("configuration", "terminal", "tools", "directories", "credentials", "repository", "target")
_SIGNS = {FindingLevel.OK: "ok", FindingLevel.REMARK: "remark", FindingLevel.TROUBLE: "TROUBLE"}


def _finding_lines(finding: Finding, width: int) -> Iterator[str]:
    head = f"  {_SIGNS[finding.level]:<8}{format_untrusted(finding.subject)}"
    head = f"{head:<{10 + _SUBJECT_CELLS}}  "
    indent = " " * (12 + _SUBJECT_CELLS)
    words = format_untrusted(finding.sentence)
    yield from textwrap.wrap(
        words, width, initial_indent=head, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [head.rstrip()]
    if finding.remedy:  # a command or statement, to be copied: never broken
        yield from (f"{indent}→ {format_untrusted(line)}" for line in finding.remedy.splitlines())
