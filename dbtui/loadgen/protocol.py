"""How a generator is told what to do, and how it ends when whoever told it has ended."""

import ctypes
import os
import resource
import signal
import sys
import threading
import time

import msgspec

from dbtui.model.loadtest import GeneratorPlan, GeneratorSecrets

_PR_SET_PDEATHSIG = 1
_LAST_SECONDS = 3.0
_SPARE_FILES = 64
MOST_SECRET_BYTES = 64 << 20


def read_plan() -> GeneratorPlan:
    """Read the plan, the first line of standard input."""
    return msgspec.json.decode(sys.stdin.buffer.readline(), type=GeneratorPlan)


def read_secrets(descriptor: int) -> GeneratorSecrets:
    """Read what must not be seen from a descriptor, and close it."""
    with os.fdopen(descriptor, "rb") as file:
        return msgspec.json.decode(file.read(MOST_SECRET_BYTES), type=GeneratorSecrets)


def end_with_parent() -> None:
    """Be ended by the kernel when the starting process ends, however that happens: PR_SET_PDEATHSIG of prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def end_with_input() -> None:
    """Be ended, too, when standard input ends; a process that does not obey within seconds is gone all the same."""
    threading.Thread(target=_end_with_input, name="watching the parent", daemon=True).start()


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not by the buffer, whose lock an ending interpreter wants
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_SECONDS)
    os._exit(1)


def end_soon() -> None:
    """Be gone within seconds, whatever still waits: for the handler of a signal that ends."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, _LAST_SECONDS)


def allow_files(wanted: int) -> str:
    """Let this process have as many connections as planned; return why not, empty when it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return ""
    if hard != resource.RLIM_INFINITY and hard < needed:
        return f"this account may have {hard} files open, too few for {wanted} connections: raise the limit (ulimit -n)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return ""
