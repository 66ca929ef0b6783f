"""Which backup and which server a command means when it is not said."""

from pathlib import Path

import pytest

from tests.cli.conftest import NewSample
from tests.cli.program import run
from tests.cli.samples import Sample


@pytest.fixture
def app(new_sample: NewSample) -> Sample:
    return new_sample("sqlite", "app")


def configure(folder: Path, url: str) -> dict[str, str]:
    config = folder / "config.toml"
    config.write_text(f'[profiles.main]\nurl = "{url}"\nbackup_dir = "{folder}/far"\n')
    return {"DBTUI_CONFIG": str(config)}


def test_ids_are_looked_for_where_the_profiles_keep_their_backups(app: Sample, tmp_path: Path) -> None:
    environ = configure(tmp_path, app.url)
    path = Path(run("backup", "create", "main", cwd=tmp_path, **environ).stdout.strip())
    assert path.parent == tmp_path / "far"
    backup_id = path.stem
    assert (
        run("backup", "show", backup_id, "--json", cwd=tmp_path, **environ).document["backup"]["backup_id"] == backup_id
    )
    assert run("backup", "show", "app", cwd=tmp_path, **environ).code == 0
    assert run("backup", "show", backup_id, "--dir", "far", cwd=tmp_path).code == 0
    assert run("backup", "show", f"{path}.manifest.json", cwd=tmp_path).code == 0
    (listed,) = run("backup", "list", "--json", cwd=tmp_path, **environ).document["backups"]
    assert listed["backup_id"] == backup_id
    ran = run("backup", "show", backup_id, cwd=tmp_path)
    assert (ran.code, "dbtui backup list" in ran.sentence) == (2, True)


def test_the_beginning_of_two_ids_is_not_enough(app: Sample, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("backup", "create", app.url, cwd=tmp_path).code == 0
    ran = run("backup", "show", "app", cwd=tmp_path)
    assert (ran.code, "beginning of 2 backups" in ran.sentence) == (2, True)


def test_a_restore_goes_to_the_profile_else_database_url_else_asks(app: Sample, tmp_path: Path) -> None:
    environ = configure(tmp_path, app.url)
    path = run("backup", "create", "main", cwd=tmp_path, **environ).stdout.strip()
    (tmp_path / "elsewhere").mkdir()
    other = f"sqlite:///{tmp_path}/elsewhere/other.db"

    def destination(*words: str, **environ: str) -> str:
        ran = run("backup", "restore", path, "--dry-run", "--json", *words, cwd=tmp_path, **environ)
        assert ran.code == 0, ran.stderr
        name: str = ran.result["plan"]["profile"]
        return name

    assert destination(**environ) == "main"
    assert destination(**environ, DATABASE_URL=other) == "main"
    assert destination(DATABASE_URL=other) == "DATABASE_URL"
    assert destination("--to", other, **environ) == "other.db"
    ran = run("backup", "restore", path, cwd=tmp_path)
    assert ran.code == 2
    assert "its profile 'main' is not configured" in ran.sentence
    assert "--to TARGET" in ran.sentence
