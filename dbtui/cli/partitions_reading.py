"""What `dbtui partitions show` and `plan` do: ask, judge, print a table, a tree, a plan or one JSON document."""

from collections.abc import Iterator
from typing import Any

from dbtui.analysis.partition_words import describe_policy
from dbtui.analysis.partitions import assess_partitions
from dbtui.analysis.policy_choices import find_policy
from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.cli.partitions_fields import plan_fields, table_fields
from dbtui.cli.partitions_text import format_plan, format_tables, format_tree
from dbtui.cli.printers import print_document, write_data
from dbtui.cli.tables import terminal_width
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.partitions import (
    PartitionAssessment,
    PartitionedTable,
    PartitionLevel,
    PartitionsSnapshot,
)
from dbtui.model.tables import parse_table_name
from dbtui.routines.partitions import (
    PlannedTable,
    SeenTable,
    collect_one,
    collect_partitions,
    plan_partitions_of,
    unsupported_partitions,
)

_WIDTH = 80
_WRONG = (PartitionLevel.WARNING, PartitionLevel.TROUBLE)


def show_partitions(*, target: str, table: str | None, is_exact: bool, as_json: bool) -> int:
    """Print the partitioned tables of a target, or the tree of one."""
    invocation = Invocation.begin(as_json=as_json)
    profile = check_target(invocation, invocation.target(target))
    if table is not None:
        return _show_one(invocation, profile, table, is_exact=is_exact)
    if is_exact:
        raise UsageError("--exact measures the partitions of one table", "name a TABLE")
    request: JobRequest[PartitionsSnapshot] = JobRequest(
        routine="partitions", target=profile.name, start=lambda c: collect_partitions(c, profile), changes=False
    )
    snapshot = invocation.result_of(request, profile)
    judged = [(each, assess(profile, each)) for each in snapshot.tables]
    if as_json:
        print_document(target=profile.name, taken_at=snapshot.taken_at, gaps=snapshot.gaps,
                       tables=[table_fields(*each) for each in judged])  # fmt: skip
        return exit_codes.DONE
    for gap in snapshot.gaps:
        invocation.printer.warn(gap)
    if judged:
        write_data("\n".join(format_tables(judged, terminal_width())))
    else:
        invocation.printer.say("no table is partitioned")
    return exit_codes.DONE


def _show_one(invocation: Invocation, profile: ConnectionProfile, name: str, *, is_exact: bool) -> int:
    table = parse_table_name(name)
    request: JobRequest[SeenTable] = JobRequest(
        routine="partitions",
        target=profile.name,
        start=lambda c: collect_one(c, profile, table, is_exact=is_exact),
        changes=False,
    )
    seen = invocation.result_of(request, profile)
    found, assessment = seen.table, assess(profile, seen.table, prunes=seen.prunes)
    if invocation.as_json:
        print_document(target=profile.name, taken_at=found.taken_at, gaps=found.gaps,
                       tables=[table_fields(found, assessment)])  # fmt: skip
        return exit_codes.DONE
    for gap in found.gaps:
        invocation.printer.warn(gap)
    write_data("\n".join(format_tree(found, assessment, terminal_width() or _WIDTH)))
    return exit_codes.DONE


def check_target(invocation: Invocation, profile: ConnectionProfile) -> ConnectionProfile:
    """Return a profile whose engine has partitioned tables. Raises UsageError."""
    if profile.engine is EngineName.SQLITE:
        reason = unsupported_partitions(profile, invocation.runner.context.now()).unsupported
        raise UsageError(f"{profile.name}: {reason}", "name a PostgreSQL or MySQL target")
    return profile


def assess(profile: ConnectionProfile, table: PartitionedTable, prunes: bool | None = None) -> PartitionAssessment:
    """Judge a table by the profile's policy for it, if there is one."""
    return assess_partitions(table, find_policy(profile, table.table), table.taken_at, prunes=prunes)


# ---------------------------------------------------------------- plan


def show_plan(*, target: str, table: str, check: bool, as_json: bool, **typed: Any) -> int:
    """Print a plan and change nothing; with `check` the exit code says whether there is something to do or wrong."""
    invocation = Invocation.begin(as_json=as_json)
    profile = check_target(invocation, invocation.target(target))
    planned = make_plan(invocation, profile, table, typed)
    made = planned.plan
    assessment = (
        assess_partitions(planned.table, made.policy, planned.table.taken_at) if check or invocation.as_json else None
    )
    code = exit_codes.REFUSED if made.refusals and not made.steps else exit_codes.DONE
    if check and code == exit_codes.DONE and (not made.is_converged or (assessment and assessment.level in _WRONG)):
        code = exit_codes.FOUND_SOMETHING
    if as_json:
        findings = assessment.findings if assessment else ()
        print_document(target=profile.name, exit_code=code, **plan_fields(planned), findings=findings)
    else:
        write_data("\n".join(format_plan(made, describe_policy(made.policy), terminal_width() or _WIDTH)))
        if code == exit_codes.REFUSED:
            invocation.printer.say("dbtui: this would be refused; nothing was changed")
    return code


def make_plan(invocation: Invocation, profile: ConnectionProfile, table: str, typed: dict[str, Any]) -> PlannedTable:
    """Look at a table and plan, by the policy that was typed, else the profile's, else what is there."""
    name = parse_table_name(table)
    words = dict(_words(typed))
    request: JobRequest[PlannedTable] = JobRequest(
        routine="plan partitions",
        target=profile.name,
        start=lambda c: plan_partitions_of(c, profile, name, words=words),
        changes=False,
    )
    return invocation.result_of(request, profile)


def _words(typed: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The options that were given, as words of a policy. Raises UsageError."""
    from dbtui.analysis.policy_texts import with_words
    from dbtui.model.policies import PartitionPolicy
    from dbtui.model.tables import TableName

    if typed["archive"] is not None and typed["no_archive"]:
        raise UsageError("--archive and --no-archive contradict each other", "keep one")
    words = {key: typed[key] for key in ("interval", "premake", "retention", "archive", "grace", "time_zone", "codec")}
    words["archive"] = False if typed["no_archive"] else words["archive"]
    words["indexes"] = False if typed["no_indexes"] else None
    for word, value in words.items():
        if value is not None:
            try:
                with_words(PartitionPolicy(table=TableName("", "")), {word: value})
            except UsageError as error:
                raise UsageError(f"--{word.replace('_', '-')}: {error.message}", error.hint) from None
            yield word, value
