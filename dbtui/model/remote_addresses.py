"""Addresses of remotes as people write them, taken apart: s3://backups/erp, sftp://dba@vault:2222/srv/backups.

They are taken as they are written: nothing in them is decoded, and `str()` of one gives it again.
"""

import re

from dbtui.errors import UsageError
from dbtui.model.remotes import RemoteAddress, RemoteKind
from dbtui.model.urls import redact_url

REMOTE_SCHEMES = "s3://bucket/path, gs://bucket/path, az://container/path, sftp://user@host/path or file:///directory"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MEANT = {
    "s3a": "s3", "s3n": "s3", "minio": "s3", "gcs": "gs", "google": "gs", "azure": "az", "abfs": "az", "abfss": "az",
    "wasb": "az", "wasbs": "az", "adl": "az", "ssh": "sftp", "scp": "sftp",
}  # fmt: skip
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_SSH_HOST = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.@+\\$-]*)@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:]+(?:%\w+)?)\]|(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*))(?::(?P<port>[0-9]{1,5}))?"
)


def is_remote_address(text: str) -> bool:
    """Return whether this is meant as a remote's address and not as a directory: it begins with a scheme."""
    return _SCHEME.match(text.strip()) is not None


def parse_remote_address(text: str) -> RemoteAddress:
    """Take an address apart. Raises UsageError, whose text never holds a password."""
    text = text.strip()
    kind = _parse_scheme(text)
    rest = text.partition("://")[2]
    _check_secrets(text, rest, kind)
    _check_characters(text, rest)
    host, slash, path = rest.partition("/")
    if kind is RemoteKind.DIRECTORY:
        return _parse_directory(text, host, path)
    if kind is RemoteKind.SFTP:
        return _parse_sftp(text, host, slash + path)
    return _parse_bucket(text, kind, host, path)


def _parse_scheme(text: str) -> RemoteKind:
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if scheme in tuple(RemoteKind):
        return RemoteKind(scheme)
    if scheme in _MEANT:
        raise UsageError(
            f"{redact_url(text)!r} is no address of a remote", f"write {_MEANT[scheme]}:// for {scheme}://"
        )
    hint = f"use {REMOTE_SCHEMES}"
    if scheme in ("http", "https"):
        hint += '; the endpoint of a store that speaks S3 stands in the configuration: endpoint of [remotes."s3://…"]'
    raise UsageError(f"{redact_url(text)!r} is no address of a remote that dbtui knows", hint)


def _check_secrets(text: str, rest: str, kind: RemoteKind) -> None:
    authority = rest.partition("/")[0]
    if kind is RemoteKind.SFTP:
        login, at, _ = authority.rpartition("@")
        # A password may hold a slash: then what stands before it looks like a host with a strange port.
        cut = not at and "@" in rest and re.search(r":(?![0-9]*$)", authority.partition("]")[2] or authority)
        wrong = ":" in login or bool(cut)
        hint = "leave it out: SFTP logs in by key or agent, as ssh does"
    else:
        wrong = kind is not RemoteKind.DIRECTORY and ("@" in authority or ":" in authority)
        hint = "leave it out: keys come from the environment or the configuration"
    if wrong:
        raise UsageError(f"{redact_url(text)!r} holds a login, which would be shown wherever the address is", hint)


def _check_characters(text: str, rest: str) -> None:
    if "?" in rest or "#" in rest:
        raise UsageError(
            f"{_shown(text)!r} goes on with `?` or `#`, which addresses of remotes do not",
            'such settings stand in the configuration, under [remotes."…"]',
        )
    if any(ord(character) < 32 or ord(character) == 127 or "\ud800" <= character <= "\udfff" for character in rest):
        raise UsageError(f"{redact_url(text)!r} holds characters that cannot be printed")


def _shown(text: str) -> str:
    """What stands before the first `?` or `#`: behind it there may be a key."""
    return redact_url(re.split(r"[?#]", text, maxsplit=1)[0])


def _parse_directory(text: str, host: str, path: str) -> RemoteAddress:
    if host not in ("", "localhost"):
        raise UsageError(
            f"{redact_url(text)!r} names a host, which a directory has not",
            "write file:///absolute/path (three slashes), or sftp://host/path for another machine",
        )
    return RemoteAddress(RemoteKind.DIRECTORY, "", f"/{_parse_path(text, path, needed=True)}")


def _parse_sftp(text: str, host: str, path: str) -> RemoteAddress:
    found = _SSH_HOST.fullmatch(host)
    if found is None:
        raise UsageError(
            f"the host in {redact_url(text)!r} cannot be read", "write sftp://user@host:port/path, IPv6 in brackets"
        )
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise UsageError(f"the port in {redact_url(text)!r} is not between 1 and 65535")
    user = f"{found['user']}@" if found["user"] else ""
    machine = user + (found["ipv6"] or found["host"])
    if path == "/~" or path.startswith("/~/"):
        return RemoteAddress(RemoteKind.SFTP, machine, _parse_path(text, path[3:], needed=False), port)
    return RemoteAddress(RemoteKind.SFTP, machine, f"/{_parse_path(text, path[1:], needed=True)}", port)


def _parse_bucket(text: str, kind: RemoteKind, host: str, path: str) -> RemoteAddress:
    pattern = _CONTAINER if kind is RemoteKind.AZURE else _BUCKET
    if pattern.fullmatch(host) is None:
        what = "container" if kind is RemoteKind.AZURE else "bucket"
        raise UsageError(
            f"{redact_url(text)!r} names no {what} that can be",
            f"write {kind.value}://{what}/path; a {what}'s name has 3 letters or more, digits and hyphens",
        )
    return RemoteAddress(kind, host, _parse_path(text, path, needed=False))


def _parse_path(text: str, path: str, *, needed: bool) -> str:
    path = path.rstrip("/")
    parts = path.split("/") if path else []
    if any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"the path of {redact_url(text)!r} holds `//`, `.` or `..`", "write it plainly")
    if needed and not parts:
        raise UsageError(
            f"{redact_url(text)!r} names no directory",
            "write an absolute path, or /~/path for one below the login's home (SFTP)",
        )
    return path
