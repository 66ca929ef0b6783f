"""Policies of partitioned tables in the configuration file, and table names as they are typed."""

from pathlib import Path

import pytest

from dbtui.config import load_settings
from dbtui.errors import ConfigError, UsageError
from dbtui.model.policies import ArchiveMode, Interval, IntervalUnit, KeyCodec, PartitionPolicy
from dbtui.model.tables import TableName, parse_table_name

HEAD = '[profiles.erp]\nurl = "postgresql://erp@db1/erp"\n\n'


def policies(tmp_path: Path, text: str) -> tuple[PartitionPolicy, ...]:
    path = tmp_path / "config.toml"
    path.write_text(HEAD + text)
    profile = load_settings({"DBTUI_CONFIG": str(path)}).profile("erp")
    assert profile is not None
    return profile.partitions


def test_the_policy_of_the_contract(tmp_path: Path) -> None:
    text = '[profiles.erp.partitions."public.audit_logs"]\ninterval = "1 month"\npremake = 4\n'
    (policy,) = policies(tmp_path, text + 'retention = "12 months"\narchive = true\n')
    month = IntervalUnit.MONTH
    assert policy == PartitionPolicy(
        table=TableName("public", "audit_logs"),
        interval=Interval(1, month),
        premake=4,
        retention=Interval(12, month),
        archive=ArchiveMode.DUMP,
        origin=f"{tmp_path}/config.toml, line 4",
    )


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    text = """[profiles.erp.partitions.events]
interval = "1 day"
time_zone = "Europe/Paris"
grace = "1 week"
codec = "epoch ms"
archive = "/srv/archive"
indexes = false

[profiles.erp.partitions."public.tenants"]
values = ["acme", "zeta"]

[profiles.erp.partitions.numbers]
interval = 1000000
retention = 5000000
archive = false

[profiles.erp.partitions.hashed]
modulus = 8
"""
    events, tenants, numbers, hashed = policies(tmp_path, text)
    assert (events.table, events.interval) == (TableName("", "events"), Interval(1, IntervalUnit.DAY))
    assert (events.time_zone, events.grace_seconds, events.codec) == (
        "Europe/Paris",
        7 * 86400.0,
        KeyCodec.EPOCH_MILLISECONDS,
    )
    assert (events.archive, events.archive_dir, events.ensure_indexes) == (ArchiveMode.DUMP, "/srv/archive", False)
    assert tenants.values == ("acme", "zeta")
    assert (numbers.interval, numbers.archive) == (Interval(1_000_000, IntervalUnit.NUMBER), ArchiveMode.NONE)
    assert numbers.retention == Interval(5_000_000, IntervalUnit.NUMBER)
    assert hashed.modulus == 8


@pytest.mark.parametrize(
    ("line", "number", "said"),
    [
        ('interval = "1 fortnight"', 5, "interval: "),
        ('interval = "soon"', 5, "interval: "),
        ("interval = 1.5", 5, "interval: expected a number or text in quotes"),
        ("interval = true", 5, "interval: expected a number or text in quotes"),
        ("premake = -1", 5, "premake: -1 partitions"),
        ('premake = "4"', 5, "premake: expected a number"),
        ('retention = "a while"', 5, "retention: "),
        ("archive = 3", 5, "archive: expected true, false or text in quotes"),
        ('time_zone = "Mars/Olympus"', 5, "time_zone: 'Mars/Olympus' is no time zone"),
        ('time_zone = "../etc/passwd"', 5, "is no time zone"),
        ('grace = "1 month"', 5, "grace: a grace of 1 month has no fixed length"),
        ('codec = "unix"', 5, "codec: 'unix' is no way to hold a time"),
        ("modulus = 0", 5, "modulus: "),
        ('values = "acme"', 5, "values: expected a list"),
        ('intervall = "1 day"', 5, "did you mean interval?"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, line: str, number: int, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        policies(tmp_path, f'[profiles.erp.partitions."public.audit_logs"]\n{line}\n')
    assert str(raised.value).startswith(f"{tmp_path}/config.toml, line {number}: profile 'erp': ")
    assert said in str(raised.value)


def test_a_table_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 4.*no table's name"):
        policies(tmp_path, '[profiles.erp.partitions.""]\ninterval = "1 day"\n')


@pytest.mark.parametrize(
    ("typed", "schema", "name"),
    [
        ("audit_logs", "", "audit_logs"),
        ("public.audit_logs", "public", "audit_logs"),
        ("Public.Audit Logs", "Public", "Audit Logs"),
        ('"my.schema"."my.table"', "my.schema", "my.table"),
        ('"a""b".c', 'a"b', "c"),
        ("`shop`.`or``ders`", "shop", "or`ders"),
        ('"a.b"', "", "a.b"),
        ("a.b.c", "a", "b.c"),
    ],
)
def test_names_as_they_are_typed(typed: str, schema: str, name: str) -> None:
    assert parse_table_name(typed) == TableName(schema, name)


@pytest.mark.parametrize("typed", ["", ".", "a.", ".a", '"a', '"a".', '""', "a\0b", '"a"b'])
def test_what_is_no_name(typed: str) -> None:
    with pytest.raises(UsageError, match="no table's name"):
        parse_table_name(typed)
