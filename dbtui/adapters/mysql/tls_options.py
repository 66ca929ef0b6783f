"""TLS as people ask for it: in URLs written for SQLAlchemy, PyMySQL or the mysql client, and in option files."""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.mysql.option_files import format_value
from dbtui.errors import UsageError
from dbtui.model.text import format_untrusted

#: From this version on the MariaDB client checks nothing at all once it is told not to check the host name
#: (libmariadb 3.4); before, it checks the authority whenever it is given one.
_ALL_OR_NOTHING_SINCE = 110400

#: Modes of mysql's --ssl-mode, and what other programs call them.
_MODES = {
    "disabled": ("disabled", "disable", "false", "0", "off", "no"),
    "preferred": ("preferred", "prefer"),
    "required": ("required", "require", "true", "1", "on", "yes", "skip_verify"),
    "verify_ca": ("verify_ca",),
    "verify_identity": ("verify_identity", "verify_full"),
}
_MODE_OF = {word: mode for mode, words in _MODES.items() for word in words}

#: A URL's parameters, in small letters and with `_` for `-`, and what they set.
PARAMETERS = {
    "ssl": "mode",
    "tls": "mode",
    "sslmode": "mode",
    "ssl_mode": "mode",
    "usessl": "mode",
    "ssl_disabled": "disabled",
    "skip_ssl": "disabled",
    "ssl_ca": "ca",
    "ssl_capath": "capath",
    "ssl_cert": "cert",
    "sslcert": "cert",
    "ssl_key": "key",
    "sslkey": "key",
    "ssl_cipher": "cipher",
    "ssl_verify_cert": "verify_cert",
    "ssl_verify_identity": "verify_identity",
    "ssl_verify_server_cert": "verify_identity",
    "ssl_check_hostname": "verify_identity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """`mode` is one of mysql's --ssl-mode, in small letters; the files are paths, empty: none."""

    mode: str = "preferred"
    ca: str = ""
    capath: str = ""
    cert: str = ""
    key: str = ""
    cipher: str = ""

    @property
    def is_verified(self) -> bool:
        """Whether the server has to prove who it is."""
        return self.mode in ("verify_ca", "verify_identity")


def parse_tls(parameters: Mapping[str, str], filed: Mapping[str, str]) -> TlsOptions:
    """Return what a URL's parameters (by the names in PARAMETERS) ask for, completed from an option file.

    An authority to check against, without a mode, means that it is checked. Raises UsageError.
    """
    asked = {PARAMETERS[name]: value for name, value in parameters.items() if name in PARAMETERS}
    given = (_filed_files(filed) if _says_mode(asked) else _filed_words(filed)) | asked
    if not asked.keys().isdisjoint(("ca", "capath", "cert")) and "disabled" not in asked:
        given.pop("disabled", None)  # a certificate in the URL means more than skip-ssl in a file
    mode = _parse_mode(given)
    if mode == "preferred" and (given.get("ca") or given.get("capath")):
        mode = "verify_ca"
    files = {name: given.get(name, "") for name in ("ca", "capath", "cert", "key", "cipher")}
    return TlsOptions(mode=mode, **files)


def _says_mode(given: Mapping[str, str]) -> bool:
    return not given.keys().isdisjoint(("mode", "disabled", "verify_cert", "verify_identity"))


def _filed_files(filed: Mapping[str, str]) -> dict[str, str]:
    names = ("ca", "capath", "cert", "key", "cipher")
    return {name: filed[f"ssl-{name}"] for name in names if filed.get(f"ssl-{name}")}


def _filed_words(filed: Mapping[str, str]) -> dict[str, str]:
    """What an option file says, in the words of URLs; an option without a value is switched on."""
    words = _filed_files(filed)
    if filed.get("ssl-mode"):
        words["mode"] = filed["ssl-mode"]
    elif "ssl" in filed and not _is_true(filed["ssl"] or "1"):
        words["disabled"] = "1"
    if any(_is_true(filed[name] or "1") for name in ("skip-ssl", "disable-ssl") if name in filed):
        words["disabled"] = "1"
    if "ssl-verify-server-cert" in filed and _is_true(filed["ssl-verify-server-cert"] or "1"):
        words["verify_identity"] = "1"
    return words


def _parse_mode(given: Mapping[str, str]) -> str:
    text = given.get("mode", "preferred")
    mode = _MODE_OF.get(text.lower().replace("-", "_"))
    if mode is None:
        raise UsageError("the URL's ssl_mode is unknown", f"known are {', '.join(_MODES)}")
    if _is_true(given.get("disabled")):
        return "disabled"
    if _is_true(given.get("verify_identity")):
        return "verify_identity"
    return "verify_ca" if _is_true(given.get("verify_cert")) and mode != "verify_identity" else mode


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in ("1", "true", "yes", "on")


def _check_files(tls: TlsOptions) -> None:
    for name, path in (("ssl_ca", tls.ca), ("ssl_cert", tls.cert), ("ssl_key", tls.key)):
        try:
            if path:
                Path(path).open("rb").close()
        except OSError as error:
            said = f"the file {format_untrusted(path)} that {name} names cannot be read: {error.strerror}"
            raise UsageError(said, f"correct {name}") from None


def make_context(tls: TlsOptions) -> ssl.SSLContext:
    """Return the context for a driver.

    Raises UsageError for a file that cannot be read, ssl.SSLError for one that holds no certificate or another's key.
    """
    _check_files(tls)
    context = ssl.create_default_context(cafile=tls.ca or None, capath=tls.capath or None)
    # Certificates that servers make for themselves do not pass the strict rules of newer Pythons.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = tls.mode == "verify_identity"
    if not tls.is_verified:
        context.verify_mode = ssl.CERT_NONE
    if tls.cert:
        context.load_cert_chain(tls.cert, tls.key or None)
    if tls.cipher:
        context.set_ciphers(tls.cipher)
    return context


def tool_lines(tls: TlsOptions, *, is_encrypted: bool, mariadb_version: int | None) -> Iterator[str]:
    """Yield the TLS lines of a tool's option file.

    `mariadb_version` is the MariaDB tool's number, None for Oracle's tool. A tool is never laxer than the connection.
    """
    values = [("cert", tls.cert), ("key", tls.key), ("cipher", tls.cipher)]
    if tls.is_verified:  # a MariaDB tool checks an authority that it is given, wanted or not
        ca = tls.ca or ("" if tls.capath else ssl.get_default_verify_paths().cafile or "")
        values = [("ca", ca), ("capath", tls.capath), *values]
    if tls.mode != "disabled":
        yield from (f"ssl-{name}={format_value(value)}" for name, value in values if value)
    if mariadb_version is None:
        yield f"ssl-mode={tls.mode.upper() if tls.is_verified else 'REQUIRED' if is_encrypted else 'PREFERRED'}"
        return
    yield "ssl" if is_encrypted else "skip-ssl"
    if tls.mode == "verify_identity" or (tls.is_verified and mariadb_version >= _ALL_OR_NOTHING_SINCE):
        yield "ssl-verify-server-cert"
    elif not tls.is_verified:
        # Clients from 11.4 on insist on a verified certificate unless told otherwise.
        yield "loose-disable-ssl-verify-server-cert"
