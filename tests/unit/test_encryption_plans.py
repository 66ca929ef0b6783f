"""What a plan and the configuration say of encryption."""

from dataclasses import replace
from pathlib import Path

import pytest

from dbtui.adapters.driving import exhaust
from dbtui.analysis.backups import parse_data_name
from dbtui.config import load_settings, resolve_target
from dbtui.errors import ConfigError
from dbtui.model.backups import BackupFile, BackupFormat, Compression, CompressionKind, DumpOptions, EntryKind
from dbtui.model.connections import EngineName
from dbtui.routines.backups import collect_entries
from dbtui.routines.backups.manifest import encode_manifest
from dbtui.routines.context import RoutineContext
from tests.unit.samples import MANIFEST
from tests.unit.test_analysis_backups import FACTS, INFO, planned
from tests.unit.test_config import write

ZSTD = Compression(CompressionKind.ZSTD)
TO = ("age1xyz", "ssh-ed25519 AAAA ann")
FILE = replace(
    FACTS,
    info=replace(INFO, engine=EngineName.SQLITE, flavour="SQLite", version_number=3040001),
    database_bytes=1000,
    memory_bytes=1500,
)


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        (DumpOptions(encrypt_to=TO), ".sql.age"),
        (DumpOptions(encrypt_to=TO, compression=ZSTD), ".sql.zst.age"),
        (DumpOptions(encrypt_to=TO, compression=ZSTD, format=BackupFormat.CUSTOM), ".dump.zst.age"),
        (DumpOptions(encrypt_to=TO, format=BackupFormat.CUSTOM), ".dump.age"),
        (DumpOptions(encrypt_to=()), ".sql"),
        (DumpOptions(), ".sql"),
    ],
)
def test_the_name_says_that_it_is_encrypted(options: DumpOptions, suffix: str) -> None:
    plan = planned(options=options)
    assert plan.data_name == f"{plan.backup_id}{suffix}"
    assert plan.refusals == ()
    parsed = parse_data_name(plan.data_name)
    assert parsed is not None
    assert (parsed.stem, parsed.is_encrypted) == (plan.backup_id, bool(options.encrypt_to))


def test_the_command_can_be_typed_by_hand() -> None:
    command = planned(options=DumpOptions(encrypt_to=TO, compression=ZSTD)).steps[0].command
    assert command.endswith(" | zstd | age -r age1xyz -r 'ssh-ed25519 AAAA ann'")
    copied = planned(FILE, DumpOptions(encrypt_to=TO[:1])).steps[0].command
    assert copied == "the online backup API within one read transaction, into memory; then age -r age1xyz"
    packed = planned(FILE, DumpOptions(encrypt_to=TO[:1], compression=ZSTD)).steps[0].command
    assert packed.endswith("into memory; then zstd | age -r age1xyz")


def test_what_is_wrong_with_recipients_refuses() -> None:
    assert planned(problems=("--encrypt-to: age1oops is no recipient",)).refusals[0].startswith("--encrypt-to")


def test_a_directory_is_not_encrypted() -> None:
    (refusal,) = planned(options=DumpOptions(encrypt_to=TO, format=BackupFormat.DIRECTORY)).refusals
    assert "pg_dump writes the files of a directory itself" in refusal
    assert "--format custom or plain" in refusal


def test_a_copy_that_memory_does_not_hold_is_refused() -> None:
    assert planned(FILE, DumpOptions(encrypt_to=TO)).refusals == ()
    (refusal,) = planned(FILE, DumpOptions(encrypt_to=TO, tables=("users",))).refusals  # two copies
    assert "copied in memory first, never on a disk: 2.0 kB are needed there, 1.5 kB are free" in refusal
    assert planned(FILE, DumpOptions(encrypt_to=TO, tables=("users",), schema_only=True)).refusals == ()
    assert planned(replace(FILE, memory_bytes=None), DumpOptions(tables=("users",))).refusals == ()


def test_the_copy_in_memory_needs_no_room_on_the_disk() -> None:
    assert planned(FILE, DumpOptions(encrypt_to=TO, compression=ZSTD), free_bytes=700).refusals == ()
    assert planned(FILE, DumpOptions(compression=ZSTD), free_bytes=700).refusals


def test_a_profile_says_who_opens_its_backups(tmp_path: Path) -> None:
    environ = write(
        tmp_path,
        'encrypt_to = ["age1all"]\nidentity = "~/all.txt"\n'
        '[profiles.a]\nurl = "sqlite:///a"\n'
        '[profiles.b]\nurl = "sqlite:///b"\nencrypt_to = ["age1b", "@team"]\nidentity_command = ["pass", "b"]\n'
        '[profiles.c]\nurl = "sqlite:///c"\nencrypt_to = []\nidentity = "/c.txt"\n',
    )
    settings = load_settings({**environ, "DATABASE_URL": "sqlite:///d"})
    profiles = [resolve_target(settings, name, {}) for name in ("a", "b", "c", "DATABASE_URL", "sqlite:///e")]
    everybody = str(Path("~/all.txt").expanduser())
    assert [(each.encrypt_to, each.identity, each.identity_command) for each in profiles] == [
        (("age1all",), everybody, ()),
        (("age1b", "@team"), "", ("pass", "b")),
        ((), "/c.txt", ()),
        (("age1all",), everybody, ()),
        (("age1all",), everybody, ()),
    ]


def test_two_ways_to_one_identity_are_one_too_many(tmp_path: Path) -> None:
    text = '[profiles.a]\nurl = "sqlite:///a"\nidentity = "/k"\nidentity_command = ["pass"]\n'
    with pytest.raises(ConfigError, match=r"line 4: .*both identity and identity_command"):
        load_settings(write(tmp_path, text))


def test_an_encryption_of_the_future_is_a_broken_row(tmp_path: Path) -> None:
    manifest = replace(MANIFEST, encryption="rot13", files=(BackupFile("erp-20261122T150000Z.sql.age", 1, "0" * 64),))
    (tmp_path / "erp-20261122T150000Z.sql.age").write_bytes(b"x")
    (tmp_path / "erp-20261122T150000Z.sql.age.manifest.json").write_bytes(encode_manifest(manifest))
    (entry,) = exhaust(collect_entries(RoutineContext(), tmp_path))
    assert (entry.kind, entry.backup_id) == (EntryKind.BROKEN, "erp-20261122T150000Z")
    assert "names an unknown encryption: 'rot13'" in entry.problem
