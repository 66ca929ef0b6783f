"""Hashing files in a thread, while their contents are looked at otherwise."""

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.driving import exhaust
from dbtui.adapters.streams import hash_file
from dbtui.errors import DbtuiError
from dbtui.model.backups import BackupFile


class HashingBeside:
    """Hashes files one after the other, each under its name. A context manager: leaving it ends the thread."""

    def __init__(self, files: Sequence[tuple[Path, str]]) -> None:
        self._files = files
        self._hashed: list[BackupFile] = []
        self._error: DbtuiError | None = None
        self._stopping = Cancellation()
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)
        self.done_bytes = 0

    def _run(self) -> None:
        try:
            for path, name in self._files:
                before = self.done_bytes
                found = exhaust(hash_file(path, name, self._stopping), partial(self._note, before))
                self._hashed.append(found)
                self._note(before, found.size_bytes)
        except DbtuiError as error:
            self._error = error

    def _note(self, before: int, done: int) -> None:
        self.done_bytes = before + done

    def wait_for(self, seconds: float) -> bool:
        """Wait at most `seconds` for the end; whether all are hashed. Raises StorageError."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    @property
    def hashed(self) -> tuple[BackupFile, ...]:
        """What was hashed so far, in the order given."""
        return tuple(self._hashed)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.request("no longer wanted")
        self._thread.join()
