"""Addresses of remotes: what is understood, what is refused with which words, and that no secret is repeated."""

import pytest

from dbtui.errors import UsageError
from dbtui.model.remote_addresses import is_remote_address, parse_remote_address
from dbtui.model.remotes import RemoteAddress, RemoteKind

UNDERSTOOD = [
    ("s3://backups", RemoteAddress(RemoteKind.S3, "backups", ""), "s3://backups"),
    ("s3://backups/", RemoteAddress(RemoteKind.S3, "backups", ""), "s3://backups"),
    ("S3://backups/erp/nightly/", RemoteAddress(RemoteKind.S3, "backups", "erp/nightly"), "s3://backups/erp/nightly"),
    ("s3://b.a-c_k/50% é x", RemoteAddress(RemoteKind.S3, "b.a-c_k", "50% é x"), "s3://b.a-c_k/50% é x"),
    ("gs://dumps/a@b:c", RemoteAddress(RemoteKind.GCS, "dumps", "a@b:c"), "gs://dumps/a@b:c"),
    ("az://nightly/erp", RemoteAddress(RemoteKind.AZURE, "nightly", "erp"), "az://nightly/erp"),
    ("sftp://vault/srv/b", RemoteAddress(RemoteKind.SFTP, "vault", "/srv/b"), "sftp://vault/srv/b"),
    ("sftp://dba@vault:2222/srv", RemoteAddress(RemoteKind.SFTP, "dba@vault", "/srv", 2222), "sftp://dba@vault:2222/srv"),
    ("sftp://vault/~/b/c", RemoteAddress(RemoteKind.SFTP, "vault", "b/c"), "sftp://vault/~/b/c"),
    ("sftp://vault/~", RemoteAddress(RemoteKind.SFTP, "vault", ""), "sftp://vault/~"),
    ("sftp://a@b@vault/~/", RemoteAddress(RemoteKind.SFTP, "a@b@vault", ""), "sftp://a@b@vault/~"),
    ("sftp://x@[fe80::1%eth0]:22/s", RemoteAddress(RemoteKind.SFTP, "x@fe80::1%eth0", "/s", 22), "sftp://x@[fe80::1%eth0]:22/s"),
    ("sftp://[::1]/s", RemoteAddress(RemoteKind.SFTP, "::1", "/s"), "sftp://[::1]/s"),
    ("sftp://vault/srv/a@b:c", RemoteAddress(RemoteKind.SFTP, "vault", "/srv/a@b:c"), "sftp://vault/srv/a@b:c"),
    ("file:///mnt/nas/b", RemoteAddress(RemoteKind.DIRECTORY, "", "/mnt/nas/b"), "file:///mnt/nas/b"),
    ("file://localhost/mnt", RemoteAddress(RemoteKind.DIRECTORY, "", "/mnt"), "file:///mnt"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "address", "written"), UNDERSTOOD)
def test_an_address_is_taken_apart_and_written_again(text: str, address: RemoteAddress, written: str) -> None:
    assert parse_remote_address(text) == address
    assert str(address) == written
    assert parse_remote_address(written) == address


REFUSED = [
    ("/srv/backups", "no address of a remote"),
    ("ftp://host/x", "use s3://"),
    ("https://s3.example.org/b", "endpoint"),
    ("gcs://bucket/x", "write gs:// for gcs://"),
    ("ssh://host/x", "write sftp:// for ssh://"),
    ("s3://", "names no bucket"),
    ("s3://ab", "names no bucket"),
    ("s3:///prefix", "names no bucket"),
    ("az://Upper/x", "names no container"),
    ("s3://bucket/a//b", "`//`"),
    ("s3://bucket/../x", "`..`"),
    ("s3://bucket/a\nb", "cannot be printed"),
    ("s3://bucket/a\udcff", "cannot be printed"),
    ("sftp://host", "names no directory"),
    ("sftp://host/", "names no directory"),
    ("sftp://-oProxyCommand=x/y", "cannot be read"),
    ("sftp://-x@host/y", "cannot be read"),
    ("sftp://host:0/x", "between 1 and 65535"),
    ("sftp://host:70000/x", "between 1 and 65535"),
    ("sftp:///x", "cannot be read"),
    ("file://server/share", "names a host"),
    ("file:///", "names no directory"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_cannot_be_an_address_is_refused_with_what_to_do(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_remote_address(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [
    "s3://AKIAKEY:hunter2@bucket/x",
    "s3://AKIAKEY:hun/hunter2@bucket/x",
    "s3://hunter2@bucket/x",
    "gs://bucket:hunter2/x?y@z",
    "sftp://dba:hunter2@vault/srv",
    "sftp://dba:x/hunter2@vault/srv",
    "sftp://dba:x@y/hunter2@vault/srv",
    "s3://bucket/x?X-Amz-Signature=hunter2",
    "az://container/x#hunter2",
])  # fmt: skip
def test_a_secret_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_remote_address(text)
    assert "hunter2" not in str(caught.value)


def test_a_directory_is_no_remote_and_a_scheme_always_is_one() -> None:
    assert all(map(is_remote_address, ("s3://b/x", "ftp://b", " s3://b")))
    assert not any(map(is_remote_address, ("/srv/x", "srv", "a:b", "./s3://x", "")))
