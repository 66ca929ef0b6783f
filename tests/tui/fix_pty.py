"""A program in a pseudo-terminal, its screen as lines, and what it writes in bytes."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import ptyprocess
import pyte
import pytest

ASK = b"\x1b[6n"
ROOT = Path(__file__).parents[2]


class Terminal:
    """Runs a program and plays its terminal. It answers nothing, like the plainest of terminals.

    With `answers` it says where its cursor is when it is asked.
    """

    def __init__(
        self, argv: Sequence[str], environ: dict[str, str], columns: int = 80, rows: int = 24, answers: bool = False
    ) -> None:
        self.process = ptyprocess.PtyProcess.spawn(list(argv), env=environ, dimensions=(rows, columns), cwd=str(ROOT))
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.output = b""
        self.answers = answers
        self._asked = 0

    @property
    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds: float = 0.05, most: int = 65536) -> int:
        """Take what the program writes for so long, or `most` bytes of it; returns how many bytes."""
        ends, count = time.monotonic() + seconds, 0
        while count < most and (left := ends - time.monotonic()) > 0:
            if not select.select([self.process.fd], [], [], left)[0]:
                break
            try:
                data = os.read(self.process.fd, most - count)
            except OSError:
                break  # the program has closed it
            if not data:
                break
            count += len(data)
            self._take(data)
        return count

    def _take(self, data: bytes) -> None:
        self.show(data)
        if self.answers:
            questions = self.output.count(ASK)
            for _ in range(questions - self._asked):
                self.process.write(b"\x1b[1;1R")
            self._asked = questions

    def show(self, data: bytes) -> None:
        """Show what has arrived."""
        self.output += data
        # pyte knows no private modes with `<` or `>`, and would print their letters.
        self.stream.feed(data.replace(b"\x1b[<u", b"").replace(b"\x1b[>25u", b""))

    def read_slowly(self, bytes_per_second: float, seconds: float, look: Callable[[], object] = lambda: None) -> None:
        """Take what comes no faster than this; `look` is called after each piece."""
        began = time.monotonic()
        taken, slot = 0, 0.05
        while (now := time.monotonic()) < began + seconds:
            room = int(bytes_per_second * (now - began)) - taken
            room = min(room, int(bytes_per_second * slot * 2))
            if room > 0:
                taken = max(taken, int(bytes_per_second * (now - began)) - room)
                taken += self.read(0.001, room)
                look()
            time.sleep(slot)

    def press(self, keys: str) -> None:
        """Type keys."""
        self.process.write(keys.encode())

    def wait_for(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Read until something is so."""
        ends = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > ends:
                raise AssertionError(f"waited in vain; the screen shows:\n{self.text}")
            self.read(0.05)

    def wait_to_see(self, text: str, seconds: float = 30.0) -> None:
        """Read until the screen shows `text`."""
        self.wait_for(lambda: text in self.text, seconds)

    def wait_until_idle(self, seconds: float = 0.6) -> None:
        """Read until nothing comes for a while."""
        ends = time.monotonic() + 30
        while self.read(seconds):
            assert time.monotonic() < ends, "it never falls silent"

    def bytes_of(self, keys: str) -> int:
        """Type keys and return how many bytes they are answered with, once nothing more comes."""
        before = len(self.output)
        self.press(keys)
        self.wait_for(lambda: len(self.output) > before)
        self.wait_until_idle()
        return len(self.output) - before

    def end_seconds(self, most: float) -> float:
        """Wait until the process has ended and return how long that took."""
        began = time.monotonic()
        while psutil.pid_exists(self.process.pid) and not self._is_zombie():
            if time.monotonic() - began > most:
                raise AssertionError(f"still alive after {most} s; the screen shows:\n{self.text}")
            if not self.process.closed:
                self.read(0.02)
            else:
                time.sleep(0.02)
        return time.monotonic() - began

    def _is_zombie(self) -> bool:
        try:
            return psutil.Process(self.process.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def hang_up(self) -> None:
        """Take the terminal away, as a dropped SSH connection does."""
        self.process.fileobj.close()
        self.process.closed = True


@pytest.fixture
def start_ui(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts the UI on the scripted world in a pseudo-terminal; whatever is left of it is ended afterwards."""
    terminals: list[Terminal] = []

    def start(*words: str, columns: int = 80, rows: int = 24, answers: bool = False, **environ: str) -> Terminal:
        known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        known |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **environ}
        argv = [sys.executable, "-m", "tests.tui.scripted_ui", str(tmp_path), *words]
        terminals.append(Terminal(argv, known, columns, rows, answers))
        return terminals[-1]

    yield start
    for terminal in terminals:
        if psutil.pid_exists(terminal.process.pid):
            os.kill(terminal.process.pid, signal.SIGKILL)
        terminal.process.closed = terminal.process.closed or False
        terminal.process.wait()
        if not terminal.process.closed:
            terminal.process.close()
