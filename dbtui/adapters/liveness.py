"""Whether a process that was written down runs still: its number alone may be another's by now."""

from contextlib import suppress
from pathlib import Path


def format_process(number: int, proc: Path = Path("/proc")) -> str:
    """Return what tells a process of this machine from any other: its number, when it began, and the machine's boot."""
    return f"{number} {_start_of(number, proc)} {_boot_of(proc)}"


def is_alive(process: str, proc: Path = Path("/proc")) -> bool:
    """Whether the process that `format_process` told of still runs here."""
    number = process.split(" ")[0]
    return number.isdecimal() and bool(_start_of(int(number), proc)) and format_process(int(number), proc) == process


def _start_of(number: int, proc: Path) -> str:
    """When a process began, in ticks since the boot (proc(5), /proc/pid/stat, field 22); empty: there is none."""
    with suppress(OSError, IndexError):
        return (proc / str(number) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    return ""


def _boot_of(proc: Path) -> str:
    with suppress(OSError):
        return (proc / "sys" / "kernel" / "random" / "boot_id").read_text("ascii", "replace").strip()
    return ""
