"""The URL that is to be loaded, taken apart; what may be shown of it; and which headers may go with it."""

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from dbtui.errors import UsageError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.text import format_untrusted
from dbtui.model.urls import DatabaseUrl, parse_database_url

_PORTS = {"http": 80, "https": 443}
_SECRET_WORDS = re.compile(r"(?i)([?&][^=&]*(?:token|key|secret|passw|pwd|auth|sig|session|code)[^=&]*=)[^&]+")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHOD = re.compile(r"[A-Z]{1,20}")
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "expect", "upgrade"})
_POOLER_PARAMETERS = frozenset({"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"})
_LEFT_OUT = frozenset({"hostaddr", "options", "service", *_POOLER_PARAMETERS})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpUrl:
    """A URL's parts. `authorization` is the header that a login in the URL stands for."""

    is_tls: bool
    host: str
    port: int
    resource: str
    authorization: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The URL without login, and without what looks like a secret among its parameters."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == (443 if self.is_tls else 80) else f":{self.port}"
        resource = _SECRET_WORDS.sub(r"\1***", self.resource)
        return format_untrusted(f"{'https' if self.is_tls else 'http'}://{host}{port}{resource}", 300)


def parse_http_url(text: str) -> HttpUrl:
    """Take a URL apart. Raises UsageError, whose text holds no login."""
    hint = "write http://host:port/path or https://…"
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError("the URL to load cannot be understood", hint) from None
    if parts.scheme.lower() not in _PORTS or not host:
        raise UsageError("what is to be loaded is not a URL of a web server", hint)
    if re.search(r"[\x00-\x20\x7f]", text.strip()):
        raise UsageError("the URL to load holds a space or a control character", "encode it as %XX")
    query = f"?{parts.query}" if parts.query else ""
    login = ""
    if parts.username is not None:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        login = "Basic " + base64.b64encode(words).decode()
    return HttpUrl(
        is_tls=parts.scheme.lower() == "https",
        host=_ascii_host(host, hint),
        port=port if port is not None else _PORTS[parts.scheme.lower()],
        resource=quote((parts.path or "/") + query, safe="+*,;=:%~-._/?#[]@!$&'()"),
        authorization=login,
    )


def _ascii_host(host: str, hint: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise UsageError("the host in the URL to load is no name that can be looked up", hint) from None


def parse_header(text: str) -> tuple[str, str]:
    """Return the name and value of `Name: value`. Raises UsageError, whose text does not hold the value."""
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _TOKEN.fullmatch(name):
        raise UsageError(f"the header {format_untrusted(name, 40)!r} is not written as Name: value")
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) or any(ord(character) > 255 for character in value):
        raise UsageError(f"the value of the header {name} holds characters that no header can have")
    if name.lower() in _OURS:
        raise UsageError(f"the header {name} is not for you to set", "it follows from the request")
    return name, value


def parse_method(text: str) -> str:
    """Return a method in capitals. Raises UsageError."""
    if not _METHOD.fullmatch(text.upper()) or text.upper() in ("CONNECT", "TRACE"):
        raise UsageError(f"{format_untrusted(text, 20)!r} is not a method for a load test", "use GET, POST, PUT …")
    return text.upper()


def pooled_url(profile: ConnectionProfile) -> str:
    """Return the profile's URL with the place of its PgBouncer: the same login and database. Raises UsageError."""
    own, pooler = parse_database_url(profile.url), parse_database_url(profile.pgbouncer_url)
    kept = tuple(pair for pair in own.query if pair[0].lower() not in _LEFT_OUT)
    place = tuple(pair for pair in pooler.query if pair[0].lower() in _POOLER_PARAMETERS)
    return str(
        DatabaseUrl(engine=own.engine, user=own.user, hosts=pooler.hosts, database=own.database, query=(*place, *kept))
    )
