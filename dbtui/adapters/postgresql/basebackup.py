"""pg_basebackup as a child: what it is given, and what it says of how far it is, told as events.

Its own words are read (`--progress --verbose`) instead of pg_stat_progress_basebackup: they need no privilege, and are
about this very copy.
"""

import queue
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.processes import Account, ChildTool
from dbtui.adapters.space import SpaceWatch
from dbtui.model.events import Event, Progressed, Routine, StepFinished, StepStarted, Warned

_TICK_SECONDS = 0.2
_KILOBYTE = 1024
#: "  12345/67890 kB (18%), 0/1 tablespace (…)": pg_basebackup's progress_report().
_PROGRESS = re.compile(r"\s*(\d+)/(\d+) kB \(\d+%\)")
#: What pg_basebackup says when a phase begins (--verbose, the same words from 13 to 18), and how we call the phase.
_PHASES = (
    ("waiting for checkpoint", "wait for a checkpoint"),
    ("checkpoint completed", "measure"),
    ("write-ahead log end point", "end the copy"),
    ("waiting for background process", "end the log"),
    ("syncing data to disk", "write to disk"),
)
_COPY = "copy"
#: pg_basebackup has a child that receives the log, holds the slot, and goes on for ever when its parent alone is ended,
#: as the kernel does when dbtui is killed. So a shell stands before it that takes its whole group with it.
_GUARD = ("/bin/sh", "-c", """trap 'trap "" TERM; kill -TERM 0' TERM; "$@" & wait $!""", "guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRequest:
    """What is copied, where to. `conninfo` names a file that holds the password. `tablespaces`: (old, new)."""

    tool: str
    conninfo: str
    directory: str
    slot: str
    is_fast_checkpoint: bool = True
    checkpoint_seconds: float | None = None
    most_bytes_per_second: int | None = None
    tablespaces: tuple[tuple[str, str], ...] = ()
    account: Account | None = None


def copy_arguments(request: CopyRequest) -> list[str]:
    """Return pg_basebackup's argv."""
    argv = [request.tool, "--pgdata", request.directory, "--write-recovery-conf", "--wal-method=stream",
            "--slot", request.slot, f"--checkpoint={'fast' if request.is_fast_checkpoint else 'spread'}",
            "--no-password", "--progress", "--verbose"]  # fmt: skip
    if request.most_bytes_per_second is not None:
        argv.append(f"--max-rate={request.most_bytes_per_second // _KILOBYTE}k")
    for old, new in request.tablespaces:
        argv.append(f"--tablespace-mapping={_escape_equals(old)}={_escape_equals(new)}")
    return [*argv, "--dbname", request.conninfo]


def _escape_equals(path: str) -> str:
    return path.replace("=", r"\=")


def copy_server(request: CopyRequest, environ: Mapping[str, str], cancellation: Cancellation) -> Routine[int]:
    """Copy a server; return how many bytes came. Raises ToolError, StorageError, Cancelled.

    The tool has ended when this does, however; what it wrote stays.
    """
    phases = _Phases(request)
    space = SpaceWatch(Path(request.directory) / "PG_VERSION")
    argv = [*_GUARD, *copy_arguments(request)]
    with ChildTool(argv, environ=environ, on_line=phases.listen, account=request.account) as tool:
        tool.name = Path(request.tool).name
        while not tool.wait_for(_TICK_SECONDS):
            cancellation.check()
            space.check()
            yield from phases.news()
        yield from phases.news()
        code = tool.wait()
        if code != 0:
            cancellation.check()
            space.check_messages(tool.messages)
            raise tool.failure("the copy", code)
    yield from phases.end()
    return phases.copied_bytes


class _Phases:
    """Turns what the tool says into steps. `listen` is called from the thread that drains its words."""

    def __init__(self, request: CopyRequest) -> None:
        self._request = request
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._step, self._began = "", 0.0
        self.copied_bytes = 0

    def listen(self, line: str) -> None:
        """Take a line of the tool's."""
        self._lines.put(line)

    def news(self) -> Iterator[Event]:
        """Return what has been said since the last time, as events."""
        while not self._lines.empty():
            line = self._lines.get()
            if found := _PROGRESS.match(line):
                if self._step in ("", "wait for a checkpoint", "measure"):
                    yield from self._begin(_COPY)
                self.copied_bytes = int(found[1]) * _KILOBYTE
                yield Progressed(self.copied_bytes, max(int(found[2]) * _KILOBYTE, self.copied_bytes), "bytes")
            elif "warning:" in line or "WARNING:" in line:
                yield Warned(line)
            else:
                phase = next((phase for words, phase in _PHASES if words in line), None)
                if phase is not None and phase != self._step:
                    yield from self._begin(phase)

    def end(self) -> Iterator[Event]:
        """Finish the last step."""
        if self._step:
            yield StepFinished(self._step, time.monotonic() - self._began)
            self._step = ""

    def _begin(self, step: str) -> Iterator[Event]:
        yield from self.end()
        self._step, self._began = step, time.monotonic()
        yield StepStarted(step, self._detail(step))

    def _detail(self, step: str) -> str:
        request = self._request
        if step == "wait for a checkpoint":
            return describe_checkpoint(request.checkpoint_seconds, is_fast=request.is_fast_checkpoint)
        details = {
            "measure": "the server adds up its files",
            _COPY: request.directory,
            "end the log": "what was written meanwhile",
            "write to disk": request.directory,
        }
        return details.get(step, "")


def describe_checkpoint(seconds: float | None, *, is_fast: bool) -> str:
    """Return what a base backup waits for before it copies a byte, which looks as if it hung."""
    if is_fast:
        return "the server writes its memory to disk at once; nothing is copied until then"
    most = f", up to {seconds:.0f} s" if seconds else ""
    return f"the server spreads it over time{most}; nothing is copied until then"
