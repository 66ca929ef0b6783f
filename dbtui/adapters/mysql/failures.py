"""What PyMySQL and the server say when they refuse, told in one sentence with what to do."""

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
        if number == 1045 and options.password is None:
            sentence = "{server} asks for a password and none was given for user {user}"
        if number == 1045 and "(using password: YES)" not in said and options.password is not None:
            sentence = "{server} refused the login of user {user}"
        text = format_untrusted(sentence.format_map(words))
        return (AuthenticationError if is_login else ConnectError)(text, hint, code=str(number))
    return _translate_network(error, options, said, str(number) if number else "")


def _translate_network(error: Exception, options: MysqlOptions, said: str, code: str) -> ConnectError:
    cause = getattr(error, "original_exception", None) or error
    where = format_untrusted(options.server)
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
