"""Copying by the terminal's own escape sequence (OSC 52), which crosses SSH. Nobody answers: nothing claims success."""

import asyncio
import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass

from dbtui.model.text import format_untrusted

#: Terminals and tmux drop longer ones silently.
MOST_BYTES = 74_000
_ASK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TmuxSettings:
    """What decides whether tmux lets a copy through. Empty: this tmux has no such option (before 3.3 all passes)."""

    set_clipboard: str = ""
    allow_passthrough: str = ""


def clipboard_sequence(text: str, environ: Mapping[str, str], tmux: TmuxSettings | None = None) -> str:
    """Return the sequence that puts `text` into the terminal's clipboard; `tmux`: its settings, if it has been asked.

    tmux takes it as it is with `set-clipboard on`, and wrapped with `allow-passthrough`. GNU screen needs it wrapped,
    in pieces. Raises ValueError, with what to do, when the text is too long or would be dropped on the way.
    """
    data = printable_text(text).encode("utf-8", "replace")
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes are more than a terminal takes ({MOST_BYTES}); Y writes it to a file")
    sequence = f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07"
    term = environ.get("TERM", "")
    if environ.get("TMUX"):
        return _through_tmux(sequence, tmux)
    if term == "linux":
        raise ValueError("the Linux console has no clipboard; Y writes it to a file, or shows it plainly")
    if term.startswith("screen"):
        pieces = [sequence[at : at + 250] for at in range(0, len(sequence), 250)]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return sequence


def _through_tmux(sequence: str, tmux: TmuxSettings | None) -> str:
    if tmux is None or tmux.set_clipboard == "on":
        return sequence
    if tmux.allow_passthrough in ("", "on", "all"):
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    raise ValueError(
        f"tmux would drop it (set-clipboard {tmux.set_clipboard or 'off'}, allow-passthrough {tmux.allow_passthrough}):"
        " run `tmux set -s set-clipboard on`; Y writes it to a file, or shows it plainly"
    )


def printable_text(text: str) -> str:
    """Return `text` with its lines and tabs, and without characters that do something where it is pasted."""
    return "\n".join("\t".join(format_untrusted(part) for part in line.split("\t")) for line in text.splitlines())


async def ask_tmux(environ: Mapping[str, str]) -> TmuxSettings | None:
    """Ask the tmux around us for its settings. None: there is none, or it does not answer."""
    if not environ.get("TMUX"):
        return None
    pane = ("-t", environ["TMUX_PANE"]) if environ.get("TMUX_PANE") else ()
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            clipboard = await _output_of("tmux", "show-options", "-sqv", "set-clipboard")
            passthrough = await _output_of("tmux", "show-options", "-Apqv", *pane, "allow-passthrough")
    except (OSError, TimeoutError):
        return None
    return None if clipboard is None else TmuxSettings(clipboard, passthrough or "")


async def _output_of(*argv: str) -> str | None:
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    program = await asyncio.create_subprocess_exec(*argv, stdin=null, stdout=pipe, stderr=null, env=dict(os.environ))
    output, _ = await program.communicate()
    return None if program.returncode else output.decode(errors="replace").strip()
