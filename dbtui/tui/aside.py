"""Text beside the UI, where the terminal's own selection works: in a file, or plainly on the whole screen."""

import asyncio
import os
import re
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from rich.cells import cell_len

from dbtui.tui.clipboard import printable_text

EXPORTS = "exports"
_ANSWER = re.compile(rb"\x1b\[\d+;\d+R|\x1b\[\?[\d;]+\$y")
_CLEAN = "\x1b[?1049h\x1b[2J\x1b[H\x1b[?25l"
_BACK = "\x1b[?25h\x1b[?1049l"


def write_export(text: str, state_dir: Path, now: datetime | None = None) -> Path:
    """Write text to a new file that only its owner may read, and return its path. Raises OSError."""
    directory = state_dir / EXPORTS
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    stem = f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    for number in range(1, 1000):
        path = directory / (f"{stem}.txt" if number == 1 else f"{stem}-{number}.txt")
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text if text.endswith("\n") else f"{text}\n")
            return path
    raise FileExistsError(f"{directory} holds a thousand exports of this second")


def pages_of(text: str, columns: int, rows: int) -> list[list[str]]:
    """Return the lines of each screen; a line that the terminal breaks itself stays one line when it is selected."""
    pages: list[list[str]] = [[]]
    room = rows - 1
    for line in printable_text(text).expandtabs(4).splitlines() or [""]:
        needed = max(1, -(-cell_len(line) // max(1, columns)))
        if needed > room and pages[-1]:
            pages.append([])
            room = rows - 1
        pages[-1].append(line)
        room -= needed
    return pages


async def show_plainly(text: str, terminal: int, keyboard: int = 0) -> None:
    """Show text on a screen with nothing else until a key is pressed. The UI must have given the terminal back."""
    size = os.get_terminal_size(terminal)
    pages = pages_of(text, size.columns, size.lines)
    before = termios.tcgetattr(keyboard)
    try:
        tty.setraw(keyboard)
        for number, lines in enumerate(pages, 1):
            hint = "any key returns" if number == len(pages) else f"page {number} of {len(pages)}: any key goes on, q"
            _write(terminal, [*lines, f"\x1b[{size.lines};1H\x1b[2m-- {hint} --\x1b[0m"])
            if await _key(keyboard) in (b"q", b"\x1b", b"\x03"):
                break
    finally:
        _write(terminal, [], _BACK)
        termios.tcsetattr(keyboard, termios.TCSANOW, before)


def _write(terminal: int, lines: Sequence[str], begin: str = _CLEAN) -> None:
    data = (begin + "\r\n".join(lines)).encode("utf-8", "replace")
    while data:
        data = data[os.write(terminal, data) :]


async def _key(keyboard: int) -> bytes:
    """Wait for a key; late answers of the terminal are none."""
    loop = asyncio.get_running_loop()
    pressed: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        try:
            data = _ANSWER.sub(b"", os.read(keyboard, 1024))
        except OSError:
            data = b"q"  # the terminal is gone
        if data and not pressed.done():
            pressed.set_result(data)

    loop.add_reader(keyboard, read)
    try:
        return await pressed
    finally:
        loop.remove_reader(keyboard)
