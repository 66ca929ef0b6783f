"""How acting commands end: what `--dry-run` prints, and the result with its exit code."""

from collections.abc import Callable
from typing import Any

from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.model.jobs import JobOutcome
from dbtui.model.text import format_untrusted


def show_plan(invocation: Invocation, lines: list[str], refusals: tuple[str, ...], **fields: Any) -> int:
    """Print a plan instead of doing it; return the exit code, which says whether it would be refused."""
    code = exit_codes.REFUSED if refusals else exit_codes.DONE
    outcome = "failed" if refusals else "succeeded"
    error = {"error": f"refused: {'; '.join(refusals)}", "error_kind": "RefusedError"} if refusals else {}
    invocation.printer.result("\n".join(lines), outcome=outcome, dry_run=True, exit_code=code, **fields, **error)
    if refusals:
        invocation.printer.say("dbtui: this would be refused; nothing was changed")
    return code


def finish(
    invocation: Invocation,
    outcome: JobOutcome[Any],
    fields_of: Callable[[Any], dict[str, Any]],
    data_of: Callable[[Any], str],
    words_of: Callable[[Any], str] | None,
    *,
    failed: int = exit_codes.FAILED,
) -> int:
    """Print the data on stdout and the summary on stderr; return the exit code."""
    code = exit_codes.exit_code_of_state(outcome.state, failed)
    fields = {"seconds": outcome.seconds, "warnings": outcome.warnings, **fields_of(outcome.result)}
    if words_of is not None:
        invocation.printer.say(words_of(outcome.result))
    data = "\n".join(format_untrusted(line) for line in data_of(outcome.result).split("\n"))
    invocation.printer.result(data, outcome=outcome.state.value, exit_code=code, **fields)
    return code
