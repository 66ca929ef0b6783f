"""`dbtui replicas …`: what can be typed. What the commands do is in replicas_reading."""

from typing import Any

import click

from dbtui.cli.options import json_option, target_argument
from dbtui.cli.target_groups import SHOW, TargetOrCommand

EPILOG = """
\b
Examples:
  dbtui replicas erp                         the tree, lag by stage, slots, base backups
  dbtui replicas erp --watch 2               again and again, with rates and countdowns
  dbtui replicas erp --json --fail-on trouble  for a monitor: exit code 7 when something is broken

The replicas of a profile are those that its server sends to; name their profiles (replicas = ["erp-replica"]), and
they are asked as well.
"""


@click.group(cls=TargetOrCommand, epilog=EPILOG, subcommand_metavar="[TARGET | COMMAND] ...")
def replicas() -> None:
    """Every replica: how far behind and at which stage, whether reads are safe there now, and what slots keep.

    \b
    dbtui replicas [TARGET] [--watch SECONDS] [--fail-on LEVEL] [--json]
    """


@replicas.command(SHOW, hidden=True, epilog="Example: dbtui replicas erp --watch 2")
@target_argument
@click.option("--watch", "watch_seconds", type=click.FloatRange(0.2, 3600), metavar="SECONDS",
              help="Look again and again until interrupted; with --json one object a line.")  # fmt: skip
@click.option("--fail-on", type=click.Choice(["warning", "trouble"]),
              help="Exit with 7 when it is as bad as this or worse.")  # fmt: skip
@json_option
def show(**typed: Any) -> int:
    """Show the replicas of TARGET (default: DATABASE_URL)."""
    from dbtui.cli import replicas_reading

    return replicas_reading.show_replicas(**typed)
