"""Which profiles are a profile's replicas."""

from pathlib import Path

import pytest

from dbtui.config import load_settings
from dbtui.errors import ConfigError
from dbtui.replica_settings import find_replicas

TEXT = """
[profiles.erp]
url = "postgresql://erp@db1/erp"
replicas = [{}]

[profiles.erp-replica]
url = "postgresql://erp@db2/erp"

[profiles.shop]
url = "mysql://app@db3/shop"
"""


def find(folder: Path, names: str) -> list[str]:
    path = folder / "config.toml"
    path.write_text(TEXT.format(names), encoding="utf-8")
    settings = load_settings({"DBTUI_CONFIG": str(path)})
    return [each.name for each in find_replicas(settings.profiles[0], settings.profiles)]


def test_replicas_are_profiles(tmp_path: Path) -> None:
    assert find(tmp_path, '"erp-replica"') == ["erp-replica"]
    assert find(tmp_path, '"erp-replica", "erp-replica"') == ["erp-replica"]
    assert find(tmp_path, "") == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ('"erp-replca"', "no profile is called 'erp-replca'; did you mean erp-replica"),
        ('"nowhere"', "no profile is called 'nowhere'; write"),
        ('"erp"', "it names itself"),
        ('"shop"', "'shop' is mysql, and this one postgresql"),
    ],
)
def test_what_is_no_replica_is_said(tmp_path: Path, names: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find(tmp_path, names)
