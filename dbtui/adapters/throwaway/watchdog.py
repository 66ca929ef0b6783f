"""Ends what a dead owner left: its servers, then its directory. Runs alone, so the standard library only.

Started as `python -I -S watchdog.py DIRECTORY` with one end of a pipe as its standard input. The owner holds the
other end; when the owner is gone, however it went, the pipe closes. A directory that is already gone by then
was removed by its owner, and nothing is left to do.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

OWNER_FILE = "owner.pid"
SERVERS_FILE = "servers.pid"
END_SECONDS = 10.0


def format_identity(pid: int) -> str:
    """The process as one line, "PID START", so that a reused number is not taken for it."""
    return f"{pid} {start_of(pid)}\n"


def is_alive(identity: str) -> bool:
    """Whether the process of a `format_identity` line still runs. A zombie does not."""
    pid, start = _parse_identity(identity)
    return pid > 0 and start == start_of(pid)


def end_process(identity: str, signal_number: int = signal.SIGTERM, seconds: float = END_SECONDS) -> None:
    """Ask the process, and the group it leads, to end; after `seconds` end it without asking."""
    for number, patience in ((signal_number, seconds), (int(signal.SIGKILL), 2.0)):
        if not is_alive(identity):
            return
        _signal_group(_parse_identity(identity)[0], number)
        deadline = time.monotonic() + patience
        while is_alive(identity) and time.monotonic() < deadline:
            time.sleep(0.02)


def remove_directory(directory: Path) -> None:
    """End every server written down in `directory`, then remove it. Servers still ending are waited for."""
    for line in _read_lines(directory / SERVERS_FILE):
        number, _, identity = line.partition(" ")
        end_process(identity, int(number))
    for pid in _find_strays(directory):
        end_process(format_identity(pid), signal.SIGKILL)
    for attempt in range(20):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.05 * attempt)


def _find_strays(directory: Path) -> list[int]:
    """The processes that have their home in `directory`: their owner died before it could write them down."""
    prefix, found = os.fsencode(f"HOME={directory}{os.sep}"), []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if any(word.startswith(prefix) for word in (entry / "environ").read_bytes().split(b"\0")):
                found.append(int(entry.name))
    return found


def start_of(pid: int) -> str:
    """The start time of a running process in clock ticks, "" when it is gone or a zombie (proc(5), fields 3 and 22)."""
    if not Path("/proc/self/stat").exists():
        return _start_without_proc(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _start_without_proc(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "running"
    return "running"


def _parse_identity(identity: str) -> tuple[int, str]:
    pid, _, start = identity.strip().partition(" ")
    return (int(pid), start) if pid.isdecimal() and start else (0, "")


def _signal_group(pid: int, signal_number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal_number)
        else:
            os.kill(pid, signal_number)


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def main() -> None:
    """Wait for the owner's end of the pipe to close, then remove the directory named in argv."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 512):
        pass
    directory = Path(sys.argv[1])
    owner = _read_lines(directory / OWNER_FILE)
    if owner == [sys.argv[2]]:
        remove_directory(directory)


if __name__ == "__main__":
    main()
