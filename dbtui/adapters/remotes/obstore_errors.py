"""Errors of obstore as ours. Their own texts are never shown: they are long and may hold signed URLs."""

import re

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from dbtui.adapters.remotes.refusals import certificate_error, refusal_error
from dbtui.errors import ConnectError, DbtuiError, RemoteError, RemoteExistsError
from dbtui.model.remotes import RemoteAddress

_STATUS = re.compile(r"status code: (\d{3})|\bstatus: (\d{3})\b")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,80})</Code>")
_REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")
_HOST = re.compile(r"https?://([^/\s?\"']+)")
_FAULTS = (
    (r"[Cc]ertificate|UnknownIssuer", ""),
    (r"[Cc]onnection refused", "refused the connection: nothing listens there"),
    (r"dns error|failed to lookup address", "has no address: the name is not known"),
    (r"timed out|TimedOut|Timeout|deadline has elapsed", "did not answer in time"),
    (r"[Cc]onnection reset|broken pipe|connection closed|IncompleteMessage|ConnectionAborted|UnexpectedEof"
     r"|error decoding response body|unexpected end of file|body write aborted",
     "broke the connection off, again and again"),
    (r"error sending request|HTTP error|Connect\b", "is not reached"),
)  # fmt: skip


def remote_error(address: RemoteAddress, error: Exception, doing: str) -> DbtuiError:
    """Return the error that says in a sentence what one of obstore's means. `doing` reads "write erp.dump"."""
    text = str(error)
    status = next((int(found[1] or found[2]) for found in (_STATUS.search(text),) if found), 0)
    code = next((found[1] for found in (_CODE.search(text),) if found), "")
    region = next((found[1] for found in (_REGION.search(text),) if found), "")
    if isinstance(error, AlreadyExistsError):
        return RemoteExistsError(f"{address} holds that name already: it was not asked to {doing}")
    if isinstance(error, FileNotFoundError) and not code:
        return refusal_error(address, 404, "NoSuchKey", doing)
    if status:
        return refusal_error(address, status, code, doing, region)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return refusal_error(address, 401 if isinstance(error, UnauthenticatedError) else 403, code, doing)
    if isinstance(error, NotSupportedError):
        return RemoteError(f"{address} is not able to {doing}", "it lacks what S3 has: conditional writes, for one")
    return _network_error(address, text) or RemoteError(f"{address} did not {doing}: {_kind(error)}")


def _network_error(address: RemoteAddress, text: str) -> ConnectError | None:
    host = _HOST.search(text)
    place = host[1] if host else "the server"
    for pattern, what in _FAULTS:
        if re.search(pattern, text):
            if not what:
                return certificate_error(address, place, "")
            return ConnectError(f"{address}: {place} {what}", "see the network, a firewall, the proxy or endpoint")
    return None


def _kind(error: Exception) -> str:
    return "its answer is not understood" if isinstance(error, BaseError) else f"{type(error).__name__}"
