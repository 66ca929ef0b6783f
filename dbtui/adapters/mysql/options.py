"""How to reach a server: what the URL says, completed from the client's option file and the environment."""

import getpass
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from dbtui.errors import ConfigError, UsageError
from dbtui.model.connections import ConnectionProfile, Secret

DEFAULT_PORT = 3306
_SCHEMES = ("mysql", "mariadb")
_DRIVERS = ("", "pymysql")
_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")  # noqa: S108 - the servers' own defaults
_DEFAULT_GROUPS = ("client", "client-server", "client-mariadb")
_PARAMETERS = {
    "unix_socket": "socket",
    "socket": "socket",
    "charset": "charset",
    "read_default_file": "option_file",
    "read_default_group": "option_group",
    "connect_timeout": "connect_timeout",
    "ssl": "tls",
    "ssl_mode": "tls",
    "ssl_ca": "tls_ca",
    "ssl_cert": "tls_cert",
    "ssl_key": "tls_key",
    "ssl_verify_cert": "verify_cert",
    "ssl_verify_identity": "verify_identity",
}
_TLS_MODES = {
    "disabled": "disabled",
    "false": "disabled",
    "0": "disabled",
    "preferred": "preferred",
    "required": "required",
    "true": "required",
    "1": "required",
    "verify_ca": "verify_ca",
    "verify_identity": "verify_identity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MysqlOptions:
    """Everything a login needs. `tls` is one of the modes of mysql's --ssl-mode, in small letters."""

    user: str = ""
    password: Secret | None = None
    host: str = ""
    port: int = 0
    socket: str = ""
    database: str = ""
    charset: str = "utf8mb4"
    connect_timeout: int = 10
    tls: str = "preferred"
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""

    @property
    def server(self) -> str:
        """The server for a sentence: `db1:3306` or the socket's path."""
        return self.socket or f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine."""
        return bool(self.socket) or self.host in ("localhost", "127.0.0.1", "::1")


def collect_options(profile: ConnectionProfile, password: Secret | None, environ: Mapping[str, str]) -> MysqlOptions:
    """Return how to reach a profile's server: the URL first, then the option file, MYSQL_PWD and the defaults.

    The option file is `read_default_file` of the URL, else ~/.my.cnf, as the mysql client has it.
    Raises UsageError for a URL that cannot be understood, ConfigError for an option file that cannot be read.
    """
    options, parameters = _parse_url(profile.url)
    options = replace(options, database=profile.database or options.database)
    if profile.connect_seconds and "connect_timeout" not in parameters:
        options = replace(options, connect_timeout=profile.connect_seconds)
    filed = _read_option_file(parameters, environ)
    if password is None and "password" in filed:
        password = Secret(filed["password"])
    if password is None and environ.get("MYSQL_PWD"):
        password = Secret(environ["MYSQL_PWD"])
    return _complete(replace(options, password=password), filed)


def _parse_url(url: str) -> tuple[MysqlOptions, dict[str, str]]:
    try:
        parts = urlsplit(url)
        scheme, _, driver = parts.scheme.partition("+")
        host, port = parts.hostname or "", parts.port or 0
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise UsageError(
            f"the MySQL URL cannot be understood: {error}", "write mysql://user@host:3306/database"
        ) from error
    if scheme not in _SCHEMES or driver not in _DRIVERS:
        raise UsageError(f"{parts.scheme}:// is not a MySQL URL", "write mysql:// or mariadb://")
    unknown = sorted({name for name, _ in pairs} - _PARAMETERS.keys())
    if unknown:
        raise UsageError(f"the MySQL URL has the unknown parameter {unknown[0]}", f"known are {', '.join(_PARAMETERS)}")
    parameters = {_PARAMETERS[name]: value for name, value in pairs}
    database = unquote(parts.path.removeprefix("/"))
    options = MysqlOptions(
        user=unquote(parts.username or ""),
        host=unquote(host),
        port=port,
        socket=parameters.get("socket", ""),
        database=database,
        charset=parameters.get("charset", "utf8mb4") or "utf8mb4",
        connect_timeout=_parse_number("connect_timeout", parameters.get("connect_timeout", "10")),
        tls=_parse_tls(parameters),
        tls_ca=parameters.get("tls_ca", ""),
        tls_cert=parameters.get("tls_cert", ""),
        tls_key=parameters.get("tls_key", ""),
    )
    return options, parameters


def _parse_number(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 31_536_000:
        raise UsageError(f"the URL's {name} is not a number of seconds: {text[:40]!r}", "write for example 10")
    return int(text)


def _parse_tls(parameters: Mapping[str, str]) -> str:
    mode = _TLS_MODES.get(parameters.get("tls", "preferred").lower())
    if mode is None:
        raise UsageError("the URL's ssl_mode is unknown", f"known are {', '.join(_TLS_MODES)}")
    if _is_true(parameters.get("verify_identity")):
        return "verify_identity"
    if _is_true(parameters.get("verify_cert")) or (parameters.get("tls_ca") and "tls" not in parameters):
        return "verify_ca"
    return mode


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in ("1", "true", "yes", "on")


def _read_option_file(parameters: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    named = parameters.get("option_file", "")
    home = environ.get("HOME", "")
    if not named and not home:
        return {}
    path = Path(named.replace("~", home, 1) if named.startswith("~/") else named) if named else Path(home) / ".my.cnf"
    group = parameters.get("option_group", "")
    groups = (*_DEFAULT_GROUPS, group) if group else _DEFAULT_GROUPS
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        if not named:
            return {}
        raise ConfigError(f"the option file {path} does not exist", "correct read_default_file in the URL") from None
    except OSError as error:
        raise ConfigError(f"the option file {path} cannot be read: {error.strerror}") from error
    return parse_option_file(text, groups)


def parse_option_file(text: str, groups: tuple[str, ...]) -> dict[str, str]:
    """Return the options of `groups` in a my.cnf; a later group or line wins. Includes are not followed."""
    found: dict[str, dict[str, str]] = {group: {} for group in groups}
    current: dict[str, str] | None = None
    for line in text.splitlines():
        word = line.strip()
        if word.startswith("["):
            current = found.get(word[1:].partition("]")[0].strip())
        elif current is not None and word and word[0] not in "#;!":
            name, _, value = word.partition("=")
            current[name.strip().lower().replace("_", "-").removeprefix("loose-")] = _parse_value(value.strip())
    return {name: value for group in groups for name, value in found[group].items()}


_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "\\": "\\", "s": " ", '"': '"', "'": "'"}


def _parse_value(text: str) -> str:
    """An option's value: a quoted one may hold #, and the escapes of the manual ("Using Option Files")."""
    if len(text) >= 2 and text[0] in "'\"" and (end := text.find(text[0], 1)) > 0:
        while end > 0 and text[end - 1] == "\\" and end < len(text) - 1:
            end = text.find(text[0], end + 1)
        text = text[1:end] if end > 0 else text
    else:
        text = re.split(r"\s#", text, maxsplit=1)[0].rstrip()
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text)


def _complete(options: MysqlOptions, filed: Mapping[str, str]) -> MysqlOptions:
    host = options.host or filed.get("host", "")
    port = options.port or int(filed.get("port", "0") if filed.get("port", "0").isdecimal() else 0)
    socket = options.socket
    if not socket and not options.host and host in ("", "localhost"):
        socket = filed.get("socket", "")
    if not socket and host in ("", "localhost") and not port:
        socket = next((path for path in _SOCKETS if Path(path).is_socket()), "")
    ca = options.tls_ca or filed.get("ssl-ca", "")
    return replace(
        options,
        user=options.user or filed.get("user", "") or getpass.getuser(),
        host="localhost" if socket else host or "localhost",
        port=port or DEFAULT_PORT,
        socket=socket,
        database=options.database or filed.get("database", ""),
        tls="verify_ca" if options.tls == "preferred" and ca else options.tls,
        tls_ca=ca,
        tls_cert=options.tls_cert or filed.get("ssl-cert", ""),
        tls_key=options.tls_key or filed.get("ssl-key", ""),
    )


_FILE_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b"}


def _format_value(value: str) -> str:
    return '"' + "".join(_FILE_ESCAPES.get(character, character) for character in value) + '"'


def _tls_lines(options: MysqlOptions, *, is_encrypted: bool, is_mariadb_tool: bool) -> Iterator[str]:
    if options.socket:
        return
    for name, value in (("ca", options.tls_ca), ("cert", options.tls_cert), ("key", options.tls_key)):
        if value:
            yield f"ssl-{name}={_format_value(value)}"
    verifies = options.tls in ("verify_ca", "verify_identity")
    if is_mariadb_tool:
        # Clients from 11.4 on insist on a verified certificate unless told otherwise.
        yield "ssl" if is_encrypted else "skip-ssl"
        yield "ssl-verify-server-cert" if verifies else "loose-disable-ssl-verify-server-cert"
    else:
        yield f"ssl-mode={options.tls.upper() if verifies else 'REQUIRED' if is_encrypted else 'PREFERRED'}"


def format_tool_options(options: MysqlOptions, *, is_encrypted: bool, is_mariadb_tool: bool) -> str:
    """Return the option file that lets a tool log in as this connection did. It holds the password."""
    lines = ["[client]", f"user={_format_value(options.user)}"]
    if options.password is not None:
        lines.append(f"password={_format_value(options.password.reveal())}")
    if options.socket:
        lines += [f"socket={_format_value(options.socket)}", "protocol=socket"]
    else:
        lines += [f"host={_format_value(options.host)}", f"port={options.port}", "protocol=tcp"]
    lines += _tls_lines(options, is_encrypted=is_encrypted, is_mariadb_tool=is_mariadb_tool)
    return "\n".join(lines) + "\n"
