"""What ~/.aws/credentials and ~/.aws/config say of a profile: files of Amazon's own tools, read as those read them."""

import configparser
from collections.abc import Mapping
from pathlib import Path

from dbtui.errors import ConfigError


def read_profile(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a profile, those of the credentials file first; `name` empty: AWS_PROFILE or the default.

    Raises ConfigError when a profile that was asked for is in neither file, or one cannot be read.
    """
    wanted = name or environ.get("AWS_PROFILE", "") or environ.get("AWS_DEFAULT_PROFILE", "")
    profile = wanted or "default"
    secrets = _file(environ, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
    config = _file(environ, "AWS_CONFIG_FILE", "config")
    found: dict[str, str] = {}
    known = False
    for path, section in ((config, "default" if profile == "default" else f"profile {profile}"), (secrets, profile)):
        parsed = _parse_file(path)
        if parsed.has_section(section):
            known = True
            found.update(parsed.items(section))
    if wanted and not known:
        raise ConfigError(
            f"there is no profile {wanted!r} in {secrets} or {config}",
            "correct AWS_PROFILE, or `profile` in the configuration",
        )
    return found


def _file(environ: Mapping[str, str], variable: str, name: str) -> Path:
    chosen = environ.get(variable, "")
    if chosen:
        return Path(chosen).expanduser()
    return Path(environ.get("HOME", "") or "~").expanduser() / ".aws" / name


def _parse_file(path: Path) -> configparser.RawConfigParser:
    # No section is special: their `default` is a profile as any other, and does not lend its values.
    parsed = configparser.RawConfigParser(strict=False, default_section="", allow_no_value=True)
    try:
        parsed.read_string(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return parsed
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else f"line {getattr(error, 'lineno', '?')} is not understood"
        )
        raise ConfigError(
            f"{path} cannot be read: {reason}", "correct it, or set AWS_SHARED_CREDENTIALS_FILE"
        ) from None
    return parsed
