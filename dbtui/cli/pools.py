"""`dbtui pools …`: what can be typed. What the commands do is in pools_reading, pools_advising and pools_acting."""

from typing import Any

import click

from dbtui.cli.options import complete_targets, dry_run_option, json_option, quiet_option, target_argument
from dbtui.cli.target_groups import SHOW, TargetOrCommand
from dbtui.model.ladders import FleetLevel, Level
from dbtui.model.pools import PoolerVerb

EPILOG = """
\b
Examples:
  dbtui pools erp                            the ladder, the verdict, the pools
  dbtui pools erp --watch 1 --record erp.jsonl
  dbtui pools erp --json --fail-on critical  for a monitor: exit code 7 when a pool is full
  dbtui pools clients erp                    application, server connection, query
  dbtui pools advise erp --processes 8       before a test: limits, timeouts, pgbouncer.ini
  dbtui pools pause erp shop                 PAUSE a database of its PgBouncer, after a question

A target that is called like one of the commands: dbtui pools show NAME.
"""


named_target = click.argument("target", metavar="TARGET", shell_complete=complete_targets)


@click.group(cls=TargetOrCommand, epilog=EPILOG, subcommand_metavar="[TARGET | COMMAND] ...")
def pools() -> None:
    """Where is it saturated: application pools, PgBouncer, server, host; what limits, when, and what to change.

    \b
    dbtui pools [TARGET] [--watch SECONDS] [--record FILE] [--fail-on LEVEL] [--json]
    dbtui pools clients TARGET [--json]
    dbtui pools advise TARGET [--processes N] [--pool-size N] ... [--json]
    dbtui pools pause|resume|reload|reconnect|kill TARGET [DATABASE] [--yes NAME]
    """


@pools.command(SHOW, hidden=True, epilog="Example: dbtui pools erp --watch 2")
@target_argument
@click.option("--watch", "watch_seconds", type=click.FloatRange(0.2, 3600), metavar="SECONDS",
              help="Look again and again until interrupted; with --json one object a line.")  # fmt: skip
@click.option("--record", metavar="FILE", type=click.Path(), help="Write every look to FILE, for dbtui --replay.")
@click.option("--fail-on", type=click.Choice([each.value for each in Level if each is not Level.OK]),
              help="Exit with 7 when it is as bad as this or worse; warn and high last: give --watch.")  # fmt: skip
@json_option
def show(**typed: Any) -> int:
    """Show the saturation ladder of TARGET (default: DATABASE_URL)."""
    from dbtui.cli import pools_reading

    return pools_reading.show_pools(**typed)


@pools.command(epilog="Example: dbtui pools clients erp")
@named_target
@json_option
def clients(**typed: Any) -> int:
    """List the clients of TARGET's PgBouncer: who waits, who has a server, what that does."""
    from dbtui.cli import pools_reading

    return pools_reading.show_clients(**typed)


@pools.command(epilog="Example: dbtui pools advise erp --processes 8 --pool-size 5 --max-overflow 10")
@named_target
@click.option("--processes", type=click.IntRange(1, 100_000), metavar="N",
              help="Of the application (default: those that tell of their pools, else 1).")  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 100_000), metavar="N", help="That one process may have asking at once."
)
@click.option("--pool-size", type=click.IntRange(0, 100_000), metavar="N", help="DB_POOL_SIZE.")
@click.option("--max-overflow", type=click.IntRange(-1, 100_000), metavar="N", help="DB_MAX_OVERFLOW; -1: no limit.")
@click.option("--pool-timeout", "pool_timeout_seconds", type=click.FloatRange(0), metavar="SECONDS",
              help="DB_POOL_TIMEOUT.")  # fmt: skip
@click.option("--request-timeout", "request_timeout_seconds", type=click.FloatRange(0), metavar="SECONDS",
              help="Of the web server or the load balancer before it.")  # fmt: skip
@click.option("--statement-timeout", "statement_timeout_seconds", type=click.FloatRange(0), metavar="SECONDS",
              help="Of the server for this login.")  # fmt: skip
@click.option("--rate", "transactions_per_second", type=click.FloatRange(0), metavar="R",
              help="Transactions a second that are expected (default: as measured now).")  # fmt: skip
@click.option("--service-time", "service_seconds", type=click.FloatRange(0), metavar="SECONDS",
              help="That a transaction holds a server connection (default: as measured now).")  # fmt: skip
@click.option("--fail-on", type=click.Choice([FleetLevel.REMARK.value, FleetLevel.TROUBLE.value]),
              help="Exit with 7 when a finding is as bad as this.")  # fmt: skip
@json_option
def advise(**typed: Any) -> int:
    """Compare what a fleet may ask for with every limit, add its timeouts up, and write a pgbouncer.ini fragment."""
    from dbtui.cli import pools_advising

    return pools_advising.advise(**typed)


def _add_verb(verb: PoolerVerb, words: str, *, of_database: str) -> None:
    """Add the command that orders this of PgBouncer."""
    database = click.argument("database", required=of_database == "needed",
                              metavar="DATABASE" if of_database == "needed" else "[DATABASE]")  # fmt: skip

    def order(**typed: Any) -> int:
        from dbtui.cli import pools_acting

        return pools_acting.give_order(verb, **{"database": "", **typed})

    example = f"dbtui pools {verb.value} erp" + (" erp" if of_database else "")
    command: Any = quiet_option(json_option(_yes_option(dry_run_option(order))))
    command = named_target(database(command) if of_database else command)
    pools.command(verb.value, help=words, epilog=f"Example: {example}")(command)


_yes_option = click.option("--yes", "confirmed", multiple=True, metavar="NAME",
                           help="Confirm without a prompt: the database's name, or the target's.")  # fmt: skip

_add_verb(PoolerVerb.PAUSE, "PAUSE: no query begins any more; waits until those under way have ended.",
          of_database="may")  # fmt: skip
_add_verb(PoolerVerb.RESUME, "RESUME: go on after PAUSE or KILL.", of_database="may")
_add_verb(PoolerVerb.RELOAD, "RELOAD: read the configuration file again.", of_database="")
_add_verb(PoolerVerb.RECONNECT, "RECONNECT: replace server connections as they become free.", of_database="may")
_add_verb(PoolerVerb.KILL, "KILL: drop every client and server connection of a database at once.",
          of_database="needed")  # fmt: skip
