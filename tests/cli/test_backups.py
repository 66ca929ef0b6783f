"""Backing up, looking inside, verifying, restoring and deleting with the real program on all three engines."""

import json
import stat
from pathlib import Path

import pytest

from dbtui.config import load_settings, resolve_target
from dbtui.jobs import held_lock
from dbtui.routines.backups import create_lock
from tests.cli.program import Ran, run
from tests.cli.samples import ORDERS, USERS, Sample


def backup(sample: Sample, folder: Path, *words: str) -> Ran:
    """Back up a sample with its URL in DATABASE_URL."""
    ran = run("backup", "create", *words, cwd=folder, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    return ran


def counts(tables: "list[dict[str, object]]") -> dict[object, object]:
    return {table["name"]: table["rows"] for table in tables}


def test_create_prints_the_path_and_writes_a_manifest(sample: Sample, tmp_path: Path) -> None:
    ran = backup(sample, tmp_path)
    path = Path(ran.stdout.removesuffix("\n"))
    assert path.parent == tmp_path / "backups"
    assert path.name.startswith(f"{sample.name}-")
    assert path.name.endswith(f"Z{sample.suffix}")
    manifest_path = path.with_name(f"{path.name}.manifest.json")
    assert {each.name for each in path.parent.iterdir()} == {path.name, manifest_path.name}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    manifest = json.loads(manifest_path.read_text())
    assert (manifest["engine"], manifest["database"], manifest["profile"]) == (
        sample.engine,
        sample.name,
        "DATABASE_URL",
    )
    assert counts(manifest["tables"]) == {"users": USERS, "orders": ORDERS}
    if sample.password:
        assert sample.password not in ran.stderr + ran.stdout + manifest_path.read_text()


def test_create_in_json(sample: Sample, tmp_path: Path) -> None:
    ran = backup(sample, tmp_path, "--json", "--dir", "elsewhere")
    assert ran.stderr == ""
    result = ran.result
    assert (result["outcome"], result["exit_code"]) == ("succeeded", 0)
    assert Path(result["path"]).parent == tmp_path / "elsewhere"
    assert counts(result["manifest"]["tables"]) == {"users": USERS, "orders": ORDERS}
    assert "step_started" in {event["event"] for event in ran.events}


def test_a_dry_run_changes_nothing(sample: Sample, tmp_path: Path) -> None:
    ran = backup(sample, tmp_path, "--dry-run")
    assert "back up" in ran.stdout
    assert not (tmp_path / "backups").exists()
    plan = backup(sample, tmp_path, "--dry-run", "--json").result
    assert plan["dry_run"] is True
    assert plan["plan"]["refusals"] == []
    assert not (tmp_path / "backups").exists()


def test_list_show_and_the_first_rows(sample: Sample, tmp_path: Path) -> None:
    backup(sample, tmp_path)
    (tmp_path / "backups" / "stranger.sql").write_text("SELECT 1;\n")
    (tmp_path / "backups" / "broken.sql.manifest.json").write_text("{")
    listed = run("backup", "list", "--json", cwd=tmp_path).document["backups"]
    assert {entry["kind"] for entry in listed} == {"complete", "foreign", "broken"}
    (entry,) = [entry for entry in listed if entry["kind"] == "complete"]
    assert (entry["tables"], entry["rows"]) == (2, USERS + ORDERS)
    text = run("backup", "list", cwd=tmp_path).stdout
    assert len(text.splitlines()) == 4
    assert "not proven" in text
    only = run("backup", "list", sample.url, "--json", cwd=tmp_path).document["backups"]
    assert [each["backup_id"] for each in only] == [entry["backup_id"]]

    shown = run("backup", "show", entry["backup_id"], "--json", cwd=tmp_path).document
    assert counts(shown["contents"]["tables"]) == {"users": USERS, "orders": ORDERS}
    assert shown["manifest"]["backup_id"] == entry["backup_id"]
    text = run("backup", "show", entry["backup_id"][:-5], cwd=tmp_path).stdout
    assert "users" in text
    assert "1.2 k" in text

    ran = run("backup", "show", entry["data_path"], "--table", "users", "--rows", "3", "--json", cwd=tmp_path)
    document = ran.document
    assert "CREATE TABLE" in document["definition"]
    assert document["sample"]["columns"] == ["id", "name"]
    assert [row[0] for row in document["sample"]["rows"]] == ["1", "2", "3"]
    assert document["sample"]["more"] is True
    text = run("backup", "show", entry["backup_id"], "--table", "users", "--rows", "3", cwd=tmp_path).stdout
    assert "CREATE TABLE" in text
    ran = run("backup", "show", entry["backup_id"], "--table", "nosuch", cwd=tmp_path)
    assert (ran.code, "has no table 'nosuch'" in ran.sentence) == (2, True)


def test_verify_by_checksums_and_by_restoring(sample: Sample, tmp_path: Path) -> None:
    path = Path(backup(sample, tmp_path).stdout.strip())
    before = sample.databases()
    manifest = path.with_name(f"{path.name}.manifest.json").read_text()
    plan = run("backup", "verify", path, "--restore", "--to", sample.url, "--dry-run", cwd=tmp_path)
    assert (plan.code, "scratch database" in plan.stdout) == (0, True)
    assert path.with_name(f"{path.name}.manifest.json").read_text() == manifest
    ran = run("backup", "verify", path, cwd=tmp_path)
    assert (ran.code, "intact" in ran.stdout) == (0, True), ran
    ran = run("backup", "verify", path, "--restore", "--to", sample.url, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.stderr + ran.stdout
    assert ran.result["verification"]["proof"] == "restored"
    assert ran.result["verification"]["tables_compared"] == 2
    assert sample.databases() == before
    (entry,) = run("backup", "list", "--json", cwd=tmp_path).document["backups"]
    assert entry["proof"] == "restored"
    assert entry["verified_at"]


def test_verify_finds_a_flipped_bit(sample: Sample, tmp_path: Path) -> None:
    path = Path(backup(sample, tmp_path).stdout.strip())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    ran = run("backup", "verify", path, cwd=tmp_path)
    assert (ran.code, "DAMAGED" in ran.stdout) == (7, True), ran
    ran = run("backup", "verify", path, "--json", cwd=tmp_path)
    assert (ran.code, ran.result["outcome"]) == (7, "failed")


def test_restore_into_a_new_database(sample: Sample, tmp_path: Path) -> None:
    path = backup(sample, tmp_path).stdout.strip()
    before = sample.databases()
    ran = run("backup", "restore", path, cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    database = ran.stdout.removesuffix("\n")
    assert sample.databases() == before | {database}
    assert sample.rows(database) == sample.rows()
    ran = run(
        "backup", "restore", path, "--into", f"{sample.name}_new", "--json", cwd=tmp_path, DATABASE_URL=sample.url
    )
    assert ran.result["outcome"] == "succeeded"
    assert sample.rows(ran.result["restore"]["database"]) == sample.rows()


def test_restore_of_chosen_tables(sample: Sample, tmp_path: Path) -> None:
    path = backup(sample, tmp_path).stdout.strip()
    words = ["backup", "restore", path, "--table", "users", "--into", f"{sample.name}_part"]
    ran = run(*words, cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    database = ran.stdout.removesuffix("\n")
    assert sample.execute("SELECT count(*) FROM users", database) == [(USERS,)]
    with pytest.raises(Exception, match=r"(?i)orders"):
        sample.execute("SELECT count(*) FROM orders", database)


def test_replace_wants_the_name_and_keeps_the_old_database(sample: Sample, tmp_path: Path) -> None:
    path = backup(sample, tmp_path).stdout.strip()
    saved = sample.rows()
    sample.execute("DELETE FROM orders")
    changed = sample.rows()
    before = sample.databases()

    def restore(*words: str) -> Ran:
        return run("backup", "restore", path, "--replace", *words, cwd=tmp_path, DATABASE_URL=sample.url)

    plan = restore("--dry-run", "--json").result["plan"]
    assert plan["replaces"] is True
    for words in ((), ("--yes", "something else"), ("--json",)):
        ran = restore(*words)
        assert ran.code == 6
        assert "--yes" in ran.sentence
        assert (sample.rows(), sample.databases()) == (changed, before)
    name = plan["confirm_name"]
    ran = restore("--yes", name, "--json")
    assert ran.code == 0, ran.stderr
    assert sample.rows() == saved
    (kept,) = sample.databases() - before
    sample.open_kept(kept)
    assert sample.execute("SELECT count(*) FROM users", kept) == [(USERS,)]
    assert ran.result["restore"]["kept_as"].endswith(kept.rpartition("/")[2])
    assert ran.result["restore"]["undo"]


def test_production_wants_two_names(sample: Sample, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.main]\nurl = "{sample.url}"\nenvironment = "production"\n')
    config.chmod(0o600)
    environ = {"DBTUI_CONFIG": str(config)}
    path = run("backup", "create", "main", cwd=tmp_path, **environ).stdout.strip()
    saved = sample.rows()
    sample.execute("DELETE FROM orders")
    words = ["backup", "restore", path, "--replace"]
    name = run(*words, "--dry-run", "--json", cwd=tmp_path, **environ).result["plan"]["confirm_name"]
    ran = run(*words, "--yes", name, cwd=tmp_path, **environ)
    assert (ran.code, "PRODUCTION" in ran.sentence, "--yes main" in ran.sentence) == (6, True, True)
    ran = run(*words, "--yes", name, "--yes", "main", cwd=tmp_path, **environ)
    assert ran.code == 0, ran.stderr
    assert sample.rows() == saved


def test_delete_wants_the_id(sample: Sample, tmp_path: Path) -> None:
    path = Path(backup(sample, tmp_path).stdout.strip())
    backup_id = path.name.removesuffix(sample.suffix)
    assert run("backup", "delete", backup_id, "--dry-run", cwd=tmp_path).code == 0
    ran = run("backup", "delete", backup_id, cwd=tmp_path)
    assert (ran.code, f"--yes {backup_id}" in ran.sentence) == (6, True)
    assert path.exists()
    ran = run("backup", "delete", backup_id, "--yes", backup_id, "--json", cwd=tmp_path)
    assert (ran.code, ran.result["backup_id"]) == (0, backup_id)
    assert list(path.parent.iterdir()) == []


def test_one_backup_of_a_database_at_a_time(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    from dbtui.config import state_dir

    monkeypatch.chdir(tmp_path)
    import os

    environ = {**os.environ, "DATABASE_URL": sample.url}
    profile = resolve_target(load_settings(environ), None, environ)
    with held_lock(state_dir(environ) / "locks", create_lock(profile)):
        ran = run("backup", "create", "--json", cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 5
    assert "already running" in ran.sentence
    assert ran.result["error_kind"] == "LockedError"
    assert not (tmp_path / "backups").exists() or not list((tmp_path / "backups").iterdir())


def test_connections_say_who_is_there(sample: Sample, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[profiles.gone]\nurl = "postgresql://u@127.0.0.1:1/x"\n')
    ran = run("connections", "--json", cwd=tmp_path, DATABASE_URL=sample.url, DBTUI_CONFIG=str(config))
    gone, here = ran.document["connections"]
    assert (gone["reachable"], here["reachable"]) == (False, True)
    assert gone["problem"]
    assert here["info"]["version"]
    assert (here["name"], here["size_bytes"] > 0) == ("DATABASE_URL", True)
    assert not sample.password or sample.password not in ran.stdout + ran.stderr
    text = run("connections", cwd=tmp_path, DATABASE_URL=sample.url, DBTUI_CONFIG=str(config)).stdout
    assert "● reachable" in text
    assert "✖ " in text
