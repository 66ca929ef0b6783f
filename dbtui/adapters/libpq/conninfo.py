"""From a URL as people write it to the parameters that libpq takes, quoted by libpq's own rules."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

import psycopg2
from psycopg2.extensions import make_dsn

from dbtui.errors import ToolError, UsageError
from dbtui.model.connections import Secret
from dbtui.model.text import format_untrusted

APPLICATION_NAME = "dbtui"
CONNECT_SECONDS = 10
_DEFAULTS = {
    "application_name": APPLICATION_NAME,
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_URL = re.compile(
    r"(?P<scheme>postgres(?:ql)?(?:\+\w+)?)://(?:(?P<login>[^@/?]*)@)?(?P<hosts>[^/?]*)"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_HOST = re.compile(r"(?P<host>\[[^]]*\]|[^:\[\]]*)(?::(?P<port>\d*))?")


def parse_conninfo(url: str, connect_seconds: int | None = None) -> dict[str, str]:
    """Return the libpq parameters that a `postgresql://` URL (also `postgres://`, `+driver`) stands for.

    Understands several hosts, both as `h1:1,h2:2` (libpq) and as repeated `?host=h1:1` (SQLAlchemy); every other query
    parameter is passed on. `connect_seconds` is the limit for connecting when the URL has none.
    Raises UsageError for a malformed URL or a parameter libpq does not know.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise UsageError("the PostgreSQL URL is malformed", "write postgresql://user@host:5432/database")
    parameters: dict[str, str] = {}
    _add_hosts(parameters, found["hosts"].split(","))
    user, _, password = (found["login"] or "").partition(":")
    for keyword, value in (("user", user), ("password", password), ("dbname", found["database"] or "")):
        if value:
            parameters[keyword] = unquote(value)
    hosts = []
    for keyword, value in parse_qsl(found["query"] or "", keep_blank_values=True):
        if keyword == "host":
            hosts.append(value)
        else:
            parameters[{"database": "dbname", "ssl": "sslmode"}.get(keyword, keyword)] = _tls_word(keyword, value)
    if hosts:
        _add_hosts(parameters, hosts)
    _check_keywords(parameters)
    limit = {"connect_timeout": str(connect_seconds)} if connect_seconds else {}
    return _DEFAULTS | limit | parameters


def _tls_word(keyword: str, value: str) -> str:
    """`ssl=true`, as JDBC has it, means what libpq lets it mean."""
    words = {"true": "require", "1": "require", "false": "disable", "0": "disable"} if keyword == "ssl" else {}
    return words.get(value.lower(), value)


#: Parameters that an older libpq does not know, and the major version that brought them.
_SINCE = {"require_auth": 16, "sslcertmode": 16, "load_balance_hosts": 16, "sslnegotiation": 17, "sslkeylogfile": 18,
          "min_protocol_version": 18, "max_protocol_version": 18, "servicefile": 18}  # fmt: skip
#: Those that only say how to be quicker, or which server to choose.
_DISPENSABLE = frozenset({"load_balance_hosts", "sslnegotiation", "min_protocol_version", "max_protocol_version"})


def fit_conninfo(parameters: Mapping[str, str], major: int) -> dict[str, str]:
    """Return the parameters as libpq of version `major` takes them: a tool may be older than the driver.

    Raises ToolError for one that a tool cannot do without being laxer than the connection.
    """
    fitting = {**parameters}
    for keyword in [each for each in parameters if _SINCE.get(each, 0) > major]:
        if keyword not in _DISPENSABLE:
            hint = f"install client programs of version {_SINCE[keyword]} or newer, or take it out of the URL"
            raise ToolError(f"the PostgreSQL {major} client programs here do not know {keyword}", hint)
        del fitting[keyword]
    if major < 16 and fitting.get("sslrootcert") == "system":
        import ssl  # seldom needed, and large

        found = ssl.get_default_verify_paths()
        fitting |= {"sslrootcert": found.cafile or found.openssl_cafile, "sslmode": "verify-full"}
    return fitting


def _add_hosts(parameters: dict[str, str], texts: list[str]) -> None:
    names, ports = [], []
    for text in (part for value in texts for part in value.split(",")):
        # A path (unix socket) has no port behind a colon; only a host name has.
        found = _HOST.fullmatch(text) if not unquote(text).startswith("/") else None
        if found is None and not unquote(text).startswith("/"):
            raise UsageError(
                f"the host {format_untrusted(text, 80)} in the PostgreSQL URL is malformed", "write host:port"
            )
        names.append(unquote(found["host"]).strip("[]") if found else unquote(text))
        ports.append((found["port"] or "") if found else "")
    if any(names):
        parameters["host"] = ",".join(names)
    if any(ports):
        parameters["port"] = ",".join(ports)


def _check_keywords(parameters: Mapping[str, str]) -> None:
    for keyword in parameters:
        try:
            make_dsn(**{keyword: ""})
        except (psycopg2.ProgrammingError, TypeError) as error:
            raise UsageError(
                f"the PostgreSQL URL has an unknown parameter {format_untrusted(keyword, 40)!r}",
                "remove it; libpq's parameters such as sslmode, service or options are understood",
            ) from error


def format_conninfo(parameters: Mapping[str, str]) -> str:
    """Return a conninfo string with every value quoted as libpq wants it."""
    return " ".join(f"{keyword}={_quote_value(value)}" for keyword, value in parameters.items())


def _quote_value(value: str) -> str:
    if re.fullmatch(r"[\w./:-]+", value, re.ASCII):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def format_passfile(password: str) -> str:
    """Return the contents of a password file that answers for every server with `password`."""
    return "*:*:*:*:" + password.replace("\\", "\\\\").replace(":", "\\:") + "\n"


def format_server(parameters: Mapping[str, str]) -> str:
    """Return where a connection goes, as people say it: `db1:5432`, `h1:1 or h2:2`, `/socket/dir`, `service prod`."""
    hosts = (parameters.get("host") or parameters.get("hostaddr") or "").split(",")
    ports = (parameters.get("port") or "").split(",")
    if hosts == [""] and parameters.get("service"):
        return f"service {format_untrusted(parameters['service'])}"
    places = []
    for index, host in enumerate(hosts):
        port = (ports[index] if index < len(ports) else ports[0]) or "5432"
        shown = f"[{host}]" if ":" in host else host or "the local socket"
        places.append(f"{shown}:{port}" if host and not host.startswith(("/", "@")) else f"{shown} (port {port})")
    return format_untrusted(" or ".join(places))


def parse_options(options: str) -> dict[str, str] | None:
    """Return the settings in a libpq `options` value (`-c a=b --c=d`); None when it holds anything else."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|\S)+", options, re.DOTALL)]
    settings: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word = words.pop(0)
        elif word.startswith(("-c", "--")):
            word = word[2:]
        else:
            return None
        name, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.-]*", name):
            return None
        settings[name.replace("-", "_")] = value
    return settings


def choose_password(password: Secret | None, parameters: dict[str, str], environ: Mapping[str, str]) -> Secret | None:
    """Take a password out of the parameters: what was given wins, then the URL, then PGPASSWORD; else libpq's files.

    A service that is named may have one of its own, which libpq prefers to PGPASSWORD.
    """
    in_url = parameters.pop("password", None)
    for name, keyword in (("PGPASSFILE", "passfile"), ("PGSERVICE", "service")):
        if environ.get(name):
            parameters.setdefault(keyword, environ[name])
    if password is None and in_url:
        return Secret(in_url)
    if password is None and environ.get("PGPASSWORD") and "service" not in parameters:
        return Secret(environ["PGPASSWORD"])
    return password
