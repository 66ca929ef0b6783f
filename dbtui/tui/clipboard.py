"""Copying by the terminal's own escape sequence (OSC 52), which crosses SSH. Nobody answers: nothing claims success."""

import base64

from dbtui.model.doctor import CopyRoute, CopyWay
from dbtui.model.text import format_untrusted

#: Terminals and tmux drop longer ones silently.
MOST_BYTES = 74_000
#: GNU screen drops longer pieces (its MAXSTR was 256 for long), in characters.
_SCREEN_PIECE = 250


def clipboard_sequence(text: str, way: CopyWay) -> str:
    """Return the sequence that puts `text` into the terminal's clipboard by this way.

    Raises ValueError, with what to do, when the text is too long or would be dropped on the way.
    """
    data = printable_text(text).encode("utf-8", "replace")
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes are more than a terminal takes ({MOST_BYTES})")
    sequence = f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07"
    match way.route:
        case CopyRoute.PLAIN:
            return sequence
        case CopyRoute.TMUX:
            return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
        case CopyRoute.SCREEN:
            return _in_pieces(sequence)
        case CopyRoute.PLAIN_AND_SCREEN:
            return sequence + _in_pieces(sequence)
        case CopyRoute.NONE:
            raise ValueError(f"{way.sentence}: {way.remedy}")


def _in_pieces(sequence: str) -> str:
    pieces = [sequence[at : at + _SCREEN_PIECE] for at in range(0, len(sequence), _SCREEN_PIECE)]
    return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)


def printable_text(text: str) -> str:
    """Return `text` with its lines and tabs, and without characters that do something where it is pasted."""
    return "\n".join("\t".join(format_untrusted(part) for part in line.split("\t")) for line in text.splitlines())
