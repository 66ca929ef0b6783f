"""Judging what was restored: what is a fault of the backup, what was so before, what only this machine lacks."""

from dbtui.model.backups import BackupTable, Flaw, Manifest
from dbtui.model.proofs import MOST_SENTENCES, Soundness
from dbtui.model.text import format_untrusted


def assess_soundness(found: Soundness, manifest: Manifest | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return problems and remarks. A flaw that the dumped database had is no fault of its backup.

    Where it is not known whether it had it (no manifest, one of an older dbtui, an engine that does not tell), only
    what no sound database has is a problem.
    """
    known = None if manifest is None or manifest.flaws is None else {(each.kind, each.name) for each in manifest.flaws}
    problems, remarks = [], []
    for flaw in found.flaws:
        said = _sentence(flaw)
        if _is_expected(flaw, manifest):
            continue
        if known is not None and (flaw.kind, flaw.name) in known:
            remarks.append(f"{said}; it was so when the backup was made")
        elif flaw.is_certain or known is not None:
            problems.append(said)
        else:
            remarks.append(f"{said}; whether it was so when the backup was made is not known")
    return tuple(problems), tuple(remarks)


def _is_expected(flaw: Flaw, manifest: Manifest | None) -> bool:
    """A dump without rows fills no view."""
    return manifest is not None and manifest.schema_only and flaw.kind == "materialised view"


def _sentence(flaw: Flaw) -> str:
    return f"{flaw.kind} {format_untrusted(flaw.name, 200)} {format_untrusted(flaw.text, 300)}"


def sum_rows(tables: tuple[BackupTable, ...]) -> int | None:
    """Return how many rows were counted; None when nothing was."""
    counts = [table.rows for table in tables if table.rows is not None]
    return sum(counts) if counts else None


def shorten(sentences: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many sentences as a proof keeps, and how many there were more."""
    if len(sentences) <= MOST_SENTENCES:
        return sentences
    return (*sentences[:MOST_SENTENCES], f"and {len(sentences) - MOST_SENTENCES} more")
