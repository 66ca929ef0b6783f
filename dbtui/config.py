"""Profiles and settings: one TOML file and the environment, read once into frozen values. Nothing else reads either.

The file is $DBTUI_CONFIG, else $XDG_CONFIG_HOME/dbtui/config.toml. Secrets leave it wrapped in `Secret`.
"""

import difflib
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import platformdirs

from dbtui.config_source import Source, convert, dotted_line, line_of
from dbtui.errors import ConfigError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName, Environment
from dbtui.model.formats import BackupFormat, Compression, CompressionKind
from dbtui.model.policies import PartitionPolicy, RetentionPolicy
from dbtui.model.text import format_untrusted
from dbtui.model.urls import ACCEPTED_SCHEMES, DatabaseUrl, parse_database_url, redact_url
from dbtui.passwords import Passwords, find_password
from dbtui.pool_settings import PoolsTable, check_places, parse_thresholds

if TYPE_CHECKING:
    from dbtui.analysis.pools import Thresholds
    from dbtui.model.hooks import HookSettings
    from dbtui.model.repositories import Repository
    from dbtui.remote_settings import RemoteProfile

__all__ = [
    "DATABASE_URL",
    "KeySetting",
    "Passwords",
    "Settings",
    "UiSettings",
    "config_path",
    "find_password",
    "load_settings",
    "parse_compression",
    "parse_url",
    "resolve_target",
    "state_dir",
]

DATABASE_URL = "DATABASE_URL"
_FORMATS = tuple(each.value for each in BackupFormat if each is not BackupFormat.COPY)
_LEVELS = {CompressionKind.GZIP: range(1, 10), CompressionKind.ZSTD: range(1, 20)}


THEME_NAMES = ("dark", "light", "ansi")
_INTERVALS_SECONDS = (0.5, 60.0)


@dataclass(frozen=True, slots=True)
class KeySetting:
    """One line of `[keys]`: an action and the keys it shall have. Only the terminal UI knows whether both exist."""

    action_id: str
    keys: tuple[str, ...]
    where: str = ""  # file and line


@dataclass(frozen=True, slots=True)
class UiSettings:
    """What `[ui]` says. None: what fits the terminal."""

    theme: str | None = None
    interval_seconds: float | None = None
    rich: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the file and the environment say. `path` is the file that was read, None if there is none."""

    profiles: tuple[ConnectionProfile, ...] = ()
    backup_dir: str = "backups"
    format: str = "plain"
    compress: str = "none"
    path: Path | None = None
    warnings: tuple[str, ...] = ()
    ui: UiSettings = UiSettings()
    keys: tuple[KeySetting, ...] = ()
    thresholds: "Thresholds | None" = None  # of `[pools]`; None: the defaults
    keep: RetentionPolicy | None = None  # how many backups stay, where a profile says nothing else
    encrypt_to: tuple[str, ...] = ()  # age recipients of backups, or files of them
    identity: str = ""  # the file with the key that opens them
    identity_command: tuple[str, ...] = ()
    remote: str = ""  # where copies of backups go, where a profile says nothing else
    remotes: "tuple[RemoteProfile, ...]" = ()  # how they are reached
    hooks: "HookSettings | None" = None  # who is told when something has ended, where a profile says nothing else
    max_backup_age_seconds: float | None = None  # as of ConnectionProfile

    def profile(self, name: str) -> ConnectionProfile | None:
        """Return the profile of that name, if there is one."""
        return next((profile for profile in self.profiles if profile.name == name), None)


class _ProfileTable(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    password_env: str = ""
    password_command: list[str] = []
    environment: Environment = Environment.DEVELOPMENT
    read_only: bool = False
    backup_dir: str = ""
    format: str = ""
    compress: str = ""
    encrypt_to: list[str] | None = None
    identity: str = ""
    identity_command: list[str] = []
    pgbouncer_url: str = ""
    replicas: list[str] = []
    app_pools: list[str] = []
    remote: str = ""
    repository: str | dict[str, Any] = ""
    keep: dict[str, Any] = {}
    max_backup_age: str = ""
    hooks: dict[str, Any] = {}
    partitions: dict[str, dict[str, Any]] = {}


class _FileTable(msgspec.Struct, forbid_unknown_fields=True):
    backup_dir: str = "backups"
    format: str = "plain"
    compress: str = "none"
    encrypt_to: list[str] = []
    identity: str = ""
    identity_command: list[str] = []
    remote: str = ""
    remotes: dict[str, dict[str, Any]] = {}
    keep: dict[str, Any] = {}
    max_backup_age: str = ""
    hooks: dict[str, Any] = {}
    profiles: dict[str, dict[str, Any]] = {}
    ui: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    pools: dict[str, Any] = {}


class _UiTable(msgspec.Struct, forbid_unknown_fields=True):
    theme: str | None = None
    interval: float | None = None
    rich: bool | None = None


def config_path(environ: Mapping[str, str]) -> Path:
    """Return where the configuration file is, or would be."""
    if environ.get("DBTUI_CONFIG"):
        return Path(environ["DBTUI_CONFIG"]).expanduser()
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) / "dbtui" if base.startswith("/") else platformdirs.user_config_path("dbtui")) / "config.toml"


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return where history and locks are kept; it may not exist yet."""
    base = environ.get("XDG_STATE_HOME", "")
    return Path(base) / "dbtui" if base.startswith("/") else platformdirs.user_state_path("dbtui")


def load_settings(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """Read the file (`path`, else `config_path`) and DATABASE_URL. Raises ConfigError naming the file and the line."""
    chosen = path or config_path(environ)
    if path is None and not environ.get("DBTUI_CONFIG") and _is_absent(chosen):
        settings = Settings()
    else:
        settings = _parse_file(_read(chosen))
    return _with_database_url(settings, environ)


def _is_absent(path: Path) -> bool:
    """Whether there is no file; one in a directory that this user may not enter is not absent."""
    try:
        return not path.exists()
    except OSError:
        return False


def _read(path: Path) -> Source:
    try:
        return Source(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "mend the path or its permissions; DBTUI_CONFIG chooses the file"
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror or error}", hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration file {path} is not UTF-8", "save it as UTF-8") from error


def _parse_file(source: Source) -> Settings:
    try:
        document = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(source, error) from None
    table = convert(source, document, _FileTable, ())
    _check_defaults(source, (), table.format, table.compress)
    profiles = tuple(_parse_profile(source, name, values, table) for name, values in table.profiles.items())
    return Settings(
        profiles=profiles,
        backup_dir=_expand(table.backup_dir),
        format=table.format,
        compress=table.compress,
        encrypt_to=tuple(table.encrypt_to),
        identity=_expand(table.identity),
        identity_command=_one_identity(source, (), table),
        path=source.path,
        ui=_parse_ui(source, table.ui),
        keys=tuple(_parse_keys(source, ("keys",), table.keys)),
        thresholds=_parse_pools(source, table.pools) if table.pools else None,
        keep=_parse_keep(source, ("keep",), table.keep) if table.keep else None,
        remote=_parse_remote(source, (), table.remote),
        remotes=_parse_remotes(source, table.remotes) if table.remotes else (),
        hooks=_parse_hooks(source, ("hooks",), table.hooks, None),
        max_backup_age_seconds=_parse_age(source, (), table.max_backup_age),
    )


def _parse_ui(source: Source, values: dict[str, Any]) -> UiSettings:
    table = convert(source, values, _UiTable, ("ui",))
    if table.theme is not None and table.theme not in THEME_NAMES:
        raise source.error(("ui",), "theme", f"there is no theme {table.theme!r}", f"use {', '.join(THEME_NAMES)}")
    least, most = _INTERVALS_SECONDS
    if table.interval is not None and not least <= table.interval <= most:
        raise source.error(("ui",), "interval", f"interval is {table.interval:g}",
                           f"use {least:g} to {most:g} seconds")  # fmt: skip
    return UiSettings(table.theme, table.interval, table.rich)


def _parse_pools(source: Source, values: dict[str, Any]) -> "Thresholds":
    return parse_thresholds(source, convert(source, values, PoolsTable, ("pools",)))


def _parse_keys(source: Source, table: tuple[str, ...], values: dict[str, Any]) -> Iterator[KeySetting]:
    """Yield what `"backups.verify" = "v f5"` says; TOML takes the dot of a bare `backups.verify` for a table."""
    for name, value in values.items():
        action_id = ".".join((*table[1:], name))
        line = dotted_line(source.text, action_id) or line_of(source.text, table, name)
        where = f"{source.path}, line {line}" if line else f"{source.path}"
        if isinstance(value, dict):
            yield from _parse_keys(source, (*table, name), value)
        elif isinstance(value, str):
            yield KeySetting(action_id, tuple(value.split()), format_untrusted(where))
        else:
            raise ConfigError(format_untrusted(f"{where}: {action_id}: expected keys as text in quotes"),
                              'write them as in "backups.verify" = "v f5"')  # fmt: skip


def _syntax_error(source: Source, error: tomllib.TOMLDecodeError) -> ConfigError:
    found = re.search(r"^(.*) \(at line (\d+), column \d+\)$", str(error))
    reason, line = (found[1], f", line {found[2]}") if found else (str(error), "")
    return ConfigError(format_untrusted(f"{source.path}{line}: this is not TOML: {reason}"), "mend that line")


def _parse_profile(source: Source, name: str, values: dict[str, Any], file: _FileTable) -> ConnectionProfile:
    where = ("profiles", name)
    if not name or "://" in name:
        raise source.error(where, "", "a profile needs a name that is not a URL")
    table = convert(source, values, _ProfileTable, where)
    _check_defaults(source, where, table.format, table.compress)
    if table.password_env and table.password_command:
        raise source.error(where, "password_command", "it has both password_env and password_command", "keep one")
    profile = _profile_of(source, where, "url", table.url)
    pooler = _profile_of(source, where, "pgbouncer_url", table.pgbouncer_url) if table.pgbouncer_url else None
    if pooler is not None and pooler.engine is not EngineName.POSTGRESQL:
        raise source.error(
            where, "pgbouncer_url", "pgbouncer_url is of another engine", "write postgresql://…:6432/pgbouncer"
        )
    if pooler is not None and profile.engine is not EngineName.POSTGRESQL:
        raise source.error(where, "pgbouncer_url", "PgBouncer pools PostgreSQL alone, which url is not", "remove it")
    kept = table.keep or file.keep
    return replace(
        profile,
        password_env=table.password_env,
        password_command=tuple(table.password_command),
        environment=table.environment,
        read_only=table.read_only,
        backup_dir=_expand(table.backup_dir or file.backup_dir),
        format=table.format or file.format,
        compress=table.compress or file.compress,
        encrypt_to=tuple(file.encrypt_to if table.encrypt_to is None else table.encrypt_to),
        identity=_expand(table.identity or ("" if table.identity_command else file.identity)),
        identity_command=_one_identity(source, where, table)
        or (() if table.identity else tuple(file.identity_command)),
        pgbouncer_url=pooler.url if pooler else "",
        pgbouncer_password=pooler.password if pooler else None,
        keep=_parse_keep(source, (*where, "keep") if table.keep else ("keep",), kept) if kept else None,
        remote=_parse_remote(source, where, table.remote or file.remote),
        hooks=_parse_hooks(source, (*where, "hooks"), table.hooks, _parse_hooks(source, ("hooks",), file.hooks, None)),
        max_backup_age_seconds=_parse_age(source, where, table.max_backup_age or file.max_backup_age),
        replicas=tuple(table.replicas),
        app_pools=check_places(source, where, table.app_pools),
        partitions=_parse_policies(source, (*where, "partitions"), table.partitions),
        repository=_parse_repository(source, where, profile, table.repository),
        warnings=_password_warnings(source, profile, pooler),
    )


def _parse_repository(
    source: Source, where: tuple[str, ...], profile: ConnectionProfile, value: str | dict[str, Any]
) -> "Repository | None":
    if not value:
        return None
    if profile.engine is not EngineName.POSTGRESQL:
        raise source.error(where, "repository", "pgBackRest and Barman keep PostgreSQL alone, which url is not",
                           "remove repository")  # fmt: skip
    from dbtui.repository_settings import parse_repository  # not needed for the first screen

    return parse_repository(source, where, value)


def _parse_policies(
    source: Source, where: tuple[str, ...], tables: dict[str, dict[str, Any]]
) -> tuple[PartitionPolicy, ...]:
    if not tables:
        return ()
    from dbtui.policy_settings import PolicyTable, parse_policy  # not needed for the first screen

    return tuple(
        parse_policy(source, (*where, name), convert(source, values, PolicyTable, (*where, name)))
        for name, values in tables.items()
    )


def _parse_keep(source: Source, where: tuple[str, ...], values: dict[str, Any]) -> RetentionPolicy | None:
    from dbtui.retention_settings import KeepTable, parse_keep  # not needed for the first screen

    return parse_keep(source, where, convert(source, values, KeepTable, where))


def _parse_age(source: Source, where: tuple[str, ...], text: str) -> float | None:
    if not text:
        return None
    from dbtui.retention_settings import parse_age  # not needed for the first screen

    return parse_age(source, where, text)


def _parse_hooks(
    source: Source, where: tuple[str, ...], values: dict[str, Any], above: "HookSettings | None"
) -> "HookSettings | None":
    if not values:
        return above
    from dbtui.hook_settings import HooksTable, parse_hooks  # not needed for the first screen

    return parse_hooks(source, where, convert(source, values, HooksTable, where), above)


def _parse_remote(source: Source, where: tuple[str, ...], text: str) -> str:
    if not text:
        return ""
    from dbtui.remote_settings import parse_remote  # not needed for the first screen

    return parse_remote(source, where, text)


def _parse_remotes(source: Source, tables: dict[str, dict[str, Any]]) -> "tuple[RemoteProfile, ...]":
    from dbtui.remote_settings import RemoteTable, parse_remote_table  # not needed for the first screen

    return tuple(
        parse_remote_table(source, text, convert(source, values, RemoteTable, ("remotes", text)))
        for text, values in tables.items()
    )


def _profile_of(source: Source, table: tuple[str, ...], key: str, url: str) -> ConnectionProfile:
    try:
        return parse_url(url, table[1], source.path.name)
    except UsageError as error:
        raise source.error(table, key, f"{key}: {error.message}", error.hint) from None


def _password_warnings(source: Source, profile: ConnectionProfile, pooler: ConnectionProfile | None) -> tuple[str, ...]:
    warnings = []
    cure = "use password_env, password_command, .pgpass or .my.cnf instead"
    if profile.password is not None:
        warnings.append(f"profile {profile.name!r}: its password stands in {source.path}; {cure}")
    if pooler is not None and pooler.password is not None:
        warnings.append(f"profile {profile.name!r}: the password of pgbouncer_url stands in {source.path}; {cure}")
    if warnings and source.path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        warnings.append(f"{source.path} holds a password and others may read it; run chmod 600 on it")
    return tuple(warnings)


def _one_identity(source: Source, where: tuple[str, ...], table: _ProfileTable | _FileTable) -> tuple[str, ...]:
    if table.identity and table.identity_command:
        raise source.error(where, "identity_command", "it has both identity and identity_command", "keep one")
    return tuple(table.identity_command)


def _check_defaults(source: Source, table: tuple[str, ...], format_name: str, compress: str) -> None:
    if format_name and format_name not in _FORMATS:
        raise source.error(table, "format", f"format is {format_name!r}", f"use {', '.join(_FORMATS)}")
    if compress:
        try:
            parse_compression(compress)
        except UsageError as error:
            raise source.error(table, "compress", f"compress: {error.message}", error.hint) from None


def _expand(directory: str) -> str:
    return str(Path(directory).expanduser()) if directory.startswith("~") else directory


def _with_database_url(settings: Settings, environ: Mapping[str, str]) -> Settings:
    text = environ.get(DATABASE_URL, "").strip()
    if not text or settings.profile(DATABASE_URL):
        return settings
    try:
        profile = _with_defaults(settings, parse_url(text, DATABASE_URL, DATABASE_URL))
    except UsageError as error:
        return replace(settings, warnings=(*settings.warnings, f"DATABASE_URL is left out: {error}"))
    return replace(settings, profiles=(*settings.profiles, profile))


def _with_defaults(settings: Settings, profile: ConnectionProfile) -> ConnectionProfile:
    return replace(profile, backup_dir=settings.backup_dir, format=settings.format, compress=settings.compress,
                   keep=settings.keep, remote=settings.remote, encrypt_to=settings.encrypt_to,
                   identity=settings.identity, identity_command=settings.identity_command, hooks=settings.hooks,
                   max_backup_age_seconds=settings.max_backup_age_seconds)  # fmt: skip


def resolve_target(settings: Settings, text: str | None, environ: Mapping[str, str]) -> ConnectionProfile:
    """Return the profile that a TARGET means: a profile's name or a URL; None: DATABASE_URL, else the only profile.

    Raises UsageError when it is neither, or nothing was named and there is no single choice.
    """
    if text is None:
        return _default_target(settings, environ)
    if profile := settings.profile(text):
        return profile
    if "://" in text:
        profile = _with_defaults(settings, parse_url(text))
        if profile.password is not None:
            seen = "the password was typed on the command line, where other users of this host may see it"
            profile = replace(profile, warnings=(*profile.warnings, f"{seen}; use a profile or DATABASE_URL"))
        return profile
    raise UsageError(f"no profile is called {redact_url(text)!r}", _names_hint(settings, text))


def _default_target(settings: Settings, environ: Mapping[str, str]) -> ConnectionProfile:
    if text := environ.get(DATABASE_URL, "").strip():
        return settings.profile(DATABASE_URL) or _with_defaults(settings, parse_url(text, DATABASE_URL, DATABASE_URL))
    if len(settings.profiles) == 1:
        return settings.profiles[0]
    names = ", ".join(profile.name for profile in settings.profiles)
    raise UsageError("no TARGET was given", f"name one of the profiles {names}, or a URL" if names else
                     "give a URL, set DATABASE_URL, or write a profile into the configuration file")  # fmt: skip


def _names_hint(settings: Settings, text: str) -> str:
    names = [profile.name for profile in settings.profiles]
    if near := difflib.get_close_matches(text, names, 1):
        return f"did you mean {format_untrusted(near[0])}?"
    if text.endswith((".db", ".sqlite", ".sqlite3")):
        return f"if you mean the SQLite file, write sqlite:///{text}"
    known = f"the profiles are {format_untrusted(', '.join(names))}" if names else "there are no profiles"
    return f"{known}; a URL begins with {ACCEPTED_SCHEMES}"


def parse_url(text: str, name: str = "", origin: str = "command line") -> ConnectionProfile:
    """Return the profile that a URL means; the password is moved out of the URL. Raises UsageError."""
    url = parse_database_url(text)
    return ConnectionProfile(
        name=name or _short_name(url),
        engine=url.engine,
        url=str(url),
        database=url.database,
        password=url.password,
        origin=origin,
    )


def _short_name(url: DatabaseUrl) -> str:
    if url.engine is EngineName.SQLITE:
        return Path(url.database).name
    return f"{url.database or url.user or url.engine.value}@{url.hosts or 'localhost'}"


def parse_compression(text: str) -> Compression:
    """Return the compression that `none`, `gzip`, `zstd` or `zstd:3` means. Raises UsageError."""
    kind_text, colon, level_text = text.strip().lower().partition(":")
    try:
        kind = CompressionKind(kind_text)
    except ValueError:
        raise UsageError(f"{text!r} is not a compression", "use none, gzip[:1-9] or zstd[:1-19]") from None
    if not colon:
        return Compression(kind)
    levels = _LEVELS.get(kind)
    if levels is None or not level_text.isdecimal() or int(level_text) not in levels:
        raise UsageError(f"{text!r} is not a compression level", "use none, gzip[:1-9] or zstd[:1-19]")
    return Compression(kind, int(level_text))
