"""`dbtui backup expire|pin|unpin` with the real program: plan, confirmation, exit codes, history, configuration."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbtui.routines.backups.holding import held_directory, held_for_reading
from dbtui.routines.backups.store import pending_backup
from tests.backup_histories import DAY, back_up, date_back, ids_in, make_file
from tests.cli.program import Ran, run

KEEP = ("--keep-last", "2", "--keep-weekly", "2")


@pytest.fixture
def ids(tmp_path: Path) -> list[str]:
    """A backup of today and of each of ten days before, newest first."""
    newest = back_up(make_file(tmp_path / "app.sqlite"), tmp_path / "backups")
    return [newest, *date_back(tmp_path / "backups", newest, [DAY * each for each in range(1, 11)])]


@pytest.fixture
def expire(tmp_path: Path, ids: list[str]) -> Callable[..., Ran]:
    """Run it for the file's backups."""

    def run_it(*words: str, **environ: str) -> Ran:
        assert ids
        return run("backup", "expire", *words, cwd=tmp_path,
                   **{"DATABASE_URL": f"sqlite:///{tmp_path}/app.sqlite", **environ})  # fmt: skip

    return run_it


def test_a_dry_run_says_what_and_why_and_removes_nothing(
    expire: Callable[..., Ran], tmp_path: Path, ids: list[str]
) -> None:
    ran = expire(*KEEP, "--dry-run")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith("this removes ")
    assert f"keep     {ids[0]}" in ran.stdout
    assert "last 1 of 2; weekly" in ran.stdout
    assert f"remove   {ids[10]}" in ran.stdout
    assert ids_in(tmp_path / "backups") == set(ids)


def test_it_wants_the_databases_name(expire: Callable[..., Ran], tmp_path: Path, ids: list[str]) -> None:
    """Without it nothing happens; with it exactly the ids of the plan go, a line of the history for each."""
    planned = expire(*KEEP, "--dry-run", "--json").result["plan"]
    refused = expire(*KEEP)
    assert refused.code == 6
    assert "to confirm pass --yes app" in refused.sentence
    assert ids_in(tmp_path / "backups") == set(ids)
    done = expire(*KEEP, "--yes", "app")
    assert done.code == 0, done.stderr
    assert done.stdout.split() == planned["remove"]
    assert ids_in(tmp_path / "backups") == set(planned["keep"])
    assert set(planned["keep"]) | set(planned["remove"]) == set(ids)
    past = json.loads(run("history", "--json", cwd=tmp_path).stdout)["history"]
    subjects = {each["subject"] for each in past if each["routine"] == "backup expire"}
    assert set(planned["remove"]) <= subjects
    again = expire(*KEEP)
    assert again.code == 0
    assert again.stdout == ""
    assert "nothing to remove" in again.stderr


def test_in_json(expire: Callable[..., Ran], ids: list[str]) -> None:
    result = expire("--keep-last", "8", "--yes", "app", "--json").result
    assert (result["outcome"], result["exit_code"], result["kept"]) == ("succeeded", 0, 8)
    assert result["removed"] == list(reversed(ids[8:]))
    assert result["freed_bytes"] > 0


def test_a_policy_that_keeps_nothing_is_refused(expire: Callable[..., Ran], tmp_path: Path, ids: list[str]) -> None:
    none, nought = expire("--yes", "app"), expire("--keep-last", "0", "--yes", "app")
    assert (none.code, nought.code) == (2, 2)
    assert "no policy says how many backups to keep" in none.sentence
    assert "keep no backup at all" in nought.sentence
    assert expire("--keep-last", "1", "--time-zone", "Mars/Olympus", "--yes", "app").code == 2
    assert expire("--count", "restored", "--yes", "app").code == 2
    assert ids_in(tmp_path / "backups") == set(ids)


def test_a_clock_that_jumped_is_refused(expire: Callable[..., Ran], tmp_path: Path, ids: list[str]) -> None:
    """A backup of tomorrow: exit code 6, and it is named; pinned, it is no matter."""
    (tomorrow,) = date_back(tmp_path / "backups", ids[0], [-DAY])
    for words in (("--yes", "app"), ("--dry-run",), ("--trust-clock", "--yes", "app"), ("--simulate",)):
        ran = expire(*KEEP, *words)
        assert ran.code == 6, words
        assert tomorrow in ran.stderr + ran.stdout
    assert ids_in(tmp_path / "backups") == {*ids, tomorrow}
    assert run("backup", "pin", tomorrow, cwd=tmp_path).code == 0
    assert expire(*KEEP, "--yes", "app").code == 0
    assert tomorrow in ids_in(tmp_path / "backups")


def test_a_long_silence_is_refused_until_it_is_said_to_be_real(
    expire: Callable[..., Ran], tmp_path: Path, ids: list[str]
) -> None:
    """Two years between the newest one and its elders."""
    directory = tmp_path / "backups"
    for each in ids[1:]:
        (directory / f"{each}.sqlite").unlink()
        (directory / f"{each}.sqlite.manifest.json").unlink()
    date_back(directory, ids[0], [DAY * each for each in range(730, 740)])
    refused = expire("--keep-last", "1", "--yes", "app")
    assert refused.code == 6
    assert "the clock may have jumped" in refused.sentence
    assert expire("--keep-last", "1", "--trust-clock", "--yes", "app").code == 0
    assert ids_in(directory) == {ids[0]}


def test_one_that_is_being_restored_is_locked(expire: Callable[..., Ran], tmp_path: Path, ids: list[str]) -> None:
    directory = tmp_path / "backups"
    with held_for_reading(directory / f"{ids[10]}.sqlite.manifest.json"):
        locked = expire(*KEEP, "--yes", "app")
    assert locked.code == 5
    assert "is held by a restore" in locked.sentence
    assert ids_in(directory) == set(ids)


def test_another_run_of_it_and_a_backup_being_made_lock_it(
    expire: Callable[..., Ran], tmp_path: Path, ids: list[str]
) -> None:
    """Whoever runs them: the kernel tells by the files."""
    directory = tmp_path / "backups"
    with held_directory(directory):
        other = expire(*KEEP, "--yes", "app")
    making = f"app-{datetime.now(UTC) + DAY:%Y%m%dT%H%M%SZ}"
    with pending_backup(directory, making, ".sqlite", lambda: making):
        busy = expire(*KEEP, "--yes", "app")
    assert (other.code, busy.code) == (5, 5)
    assert "another dbtui backup expire is at work" in other.sentence
    assert f"the backup {making} is being made" in busy.sentence
    assert ids_in(directory) == set(ids)


def test_pinned_ones_stay_and_say_why(expire: Callable[..., Ran], tmp_path: Path, ids: list[str]) -> None:
    pinned = run("backup", "pin", ids[10], "--reason", "before the migration", cwd=tmp_path)
    assert (pinned.code, pinned.stdout) == (0, f"{ids[10]}\n")
    assert "pinned" in run("backup", "list", cwd=tmp_path).stdout
    assert "before the migration" in run("backup", "show", ids[10], cwd=tmp_path).stdout
    deleted = run("backup", "delete", ids[10], "--yes", ids[10], cwd=tmp_path)
    assert deleted.code == 6
    assert "before the migration" in deleted.sentence
    assert expire("--keep-last", "1", "--yes", "app").code == 0
    assert ids_in(tmp_path / "backups") == {ids[0], ids[10]}
    assert run("backup", "unpin", ids[10], cwd=tmp_path).code == 6
    assert run("backup", "unpin", ids[10], "--yes", ids[10], cwd=tmp_path).code == 0
    assert expire("--keep-last", "1", "--yes", "app").code == 0
    assert ids_in(tmp_path / "backups") == {ids[0]}


def test_the_year_ahead(expire: Callable[..., Ran], tmp_path: Path, ids: list[str]) -> None:
    ran = expire("--keep-daily", "5", "--keep-monthly", "6", "--simulate")
    assert ran.code == 0, ran.stderr
    for words in ("what survives when: app", "a backup every 1 d (as lately)", "today", "expired", "1 week", "1 year"):
        assert words in ran.stdout
    assert f"{ids[9]}  goes at once" in ran.stdout
    years = expire("--keep-daily", "5", "--simulate", "--json").result["simulation"]
    assert [point["kept"] for point in years[0]["points"]][:3] == [11, 5, 5]
    assert ids_in(tmp_path / "backups") == set(ids)


def test_the_configuration_says_how_many(expire: Callable[..., Ran], tmp_path: Path, ids: list[str]) -> None:
    """A profile's own words, those of the file for others; production wants its name as well."""
    path = tmp_path / "config.toml"
    path.write_text(f"""keep = {{ last = 9 }}

[profiles.app]
url = "sqlite:///{tmp_path}/app.sqlite"
environment = "production"
keep = {{ daily = 3, time_zone = "Europe/Paris" }}
""")
    environ = {"DBTUI_CONFIG": str(path)}
    directory = tmp_path / "backups"
    for manifest in directory.glob("*.manifest.json"):
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "profile": "app"}))
    refused = expire("app", "--dir", str(directory), **environ)
    assert refused.code == 6
    assert "--yes app" in refused.sentence
    done = expire("app", "--dir", str(directory), "--yes", "app", **environ)
    assert done.code == 0, done.stderr
    assert ids_in(directory) == set(ids[:3])
    path.write_text("keep = { last = 0 }\n")
    wrong = expire("--dir", str(directory), **environ)
    assert wrong.code == 2
    assert "line 1: keep: it would keep no backup at all" in wrong.sentence
    path.write_text("keep = { dayly = 7 }\n")
    assert "did you mean daily" in expire("--dir", str(directory), **environ).sentence


def test_without_a_target_every_database_is_judged_by_itself(
    expire: Callable[..., Ran], tmp_path: Path, ids: list[str]
) -> None:
    directory = tmp_path / "backups"
    elsewhere = {"database": "shop", "url": "sqlite:////srv/shop.sqlite"}
    shop = date_back(directory, ids[0], [timedelta(hours=each) for each in (1, 2, 3)], **elsewhere)
    refused = expire("--dir", str(directory), "--keep-last", "1", "--yes", "app", DATABASE_URL="")
    assert refused.code == 6
    assert "--yes shop" in refused.sentence
    done = expire("--dir", str(directory), "--keep-last", "1", "--yes", "app", "--yes", "shop", DATABASE_URL="")
    assert done.code == 0, done.stderr
    assert ids_in(directory) == {ids[0], shop[0]}


def test_it_can_be_scheduled(tmp_path: Path) -> None:
    printed = run("schedule", "backup", "expire", "app", *KEEP, "--yes", "app", cwd=tmp_path)
    assert printed.code == 0
    assert "backup expire app --keep-last 2 --keep-weekly 2 --yes app" in printed.stdout
    assert "warning" not in printed.stderr
    assert "without --yes NAME" in run("schedule", "backup", "expire", "app", cwd=tmp_path).stderr
    assert run("schedule", "backup", "expire", "--keep-last", "many", cwd=tmp_path).code == 2
