"""`python -m dbtui.cli.queries_guard JOURNAL`: the process that guards a capture. Started by it, not by people."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dbtui.cli import exit_codes
from dbtui.config import find_password
from dbtui.errors import DbtuiError
from dbtui.model.connections import ConnectionProfile, Secret
from dbtui.routines.capture_guard import Guard, Orders, read_login, say_error
from dbtui.routines.context import RoutineContext


def main(argv: Sequence[str]) -> int:
    """Guard the capture whose journal is named. The login, and orders, come by standard input."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    orders = Orders(sys.stdin.fileno())
    try:
        login = read_login(orders)
        passwords = _Passwords(login.secret)
        c = RoutineContext(
            password_of=passwords.find, forget_password=passwords.forget, environ={**os.environ, **login.environ}
        )
        guard = Guard(c, login, Path(argv[0]), orders, _say)
        signal.signal(signal.SIGTERM, lambda _number, _frame: guard.stop())
        return guard.run()
    except DbtuiError as error:
        _say(say_error("refused", error))
        return exit_codes.exit_code_of(error)


class _Passwords:
    """The password that was handed over; when it is refused, what the profile's command prints."""

    def __init__(self, given: Secret | None) -> None:
        self._given = given
        self._is_refused = False

    def find(self, profile: ConnectionProfile) -> Secret | None:
        if self._is_refused and profile.password_command:
            return find_password(profile, os.environ)
        return self._given

    def forget(self, _profile: ConnectionProfile) -> None:
        self._is_refused = True


def _say(said: object) -> bool:
    """Write a line; whether whoever started us is there to read it."""
    import msgspec

    try:
        os.write(1, msgspec.json.encode(said) + b"\n")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
