"""What is proven of a backup, in words: `restored and equal, 2 h ago, 41 s`."""

from collections.abc import Iterator
from datetime import UTC, datetime

from dbtui.model.backups import BackupEntry, VerifyResult
from dbtui.model.proofs import Proof, ProofOutcome
from dbtui.model.text import format_count, format_duration, format_untrusted

_OUTCOMES = {
    ProofOutcome.EQUAL: "restored and equal",
    ProofOutcome.DIFFERENT: "not equal",
    ProofOutcome.UNPROVEN: "could not be tried here",
}

_ONE = {"indexes": "index", "tables checked": "table checked"}


def describe_proven(entry: BackupEntry, now: datetime) -> str:
    """Return what the last verification showed, when, and how long it took; empty when there was none."""
    if entry.failed_at:
        return f"failed its verification{_ago(entry.failed_at, now)}"
    if not entry.verified_at or not entry.proof:
        return ""
    what = "restored and equal" if entry.proof == "restored" else "checksums right"
    return f"{what}{_ago(entry.verified_at, now)}{_taken(entry.proof_seconds)}"


def describe_proof(proof: Proof, now: datetime) -> str:
    """Return what one try to restore has shown: `restored and equal, 2 h ago, 41 s, on a throwaway MariaDB 10.11`."""
    where = f", on {format_untrusted(proof.where, 120)}" if proof.where else ""
    return f"{_OUTCOMES[proof.outcome]}{_ago(proof.ended_at, now)}{_taken(proof.seconds)}{where}"


def count_of(count: int, kind: str) -> str:
    """Return `12 constraints`, `1 index`. `kind` is the plural, as Soundness has it."""
    number = format_count(count)
    return f"{number} {_ONE.get(kind, kind.removesuffix('s'))}" if count == 1 else f"{number} {kind}"


def describe_verification(found: VerifyResult) -> str:
    """Return the verdict of a verification in a line."""
    if not is_good(found):
        what = "DAMAGED" if found.proof == "checksums" else "NOT EQUAL" if found.tables_compared else "DAMAGED"
        return f"{found.backup_id}: {what}: {'; '.join(found.problems)}"
    files = f"{found.files_checked} file{'' if found.files_checked == 1 else 's'} checked"
    if found.proof != "restored":
        return "; ".join((f"{found.backup_id}: intact: {files}", *found.remarks))
    rows = f" with {count_of(found.rows_compared, 'rows')}" if found.rows_compared is not None else ""
    looked = "".join(f", {count_of(count, kind)}" for kind, count in found.checked if count)
    taken = format_duration(found.seconds) if found.seconds >= 1 else "under 1 s"
    tables = f"{count_of(found.tables_compared, 'tables')} compared{rows}"
    return f"{found.backup_id}: restored and equal: {files}, {tables}{looked}; on {found.where}, in {taken}"


def is_good(found: VerifyResult) -> bool:
    """Whether a verification found nothing wrong."""
    return not found.problems and not found.differences


def describe_details(proof: Proof) -> Iterator[str]:
    """Yield what was counted and looked at, how long each step took, and everything that was found."""
    rows = f" with {count_of(proof.rows, 'rows')}" if proof.rows is not None else ""
    looked = [count_of(proof.tables, "tables") + rows]
    looked += [count_of(count, kind) for kind, count in proof.checked.items() if count]
    yield ", ".join(format_untrusted(each, 60) for each in looked)
    if proof.steps:
        yield ", ".join(f"{format_untrusted(step, 30)} {seconds:.1f} s" for step, seconds in proof.steps.items())
    yield from (f"✖ {format_untrusted(each, 400)}" for each in proof.problems)
    yield from (f"▲ {format_untrusted(each, 400)}" for each in proof.remarks)


def _ago(moment: str, now: datetime) -> str:
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return ""
    seconds = (now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
    return ", just now" if seconds < 60 else f", {_age(seconds)} ago"


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 60)} min"


def _taken(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f", {format_duration(seconds)}" if seconds >= 1 else ", under 1 s"
