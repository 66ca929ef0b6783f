"""Journals of captures, and what a guard does with one when its server is away."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.adapter import Target
from dbtui.adapters.guarding import GuardLogin, GuardSaid
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import ConnectError, LockedError, StorageError
from dbtui.model.captures import CaptureJournal
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.queries import CaptureWay, SettingChange
from dbtui.routines import capture_guard
from dbtui.routines.capture_guard import Guard, Orders
from dbtui.routines.capture_journal import JournalFile, list_stale_captures, locked_server
from dbtui.routines.captures import repair_captures
from dbtui.routines.context import RoutineContext
from tests.adapters.postgresql_targets import drive, opened
from tests.routines.capture_lab import context, postgresql_state, profile_of, wait_until

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
CHANGES = (
    SettingChange(name="log_min_duration_statement", value="0", before=None, current="-1"),
    SettingChange(name="log_parameter_max_length", value="64", before=None, current="-1"),
)


def journal(**fields: Any) -> CaptureJournal:
    made = CaptureJournal(
        capture_id="20261123T100000Z-1", profile="erp", engine=EngineName.POSTGRESQL, url="postgresql://db1/erp",
        server="PostgreSQL 1", way=CaptureWay.POSTGRESQL_LOG, changes=CHANGES, began_at=NOW, seconds=30.0,
        deadline_at=NOW + timedelta(minutes=2), most_bytes=64_000_000, process=os.getpid(),
    )  # fmt: skip
    return replace(made, **fields)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = JournalFile.create(tmp_path / "captures", journal())
    file.note("waiting", problem="the link is down")
    (stale,) = list_stale_captures(tmp_path / "captures")
    assert stale.journal == journal() and stale.last_words == "the link is down" and not stale.is_restored
    file.note_left(("somebody changed x",))
    (stale,) = list_stale_captures(tmp_path / "captures")
    assert stale.is_restored and stale.left == ("somebody changed x",)
    file.remove()
    assert not list_stale_captures(tmp_path / "captures")


def test_what_runs_is_not_stale(tmp_path: Path) -> None:
    JournalFile.create(tmp_path, journal())
    with locked_server(tmp_path, journal().server):
        assert not list_stale_captures(tmp_path)
        with pytest.raises(LockedError, match=f"process {os.getpid()}"), locked_server(tmp_path, journal().server):
            pass
        with locked_server(tmp_path, "another"):
            pass
    assert len(list_stale_captures(tmp_path)) == 1


def test_a_child_that_inherits_the_lock_holds_it(tmp_path: Path) -> None:
    JournalFile.create(tmp_path, journal())
    with locked_server(tmp_path, journal().server) as lock:
        words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        child = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=(lock,))
    with child:
        assert not list_stale_captures(tmp_path)
        child.kill()
        child.wait()
        assert len(list_stale_captures(tmp_path)) == 1


def test_a_line_that_a_crash_cut_is_left_out(tmp_path: Path) -> None:
    file = JournalFile.create(tmp_path, journal())
    with file.path.open("a") as half:
        half.write('{"version": 1, "event": "left", "le')
    (stale,) = list_stale_captures(tmp_path)
    assert stale.journal == journal() and not stale.is_restored


@pytest.mark.parametrize(
    "text", ["", "not JSON}\n", '{"version": 1}\n', '{"journal": {"capture_id": 5}}\n', "\0" * 100]
)
def test_a_journal_that_cannot_be_read_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    (stale,) = list_stale_captures(tmp_path)
    assert stale.journal is None and stale.problem


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    JournalFile.create(tmp_path, journal())
    with pytest.raises(StorageError):
        JournalFile.create(tmp_path, journal())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("kept")
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / f"{journal().capture_id}.jsonl").symlink_to(elsewhere)
    with pytest.raises(StorageError):
        JournalFile.create(tmp_path / "trap", journal())
    assert elsewhere.read_text() == "kept"


@pytest.mark.parametrize("room", [0, 100])
def test_a_full_disk_leaves_no_half_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Nothing has been changed then, and nothing is to be put back."""
    left, real = [room], os.write

    def write(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(descriptor, data[: left[0]])
        left[0] -= written
        return written

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "pwrite", pwrite)
    with locked_server(tmp_path, journal().server), pytest.raises(StorageError, match="is full"):
        JournalFile.create(tmp_path, journal())
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_a_guard_that_was_killed_while_it_applied_is_repaired(
    new_postgresql: Callable[..., PostgreSQL], tmp_path: Path
) -> None:
    """The first of two settings is written, and neither is in effect yet."""
    server = new_postgresql(config=["logging_collector = on"])
    before = postgresql_state(server)
    with opened(server.url()) as target:
        from dbtui.adapters.postgresql.capture import identify

        found = identify(target.collect_one("collect_capture_facts"))
    JournalFile.create(tmp_path, journal(server=found, url="")).note("applying")
    server.execute("ALTER SYSTEM SET log_min_duration_statement = '0'")
    (repair,) = drive(repair_captures(context(), profile_of(server.url()), tmp_path))
    assert repair.is_restored and not repair.left
    assert postgresql_state(server) == before and not list_stale_captures(tmp_path)


def test_a_server_that_cannot_be_reached_keeps_its_journal(tmp_path: Path) -> None:
    JournalFile.create(tmp_path, journal())
    (repair,) = drive(repair_captures(context(), profile_of("postgresql://x@127.0.0.1:1/x"), tmp_path))
    assert not repair.is_restored and "connection refused" in repair.detail
    assert len(list_stale_captures(tmp_path)) == 1
    assert drive(repair_captures(context(), profile_of("postgresql://x@127.0.0.1:1/x", "other"), tmp_path)) == ()


# ---------------------------------------------------------------- a guard


@dataclass
class Switch:
    """A server that can be switched on once, and then is away."""

    tries: int = 0

    def check(self) -> None:
        return

    def apply(self) -> None:
        return

    def measure_growth(self) -> int:
        raise ConnectError("the connection to the server was lost")

    def revert(self) -> tuple[str, ...]:
        raise ConnectError("the server is away")


@dataclass(frozen=True)
class Away(RoutineContext):
    """A context in which a server answers once."""

    switch: Switch = field(default_factory=Switch)

    @contextmanager
    def open_target(self, profile: ConnectionProfile) -> Iterator[Target]:
        self.switch.tries += 1
        if self.switch.tries > 1:
            raise ConnectError(f"connection refused, try {self.switch.tries}")
        yield None  # type: ignore[misc]

    def adapter(self, engine: EngineName) -> Any:
        return self

    @property
    def queries(self) -> "Away":
        return self

    @contextmanager
    def open_switch(self, _target: object, _journal: object, _former: object) -> Iterator[Switch]:
        yield self.switch

    def own_sessions(self, _target: object) -> tuple[int, ...]:
        return ()


def guard_of(c: RoutineContext, file: JournalFile, words: bytes, said: list[GuardSaid]) -> Guard:
    """A guard whose parent has said some words and ended."""
    reading, writing = os.pipe()
    os.write(writing, words)
    os.close(writing)
    login = GuardLogin(profile="erp", engine=EngineName.POSTGRESQL, url="postgresql://db1/erp")

    def hear(each: GuardSaid) -> bool:
        said.append(each)
        return True

    return Guard(c, login, file.path, Orders(reading), hear, gives_up_seconds=1.0)


def test_a_guard_gives_up_after_its_time_and_leaves_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_guard, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(capture_guard, "_LONGEST_PAUSE_SECONDS", 0.01)
    c, said = Away(now=lambda: NOW, switch=Switch()), list[GuardSaid]()
    file = JournalFile.create(tmp_path, journal())
    assert guard_of(c, file, b"apply\n", said).run() == 1
    assert [each.event for each in said][:3] == ["ready", "applied", "ending"]
    assert c.switch.tries > 5
    events = [json.loads(line)["event"] for line in file.path.read_text().splitlines()]
    assert events[-1] == "given up" and list_stale_captures(tmp_path)[0].last_words.startswith("connection refused")


def test_a_guard_whose_parent_ends_before_it_applies_changes_nothing(tmp_path: Path) -> None:
    said: list[GuardSaid] = []
    file = JournalFile.create(tmp_path, journal())
    assert guard_of(Away(now=lambda: NOW, switch=Switch()), file, b"", said).run() == 0
    assert [each.event for each in said] == ["ready", "ended"] and not file.path.exists()


def test_a_guard_that_cannot_log_in_refuses_and_changes_nothing(tmp_path: Path) -> None:
    said: list[GuardSaid] = []
    file = JournalFile.create(tmp_path, journal())
    assert guard_of(Away(now=lambda: NOW, switch=Switch(tries=1)), file, b"", said).run() == 1
    assert (said[0].event, said[0].kind) == ("refused", "ConnectError") and not file.path.exists()
    wait_until(lambda: not list_stale_captures(tmp_path), "nothing is left")
