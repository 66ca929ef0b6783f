"""Writing to the terminal without waiting for it: a thread of its own, which tells the link how long that took."""

import os
import select
import termios
import threading
import time
from contextlib import suppress
from typing import Any

from textual import events
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from dbtui.tui.link import Link

#: Small enough for its duration to tell how fast the terminal takes it, in bytes.
PIECE_BYTES = 1024
#: A full terminal is asked so often whether it takes more: the kernel itself tells only when it is nearly empty.
_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.01, 0.1
#: What a terminal that has room takes without waiting, in bytes.
_LITTLE_BYTES = 256
#: What comes so soon after the start belongs to the first screen.
_FIRST_SECONDS = 2.0
#: How long the end waits for the terminal to take the last bytes.
END_SECONDS = 1.0
#: Asks the terminal where its cursor is: it answers when it has drawn all that came before.
ASK = "\x1b[6n"
#: Ends whatever sequence was cut off.
_CUT = b"\x1b\\"


class Output(threading.Thread):
    """Writes what it is given, in order. A terminal that is gone swallows everything."""

    def __init__(self, descriptor: int, link: Link) -> None:
        super().__init__(name="terminal output", daemon=True)
        self._descriptor, self._link = descriptor, link
        self._own = _open_own(descriptor)
        self._some = threading.Condition()
        self._waiting = bytearray()
        self._ends = False

    def put(self, text: str) -> None:
        """Write this soon; never waits."""
        data = text.encode("utf-8", "replace")
        with self._some:
            self._waiting += data
            self._link.queued(len(data), time.monotonic())
            self._some.notify_all()

    def drop(self) -> None:
        """Forget what waits, here and in the kernel: the UI ends, and nobody will look at it."""
        with self._some:
            self._waiting = bytearray(_CUT)
            self._link.dropped()
        with suppress(OSError, termios.error):
            termios.tcflush(self._descriptor, termios.TCOFLUSH)

    def stop(self) -> None:
        """Write what waits, but not for longer than END_SECONDS, and end."""
        with self._some:
            self._ends = True
            self._some.notify_all()
        self.join(END_SECONDS)

    def run(self) -> None:
        """Write until it is stopped."""
        while True:
            with self._some:
                while not self._waiting and not self._ends:
                    self._some.wait()
                if not self._waiting:
                    break
                piece = bytes(self._waiting[:PIECE_BYTES])
                del self._waiting[:PIECE_BYTES]
            self._write(piece)
        if self._own is not None:
            os.close(self._own)

    def _write(self, piece: bytes) -> None:
        while piece:
            began = time.monotonic()
            self._link.writes(began)
            try:
                count = self._write_when_there_is_room(piece)
            except OSError:
                self._link.dropped()  # the terminal is gone, and `terminal.Watch` ends the program
                return
            self._link.wrote(count, began, time.monotonic())
            piece = piece[count:]

    def _write_when_there_is_room(self, piece: bytes) -> int:
        pause = _RETRY_SECONDS
        while True:
            try:
                if self._own is not None:
                    return os.write(self._own, piece)
                if select.select([], [self._descriptor], [], 0)[1]:
                    return os.write(self._descriptor, piece[:_LITTLE_BYTES])
            except BlockingIOError:
                pass  # it is full
            time.sleep(pause)
            pause = min(_LONGEST_RETRY_SECONDS, pause * 1.2)


def _open_own(descriptor: int) -> int | None:
    """Open the terminal once more, for writing without waiting: the shell shares the other descriptors with us.

    A write that waits goes on only when the terminal has taken all that was before it, which on a slow link is seconds.
    """
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None  # it belongs to who has logged in, and this is another user: sudo, su


class LinkDriver(LinuxDriver):
    """Textual's driver, writing through `Output`; the app's `link` is told what the terminal answers."""

    def __init__(self, app: Any, **arguments: Any) -> None:
        super().__init__(app, **arguments)
        self._link: Link = app.link
        self._output: Output | None = None

    def start_application_mode(self) -> None:
        """Take the terminal."""
        self._output = Output(self.descriptor, self._link)
        self._output.start()
        self._link.key_came(time.monotonic() + _FIRST_SECONDS)  # the first screen answers the command
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self.ask()

    @property
    def descriptor(self) -> int:
        """The terminal."""
        assert self._file is not None, "there is a terminal"  # noqa: S101
        return self._file.fileno()

    def ask(self) -> None:
        """Ask the terminal to say when it has drawn everything."""
        self._link.asked(time.monotonic())
        self.write(ASK)

    def write(self, data: str) -> None:
        """Write soon."""
        if self._output is not None:
            self._output.put(data)

    def stop_application_mode(self) -> None:
        """Give the terminal back; what a slow link has not shown yet is dropped."""
        if self._output is not None and self._link.rate is not None:
            self._output.drop()
        super().stop_application_mode()

    def close(self) -> None:
        """End writing."""
        super().close()
        if self._output is not None:
            self._output.stop()
            self._output = None

    def process_message(self, message: Message) -> None:
        """Keep the answers to `ask` from the app."""
        if isinstance(message, events.CursorPosition):
            self._link.answered(time.monotonic())
        else:
            super().process_message(message)
