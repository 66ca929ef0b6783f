"""`dbtui schedule …`: what can be typed."""

from typing import Any

import click

from dbtui.cli.options import dry_run_option, json_option, quiet_option, yes_option
from dbtui.model.schedules import Every, Scheduler

EPILOG = """
\b
Examples:
  dbtui schedule backup create erp --dir /srv/backups
  dbtui schedule --every hour --at 00:10 partitions apply erp public.audit_logs --yes public.audit_logs
  dbtui schedule --install --by cron backup create erp
  dbtui schedule list --fail-on overdue
  dbtui schedule remove dbtui-backup-create-erp-1f0c9a

The command's words are checked now. A password in it is refused: use a profile. Runs of one command exclude each
other; one that finds another at work ends with exit code 5.
"""
_SCHEDULERS = click.Choice([each.value for each in Scheduler])
#: Not among the commands: what is typed for it follows `dbtui schedule` at once.
_COMMAND = "COMMAND..."


class ListOrCommand(click.Group):
    """A group whose words are a command to be scheduled, unless the first is `list` or `remove`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hand everything to what schedules a command, unless one of the group's own is named."""
        named = next((word for word in args if not word.startswith("-")), "")
        if named in self.commands and args[0] == named:
            return super().parse_args(ctx, args)
        if named in self.commands and set(args[: args.index(named)]) <= _FLAGS:
            args.remove(named)
            return super().parse_args(ctx, [named, *args])
        if set(args[:1]) & set(ctx.help_option_names):
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, [_COMMAND, *args])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return what the help and completion name."""
        return [name for name in super().list_commands(ctx) if name != _COMMAND]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the options of scheduling a command, and the group's commands."""
        self.commands[_COMMAND].format_options(click.Context(self.commands[_COMMAND], parent=ctx), formatter)
        self.format_commands(ctx, formatter)


#: What may stand before `list` and `remove` as well as behind them.
_FLAGS = {"--json", "--quiet", "-q", "--dry-run"}


@click.group(
    cls=ListOrCommand, epilog=EPILOG, options_metavar="[OPTIONS]", subcommand_metavar="COMMAND... | list | remove"
)
def schedule() -> None:
    """Print, or with --install write, the cron line and the systemd timer that run COMMAND; list and remove them."""


@schedule.command(
    _COMMAND,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@click.option("--every", type=click.Choice([each.value for each in Every]), default=Every.DAY.value, show_default=True,
              help="How often; a week begins on Monday, a month on the first.")  # fmt: skip
@click.option("--at", "at", default="03:15", show_default=True, metavar="HH:MM",
              help="By the machine's clock; every hour only the minutes count.")  # fmt: skip
@click.option("--install", is_flag=True, help="Write it, instead of printing it.")
@click.option("--by", type=_SCHEDULERS, default=None,
              help="With --install: who runs it (default: systemd where it runs, else cron).")  # fmt: skip
@dry_run_option
@json_option
@quiet_option
def install(**typed: Any) -> int:
    """Print, or with --install write, the cron line and the systemd timer that run COMMAND."""
    from dbtui.cli import scheduling

    return scheduling.schedule(**typed)


@schedule.command("list", epilog="Example: dbtui schedule list --fail-on overdue --json")
@click.option("--fail-on", type=click.Choice(["overdue"]), help="Exit with 7 when one is overdue or cannot be read.")
@json_option
def list_(**typed: Any) -> int:
    """List the schedules of this user that dbtui installed: next run, last run and how it ended, what is overdue.

    Overdue is what has not succeeded for longer than the time between two of its runs and a grace: a tenth of that
    time, ten minutes at least, six hours at most.
    """
    from dbtui.cli import schedule_reading

    return schedule_reading.list_schedules(**typed)


@schedule.command("remove", epilog="Example: dbtui schedule remove dbtui-backup-create-erp-1f0c9a --dry-run")
@click.argument("name", metavar="NAME")
@click.option("--by", type=_SCHEDULERS, default=None, help="Only from there (default: wherever it is installed).")
@dry_run_option
@yes_option
@json_option
@quiet_option
def remove(**typed: Any) -> int:
    """Remove one schedule: its line in the crontab, its units. Nothing else is changed.

    NAME is that of `dbtui schedule list`, or the beginning of just one.
    """
    from dbtui.cli import schedule_removing

    return schedule_removing.remove(**typed)
