"""Keys for S3, found where Amazon's own tools find them, in their order.

The configuration, the environment, a profile (its keys, or the program it names), a web identity, the container's
endpoint, the instance's role. Sources: AWS SDKs and Tools Reference Guide, "Standardized credential providers".
"""

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dbtui.adapters.remotes import aws_metadata
from dbtui.adapters.remotes.aws_profiles import read_profile
from dbtui.errors import ConfigError
from dbtui.model.connections import Secret
from dbtui.model.remotes import RemoteAddress, RemoteSettings

_RENEWED_BEFORE = timedelta(minutes=5)
_PROGRAM_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """A key, for a while or for good."""

    access_key_id: str
    secret: Secret
    token: Secret | None = None
    expires_at: datetime | None = None


class CredentialSource:
    """The credentials for one remote: looked up when first asked for, and anew before they expire."""

    def __init__(self, find: Callable[[], AwsCredentials]) -> None:
        self._find = find
        self._found: AwsCredentials | None = None

    def __call__(self) -> AwsCredentials:
        """Return credentials good for five minutes more. Raises ConfigError, ConnectError."""
        found = self._found
        if found is None or (found.expires_at and found.expires_at - _RENEWED_BEFORE < datetime.now(UTC)):
            found = self._found = self._find()
        return found


def find_credentials(
    address: RemoteAddress, settings: RemoteSettings, environ: Mapping[str, str], *, is_amazon: bool
) -> AwsCredentials:
    """Look for credentials; an instance's own are only meant for Amazon.

    Raises ConfigError when there are none, or those there are cannot be used.
    """
    if settings.access_key_id or settings.secret is not None:
        if not settings.access_key_id or settings.secret is None:
            missing = "secret_env or secret_command" if settings.access_key_id else "access_key_id"
            raise ConfigError(
                f"half a key is configured for {address}", f"add {missing} to its table of the configuration"
            )
        return AwsCredentials(settings.access_key_id, settings.secret)
    if not settings.profile and environ.get("AWS_ACCESS_KEY_ID"):
        return _of_environment(environ)
    profile = read_profile(settings.profile, environ)
    found = _of_profile(profile) or aws_metadata.find_credentials(environ, look_for_instance=is_amazon)
    if found is not None:
        return parse_credentials(found, "the answer")
    _refuse_what_is_not_understood(profile, settings.profile or environ.get("AWS_PROFILE", "default"))
    raise ConfigError(
        f"there are no credentials for {address}",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or write access_key_id and secret_env under "
        f'[remotes."{address}"] in the configuration',
    )


def _of_environment(environ: Mapping[str, str]) -> AwsCredentials:
    secret = environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not secret:
        raise ConfigError("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not", "set both or neither")
    token = environ.get("AWS_SESSION_TOKEN", "") or environ.get("AWS_SECURITY_TOKEN", "")
    return AwsCredentials(environ["AWS_ACCESS_KEY_ID"], Secret(secret), Secret(token) if token else None)


def _of_profile(profile: Mapping[str, str]) -> dict[str, str] | None:
    if profile.get("aws_access_key_id") and profile.get("aws_secret_access_key") and not profile.get("role_arn"):
        return {
            "AccessKeyId": profile["aws_access_key_id"],
            "SecretAccessKey": profile["aws_secret_access_key"],
            "Token": profile.get("aws_session_token", "") or "",
        }
    program = profile.get("credential_process", "")
    return _ask_program(program) if program else None


def _ask_program(command: str) -> dict[str, str]:
    """Run the profile's program. What it prints is never shown: it is the secret."""
    try:
        done = subprocess.run(  # the user's own file names it
            shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROGRAM_SECONDS, check=True
        )
        found = json.loads(done.stdout)
        return {str(key): str(value) for key, value in found.items()}
    except subprocess.CalledProcessError as error:
        reason = f"it ended with status {error.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"it did not end within {_PROGRAM_SECONDS:.0f} seconds"
    except OSError as error:
        reason = error.strerror or "it cannot be started"
    except (ValueError, AttributeError):
        reason = "it printed no JSON object"
    raise ConfigError(f"the credential_process of the AWS profile gave no credentials: {reason}", "run it by hand")


def _refuse_what_is_not_understood(profile: Mapping[str, str], name: str) -> None:
    for key in ("role_arn", "sso_session", "sso_start_url"):
        if profile.get(key):
            raise ConfigError(
                f"the AWS profile {name!r} logs in by {key}, which dbtui does not",
                f"add to another profile: credential_process = aws configure export-credentials --profile {name}",
            )


def parse_credentials(found: Mapping[str, str], where: str) -> AwsCredentials:
    """Read credentials as metadata services and credential programs write them. Raises ConfigError."""
    token = found.get("Token", "") or found.get("SessionToken", "")
    expiry = found.get("Expiration", "")
    try:
        return AwsCredentials(
            found["AccessKeyId"],
            Secret(found["SecretAccessKey"]),
            Secret(token) if token else None,
            datetime.fromisoformat(expiry).astimezone(UTC) if expiry else None,
        )
    except (KeyError, ValueError):
        raise ConfigError(f"the AWS credentials are not understood: {where} lacks a key or its date is wrong") from None
