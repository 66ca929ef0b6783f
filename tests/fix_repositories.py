"""Repositories that pgBackRest and Barman really keep, of a server that writes: one of each for a pytest process.

A table in a tablespace has three rows, of which the second came before a moment and the third after it, and both after
the backups. A test that damages a repository takes a copy.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from dbtui.demo.servers import PostgreSQL, ServerDirectory
from tests.fix_servers import unique_name, wait_until

STANZA = "main"
#: What the table holds in the end, and as of the moment.
ROWS = ["first", "second", "third"]
ROWS_THEN = ["first", "second"]
_SECONDS = 60


@dataclass
class RepositoryWorld:
    """A server and a repository of it. `labels` are those of its backups, oldest first."""

    kind: str
    server: PostgreSQL
    area: Path  # where the account that runs the tool may write
    repository: Path  # where the repository's files are
    config: Path
    labels: list[str] = field(default_factory=list)
    moment: str = ""

    @property
    def run_as(self) -> list[str]:
        """The words before the tool's: root gives itself up."""
        account = self.server.account
        if account is None:
            return []
        return ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--"]

    @property
    def name(self) -> str:
        """As references to its backups begin."""
        return f"{self.kind}:{STANZA}"

    def reference(self, number: int = -1) -> str:
        """What commands take for a backup."""
        return f"{self.name}/{self.labels[number]}"

    def files_of(self, directory: Path) -> dict[str, tuple[int, int]]:
        """The files below a directory, with their inode and the time of their last change."""
        stats = {str(path.relative_to(directory)): path.lstat() for path in directory.rglob("*")}
        return {name: (found.st_ino, found.st_mtime_ns) for name, found in stats.items()}

    def place(self, stem: str = "restored") -> Path:
        """A path in the area that nobody has used."""
        return self.area / unique_name(stem)

    def tool(self, *words: str, check: bool = True) -> str:
        """Run the repository's tool and return its stdout."""
        options = (
            [f"--config={self.config}", f"--stanza={STANZA}"] if self.kind == "pgbackrest" else ["-c", self.config]
        )
        done = subprocess.run(
            [*self.run_as, self.kind, *options, *words],
            cwd=self.area,
            env=self.server.environment(),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
        return done.stdout

    def write_settings(self, directory: Path, *, config: Path | None = None, run_as: list[str] | None = None) -> Path:
        """A configuration of dbtui's with a profile `erp` that names this repository."""
        path = directory / "config.toml"
        words = json.dumps(self.run_as if run_as is None else run_as)
        path.write_text(
            f'backup_dir = "{directory}/backups"\n[profiles.erp]\nurl = "{self.server.url()}"\n'
            f'repository = {{ name = "{self.name}", config = "{config or self.config}", run_as = {words} }}\n'
        )
        path.chmod(0o600)
        return path

    def write_row(self, text: str) -> None:
        """Insert a row, committed."""
        self.server.execute("INSERT INTO notes (text) VALUES (%s)", (text,))

    def copy(self, stem: str = "copy") -> "RepositoryWorld":
        """The same repository with its files copied: for damaging them. Its server is the same."""
        place = self.place(stem)
        shutil.copytree(self.repository, place, symlinks=True)
        config = place.with_suffix(".conf")
        config.write_text(self.config.read_text().replace(str(self.repository), str(place)))
        account = self.server.account
        if account is not None:
            for path in (place, config, *place.rglob("*")):
                os.chown(path, account.uid, account.gid)
        return RepositoryWorld(self.kind, self.server, self.area, place, config, self.labels, self.moment)

    @contextmanager
    def started(self, directory: Path) -> Iterator["RestoredServer"]:
        """The server of a restored data directory, when it takes writes."""
        socket = self.server.directory.add_subdirectory(unique_name("s"), self.server.account)
        process = self.server.spawn(
            [
                *(str(self.server.binaries / "postgres"), "-D", str(directory), "-p", "5432"),
                *("-c", "listen_addresses=", "-c", f"unix_socket_directories={socket}"),
            ]
        )
        restored = RestoredServer(socket)
        try:
            wait_until(lambda: restored.takes_writes() or process.poll() is not None)
            assert process.poll() is None, self.server.last_words()
            yield restored
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()


@dataclass(frozen=True)
class RestoredServer:
    """A running server, reached by its socket."""

    socket: Path

    def rows(self, sql: str = "SELECT text FROM notes ORDER BY id") -> list[Any]:
        """The first column of what a question finds."""
        connection = psycopg2.connect(host=str(self.socket), user="postgres", dbname="postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return [row[0] for row in cursor.fetchall()]
        finally:
            connection.close()

    def takes_writes(self) -> bool:
        """Whether its recovery is over."""
        try:
            return self.rows("SELECT NOT pg_is_in_recovery()") == [True]
        except psycopg2.OperationalError:
            return False


def _new_world(kind: str, directory: ServerDirectory, archiving: str) -> RepositoryWorld:
    name = unique_name(kind[:2])
    shell = PostgreSQL(directory, name=name, config=["archive_mode = on", "wal_keep_size = 64MB"])
    area = directory.add_subdirectory(f"{name}r", shell.account)
    world = RepositoryWorld(kind, shell, area, area / "repository", area / f"{kind}.conf")
    shell.config = (*shell.config, f"archive_command = '{archiving.format(config=world.config)}'")
    return world


def _write_private(world: RepositoryWorld, path: Path, text: str) -> None:
    path.write_text(text)
    if world.server.account is not None:
        os.chown(path, world.server.account.uid, world.server.account.gid)


def _fill(world: RepositoryWorld) -> None:
    cold = world.area / "cold"
    cold.mkdir()
    if world.server.account is not None:
        os.chown(cold, world.server.account.uid, world.server.account.gid)
    world.server.execute(f"CREATE TABLESPACE cold LOCATION '{cold}'")
    world.server.execute("CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL) TABLESPACE cold")
    world.write_row(ROWS[0])


def _write_on(world: RepositoryWorld) -> str:
    """The second row, the moment, the third row; returns the segment that holds them all, which is finished then."""
    world.write_row(ROWS[1])
    world.moment = world.server.execute("SELECT clock_timestamp()")[0][0].isoformat()
    world.write_row(ROWS[2])
    return _switch(world)


def _switch(world: RepositoryWorld) -> str:
    """Have the server finish its WAL segment, and return its name."""
    segment: str = world.server.execute("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0]
    world.server.execute("SELECT pg_switch_wal()")
    return segment


@pytest.fixture(scope="session")
def pgbackrest_world(server_directory: ServerDirectory) -> Iterator[RepositoryWorld]:
    """A stanza with a full and an incremental backup."""
    archiving = f"pgbackrest --config={{config}} --stanza={STANZA} archive-push %p"
    world = _new_world("pgbackrest", server_directory, archiving)
    area, server = world.area, world.server
    _write_private(
        world,
        world.config,
        f"[global]\nrepo1-path={world.repository}\nlock-path={area}/lock\nlog-path={area}/log\n"
        f"spool-path={area}/spool\nlog-level-file=off\njob-retry=0\nstart-fast=y\ncompress-level=1\nrepo1-retention-full=9\n"
        f"[{STANZA}]\npg1-path={server.data}\npg1-socket-path={server.socket_directory}\npg1-user=postgres\n",
    )
    with server:
        _write_private(world, world.config, f"{world.config.read_text()}pg1-port={server.port}\n")
        world.tool("stanza-create")
        _fill(world)
        world.tool("--type=full", "backup")
        world.tool("--type=incr", "backup")
        segment = _write_on(world)
        wait_until(lambda: f"{segment}-" in world.tool("--recurse", "repo-ls", f"archive/{STANZA}"))
        told = json.loads(world.tool("--output=json", "info"))
        world.labels = [each["label"] for each in told[0]["backup"]]
        yield world


@pytest.fixture(scope="session")
def barman_world(server_directory: ServerDirectory) -> Iterator[RepositoryWorld]:
    """A server of Barman's with one backup, made and archived by streaming."""
    world = _new_world("barman", server_directory, "/bin/true")
    server = world.server
    with server:
        login = f"host={server.socket_directory} port={server.port} user=postgres dbname=postgres"
        _write_private(
            world,
            world.config,
            f"[barman]\nbarman_home={world.repository}\nbarman_user={_user_of(world)}\nlog_file={world.area}/barman.log\n"
            f"[{STANZA}]\ndescription=test\nconninfo={login}\nstreaming_conninfo={login}\nbackup_method=postgres\n"
            f"streaming_archiver=on\nslot_name=barman\npath_prefix={server.binaries}\nimmediate_checkpoint=true\n",
        )
        server.directory.add_subdirectory(f"{world.area.name}/{world.repository.name}", server.account)
        world.tool("receive-wal", "--create-slot", STANZA)
        receiver = server.spawn([str(shutil.which("barman")), "-c", str(world.config), "receive-wal", STANZA])
        try:
            _fill(world)
            receiving = "SELECT active FROM pg_replication_slots WHERE slot_name = 'barman'"
            wait_until(lambda: server.execute(receiving) == [(True,)])
            _archive(world, _switch(world))  # no backup is made before WAL has come
            world.tool("backup", "--wait", STANZA)
            _archive(world, _write_on(world))
            told = json.loads(world.tool("-f", "json", "list-backup", STANZA))
            world.labels = [each["backup_id"] for each in reversed(told[STANZA])]
            yield world
        finally:
            receiver.terminate()
            receiver.wait()


def _archive(world: RepositoryWorld, segment: str) -> None:
    """Have a finished segment archived. Barman leaves the last one where it is until another has been begun."""
    world.server.execute("CHECKPOINT")
    streamed = world.repository / STANZA / "streaming"
    wait_until(lambda: any(path.name > segment for path in streamed.glob("0*")))
    world.tool("archive-wal", STANZA)
    assert list(world.repository.glob(f"{STANZA}/wals/*/{segment}"))


def _user_of(world: RepositoryWorld) -> str:
    import pwd

    return world.server.account.name if world.server.account else pwd.getpwuid(os.geteuid()).pw_name
