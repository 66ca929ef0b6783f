"""Every command and option of `dbtui`, for click: what is typed, helped with and completed."""

import gc
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click
from click.shell_completion import shell_complete

import dbtui
from dbtui.cli import exit_codes
from dbtui.cli.main import COMMANDS
from dbtui.cli.options import rich_option, target_argument
from dbtui.cli.ui import open_ui
from dbtui.errors import UsageError

EPILOG = """
\b
Examples:
  dbtui                                    open the terminal UI
  dbtui postgresql://erp@db1:5432/erp      open it on one target
  dbtui backup create erp --compress zstd  back up without it
  dbtui sessions erp --tree                who blocks whom there
  dbtui pools erp --watch 1                which pool is the narrow one

TARGET is a profile's name or a database URL (postgresql://, mysql://, mariadb://, sqlite:///); without one
DATABASE_URL is used. Profiles are in $DBTUI_CONFIG, else $XDG_CONFIG_HOME/dbtui/config.toml.

\b
Exit codes:
  0 done   1 failed   2 usage or configuration   3 partly done   4 cannot connect or log in
  5 locked by another run   6 refused for safety   7 the check found something   130 interrupted

\b
Shell completion (bash; for zsh and fish write zsh_source or fish_source):
  eval "$(_DBTUI_COMPLETE=bash_source dbtui)"
"""


def _load(reference: str) -> click.Command:
    module, _, name = reference.partition(":")
    command = getattr(import_module(module), name)
    assert isinstance(command, click.Command)  # noqa: S101 - the table above is wrong otherwise
    return command


@click.command("dbtui", help="Open the terminal UI on TARGET (default: DATABASE_URL). Example: dbtui erp")
@target_argument
@rich_option
@click.pass_context
def open_target(context: click.Context, target: str | None, rich: bool | None) -> int:
    """Open the terminal UI; an option behind the target comes before one in front of it."""
    return open_ui(target, context.obj if rich is None else rich)


class TargetOrCommand(click.Group):
    """A group whose first word may also be a TARGET: then it opens the terminal UI."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        return _load(COMMANDS[cmd_name][0]) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:  # fmt: skip
        """Take a first word that is no command for a TARGET."""
        if args[0] in COMMANDS or (args[0].startswith("-") and not ctx.resilient_parsing):
            return super().resolve_command(ctx, args)
        return "", open_target, args

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(
    cls=TargetOrCommand,
    invoke_without_command=True,
    subcommand_metavar="[TARGET | COMMAND [ARGS]...]",
    options_metavar="",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
@click.version_option(dbtui.__version__, prog_name="dbtui", message="%(prog)s %(version)s")
@rich_option
@click.option("--replay", metavar="FILE", type=click.Path(), help="Play a recording of pools: dbtui pools --record.")
@click.pass_context
def cli(context: click.Context, rich: bool | None, replay: str | None) -> Any:
    """A terminal UI and commands for database administrators: PostgreSQL, MySQL/MariaDB and SQLite.

    Without a command it opens the terminal UI on TARGET.
    """
    if context.invoked_subcommand is None:
        return open_ui(None, rich, replay)
    if replay is not None:
        raise UsageError("--replay needs no target and no command", f"type dbtui --replay {replay}")
    if rich is not None and context.invoked_subcommand in COMMANDS:
        raise UsageError(f"--rich and --frugal are for the terminal UI, not for {context.invoked_subcommand}")
    context.obj = rich
    return None


def complete() -> int:
    """Answer the shell that asks what may come next."""
    return shell_complete(cli, {}, "dbtui", "_DBTUI_COMPLETE", os.environ["_DBTUI_COMPLETE"])


def run(arguments: list[str], report: Callable[[list[str], str, int, BaseException], int]) -> int:
    """Run what was typed and return the exit code; `report` is told what was wrong with it."""
    gc.set_threshold(50_000, 20, 100)  # what a command has collected it keeps to its end
    try:
        with cli.make_context("dbtui", list(arguments)) as context:
            code = cli.invoke(context)
        return code if isinstance(code, int) else exit_codes.DONE
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return report(arguments, _usage_sentence(error), error.exit_code, error)
    except click.Abort as error:
        return report(arguments, "interrupted", exit_codes.INTERRUPTED, error)


def _usage_sentence(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".").replace("\n", " ")
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path} --help" if context is not None else message
