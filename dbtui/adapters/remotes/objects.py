"""Opening object stores: which options and credentials each kind needs, from the configuration and the environment."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.aws_credentials import CredentialSource, find_credentials
from dbtui.adapters.remotes.refusals import settings_of
from dbtui.adapters.remotes.remote import Remote
from dbtui.adapters.remotes.s3 import S3Remote
from dbtui.adapters.remotes.s3_link import S3Door
from dbtui.adapters.remotes.s3_place import find_place, tls_context
from dbtui.adapters.remotes.stores import ObjectStoreRemote
from dbtui.errors import ConfigError
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteSettings

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig, S3Config, S3Credential

_LONGEST_REQUEST = timedelta(hours=6)  # what counts is silence, not how long a slow line takes


def open_object_store(
    address: RemoteAddress, settings: RemoteSettings, environ: Mapping[str, str], cancellation: Cancellation
) -> Remote:
    """Open a bucket or container; nothing is sent to it yet. Raises ConfigError, ConnectError."""
    if address.kind is RemoteKind.S3:
        return _open_s3(address, settings, environ, cancellation)
    is_google = address.kind is RemoteKind.GCS
    try:
        store = _open_gcs(address, settings) if is_google else _open_azure(address, settings, environ)
    except (BaseError, ValueError):  # their texts may hold what was configured
        names = "credentials_file, GOOGLE_APPLICATION_CREDENTIALS" if is_google else "account, its key, AZURE_STORAGE_*"
        raise ConfigError(f"{address} cannot be used: its credentials are not understood", f"see {names}") from None
    return ObjectStoreRemote(address, store, settings.timeout_seconds, cancellation)


def _open_s3(
    address: RemoteAddress, settings: RemoteSettings, environ: Mapping[str, str], cancellation: Cancellation
) -> S3Remote:
    place = find_place(address, settings, environ)
    credentials = CredentialSource(lambda: find_credentials(address, settings, environ, is_amazon=place.is_amazon))
    credentials()  # missing ones are said at once

    def provide() -> "S3Credential":
        found = credentials()
        token = found.token.reveal() if found.token else None
        return {
            "access_key_id": found.access_key_id,
            "secret_access_key": found.secret.reveal(),
            "token": token,
            "expires_at": found.expires_at,
        }

    config: S3Config = {
        "region": place.region,
        "virtual_hosted_style_request": not place.is_by_path,
        "endpoint": place.url.removesuffix(f"/{address.host}") if place.is_by_path else place.url,
        "conditional_put": "etag",
        "disable_bulk_delete": True,  # one object at a time, which every server knows
        "skip_signature": False,
    }
    store = S3Store(
        address.host,
        config=config,
        client_options=client_options(settings, place.url),
        retry_config=retry_options(settings),
        credential_provider=provide,
    )
    door = S3Door(address, place, credentials, tls_context(settings), settings.timeout_seconds)
    return S3Remote(door, store, settings.storage_class, cancellation)


def _open_gcs(address: RemoteAddress, settings: RemoteSettings) -> GCSStore:
    """obstore itself reads GOOGLE_APPLICATION_CREDENTIALS and asks the machine it runs on."""
    config: GCSConfig = {}
    if settings.credentials_file is not None:
        _check_readable(settings.credentials_file, "credentials_file")
        config["service_account"] = str(settings.credentials_file)
    if settings.endpoint:
        config["base_url"] = settings.endpoint
    return GCSStore(
        address.host,
        config=config,
        client_options=client_options(settings, settings.endpoint, sends_parts=True),
        retry_config=retry_options(settings),
    )


def _open_azure(address: RemoteAddress, settings: RemoteSettings, environ: Mapping[str, str]) -> AzureStore:
    """obstore itself reads AZURE_* and asks the machine it runs on."""
    if not settings.account and not settings_of(environ, "AZURE_STORAGE_ACCOUNT_NAME"):
        raise ConfigError(
            f"{address} does not say in which storage account the container is",
            f'set AZURE_STORAGE_ACCOUNT_NAME, or account under [remotes."{address}"] in the configuration',
        )
    config: AzureConfig = {"account_name": settings.account or environ["AZURE_STORAGE_ACCOUNT_NAME"]}
    if settings.secret is not None:
        config["account_key"] = settings.secret.reveal()
    if settings.endpoint:
        config["endpoint"] = settings.endpoint
    return AzureStore(
        address.host,
        config=config,
        client_options=client_options(settings, settings.endpoint, sends_parts=True),
        retry_config=retry_options(settings),
    )


def client_options(settings: RemoteSettings, url: str, *, sends_parts: bool = False) -> "ClientConfig":
    """Return how requests are sent. Raises ConfigError.

    Silence is counted from the beginning of a request, so that it includes the time in which a part is sent: a slow
    line may need long for the parts that share it. Giving up an upload may take as long once more.
    """
    silence = timedelta(seconds=max(0.5, settings.timeout_seconds * (0.5 if sends_parts else 0.25)))
    options: ClientConfig = {
        "allow_http": url.startswith("http://"),
        "connect_timeout": min(silence, timedelta(seconds=10)),
        "read_timeout": silence,
        "timeout": _LONGEST_REQUEST,
    }
    if settings.ca_file is not None:
        options["root_certificate"] = _check_readable(settings.ca_file, "ca_file")
    return options


def retry_options(settings: RemoteSettings) -> "RetryConfig":
    """Return how long requests that fail for a while are sent again."""
    return {
        "max_retries": 20,
        "retry_timeout": timedelta(seconds=settings.timeout_seconds / 2),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2},
    }


def _check_readable(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}", "correct the configuration") from None
