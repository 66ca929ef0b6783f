"""Manifests: complete, in the promised order, and every wrong one refused with a sentence."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupFile, BackupTable, Manifest
from dbtui.routines.backups.manifest import data_name, decode_manifest, decode_slim, encode_manifest, parse_compression
from tests.unit.samples import MANIFEST

CONTRACT = "".join(
    (
        "format_version, backup_id, engine, flavour, database, profile, url, server_version, tool, tool_version, ",
        "dbtui_version, format, compression, encryption, begin_time, end_time, files, size_bytes, tables, verified_at",
    )
).split(", ")


def as_dict() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(encode_manifest(MANIFEST))
    return document


def test_the_fields_are_those_promised_in_their_order() -> None:
    document = as_dict()
    assert list(document)[: len(CONTRACT)] == CONTRACT
    assert list(document) == [each.name for each in fields(Manifest)]
    assert document["files"] == [{"path": "erp-20261122T150000Z.sql", "size_bytes": 4321, "sha256": "00" * 32}]
    assert document["tables"][0] == {
        "schema": "public", "name": "users", "rows": 10, "rows_are": "exact", "bytes": 1000,
    }  # fmt: skip
    assert document["engine"] == "postgresql"
    assert encode_manifest(MANIFEST).endswith(b"\n}\n")


texts = st.text(max_size=20)
tables = st.builds(BackupTable, texts, texts, st.none() | st.integers(0, 1 << 60), st.just("exact"), st.none())


@settings(deadline=None)
@given(database=texts, names=st.lists(tables, max_size=5), warnings=st.lists(texts, max_size=3))
def test_what_is_written_is_read_back(database: str, names: list[BackupTable], warnings: list[str]) -> None:
    manifest = replace(MANIFEST, database=database, tables=tuple(names), warnings=tuple(warnings))
    assert decode_manifest(encode_manifest(manifest)) == manifest


def test_fields_of_the_future_are_passed_over_and_younger_ones_may_be_missing() -> None:
    document = {key: value for key, value in as_dict().items() if key in CONTRACT} | {"moon": {"phase": 3}}
    del document["verified_at"]
    data = json.dumps(document).encode()
    assert decode_manifest(data).verified_at is None
    assert decode_slim(data).proof is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "oracle"}, "engine"),
        ({"tables": "many"}, "tables"),
        ({"size_bytes": "big"}, "size_bytes"),
        ({"format_version": 2}, "newer than this dbtui knows"),
        ({"begin_time": "yesterday"}, "begin_time"),
    ],
)
def test_wrong_values_are_named(change: dict[str, Any], said: str) -> None:
    data = json.dumps(as_dict() | change).encode()
    for decode in (decode_manifest, decode_slim):
        with pytest.raises(DamagedBackupError, match=said):
            decode(data)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b"[" * 100_000, b'{"engine": "\x1b[31m"}', b"{}"]
)
def test_what_is_no_manifest_is_refused_in_one_line(data: bytes) -> None:
    for decode in (decode_manifest, decode_slim):
        with pytest.raises(DamagedBackupError) as caught:
            decode(data)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "paths",
    [
        ["../../etc/passwd"],
        ["/etc/passwd"],
        ["a/../../b"],
        ["a.sql", "b.sql"],
        ["a", "a/b"],
        [],
        [""],
        ["."],
        ["a//b"],
        ["a\0b"],
        ["./a"],
        ["a.dir/x", "b.dir/x"],
    ],
)
def test_a_forged_manifest_cannot_name_other_files(paths: list[str]) -> None:
    with pytest.raises(DamagedBackupError):
        data_name(paths)
    forged = replace(MANIFEST, files=tuple(BackupFile(path, 1, "") for path in paths))
    with pytest.raises(DamagedBackupError):
        decode_manifest(encode_manifest(forged))


def test_the_data_of_a_directory_is_the_directory() -> None:
    assert data_name(["x.dir/toc.dat", "x.dir/1.dat.gz"]) == "x.dir"


def test_compressions_are_read_back() -> None:
    assert str(parse_compression("zstd:3")) == "zstd:3"
    with pytest.raises(DamagedBackupError, match="compression"):
        parse_compression("zip")
    with pytest.raises(DamagedBackupError, match="compression"):
        parse_compression("zstd:high")
