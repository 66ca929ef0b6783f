"""What libpq and PostgreSQL say when they refuse, told in one sentence with what to do."""

import re
from collections.abc import Mapping

import psycopg2

from dbtui.adapters.libpq.conninfo import format_server
from dbtui.adapters.libpq.lost_errors import take_lost_error
from dbtui.errors import AuthenticationError, ConnectError, DbtuiError, ServerError, UsageError
from dbtui.model.text import format_untrusted

_LOGIN = "correct user and password: password_env or password_command of the profile, .pgpass, or a service file"
TOO_MANY_CONNECTIONS = "53300"
_STATE = re.compile(r"\|([0-9][0-9A-Z]{4})$")
_CLASSES_OF_CONNECTION = ("08", "57P01", "57P02", "57P03")

#: Parts of libpq's and the server's words, whether the login was refused, what it means, and what to do.
#: libpq gives no SQLSTATE for a connection that was never made (psycopg2's pgcode is None then).
_CONNECT: tuple[tuple[str, bool, str, str], ...] = (
    (r"does not match host name", False, "the certificate of {where} is for another host name: {said}",
     "connect by the name in the certificate, or use sslmode=verify-ca if any name will do"),
    (r"certificate has expired", False, "the certificate of {where} has expired", "renew it there"),
    (r"certificate verify failed", False, "the certificate of {where} is not signed by the authority that was given",
     "correct sslrootcert, or find out who answers there"),
    (r"root certificate file .* does not exist", False, "there is no authority to check {where} against: {tls_said}",
     "let sslrootcert name its file (or system), or use a laxer sslmode"),
    (r"could not read root certificate file", False, "{said}", "let sslrootcert name a file of PEM certificates"),
    (r"requires a valid client certificate", False, "{where} asks for a client certificate",
     "give sslcert and sslkey in the URL: files that can be read here"),
    (r"alert (?:unknown ca|bad certificate|certificate|decrypt)", False,
     "{where} refused the client certificate: {said}",
     "correct sslcert and sslkey: an authority that it knows must have signed them"),
    (r"certificate authentication failed", False, "the client certificate is not one of user {user} on {where}",
     "its common name must be the user's, or pg_ident.conf there must map it"),
    (r"private key file|but not private key", False, "the client certificate cannot be used: {said}",
     "correct sslcert and sslkey; the key's file wants mode 0600"),
    (r"does not support SSL", False, "{where} speaks no TLS and TLS was asked for",
     "switch it on there (ssl = on), or use sslmode=prefer"),
    (r"channel binding", True, "{where} cannot bind the login to the TLS channel: {said}",
     "take channel_binding=require out of the URL, or use TLS and a SCRAM password"),
    (r"no pg_hba\.conf entry .*no encryption", True, "{where} lets user {user} in over TLS alone, if at all: {said}",
     "take sslmode=disable out of the URL, or add a line for it to pg_hba.conf there"),
    (r"password authentication failed|28P01", True, "{where} refused the password of user {user}", _LOGIN),
    (r"no password supplied", True, "{where} asks for a password and none was given for user {user}", _LOGIN),
    (r"no pg_hba\.conf entry", True, "{where} lets no such login in: {said}", "add a line for it to pg_hba.conf there"),
    (r"role .* does not exist|no such user", True, "user {user} does not exist on {where}", "correct the user name"),
    (r"is not permitted to log in", True, "user {user} may not log in on {where}", "ALTER ROLE … LOGIN allows it"),
    (r"authentication failed|GSSAPI|SASL|28000", True, "{where} refused the login of {user}: {said}", _LOGIN),
    (r"permission denied for database", True, "user {user} may not connect to database {database} on {where}",
     "GRANT CONNECT ON DATABASE allows it"),
    (r"database .* does not exist|no such database|3D000", False, "database {database} does not exist on {where}",
     "create it or correct its name in the URL"),
    (r"not currently accepting connections", False, "database {database} on {where} accepts no connections",
     "ALTER DATABASE … ALLOW_CONNECTIONS true opens it"),
    (r"starting up|recovery|57P03", False, "the server at {where} is still starting: {said}", "try again soon"),
    (r"shutting down|57P01", False, "the server at {where} is shutting down", "start it again"),
    (r"no more connections allowed", False, "PgBouncer at {where} takes no more clients: {said}",
     "raise max_client_conn there, with its limit of open files, or let fewer processes connect"),
    (r"too many (?:clients|connections)|remaining connection slots|53300", False,
     "the server at {where} has no free session: {said}", "end some sessions or raise max_connections"),
    (r"could not translate host name", False, "the host name in {where} is not known here", "correct the host"),
    (r"Connection refused", False, "nothing listens at {where}: connection refused", "start the server or correct host and port"),  # noqa: E501
    (r"No such file or directory", False, "there is no server socket at {where}", "start the server or correct the socket directory and port"),  # noqa: E501
    (r"timeout expired|timed out", False, "{where} did not answer in time", "check the network, or raise connect_timeout in the URL"),  # noqa: E501
    (r"No route to host|Network is unreachable", False, "there is no network route to {where}", "check the network"),
    (r"unsupported startup parameter", False, "the pooler at {where} refuses a parameter of the URL: {said}", "remove it from the URL"),  # noqa: E501
    (r"definition of service", False, "the service that the URL names is not defined: {said}", "see .pg_service.conf"),
)  # fmt: skip


class MissingDatabaseError(ConnectError):
    """The server was reached and let the login in, but has no such database."""


def translate_connect(error: psycopg2.Error, parameters: Mapping[str, str]) -> DbtuiError:
    """Return what a refused connection means: AuthenticationError, ConnectError, or UsageError for a bad parameter."""
    text = str(error).strip()
    said = _said(text)
    if isinstance(error, psycopg2.ProgrammingError) or re.match(r"invalid \w+ value", text):
        return UsageError(f"the PostgreSQL URL is not understood: {said}", "correct it")
    words = {
        "where": format_server(parameters),
        "user": _name(parameters.get("user") or _quoted_after(text, "user|role")),
        "database": _name(parameters.get("dbname") or _quoted_after(text, "database")),
        "said": said,
        "tls_said": format_untrusted(text.partition(" failed: ")[2].split("\n")[0], 300),
    }
    for pattern, is_login, sentence, hint in _CONNECT:
        wording, state = _split(pattern)
        if (state and error.pgcode == state) or re.search(wording, text, re.DOTALL):
            kind = AuthenticationError if is_login else ConnectError
            if "no such database" in pattern:
                kind = MissingDatabaseError
            # A refusal comes without an SQLSTATE; PgBouncer's own means what the server's too_many_connections means.
            is_full = "no more connections" in pattern or TOO_MANY_CONNECTIONS in pattern
            implied = TOO_MANY_CONNECTIONS if is_full else ""
            return kind(sentence.format_map(words), hint, code=error.pgcode or implied)
    return ConnectError(f"cannot connect to {words['where']}: {said}", code=error.pgcode or "")


def _split(pattern: str) -> tuple[str, str]:
    """Return what is looked for in words, and the SQLSTATE: in words that would be found in the number of a port."""
    found = _STATE.search(pattern)
    return (pattern[: found.start()], found[1]) if found else (pattern, "")


def _name(name: str) -> str:
    return f'"{format_untrusted(name, 120)}"'


def _quoted_after(text: str, words: str) -> str:
    found = re.search(rf'(?:{words}) "((?:[^"]|"")*)"', text, re.DOTALL)
    return found[1] if found else ""


def _said(text: str) -> str:
    """The server's own words in one line: without libpq's preface, its indented questions and repetitions."""
    lines = [line for line in text.splitlines() if line and not line.startswith("\t")]
    last = re.sub(r"^connection to server .*? failed: ", "", lines[-1] if lines else "")
    return format_untrusted(re.sub(r"^(?:FATAL|ERROR):\s+", "", last), 300) or "no reason was given"


def translate(error: psycopg2.Error, what: str = "") -> DbtuiError:
    """Return what an error of psycopg2 means; `what` says what was being done ("creating database x").

    A lost connection is a ConnectError, everything else a ServerError with its SQLSTATE.
    """
    if not error.pgcode:
        error = take_lost_error() or error
    code = error.pgcode or ""
    primary = error.diag.message_primary or _said(str(error))
    said = format_untrusted(primary, 400)
    if error.diag.message_detail:
        said += f" ({format_untrusted(error.diag.message_detail, 300)})"
    hint = format_untrusted(error.diag.message_hint or "", 300)
    subject = f"{what}: {said}" if what else said
    if code.startswith(_CLASSES_OF_CONNECTION) or (not code and isinstance(error, psycopg2.OperationalError)):
        lost = f"the connection to the server was lost: {subject}"
        return ConnectError(lost, "check the server, then try again", code=code)
    return ServerError(subject, hint, code=code)
