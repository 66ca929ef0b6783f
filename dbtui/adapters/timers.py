"""What systemd says of this user's timers: when each runs next. Asked only where systemd answers.

systemctl(1), "show": one block for each unit, in the order asked; `--timestamp=unix` writes times as `@seconds`.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dbtui.model.text import format_untrusted

_SECONDS = 5.0
_ORDER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class TimerStatus:
    """One timer, as systemd knows it."""

    is_active: bool
    next_run_at: datetime | None


def collect_timers(names: Sequence[str], environ: Mapping[str, str]) -> dict[str, TimerStatus]:
    """Return what systemd says of timers; empty when there is no systemd, or it does not answer within five seconds."""
    argv = ["systemctl", "--user", "show", "--timestamp=unix", "-p", "Id", "-p", "ActiveState",
            "-p", "NextElapseUSecRealtime", "--", *(f"{name}.timer" for name in names)]  # fmt: skip
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              env={**environ, "LC_ALL": "C"}, timeout=_SECONDS, check=False)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if done.returncode:
        return {}
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines()) for block in done.stdout.split("\n\n"))
    return {
        block["Id"].removesuffix(".timer"): TimerStatus(
            block.get("ActiveState") == "active", _parse_time(block.get("NextElapseUSecRealtime", ""))
        )
        for block in blocks
        if "Id" in block
    }


def order_systemd(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """Run a systemctl command; return what it complained of, empty when it did what it was told."""
    try:
        done = subprocess.run(list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              env={**environ, "LC_ALL": "C"}, timeout=_ORDER_SECONDS, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it did not end within {_ORDER_SECONDS:.0f} s"
    except OSError as error:
        return f"it cannot be run: {error.strerror}"
    return (format_untrusted(done.stderr.strip(), 300) or f"exit code {done.returncode}") if done.returncode else ""


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(text.removeprefix("@")), UTC) if text.startswith("@") else None
    except (ValueError, OverflowError, OSError):
        return None
