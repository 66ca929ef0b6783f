"""What Google's and Azure's remotes are made of, run against a server that speaks S3: obstore's calls are the same."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.objects import client_options, retry_options
from dbtui.adapters.remotes.registry import open_remote
from dbtui.adapters.remotes.stores import ObjectStoreRemote
from dbtui.errors import Cancelled, ConfigError, ConnectError, RemoteError, RemoteExistsError, StorageError
from dbtui.model.connections import Secret
from dbtui.model.events import Progressed
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import Confirmation, RemoteSettings
from tests.fix_remotes import KEY, KEY_ID, Faults, FaultyNetwork, S3Server, s3_address, s3_settings
from tests.remote_files import MEBIBYTE, run, write_file


@contextmanager
def opened(bucket: str, url: str, cancellation: Cancellation | None = None) -> Iterator[ObjectStoreRemote]:
    settings = s3_settings(url, timeout_seconds=3.0)
    store = S3Store(
        bucket, endpoint=url, region="us-east-1", access_key_id=KEY_ID, secret_access_key=KEY,
        client_options=client_options(settings, url, sends_parts=True), retry_config=retry_options(settings),
    )  # fmt: skip
    remote = ObjectStoreRemote(s3_address(bucket), store, 3.0, cancellation or Cancellation())
    try:
        yield remote
    finally:
        remote.close()


@pytest.mark.parametrize("size", [0, 5 * MEBIBYTE, 40 * MEBIBYTE + 3])
def test_a_file_goes_there_and_comes_back(s3_server: S3Server, tmp_path: Path, size: int) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", size)
    with opened(bucket, s3_server.url()) as remote:
        assert run(remote.upload(tmp_path / "a", "d/a", file))[1] is Confirmation.READ_BACK
        run(remote.download("d/a", tmp_path / "b", file))
        assert [(each.name, each.size_bytes) for each in remote.list_objects()] == [("d/a", size)]
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes() == s3_server.read(bucket, "erp/d/a")


def test_thousands_of_objects_are_listed_page_by_page(s3_server: S3Server) -> None:
    bucket = s3_server.make_bucket()
    s3_server.fill(bucket, "erp/d/", 2500)
    s3_server.fill(bucket, "erp2/", 3)
    with opened(bucket, s3_server.url()) as remote:
        assert [each.name for each in remote.list_objects()] == [f"d/{number:05}" for number in range(2500)]


def test_a_cut_in_the_middle_is_gone_over(s3_server: S3Server, network: FaultyNetwork, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 30 * MEBIBYTE)
    with opened(bucket, network.url) as remote:
        network.begin(Faults(cut_after=15 * MEBIBYTE, cut_reply_after=10 * MEBIBYTE))
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.READ_BACK
    assert network.faults == Faults()
    assert hashlib.sha256(s3_server.read(bucket, "erp/a")).hexdigest() == file.sha256


def test_a_slow_line_is_no_silent_one(s3_server: S3Server, network: FaultyNetwork, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 20 * MEBIBYTE)
    with opened(bucket, network.url) as remote:
        network.begin(Faults(bytes_per_second=5 * MEBIBYTE))  # of each connection: a part takes longer than a quarter
        assert run(remote.upload(tmp_path / "a", "a", file))[1] is Confirmation.READ_BACK


def test_what_was_flipped_on_its_way_is_noticed_and_removed(
    s3_server: S3Server, network: FaultyNetwork, tmp_path: Path
) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 20 * MEBIBYTE)
    with opened(bucket, network.url) as remote:
        network.begin(Faults(flip_at=12 * MEBIBYTE))
        with pytest.raises(RemoteError, match="another SHA-256"):
            run(remote.upload(tmp_path / "a", "a", file))
    assert s3_server.keys(bucket) == {}


def test_cancelling_in_the_middle_leaves_nothing(s3_server: S3Server, network: FaultyNetwork, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 100 * MEBIBYTE)
    cancellation = Cancellation()
    with opened(bucket, network.url, cancellation) as remote:
        network.begin(Faults(bytes_per_second=30 * MEBIBYTE))
        routine = remote.upload(tmp_path / "a", "a", file)
        for event in routine:
            if isinstance(event, Progressed) and s3_server.open_uploads(bucket):
                break
        cancellation.request()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            next(routine)
        assert time.monotonic() - began < 2
    assert s3_server.keys(bucket) == {}
    assert s3_server.open_uploads(bucket) == []


def test_a_network_that_carries_nothing_ends_within_the_time_configured(
    s3_server: S3Server, network: FaultyNetwork, tmp_path: Path
) -> None:
    bucket = s3_server.make_bucket()
    file = write_file(tmp_path / "a", 30 * MEBIBYTE)
    with opened(bucket, network.url) as remote:
        network.begin(Faults(freeze_after=5 * MEBIBYTE))
        began = time.monotonic()
        with pytest.raises(ConnectError, match="did not answer"):
            run(remote.upload(tmp_path / "a", "a", file))
        assert time.monotonic() - began < 5
    assert s3_server.keys(bucket) == {}


def test_a_file_that_is_not_what_its_manifest_says_is_not_sent(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.make_bucket()
    for size in (MEBIBYTE, 20 * MEBIBYTE):
        file = write_file(tmp_path / "a", size)
        with (tmp_path / "a").open("r+b") as altered:
            altered.write(b"!")
        with opened(bucket, s3_server.url()) as remote, pytest.raises(StorageError, match="SHA-256 differs"):
            run(remote.upload(tmp_path / "a", "a", file))
    assert s3_server.keys(bucket) == {}
    assert s3_server.open_uploads(bucket) == []


def test_a_name_is_taken_once(s3_server: S3Server) -> None:
    bucket = s3_server.make_bucket()
    with opened(bucket, s3_server.url()) as remote:
        remote.create("m.json", b"one")
        with pytest.raises(RemoteExistsError):
            remote.create("m.json", b"two")
        assert remote.read("m.json", 3) == b"one"


def options_of(text: str, settings: RemoteSettings, environ: dict[str, str]) -> object:
    """The store that is made for an address; nothing is sent."""
    remote = open_remote(parse_remote_address(text), settings, environ, Cancellation())
    assert isinstance(remote, ObjectStoreRemote)
    remote.close()
    return remote._store


def test_azure_is_reached_as_configured() -> None:
    settings = RemoteSettings(account="dumps", secret=Secret("c2VjcmV0"), endpoint="http://127.0.0.1:1/dumps")
    store = options_of("az://nightly/erp", settings, {})
    assert isinstance(store, AzureStore)
    assert dict(store.config) == {
        "container_name": "nightly", "account_name": "dumps", "account_key": "c2VjcmV0",
        "endpoint": "http://127.0.0.1:1/dumps",
    }  # fmt: skip
    assert store.client_options is not None
    assert str(store.client_options["allow_http"]).lower() == "true"
    with pytest.raises(ConfigError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        options_of("az://nightly/erp", RemoteSettings(), {})
    assert isinstance(options_of("az://nightly", RemoteSettings(), {"AZURE_STORAGE_ACCOUNT_NAME": "x"}), AzureStore)


def test_google_is_reached_as_configured(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    names = ("client_email", "private_key", "private_key_id")
    key.write_text(json.dumps(dict.fromkeys(names, "") | {"gcs_base_url": "http://127.0.0.1:1", "disable_oauth": True}))
    store = options_of("gs://dumps/erp", RemoteSettings(credentials_file=key, timeout_seconds=8), {})
    assert isinstance(store, GCSStore)
    assert dict(store.config) == {"bucket": "dumps", "service_account": str(key)}
    assert store.retry_config is not None
    assert store.retry_config["retry_timeout"] == timedelta(seconds=4)
    with pytest.raises(ConfigError, match=r"credentials_file .* cannot be read: No such file"):
        options_of("gs://dumps", RemoteSettings(credentials_file=tmp_path / "absent"), {})
    key.write_text("{}")
    with pytest.raises(ConfigError, match="gs://dumps"):
        options_of("gs://dumps", RemoteSettings(credentials_file=key), {})
