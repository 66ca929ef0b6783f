"""A file that holds a secret for a child tool: only this user can read it, and it is gone when this process is."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_file(text: str) -> Iterator[str]:
    """Yield the path of a 0600 file that holds `text`; it goes with the block.

    In memory, reached through this process, where the system can, so that not even SIGKILL leaves it behind; else in a
    temporary directory of mode 0700.
    """
    if hasattr(os, "memfd_create") and Path(f"/proc/{os.getpid()}/fd").is_dir():
        descriptor = os.memfd_create("dbtui", os.MFD_CLOEXEC)
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, text.encode())
            yield f"/proc/{os.getpid()}/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory(prefix="dbtui-") as directory:
        path = Path(directory) / "secret"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        yield str(path)
