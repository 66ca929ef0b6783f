"""Copying by the terminal's own escape sequence (OSC 52), which crosses SSH. Nobody answers: nothing claims success."""

import base64
from collections.abc import Mapping

#: Terminals and tmux drop longer ones silently.
MOST_BYTES = 74_000


def clipboard_sequence(text: str, environ: Mapping[str, str]) -> str:
    """Return the sequence that puts `text` into the terminal's clipboard.

    Inside tmux it is sent as it is: tmux takes it with `set-clipboard on`, and a passthrough wrapper would need
    `allow-passthrough`. GNU screen needs the wrapper, in pieces. Raises ValueError when the text is too long.
    """
    data = text.encode("utf-8", "replace")
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes are more than a terminal takes ({MOST_BYTES})")
    sequence = f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07"
    if environ.get("TERM", "").startswith("screen") and not environ.get("TMUX"):
        pieces = [sequence[at : at + 250] for at in range(0, len(sequence), 250)]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return sequence
