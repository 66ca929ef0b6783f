"""`dbtui backup verify --restore` on a throwaway server, with the real program on all three engines."""

import json
from pathlib import Path

from tests.cli.conftest import NewSample
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
    text = run("backup", "list", cwd=tmp_path, COLUMNS="200").stdout
    assert "● restored and equal, just now" in text
    text = run("backup", "show", "latest", cwd=tmp_path).stdout
    assert "restored and equal, just now" in text
    assert f"on {found['where']}" in text
    assert "2 tables with 1.5 k rows" in text
    shown = run("backup", "show", "latest", "--json", cwd=tmp_path).document
    assert shown["proofs"] == [proof]
    assert shown["backup"]["proof_seconds"] == shown["manifest"]["proof_seconds"]


def test_a_backup_that_is_not_what_its_manifest_says(sample: Sample, tmp_path: Path) -> None:
    path = backup(sample, tmp_path)
    manifest = path.with_name(f"{path.name}.manifest.json")
    document = json.loads(manifest.read_text())
    document["tables"][0]["rows"] += 1
    manifest.write_text(json.dumps(document))
    ran = run("backup", "verify", path, "--restore", cwd=tmp_path)
    assert (ran.code, "NOT EQUAL" in ran.stdout) == (7, True), ran
    assert "✖ failed its verification, just now" in run("backup", "list", cwd=tmp_path, COLUMNS="200").stdout
    assert "not equal, just now" in run("backup", "show", path, cwd=tmp_path).stdout
    ran = run("backup", "verify", path, cwd=tmp_path)
    assert ran.code == 0, ran.stderr


def test_the_newest_backup_of_a_profile(sample: Sample, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.main]\nurl = "{sample.url}"\nbackup_dir = "{tmp_path}/far"\n')
    environ = {"DBTUI_CONFIG": str(config)}
    ran = run("backup", "verify", "latest:main", cwd=tmp_path, **environ)
    assert (ran.code, "there is no whole backup of" in ran.sentence) == (2, True)
    made = [run("backup", "create", "main", cwd=tmp_path, **environ).stdout.strip() for _ in range(2)]
    plan = run("backup", "verify", "latest:main", "--restore", "--dry-run", "--json", cwd=tmp_path, **environ).result
    assert Path(made[1]).stem == plan["backup_id"]
    ran = run("backup", "verify", f"latest:{sample.url}", cwd=tmp_path, **environ)
    assert (ran.code, "wants a profile's name" in ran.sentence) == (2, True)
    assert not sample.password or sample.password not in ran.stderr
    ran = run("schedule", "backup", "verify", "latest:main", "--restore", cwd=tmp_path, **environ)
    assert (ran.code, "backup verify latest:main --restore" in ran.stdout) == (0, True), ran.stderr


def test_words_that_do_not_go_together(sample: Sample, tmp_path: Path) -> None:
    path = backup(sample, tmp_path)
    ran = run("backup", "verify", path, "--throwaway", "--to", sample.url, cwd=tmp_path)
    assert (ran.code, "leave one of them out" in ran.sentence) == (2, True)


def test_what_cannot_be_tried_here_is_no_fault_of_the_backup(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("postgresql")
    path = backup(sample, tmp_path, "--format", "custom")
    manifest = path.with_name(f"{path.name}.manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"extensions": ["nosuch"]}))
    ran = run("backup", "verify", path, "--restore", cwd=tmp_path)
    assert (ran.code, "says nothing against the backup" in ran.sentence) == (6, True), ran
    assert "○ not proven" in run("backup", "list", cwd=tmp_path, COLUMNS="200").stdout
    text = run("backup", "show", path, cwd=tmp_path).stdout
    assert "could not be tried here, just now" in text
    assert "the server lacks the extension nosuch" in text
