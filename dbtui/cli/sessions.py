"""`dbtui sessions …`: what can be typed. What the commands do is in sessions_reading.py and sessions_acting.py."""

from typing import Any

import click
from click.shell_completion import CompletionItem

from dbtui.analysis.sessions import GroupBy, SessionFilter
from dbtui.cli.options import complete_targets, dry_run_option, json_option, quiet_option, target_argument
from dbtui.model.sessions import SessionVerb

_SHOW = "show"
_FILTERS = [each.value.replace(" ", "-") for each in SessionFilter]
_GROUPS = [each.value for each in GroupBy]


class TargetOrVerb(click.Group):
    """A group whose first word may also be a TARGET: then its sessions are shown."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take words that begin with no verb for those of `show`."""
        asks_for_help = bool(set(args) & set(ctx.help_option_names)) and not (args and args[0] in self.commands)
        if not asks_for_help and (args or not ctx.resilient_parsing) and not (args and args[0] in self.commands):
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the verbs and the profiles' names."""
        target = self.commands[_SHOW].params[0]
        return [*super().shell_complete(ctx, incomplete), *complete_targets(ctx, target, incomplete)]


session_arguments = click.argument("session_ids", nargs=-1, required=True, type=int, metavar="ID...")
named_target = click.argument("target", metavar="TARGET", shell_complete=complete_targets)
yes_option = click.option(
    "--yes",
    "confirmed",
    multiple=True,
    metavar="ID|COUNT",
    help="Confirm without a prompt: the session's number, or how many they are.",
)
EPILOG = """
\b
Examples:
  dbtui sessions erp                        show the sessions of erp
  dbtui sessions erp --tree                 who blocks whom
  dbtui sessions explain erp 4711           the plan of what one runs, without running it
  dbtui sessions terminate erp 4711         end one, after a question
"""


@click.group(cls=TargetOrVerb, epilog=EPILOG, subcommand_metavar="[TARGET | explain | cancel | terminate] ...")
def sessions() -> None:
    """Show the sessions of TARGET and who blocks whom; plan or cancel statements, terminate sessions.

    \b
    dbtui sessions [TARGET] [--all] [--filter F] [--group BY] [--tree] [--json]
    dbtui sessions explain TARGET ID [--json]
    dbtui sessions cancel|terminate TARGET ID... [--yes ID|COUNT]
    """


@sessions.command(_SHOW, hidden=True, epilog="Example: dbtui sessions erp --filter active")
@target_argument
@click.option("--filter", "wanted", type=click.Choice(_FILTERS), default=SessionFilter.CLIENTS.value,
              show_default=True, help="Only these.")  # fmt: skip
@click.option("--all", "everybody", is_flag=True, help="Also dbtui's own sessions and the server's own workers.")
@click.option("--group", "by", type=click.Choice(_GROUPS), help="Add them up.")
@click.option("--tree", is_flag=True, help="Who blocks whom, root blockers first.")
@json_option
def show(**typed: Any) -> int:
    """Show the sessions of TARGET (default: DATABASE_URL)."""
    from dbtui.cli import sessions_reading

    return sessions_reading.show_sessions(**typed)


@sessions.command(epilog="Example: dbtui sessions explain erp 4711")
@named_target
@click.argument("session_id", type=int, metavar="ID")
@json_option
def explain(**typed: Any) -> int:
    """Print the plan of what a session runs, or ran last. Nothing of it is run."""
    from dbtui.cli import sessions_explaining

    return sessions_explaining.explain_session(**typed)


def _add_verb(verb: SessionVerb, words: str, example: str) -> None:
    """Add the command that does this to sessions."""

    @sessions.command(verb.value, help=words, epilog=f"Example: {example}")
    @named_target
    @session_arguments
    @dry_run_option
    @yes_option
    @json_option
    @quiet_option
    def end(**typed: Any) -> int:
        from dbtui.cli import sessions_acting

        return sessions_acting.end_sessions(verb, **typed)


_add_verb(
    SessionVerb.CANCEL,
    "Cancel the running statement of each session; the session goes on.",
    "dbtui sessions cancel erp 4711 --yes 4711",
)
_add_verb(
    SessionVerb.TERMINATE,
    "Terminate each session; its transaction is rolled back. A session that took over the number is left alone.",
    "dbtui sessions terminate erp 4711 4712 --yes 2",
)
