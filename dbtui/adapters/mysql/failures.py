"""What PyMySQL and the server say when they refuse, told in one sentence with what to do."""

import re
import socket

import pymysql

from dbtui.adapters.mysql.options import MysqlOptions
from dbtui.errors import AuthenticationError, ConnectError, DbtuiError, ServerError
from dbtui.model.text import format_untrusted

LOST = (2006, 2013, 2014, 2055, 1053, 1927, 4031)
INTERRUPTED = (1317, 1028, 3024, 1969)
_LOGIN = "correct user and password: password_env or password_command of the profile, or ~/.my.cnf"

#: Error numbers (manual, "Server Error Message Reference" and "Client Error Message Reference"), whether the login was
#: refused, what it means, and what to do.
_CONNECT: dict[int, tuple[bool, str, str]] = {
    1044: (True, "user {user} may not use database {database} on {server}", "GRANT it the privileges it needs"),
    1045: (True, "{server} refused the password of user {user}", _LOGIN),
    1698: (True, "{server} lets user {user} in only from its own operating system account", _LOGIN),
    1251: (True, "{server} asks for a login method that is not known here", "give the account another plugin"),
    2059: (True, "{server} asks for a login method that is not known here", "give the account another plugin"),
    1862: (True, "the password of user {user} on {server} has expired", "set a new one with ALTER USER"),
    3118: (True, "the account of user {user} on {server} is locked", "ALTER USER … ACCOUNT UNLOCK opens it"),
    4151: (True, "the account of user {user} on {server} is locked", "ALTER USER … ACCOUNT UNLOCK opens it"),
    3159: (True, "{server} takes encrypted connections only", "add ssl_mode=required to the URL"),
    1040: (False, "{server} has no free session: too many connections", "end some sessions or raise max_connections"),
    1203: (False, "user {user} has all the sessions on {server} that it may have", "end some of them"),
    1226: (False, "user {user} has used up one of its limits on {server}", "see ALTER USER … WITH MAX_…"),
    1049: (False, "database {database} does not exist on {server}", "create it or correct its name in the URL"),
    1129: (False, "{server} blocks this host after too many failed connections", "FLUSH HOSTS there unblocks it"),
    1130: (True, "{server} lets nobody in from this host", "create an account for this host there"),
    1053: (False, "{server} is shutting down", "start it again"),
    2005: (False, "the host name in {server} is not known here", "correct the host"),
}


def translate_connect(error: Exception, options: MysqlOptions) -> DbtuiError:
    """Return what a refused connection means: an AuthenticationError or a ConnectError."""
    number, said = split_error(error)
    words = {"server": options.server, "user": format_untrusted(options.user, 80), "database": options.database}
    known = _CONNECT.get(number)
    if known is not None:
        is_login, sentence, hint = known
        if number == 1045:
            sentence, hint = _explain_denied(options, said) or sentence, hint + _denied_hint(options)
        text = format_untrusted(sentence.format_map(words))
        return (AuthenticationError if is_login else ConnectError)(text, hint, code=str(number))
    return _translate_network(error, options, said, str(number) if number else "")


def _explain_denied(options: MysqlOptions, said: str) -> str:
    if options.password is None:
        return "{server} asks for a password and none was given for user {user}"
    return "" if "(using password: YES)" in said else "{server} refused the login of user {user}"


def _denied_hint(options: MysqlOptions) -> str:
    """The server says the same of an account that may not log in like this: REQUIRE SSL, REQUIRE X509."""
    if options.password is None and options.login_path:
        return f"; logins in {format_untrusted(options.login_path)} are not read here"
    if options.socket or options.tls.mode == "disabled":
        return "; if the account REQUIREs SSL, connect over TCP without ssl_mode=disabled"
    return "" if options.tls.cert else "; if the account REQUIREs X509, give ssl_cert and ssl_key in the URL"


#: Parts of what OpenSSL and PyMySQL say, what it means, and what to do.
_TLS: tuple[tuple[str, str, str], ...] = (
    (r"mismatch, certificate is not valid|Hostname mismatch", "the certificate of {server} is for another host name",
     "connect by the name in the certificate, or use ssl_mode=verify_ca if any name will do"),
    (r"certificate has expired", "the certificate of {server} has expired", "renew it there"),
    (r"CERTIFICATE_VERIFY_FAILED", "the certificate of {server} is not signed by the authority that was given",
     "correct ssl_ca, or find out who answers there"),
    (r"ALERT_UNKNOWN_CA|ALERT_BAD_CERTIFICATE|ALERT_CERTIFICATE|ALERT_DECRYPT",
     "{server} refused the client certificate",
     "correct ssl_cert and ssl_key: its ssl_ca must have signed them"),
    (r"doesn't support it", "{server} speaks no TLS and TLS was asked for",
     "switch it on there, or use ssl_mode=preferred"),
    (r"KEY_VALUES_MISMATCH", "ssl_key is not the key of the certificate in ssl_cert", "correct one of them"),
    (r"NO_CERTIFICATE_OR_CRL_FOUND|NO_START_LINE|PEM lib|\[SSL\]|BAD_BASE64",
     "a file that ssl_ca, ssl_cert or ssl_key names holds no PEM certificate or key", "correct them"),
    (r"EOF occurred in violation of protocol",
     "{server} ended the connection while TLS began, as servers do that refuse a client certificate",
     "correct ssl_cert and ssl_key, or read the server's log"),
    (r"NO_CIPHER_MATCH", "no cipher is called as ssl_cipher says", "correct ssl_cipher"),
)  # fmt: skip


def _translate_network(error: Exception, options: MysqlOptions, said: str, code: str) -> ConnectError:
    cause = getattr(error, "original_exception", None) or error
    where = format_untrusted(options.server)
    for pattern, sentence, hint in _TLS:
        if re.search(pattern, said):
            return ConnectError(sentence.format(server=where), hint)
    if isinstance(cause, socket.gaierror):
        return ConnectError(f"the host name in {where} is not known here", "correct the host", code=code)
    if isinstance(cause, ConnectionRefusedError):
        hint = "start the server or correct the port"
        return ConnectError(f"nothing listens at {where}: connection refused", hint, code=code)
    if isinstance(cause, FileNotFoundError):
        hint = "start the server or correct unix_socket"
        return ConnectError(f"there is no server socket at {where}", hint, code=code)
    if isinstance(cause, TimeoutError) or "timed out" in said:
        hint = "check the network, or raise connect_timeout in the URL"
        return ConnectError(f"{where} did not answer in time", hint, code=code)
    return ConnectError(f"cannot connect to {where}: {said}", code=code)


def split_error(error: Exception) -> tuple[int, str]:
    """Return the number (0: none) and the words of an error, safe to show and without the data it may repeat."""
    arguments = error.args
    if len(arguments) >= 2 and isinstance(arguments[0], int):
        return arguments[0], format_untrusted(str(arguments[1]), 400)
    return 0, format_untrusted(str(arguments[0]) if arguments else type(error).__name__, 400)


def translate(error: Exception, what: str = "") -> DbtuiError:
    """Return what an error of a statement means; `what` says what was being done ("creating database x").

    A lost connection is a ConnectError, everything else a ServerError with its number.
    """
    number, said = split_error(error)
    subject = f"{what}: {said}" if what else said
    if number in LOST or (not number and isinstance(error, (pymysql.InterfaceError, OSError))):
        lost = f"the connection to the server was lost: {subject}"
        return ConnectError(lost, "check the server, then try again", code=str(number) if number else "")
    return ServerError(subject, code=str(number) if number else "")
