"""`dbtui replicas …`: what can be typed. What the commands do is in replicas_reading and replicas_acting."""

from typing import Any

import click

from dbtui.cli.options import complete_targets, dry_run_option, json_option, quiet_option, target_argument
from dbtui.cli.target_groups import SHOW, TargetOrCommand
from dbtui.model.replicas import ReplicaAction

EPILOG = """
\b
Examples:
  dbtui replicas erp                         the tree, lag by stage, slots, base backups
  dbtui replicas erp --watch 2               again and again, with rates and countdowns
  dbtui replicas erp --json --fail-on trouble  for a monitor: exit code 7 when something is broken
  dbtui replicas add erp --data-dir /srv/pg/near --port 5433 --dry-run
  dbtui replicas promote erp near            make a replica the primary, after its name was typed
  dbtui replicas drop-slot erp old_replica   let the server remove the log that nobody will fetch

The replicas of a profile are those that its server sends to; name their profiles (replicas = ["erp-replica"]), and
they are asked as well.
"""

named_target = click.argument("target", metavar="TARGET", shell_complete=complete_targets)
yes_option = click.option("--yes", "confirmed", multiple=True, metavar="NAME",
                          help="Confirm without a prompt: the name of the replica or slot; repeatable.")  # fmt: skip


@click.group(cls=TargetOrCommand, epilog=EPILOG, subcommand_metavar="[TARGET | COMMAND] ...")
def replicas() -> None:
    """Every replica: how far behind and at which stage, whether reads are safe there now, and what slots keep.

    \b
    dbtui replicas [TARGET] [--watch SECONDS] [--fail-on LEVEL] [--json]
    dbtui replicas add TARGET --data-dir DIR --port N [--slot NAME] [--dry-run] [--yes NAME]
    dbtui replicas promote|pause|resume TARGET REPLICA [--dry-run] [--yes NAME]
    dbtui replicas drop-slot TARGET SLOT [--dry-run] [--yes NAME]
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


@replicas.command(epilog="Example: dbtui replicas add erp --data-dir /srv/pg/near --port 5433 --max-rate 20M")
@named_target
@click.option("--data-dir", "data_directory", required=True, type=click.Path(), metavar="DIR",
              help="Where it will be on this machine: absent, or empty.")  # fmt: skip
@click.option("--port", required=True, type=click.IntRange(1, 65535), metavar="N", help="It will listen at.")
@click.option("--slot", default="", metavar="NAME", help="That is made for it (default: by the name).")
@click.option("--name", default="", metavar="NAME", help="It tells its primary (default: the directory's).")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="It will listen at; *: at all.")
@click.option("--max-rate", "most_rate", metavar="SIZE", help="Copy so much a second at most: 20M.")
@click.option("--spread-checkpoint", "is_spread", is_flag=True, help="Wait for the next checkpoint; spares the disk.")
@click.option("--no-start", "is_left_stopped", is_flag=True, help="Copy, and start nothing.")
@dry_run_option
@yes_option
@json_option
@quiet_option
def add(**typed: Any) -> int:
    """Copy TARGET's server into a replica on this machine: slot, pg_basebackup, start; wait until it streams.

    Cancelled or failed it leaves no slot and no directory behind. PostgreSQL only.
    """
    from dbtui.cli import replicas_acting

    return replicas_acting.add(**typed)


def _add_order(action: ReplicaAction, word: str, subject: str, words: str, example: str) -> None:
    """Add the command that does this to a replica, or to a slot."""

    @replicas.command(word, help=words, epilog=f"Example: {example}")
    @named_target
    @click.argument("subject", metavar=subject)
    @dry_run_option
    @yes_option
    @json_option
    @quiet_option
    def give(**typed: Any) -> int:
        from dbtui.cli import replicas_acting

        return replicas_acting.order(action, **typed)


_add_order(
    ReplicaAction.PROMOTE,
    "promote",
    "REPLICA",
    "Make a replica (a profile, or a URL) a primary for good, and wait until it takes writes.",
    "dbtui replicas promote erp near --yes near",
)
_add_order(
    ReplicaAction.PAUSE,
    "pause",
    "REPLICA",
    "Let a replica receive and apply nothing, until it is resumed.",
    "dbtui replicas pause erp near",
)
_add_order(ReplicaAction.RESUME, "resume", "REPLICA", "Let a replica apply again.", "dbtui replicas resume erp near")
_add_order(
    ReplicaAction.DROP_SLOT,
    "drop-slot",
    "SLOT",
    "Drop a slot of TARGET's server that nobody reads; what it keeps of the log may go.",
    "dbtui replicas drop-slot erp old_replica --yes old_replica",
)
