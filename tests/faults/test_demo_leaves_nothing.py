"""The demo leaves no process and no file, whether it is left by a key or killed."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import ptyprocess
import pytest

from tests.fix_servers import processes_in, wait_until


class DemoInTerminal:
    """`dbtui demo` in a terminal of 80 columns and 24 lines."""

    def __init__(self, temporary: Path) -> None:
        environment = {**os.environ, "TMPDIR": str(temporary), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        words = [sys.executable, "-m", "dbtui", "demo"]
        root = Path(__file__).parents[2]
        self.terminal = ptyprocess.PtyProcess.spawn(words, cwd=str(root), env=environment, dimensions=(24, 80))
        self.temporary = temporary
        self.seen = b""

    def read_until(self, text: bytes) -> None:
        """Read the screen until `text` was drawn."""
        with contextlib.suppress(EOFError):
            while text not in self.seen:
                self.seen += self.terminal.read(65536)
        assert text in self.seen, self.seen.decode(errors="replace")

    def read_to_the_end(self) -> None:
        """Read what is still drawn, so that the program is not kept from ending."""
        with contextlib.suppress(EOFError):
            while True:
                self.terminal.read(65536)

    @property
    def directory(self) -> Path:
        """The world's directory."""
        (found,) = self.temporary.glob("dbtui-*")
        return found


@pytest.fixture
def demo(short_directory: Path) -> Iterator[DemoInTerminal]:
    if os.geteuid() == 0:
        short_directory.chmod(0o711)
    running = DemoInTerminal(short_directory)
    yield running
    running.terminal.close(force=True)


def test_nothing_is_left_after_kill_9(demo: DemoInTerminal) -> None:
    demo.read_until(b"Connections")
    directory = demo.directory
    assert len(processes_in(directory)) >= 3
    demo.terminal.kill(signal.SIGKILL)
    demo.read_to_the_end()
    wait_until(lambda: not directory.exists())
    wait_until(lambda: not processes_in(directory))
    assert list(demo.temporary.iterdir()) == []


def test_nothing_is_left_after_leaving_by_key(demo: DemoInTerminal) -> None:
    demo.read_until(b"Connections")
    directory = demo.directory
    demo.terminal.write(b"q")
    demo.read_to_the_end()
    assert demo.terminal.wait() == 0
    assert not directory.exists()
    assert processes_in(directory) == []
    assert list(demo.temporary.iterdir()) == []


def test_nothing_is_left_of_a_world_that_was_still_being_built(demo: DemoInTerminal) -> None:
    demo.read_until(b"starting")
    directory = demo.directory
    demo.terminal.kill(signal.SIGTERM)
    demo.read_to_the_end()
    wait_until(lambda: not directory.exists())
    wait_until(lambda: not processes_in(directory))
