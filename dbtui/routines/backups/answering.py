"""A server that no longer answers, behind a network that tells nobody: work that waits for it is ended, not for ever.

TCP does not notice: a peer that waits for data sends nothing, and what stands in between (a firewall that lost its
table, a proxy, a machine that hangs) goes on acknowledging. The servers' own tools wait for hours, mariadb-dump for
more than two. So whenever work has given no sign of progress for some seconds, somebody looks whether the server still
takes a login; only when it does not, several times in a row, the work is ended as if it were cancelled, and fails with
the reason. A server that is merely busy answers, and may take as long as it needs.
"""

import threading
import time
from dataclasses import replace

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import DEADLINES
from dbtui.adapters.driving import forward
from dbtui.errors import AuthenticationError, Cancelled, ConnectError, DbtuiError
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Event, ResultT, Routine, StepStarted
from dbtui.model.text import format_untrusted
from dbtui.routines.backups.stored import server_name
from dbtui.routines.context import RoutineContext

#: How long work may give no sign before the server is asked, and how often it may then miss.
QUIET_SECONDS = 10.0
MISSES = 5
#: Between two questions. Each takes as long as `connect_timeout` says, at most so long.
PAUSE_SECONDS = 2.0
_LONGEST_QUESTION_SECONDS = 30.0
#: Codes of a connection that was not made because nobody answered: none, or one of the client's own.
_UNANSWERED = ("", "2002", "2003", "2006", "2013")


def while_answering(
    c: RoutineContext, profile: ConnectionProfile, work: Routine[ResultT], *, until: str = ""
) -> Routine[ResultT]:
    """Do the work, ending it when its server answers nobody any more. Raises ConnectError then, and what it raises.

    The work has to stop when the cancellation of `c` is requested, as all work does. From the step called `until` on it
    needs the server no more.
    """
    if profile.engine is EngineName.SQLITE:
        return (yield from work)
    watch = _Watch(c, profile)

    def seen(event: Event) -> Event:
        watch.note(event)
        if isinstance(event, StepStarted) and event.step == until:
            watch.stop()
        return event

    thread = threading.Thread(target=watch.run, name="is it still there", daemon=True)
    thread.start()
    try:
        return (yield from forward(work, seen))
    except Exception as error:  # whatever the work makes of being ended
        if watch.verdict is not None:
            raise watch.verdict from error
        raise
    finally:
        watch.stop()
        thread.join()


class _Watch:
    """Looks, from a thread of its own, at how long nothing has happened, and asks the server then."""

    def __init__(self, c: RoutineContext, profile: ConnectionProfile) -> None:
        self.verdict: ConnectError | None = None
        self._ended = threading.Event()
        self._asking = Cancellation()
        self._c, self._profile = c, profile
        self._last: Event | None = None
        self._heard = time.monotonic()

    def note(self, event: Event) -> None:
        """Take an event of the work. One that says the same as the last is no sign of progress."""
        if event != self._last:
            self._last, self._heard = event, time.monotonic()

    def stop(self) -> None:
        """End the watch: the work has ended."""
        self._ended.set()
        self._asking.request("the work has ended")

    def run(self) -> None:
        """Watch until the work has ended, or the server is given up."""
        while not self._ended.wait(max(0.05, self._heard + QUIET_SECONDS - time.monotonic())):
            if time.monotonic() - self._heard < QUIET_SECONDS:
                continue
            if self._is_silent():
                self._give_up()
                return
            self._heard = time.monotonic()

    def _is_silent(self) -> bool:
        """Whether the server misses several questions in a row, and the work gives no sign meanwhile."""
        quiet_since = self._heard
        for _ in range(MISSES):
            if self._answers() or self._ended.wait(PAUSE_SECONDS) or self._heard != quiet_since:
                return False
        return True

    def _answers(self) -> bool:
        """Whether a new connection is taken, by whatever answer. One that takes too long is given up."""
        self._asking = Cancellation()
        if self._ended.is_set():  # before it could be told
            return True
        with DEADLINES.limiting(_LONGEST_QUESTION_SECONDS, self._asking):
            try:
                with replace(self._c, cancellation=self._asking, unfinished=[]).open_target(self._profile):
                    return True
            except AuthenticationError:
                return True
            except ConnectError as error:
                return error.code not in _UNANSWERED
            except Cancelled:
                return False
            except DbtuiError:
                return True

    def _give_up(self) -> None:
        if self._c.cancellation.requested:  # it is being ended already
            return
        quiet = time.monotonic() - self._heard
        where = format_untrusted(server_name(self._profile))
        self.verdict = ConnectError(
            f"{where} answers nobody any more, and nothing has come from it for {quiet:.0f} s",
            "look at the network and the server, then try again",
        )
        self._c.cancellation.request("the server does not answer")
