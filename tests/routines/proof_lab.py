"""Backups whose data is altered and whose manifest is altered to fit, as if the dump had been made so."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dbtui.config import parse_url
from dbtui.model.backups import BackupEntry, BackupFormat, CreateResult, DumpOptions, VerifyResult
from dbtui.model.events import Event
from dbtui.model.proofs import Proof, ThrowawayPlan
from dbtui.routines.backups import create_backup, find_backup, plan_proof, read_proofs, verify_backup
from dbtui.routines.context import RoutineContext
from tests.routines.fake_engine import drive


def make_backup(url: str, directory: Path, backup_format: BackupFormat = BackupFormat.PLAIN) -> BackupEntry:
    """Back up a database."""
    made: CreateResult = drive(
        create_backup(RoutineContext(), parse_url(url, "lab", "test"), directory, DumpOptions(format=backup_format))
    )
    return find_backup(directory, made.manifest.backup_id)


def alter(entry: BackupEntry, change: Callable[[str], str], **facts: Any) -> None:
    """Change the text of a plain dump, and its manifest so that the checksums are right; `facts` go in there too."""
    data = Path(entry.data_path)
    before = data.read_text()
    after = change(before)
    assert after != before or facts, "nothing was altered"
    data.write_text(after)
    path = data.with_name(f"{data.name}.manifest.json")
    manifest = json.loads(path.read_text())
    manifest["files"][0] |= {"size_bytes": data.stat().st_size, "sha256": hashlib.sha256(data.read_bytes()).hexdigest()}
    manifest |= {"size_bytes": data.stat().st_size, "uncompressed_bytes": data.stat().st_size, **facts}
    path.write_text(json.dumps(manifest))


def manifest_of(entry: BackupEntry) -> dict[str, Any]:
    """The manifest as it is on the disk."""
    document: dict[str, Any] = json.loads(Path(entry.data_path + ".manifest.json").read_text())
    return document


def prove(entry: BackupEntry, events: list[Event] | None = None) -> tuple[VerifyResult, tuple[Proof, ...]]:
    """Prove a backup on a throwaway server; return what was found and the evidence that is kept."""
    c = RoutineContext()
    plan: ThrowawayPlan = drive(plan_proof(c, entry))
    routine = verify_backup(c, entry, plan)
    seen = events if events is not None else []
    while True:
        try:
            seen.append(next(routine))
        except StopIteration as end:
            found: VerifyResult = end.value
            return found, read_proofs(entry)


def without_lines(*starts: str) -> Callable[[str], str]:
    """A change that leaves out the lines that begin so."""

    def change(text: str) -> str:
        return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(tuple(starts)))

    return change


def names_in(directory: Path) -> Sequence[str]:
    """What is in a directory."""
    return sorted(path.name for path in directory.iterdir())
