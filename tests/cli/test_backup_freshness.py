"""`dbtui backup list --fail-on overdue`: the newest good backup against how old it may be."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dbtui.analysis.backups.freshness import assess_freshness, find_limit
from dbtui.config import load_settings
from dbtui.errors import ConfigError
from tests.cli.program import Ran, run
from tests.cli.samples import SqliteSample

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Lab:
    """A profile `erp` that was backed up as often as asked for, each backup as old as asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "live").mkdir()
        self.sample = SqliteSample(folder / "live" / "erp.db")
        self.sample.fill("text")
        self.backups = folder / "backups"

    def configure(self, top: str = "", profile: str = "") -> None:
        path = Path(os.environ["XDG_CONFIG_HOME"]) / "dbtui" / "config.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"""backup_dir = "{self.backups}"\n{top}
[profiles.erp]
url = "sqlite:///{self.sample.path}"
{profile}
""")

    def run(self, *words: object) -> Ran:
        return run("backup", *words, cwd=self.folder)

    def make(self, hours_old: float, **changes: Any) -> Path:
        """A backup that says that it was begun so long ago."""
        made = self.run("create", "erp", "--json").result
        path = Path(made["manifest_path"])
        manifest = json.loads(path.read_text())
        began = datetime.now(UTC) - timedelta(hours=hours_old)
        path.write_text(json.dumps({**manifest, "begin_time": began.isoformat(), **changes}))
        return Path(made["path"])


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def overdue(done: Ran) -> list[bool]:
    return [each["is_overdue"] for each in done.document["freshness"]]


def test_an_old_backup_is_told_and_found_when_asked_for(lab: Lab) -> None:
    lab.configure('max_backup_age = "26 h"')
    lab.make(30)
    told = lab.run("list")
    assert told.code == 0
    assert "overdue: erp: its newest good backup is 1 d 6 h old, max_backup_age allows 1 d 2 h" in told.stderr
    for words in (["list"], ["list", "erp"], ["list", "--dir", lab.backups]):
        done = lab.run(*words, "--fail-on", "overdue", "--json")
        assert done.code == 7
        assert overdue(done) == [True]
    lab.make(1)
    done = lab.run("list", "--fail-on", "overdue", "--json")
    assert (done.code, overdue(done)) == (0, [False])


def test_what_is_no_good_backup_does_not_count(lab: Lab) -> None:
    lab.configure('max_backup_age = "26 h"')
    assert lab.run("list", "--fail-on", "overdue").code == 7  # there is none
    lab.make(3, failed_at="2026-11-23T10:00:00+00:00")
    lab.make(2, schema_only=True)
    short = lab.make(1)
    short.write_bytes(short.read_bytes()[:-1])
    done = lab.run("list", "--fail-on", "overdue", "--json")
    assert done.code == 7
    assert done.document["freshness"][0]["reason"] == "it has no good backup"


def test_who_is_never_backed_up_is_overdue_only_when_that_is_said(lab: Lab) -> None:
    lab.configure("keep = { daily = 7 }")
    assert lab.run("list", "--fail-on", "overdue").code == 0
    lab.make(30)
    assert lab.run("list", "--fail-on", "overdue").code == 7
    assert lab.run("list", "--dir", lab.folder).stderr.count("overdue") == 0  # another place was asked for


def test_without_a_limit_nothing_is_overdue(lab: Lab) -> None:
    lab.configure('max_backup_age = "1 h"', 'max_backup_age = "none"')
    done = lab.run("list", "--fail-on", "overdue", "--json")
    assert (done.code, done.document["freshness"]) == (0, [])


# ---------------------------------------------------------------- judged


@pytest.mark.parametrize(
    ("top", "profile", "seconds"),
    [
        ('max_backup_age = "2 d"', "", 2 * 86400),
        ('max_backup_age = "2 d"', 'max_backup_age = "90 min"', 5400),
        ("keep = { daily = 7, weekly = 4 }", "", 95_040.0),
        ("keep = { weekly = 4 }", "", 7 * 86400 + 6 * 3600),
        ("keep = { last = 4 }", "", None),
        ("keep = { daily = 7 }", 'max_backup_age = "none"', None),
        ("", "", None),
    ],
)
def test_where_the_limit_comes_from(tmp_path: Path, top: str, profile: str, seconds: float | None) -> None:
    (tmp_path / "c.toml").write_text(f'{top}\n[profiles.erp]\nurl = "sqlite:///x.db"\n{profile}\n')
    limit = find_limit(load_settings({}, tmp_path / "c.toml").profiles[0])
    assert (None if limit is None else limit.seconds) == seconds


@pytest.mark.parametrize("text", ["26", "h", "0 h", "-1 h", "1.5 h", "1 month", "٣ h", "1000000 h"])
def test_what_is_no_age(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(f'max_backup_age = "{text}"\n')
    with pytest.raises(ConfigError, match=r"line 1: max_backup_age: .* is no age"):
        load_settings({}, tmp_path / "c.toml")


def test_a_backup_of_tomorrow_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('max_backup_age = "1 d"\n[profiles.erp]\nurl = "sqlite:///x.db"\n')
    profile = load_settings({}, tmp_path / "c.toml").profiles[0]
    later = assess_freshness(profile, ("erp-1", NOW + timedelta(days=1)), NOW)
    assert later is not None
    assert later.is_overdue
    assert "dated in the future" in later.reason
    soon = assess_freshness(profile, ("erp-1", NOW + timedelta(minutes=1)), NOW)
    assert soon is not None
    assert not soon.is_overdue
