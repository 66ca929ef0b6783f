"""`dbtui backup list|show|verify|restore` on a real stanza of pgBackRest."""

from pathlib import Path

from tests.cli.repository_runs import dbtui, flip_byte
from tests.fix_repositories import ROWS, ROWS_THEN, RepositoryWorld


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
    checked = dbtui(pgbackrest_world, tmp_path, "doctor", "erp", "--json").document
    (about,) = [each for each in checked["findings"] if each["area"] == "repository"]
    assert (about["level"], about["sentence"]) == ("ok", "2 backups")
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
    assert f"the tablespace cold goes to {place}.tablespaces/cold" in plan.stdout
    live = world.files_of(world.area / "cold")
    ran = dbtui(world, tmp_path, *words, "--yes", str(place))
    assert (ran.code, ran.stdout.strip()) == (0, str(place)), ran.stderr
    assert world.files_of(world.area / "cold") == live
    with world.started(place) as server:
        assert server.rows() == ROWS
        assert server.rows("SHOW archive_mode") == ["off"]
        assert server.rows("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'cold'") == [
            f"{place}.tablespaces/cold"
        ]


def test_as_of_a_time_between_two_rows(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    world, place = pgbackrest_world, pgbackrest_world.place()
    words = ("backup", "restore", world.name, "--into", place, "--yes", place.name)
    ran = dbtui(world, tmp_path, *words, "--target-time", world.moment, "--json")
    assert ran.code == 0, ran.stdout
    assert any(event["event"] == "progress" and event["done"] > 0 for event in ran.events)
    with world.started(place) as server:
        assert server.rows() == ROWS_THEN


def test_what_is_damaged_is_found(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    world = pgbackrest_world.copy()
    world.write_settings(tmp_path)
    full, reference = world.labels[0], world.reference()
    flip_byte(next((world.repository / "backup/main" / full / "pg_data").glob("base/*/1255.gz")))
    ran = dbtui(world, tmp_path, "backup", "verify", reference)
    assert ran.code == 7, ran.stderr
    assert "DAMAGED" in ran.stdout
    assert "checksum invalid: " in ran.stdout
    assert "✖ failed its verification" in dbtui(world, tmp_path, "backup", "list").stdout
    place = world.place()
    tried = dbtui(world, tmp_path, "backup", "restore", reference, "--into", place, "--yes", place.name)
    assert tried.code == 1
    assert "restore into" in tried.sentence
    assert not place.exists()


def test_a_gap_in_its_wal_is_found(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    world = pgbackrest_world.copy()
    world.write_settings(tmp_path)
    segments = sorted(world.repository.glob("archive/main/15-1/*/*-*.gz"))
    segments[-2].unlink()
    ran = dbtui(world, tmp_path, "backup", "verify", world.reference(0))
    assert ran.code == 7, ran.stdout
    assert f"WAL is missing between {segments[-3].name[:24]} and {segments[-1].name[:24]}" in ran.stdout
    place = world.place()
    plan = dbtui(world, tmp_path, "backup", "restore", world.reference(0), "--into", place, "--dry-run")
    assert plan.stdout.count("WAL is missing between") == 1


def test_what_is_there_is_never_written_over(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    world, place = pgbackrest_world, pgbackrest_world.place()
    words = ("backup", "restore", world.reference(0), "--into", place, "--yes", str(place))
    place.mkdir()
    (place / "letter").write_text("mine")
    ran = dbtui(world, tmp_path, *words)
    assert (ran.code, "is not empty (1 entries)" in ran.sentence) == (6, True)
    ran = dbtui(world, tmp_path, *words, "--replace")
    assert (ran.code, "no database cluster" in ran.sentence) == (6, True)
    ran = dbtui(world, tmp_path, *words, "--delta")
    assert (ran.code, "no database cluster" in ran.sentence) == (6, True)
    assert (place / "letter").read_text() == "mine"
    live = ("backup", "restore", world.name, "--into", world.server.data, "--yes", "data")
    for way in ((), ("--replace",), ("--delta",)):
        ran = dbtui(world, tmp_path, *live, *way)
        assert (ran.code, "a server runs in" in ran.sentence) == (6, True)
    assert world.server.execute("SELECT count(*) FROM notes") == [(len(ROWS),)]


def test_the_old_directory_is_kept_or_mended(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    world, place = pgbackrest_world, pgbackrest_world.place()
    words = ("backup", "restore", world.reference(0), "--into", place, "--yes", str(place))
    assert dbtui(world, tmp_path, *words).code == 0
    (place / "base" / "letter").write_text("old")
    ran = dbtui(world, tmp_path, *words, "--replace", "--json")
    assert ran.code == 0, ran.stdout
    kept = Path(ran.result["restore"]["kept_as"])
    assert kept.name.startswith(f"{place.name}.before-")
    assert (kept / "base" / "letter").read_text() == "old"
    assert not (place / "base" / "letter").exists()
    table = next(place.glob("base/*/1255"))
    good = table.read_bytes()
    flip_byte(table)
    live = world.files_of(world.area / "cold")
    ran = dbtui(world, tmp_path, *words, "--delta")
    assert ran.code == 0, ran.stderr
    assert table.read_bytes() == good
    assert world.files_of(world.area / "cold") == live
    with world.started(place) as server:
        assert server.rows() == ROWS
