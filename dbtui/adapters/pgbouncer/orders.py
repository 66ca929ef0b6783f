"""What an operator may order PgBouncer to do: PAUSE, RESUME, RELOAD, RECONNECT, KILL.

Source: PgBouncer's manual, "Process controlling commands".
"""

import threading

from dbtui.adapters.pgbouncer.console import Console
from dbtui.errors import ConnectError, ServerError
from dbtui.model.pools import PoolerVerb


def show_order(verb: PoolerVerb, database: str = "") -> str:
    """Return the command as it is sent; `database` empty: for all of them."""
    name = ' "' + database.replace('"', '""') + '"' if database else ""
    return f"{verb.value.upper()}{name}"


class Order:
    """A command under way: PAUSE answers only when the last transaction has ended."""

    def __init__(self, console: Console, command: str) -> None:
        """Send it."""
        self._console = console
        self._command = command
        self._ended = threading.Event()
        self._error: Exception | None = None
        threading.Thread(target=self._run, name="pooler order", daemon=True).start()

    def _run(self) -> None:
        try:
            self._console.rows(self._command)
        except Exception as error:  # handed to the thread that waits
            self._error = error
        finally:
            self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the answer; whether it is there. Raises what PgBouncer said against it."""
        if not self._ended.wait(seconds):
            return False
        if self._error is not None:
            raise self._error
        return True

    def abandon(self) -> None:
        """Wait no more: the console is of no use afterwards, and what the command has begun stays begun."""
        self._console.shut()
        self._ended.wait()


def send_order(console: Console, verb: PoolerVerb, database: str = "") -> Order:
    """Send an order and return at once."""
    return Order(console, show_order(verb, database))


def try_order(console: Console, verb: PoolerVerb, database: str = "") -> str:
    """Give an order and return what PgBouncer said against it; empty when it was done."""
    try:
        console.rows(show_order(verb, database))
    except (ServerError, ConnectError) as error:
        return error.message
    return ""
