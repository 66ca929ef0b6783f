"""The journal of what was done to a partitioned table: JSON lines, written before and after every step.

A run that was killed leaves its beginning without an end; the next run says so. Nothing is replayed from it: what is
there is always asked of the server, and planned anew.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbtui.adapters.streams import storage_errors
from dbtui.errors import StorageError
from dbtui.model.partitions import PartitionPlan, PartitionStep, StepResult

VERSION = 1
#: Where journals are, below the state directory.
JOURNALS = "partitions"
_LONGEST_BYTES = 4_000_000
_TAIL_BYTES = 400_000


@dataclass(frozen=True, slots=True)
class UnendedRun:
    """A run that wrote no end. `step`: what it was at, as the journal has it; empty: between two steps.

    `is_running`: a process of that number is there, so that it may still be at work.
    """

    began: str
    process: int
    step: str = ""
    is_running: bool = False

    def __str__(self) -> str:
        where = f"while it was at: {self.step}" if self.step else "between two steps"
        if self.is_running:
            at = f", now at: {self.step}" if self.step else ""
            return f"process {self.process} has been applying a plan since {self.began}{at}"
        return f"the run that process {self.process} began at {self.began} ended without a word, {where}"


@dataclass(frozen=True, slots=True)
class ArchiveProof:
    """A table that was archived and proven: the backup that holds it, where, and its rows."""

    backup_id: str
    directory: str
    rows: int


@dataclass
class PartitionJournal:
    """One table's journal. `subject` names table, database and server; `now` is the clock (UTC)."""

    directory: Path
    subject: str
    now: Callable[[], datetime]
    run: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}")

    @property
    def path(self) -> Path:
        """Where it is written."""
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", self.subject)[:80]
        digest = hashlib.sha256(self.subject.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return self.directory / f"{stem}-{digest}.jsonl"

    def begin(self, plan: PartitionPlan) -> None:
        """Write that a run begins. Raises StorageError."""
        with storage_errors(self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.exists() and self.path.stat().st_size > _LONGEST_BYTES:
                self.path.replace(self.path.with_suffix(".jsonl.1"))
        self._write("began", subject=self.subject, process=os.getpid(), steps=len(plan.steps))

    def begin_step(self, number: int, step: PartitionStep, words: str) -> None:
        """Write what is about to be done, before it is."""
        self._write("step", number=number, kind=step.kind.value, partition=str(step.partition), words=words,
                    sql=list(step.sql), identity=step.identity)  # fmt: skip

    def end_step(self, number: int, result: StepResult) -> None:
        """Write what became of a step."""
        self._write("done", number=number, outcome=result.outcome.value, seconds=round(result.seconds, 3),
                    tries=result.tries, detail=result.detail, archive=result.archive)  # fmt: skip

    def note_archive(self, step: PartitionStep, proof: ArchiveProof) -> None:
        """Write that a table's rows are proven to be in a backup."""
        self._write("archived", partition=str(step.partition), identity=step.identity, archive=proof.backup_id,
                    directory=proof.directory, rows=proof.rows)  # fmt: skip

    def end(self, outcome: str, left: int | None = None) -> None:
        """Write that the run ended, and how."""
        self._write("ended", outcome=outcome, left=left)

    def find_unended(self) -> UnendedRun | None:
        """Return the last run if it wrote no end. Raises StorageError."""
        found: UnendedRun | None = None
        for entry in self._read():
            event = entry.get("event")
            if found is None and event in ("step", "done"):  # it began further back than was read
                found = _run_of(entry)
            if event == "began":
                found = UnendedRun(str(entry.get("at", "")), int(entry.get("process", 0)))
            elif event == "ended":
                found = None
            elif found is not None and event in ("step", "done"):
                step = str(entry.get("words", "")) if event == "step" else ""
                found = UnendedRun(found.began, found.process, step)
        return found

    def find_archive(self, step: PartitionStep) -> ArchiveProof | None:
        """Return the proof that this very table was archived, if one was written. Raises StorageError."""
        for entry in reversed(self._read()):
            is_it = entry.get("partition") == str(step.partition) and entry.get("identity") == step.identity
            if entry.get("event") == "archived" and is_it:
                return ArchiveProof(str(entry["archive"]), str(entry["directory"]), int(entry["rows"]))
        return None

    def _write(self, event: str, **fields: Any) -> None:
        entry = {"version": VERSION, "run": self.run, "at": f"{self.now():%Y-%m-%dT%H:%M:%SZ}", "event": event}
        line = json.dumps({**entry, **fields}) + "\n"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with storage_errors(self.path):
            descriptor = os.open(self.path, flags, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # a full disk cut the line before it
                os.write(descriptor, b"\n" * is_torn + line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _read(self) -> list[Mapping[str, Any]]:
        """The last entries; a line that a crash cut in the middle is left out."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - _TAIL_BYTES))
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"the journal {self.path} cannot be read: {error.strerror}") from error
        return [entry for line in lines if isinstance(entry := _parse_line(line), dict)]


def _run_of(entry: Mapping[str, Any]) -> UnendedRun:
    """Return the run that an entry is of, by its name: when it began, and its process."""
    began, _, process = str(entry.get("run", "")).rpartition("-")
    is_known = process.isdecimal() and len(began) == len("20261122T150000Z")
    return UnendedRun(
        f"{began[:4]}-{began[4:6]}-{began[6:11]}:{began[11:13]}:{began[13:]}" if is_known else str(entry.get("at", "")),
        int(process) if is_known else 0,
    )


def _parse_line(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
