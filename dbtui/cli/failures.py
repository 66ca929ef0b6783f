"""How a failure is told: one sentence on stderr, one line of JSON for programs, a traceback only on request."""

import os
import sys
import traceback

from dbtui.cli.printers import make_printer, write_words
from dbtui.errors import DbtuiError
from dbtui.model.text import format_untrusted, mask_passwords


def report_failure(sentence: str, error: BaseException, *, outcome: str, code: int, as_json: bool) -> str:
    """Tell what went wrong, without any secret that this process has found, and return the sentence that was told."""
    secrets = _known_secrets()
    # Our own errors are made without secrets; a password that is also a name must not blot that name out of them.
    clean = mask_passwords(sentence, () if isinstance(error, DbtuiError) else secrets)
    if os.environ.get("DBTUI_DEBUG"):
        for line in traceback.TracebackException.from_exception(error, capture_locals=False).format():
            write_words(mask_passwords(line.rstrip("\n"), secrets))
    write_words(f"dbtui: {format_untrusted(clean)}")
    if as_json:
        kind = type(error).__name__ if isinstance(error, DbtuiError) else "UsageError" if code == 2 else "Unexpected"
        make_printer(as_json=True).result("", outcome=outcome, error=clean, error_kind=kind, exit_code=code)
    return clean


def _known_secrets() -> tuple[str, ...]:
    """The passwords found so far; nothing was found when the module that keeps them was never needed."""
    invocation = sys.modules.get("dbtui.cli.invocation")
    found: tuple[str, ...] = invocation.PASSWORDS.known if invocation is not None else ()
    return (*found, *(os.environ[name] for name in ("PGPASSWORD", "MYSQL_PWD") if name in os.environ))
