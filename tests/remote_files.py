"""Files to send to remotes, and routines run to their end."""

import hashlib
from pathlib import Path
from typing import TypeVar

from dbtui.model.backups import BackupFile
from dbtui.model.events import Progressed, Routine

ResultT = TypeVar("ResultT")
MEBIBYTE = 1 << 20


def run(routine: Routine[ResultT]) -> tuple[list[int], ResultT]:
    """Exhaust a routine; return the bytes it told of, and its result."""
    told: list[int] = []
    while True:
        try:
            event = next(routine)
        except StopIteration as end:
            result: ResultT = end.value
            return told, result
        assert isinstance(event, Progressed)
        told.append(event.done)


def write_file(path: Path, size: int, seed: bytes = b"x") -> BackupFile:
    """Write a file whose every MiB is different."""
    block = hashlib.sha256(seed).digest() * 32768
    hashed = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, MEBIBYTE):
            data = (start.to_bytes(8, "big") + block[8:])[: min(MEBIBYTE, size - start)]
            file.write(data)
            hashed.update(data)
    return BackupFile(path.name, size, hashed.hexdigest())
