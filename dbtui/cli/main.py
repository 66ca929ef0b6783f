"""The `dbtui` command: finds the command that was asked for, and turns whatever goes wrong into a sentence and a code.

Command modules are imported when asked for: `dbtui --help` loads neither drivers nor the terminal UI.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn, TextIO

import click

import dbtui
from dbtui.cli import exit_codes
from dbtui.cli.options import rich_option
from dbtui.errors import Cancelled, DbtuiError, UsageError

COMMANDS = {
    "backup": ("dbtui.cli.backups:backup", "Make, look into, check, restore and delete backups."),
    "bench": ("dbtui.cli.bench:bench", "Load a web or database server and measure it: stages, percentiles, the knee."),
    "connections": ("dbtui.cli.connections:connections", "Every profile: reachable?, version, role, sessions, lag."),
    "demo": ("dbtui.cli.demo:demo", "A throwaway world to play in; leaves nothing behind."),
    "doctor": ("dbtui.cli.doctor:doctor", "Terminal, tools, files and settings here; what a login may do there."),
    "history": ("dbtui.cli.history:history", "What ran here, who ran it and how it ended."),
    "pools": ("dbtui.cli.pools:pools", "Where it is saturated: application, PgBouncer, server, host; and what to do."),
    "schedule": ("dbtui.cli.schedule:schedule", "The cron line and the systemd timer that run a command."),
    "sessions": ("dbtui.cli.sessions:sessions", "Who is connected, who blocks whom; explain, cancel, terminate."),
}
_OPEN = "dbtui.cli.ui:open_target"

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
        return "", _load(_OPEN), args

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
        return context.invoke(_load(_OPEN), rich=rich, replay=replay)
    if replay is not None:
        raise UsageError("--replay needs no target and no command", f"type dbtui --replay {replay}")
    if rich is not None and context.invoked_subcommand in COMMANDS:
        raise UsageError(f"--rich and --frugal are for the terminal UI, not for {context.invoked_subcommand}")
    context.obj = rich
    return None


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if any("://" in argument for argument in arguments):
        from dbtui.cli.argv import mask_own_argv

        mask_own_argv()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if os.environ.get("_DBTUI_COMPLETE"):
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(cli, {}, "dbtui", "_DBTUI_COMPLETE", os.environ["_DBTUI_COMPLETE"]))
    sys.exit(_flushed(_run(arguments)))


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    """What the signals that end a program do until a job needs them: see `dbtui.cli.signals`."""
    raise Cancelled(f"interrupted ({signal.Signals(number).name})")


def _run(arguments: list[str]) -> int:
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
        return _report(arguments, _usage_sentence(error), error.exit_code, error)
    except (click.Abort, KeyboardInterrupt) as error:
        return _report(arguments, "interrupted", exit_codes.INTERRUPTED, error)
    except BrokenPipeError:
        return exit_codes.DONE  # whoever read stdout has seen enough
    except DbtuiError as error:
        checking = arguments[:2] == ["backup", "verify"]
        return _report(arguments, str(error), exit_codes.exit_code_of(error, checking=checking), error)
    except Exception as error:  # the boundary of the program: a sentence, never a traceback
        said = f"unexpected {type(error).__name__}: {error}"
        hint = "set DBTUI_DEBUG=1 to see where, and report it"
        return _report(arguments, f"{said}; {hint}", exit_codes.FAILED, error)


def _usage_sentence(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".").replace("\n", " ")
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path} --help" if context is not None else message


def _report(arguments: list[str], sentence: str, code: int, error: BaseException) -> int:
    """Say on stderr what went wrong, and with --json end stdout with a result that says so too."""
    from dbtui.cli.failures import report_failure

    outcome = "cancelled" if isinstance(error, (Cancelled, click.Abort, KeyboardInterrupt)) else "failed"
    report_failure(sentence, error, outcome=outcome, code=code, as_json="--json" in arguments)
    return code


def _flushed(code: int) -> int:
    """Flush now, while a failure can still be reported, and let the interpreter end in peace with `code`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
    except OSError as error:
        _discard(sys.stdout)
        if code == exit_codes.DONE:
            code = exit_codes.FAILED
            with suppress(OSError):
                sys.stderr.write(f"dbtui: standard output cannot be written: {error.strerror}\n")
    try:
        sys.stderr.flush()
    except OSError:  # nobody is there to be told
        _discard(sys.stderr)
    return code


def _discard(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere: the interpreter would exit with 120 for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
