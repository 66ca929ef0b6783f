"""What is made of recorded answers of pgBackRest and Barman, and of answers that nobody should trust."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.repositories.pgbackrest_words import checkup_of, percent_of
from dbtui.adapters.repositories.registry import open_repository
from dbtui.errors import ToolError
from dbtui.model.repositories import (
    BackupKind,
    Repository,
    RepositoryBackup,
    RepositoryKind,
    RepositoryReport,
    RepositoryRestoreOptions,
    Tablespace,
)

ANSWERS = Path(__file__).parent / "repository_answers"
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


class Fake:
    """Programs that say what they are told: a directory to put before PATH, and a repository of each kind."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        patch.setenv("PATH", f"{directory}:/usr/bin:/bin")

    def says(self, name: str, **answers: str) -> None:
        """Have a program answer a command, whose words hold the key (`_` stands for `-`), with a text."""
        cases = []
        for number, (word, text) in enumerate(answers.items()):
            answer = self.directory / f"{name}-{number}"
            answer.write_text(text)
            cases.append(f'*" {word.replace("_", "-")} "*) cat "{answer}" ;;')
        program = self.directory / name
        program.write_text(f'#!/bin/sh\ncase " $* " in {" ".join(cases)} *) echo unasked >&2; exit 9 ;; esac\n')
        program.chmod(0o755)

    def report(self, kind: RepositoryKind) -> RepositoryReport:
        """Ask the repository."""
        return open_repository(Repository(kind, "main"), os.environ, Cancellation()).collect_report(NOW)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Programs of this test alone."""
    return Fake(tmp_path, monkeypatch)


def read(name: str) -> str:
    """A recorded answer."""
    return (ANSWERS / f"{name}.json").read_text()


def test_pgbackrest_as_it_was_recorded(fake: Fake) -> None:
    fake.says("pgbackrest", info=read("pgbackrest-2.45-info"), repo_ls='{"0":{"type":"path"}}')
    report = fake.report(RepositoryKind.PGBACKREST)
    incr, full = report.backups
    assert (full.label, full.kind, full.needs) == ("20261123-092321F", BackupKind.FULL, ())
    assert (incr.kind, incr.needs) == (BackupKind.INCR, (full.label,))
    assert (full.database_bytes, full.repository_bytes, full.server_version) == (22992595, 3502947, "15")
    assert full.began_at == datetime(2026, 11, 23, 9, 23, 21, tzinfo=UTC)
    assert report.archives[0].first == "000000010000000000000001"
    assert (report.status_code, report.is_running, report.cipher) == (0, False, "")


def test_pgbackrest_with_several_repositories_and_much_that_is_new(fake: Fake) -> None:
    (stanza,) = json.loads(read("pgbackrest-2.45-info"))
    stanza["repo"].append({"key": 2, "cipher": "aes-256-cbc", "status": {"code": 99, "message": "[FileOpenError]"}})
    stanza |= {"cipher": "mixed", "status": {"code": 4, "message": "mixed", "lock": {"backup": {"held": True}}}}
    stanza["backup"][0]["annotation"] = {"why": "migration"}
    stanza["backup"][0]["error"] = True
    fake.says("pgbackrest", info=json.dumps([stanza]))
    report = fake.report(RepositoryKind.PGBACKREST)
    assert (report.status_code, report.is_running, report.cipher) == (4, True, "mixed")
    assert report.status_text == "repository 2: [FileOpenError]"
    full = report.backups[1]
    assert (full.repository_key, full.is_usable) == (1, True)
    assert "wrong checksums" in full.problem
    repository = open_repository(report.repository, {}, Cancellation())
    assert "--repo=1" in repository.restore_command(full, RepositoryRestoreOptions(directory="/srv/new"))


@pytest.mark.parametrize("label", ["--repo1-path=/etc", "../../x", "a\x1b[2J", "20261123-093000F; rm -rf /", ""])
def test_labels_that_are_none_cannot_be_restored(fake: Fake, label: str) -> None:
    (stanza,) = json.loads(read("pgbackrest-2.45-info"))
    stanza["backup"] = [stanza["backup"][0] | {"label": label}]
    fake.says("pgbackrest", info=json.dumps([stanza]), repo_ls="{}")
    (backup,) = fake.report(RepositoryKind.PGBACKREST).backups
    assert not backup.is_usable
    assert backup.label.isprintable()
    listed = json.dumps({"main": [{"backup_id": label, "status": "DONE"}]})
    fake.says("barman", list_backup=listed, check='{"main": {}}')
    (backup,) = fake.report(RepositoryKind.BARMAN).backups
    assert not backup.is_usable
    assert backup.label.isprintable()


ODD: list[Any] = [
    None,
    7,
    [],
    {},
    [[]],
    [{"name": "main", "backup": 3}],
    [{"name": "other"}],
    [{"name": "main", "backup": [{}]}],
]


@pytest.mark.parametrize("answer", ODD, ids=str)
def test_answers_of_another_shape_are_a_sentence(fake: Fake, answer: Any) -> None:
    fake.says("pgbackrest", info=json.dumps(answer))
    with pytest.raises(ToolError, match="pgbackrest"):
        fake.report(RepositoryKind.PGBACKREST)


def test_times_that_no_clock_shows_are_not_known(fake: Fake) -> None:
    (stanza,) = json.loads(read("pgbackrest-2.45-info"))
    stanza["backup"] = [stanza["backup"][0] | {"timestamp": {"start": -(10**17), "stop": 10**17}}]
    fake.says("pgbackrest", info=json.dumps([stanza]), repo_ls="{}")
    (backup,) = fake.report(RepositoryKind.PGBACKREST).backups
    assert (backup.began_at, backup.ended_at, backup.at.year) == (None, None, 1970)


def test_barman_as_it_was_recorded(fake: Fake) -> None:
    fake.says(
        "barman",
        list_backup=read("barman-3.4-list-backup"),
        show_backup=read("barman-3.4-show-backup"),
        check=read("barman-3.4-check"),
        status='{"main": {"current_xlog": {"message": "000000010000000000000010"}}}',
    )
    report = fake.report(RepositoryKind.BARMAN)
    (backup,) = report.backups
    assert (backup.label, backup.is_usable, backup.server_version) == ("20261123T092350", True, "15.18")
    assert (backup.database_bytes, backup.repository_bytes) == (23196022, 39973238)
    assert (report.archives[0].last, report.archives[0].current) == (
        "000000010000000000000008",
        "000000010000000000000010",
    )
    assert all(check.is_passed for check in report.checks)


def test_barman_of_a_newer_version(fake: Fake) -> None:
    listed = [
        {"backup_id": "20260120T030211", "backup_type": "incremental", "status": "DONE",
         "end_time_timestamp": "1768878199", "size_bytes": 812646400, "retention_status": "VALID"},
        {"backup_id": "20260119T030208", "backup_type": "incremental", "status": "FAILED"},
    ]  # fmt: skip
    fake.says(
        "barman",
        list_backup=json.dumps({"main": listed}),
        show_backup=read("barman-3.17-show-backup"),
        check='{"main": {"wal_level": {"status": "FAILED", "hint": "set it higher than minimal"}}}',
        status="{}",
    )
    report = fake.report(RepositoryKind.BARMAN)
    backup, failed = report.backups
    assert (backup.kind, backup.needs) == (BackupKind.INCR, ("20260118T030205", "20260119T030208"))
    assert (backup.database_bytes, backup.server_version) == (44238012416, "17.4")
    assert (failed.is_usable, failed.problem, f"{failed.at:%Y%m}") == (False, "barman calls it FAILED", "202601")
    assert report.status_code == 1
    detail = open_repository(report.repository, os.environ, Cancellation()).collect_detail(backup)
    assert detail.tablespaces == (Tablespace("cold", "/srv/cold", 16999),)


def test_words_of_pgbackrest() -> None:
    line = "P01 DETAIL: restore file /srv/pg/base/5/1255 (768KB, 3.42%) checksum adb7a4a7"
    assert percent_of(line) == pytest.approx(0.0342)
    assert percent_of("P00   INFO: restore backup set 20261123-092321F") is None
    backup = RepositoryBackup(repository="pgbackrest:main", label="20261123-092321F", archive="15-1")
    lines = [
        "stanza: main",
        "status: error",
        "  archiveId: 15-1, total WAL checked: 5, total valid WAL: 4",
        "    missing: 0, checksum invalid: 1, size invalid: 0, other: 0",
        "  backup: 20261123-092321F, status: invalid, total files checked: 964, total valid files: 963",
        "    missing: 1, checksum invalid: 0, size invalid: 0, other: 0",
        "  backup: 20261123-092321F_20261123-092324I, status: valid, total files checked: 966, total valid files: 966",
    ]
    assert checkup_of(backup, lines).problems == (
        "4 of 5 segments of WAL are good (checksum invalid: 1)",
        "963 of 964 files are good (missing: 1)",
    )
    gone = [line.replace("status: invalid, total files checked: 964, total valid files: 963",
                         "status: manifest missing, total files checked: 0, total valid files: 0")
            for line in lines if "missing: 1" not in line]  # fmt: skip
    assert checkup_of(backup, gone).problems[-1] == "0 of 0 files are good (manifest missing)"
    with pytest.raises(ToolError, match="says nothing of it"):
        checkup_of(backup, ["stanza: main", "status: ok"])
