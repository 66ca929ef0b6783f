"""Asking before something is touched: the operator answers or types a name, or gave it with --yes."""

import shlex
import sys
from collections.abc import Sequence

from dbtui.cli.invocation import can_prompt
from dbtui.cli.printers import write_words
from dbtui.errors import Cancelled, RefusedError
from dbtui.model.text import format_untrusted


def confirm(consequence: str, plan: Sequence[str], names: Sequence[str], given: Sequence[str]) -> None:
    """Return when every name in `names` was given with --yes or is typed now.

    `consequence` is the sentence that says what will happen, `plan` the lines shown before somebody is asked.
    Raises RefusedError, which says exactly what to pass.
    """
    missing = [name for name in names if not any(_is_name(name, word) for word in given)]
    if not missing:
        return
    if not can_prompt():
        options = " ".join(f"--yes {shlex.quote(format_untrusted(name))}" for name in names)
        raise RefusedError(f"this {consequence}; nothing was changed", f"to confirm pass {options}")
    for line in plan:
        write_words(line)
    for name in missing:
        if not _is_name(name, _ask(f"This {consequence}. Type {format_untrusted(name)} to go on: ")):
            raise RefusedError(f"that is not {format_untrusted(name)!r}; nothing was changed")


def confirm_yes(consequence: str, plan: Sequence[str], name: str, given: Sequence[str]) -> None:
    """Return when `name` was given with --yes or the operator answers y; anything else is no.

    Raises RefusedError, which says exactly what to pass.
    """
    if any(_is_name(name, word) for word in given):
        return
    if not can_prompt():
        option = f"--yes {shlex.quote(format_untrusted(name))}"
        raise RefusedError(f"this {consequence}; nothing was changed", f"to confirm pass {option}")
    for line in plan:
        write_words(line)
    if _ask("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise RefusedError("that is no yes; nothing was changed")


def _is_name(name: str, typed: str) -> bool:
    """Names with characters that cannot be typed may be typed as they are shown; a file also by its name alone."""
    accepted = {name, format_untrusted(name)}
    if name.startswith("/"):
        accepted.add(name.rpartition("/")[2])
    return typed in accepted


def _ask(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise Cancelled("nothing was typed; nothing was changed")
    return line.removesuffix("\n")
