"""What this machine is like: its terminal, its programs, the directories and files that dbtui uses."""

import curses
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from dbtui.adapters.disks import free_bytes
from dbtui.adapters.processes import tool_environment, tool_output
from dbtui.errors import ToolError
from dbtui.model.doctor import CredentialFile, DirectoryFacts, InstalledTool, TerminalFacts
from dbtui.model.pools import HostLoad

#: What is asked for each setting; the first is one that every tmux has. A pane may have a passthrough of its own.
_TMUX_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "set-clipboard": ("-sqv",),
    "escape-time": ("-sqv",),
    "allow-passthrough": ("-Aqv", "-p"),
}
_TMUX_SECONDS = 2.0
_PROGRAMS = {"zstd": "--version", "setpriv": "--version", "tmux": "-V"}


def collect_terminal(environ: Mapping[str, str]) -> TerminalFacts:
    """Look at the terminal that this process has, if it has one."""
    size = shutil.get_terminal_size()
    is_tmux = bool(environ.get("TMUX"))
    term = environ.get("TERM", "")
    version, settings = _ask_tmux(environ) if is_tmux else ("", ())
    return TerminalFacts(
        term=term,
        colorterm=environ.get("COLORTERM", ""),
        is_terminal=os.isatty(1),
        columns=size.columns,
        lines=size.lines,
        locale=next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), ""),
        no_color=bool(environ.get("NO_COLOR")),
        terminfo_colours=_ask_terminfo(term),
        ssh_client=(environ.get("SSH_CONNECTION") or environ.get("SSH_CLIENT") or "").partition(" ")[0],
        tmux_version=version,
        tmux_settings=settings,
        is_tmux=is_tmux,
        is_screen=not is_tmux and bool(environ.get("STY")),
    )


def _ask_terminfo(term: str) -> int | None:
    """The colours that this machine's terminal database tells of; None when it does not know the terminal."""
    if not term:
        return None
    try:
        with Path(os.devnull).open("wb") as nowhere:
            curses.setupterm(term, nowhere.fileno())
        return max(0, curses.tigetnum("colors"))
    except curses.error:
        return None


def _ask_tmux(environ: Mapping[str, str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """tmux's version and the settings that hold in this pane; what it does not have, or does not tell, is left out."""
    known = {name: environ[name] for name in ("TMUX", "TMUX_TMPDIR", "PATH") if name in environ}
    pane = ["-t", environ["TMUX_PANE"]] if environ.get("TMUX_PANE") else []
    settings = []
    for name, scope in _TMUX_SETTINGS.items():
        said = _run_tmux(["show-options", *scope, *(pane if "-p" in scope else ()), name], known)
        if said:
            settings.append((name, said))
        elif not settings:
            return "", ()  # it does not answer, and is not waited for again
    version = re.search(r"\d\S*", _run_tmux(["-V"], known))
    return version[0] if version else "", tuple(settings)


def _run_tmux(words: list[str], known: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            ["tmux", *words],
            env=tool_environment(known),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TMUX_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""  # an older tmux does not know the option, or the server is gone
    return done.stdout.decode("utf-8", "replace").strip()


def collect_programs() -> tuple[InstalledTool, ...]:
    """Find the programs that help, whatever the engine."""
    return tuple(_find_programs())


def _find_programs() -> Iterator[InstalledTool]:
    for name, option in _PROGRAMS.items():
        path = shutil.which(name)
        if path is None:
            continue
        try:
            version = re.search(r"\d+\.\d+[.\w]*", tool_output([path, option]))
        except ToolError:  # it is there, but does not tell
            version = None
        yield InstalledTool(name=name, path=path, version=version[0] if version else "")


def program_names() -> tuple[str, ...]:
    """Return the names of the programs that `collect_programs` looks for."""
    return tuple(_PROGRAMS)


def collect_directory(purpose: str, path: Path) -> DirectoryFacts:
    """Look at a directory that is, or will be, written to."""
    there, mode = path, _mode_of(path)
    exists = mode is not None
    while mode is None and there != there.parent:
        there = there.parent
        mode = _mode_of(there)
    return DirectoryFacts(
        purpose=purpose,
        path=str(path),
        exists=exists,
        is_writable=mode is not None and stat.S_ISDIR(mode) and os.access(there, os.W_OK | os.X_OK),
        is_open_to_others=exists and mode is not None and bool(mode & 0o077),
        free_bytes=free_bytes(path),
    )


def _mode_of(path: Path) -> int | None:
    """A path's mode; None when it is not there, or in a directory that this user may not enter."""
    try:
        return path.stat().st_mode
    except OSError:
        return None


def collect_credential_file(
    kind: str, path: Path, *, is_ignored_when_open: bool = False, secret_words: Iterable[str] = (), is_read: bool = True
) -> CredentialFile:
    """Look at a file that logins are read from. `secret_words`: it holds a secret only if a line begins with one."""
    try:
        status = path.stat()
    except OSError:
        return CredentialFile(kind=kind, path=str(path), exists=False)
    return CredentialFile(
        kind=kind,
        path=str(path),
        exists=True,
        mode=stat.S_IMODE(status.st_mode),
        is_ours=status.st_uid in (os.geteuid(), 0),
        holds_secret=_holds_secret(path, tuple(secret_words)),
        is_ignored_when_open=is_ignored_when_open,
        is_read=is_read,
    )


def _holds_secret(path: Path, words: tuple[str, ...]) -> bool:
    if not words:
        return True
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.strip().lower().startswith(words) for line in lines)


def collect_host() -> HostLoad:
    """Look at this machine's processors and memory, as the kernel counts them (proc(5))."""
    told = _read_proc("stat").partition("\n")[0].split()
    memory = dict(re.findall(r"(?m)^(MemTotal|MemAvailable):\s+(\d+) kB", _read_proc("meminfo")))
    return HostLoad(
        taken_at=datetime.now(UTC),
        monotonic_seconds=time.monotonic(),
        cores=os.cpu_count() or 1,
        load_1m=os.getloadavg()[0],
        busy_seconds_total=_busy_seconds(told),
        memory_available_bytes=int(memory["MemAvailable"]) * 1024 if "MemAvailable" in memory else None,
        memory_bytes=int(memory["MemTotal"]) * 1024 if "MemTotal" in memory else None,
    )


def _busy_seconds(told: list[str]) -> float | None:
    """User, nice, system, interrupts and what other guests of this hardware took; not idle and not iowait."""
    if len(told) < 9 or told[0] != "cpu":
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(each) for each in told[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _read_proc(name: str) -> str:
    try:
        return (Path("/proc") / name).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
