"""dbtui backup expire, delete, pin and unpin of what lies in a remote, with the real program."""

import json
from pathlib import Path

import pytest

from tests.backup_histories import DAY, back_up, date_back, ids_in, make_file
from tests.cli.program import Ran, run


class There:
    """A remote with six backups, and a configuration that says how many stay there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder / "there"
        self.directory.mkdir(mode=0o700)
        self.profile = make_file(folder / "app.db")
        newest = back_up(self.profile, self.directory)
        self.ids = [newest, *date_back(self.directory, newest, [DAY * day for day in range(1, 6)])]
        self.remote = f"file://{self.directory}"

    def run(self, *words: object, config: str = "") -> Ran:
        path = self.folder / "config.toml"
        path.write_text(f'keep = {{ last = 5 }}\n[profiles.app]\nurl = "{self.profile.url}"\n{config}')
        path.chmod(0o600)
        return run("backup", *words, cwd=self.folder, DBTUI_CONFIG=str(path))


@pytest.fixture
def there(tmp_path: Path) -> There:
    return There(tmp_path)


def test_a_remote_has_a_keep_of_its_own(there: There) -> None:
    own = f'[remotes."{there.remote}"]\nkeep = {{ last = 2 }}\n'
    planned = there.run("expire", "app", "--dir", there.remote, "--dry-run", "--json", config=own)
    assert planned.code == 0, planned.stderr
    assert ids_in(there.directory) == set(there.ids)
    refused = there.run("expire", "app", "--dir", there.remote, config=own)
    assert refused.code == 6 and ids_in(there.directory) == set(there.ids)
    done = there.run("expire", "app", "--dir", there.remote, "--yes", "app", "--json", config=own)
    last = json.loads(done.stdout.splitlines()[-1])
    assert done.code == 0 and last["outcome"] == "succeeded"
    assert last["removed"] == list(reversed(there.ids[2:]))
    assert ids_in(there.directory) == set(there.ids[:2])


def test_without_one_as_many_stay_as_here(there: There) -> None:
    done = there.run("expire", "app", "--dir", there.remote, "--yes", "app")
    assert done.code == 0 and done.stdout.split() == [there.ids[5]]
    shown = there.run("expire", "app", "--dir", there.remote, "--keep-last", 1, "--simulate")
    assert shown.code == 0 and "1 year" in shown.stdout
    assert ids_in(there.directory) == set(there.ids[:5])


def test_a_policy_that_keeps_nothing_names_its_line(there: There) -> None:
    wrong = there.run("list", config=f'[remotes."{there.remote}"]\nkeep = {{ last = 0 }}\n')
    assert wrong.code == 2 and "line 5" in wrong.stderr and "no backup at all" in wrong.stderr


def test_pinned_and_deleted_there(there: There) -> None:
    backup = f"{there.remote}/{there.ids[3]}"
    assert there.run("pin", backup, "--reason", "audit").code == 0
    kept = there.run("delete", backup, "--yes", there.ids[3])
    assert kept.code == 6 and "pinned" in kept.stderr
    assert there.ids[3] in ids_in(there.directory)
    assert there.run("unpin", backup, "--yes", there.ids[3]).code == 0
    planned = there.run("delete", backup, "--dry-run")
    assert planned.code == 0 and there.ids[3] in ids_in(there.directory)
    assert there.run("delete", backup, "--yes", there.ids[3]).code == 0
    assert ids_in(there.directory) == {each for each in there.ids if each != there.ids[3]}
    assert not [path for path in there.directory.iterdir() if there.ids[3] in path.name]


def test_a_remote_that_is_not_reached(there: There) -> None:
    far = there.run("expire", "app", "--dir", "sftp://127.0.0.1:1/nowhere", "--keep-last", 1)
    assert far.code == 4 and "127.0.0.1" in far.stderr
