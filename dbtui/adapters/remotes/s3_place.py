"""Where a bucket is on the network: endpoint, region, whether its name is in the host's or the path."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from dbtui.adapters.remotes.aws_profiles import read_profile
from dbtui.adapters.remotes.refusals import settings_of
from dbtui.adapters.remotes.s3_signing import quote_key
from dbtui.errors import ConfigError
from dbtui.model.remotes import RemoteAddress, RemoteSettings

_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class S3Place:
    """What a request needs to know besides its key. `url` is that of the bucket, without a slash at its end."""

    url: str
    region: str
    is_by_path: bool
    is_amazon: bool = False
    proxy: str = ""  # host:port

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self.url.startswith("https://")

    @property
    def netloc(self) -> str:
        """Host and, if it is not the scheme's own, port."""
        return urlsplit(self.url).netloc

    def path_of(self, key: str) -> str:
        """Return the path of a request for a key, empty for the bucket itself; encoded."""
        return f"{urlsplit(self.url).path}/{quote_key(key)}"


def find_place(address: RemoteAddress, settings: RemoteSettings, environ: Mapping[str, str]) -> S3Place:
    """Say where a bucket is, by the configuration, the environment and the AWS profile. Raises ConfigError."""
    profile = read_profile(settings.profile, environ)
    endpoint = (
        settings.endpoint
        or settings_of(environ, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        or profile.get("endpoint_url", "")
    ).rstrip("/")
    region = settings.region or settings_of(environ, "AWS_REGION", "AWS_DEFAULT_REGION") or profile.get("region", "")
    region = region or _DEFAULT_REGION
    is_amazon = not endpoint
    by_path = settings.path_style if settings.path_style is not None else bool(endpoint) or "." in address.host
    if is_amazon:
        endpoint = f"https://s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        raise ConfigError(f"the endpoint of {address} is not a URL of a server", "write https://host:port")
    url = f"{endpoint}/{address.host}"
    if not by_path:
        url = f"{parts.scheme}://{address.host}.{parts.netloc}{parts.path}"
    return S3Place(url, region, by_path, is_amazon, find_proxy(parts.scheme, parts.hostname, environ))


def find_proxy(scheme: str, host: str, environ: Mapping[str, str]) -> str:
    """Return host:port of the proxy that the environment names for such a URL, empty for none."""
    names = ("https_proxy", "HTTPS_PROXY") if scheme == "https" else ("http_proxy",)
    chosen = settings_of(environ, *names)
    excepted = settings_of(environ, "no_proxy", "NO_PROXY")
    if not chosen or _is_excepted(host, excepted):
        return ""
    return urlsplit(chosen if "://" in chosen else f"http://{chosen}").netloc.rpartition("@")[2]


def _is_excepted(host: str, excepted: str) -> bool:
    """Return whether `no_proxy` names a host, or a domain that it is in."""
    names = [name.strip().lstrip(".") for name in excepted.split(",") if name.strip()]
    return any(name == "*" or host == name or host.endswith(f".{name}") for name in names)


def tls_context(settings: RemoteSettings) -> ssl.SSLContext:
    """Return how certificates are checked: by the system's authorities and the one configured. Raises ConfigError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise ConfigError(f"ca_file {settings.ca_file} cannot be used: {reason}") from None
    return context
