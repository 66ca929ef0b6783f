"""`dbtui schedule COMMAND...`: what can be typed."""

from typing import Any

import click

from dbtui.cli.options import dry_run_option, json_option, quiet_option
from dbtui.model.schedules import Every, Scheduler

EPILOG = """
\b
Examples:
  dbtui schedule backup create erp --dir /srv/backups
  dbtui schedule --every hour --at 00:10 partitions apply erp public.audit_logs --yes public.audit_logs
  dbtui schedule --install --by cron backup create erp

The command's words are checked now. A password in it is refused: use a profile. Runs of one command exclude each
other; one that finds another at work ends with exit code 5.
"""


@click.command(
    epilog=EPILOG,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@click.option("--every", type=click.Choice([each.value for each in Every]), default=Every.DAY.value, show_default=True,
              help="How often; a week begins on Monday, a month on the first.")  # fmt: skip
@click.option("--at", "at", default="03:15", show_default=True, metavar="HH:MM",
              help="By the machine's clock; every hour only the minutes count.")  # fmt: skip
@click.option("--install", is_flag=True, help="Write it, instead of printing it.")
@click.option("--by", type=click.Choice([each.value for each in Scheduler]), default=None,
              help="With --install: who runs it (default: systemd where it runs, else cron).")  # fmt: skip
@dry_run_option
@json_option
@quiet_option
def schedule(**typed: Any) -> int:
    """Print, or with --install write, the cron line and the systemd timer that run COMMAND."""
    from dbtui.cli import scheduling

    return scheduling.schedule(**typed)
