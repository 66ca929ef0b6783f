"""Credentials that a machine in Amazon's cloud is handed: by web identity, by the container's endpoint, as an instance.

Sources: AWS SDKs and Tools Reference Guide, "Container credential provider", "Assume role with web identity", and
"IMDS credential provider" (version 2 alone, with its session token).
"""

import http.client
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from dbtui.errors import ConfigError, ConnectError

_SECONDS = 5.0
_INSTANCE_SECONDS = 1.0  # where there is no such service, nothing answers
_MOST_BYTES = 1 << 20


def find_credentials(environ: Mapping[str, str], *, look_for_instance: bool) -> dict[str, str] | None:
    """Return AccessKeyId, SecretAccessKey, Token, Expiration; None where this machine is handed none.

    Raises ConfigError, ConnectError when it is told where to ask, and that does not answer.
    """
    token_file, role = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", ""), environ.get("AWS_ROLE_ARN", "")
    if token_file and role:
        return _of_web_identity(token_file, role, environ)
    relative, full = (environ.get(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI", "") for kind in ("RELATIVE", "FULL"))
    if relative or full:
        return _of_container(f"http://169.254.170.2{relative}" if relative else full, environ)
    if look_for_instance and environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true":
        return _of_instance(environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "") or "http://169.254.169.254")
    return None


def _of_web_identity(token_file: str, role: str, environ: Mapping[str, str]) -> dict[str, str]:
    region = environ.get("AWS_REGION", "") or environ.get("AWS_DEFAULT_REGION", "")
    form = urlencode(
        {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": environ.get("AWS_ROLE_SESSION_NAME", "") or "dbtui",
            "WebIdentityToken": _read_token(token_file),
        }
    )
    default = f"https://sts.{region}.amazonaws.com" if region else "https://sts.amazonaws.com"
    url = environ.get("AWS_ENDPOINT_URL_STS", "") or default
    status, text = _ask("POST", f"{url}/", {"Content-Type": "application/x-www-form-urlencoded"}, _SECONDS, form)
    found = {
        name: match[1]
        for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        if (match := re.search(f"<{name}>([^<]+)</{name}>", text))
    }
    if status != http.client.OK or len(found) < 4:
        raise ConfigError(
            f"the web identity of {token_file} was not exchanged for the role {role} (HTTP {status})",
            "see the trust policy of the role",
        )
    return found


def _of_container(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    token_file = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "")
    if token_file:
        token = _read_token(token_file)
    status, text = _ask("GET", url, {"Authorization": token} if token else {}, _SECONDS)
    return _parse(status, text, "the container's credentials")


def _of_instance(endpoint: str) -> dict[str, str] | None:
    endpoint = endpoint.rstrip("/")
    place = f"{endpoint}/latest/meta-data/iam/security-credentials/"
    try:
        status, token = _ask(
            "PUT", f"{endpoint}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}, _INSTANCE_SECONDS
        )
        headers = {"X-aws-ec2-metadata-token": token} if status == http.client.OK else {}
        status, role = _ask("GET", place, headers, _INSTANCE_SECONDS)
        if status != http.client.OK or not role.strip():
            return None  # an instance without a role
        status, text = _ask("GET", place + role.split()[0], headers, _SECONDS)
    except ConnectError:
        return None  # no such service: this is no machine of Amazon's
    return _parse(status, text, "the instance's credentials")


def _parse(status: int, text: str, what: str) -> dict[str, str]:
    try:
        found = json.loads(text) if status == http.client.OK else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{what} were asked for and not given (HTTP {status})", "see the role of this machine")
    return {str(key): str(value) for key, value in found.items()}


def _read_token(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"the token file {path} cannot be read: {reason}") from None


def _ask(method: str, url: str, headers: Mapping[str, str], seconds: float, body: str | None = None) -> tuple[int, str]:
    """Ask once. Redirections are not followed and no proxy is used: the answer is a secret."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    try:
        path = parts._replace(scheme="", netloc="", fragment="").geturl()
        connection.request(method, path or "/", body, dict(headers))
        reply = connection.getresponse()
        return reply.status, reply.read(_MOST_BYTES).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        raise ConnectError(f"{parts.scheme}://{parts.netloc} gave no AWS credentials: it does not answer") from None
    finally:
        connection.close()
