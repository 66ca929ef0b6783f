"""What the configuration says of remotes, and what is wrong with it, with the line."""

from pathlib import Path

import pytest

from dbtui.config import Passwords, Settings, load_settings, resolve_target
from dbtui.errors import ConfigError
from dbtui.model.connections import Secret
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteSettings
from dbtui.remote_settings import RemoteAccess

EXAMPLE = """
remote = "s3://backups"

[profiles.erp]
url = "postgresql://dba@db1/erp"
remote = "s3://backups/erp/"

[profiles.shop]
url = "mysql://dba@db2/shop"

[remotes."s3://backups"]
endpoint = "https://minio.example.org:9000"
region = "eu-west-1"
path_style = true
access_key_id = "KEYID"
secret_env = "BUCKET_SECRET"
storage_class = "STANDARD_IA"

[remotes."s3://backups/erp"]
endpoint = "https://other.example.org"

[remotes."sftp://dba@vault"]
identity_file = "~/.ssh/backup"
timeout_seconds = 5
"""


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load_settings({}, path)


def settings_of(settings: Settings, address: str, **environ: str) -> RemoteSettings:
    access = RemoteAccess(settings.remotes, Passwords(environ))
    return access.settings_of(parse_remote_address(address))


def test_a_profile_has_the_remote_of_all_or_its_own(tmp_path: Path) -> None:
    settings = load(tmp_path, EXAMPLE)
    assert settings.remote == "s3://backups"
    assert [(each.name, each.remote) for each in settings.profiles] == [
        ("erp", "s3://backups/erp"),
        ("shop", "s3://backups"),
    ]
    assert resolve_target(settings, "postgresql://db3/x", {}).remote == "s3://backups"


def test_the_longest_address_that_fits_tells_how_a_remote_is_reached(tmp_path: Path) -> None:
    settings = load(tmp_path, EXAMPLE)
    shop = settings_of(settings, "s3://backups/shop", BUCKET_SECRET="hush")
    assert (shop.endpoint, shop.region, shop.path_style) == ("https://minio.example.org:9000", "eu-west-1", True)
    assert (shop.access_key_id, shop.secret, shop.storage_class) == ("KEYID", Secret("hush"), "STANDARD_IA")
    for address in ("s3://backups/erp", "s3://backups/erp/old"):
        assert settings_of(settings, address).endpoint == "https://other.example.org"
    assert settings_of(settings, "s3://backups/erpx", BUCKET_SECRET="hush").region == "eu-west-1"
    assert settings_of(settings, "s3://backups-of-others") == RemoteSettings()
    vault = settings_of(settings, "sftp://dba@vault/srv")
    assert (vault.identity_file, vault.timeout_seconds) == (Path("~/.ssh/backup").expanduser(), 5.0)
    assert settings_of(settings, "sftp://dba@vault:2222/srv") == RemoteSettings()


def test_a_secret_comes_from_a_variable_or_a_command_and_is_asked_for_once(tmp_path: Path) -> None:
    settings = load(tmp_path, EXAMPLE)
    with pytest.raises(ConfigError, match=r"remote s3://backups: the variable BUCKET_SECRET .* is not set"):
        settings_of(settings, "s3://backups/shop")
    counted = tmp_path / "asked"
    text = EXAMPLE.replace(
        'secret_env = "BUCKET_SECRET"', f"secret_command = ['sh', '-c', 'echo >> {counted}; echo hush']"
    )
    passwords = Passwords({"PATH": "/usr/bin:/bin"})
    access = RemoteAccess(load(tmp_path, text).remotes, passwords)
    for _ in range(2):
        assert access.settings_of(parse_remote_address("s3://backups")).secret == Secret("hush")
    assert counted.read_text() == "\n"
    assert passwords.known == ("hush",)  # so that a traceback can be cleaned of it
    assert "hush" not in repr(access.settings_of(parse_remote_address("s3://backups")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('remote = "backups"', "line 1: remote: 'backups' is no address"),
        ('[profiles.erp]\nurl = "postgresql://db1/erp"\nremote = "s3://"', "line 3: profile 'erp': remote: 's3://'"),
        ('[remotes."s3://b"]\nendpoint = "x"', "line 1"),
        ('[remotes."s3://backups"]\nsecret = "hush"', "line 2: unknown key 'secret'"),
        ('[remotes."s3://backups"]\nsecret_env = "A"\nsecret_command = ["b"]', "both secret_env and secret_command"),
        ('[remotes."s3://backups"]\nidentity_file = "x"', "line 2: identity_file means nothing for s3://"),
        ('[remotes."sftp://vault/srv"]\nendpoint = "x"', "line 2: endpoint means nothing for sftp://"),
        ('[remotes."s3://backups"]\ntimeout_seconds = 0', "line 2: timeout_seconds is 0"),
        ('[remotes."s3://backups"]\npath_style = "yes"', "line 2: path_style: expected true or false"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)
