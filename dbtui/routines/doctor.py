"""The check-up: this machine and its files, then what a login may do on its server."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.adapter import PartitionAdapter, Target
from dbtui.adapters.machine import collect_directory, collect_programs, collect_terminal, program_names
from dbtui.analysis import doctor as judge
from dbtui.analysis.partitions import check_policy
from dbtui.errors import DbtuiError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.doctor import Capabilities, Finding, InstalledTool, TerminalFacts
from dbtui.model.events import Routine
from dbtui.model.findings import FindingLevel
from dbtui.model.partitions import PartitionedTable
from dbtui.model.policies import PartitionPolicy
from dbtui.routines.context import RoutineContext
from dbtui.routines.repositories import collect_repository

_WANTED_TOOLS = ("pg_dump", "pg_restore", "mariadb-dump")


@dataclass(frozen=True, slots=True)
class MachineCheck:
    """This terminal, these programs, these directories and files."""

    terminal: TerminalFacts
    tools: tuple[InstalledTool, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """What a login may do."""

    capabilities: Capabilities
    findings: tuple[Finding, ...]


def look_at_terminal(c: RoutineContext) -> Routine[TerminalFacts]:
    """Look at the terminal around us, tmux included."""
    yield from ()
    return collect_terminal(c.environ)


def check_machine(
    c: RoutineContext, directories: tuple[tuple[str, Path], ...], profile: ConnectionProfile | None
) -> Routine[MachineCheck]:
    """Look at this machine. `directories` are purposes and paths; `profile` adds the files its login comes from."""
    terminal = collect_terminal(c.environ)
    tools = [*collect_programs()]
    for engine in EngineName:
        tools += c.adapter(engine).collect_tools(c.environ)
    wanted = tuple(name for name in (*_WANTED_TOOLS, *program_names()) if name not in _satisfied(tools))
    findings = [
        *judge.assess_terminal(terminal),
        *judge.assess_tools(tools, wanted),
        *(judge.assess_directory(collect_directory(purpose, path)) for purpose, path in directories),
        *_check_credentials(c, profile),
        *(yield from _check_repository(c, profile)),
    ]
    return MachineCheck(terminal, tuple(tools), tuple(findings))


def _check_repository(c: RoutineContext, profile: ConnectionProfile | None) -> Routine[list[Finding]]:
    """Whether the profile's repository of physical backups can be asked, and what it says of itself."""
    if profile is None or profile.repository is None:
        return []
    report = yield from collect_repository(c, profile.repository)
    if not report.findings:
        count = f"{len(report.backups)} backup{'' if len(report.backups) == 1 else 's'}"
        return [Finding(FindingLevel.OK, "repository", report.name, count)]
    return [Finding(each.level, "repository", report.name, each.words) for each in report.findings]


def _satisfied(tools: list[InstalledTool]) -> set[str]:
    names = {tool.name for tool in tools}
    return names | ({"mariadb-dump"} if "mysqldump" in names else set())


def _check_credentials(c: RoutineContext, profile: ConnectionProfile | None) -> list[Finding]:
    findings: list[Finding] = []
    for engine in [profile.engine] if profile else list(EngineName):
        try:
            files = c.adapter(engine).collect_credential_files(profile, c.environ)
        except DbtuiError as error:
            findings.append(Finding(FindingLevel.TROUBLE, "credentials", engine.value, error.message, error.hint))
            continue
        findings += [judge.assess_credential_file(file) for file in files if file.exists or profile]
    return findings


def check_target(c: RoutineContext, profile: ConnectionProfile) -> Routine[TargetCheck]:
    """Connect and look at what the login may do. Raises ConnectError and whatever else keeps it from looking."""
    yield from ()
    with c.open_target(profile) as target:
        found = c.adapter(profile.engine).collect_capabilities(target)
        policies = _check_policies(c.adapter(profile.engine).partitions, target, profile)
    return TargetCheck(found, (*judge.assess_capabilities(found, profile), *policies))


def _check_policies(
    partitions: PartitionAdapter | None, target: Target, profile: ConnectionProfile
) -> tuple[Finding, ...]:
    """Look whether the tables are there, and partitioned, that the profile has policies for; none of them is read."""
    if not profile.partitions:
        return ()
    try:
        tables = partitions.collect_partitioned_tables(target) if partitions is not None else ()
        return tuple(_check_policy(partitions, target, tables, policy) for policy in profile.partitions)
    except DbtuiError as error:
        return (judge.assess_policies_unseen(error.message, error.hint),)


def _check_policy(
    partitions: PartitionAdapter | None,
    target: Target,
    tables: Sequence[PartitionedTable],
    policy: PartitionPolicy,
) -> Finding:
    if partitions is None:
        return judge.assess_policy(policy, missing="this engine has no partitioned tables")
    wanted = policy.table
    found = next((each for each in tables if each.table == wanted), None)
    if found is None and not wanted.schema:
        found = next((each for each in tables if each.table.name == wanted.name), None)
    if found is None:
        try:  # which of several reasons it is; and a partition that is itself partitioned is in no list
            found = partitions.collect_partitioned_table(target, wanted)
        except UsageError as error:
            return judge.assess_policy(policy, missing=error.message)
    return judge.assess_policy(policy, refusals=check_policy(found, policy))
