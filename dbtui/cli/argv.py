"""A password typed in a URL on the command line is blotted out of this process's own argv, where `ps` shows it."""

import ctypes
import re
from pathlib import Path

_LOGIN = re.compile(rb"(?<=://)([^\0]*)(?=@)")
_PARAMETER = re.compile(rb"(?i)(?<=[?&])(passw(?:or)?d=)([^\0&]*)")


def mask_own_argv() -> None:
    """Overwrite passwords in this process's argument memory. Where the system does not tell where that is, do nothing.

    The fields are arg_start and arg_end of /proc/self/stat (proc(5)); only the kernel's own figures are trusted.
    """
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        begin, end = int(fields[45]), int(fields[46])
        shown = Path("/proc/self/cmdline").read_bytes()
    except (OSError, IndexError, ValueError):
        return
    if begin <= 0 or end - begin != len(shown) or ctypes.string_at(begin, end - begin) != shown:
        return
    masked = mask_logins(shown)
    if masked != shown:
        ctypes.memmove(begin, masked, len(masked))


def mask_logins(arguments: bytes) -> bytes:
    """Return argv bytes of the same length with every password in a URL as stars."""
    return _PARAMETER.sub(_stars_after_name, _LOGIN.sub(_stars_after_colon, arguments))


def _stars_after_colon(found: re.Match[bytes]) -> bytes:
    user, colon, password = found[1].partition(b":")
    return user + colon + b"*" * len(password)


def _stars_after_name(found: re.Match[bytes]) -> bytes:
    return found[1] + b"*" * len(found[2])
