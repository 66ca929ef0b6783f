"""`dbtui backup list|show|verify|restore` on a real server of Barman's, streamed."""

from pathlib import Path

from tests.cli.repository_runs import dbtui, flip_byte
from tests.fix_repositories import ROWS, ROWS_THEN, RepositoryWorld


def test_its_backups_are_in_the_history(barman_world: RepositoryWorld, tmp_path: Path) -> None:
    (label,) = barman_world.labels
    found = dbtui(barman_world, tmp_path, "backup", "list", "--json").document["repositories"][0]
    (backup,) = found["backups"]
    assert (backup["kind"], backup["is_usable"], backup["server_version"][:2]) == ("full", True, "15")
    assert backup["database_bytes"] > 20_000_000
    assert {check["name"] for check in found["checks"]} >= {"wal level", "receive wal running"}
    shown = dbtui(barman_world, tmp_path, "backup", "show", barman_world.name)
    assert shown.code == 0, shown.stderr
    assert shown.stdout.splitlines()[0].split() == ["backup", f"barman:main/{label}"]
    assert f"WAL         {backup['wal_start']}" in shown.stdout


def test_it_is_verified_and_read(barman_world: RepositoryWorld, tmp_path: Path) -> None:
    reference = barman_world.reference()
    ran = dbtui(barman_world, tmp_path, "backup", "verify", reference, "--restore", "--json")
    assert ran.code == 0, ran.stdout
    found = ran.result["verification"]
    assert (found["databases"], found["tables"], found["rows"], found["problems"]) == (2, 1, 1, [])
    assert "the checksum and size of every file, by pg_verifybackup" in found["checked"]
    assert "● restored and read" in dbtui(barman_world, tmp_path, "backup", "list").stdout


def test_what_is_damaged_is_found(barman_world: RepositoryWorld, tmp_path: Path) -> None:
    world = barman_world.copy()
    world.write_settings(tmp_path)
    flip_byte(next(world.repository.glob("main/base/*/data/base/*/1255")))
    ran = dbtui(world, tmp_path, "backup", "verify", world.name)
    assert ran.code == 7, ran.stderr
    assert "checksum mismatch for file" in ran.stdout
    assert "✖ failed its verification" in dbtui(world, tmp_path, "backup", "list").stdout


def test_missing_wal_is_found(barman_world: RepositoryWorld, tmp_path: Path) -> None:
    world = barman_world.copy()
    world.write_settings(tmp_path)
    first = sorted(world.repository.glob("main/wals/*/*"))[0]
    first.unlink()
    place = world.place()
    refused = dbtui(world, tmp_path, "backup", "restore", world.name, "--into", place, "--yes", place.name)
    assert (refused.code, f"{first.name} is missing" in refused.sentence) == (6, True), refused


def test_it_is_restored_as_of_a_time_and_over_it(barman_world: RepositoryWorld, tmp_path: Path) -> None:
    world, place = barman_world, barman_world.place()
    words = ("backup", "restore", world.name, "--into", place, "--yes", place.name)
    live = world.files_of(world.area / "cold")
    ran = dbtui(world, tmp_path, *words, "--target-time", world.moment)
    assert (ran.code, ran.stdout.strip()) == (0, str(place)), ran.stderr
    assert world.files_of(world.area / "cold") == live
    with world.started(place) as server:
        assert server.rows() == ROWS_THEN
    refused = dbtui(world, tmp_path, *words, "--delta")
    assert (refused.code, "only pgBackRest restores in place" in refused.sentence) == (6, True)
    ran = dbtui(world, tmp_path, *words, "--replace", "--json")
    assert ran.code == 0, ran.stdout
    assert Path(ran.result["restore"]["kept_as"], "PG_VERSION").exists()
    with world.started(place) as server:
        assert server.rows() == ROWS
