"""The terminal as a thing that breaks: it may be too plain, may vanish, and must be given back as it was found.

- File descriptor 2 belongs to C libraries that write warnings; Textual draws through a copy of it, and the original
  goes to a log file while the UI runs.
- SIGHUP, SIGTERM and a terminal that is gone end the program within a second, whatever blocks.
- Answers that the terminal still owes when the UI ends are read and dropped, so that they do not land in the shell.
"""

import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dbtui.errors import UsageError

LOG_NAME = "dbtui.log"
POLL_SECONDS = 0.25
#: How long a clean end may take after SIGHUP, SIGTERM or a vanished terminal.
GRACE_SECONDS = 0.7
#: The same where hooks are to be told of the jobs that end with it.
HOOK_SECONDS = 10.0
#: How long the terminal's last answers are waited for; a link slower than this is rare.
DRAIN_SECONDS = 0.5
_LOG_BYTES = 1_000_000
#: Mouse modes, focus reports, in-band resize, bracketed paste, kitty keys off; line wrap and cursor on.
_RESET = (
    "\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?1004l\x1b[?2048l\x1b[?2004l\x1b[<u\x1b[?7h\x1b[?25h"
)
_LEAVE_ALTERNATE_SCREEN = "\x1b[?1049l"
_ASK_WHAT_IT_IS = b"\x1b[c"


def check_terminal(environ: Mapping[str, str]) -> None:
    """Raise UsageError when there is no terminal to draw on."""
    if not (os.isatty(0) and os.isatty(1) and os.isatty(2)):
        raise UsageError(
            "the terminal UI needs a terminal, and input or output is redirected",
            "use the commands instead: dbtui --help lists them",
        )
    term = environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        raise UsageError(
            f"this terminal (TERM={term or 'not set'}) cannot be drawn on",
            "set TERM to what it is, such as xterm-256color, or use the commands: dbtui --help",
        )


def is_remote(environ: Mapping[str, str]) -> bool:
    """Whether this runs over SSH."""
    return any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"))


def has_few_colours(environ: Mapping[str, str]) -> bool:
    """Whether only the terminal's own sixteen colours, or none, should be used."""
    if environ.get("NO_COLOR"):
        return True
    if environ.get("COLORTERM", "") in ("truecolor", "24bit"):
        return False
    forced, term = environ.get("TEXTUAL_COLOR_SYSTEM", ""), environ.get("TERM", "")
    if forced:
        return forced == "standard"
    return "256color" not in term and not term.startswith(("xterm-kitty", "alacritty", "foot"))


def _open_log(directory: Path) -> int:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / LOG_NAME
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.fstat(descriptor).st_size > _LOG_BYTES:
        os.ftruncate(descriptor, 0)
    return descriptor


@contextmanager
def own_terminal(state_dir: Path, in_haste: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Keep everything but the UI off the terminal while the block runs, and give it back as it was.

    `in_haste` says at the end that there is no time to wait for the terminal's last answers.
    """
    log = _open_log(state_dir)
    screen = os.dup(2)
    before = termios.tcgetattr(0)
    saved_stderr, saved_original = sys.stderr, sys.__stderr__
    with os.fdopen(screen, "w", encoding="utf-8", errors="replace", closefd=False) as drawn:
        os.write(screen, _RESET.replace("\x1b[<u", "").encode())
        os.dup2(log, 2)
        sys.__stderr__ = drawn  # type: ignore[misc]
        try:
            yield
        finally:
            sys.stderr, sys.__stderr__ = saved_stderr, saved_original  # type: ignore[misc]
            os.dup2(screen, 2)
            os.close(log)
            with suppress(OSError, ValueError):
                drawn.flush()
            give_back(screen, before, 0.0 if in_haste() else DRAIN_SECONDS)
            os.close(screen)


def give_back(screen: int, before: list[object], seconds: float) -> None:
    """Drop the answers that come within `seconds`, then restore the terminal's settings. No error if it is gone."""
    with suppress(OSError, termios.error):
        tty.setcbreak(0, termios.TCSANOW)
        os.write(screen, _RESET.encode() + (_ASK_WHAT_IT_IS if seconds else b""))
        _drain(0, seconds)
        termios.tcflush(0, termios.TCIFLUSH)
    with suppress(OSError, termios.error):
        termios.tcsetattr(0, termios.TCSADRAIN, before)  # type: ignore[arg-type]


def _drain(descriptor: int, seconds: float) -> None:
    """Read until the terminal has said what it is: answers come in the order of the questions."""
    ends = time.monotonic() + seconds
    seen = b""
    while (left := ends - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            return
        chunk = os.read(descriptor, 1024)
        seen += chunk
        tail = seen[seen.rfind(b"\x1b[?") :] if b"\x1b[?" in seen else b""
        if not chunk or tail.endswith(b"c"):
            return


def _may_write_in_background() -> None:
    """Let this thread give the terminal back also where the shell has put the program into the background.

    The kernel would stop the program for that, before its end. A mask holds whatever Textual does with the handler.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})


def _is_gone() -> bool:
    try:
        os.tcgetpgrp(0)
    except OSError:
        return True
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


class Watch:
    """Ends the program when the terminal vanishes or a signal says so.

    The `leave(code)` of `watching` is asked to end it in good order, from a thread; if that takes longer than
    `patience_seconds`, the process ends anyway. A child tool dies with its parent, and locks are the kernel's.
    """

    def __init__(self) -> None:
        self.patience_seconds = GRACE_SECONDS
        self._leave: Callable[[int], None] | None = None
        self._code = threading.Event()
        self._exit_code = 0
        self._ended = threading.Event()
        self._before: list[object] | None = None

    @property
    def called(self) -> bool:
        """Whether a signal, or the loss of the terminal, ends the program."""
        return self._exit_code != 0

    @property
    def is_in_haste(self) -> bool:
        """Whether the terminal owes no answers, for nothing was shown, or there is no time to wait for them."""
        return self.called or self._leave is None

    @contextmanager
    def watching(self, leave: Callable[[int], None]) -> Iterator[None]:
        """Watch while the block runs."""
        self._leave = leave
        with suppress(OSError, termios.error):
            self._before = list(termios.tcgetattr(0))
        saved = {number: signal.signal(number, self._on_signal) for number in (signal.SIGHUP, signal.SIGTERM)}
        threading.Thread(target=self._watch, args=(leave,), name="terminal watch", daemon=True).start()
        try:
            yield
        finally:
            self._ended.set()
            for number, handler in saved.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: object) -> None:
        _may_write_in_background()
        self._exit_code = 128 + number
        self._code.set()

    def _watch(self, leave: Callable[[int], None]) -> None:
        while not self._code.wait(POLL_SECONDS):
            if self._ended.is_set():
                return
            if _is_gone():
                self._exit_code = 128 + signal.SIGHUP
                break
        gone = _is_gone()
        threading.Thread(target=leave, args=(self._exit_code,), name="leave", daemon=True).start()
        if self._ended.wait(self.patience_seconds) and not gone:
            return  # the ordinary way out restores the terminal
        if not gone:
            self._restore()
        os._exit(self._exit_code)

    def _restore(self) -> None:
        _may_write_in_background()
        with suppress(OSError):
            os.write(1, (_RESET + _LEAVE_ALTERNATE_SCREEN).encode())
        if self._before is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self._before)  # type: ignore[arg-type]
