"""`repository` of a profile in the configuration file."""

from pathlib import Path

import pytest

from dbtui.config import load_settings
from dbtui.errors import ConfigError
from dbtui.model.repositories import Repository, RepositoryKind


def load(tmp_path: Path, line: str, url: str = "postgresql://db1/erp") -> Repository | None:
    """The repository of the only profile."""
    path = tmp_path / "config.toml"
    path.write_text(f'[profiles.erp]\nurl = "{url}"\n{line}\n')
    return load_settings({}, path).profiles[0].repository


def test_a_name_alone_and_a_table(tmp_path: Path) -> None:
    assert load(tmp_path, "") is None
    assert load(tmp_path, 'repository = "pgbackrest:main"') == Repository(RepositoryKind.PGBACKREST, "main")
    table = 'repository = { name = "barman:erp-1", config = "/etc/b.conf", run_as = ["sudo", "-n", "-u", "barman"] }'
    wanted = Repository(RepositoryKind.BARMAN, "erp-1", "/etc/b.conf", ("sudo", "-n", "-u", "barman"))
    assert load(tmp_path, table) == wanted


@pytest.mark.parametrize(
    "line",
    [
        'repository = "wal-g:main"',
        'repository = "pgbackrest:"',
        'repository = "pgbackrest:--config=/x"',
        'repository = "main"',
        "repository = 3",
        'repository = { name = "barman:main", user = "barman" }',
        'repository = { config = "/etc/barman.conf" }',
        'repository = { name = "barman:main", config = "barman.conf" }',
        'repository = { name = "barman:main", run_as = ["-u", "barman"] }',
        'repository = { name = "barman:main", run_as = "sudo" }',
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml, line 3"):
        load(tmp_path, line)


def test_only_clusters_of_postgresql_have_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keep PostgreSQL alone"):
        load(tmp_path, 'repository = "barman:main"', "mysql://db1/shop")
