"""The `dbtui` command: finds the command that was asked for, and turns whatever goes wrong into a sentence and a code.

Command modules are imported when asked for: `dbtui --help` loads neither drivers nor the terminal UI, and the terminal
UI does without what reads options.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import NoReturn, TextIO

from dbtui.cli import exit_codes
from dbtui.errors import Cancelled, DbtuiError

COMMANDS = {
    "backup": ("dbtui.cli.backups:backup", "Make, look into, check, restore and delete backups."),
    "bench": ("dbtui.cli.bench:bench", "Load a web or database server and measure it: stages, percentiles, the knee."),
    "connections": ("dbtui.cli.connections:connections", "Every profile: reachable?, version, role, sessions, lag."),
    "demo": ("dbtui.cli.demo:demo", "A throwaway world to play in; leaves nothing behind."),
    "doctor": ("dbtui.cli.doctor:doctor", "Terminal, tools, files and settings here; what a login may do there."),
    "history": ("dbtui.cli.history:history", "What ran here, who ran it and how it ended."),
    "partitions": ("dbtui.cli.partitions:partitions", "Partitioned tables: show, plan, apply; archive before a drop."),
    "pools": ("dbtui.cli.pools:pools", "Where it is saturated: application, PgBouncer, server, host; and what to do."),
    "queries": ("dbtui.cli.queries:queries", "N+1 patterns in logs and live, with their cures; what takes the time."),
    "replicas": ("dbtui.cli.replicas:replicas", "Replicas: lag by stage, what is safe to read from now, slots."),
    "schedule": ("dbtui.cli.schedule:schedule", "The cron line and the systemd timer that run a command."),
    "sessions": ("dbtui.cli.sessions:sessions", "Who is connected, who blocks whom; explain, cancel, terminate."),
}
#: By name, for they know this module.
_CONCLUSION = "dbtui.cli.conclusion"
_GROUP, _UI = "dbtui.cli.group", "dbtui.cli.ui"
_OPEN_TO_OTHERS = 0o022
#: What was typed, for `dbtui.cli.conclusion`, which finds the runs of a schedule by it.
TYPED: list[str] = []


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if any("://" in argument for argument in arguments):
        from dbtui.cli.argv import mask_own_argv

        mask_own_argv()
    os.umask(os.umask(_OPEN_TO_OTHERS) | _OPEN_TO_OTHERS)  # directories on the way to ours are not to be the world's
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if os.environ.get("_DBTUI_COMPLETE"):
        sys.exit(import_module(_GROUP).complete())
    TYPED[:] = arguments
    sys.exit(_concluded(_flushed(_run(arguments))))


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    """What the signals that end a program do until a job needs them: see `dbtui.cli.signals`."""
    raise Cancelled(f"interrupted ({signal.Signals(number).name})")


def opens_ui(arguments: Sequence[str]) -> bool:
    """Whether these are no more than perhaps a TARGET: no command, no option, nothing to complain of."""
    return not arguments or (
        len(arguments) == 1 and bool(arguments[0]) and not arguments[0].startswith("-") and arguments[0] not in COMMANDS
    )


def _run(arguments: list[str]) -> int:
    try:
        if opens_ui(arguments):
            opened: int = import_module(_UI).open_ui(*arguments)
            return opened
        code: int = import_module(_GROUP).run(arguments, _report)
        return code
    except KeyboardInterrupt as error:
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


def _report(arguments: list[str], sentence: str, code: int, error: BaseException) -> int:
    """Say on stderr what went wrong, and with --json end stdout with a result that says so too."""
    from dbtui.cli.failures import report_failure

    outcome = "cancelled" if isinstance(error, Cancelled) or code == exit_codes.INTERRUPTED else "failed"
    told = report_failure(sentence, error, outcome=outcome, code=code, as_json="--json" in arguments)
    conclusion = sys.modules.get(_CONCLUSION)
    if conclusion is not None:
        conclusion.CURRENT.note_failure(told, error)
    return code


def _concluded(code: int) -> int:
    """Write down how it ended and tell the hooks, if it was a command that may have some; its code stays what it is."""
    conclusion = sys.modules.get(_CONCLUSION)
    if conclusion is None:
        return code
    try:
        conclusion.conclude(code)
    except (DbtuiError, KeyboardInterrupt):  # a signal, when nothing is left to be undone
        return code
    except Exception as error:  # the boundary: whatever goes wrong here is none of the command's business
        with suppress(OSError):
            sys.stderr.write(f"dbtui: warning: hooks were not told: unexpected {type(error).__name__}\n")
    return _flushed(code)


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
