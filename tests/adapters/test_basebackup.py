"""pg_basebackup as a child: what it is given, what is made of its words, and what ends with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.basebackup import CopyRequest, _Phases, copy_arguments, copy_server
from dbtui.adapters.postgresql.replica_files import format_settings
from dbtui.adapters.postgresql.replica_place import find_account, find_port_problem, find_programs
from dbtui.adapters.processes import tool_environment
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import ToolError
from dbtui.model.events import Event, Progressed, StepFinished, StepStarted, Warned
from tests.adapters.postgresql_targets import drive
from tests.fix_servers import processes_in, unique_name, wait_until

#: What pg_basebackup 15 writes to stderr with --progress --verbose; 13 to 18 use the same words.
WORDS = """\
pg_basebackup: initiating base backup, waiting for checkpoint to complete
pg_basebackup: checkpoint completed
pg_basebackup: write-ahead log start point: 0/2000028 on timeline 1
pg_basebackup: starting background WAL receiver
    0/23147 kB (0%), 0/1 tablespace (/tmp/near/backup_label        )
 9216/23147 kB (39%), 0/1 tablespace (/tmp/near/base/1/1255        )
WARNING:  aborting backup due to backend exiting before pg_backup_stop was called
23157/23157 kB (100%), 1/1 tablespace                                         \x20
pg_basebackup: write-ahead log end point: 0/2000100
pg_basebackup: waiting for background process to finish streaming ...
pg_basebackup: syncing data to disk ...
pg_basebackup: renaming backup_manifest.tmp to backup_manifest
pg_basebackup: base backup completed
"""


def request(**changes: object) -> CopyRequest:
    made: dict[str, object] = {"tool": "/bin/pg_basebackup", "conninfo": "host=db1", "directory": "/tmp/n", "slot": "n"}
    return CopyRequest(**{**made, **changes})  # type: ignore[arg-type]


def told(words: str, asked: CopyRequest) -> list[Event]:
    phases = _Phases(asked)
    for line in words.splitlines():
        phases.listen(line)
    return [*phases.news(), *phases.end()]


def test_its_words_become_steps_and_bytes() -> None:
    events = told(WORDS, request())
    assert [each.step for each in events if isinstance(each, StepStarted)] == [
        "wait for a checkpoint", "measure", "copy", "end the copy", "end the log", "write to disk",
    ]  # fmt: skip
    assert len([each for each in events if isinstance(each, StepFinished)]) == 6
    assert [(each.done, each.total) for each in events if isinstance(each, Progressed)] == [
        (0, 23147 * 1024), (9216 * 1024, 23147 * 1024), (23157 * 1024, 23157 * 1024),
    ]  # fmt: skip
    assert [each.message for each in events if isinstance(each, Warned)] == [WORDS.splitlines()[6]]


def test_a_checkpoint_that_is_waited_for_is_named() -> None:
    first = told(WORDS, request(is_fast_checkpoint=False, checkpoint_seconds=270.0))[0]
    assert first == StepStarted(
        "wait for a checkpoint", "the server spreads it over time, up to 270 s; nothing is copied until then"
    )


def test_its_arguments() -> None:
    argv = copy_arguments(request(most_bytes_per_second=20_000_000, tablespaces=(("/a=b", "/c"),)))
    assert argv == [
        "/bin/pg_basebackup", "--pgdata", "/tmp/n", "--write-recovery-conf", "--wal-method=stream", "--slot", "n",
        "--checkpoint=fast", "--no-password", "--progress", "--verbose", "--max-rate=19531k",
        r"--tablespace-mapping=/a\=b=/c", "--dbname", "host=db1",
    ]  # fmt: skip
    assert "--checkpoint=spread" in copy_arguments(request(is_fast_checkpoint=False))


@pytest.fixture
def place(postgresql_server: PostgreSQL) -> Iterator[Path]:
    yield postgresql_server.directory.add_subdirectory(unique_name("copy"), postgresql_server.account)


def real_request(server: PostgreSQL, place: Path, **changes: object) -> CopyRequest:
    passfile = server.write_private(f"{place.name}.passfile", f"*:*:*:*:{server.password}\n")
    conninfo = f"host=127.0.0.1 port={server.port} user={server.superuser} passfile={passfile}"
    account, _ = find_account(place / "near", str(server.data))
    programs = find_programs(15, os.environ, is_started=True)
    return request(
        tool=programs.basebackup, conninfo=conninfo, directory=str(place / "near"), account=account, **changes
    )


def test_a_slot_that_is_not_there_is_the_tools_word(postgresql_server: PostgreSQL, place: Path) -> None:
    asked = real_request(postgresql_server, place, slot="none_such")
    with pytest.raises(ToolError, match=r'the copy: pg_basebackup exited with 1: .*slot "none_such" does not exist'):
        drive(copy_server(asked, tool_environment(), Cancellation()))
    assert not processes_in(place)


def test_it_ends_with_us_whole(postgresql_server: PostgreSQL, place: Path) -> None:
    """Its child, which receives the log and holds the slot, goes on for ever when its parent alone is ended."""
    slot = unique_name("slot")
    postgresql_server.execute("SELECT pg_create_physical_replication_slot(%s)", [slot])
    asked = real_request(postgresql_server, place, slot=slot, most_bytes_per_second=1 << 20)
    program = (
        "import sys, pickle\n"
        "from dbtui.adapters.cancellation import Cancellation\n"
        "from dbtui.adapters.postgresql.basebackup import copy_server\n"
        "from dbtui.adapters.processes import tool_environment\n"
        "from dbtui.model.events import Progressed\n"
        "asked = pickle.load(sys.stdin.buffer)\n"
        "for event in copy_server(asked, tool_environment(), Cancellation()):\n"
        "    if isinstance(event, Progressed): print('copying', flush=True)\n"
    )
    import pickle

    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as victim:
        assert victim.stdin is not None and victim.stdout is not None
        pickle.dump(asked, victim.stdin)
        victim.stdin.close()
        assert victim.stdout.readline() == b"copying\n"
        assert processes_in(place)
        victim.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes_in(place))
    wait_until(lambda: not postgresql_server.execute(
        "SELECT 1 FROM pg_replication_slots WHERE active AND slot_name = %s", [slot]))  # fmt: skip
    postgresql_server.execute("SELECT pg_drop_replication_slot(%s)", [slot])


def test_settings_are_quoted() -> None:
    assert format_settings({"port": "5433", "a": r"it's \ so"}).splitlines()[2:] == [
        "port = 5433",
        r"a = 'it''s \\ so'",
    ]
    assert format_settings({}) == ""


def test_ports_that_cannot_be() -> None:
    assert "is no address to listen at" in find_port_problem("no.such.host.invalid", 5433)
    assert "nothing can listen at 192.0.2.1:5433" in find_port_problem("192.0.2.1", 5433)
    assert find_port_problem("127.0.0.1", 70000) == "the port 70000 is not between 1 and 65535"
