"""Backups to and from an SFTP server: the same promises as everywhere, several files over several connections."""

import os
from pathlib import Path

import pytest

from dbtui.model.backups import EntryKind
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteSettings
from dbtui.routines.backups.remote_catalogue import collect_remote_entries
from tests.fix_sshd import Sshd
from tests.shipping_lab import Lab, as_directory, drive, names_in


@pytest.fixture
def lab(tmp_path: Path, sshd: Sshd) -> Lab:
    lab = Lab.make(tmp_path)
    lab.address = parse_remote_address(f"sftp://vault{lab.there}")
    lab.settings = RemoteSettings(ssh_config_file=sshd.write_client_config(Path(os.environ["HOME"]) / "ssh_config"))
    return lab


def test_many_files_go_there_and_come_back(lab: Lab) -> None:
    entry = as_directory(lab, lab.back_up())
    done = lab.push(entry)
    assert (done.was_there, done.moved_files) == (False, 12)
    assert names_in(lab.there) == names_in(lab.here)
    assert lab.push(entry).was_there
    (row,) = drive(collect_remote_entries(lab.c, lab.address)).entries
    assert (row.backup_id, row.kind, row.fingerprint) == (entry.backup_id, EntryKind.COMPLETE, entry.fingerprint)
    lab.pull("latest")
    for name in names_in(lab.here):
        assert (lab.root / "fetched" / name).read_bytes() == (lab.here / name).read_bytes()
