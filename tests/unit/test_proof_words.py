"""What is proven of a backup, in words, and what of a restored database is held against its backup."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dbtui.analysis.backups.proof import assess_soundness, shorten, sum_rows
from dbtui.analysis.backups.proof_words import (
    count_of,
    describe_details,
    describe_proof,
    describe_proven,
    describe_verification,
    is_good,
)
from dbtui.model.backups import BackupEntry, BackupTable, EntryKind, Flaw, VerifyResult
from dbtui.model.proofs import MOST_SENTENCES, Proof, ProofOutcome, Soundness

NOW = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)


def entry(**facts: Any) -> BackupEntry:
    return BackupEntry(
        backup_id="erp-1", kind=EntryKind.COMPLETE, directory="/b", data_path="/b/erp-1.sql", began_at=NOW, **facts
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, ""),
        (
            {"proof": "restored", "verified_at": "2026-11-23T14:30:00Z", "proof_seconds": 41.7},
            "restored and equal, 2 h ago, 41 s",
        ),
        ({"proof": "restored", "verified_at": "2026-11-23T16:59:30Z"}, "restored and equal, just now"),
        (
            {"proof": "checksums", "verified_at": "2026-11-20T14:30:00", "proof_seconds": 0.2},
            "checksums right, 3 d ago, under 1 s",
        ),
        ({"failed_at": "2026-11-23T16:30:00Z"}, "failed its verification, 30 min ago"),
        ({"proof": "restored", "verified_at": "no time"}, "restored and equal"),
    ],
)
def test_what_is_proven(facts: dict[str, Any], said: str) -> None:
    assert describe_proven(entry(**facts), NOW) == said


def test_counts() -> None:
    assert [count_of(1, "indexes"), count_of(1, "rows"), count_of(2000, "rows")] == ["1 index", "1 row", "2.0 k rows"]


def test_one_try() -> None:
    proof = Proof(
        outcome=ProofOutcome.UNPROVEN,
        began_at="2026-11-23T13:59:00Z",
        ended_at="2026-11-23T14:00:00Z",
        seconds=60,
        where="a throwaway PostgreSQL 15.18",
        tables=2,
        rows=1500,
        checked={"constraints": 3, "sequences": 0},
        steps={"load": 1.25},
        problems=("a\x1b[31m table is missing",),
        remarks=("the extension x is not here",),
    )
    said = "could not be tried here, 3 h ago, 1 min, on a throwaway PostgreSQL 15.18"
    assert describe_proof(proof, NOW) == said
    details = list(describe_details(proof))
    assert details[:2] == ["2 tables with 1.5 k rows, 3 constraints", "load 1.2 s"]
    assert details[2].startswith("✖ a")
    assert "\x1b" not in details[2]
    assert details[3] == "▲ the extension x is not here"


def test_flaws_without_a_record_of_the_database_are_remarks_unless_they_are_certain() -> None:
    found = Soundness((), (Flaw("constraint", "t.c", "is broken"), Flaw("table", "t", "is damaged", is_certain=True)))
    problems, remarks = assess_soundness(found, None)
    assert problems == ("table t is damaged",)
    assert remarks == ("constraint t.c is broken; whether it was so when the backup was made is not known",)


def test_sums_and_limits() -> None:
    assert sum_rows(()) is None
    assert sum_rows((BackupTable("s", "a", 2), BackupTable("s", "b", None), BackupTable("s", "c", 3))) == 5
    assert shorten(("a",)) == ("a",)
    assert shorten(tuple(map(str, range(MOST_SENTENCES + 2))))[-1] == "and 2 more"


@pytest.mark.parametrize(
    ("facts", "good", "said"),
    [
        ({"proof": "checksums"}, True, "erp-1: intact: 1 file checked"),
        ({"proof": "checksums", "problems": ("too short",)}, False, "erp-1: DAMAGED: too short"),
        ({"proof": "restored", "tables_compared": 2, "problems": ("a", "b")}, False, "erp-1: NOT EQUAL: a; b"),
        (
            {"proof": "restored", "tables_compared": 2, "rows_compared": 5, "where": "here", "seconds": 41.0},
            True,
            "erp-1: restored and equal: 1 file checked, 2 tables compared with 5 rows; on here, in 41 s",
        ),
    ],
)
def test_a_verdict_is_one_line_in_both_doors(facts: dict[str, Any], good: bool, said: str) -> None:
    found = VerifyResult(backup_id="erp-1", files_checked=1, **facts)
    assert (is_good(found), describe_verification(found)) == (good, said)
