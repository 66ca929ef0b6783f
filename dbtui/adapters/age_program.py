"""Encrypts or decrypts standard input to standard output in the format of age, as a process of its own.

pyrage holds Python's lock while it works: in our own process it would keep whatever dumps, packs, hashes and reads
waiting; here it keeps nobody. Started by its path with `python -I`, it imports the standard library and pyrage alone.

Arguments: `encrypt` or `decrypt`, the descriptor with the keys (recipients, or files of identities), and the directory
that pyrage is in. Keys never stand in arguments or in the environment, and no error repeats them.
"""

import os
import signal
import sys
from collections.abc import Sequence
from io import BufferedReader, BufferedWriter, FileIO
from typing import Any

NO_KEY, DAMAGED, FAILED = 10, 11, 12
#: Between the contents of several identity files.
SEPARATOR = "\0"
_BUFFER_BYTES = 1 << 18
_NO_KEY_WORDS = "No matching keys"


def parse_recipients(lines: Sequence[str]) -> list[Any]:
    """Return what pyrage encrypts to. Raises pyrage.RecipientError."""
    import pyrage

    return [
        pyrage.ssh.Recipient.from_str(line) if line.startswith("ssh-") else pyrage.x25519.Recipient.from_str(line)
        for line in lines
    ]


def parse_identities(text: str) -> list[Any]:
    """Return what pyrage decrypts with: the keys of identity files of age or SSH. Raises pyrage.IdentityError."""
    import pyrage

    found = []
    for content in text.split(SEPARATOR):
        if content.lstrip().startswith("-----BEGIN"):
            found.append(pyrage.ssh.Identity.from_buffer(content.encode()))
            continue
        lines = (line.strip() for line in content.splitlines())
        found += [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    return found


def run(verb: str, keys: str) -> int:
    """Encrypt or decrypt everything; return the exit code."""
    import pyrage

    source = BufferedReader(FileIO(0, "rb", closefd=False), _BUFFER_BYTES)
    sink = BufferedWriter(FileIO(1, "wb", closefd=False), _BUFFER_BYTES)
    try:
        if verb == "encrypt":
            pyrage.encrypt_io(source, sink, parse_recipients(keys.splitlines()))
        else:
            pyrage.decrypt_io(source, sink, parse_identities(keys))
        sink.flush()
    except BrokenPipeError:
        return FAILED
    except (pyrage.DecryptError, pyrage.EncryptError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        if verb == "encrypt":
            return FAILED
        return NO_KEY if _NO_KEY_WORDS in str(error) else DAMAGED
    return 0


def main(arguments: Sequence[str]) -> int:
    """Read the keys and do the work. Returns the exit code."""
    verb, descriptor, directory = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; who started this decides
    sys.path.append(directory)
    with os.fdopen(int(descriptor), encoding="utf-8") as file:
        keys = file.read()
    return run(verb, keys)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # What a failed writer still holds must not be tried once more by its end.
    os._exit(code)
