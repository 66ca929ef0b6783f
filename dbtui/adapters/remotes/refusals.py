"""What object stores answer when they say no, each as one sentence with what to do.

Sources: Amazon S3 API Reference, "Error responses"; Azure, "Blob service error codes"; Google Cloud Storage,
"HTTP status and error codes".
"""

import http.client
import socket
import ssl
from collections.abc import Mapping

from dbtui.errors import AuthenticationError, ConnectError, DbtuiError, RemoteError, RemoteExistsError
from dbtui.model.remotes import RemoteAddress, RemoteKind
from dbtui.model.text import format_untrusted

_KEYS = {
    RemoteKind.S3: "see AWS_ACCESS_KEY_ID, AWS_PROFILE or access_key_id in the configuration",
    RemoteKind.GCS: "see GOOGLE_APPLICATION_CREDENTIALS or credentials_file in the configuration",
    RemoteKind.AZURE: "see AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or account in the configuration",
}
_UNKNOWN_KEY = {"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"}
_WRONG_SECRET = {"SignatureDoesNotMatch", "AuthenticationFailed", "InvalidAuthenticationInfo", "InvalidSecurity"}
_EXPIRED = {"ExpiredToken", "TokenRefreshRequired", "InvalidToken"}
_SKEWED = {"RequestTimeTooSkewed", "RequestExpired"}
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound", "ResourceNotFound"}
_OTHER_REGION = {
    "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect",
}  # fmt: skip
_FULL = {
    "QuotaExceeded",
    "XMinioStorageFull",
    "InsufficientStorage",
    "AccountProblem",
    "InsufficientAccountPermissions",
}
_TAKEN = {"PreconditionFailed", "BlobAlreadyExists", "ConditionNotMet", "ConditionalRequestConflict"}
_ABSENT = {"NoSuchKey", "BlobNotFound"}
TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}
TRANSIENT_CODES = {
    "RequestTimeout", "SlowDown", "InternalError", "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody",
    "ServiceUnavailable", "Throttling", "ThrottlingException", "OperationAborted", "XAmzContentChecksumMismatch",
    "InvalidDigest",
}  # fmt: skip


class UploadGoneError(RemoteError):
    """An upload in parts was completed or aborted by somebody else."""


class UnsupportedError(RemoteError):
    """The server does not know what it was asked for: not every one that speaks S3 knows all of it."""


def is_transient(status: int, code: str) -> bool:
    """Return whether the same request may well succeed a little later."""
    return (status in TRANSIENT_STATUSES and code != "NotImplemented") or code in TRANSIENT_CODES


def refusal_error(address: RemoteAddress, status: int, code: str, doing: str, region: str = "") -> DbtuiError:
    """Return the error for an answer that is no success. `doing` reads "write erp.dump"; `region` is what it names."""
    kind = address.kind
    bucket = "container" if kind is RemoteKind.AZURE else "bucket"
    shown = format_untrusted(code, 60) or http.client.responses.get(status, "")
    keys = _KEYS.get(kind, "")
    if code in _NO_BUCKET:
        return RemoteError(f"there is no {bucket} {address.host!r} for {address}", "create it, or correct the address")
    if code in _ABSENT:
        return RemoteError(f"{address} does not hold what was asked for: it was to {doing}", "use another copy")
    if code == "NoSuchUpload":
        return UploadGoneError(f"{address} has given up an upload, or another run did: {doing}", "send it again")
    if code == "NotImplemented" or status == http.client.NOT_IMPLEMENTED:
        return UnsupportedError(f"{address} does not know how to {doing} as it was asked to ({shown})")
    if code in _SKEWED:
        return AuthenticationError(
            f"{address} refuses requests of this machine, whose clock is wrong", "set the clock: timedatectl", code=code
        )
    if code in _UNKNOWN_KEY:
        return AuthenticationError(f"{address} does not know this access key", keys, code=code)
    if code in _EXPIRED:
        return AuthenticationError(f"the token for {address} has expired or is not valid", keys, code=code)
    if code in _WRONG_SECRET or status == http.client.UNAUTHORIZED:
        return AuthenticationError(f"{address} refused these credentials ({shown})", keys, code=code)
    if code in _OTHER_REGION or status in (301, 307, 308):
        hint = f"set region to {format_untrusted(region, 40)!r}" if region else "set region or endpoint"
        return RemoteError(
            f"the bucket of {address} is in another region", f"{hint} in the configuration or AWS_REGION"
        )
    if code in _TAKEN or status == http.client.PRECONDITION_FAILED:
        return RemoteExistsError(f"{address} holds that name already: it was not asked to {doing}")
    if code in _FULL or status == http.client.INSUFFICIENT_STORAGE:
        return RemoteError(f"{address} is full or has reached its quota ({shown})", "make room there")
    if code in ("InvalidObjectState", "BlobArchived"):
        return RemoteError(f"{address} has archived what is to be read ({shown})", "have it restored there first")
    if status == http.client.FORBIDDEN:
        # What is asked for by HEAD has no room for a reason: it may be the keys.
        hint = _permissions(kind) if code else f"{_permissions(kind)}; or its keys are wrong: {keys}"
        return RemoteError(f"{address} does not allow this login to {doing} ({shown})", hint)
    if is_transient(status, code):
        return ConnectError(f"{address} is overloaded or out of order (HTTP {status} {shown})", "try later", code=code)
    return RemoteError(f"{address} refused to {doing} (HTTP {status} {shown})")


def _permissions(kind: RemoteKind) -> str:
    needed = {
        RemoteKind.S3: "it needs s3:ListBucket, s3:GetObject, s3:PutObject, s3:AbortMultipartUpload, s3:DeleteObject",
        RemoteKind.GCS: "it needs the role Storage Object User on the bucket",
        RemoteKind.AZURE: "it needs the role Storage Blob Data Contributor on the container",
    }
    return needed.get(kind, "")


def network_error(address: RemoteAddress, error: Exception, place: str, seconds: float) -> ConnectError:
    """Return the error for a request that got no answer. `place` is host:port, `seconds` how long it was tried."""
    hint = "see the network, a firewall or a proxy between here and there"
    if isinstance(error, ssl.SSLCertVerificationError):
        return certificate_error(address, place, format_untrusted(error.verify_message, 100))
    if isinstance(error, ssl.SSLError):
        text, hint = "does not speak TLS as it should", "see whether endpoint should begin with http:// or https://"
    elif isinstance(error, socket.gaierror):
        text, hint = "has no address: the name is not known", "correct endpoint, region or the resolver of this machine"
    elif isinstance(error, ConnectionRefusedError):
        text, hint = "refused the connection: nothing listens there", "correct endpoint, or start the server"
    elif isinstance(error, TimeoutError):
        text = f"did not answer for {seconds:.0f} s"
    elif isinstance(error, http.client.HTTPException | ConnectionError):
        text = "broke the connection off, again and again"
    else:
        text = f"is not reached: {format_untrusted(getattr(error, 'strerror', '') or str(error), 100)}"
    return ConnectError(f"{address}: {place} {text}", hint)


def certificate_error(address: RemoteAddress, place: str, why: str) -> ConnectError:
    """Return the error for a server whose certificate is not trusted."""
    text = f"{address}: the certificate of {place} is not trusted" + (f" ({why})" if why else "")
    return ConnectError(text, "name its authority's certificate by ca_file in the configuration")


def check_name(address: RemoteAddress, name: str) -> str:
    """Return a name that every kind of remote can hold. Raises RemoteError for any other."""
    if not is_plain_name(name):
        raise RemoteError(f"{format_untrusted(name, 100)!r} is no name that {address} can hold")
    return name


def is_plain_name(name: str) -> bool:
    """Return whether every kind of remote can hold this name: no empty part, no `.` or `..`, nothing unprintable."""
    plain = not any(ord(letter) < 32 or ord(letter) == 127 or "\ud800" <= letter <= "\udfff" for letter in name)
    return plain and len(name.encode()) <= 900 and not any(part in ("", ".", "..") for part in name.split("/"))


def join_key(address: RemoteAddress, name: str) -> str:
    """Return an object's key in its bucket."""
    return f"{address.path}/{name}" if address.path else name


def settings_of(environ: Mapping[str, str], *names: str) -> str:
    """Return the first of these variables that is set."""
    return next((environ[name] for name in names if environ.get(name)), "")
