"""`dbtui backup verify --restore` on a throwaway server, with the real program on all three engines."""

import json
import os
from pathlib import Path

from tests.cli.program import run
from tests.cli.samples import ORDERS, USERS, Sample


def backup(sample: Sample, directory: Path, *words: str) -> Path:
    """Make a backup and return where its data is."""
    made = run("backup", "create", *words, cwd=directory, DATABASE_URL=sample.url)
    assert made.code == 0, made.stderr
    return directory / made.stdout.strip()


def test_a_backup_is_proven_on_a_server_of_its_own(sample: Sample, tmp_path: Path) -> None:
    path = backup(sample, tmp_path)
    before = sample.databases()
    places = tmp_path / "t"
    places.mkdir(mode=0o711)
    plan = run("backup", "verify", "latest", "--restore", "--dry-run", cwd=tmp_path)
    assert (plan.code, "throwaway" in plan.stdout) == (0, True), plan
    ran = run("backup", "verify", "latest", "--throwaway", "--json", cwd=tmp_path)
    assert ran.code == 0, ran.stderr + ran.stdout
    found = ran.result["verification"]
    assert (found["proof"], found["tables_compared"], found["rows_compared"]) == ("restored", 2, USERS + ORDERS)
    assert found["where"].startswith("a throwaway ")
    assert sample.databases() == before
    kept = path.with_name(f"{path.name}.proofs.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    (proof,) = json.loads(kept.read_text())["proofs"]
    assert (proof["outcome"], proof["rows"], proof["problems"]) == ("equal", USERS + ORDERS, [])
    assert {"load", "count rows", "check", "remove"} <= set(proof["steps"])
    assert os.listdir(places) == []
