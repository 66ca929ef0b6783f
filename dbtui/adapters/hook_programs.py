"""Programs that are told something on their stdin: bounded in time and in what they may say, whatever they do.

A program is started from a list, without a shell, in a session of its own. It ends when dbtui does: `setpriv
--pdeathsig` asks the kernel for that. When its time is over, or somebody asks to stop, it is ended with all its
children: TERM, and a moment later KILL. What it leaves running in its session when it ends is ended, too.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.processes import with_parent_death_signal
from dbtui.errors import Cancelled, ToolError
from dbtui.model.text import format_untrusted

GRACE_SECONDS = 2.0
_LOOK_SECONDS = 0.05
_BLOCK = 65536
_MOST_BYTES = 65536
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: `code` as subprocess has it, and the first 64 kB of what it said."""

    code: int
    said: bytes


def run_bounded(
    argv: Sequence[str],
    typed: bytes,
    environ: Mapping[str, str],
    seconds: float,
    cancellation: Cancellation,
    *,
    hears_stdout: bool = False,
) -> Ended:
    """Run a program, give it `typed` (a few kilobytes) on stdin, and return how it ended.

    Of what it says stderr is kept, or stdout with `hears_stdout`; the other is thrown away. Raises ToolError when it
    cannot be started or takes longer than `seconds`, Cancelled.
    """
    name = format_untrusted(Path(argv[0]).name, 80)
    path = shutil.which(argv[0], path=environ.get("PATH"))
    if path is None:
        raise ToolError(f"{format_untrusted(argv[0], 120)} cannot be started: there is no such program")
    pipe, other = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            with_parent_death_signal([path, *argv[1:]], signal.SIGKILL),
            env=dict(environ),
            stdin=pipe,
            stdout=pipe if hears_stdout else other,
            stderr=other if hears_stdout else pipe,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{name} cannot be started: {error.strerror}") from error
    with _ending(process):
        return _follow(process, name, typed, time.monotonic() + seconds, seconds, cancellation)


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave nothing of the program behind: neither itself nor its children, nor our ends of its pipes."""
    try:
        yield
    finally:
        if process.poll() is None:
            _signal(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
        _signal(process, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was typed may be left unread
                    stream.close()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended, or are another account's
        os.killpg(process.pid, number)


def _follow(
    process: subprocess.Popen[bytes], name: str, typed: bytes, ends: float, seconds: float, cancellation: Cancellation
) -> Ended:
    _type(process, typed)
    stream = process.stdout or process.stderr
    descriptor = stream.fileno() if stream is not None else -1
    os.set_blocking(descriptor, False)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    said, is_open = b"", True
    while process.poll() is None:
        if cancellation.requested:
            raise Cancelled(f"{name} was ended: {cancellation.reason}")
        if time.monotonic() >= ends:
            raise ToolError(f"{name} took longer than {seconds:g} s and was ended")
        if is_open:
            poller.poll(_LOOK_SECONDS * 1000)
            said, is_open = _read(descriptor, said)
        else:
            time.sleep(_LOOK_SECONDS)
    while is_open and poller.poll(0) and len(said) < _MOST_BYTES:
        said, is_open = _read(descriptor, said)
    return Ended(process.returncode, said)


def _type(process: subprocess.Popen[bytes], typed: bytes) -> None:
    """A pipe takes these few kilobytes at once; whoever does not read them misses them."""
    if process.stdin is not None:
        os.set_blocking(process.stdin.fileno(), False)
        with contextlib.suppress(BrokenPipeError, BlockingIOError):
            os.write(process.stdin.fileno(), typed)
        process.stdin.close()


def _read(descriptor: int, said: bytes) -> tuple[bytes, bool]:
    """What it has said so far, of which the beginning is kept, and whether it may say more."""
    try:
        block = os.read(descriptor, _BLOCK)
    except BlockingIOError:
        return said, True
    return said + block[: _MOST_BYTES - len(said)], bool(block)


def describe_end(name: str, ended: Ended) -> str:
    """Return what was wrong with how a program ended; empty: nothing."""
    if ended.code == 0:
        return ""
    how = f"was ended by {signal.Signals(-ended.code).name}" if ended.code < 0 else f"exited with {ended.code}"
    first = next((line for line in ended.said.decode("utf-8", "replace").splitlines() if line.strip()), "")
    return f"{name} {how}{f': {format_untrusted(first, _SHOWN_CHARACTERS)}' if first else ''}"
