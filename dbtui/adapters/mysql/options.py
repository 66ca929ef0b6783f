"""How to reach a server: what the URL says, completed from the client's option file and the environment."""

import getpass
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from dbtui.adapters.mysql.option_files import format_value, login_path_file, read_option_file
from dbtui.adapters.mysql.tls_options import PARAMETERS, TlsOptions, parse_tls, tool_lines
from dbtui.errors import UsageError
from dbtui.model.connections import ConnectionProfile, Secret
from dbtui.model.text import format_untrusted

DEFAULT_PORT = 3306
_SCHEMES = ("mysql", "mariadb")
_DRIVERS = ("", "pymysql")
_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")  # noqa: S108 - the servers' own defaults
_PARAMETERS = {
    "unix_socket": "socket",
    "socket": "socket",
    "charset": "charset",
    "read_default_file": "option_file",
    "read_default_group": "option_group",
    "connect_timeout": "connect_timeout",
}
_REFUSED = {
    "ssl_key_password": ("it is a secret that would be shown", "use a key file without a passphrase"),
    "login_path": ("login paths (mysql_config_editor) are not read", "use ~/.my.cnf or password_command"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MysqlOptions:
    """Everything a login needs. `login_path`: a file with logins that is there, and is not read."""

    user: str = ""
    password: Secret | None = None
    host: str = ""
    port: int = 0
    socket: str = ""
    database: str = ""
    charset: str = "utf8mb4"
    connect_timeout: int = 10
    tls: TlsOptions = field(default_factory=TlsOptions)
    login_path: str = ""

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
    filed = read_option_file(parameters.get("option_file", ""), parameters.get("option_group", ""), environ)
    tls = parse_tls(parameters, filed)
    options = replace(options, tls=tls, login_path=str(login_path_file(environ) or ""))
    if password is None and filed.get("password"):
        password = Secret(filed["password"])
    if password is None and environ.get("MYSQL_PWD"):
        password = Secret(environ["MYSQL_PWD"])
    return _complete(replace(options, password=password), filed)


def option_file_of(url: str) -> str:
    """Return the option file that a URL names, empty when it names none. Raises UsageError."""
    return _parse_url(url)[1].get("option_file", "")


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
    parameters = _parse_parameters(pairs)
    database = unquote(parts.path.removeprefix("/"))
    options = MysqlOptions(
        user=unquote(parts.username or ""),
        host=unquote(host),
        port=port,
        socket=parameters.get("socket", ""),
        database=database,
        charset=parameters.get("charset", "utf8mb4") or "utf8mb4",
        connect_timeout=_parse_number("connect_timeout", parameters.get("connect_timeout", "10")),
    )
    return options, parameters


def _parse_parameters(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return a URL's parameters, spelt in our way: small letters, `_` for `-`. Raises UsageError for unknown ones."""
    found = {}
    for written, value in pairs:
        name = written.lower().replace("-", "_")
        if name in _REFUSED:
            reason, hint = _REFUSED[name]
            raise UsageError(f"the MySQL URL has the parameter {name}: {reason}", hint)
        if name not in _PARAMETERS and name not in PARAMETERS:
            known = ", ".join((*_PARAMETERS, *PARAMETERS))
            shown = format_untrusted(written, 40)
            raise UsageError(f"the MySQL URL has the unknown parameter {shown}", f"known are {known}")
        found[_PARAMETERS.get(name, name)] = value
    return found


def _parse_number(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 31_536_000:
        raise UsageError(f"the URL's {name} is not a number of seconds: {text[:40]!r}", "write for example 10")
    return int(text)


def _complete(options: MysqlOptions, filed: Mapping[str, str]) -> MysqlOptions:
    host = options.host or filed.get("host", "")
    port = options.port or int(filed.get("port", "0") if filed.get("port", "0").isdecimal() else 0)
    socket = options.socket
    if not socket and not options.host and host in ("", "localhost"):
        socket = filed.get("socket", "")
    if not socket and host in ("", "localhost") and not port:
        socket = next((path for path in _SOCKETS if Path(path).is_socket()), "")
    return replace(
        options,
        user=options.user or filed.get("user", "") or getpass.getuser(),
        host="localhost" if socket else host or "localhost",
        port=port or DEFAULT_PORT,
        socket=socket,
        database=options.database or filed.get("database", ""),
    )


def format_tool_options(options: MysqlOptions, *, is_encrypted: bool, mariadb_version: int | None) -> str:
    """Return the option file that lets a tool log in as this connection did. It holds the password.

    `mariadb_version` is the number of a MariaDB tool, such as 101119; None for Oracle's.
    """
    lines = ["[client]", f"user={format_value(options.user)}"]
    if options.password is not None:
        lines.append(f"password={format_value(options.password.reveal())}")
    if options.socket:
        lines += [f"socket={format_value(options.socket)}", "protocol=socket"]
    else:
        lines += [f"host={format_value(options.host)}", f"port={options.port}", "protocol=tcp"]
    if not options.socket:
        lines += tool_lines(options.tls, is_encrypted=is_encrypted, mariadb_version=mariadb_version)
    return "\n".join(lines) + "\n"
