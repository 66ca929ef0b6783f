"""What planning a restore asks of a destination: what is there, who has it open, how much room there is."""

from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite.network_disks import network_disk
from dbtui.errors import Cancelled, ConnectError
from dbtui.model.backups import StoredBackup, TableName
from dbtui.model.events import Event, Progressed
from tests.adapters.sqlite_files import (
    BACKUPS,
    CONTENTS,
    drive,
    dump_to,
    held_elsewhere,
    make_database,
    make_large,
    opened,
    options,
    stored,
)


@pytest.fixture(params=[False, True], ids=["rollback", "wal"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A live database."""
    folder = tmp_path / "live"
    folder.mkdir()
    return make_large(folder / "app.db", wal=request.param, megabytes=3)


@pytest.fixture
def backup(tmp_path: Path) -> StoredBackup:
    """A backup of something else."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return dump_to(make_database(tmp_path / "source.db", rows=3000), folder)[1]


def test_the_destination_and_who_has_it_open(live: Path) -> None:
    with opened(live) as target, held_elsewhere(live, "BEGIN") as holder:
        found = BACKUPS.collect_destination(target, "app.db")
        assert (found.exists, found.tables) == (True, 2)
        assert found.size_bytes is not None
        assert found.size_bytes >= live.stat().st_size
        (session,) = found.sessions
        assert session.session_id == holder.pid
        assert session.application.startswith("python")
        facts = BACKUPS.collect_restore_facts(target, stored(live), CONTENTS, "app.db")
        assert facts.destination.sessions == (), "nobody is disconnected"
        assert f"process {holder.pid}, user " in facts.remarks[0]


def test_who_has_it_open_is_found_behind_a_link(live: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(live)
    with opened(link) as target, held_elsewhere(live, "BEGIN") as holder:
        (session,) = BACKUPS.collect_destination(target, "link.db").sessions
        assert session.session_id == holder.pid


MOUNTS = r"""
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /srv/net rw - nfs4 nas:/export rw
24 23 0:22 / /srv/net/local\040disk rw - xfs /dev/vdb1 rw
25 22 0:23 / /mnt/win rw - cifs //host/share rw
26 22 0:24 / /mnt/win rw - ext4 /dev/vdc1 rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/net/a.db", "nfs4"), ("/srv/net/local disk/a.db", ""), ("/srv/network/a.db", ""), ("/a.db", ""),
        ("/mnt/win/a.db", ""),
    ],
)  # fmt: skip
def test_a_network_disk_is_known(tmp_path: Path, path: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert network_disk(Path(path), mounts) == kind
    assert network_disk(Path(path), tmp_path / "none") == ""


def test_a_network_disk_is_told(live: Path, backup: StoredBackup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbtui.adapters.sqlite.facts.network_disk", lambda _path: "nfs4")
    with opened(live) as target:
        remarks = BACKUPS.collect_dump_facts(target, options()).remarks
        assert any("lies on a network disk (nfs4)" in remark for remark in remarks)
        facts = BACKUPS.collect_restore_facts(target, backup, CONTENTS, "app.db")
        assert any("lies on a network disk (nfs4)" in remark for remark in facts.remarks)


def test_restore_facts(live: Path, backup: StoredBackup) -> None:
    with opened(live) as target:
        facts = BACKUPS.collect_restore_facts(target, backup, CONTENTS, "app.db")
        assert "app.db" in facts.taken_names
        assert facts.can_create_database
        assert facts.free_bytes
        assert facts.refusals == ()
        absolute = BACKUPS.collect_restore_facts(target, backup, CONTENTS, str(live))
        assert str(live) in absolute.taken_names
        assert BACKUPS.new_name(target, str(live), "_restored") == str(live.with_name("app_restored.db"))
        assert BACKUPS.new_name(target, "app", "_kept_20261122t150000z") == "app_kept_20261122t150000z.db"
        nowhere = BACKUPS.collect_restore_facts(target, backup, CONTENTS, "/nonexistent/x.db")
        assert not nowhere.can_create_database
        assert "there is no directory /nonexistent: make it first" in nowhere.refusals


def test_a_destination_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"x" * 5000)
    with opened(tmp_path / "app.db") as target, pytest.raises(ConnectError, match=r"no SQLite database"):
        BACKUPS.collect_destination(target, "other.db")


def test_too_little_room_for_a_swap_is_told_before(
    live: Path, backup: StoredBackup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbtui.adapters.sqlite.databases._free_bytes", lambda _folder: 1_000_000)
    with opened(live) as target:
        (refusal,) = BACKUPS.collect_restore_facts(target, backup, CONTENTS, "app.db").refusals
    assert "replacing" in refusal
    assert "1.0 MB are free" in refusal


def test_counting_tells_tables_and_is_cancelled(live: Path) -> None:
    cancellation = Cancellation()
    events: list[Event] = []
    with opened(live, cancellation) as target:
        names = [TableName("main", "t"), TableName("main", "accounts")]
        assert [one.rows for one in drive(BACKUPS.count_rows(target, "app.db", names), events)] == [30, 2]
        assert all(isinstance(event, Progressed) and event.unit == "tables" for event in events)
        cancellation.request("SIGTERM")
        with pytest.raises(Cancelled, match=r"SIGTERM"):
            drive(BACKUPS.count_rows(target, "app.db", names))
