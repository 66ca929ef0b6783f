"""Signatures of S3 requests: as Amazon's documentation has them, and as Amazon's own client makes them."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from dbtui.adapters.remotes.aws_credentials import AwsCredentials
from dbtui.adapters.remotes.s3_signing import EMPTY_SHA256, format_query, quote_key, sign_headers
from dbtui.model.connections import Secret

KEY = AwsCredentials("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
WHEN = datetime(2013, 5, 24, tzinfo=UTC)


def test_the_documentations_example() -> None:
    headers = {
        "Host": "examplebucket.s3.amazonaws.com", "Range": "bytes=0-9", "x-amz-content-sha256": EMPTY_SHA256,
    }  # fmt: skip
    signed = sign_headers("GET", "/test.txt", "", headers, KEY, "us-east-1", WHEN)
    assert signed["Authorization"].endswith(
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    assert KEY.secret.reveal() not in str(signed)


@pytest.mark.parametrize(("method", "key", "query", "token"), [
    ("GET", "", {"list-type": "2", "prefix": "erp/a b+c", "continuation-token": "x/y=="}, None),
    ("PUT", "erp/é €/%41+~*'(", {"partNumber": "10", "uploadId": "a.b_c-d~"}, "a/token+="),
    ("POST", "erp/a", {"uploads": ""}, None),
])  # fmt: skip
def test_as_amazons_own_client(
    monkeypatch: pytest.MonkeyPatch, method: str, key: str, query: dict[str, str], token: str | None
) -> None:
    url = f"https://minio:9000/bucket/{quote_key(key)}?{format_query(query)}"
    theirs = AWSRequest(method, url, headers={"x-amz-storage-class": " A  B "})
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: WHEN.replace(tzinfo=None))
    S3SigV4Auth(Credentials("A", "secret", token), "s3", "eu-west-1").add_auth(theirs)
    headers = {"Host": "minio:9000", "x-amz-content-sha256": EMPTY_SHA256, "x-amz-storage-class": " A  B "}
    credentials = AwsCredentials("A", Secret("secret"), Secret(token) if token else None)
    path = urlsplit(url).path
    signed = sign_headers(method, path, format_query(query), headers, credentials, "eu-west-1", WHEN)
    assert signed["Authorization"].rpartition("=")[2] == theirs.headers["Authorization"].rpartition("=")[2]
