"""Statements kept as JSON lines, as `dbtui queries inspect` reads them again."""

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from dbtui.errors import StorageError
from dbtui.model.queries import StatementEvent

_NAMES = tuple(name for name in StatementEvent._fields if name not in ("transaction", "is_truncated"))


class TraceFile:
    """A new file of statements, 0600; a context manager. Raises StorageError: it is there, or cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"{path} cannot be made: {error.strerror}", "name a file that is not there") from error
        self._file = os.fdopen(descriptor, "wb")
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def write(self, events: Iterable[StatementEvent]) -> None:
        """Append statements. Raises StorageError."""
        try:
            self._file.writelines(self._encode(_fields(event)) + b"\n" for event in events)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written: {error.strerror}", "is the disk full?") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _fields(event: StatementEvent) -> dict[str, Any]:
    """What is known of a statement. The scope of one that has none is its transaction."""
    fields = {name: value for name, value in zip(event._fields, event, strict=True) if name in _NAMES}
    fields["scope"] = event.scope or event.transaction
    return {name: value for name, value in fields.items() if value is not None and value != ""}
