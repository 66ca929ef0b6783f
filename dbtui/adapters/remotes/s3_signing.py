"""Signatures of S3 requests: AWS Signature Version 4, in the header.

Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header".
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from dbtui.adapters.remotes.aws_credentials import AwsCredentials

_ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def quote_key(key: str) -> str:
    """Return an object's key as it stands in a request's path."""
    return quote(key, safe="/-._~")


def format_query(query: Mapping[str, str]) -> str:
    """Return a query as it is signed and sent: sorted, everything encoded."""
    pairs = sorted((quote(key, safe="-._~"), quote(value, safe="-._~")) for key, value in query.items())
    return "&".join(f"{key}={value}" for key, value in pairs)


def sign_headers(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    credentials: AwsCredentials,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """Return `headers`, which hold Host and x-amz-content-sha256, with date, token and Authorization added.

    `path` and `query` are encoded already.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "x-amz-date": stamp}
    if credentials.token is not None:
        signed["x-amz-security-token"] = credentials.token.reveal()
    canonical = {name.lower(): " ".join(value.split()) for name, value in signed.items()}
    names = ";".join(sorted(canonical))
    lines = "".join(f"{name}:{canonical[name]}\n" for name in sorted(canonical))
    request = "\n".join((method, path, query, lines, names, canonical["x-amz-content-sha256"]))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret.reveal()}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, text).hex()
    signed["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope},SignedHeaders={names},Signature={signature}"
    )
    return signed


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
