"""`dbtui backup list|show|verify|restore` on a real stanza of pgBackRest."""

from pathlib import Path

from tests.cli.program import Ran, run
from tests.fix_repositories import ROWS, ROWS_THEN, RepositoryWorld


def dbtui(world: RepositoryWorld, directory: Path, *words: object, **options: str) -> Ran:
    """Run a command with a profile `erp` that names the repository."""
    config = directory / "config.toml"
    if not config.exists():
        world.write_settings(directory)
    return run(*words, cwd=directory, DBTUI_CONFIG=str(config), COLUMNS="200", **options)


def test_its_backups_are_in_the_history(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    full, incr = pgbackrest_world.labels
    listed = dbtui(pgbackrest_world, tmp_path, "backup", "list", "erp")
    assert listed.code == 0, listed.stderr
    rows = [line.split() for line in listed.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == [f"pgbackrest:main/{incr}", f"pgbackrest:main/{full}"]
    assert "incr" in rows[0]
    assert "full" in rows[1]
    found = dbtui(pgbackrest_world, tmp_path, "backup", "list", "--json").document["repositories"][0]
    assert (found["problem"], found["status_code"], found["findings"]) == ("", 0, [])
    assert [each["needs"] for each in found["backups"]] == [[full], []]
    assert all(each["database_bytes"] > each["repository_bytes"] > 0 for each in found["backups"])
    shown = dbtui(pgbackrest_world, tmp_path, "backup", "show", pgbackrest_world.reference())
    assert shown.code == 0, shown.stderr
    assert f"needs       {full}" in shown.stdout
    assert "databases   postgres" in shown.stdout
    elsewhere = dbtui(pgbackrest_world, tmp_path, "backup", "list", "erp", "--dir", tmp_path)
    assert full not in elsewhere.stdout


def test_it_is_verified_and_read(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    reference = pgbackrest_world.reference()
    ran = dbtui(pgbackrest_world, tmp_path, "backup", "verify", reference)
    assert (ran.code, f"{reference}: intact" in ran.stdout) == (0, True), ran
    assert "not looked at: whether a server starts from it" in ran.stderr
    assert "● checksums right" in dbtui(pgbackrest_world, tmp_path, "backup", "list").stdout
    ran = dbtui(pgbackrest_world, tmp_path, "backup", "verify", reference, "--restore", "--json")
    assert ran.code == 0, ran.stdout
    found = ran.result["verification"]
    assert (found["databases"], found["tables"], found["rows"], found["problems"]) == (2, 1, 1, [])
    assert {"checksums", "restore", "recovery", "read", "remove"} <= set(found["steps"])
    assert "● restored and read" in dbtui(pgbackrest_world, tmp_path, "backup", "list").stdout


def test_it_is_restored_and_started(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    world, place = pgbackrest_world, pgbackrest_world.place()
    words = ("backup", "restore", world.name, "--into", place)
    plan = dbtui(world, tmp_path, *words, "--dry-run")
    assert plan.code == 0, plan.stderr
    assert f"--set={world.labels[-1]} --pg1-path={place}" in plan.stdout
    refused = dbtui(world, tmp_path, *words)
    assert (refused.code, place.exists()) == (6, False)
    ran = dbtui(world, tmp_path, *words, "--yes", str(place))
    assert (ran.code, ran.stdout.strip()) == (0, str(place)), ran.stderr
    with world.started(place) as server:
        assert server.rows() == ROWS
        assert server.rows("SHOW archive_mode") == ["off"]


def test_as_of_a_time_between_two_rows(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    world, place = pgbackrest_world, pgbackrest_world.place()
    words = ("backup", "restore", world.name, "--into", place, "--yes", place.name)
    ran = dbtui(world, tmp_path, *words, "--target-time", world.moment, "--json")
    assert ran.code == 0, ran.stdout
    assert any(event["event"] == "progress" and event["done"] > 0 for event in ran.events)
    with world.started(place) as server:
        assert server.rows() == ROWS_THEN
