"""Where every setting got its value: the default, the configuration file, a profile in it, or the environment."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from dbtui.config import DATABASE_URL, Settings
from dbtui.model.connections import ConnectionProfile
from dbtui.model.doctor import SettingOrigin
from dbtui.model.urls import redact_url

DEFAULT, ENVIRONMENT = "default", "environment"
_OF_FILE = ("backup_dir", "format", "compress")
_OF_PROFILE = ("url", "environment", "read_only", "backup_dir", "format", "compress", "pgbouncer_url", "app_pools")
#: Variables that change what dbtui, libpq or option files do. Of those that are secrets only that they are set is said.
_VARIABLES = (
    "DBTUI_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME", DATABASE_URL, "DBTUI_PG_BIN", "DBTUI_MYSQL_BIN", "DBTUI_DEBUG",
    "NO_COLOR", "PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGPASSWORD", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE",
    "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGCHANNELBINDING", "PGCONNECT_TIMEOUT", "PGOPTIONS",
    "MYSQL_PWD", "MYSQL_GROUP_SUFFIX", "DB_POOL_SIZE", "DB_MAX_OVERFLOW", "DB_POOL_TIMEOUT",
)  # fmt: skip
_SECRET_VARIABLES = frozenset({"PGPASSWORD", "MYSQL_PWD"})


def collect_origins(
    settings: Settings, environ: Mapping[str, str], profile: ConnectionProfile | None
) -> tuple[SettingOrigin, ...]:
    """Return every setting with its origin; of profiles the chosen one's, else what each says for itself.

    The order of precedence: environment over profile over file over default. No secret is among the values.
    """
    document = _read_document(settings)
    file = settings.path.name if settings.path else ""
    found = [*_of_file(settings, document, file)]
    for each in [profile] if profile else settings.profiles:
        found += [
            origin for origin in _of_profile(each, document, file, environ) if profile or origin.origin != DEFAULT
        ]
    return (*found, *_of_environment(environ))


def _read_document(settings: Settings) -> dict[str, Any]:
    if settings.path is None:
        return {}
    with settings.path.open("rb") as file:
        return tomllib.load(file)


def _of_file(settings: Settings, document: Mapping[str, Any], file: str) -> Iterator[SettingOrigin]:
    yield SettingOrigin("configuration file", str(settings.path or "none"), "found" if settings.path else DEFAULT)
    for name in _OF_FILE:
        yield SettingOrigin(name, str(getattr(settings, name)), file if name in document else DEFAULT)
    for section in ("ui", "keys"):
        for name, value in document.get(section, {}).items():
            yield SettingOrigin(f"{section}.{name}", str(value), f"{file} [{section}]")


def _of_profile(
    profile: ConnectionProfile, document: Mapping[str, Any], file: str, environ: Mapping[str, str]
) -> Iterator[SettingOrigin]:
    table = document.get("profiles", {}).get(profile.name)
    said = table if isinstance(table, dict) and profile.origin == file else {}
    own = f"{file} [profiles.{profile.name}]"
    defaults = {each.name: each.default for each in fields(ConnectionProfile)}
    for name in _OF_PROFILE:
        value = getattr(profile, name)
        if name in said:
            origin = own
        elif name == "url":
            origin = profile.origin
        else:
            origin = file if name in _OF_FILE and name in document else DEFAULT
        if origin != DEFAULT or value != defaults[name] or name in _OF_FILE:
            yield SettingOrigin(f"{profile.name}: {name}", str(value), origin)
    yield SettingOrigin(
        f"{profile.name}: password", *_password_origin(profile, own if said else profile.origin, environ)
    )


def _password_origin(profile: ConnectionProfile, own: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Say where the password comes from, in the order in which the places are asked. Never the password."""
    if profile.password is not None:
        return "in the URL", own
    if profile.password_env:
        state = "set" if environ.get(profile.password_env) else "NOT set"
        return f"variable {profile.password_env} ({state})", own
    if profile.password_command:
        return f"command {profile.password_command[0]}", own
    variable = {"postgresql": "PGPASSWORD", "mysql": "MYSQL_PWD"}.get(profile.engine.value, "")
    if variable == "PGPASSWORD" and environ.get(variable):
        return f"variable {variable}", ENVIRONMENT
    files = {"postgresql": ".pgpass or service file", "mysql": "~/.my.cnf, else MYSQL_PWD"}
    return (f"{files[profile.engine.value]}, else a prompt", DEFAULT) if variable else ("none needed", DEFAULT)


def _of_environment(environ: Mapping[str, str]) -> Iterator[SettingOrigin]:
    for name in _VARIABLES:
        if environ.get(name):
            value = "set, not shown" if name in _SECRET_VARIABLES else redact_url(environ[name])
            yield SettingOrigin(name, value, ENVIRONMENT)
