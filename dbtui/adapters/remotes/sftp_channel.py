"""The two pipes of one running `ssh`: bytes in, bytes out, never blocked for longer than a moment."""

import contextlib
import os
import select
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from typing import IO

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.processes import ChildTool, widen_pipe
from dbtui.adapters.remotes.sftp_link import SshLink
from dbtui.errors import DbtuiError, ToolError

TICK_SECONDS = 0.2
_READ_BYTES = 1 << 20
_GATHERED = 64  # buffers that go into one system call
_LAST_WORDS_SECONDS = 2.0
_LAST_MOMENT_SECONDS = 0.5


class SshChannel:
    """An ssh that runs one thing at the other side. `received` grows as bytes come; who reads them takes them out.

    Raises ToolError when there is no ssh.
    """

    def __init__(self, link: SshLink, words: Sequence[str], cancellation: Cancellation) -> None:
        cancellation.check()
        self.link = link
        self.received = bytearray()
        self._cancellation = cancellation
        self._unsent: deque[memoryview] = deque()
        self.unsent_bytes = 0
        self._moved = time.monotonic()
        self._has_ended = False
        self._tool = ChildTool(
            link.argv(words), environ=link.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._in, self._out = _descriptor(self._tool.process.stdin), _descriptor(self._tool.process.stdout)
        widen_pipe(self._in)
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._tool.process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the other side closed the connection, or the ssh is gone."""
        return self._has_ended

    @property
    def silent_seconds(self) -> float:
        """For how long nothing has moved in either direction."""
        return time.monotonic() - self._moved

    def send(self, *parts: bytes) -> None:
        """Queue bytes; `turn` sends them."""
        for part in parts:
            if part:
                self._unsent.append(memoryview(part))
                self.unsent_bytes += len(part)

    def turn(self, seconds: float = TICK_SECONDS) -> None:
        """Move what can be moved; wait at most `seconds` for something to move. Raises Cancelled."""
        self._cancellation.check()
        if self._has_ended:
            return
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        if self._unsent:
            poll.register(self._in, select.POLLOUT)
        for descriptor, _events in poll.poll(seconds * 1000):
            self._moved = time.monotonic()
            if descriptor == self._out:
                self._receive()
            else:
                self._flush()

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._out, _READ_BYTES)
            self.received += data
            self._has_ended = not data

    def _flush(self) -> None:
        try:
            sent = os.writev(self._in, [self._unsent[at] for at in range(min(_GATHERED, len(self._unsent)))])
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._has_ended = True
            return
        self.unsent_bytes -= sent
        while sent:
            first = self._unsent.popleft()
            if sent < len(first):
                self._unsent.appendleft(first[sent:])
                break
            sent -= len(first)

    def failure(self, *, was_connected: bool = True) -> DbtuiError:
        """Return why the ssh ended."""
        self._tool.wait_for(_LAST_WORDS_SECONDS)
        return self.link.failure(self._tool.messages, was_connected=was_connected)

    def close(self) -> None:
        """End the ssh, and what it started.

        It ends by itself when nothing more is to be sent. In a hurry, or when it does not, it is ended by SIGKILL: it
        holds nothing that could be lost, and it may sleep over a SIGTERM that arrives right before it waits.
        """
        if not self._has_ended and not self._cancellation.requested and self._tool.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._tool.process.stdin.close()
            self._tool.wait_for(_LAST_MOMENT_SECONDS)
        self._tool.process.kill()
        self._tool.close()


def _descriptor(stream: IO[bytes] | None) -> int:
    if stream is None:  # both were asked for
        raise ToolError("ssh was started without pipes")
    return stream.fileno()
