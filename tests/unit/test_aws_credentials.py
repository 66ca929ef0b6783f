"""Credentials for S3: found where Amazon's tools find them, in their order, and never shown."""

import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dbtui.adapters.remotes.aws_credentials import AwsCredentials, CredentialSource, find_credentials
from dbtui.adapters.remotes.aws_profiles import read_profile
from dbtui.adapters.remotes.s3_place import find_place, find_proxy
from dbtui.errors import ConfigError, ConnectError
from dbtui.model.connections import Secret
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteSettings

ADDRESS = RemoteAddress(RemoteKind.S3, "backups", "erp")
NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true"}
FROM_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "ENVKEY", "AWS_SECRET_ACCESS_KEY": "env-secret"}
CREDENTIALS = """
[default]
aws_access_key_id = FILEKEY
aws_secret_access_key = file%secret
[prod]
aws_access_key_id=PRODKEY
aws_secret_access_key=prod-secret
aws_session_token=prod-token
[odd]
role_arn = arn:aws:iam::1:role/x
source_profile = default
"""
CONFIG = """
[default]
region = eu-central-1
[profile prod]
region = eu-west-3
endpoint_url = https://minio.example.org:9000/
s3 =
  addressing_style = path
"""


def find(settings: RemoteSettings, environ: dict[str, str], *, is_amazon: bool = True) -> AwsCredentials:
    return find_credentials(ADDRESS, settings, environ, is_amazon=is_amazon)


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(CREDENTIALS)
    (tmp_path / ".aws/config").write_text(CONFIG)
    return {"HOME": str(tmp_path), **NOWHERE}


def test_the_configuration_comes_before_the_environment_and_that_before_the_files(home: dict[str, str]) -> None:
    configured = RemoteSettings(access_key_id="CONFKEY", secret=Secret("conf-secret"))
    environ = {**home, **FROM_ENVIRONMENT, "AWS_SESSION_TOKEN": "env-token"}
    assert find(configured, environ) == AwsCredentials("CONFKEY", Secret("conf-secret"))
    assert find(RemoteSettings(), environ) == AwsCredentials("ENVKEY", Secret("env-secret"), Secret("env-token"))
    assert find(RemoteSettings(), home) == AwsCredentials("FILEKEY", Secret("file%secret"))
    prod = AwsCredentials("PRODKEY", Secret("prod-secret"), Secret("prod-token"))
    assert find(RemoteSettings(profile="prod"), environ) == prod
    assert find(RemoteSettings(), {**home, "AWS_PROFILE": "prod"}) == prod


def test_files_may_lie_elsewhere(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "other").write_text("[default]\naws_access_key_id=OTHER\naws_secret_access_key=other\n")
    environ = {**home, "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "other")}
    assert find(RemoteSettings(), environ).access_key_id == "OTHER"


def test_no_secret_is_shown(home: dict[str, str]) -> None:
    assert "secret" not in repr(find(RemoteSettings(profile="prod"), home)).replace("secret=Secret('***')", "")


@pytest.mark.parametrize(("settings", "environ", "words"), [
    (RemoteSettings(), {}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
    (RemoteSettings(access_key_id="A"), {}, "add secret_env or secret_command"),
    (RemoteSettings(secret=Secret("x")), {}, "add access_key_id"),
    (RemoteSettings(), {"AWS_ACCESS_KEY_ID": "A"}, "AWS_SECRET_ACCESS_KEY is not"),
    (RemoteSettings(profile="absent"), {}, "there is no profile 'absent'"),
    (RemoteSettings(), {"AWS_PROFILE": "absent"}, "there is no profile 'absent'"),
    (RemoteSettings(profile="odd"), {}, "logs in by role_arn"),
])  # fmt: skip
def test_what_is_missing_is_said(
    home: dict[str, str], settings: RemoteSettings, environ: dict[str, str], words: str
) -> None:
    empty = {} if settings.profile else {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    with pytest.raises(ConfigError) as caught:
        find(settings, {**home, **empty, **environ})
    assert words in str(caught.value)


def test_a_file_that_is_not_understood_is_named_and_not_quoted(home: dict[str, str]) -> None:
    path = Path(home["HOME"]) / ".aws/credentials"
    path.write_text("aws_secret_access_key = hunter2\n")
    with pytest.raises(ConfigError) as caught:
        find(RemoteSettings(), home)
    assert str(path) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_profile_may_name_a_program(home: dict[str, str], tmp_path: Path) -> None:
    def name_program(text: str) -> None:
        (tmp_path / "program.py").write_text(text)
        line = f"[profile it]\ncredential_process = {sys.executable} {tmp_path}/program.py\n"
        (tmp_path / ".aws/config").write_text(line)

    expiry = "2030-01-02T03:04:05Z"
    found = {"Version": 1, "AccessKeyId": "P", "SecretAccessKey": "p", "SessionToken": "t", "Expiration": expiry}
    name_program(f"print({json.dumps(found)!r})")
    expected = AwsCredentials("P", Secret("p"), Secret("t"), datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert find(RemoteSettings(profile="it"), home) == expected
    for text, words in (
        ("print('hunter2')", "no JSON"),
        ("exit('hunter2')", "status 1"),
        ("print('[\"hunter2\"]')", "no JSON"),
        ('print(\'{"AccessKeyId": "hunter2"}\')', "lacks a key"),
    ):
        name_program(text)
        with pytest.raises(ConfigError) as caught:
            find(RemoteSettings(profile="it"), home)
        assert words in str(caught.value)
        assert "hunter2" not in str(caught.value)


class Metadata(BaseHTTPRequestHandler):
    """Answers as the services of Amazon's machines do."""

    found = json.dumps({"AccessKeyId": "M", "SecretAccessKey": "m", "Token": "t", "Expiration": "2030-01-02T03:04:05Z"})

    def do_PUT(self) -> None:
        self._answer("session" if self.path == "/latest/api/token" else None)

    def do_GET(self) -> None:
        place = "/latest/meta-data/iam/security-credentials/"
        known = {place: "role-x", f"{place}role-x": self.found, "/task?id=1": self.found}
        header, wanted = (
            ("Authorization", "Bearer c") if self.path == "/task?id=1" else ("X-aws-ec2-metadata-token", "session")
        )
        self._answer(known.get(self.path) if self.headers.get(header) == wanted else None)

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        right = "WebIdentityToken=jwt" in form and "RoleArn=arn%3Arole" in form
        self._answer("<x><AccessKeyId>W</AccessKeyId><SecretAccessKey>w</SecretAccessKey><SessionToken>t</SessionToken>"
                     "<Expiration>2030-01-02T03:04:05Z</Expiration></x>" if right else None)  # fmt: skip

    def _answer(self, text: str | None) -> None:
        self.send_response(404 if text is None else 200)
        self.send_header("Content-Length", str(len(text or "")))
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        return


@pytest.fixture(scope="module")
def metadata() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_instance_is_asked_for_its_role(metadata: str) -> None:
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata, "HOME": "/nonexistent"}
    expected = AwsCredentials("M", Secret("m"), Secret("t"), datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert find(RemoteSettings(), environ) == expected
    with pytest.raises(ConfigError, match="there are no credentials"):
        find(RemoteSettings(), environ, is_amazon=False)


def test_a_container_is_asked_for_its_role(metadata: str, tmp_path: Path) -> None:
    environ = {"HOME": "/nonexistent", "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{metadata}/task?id=1"}
    (tmp_path / "token").write_text("Bearer c\n")
    for name, value in (("", "Bearer c"), ("_FILE", str(tmp_path / "token"))):
        token = {f"AWS_CONTAINER_AUTHORIZATION_TOKEN{name}": value}
        assert find(RemoteSettings(), {**environ, **token}).access_key_id == "M"
    with pytest.raises(ConfigError, match=r"not given \(HTTP 404\)"):
        find(RemoteSettings(), environ)
    with pytest.raises(ConnectError, match="gave no AWS credentials"):
        find(RemoteSettings(), {**environ, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/x"})


def test_a_web_identity_is_exchanged(metadata: str, tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("jwt\n")
    environ = {
        "HOME": "/nonexistent", "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "jwt"), "AWS_ROLE_ARN": "arn:role",
        "AWS_ENDPOINT_URL_STS": metadata,
    }  # fmt: skip
    assert find(RemoteSettings(), environ).access_key_id == "W"
    with pytest.raises(ConfigError, match="was not exchanged for the role other"):
        find(RemoteSettings(), {**environ, "AWS_ROLE_ARN": "other"})


def test_credentials_are_looked_up_again_before_they_expire() -> None:
    looked_up: list[int] = []

    def find_some() -> AwsCredentials:
        looked_up.append(1)
        return AwsCredentials(
            "A", Secret("a"), None, datetime.now(UTC) + timedelta(minutes=4 if len(looked_up) < 3 else 60)
        )

    source = CredentialSource(find_some)
    for _ in range(6):
        source()
    assert len(looked_up) == 3


def test_places(home: dict[str, str]) -> None:
    place = find_place(ADDRESS, RemoteSettings(), home)
    assert (place.url, place.region) == ("https://backups.s3.eu-central-1.amazonaws.com", "eu-central-1")
    assert place.is_amazon
    dotted = RemoteAddress(RemoteKind.S3, "a.b.c", "")
    assert (
        find_place(dotted, RemoteSettings(region="us-west-2"), home).url == "https://s3.us-west-2.amazonaws.com/a.b.c"
    )
    china = find_place(ADDRESS, RemoteSettings(region="cn-north-1"), home)
    assert china.netloc == "backups.s3.cn-north-1.amazonaws.com.cn"
    place = find_place(ADDRESS, RemoteSettings(profile="prod"), home)
    assert (place.url, place.is_amazon, place.region) == ("https://minio.example.org:9000/backups", False, "eu-west-3")
    environ = {**home, "AWS_ENDPOINT_URL": "http://10.0.0.1:9000", "AWS_REGION": "x"}
    assert find_place(ADDRESS, RemoteSettings(path_style=False), environ).url == "http://backups.10.0.0.1:9000"
    for wrong in ("minio:9000", "https://", "https://key:secret@minio", "ftp://minio"):
        with pytest.raises(ConfigError, match="is not a URL of a server"):
            find_place(ADDRESS, RemoteSettings(endpoint=wrong), home)


def test_keys_in_paths() -> None:
    place = find_place(ADDRESS, RemoteSettings(endpoint="http://h/base"), NOWHERE)
    assert place.path_of("a b/é+%?#") == "/base/backups/a%20b/%C3%A9%2B%25%3F%23"


@pytest.mark.parametrize(("environ", "host", "proxy"), [
    ({}, "h", ""),
    ({"HTTPS_PROXY": "http://proxy:3128"}, "h", "proxy:3128"),
    ({"https_proxy": "proxy:8080", "no_proxy": "localhost, .example.org"}, "s3.example.org", ""),
    ({"https_proxy": "proxy:8080", "no_proxy": "example.org"}, "badexample.org", "proxy:8080"),
    ({"https_proxy": "proxy:8080", "NO_PROXY": "*"}, "h", ""),
    ({"http_proxy": "proxy:8080"}, "h", ""),
])  # fmt: skip
def test_proxies_of_the_environment(environ: dict[str, str], host: str, proxy: str) -> None:
    assert find_proxy("https", host, environ) == proxy


def test_profiles_are_read_as_their_owners_do(home: dict[str, str]) -> None:
    assert read_profile("prod", home)["region"] == "eu-west-3"
    assert "region" not in read_profile("odd", home)
