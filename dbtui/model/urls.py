"""Database URLs as people write them, taken apart and put together again without the password.

Accepted: postgresql://, postgres://, mysql://, mariadb://, sqlite:/// and their +driver forms. The rules are those of
libpq (PostgreSQL manual, "Connection URIs") where URLs written for other programs differ; besides, a password may hold
`#`, `?`, `/` and `@` that nobody encoded.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from dbtui.errors import UsageError
from dbtui.model.connections import EngineName, Secret
from dbtui.model.text import format_untrusted

_ENGINES = {
    "postgresql": EngineName.POSTGRESQL,
    "postgres": EngineName.POSTGRESQL,
    "mysql": EngineName.MYSQL,
    "mariadb": EngineName.MYSQL,
    "sqlite": EngineName.SQLITE,
}
ACCEPTED_SCHEMES = "postgresql://, postgres://, mysql://, mariadb:// or sqlite:///"
_SECRET_PARAMETERS = frozenset(("password", "passwd"))
_HOST = r"(?:\[[0-9A-Fa-f:.%\w]+\]|[^\s/?#@:,\[\]]*)(?::[0-9]*)?"
_HOSTS = re.compile(rf"{_HOST}(?:,{_HOST})*(?=[/?]|$)")
_HOSTS_AND_PATH = re.compile(rf"{_HOST}(?:,{_HOST})*/")
_PORT = re.compile(r":([0-9]*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrl:
    """A URL's parts, decoded. `hosts` is `host:port`, several with commas (PostgreSQL), empty for a local socket.

    `database` is SQLite's path. `str()` gives the URL again, encoded throughout and without the password.
    """

    engine: EngineName
    user: str = ""
    password: Secret | None = None
    hosts: str = ""
    database: str = ""
    query: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if self.engine is EngineName.SQLITE:
            return f"sqlite:///{quote(self.database, safe='/~', errors='surrogateescape')}{self._query_text()}"
        login = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"{self.engine.value}://{login}{self.hosts}/{quote(self.database, safe='')}{self._query_text()}"

    def _query_text(self) -> str:
        pairs = (f"{quote(key, safe='')}={quote(value, safe='/:,')}" for key, value in self.query)
        text = "&".join(pairs)
        return f"?{text}" if text else ""


def redact_url(text: str) -> str:
    """Return a URL, however malformed, with everything that could be its login or password as `***`."""
    scheme, separator, rest = text.partition("://")
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    rest = re.sub(r"(?i)\b(passw\w*|sslpassword)=[^&]*", r"\1=***", rest)
    return format_untrusted(scheme + separator + rest, 200)


def parse_database_url(text: str) -> DatabaseUrl:
    """Take a URL apart. Raises UsageError, whose text never holds the password."""
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    engine = _ENGINES.get(scheme.lower().partition("+")[0]) if separator else None
    if engine is None:
        raise UsageError(f"{redact_url(text)!r} is not a URL of a database that dbtui knows", f"use {ACCEPTED_SCHEMES}")
    if engine is EngineName.SQLITE:
        return _parse_file_url(text, rest)
    return _parse_server_url(engine, text, rest)


def _parse_file_url(text: str, rest: str) -> DatabaseUrl:
    if rest and not rest.startswith("/"):
        raise UsageError(
            f"{redact_url(text)!r} names a host, which SQLite has not",
            "write sqlite:///file.db (three slashes) or sqlite:////absolute/path/file.db (four)",
        )
    path, _, query = rest[1:].partition("?")
    database = _decode(path, "path")
    if database in ("", ":memory:"):
        raise UsageError(f"{text!r} names no file", "write sqlite:///file.db or sqlite:////absolute/path/file.db")
    if database.startswith("file:"):
        raise UsageError(f"{redact_url(text)!r} is a file: URI inside a URL", "write sqlite:/// and the plain path")
    return DatabaseUrl(engine=EngineName.SQLITE, database=database, query=_parse_query(query))


def _parse_server_url(engine: EngineName, text: str, rest: str) -> DatabaseUrl:
    login, rest = _split_login(rest)
    user, _, password = login.partition(":")
    found = _HOSTS.match(rest)
    if found is None:
        raise UsageError(
            f"the host or port in the URL {_scheme_of(text)}… cannot be read",
            "write host:port, an IPv6 address in brackets, and encode special characters as %XX",
        )
    hosts, rest = found[0], rest[found.end() :]
    _check_ports(hosts, text)
    path, _, query_text = rest.partition("?")
    query = _parse_query(query_text)
    secret = password or next((value for key, value in query if key.lower() in _SECRET_PARAMETERS), "")
    if any(key.lower() == "sslpassword" for key, _ in query):
        raise UsageError(
            f"the URL {_scheme_of(text)}… holds sslpassword, a secret that would be shown",
            "use a key file without a passphrase or a service file",
        )
    kept = tuple(pair for pair in query if pair[0].lower() not in _SECRET_PARAMETERS)
    hosts, kept = _move_socket(hosts, kept)
    return DatabaseUrl(
        engine=engine,
        user=_decode(user, "user name"),
        password=Secret(_decode(secret, "password") if password else secret) if secret else None,
        hosts=hosts,
        database=_decode(path.removeprefix("/"), "database name"),
        query=kept,
    )


def _split_login(rest: str) -> tuple[str, str]:
    """Find the `@` that ends the login, also when the password holds `/`, `?`, `#` or `@` that nobody encoded."""
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    cut = authority.rfind("@")
    port = _PORT.search(authority)
    looks_like_login = cut >= 0 or (":" in authority and port is None and "[" not in authority)
    limit = len(rest) if cut < 0 and looks_like_login else len(rest.partition("?")[0])
    position = rest.rfind("@", 0, limit)
    while position > cut and ":" in authority:
        if _HOSTS_AND_PATH.match(rest, position + 1) or (cut < 0 and looks_like_login):
            cut = position
            break
        position = rest.rfind("@", 0, position)
    return ("", rest) if cut < 0 else (rest[:cut], rest[cut + 1 :])


def _check_ports(hosts: str, text: str) -> None:
    for host in hosts.split(","):
        port = _PORT.search(host)
        if port and port[1] and not 1 <= int(port[1]) <= 65535:
            raise UsageError(f"the port in the URL {_scheme_of(text)}… is not between 1 and 65535")


def _move_socket(hosts: str, query: tuple[tuple[str, str], ...]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Turn libpq's `postgresql://%2Fvar%2Frun%2Fpostgresql:5433/db` into `?host=…&port=…`, which all drivers read."""
    if not hosts.lower().startswith("%2f"):
        return hosts.removesuffix(":"), query
    port = _PORT.search(hosts)
    directory = unquote(hosts[: port.start()] if port else hosts)
    added = (("host", directory), *((("port", port[1]),) if port and port[1] else ()))
    return "", (*added, *query)


def _parse_query(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (item.partition("=") for item in text.split("&") if item)
    return tuple((_decode(key, "parameters"), _decode(value, "parameters")) for key, _, value in pairs)


def _decode(text: str, part: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UsageError(f"the {part} in the URL holds %XX codes that are not UTF-8") from None
    if "\0" in decoded:
        raise UsageError(f"the {part} in the URL holds a NUL character, which no server accepts")
    if part != "path" and any("\ud800" <= character <= "\udfff" for character in decoded):
        raise UsageError(f"the {part} in the URL is not UTF-8")
    return decoded


def _scheme_of(text: str) -> str:
    return format_untrusted(text.partition("://")[0], 30) + "://"
