"""`dbtui partitions …`: what can be typed. What the commands do is in partitions_reading and partitions_acting."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dbtui.cli.options import complete_targets, dry_run_option, json_option, quiet_option

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
EPILOG = """
\b
Examples:
  dbtui partitions show erp                          every partitioned table
  dbtui partitions show erp public.audit_logs        its tree: bounds, sizes, gaps, what is due
  dbtui partitions plan erp public.audit_logs        what its policy asks for, with SQL and locks
  dbtui partitions plan erp public.audit_logs --interval "1 month" --premake 4 --retention "12 months"
  dbtui partitions apply erp public.audit_logs --yes public.audit_logs
  dbtui schedule partitions apply erp public.audit_logs --yes public.audit_logs

The policy of a table stands in its profile, [profiles.erp.partitions."public.audit_logs"]; options come before it.
Without either the table goes on as it is, and nothing is dropped.
"""

named_target = click.argument("target", metavar="TARGET", shell_complete=complete_targets)
table_argument = click.argument("table", metavar="TABLE")


def policy_options(function: FunctionT) -> FunctionT:
    """Add the options that say what a table should be like."""
    options = (
        click.option("--interval", metavar="I", help='Of a partition: "1 month", "1 day", "100000" for numbers.'),
        click.option("--premake", type=int, metavar="N", help="Partitions to have in advance (default: 4)."),
        click.option("--retention", metavar="R", help='Older ones are taken out: "12 months" (default: none).'),
        click.option("--archive", metavar="DIR", type=click.Path(), help="Where they are backed up before the drop."),
        click.option("--no-archive", "no_archive", is_flag=True, help="Drop them with their rows; needs their name."),
        click.option("--grace", metavar="G", help='Between taking out and dropping: "7 days" (default: none).'),
        click.option("--time-zone", metavar="ZONE", help="In which days and months begin (default: UTC)."),
        click.option("--codec", metavar="CODEC", help='How a key that is no time holds one: "epoch s", "uuid7", …'),
        click.option("--no-indexes", "no_indexes", is_flag=True, help="Build no indexes that are missing."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group(epilog=EPILOG)
def partitions() -> None:
    """Partitioned tables: show them, plan what is missing or due, apply the plan at the weakest locks there are."""


@partitions.command(epilog="Example: dbtui partitions show erp public.audit_logs")
@named_target
@click.argument("table", metavar="[TABLE]", required=False)
@click.option("--exact", "is_exact", is_flag=True, help="Measure the partitions of TABLE instead of estimating.")
@json_option
def show(**typed: Any) -> int:
    """Show every partitioned table of TARGET, or the tree of one."""
    from dbtui.cli import partitions_reading

    return partitions_reading.show_partitions(**typed)


@partitions.command(epilog='Example: dbtui partitions plan erp public.audit_logs --retention "12 months"')
@named_target
@table_argument
@policy_options
@click.option("--check", is_flag=True, help="Exit with 7 when there is something to do, or wrong.")
@json_option
def plan(**typed: Any) -> int:
    """Print the steps that bring TABLE to its policy: SQL, locks on this server, why. Changes nothing."""
    from dbtui.cli import partitions_reading

    return partitions_reading.show_plan(**typed)


@partitions.command(epilog="Example: dbtui partitions apply erp public.audit_logs --yes public.audit_logs")
@named_target
@table_argument
@policy_options
@click.option("--patience", "patience_seconds", type=click.FloatRange(1, 86_400), default=600.0, show_default=True,
              metavar="SECONDS", help="How long a step tries to get its lock, a moment at a time.")  # fmt: skip
@dry_run_option
@click.option("--yes", "confirmed", multiple=True, metavar="NAME",
              help="Confirm without a prompt: the table's name; repeatable.")  # fmt: skip
@json_option
@quiet_option
def apply(**typed: Any) -> int:
    """Do what `partitions plan` prints. Rows are archived and the archive proven before anything is dropped."""
    from dbtui.cli import partitions_acting

    return partitions_acting.apply(**typed)
